//! An observation as JSON: what a record and the learning runs beside a model hold.
//!
//! Events stand in their text form. What is read back is an allegation: rows that point nowhere
//! and texts that are no events are refused by name.

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;
use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::Forensic;
use tsem::Observation;
use tsem::ObservedCell;
use tsem::ObservedEvent;
use tsem::ObservedTask;
use tsem::Reason;
use tsem::TaskIndex;

/// A stored observation is damaged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoredError {
    /// A text is no event.
    #[error("{kind} {row} is no event of this version: {text}")]
    NotAnEvent {
        /// `task` or `event`.
        kind: &'static str,
        /// Which row, from 0.
        row: usize,
        /// The text.
        text: String,
    },
    /// A row refers to a task that is not there, or that stands after it.
    #[error("{kind} {row} refers to task {task}, which is not there")]
    NoSuchTask {
        /// `task` or `event`.
        kind: &'static str,
        /// Which row, from 0.
        row: usize,
        /// The row referred to.
        task: u32,
    },
    /// A coefficient is not 64 hexadecimal digits.
    #[error("forensics {row} has no coefficient of 64 hexadecimal digits")]
    NotADigest {
        /// Which row, from 0.
        row: usize,
    },
}

/// [`ObservedCell`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredCell {
    /// Credentials, in text form.
    pub coe: String,
    /// Event, in text form, before rules.
    pub event: String,
    /// Makers by place: covered octets and task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub makers: Vec<Vec<(u16, u32)>>,
    /// Targets by task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<u32>,
}

/// [`ObservedTask`]; row 0 has no exec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTask {
    /// The task that executed.
    pub parent: u32,
    /// The exec.
    pub exec: Option<StoredCell>,
}

/// [`ObservedEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Whose.
    pub task: u32,
    /// What.
    #[serde(flatten)]
    pub cell: StoredCell,
    /// How often.
    pub count: u64,
    /// Sequence number of the first.
    pub first: u64,
}

/// [`Observation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredObservation {
    /// Parents before children.
    pub tasks: Vec<StoredTask>,
    /// In order of first appearance.
    pub events: Vec<StoredEvent>,
}

/// Why an event was outside the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredReason {
    /// Its coefficient is not in the model.
    NotInModel,
    /// The process was untrusted.
    Untrusted,
}

/// [`Forensic`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredForensic {
    /// The event; for an exec, its task is the one that tried.
    #[serde(flatten)]
    pub event: StoredEvent,
    /// 64 hexadecimal digits.
    pub coefficient: String,
    /// Why.
    pub reason: StoredReason,
    /// Whether it was refused.
    pub denied: bool,
    /// Programs from the namespace's first to the acting one.
    pub chain: Vec<String>,
    /// The name of the event.
    pub name: String,
}

impl From<&ObservedCell> for StoredCell {
    fn from(cell: &ObservedCell) -> Self {
        let makers =
            |makers: &tsem::Makers| makers.iter().map(|(end, task)| (*end, task.0)).collect();
        let mut stored = Self {
            coe: cell.coe.to_string(),
            event: cell.cell.to_string(),
            makers: cell.makers.iter().map(makers).collect(),
            targets: cell.targets.iter().map(|task| task.0).collect(),
        };
        if stored.makers.iter().all(Vec::is_empty) {
            stored.makers.clear();
        }
        stored
    }
}

impl From<&ObservedEvent> for StoredEvent {
    fn from(event: &ObservedEvent) -> Self {
        let (task, cell) = (event.task.0, (&event.observed).into());
        Self { task, cell, count: event.count, first: event.first }
    }
}

impl From<&Observation> for StoredObservation {
    fn from(observation: &Observation) -> Self {
        let task = |task: &ObservedTask| StoredTask {
            parent: task.parent.0,
            exec: task.exec.as_ref().map(Into::into),
        };
        Self {
            tasks: observation.tasks.iter().map(task).collect(),
            events: observation.events.iter().map(Into::into).collect(),
        }
    }
}

impl StoredForensic {
    /// A forensic of an engine, with the chain that led to it.
    pub fn new(forensic: &Forensic, observation: &Observation) -> Self {
        Self {
            event: (&forensic.event).into(),
            coefficient: forensic.coefficient.to_hex(),
            reason: match forensic.reason {
                Reason::NotInModel => StoredReason::NotInModel,
                Reason::Untrusted => StoredReason::Untrusted,
            },
            denied: forensic.denied,
            chain: crate::chain::names(observation, forensic.event.task),
            name: forensic.event.observed.cell.kind.name().into(),
        }
    }

    /// The coefficient; `row` is for the message.
    ///
    /// # Errors
    ///
    /// It is not 64 hexadecimal digits.
    pub fn digest(&self, row: usize) -> Result<Digest, StoredError> {
        Digest::from_hex(&self.coefficient).ok_or(StoredError::NotADigest { row })
    }
}

impl StoredObservation {
    /// The observation, checked.
    ///
    /// # Errors
    ///
    /// A text is no event, or a row refers to a task that is not there.
    pub fn read(&self) -> Result<Observation, StoredError> {
        let tasks = self.tasks.iter().enumerate().map(|(row, task)| read_task(row, task));
        let tasks: Vec<ObservedTask> = tasks.collect::<Result<_, _>>()?;
        let events = self.events.iter().enumerate();
        let events =
            events.map(|(row, event)| event.read(row, tasks.len())).collect::<Result<_, _>>()?;
        Ok(Observation { tasks, events })
    }
}

impl StoredEvent {
    /// The event, checked against a table of so many tasks.
    ///
    /// # Errors
    ///
    /// As [`StoredObservation::read`].
    pub fn read(&self, row: usize, tasks: usize) -> Result<ObservedEvent, StoredError> {
        check_task("event", row, self.task, tasks)?;
        let observed = read_cell("event", row, &self.cell, tasks)?;
        Ok(ObservedEvent {
            task: TaskIndex(self.task),
            observed,
            count: self.count,
            first: self.first,
        })
    }
}

fn read_task(row: usize, task: &StoredTask) -> Result<ObservedTask, StoredError> {
    if row > 0 || task.parent != 0 {
        check_task("task", row, task.parent, row)?;
    }
    let exec = task.exec.as_ref().map(|exec| read_cell("task", row, exec, row)).transpose()?;
    Ok(ObservedTask { parent: TaskIndex(task.parent), exec })
}

fn read_cell(
    kind: &'static str,
    row: usize,
    stored: &StoredCell,
    tasks: usize,
) -> Result<ObservedCell, StoredError> {
    let bad = |text: &str| StoredError::NotAnEvent { kind, row, text: text.into() };
    let referred = stored.makers.iter().flatten().map(|(_, task)| *task);
    for task in referred.chain(stored.targets.iter().copied()) {
        check_task(kind, row, task, tasks)?;
    }
    let makers = |makers: &Vec<(u16, u32)>| {
        makers.iter().map(|(end, task)| (*end, TaskIndex(*task))).collect::<tsem::Makers>()
    };
    Ok(ObservedCell {
        coe: stored.coe.parse::<Coe>().map_err(|_| bad(&stored.coe))?,
        cell: stored.event.parse::<Cell>().map_err(|_| bad(&stored.event))?,
        makers: stored.makers.iter().map(makers).collect(),
        targets: stored.targets.iter().map(|task| TaskIndex(*task)).collect(),
    })
}

fn check_task(kind: &'static str, row: usize, task: u32, tasks: usize) -> Result<(), StoredError> {
    if (task as usize) < tasks { Ok(()) } else { Err(StoredError::NoSuchTask { kind, row, task }) }
}
