//! Memory that keeps the description of every distinct event.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Forensics;
use super::Full;
use super::GoodEvent;
use super::Known;
use super::Memory;
use super::PendingExec;
use super::ProcessStatus;
use super::Violation;
use crate::Bounds;
use crate::Digest;
use crate::Effect;
use crate::Forensic;
use crate::Loss;
use crate::Observation;
use crate::ObservedCell;
use crate::ObservedEvent;
use crate::ObservedTask;
use crate::Platform;
use crate::ProcessId;
use crate::TaskIdentity;
use crate::TaskIndex;
use crate::coefficient_set::CoefficientMap;
use crate::made::Made;
use crate::made::Makers;
use crate::state_of;

/// Keeps everything that was seen: to learn from, and to tell violations by.
#[derive(Debug)]
pub struct WholeMemory {
    bounds: Bounds,
    processes: BTreeMap<ProcessId, Process>,
    observation: Observation,
    identities: Vec<TaskIdentity>,
    task_rows: BTreeMap<TaskIdentity, TaskIndex>,
    known: CoefficientMap<Known>,
    forensics: Vec<Forensic>,
    forensic_rows: CoefficientMap<u32>,
    made: Made,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Process {
    status: ProcessStatus,
    pending: Option<PendingExec<ObservedCell>>,
}

impl WholeMemory {
    pub(crate) fn observation(&self) -> &Observation {
        &self.observation
    }

    pub(crate) fn identities(&self) -> &[TaskIdentity] {
        &self.identities
    }

    pub(crate) fn forensics(&self) -> &[Forensic] {
        &self.forensics
    }
}

impl Memory for WholeMemory {
    type Described = ObservedCell;

    const DESCRIBES: bool = true;

    fn with_bounds(bounds: &Bounds) -> Self {
        Self {
            bounds: *bounds,
            processes: BTreeMap::new(),
            observation: Observation::default(),
            identities: [TaskIdentity::INITIAL].into(),
            task_rows: [(TaskIdentity::INITIAL, TaskIndex::INITIAL)].into_iter().collect(),
            known: CoefficientMap::default(),
            forensics: Vec::new(),
            forensic_rows: CoefficientMap::default(),
            made: Made::new(bounds.made),
            buffer: Vec::with_capacity(512),
        }
    }

    fn describe(
        observe: impl FnOnce() -> Result<ObservedCell, Loss>,
    ) -> Result<ObservedCell, Loss> {
        observe()
    }

    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = core::mem::take(&mut self.buffer);
        buffer.clear();
        buffer
    }

    fn return_buffer(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    fn process(&self, id: ProcessId) -> Option<ProcessStatus> {
        Some(self.processes.get(&id)?.status)
    }

    fn introduce(&mut self, id: ProcessId, status: ProcessStatus) -> Result<(), Full> {
        if self.processes.len() >= self.bounds.processes {
            return Err(Full);
        }
        self.processes.insert(id, Process { status, pending: None });
        Ok(())
    }

    fn change(&mut self, id: ProcessId, status: ProcessStatus) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.status = status;
        }
    }

    fn forget(&mut self, id: ProcessId) {
        self.processes.remove(&id);
    }

    fn hold(&mut self, id: ProcessId, exec: PendingExec<ObservedCell>) -> Result<(), Full> {
        self.processes.get_mut(&id).ok_or(Full)?.pending = Some(exec);
        Ok(())
    }

    fn release(&mut self, id: ProcessId) -> Option<PendingExec<ObservedCell>> {
        self.processes.get_mut(&id)?.pending.take()
    }

    fn pending(&self, id: ProcessId) -> Option<TaskIdentity> {
        Some(self.processes.get(&id)?.pending.as_ref()?.identity)
    }

    fn identity(&self, task: TaskIndex) -> TaskIdentity {
        self.identities[task.0 as usize]
    }

    fn has_room(&self, identity: &TaskIdentity) -> bool {
        self.identities.len() < self.bounds.tasks || self.task_rows.contains_key(identity)
    }

    fn task(
        &mut self,
        parent: TaskIndex,
        exec: &PendingExec<ObservedCell>,
    ) -> Result<TaskIndex, Full> {
        if let Some(row) = self.task_rows.get(&exec.identity) {
            return Ok(*row);
        }
        if !self.has_room(&exec.identity) {
            return Err(Full);
        }
        let row = TaskIndex(self.identities.len() as u32);
        self.identities.push(exec.identity);
        self.observation.tasks.push(ObservedTask { parent, exec: Some(exec.described.clone()) });
        self.task_rows.insert(exec.identity, row);
        Ok(row)
    }

    fn known(&self, coefficient: Digest) -> Option<Known> {
        self.known.get(&coefficient).copied()
    }

    fn count(&self) -> usize {
        self.known.len()
    }

    fn good(&self) -> Vec<Digest> {
        let good = self.known.iter().filter(|(_, known)| known.good);
        sorted(good.map(|(coefficient, _)| *coefficient))
    }

    fn admit(&mut self, coefficient: Digest, good: bool) -> Result<(), Full> {
        if self.known.contains_key(&coefficient) {
            return Ok(());
        }
        if self.known.len() >= self.bounds.coefficients {
            return Err(Full);
        }
        self.known.insert(coefficient, Known { good, row: 0 });
        Ok(())
    }

    fn first(&mut self, event: GoodEvent<ObservedCell>) {
        let GoodEvent { task, described: observed, coefficient, number: first } = event;
        self.observation.events.push(ObservedEvent { task, observed, count: 1, first });
        let row = self.observation.events.len() as u32;
        self.known.insert(coefficient, Known { good: true, row });
    }

    fn again(&mut self, row: u32) {
        self.observation.events[row as usize - 1].count += 1;
    }

    fn violation(&mut self, violation: Violation<ObservedCell>) -> Forensics {
        let Violation { process, task, described: observed, coefficient, .. } = violation;
        if let Some(row) = self.forensic_rows.get(&coefficient) {
            self.forensics[*row as usize].event.count += 1;
            return Forensics::Again;
        }
        if self.forensics.len() >= self.bounds.forensics {
            return Forensics::Dropped;
        }
        let Violation { reason, denied, number: first, .. } = violation;
        let event = ObservedEvent { task, observed, count: 1, first };
        self.forensic_rows.insert(coefficient, self.forensics.len() as u32);
        self.forensics.push(Forensic { event, coefficient, reason, denied, process });
        Forensics::First
    }

    fn state(&self, platform: &Platform) -> Digest {
        state_of(&sorted(self.known.keys().copied()), platform)
    }

    fn note(&mut self, task: TaskIndex, effect: &Effect<'_>) {
        self.made.note(task, effect);
    }

    fn expect(&mut self, task: TaskIndex, path: &[u8]) {
        self.made.expect(task, path);
    }

    fn makers(&self, path: &[u8]) -> Makers {
        self.made.makers(path)
    }

    fn made_dropped(&self) -> u64 {
        self.made.overflows()
    }
}

fn sorted(coefficients: impl Iterator<Item = Digest>) -> Vec<Digest> {
    let mut sorted: Vec<Digest> = coefficients.collect();
    sorted.sort_unstable();
    sorted
}
