//! A model in memory: a header, the programs it knows, and one entry for each good coefficient.
//!
//! Every description in it was either formed here from what was observed, or has been hashed and
//! found to be what its coefficient says ([`super::format`]); none is taken on trust.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::EncodeError;
use tsem::EventKind;
use tsem::Observation;
use tsem::ObservedEvent;
use tsem::ObservedTask;
use tsem::References;
use tsem::Rules;
use tsem::TaskIdentity;
use tsem::TaskIndex;
use tsem::Value;
use tsem::state_of;

use super::header::Header;

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    header: Header,
    programs: BTreeMap<Digest, Program>,
    entries: BTreeMap<Digest, Option<Described>>,
}

/// A task identity and the exec that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its own and its parent's `TASK_ID`.
    pub identity: TaskIdentity,
    /// Credentials of the exec.
    pub coe: Coe,
    /// The exec: a `bprm_committed_creds`.
    pub cell: Cell,
}

/// What a coefficient stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Whose event.
    pub identity: TaskIdentity,
    /// With which credentials.
    pub coe: Coe,
    /// On what.
    pub cell: Cell,
    /// In how many of the runs.
    pub seen: Seen,
}

/// In how many runs a coefficient was seen: a class rather than a count, so that another run
/// changes few lines of the file. For the reader; no part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// In every run.
    Every,
    /// In several runs, not in all.
    Some,
    /// In one of several runs.
    Once,
    /// In none: a reviewer accepted it from forensics.
    Accepted,
}

impl Seen {
    /// The word in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Every => "every",
            Self::Some => "some",
            Self::Once => "once",
            Self::Accepted => "accepted",
        }
    }

    /// The class of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Every, Self::Some, Self::Once, Self::Accepted]
            .into_iter()
            .find(|seen| seen.name() == name)
    }

    /// The class of a count.
    pub fn of(seen: usize, runs: usize) -> Self {
        match seen {
            0 => Self::Accepted,
            _ if seen >= runs => Self::Every,
            1 => Self::Once,
            _ => Self::Some,
        }
    }

    /// The class over the runs of two models together.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        match (self, other) {
            (Self::Every, Some(Self::Every)) => Self::Every,
            (Self::Accepted, None | Some(Self::Accepted)) => Self::Accepted,
            (Self::Accepted, Some(other)) => other.and(None),
            (Self::Once, None | Some(Self::Accepted)) => Self::Once,
            _ => Self::Some,
        }
    }
}

impl ModelFile {
    /// A model without coefficients.
    pub fn new(header: Header) -> Self {
        Self { header, programs: BTreeMap::new(), entries: BTreeMap::new() }
    }

    /// The model of what was observed in some runs, formed under the header's rules. Sets the
    /// header's number of runs.
    ///
    /// # Errors
    ///
    /// An observation that was read from a damaged record.
    pub fn learned(mut header: Header, runs: &[&Observation]) -> Result<Self, EncodeError> {
        header.runs = runs.len() as u32;
        let mut model = Self::new(header);
        let mut seen_in: BTreeMap<Digest, usize> = BTreeMap::new();
        for run in runs {
            let mut coefficients = model.add(run, Seen::Once)?;
            coefficients.sort_unstable();
            coefficients.dedup();
            for coefficient in coefficients {
                *seen_in.entry(coefficient).or_default() += 1;
            }
        }
        for (coefficient, entry) in &mut model.entries {
            if let Some(described) = entry {
                described.seen = Seen::of(seen_in[coefficient], runs.len());
            }
        }
        Ok(model)
    }

    /// Adds all that was observed and gives the coefficients, known ones too. An entry that is
    /// already there keeps its class.
    ///
    /// # Errors
    ///
    /// As [`ModelFile::learned`].
    pub fn add(
        &mut self,
        observation: &Observation,
        seen: Seen,
    ) -> Result<Vec<Digest>, EncodeError> {
        let programs = programs_of(observation, &self.header.rules)?;
        let formed = observation.form(&self.header.rules)?;
        let mut coefficients = Vec::with_capacity(formed.len());
        for event in formed {
            coefficients.push(event.coefficient);
            self.add_chain(event.identity.task, &programs);
            let (identity, coe, cell) = (event.identity, event.coe, event.cell);
            let entry = self.entries.entry(event.coefficient).or_default();
            entry.get_or_insert(Described { identity, coe, cell, seen });
        }
        Ok(coefficients)
    }

