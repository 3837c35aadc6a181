//! What was seen, kept so that it can be formed into coefficients again under other rules.
//!
//! A coefficient cannot be turned back into an event, so learning keeps the events: each distinct
//! one once, before rules, with the tasks and makers it refers to by index.

use alloc::vec::Vec;

use crate::Cell;
use crate::Coe;
use crate::Digest;
use crate::EncodeError;
use crate::EventKind;
use crate::Rules;
use crate::Target;
use crate::TaskIdentity;
use crate::Value;
use crate::coefficient;
use crate::encode_cell;
use crate::encode_coe;
use crate::made::Makers;

/// A row of [`Observation::tasks`]. Row 0 is the namespace's beginning, before the first exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskIndex(pub u32);

impl TaskIndex {
    /// The task that has not executed anything yet.
    pub const INITIAL: Self = Self(0);
}

/// A task identity by how it came about: an exec by a parent task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTask {
    /// The task that executed.
    pub parent: TaskIndex,
    /// The exec; `None` for row 0 alone.
    pub exec: Option<ObservedCell>,
}

/// An event's context and object before rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCell {
    /// With which credentials.
    pub coe: Coe,
    /// In canonical form, but not generalised by rules.
    pub cell: Cell,
    /// For each place in the cell, in field order, who made which leading part of it.
    pub makers: Vec<Makers>,
    /// For each `Task` field that holds a task of the namespace, in order, which.
    pub targets: Vec<TaskIndex>,
}

/// A distinct event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedEvent {
    /// The task it belongs to; for an exec the new one.
    pub task: TaskIndex,
    /// What it was.
    pub observed: ObservedCell,
    /// How often it was seen.
    pub count: u64,
    /// Sequence number of the first of them, from 1.
    pub first: u64,
}

/// Everything distinct that one run showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Parents stand before children.
    pub tasks: Vec<ObservedTask>,
    /// In order of first appearance.
    pub events: Vec<ObservedEvent>,
}

/// An event in the form that is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormedEvent {
    /// The coefficient.
    pub coefficient: Digest,
    /// Whose.
    pub identity: TaskIdentity,
    /// Context.
    pub coe: Coe,
    /// Object, generalised.
    pub cell: Cell,
}

impl Default for Observation {
    fn default() -> Self {
        let initial = ObservedTask { parent: TaskIndex::INITIAL, exec: None };
        Self { tasks: [initial].into(), events: Vec::new() }
    }
}

impl Observation {
    /// The task identities under `rules`, row by row.
    ///
    /// # Errors
    ///
    /// A cell that does not fit the event table: the observation was read from a damaged file.
    pub fn identities(&self, rules: &Rules) -> Result<Vec<TaskIdentity>, EncodeError> {
        let mut identities: Vec<TaskIdentity> = Vec::with_capacity(self.tasks.len());
        for task in &self.tasks {
            let parent = identities.get(task.parent.0 as usize).copied();
            let identity = match (&task.exec, parent) {
                (Some(exec), Some(parent)) => exec.form(rules, &identities)?.executed(parent),
                _ => TaskIdentity::INITIAL,
            };
            identities.push(identity);
        }
        Ok(identities)
    }

    /// Every event as it is hashed under `rules`, in the order of [`Observation::events`].
    ///
    /// # Errors
    ///
    /// As [`Observation::identities`].
    pub fn form(&self, rules: &Rules) -> Result<Vec<FormedEvent>, EncodeError> {
        let identities = self.identities(rules)?;
        let form = |event: &ObservedEvent| {
            let formed = event.observed.form(rules, &identities)?;
            Ok(formed.into_event(event.observed.coe, identity_at(&identities, event.task)))
        };
        self.events.iter().map(form).collect()
    }

    /// Events outside a model as they would be hashed under `rules`. Other than in
    /// [`Observation::events`], the task of an exec is the one that tried.
    ///
    /// # Errors
    ///
    /// As [`Observation::identities`].
    pub fn form_attempts<'a>(
        &self,
        rules: &Rules,
        attempts: impl IntoIterator<Item = &'a ObservedEvent>,
    ) -> Result<Vec<FormedEvent>, EncodeError> {
        let identities = self.identities(rules)?;
        let form = |event: &ObservedEvent| {
            let formed = event.observed.form(rules, &identities)?;
            let acting = identity_at(&identities, event.task);
            let identity = if is_exec(formed.cell.kind) { formed.executed(acting) } else { acting };
            Ok(formed.into_event(event.observed.coe, identity))
        };
        attempts.into_iter().map(form).collect()
    }
}

fn identity_at(identities: &[TaskIdentity], task: TaskIndex) -> TaskIdentity {
    identities.get(task.0 as usize).copied().unwrap_or(TaskIdentity::INITIAL)
}

/// A cell under rules, with the digests that go into identities and coefficients.
#[derive(Clone, Debug)]
pub(crate) struct Formed {
    pub(crate) cell: Cell,
    pub(crate) coe_digest: Digest,
    pub(crate) cell_digest: Digest,
}

impl Formed {
    pub(crate) fn executed(&self, parent: TaskIdentity) -> TaskIdentity {
        parent.exec(self.coe_digest, self.cell_digest)
    }

    fn into_event(self, coe: Coe, identity: TaskIdentity) -> FormedEvent {
        let coefficient = self.coefficient(identity);
        FormedEvent { coefficient, identity, coe, cell: self.cell }
    }

    pub(crate) fn coefficient(&self, identity: TaskIdentity) -> Digest {
        coefficient(self.cell.kind, identity, self.coe_digest, self.cell_digest)
    }
}

impl ObservedCell {
    pub(crate) fn form(
        &self,
        rules: &Rules,
        identities: &[TaskIdentity],
    ) -> Result<Formed, EncodeError> {
        let mut cell = self.cell.clone();
        let task_of =
            |task: TaskIndex| identities.get(task.0 as usize).map(|identity| identity.task);
        generalise(&mut cell, rules, &self.makers, &self.targets, task_of);
        let mut encoded = Vec::with_capacity(256);
        encode_cell(&cell, &mut encoded)?;
        Ok(Formed {
            cell,
            coe_digest: Digest::of(&[&encode_coe(&self.coe)]),
            cell_digest: Digest::of(&[&encoded]),
        })
    }
}

/// Applies the rules to a cell in canonical form and fills in the identities of targets, with
/// `task_of` to tell `TASK_ID`s.
pub(crate) fn generalise(
    cell: &mut Cell,
    rules: &Rules,
    makers: &[Makers],
    targets: &[TaskIndex],
    task_of: impl Fn(TaskIndex) -> Option<Digest>,
) {
    let mut makers = makers.iter();
    let mut targets = targets.iter();
    for value in &mut cell.values {
        if let Some(place) = value.place_mut() {
            let makers = makers.next().map_or(&[][..], Vec::as_slice);
            rules.generalise_place(place, |covered| {
                let made = makers.iter().find(|(end, _)| usize::from(*end) == covered)?;
                task_of(made.1)
            });
        }
        match value {
            Value::File(file) => rules.settle_content(file),
            Value::Address(address) => rules.generalise_address(address),
            Value::Task(Target::Task(digest)) => {
                *digest = targets.next().and_then(|task| task_of(*task)).unwrap_or(Digest::ZERO);
            }
            _ => {}
        }
    }
}

/// Whether an event of this kind changes the identity of the process.
pub(crate) fn is_exec(kind: EventKind) -> bool {
    kind == EventKind::BprmCommittedCreds
}