    /// Adds reviewed forensics and gives those that are new; with any, the serial grows by one.
    /// `tasks` are those of the run's observation, and an exec belongs to the task that tried it.
    ///
    /// # Errors
    ///
    /// As [`ModelFile::learned`].
    pub fn accept<'a>(
        &mut self,
        tasks: &[ObservedTask],
        attempts: impl IntoIterator<Item = &'a ObservedEvent>,
    ) -> Result<Vec<Digest>, EncodeError> {
        let known: BTreeSet<Digest> = self.entries.keys().copied().collect();
        let mut new = self.add(&as_observation(tasks, attempts), Seen::Accepted)?;
        new.retain(|coefficient| !known.contains(coefficient));
        self.header.serial += u64::from(!new.is_empty());
        Ok(new)
    }

    /// Adds the programs that lead to `task`.
    fn add_chain(&mut self, mut task: Digest, programs: &BTreeMap<Digest, Program>) {
        while !self.programs.contains_key(&task)
            && let Some(program) = programs.get(&task)
        {
            self.programs.insert(task, program.clone());
            task = program.identity.parent;
        }
    }

    /// Adds an entry whose description has been checked; its program is there already.
    pub(super) fn insert(&mut self, coefficient: Digest, described: Option<Described>) -> bool {
        self.entries.insert(coefficient, described).is_none()
    }

    /// Adds a program whose identity has been checked; its parent is there already.
    pub(super) fn insert_program(&mut self, program: Program) -> bool {
        self.programs.insert(program.identity.task, program).is_none()
    }

    /// Takes one coefficient out, for a reviewer who refuses it.
    pub fn remove(&mut self, coefficient: &Digest) -> bool {
        self.entries.remove(coefficient).is_some()
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header, to be changed: the rules do not form anew what is already there.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.header.rules
    }

    /// The coefficients, ascending.
    pub fn coefficients(&self) -> impl ExactSizeIterator<Item = &Digest> {
        self.entries.keys()
    }

    /// Whether an event is in the model.
    pub fn contains(&self, coefficient: &Digest) -> bool {
        self.entries.contains_key(coefficient)
    }

    /// The coefficients of events in which no rule and no reference has a part, ascending. What has
    /// no description is none of them.
    pub fn exact_coefficients(&self, references: &References) -> Vec<Digest> {
        let rules = &self.header.rules;
        let exact = |described: &Described| {
            tsem::is_hashed_without_rules(&described.cell, rules, references)
        };
        self.described().filter(|(_, described)| exact(described)).map(|(each, _)| *each).collect()
    }

    /// The kinds of the events in which a rule or a reference has a part.
    pub fn ruled_kinds(&self, references: &References) -> BTreeSet<EventKind> {
        let rules = &self.header.rules;
        let ruled = |described: &&Described| {
            !tsem::is_hashed_without_rules(&described.cell, rules, references)
        };
        let described = self.described().map(|(_, described)| described);
        described.filter(ruled).map(|described| described.cell.kind).collect()
    }

    /// How many coefficients there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every coefficient and its description, ascending by coefficient.
    pub fn entries(&self) -> impl Iterator<Item = (&Digest, Option<&Described>)> {
        self.entries.iter().map(|(coefficient, described)| (coefficient, described.as_ref()))
    }

    /// Every entry that has a description.
    pub fn described(&self) -> impl Iterator<Item = (&Digest, &Described)> {
        self.entries().filter_map(|(coefficient, described)| Some((coefficient, described?)))
    }

    /// The program of a `TASK_ID`; `None` for the namespace's beginning.
    pub fn program(&self, task: &Digest) -> Option<&Program> {
        self.programs.get(task)
    }

    /// Every program, by `TASK_ID`.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.values()
    }

    /// The model's state.
    pub fn state(&self) -> Digest {
        state_of(self.entries.keys(), &self.header.platform)
    }

    /// The chain of programs that leads to a task, the first one first.
    pub fn chain(&self, task: &Digest) -> Vec<&Program> {
        let mut chain = Vec::new();
        let mut at = *task;
        while let Some(program) = self.programs.get(&at) {
            chain.push(program);
            at = program.identity.parent;
        }
        chain.reverse();
        chain
    }
}

impl Program {
    /// The file that was executed: the script, where there is one.
    pub fn path(&self) -> &[u8] {
        let files = self.cell.values.iter().rev().filter_map(Value::place);
        files.map(|place| place.path.as_slice()).next().unwrap_or_default()
    }

    /// The last component of [`Program::path`].
    pub fn name(&self) -> &[u8] {
        self.path().rsplit(|octet| *octet == b'/').next().unwrap_or_default()
    }
}

/// The programs of all tasks of an observation, formed under `rules`.
fn programs_of(
    observation: &Observation,
    rules: &Rules,
) -> Result<BTreeMap<Digest, Program>, EncodeError> {
    let execs = observation.tasks.iter().enumerate().filter_map(|(row, task)| {
        let observed = task.exec.clone()?;
        Some(ObservedEvent { task: TaskIndex(row as u32), observed, count: 1, first: 1 })
    });
    let execs = Observation { tasks: observation.tasks.clone(), events: execs.collect() };
    let formed = execs.form(rules)?.into_iter();
    Ok(formed
        .map(|event| {
            let (identity, coe, cell) = (event.identity, event.coe, event.cell);
            (identity.task, Program { identity, coe, cell })
        })
        .collect())
}

/// Events outside a model as an observation of their own. A run names the task that tried an exec;
/// in a model an exec belongs to the task that it makes.
fn as_observation<'a>(
    tasks: &[ObservedTask],
    attempts: impl IntoIterator<Item = &'a ObservedEvent>,
) -> Observation {
    let mut observation = Observation { tasks: tasks.to_vec(), events: Vec::new() };
    for attempt in attempts {
        let mut event = attempt.clone();
        if event.observed.cell.kind == EventKind::BprmCommittedCreds {
            let exec = Some(event.observed.clone());
            observation.tasks.push(ObservedTask { parent: event.task, exec });
            event.task = TaskIndex(observation.tasks.len() as u32 - 1);
        }
        observation.events.push(event);
    }
    observation
}

#[cfg(test)]
pub(crate) mod tests;
