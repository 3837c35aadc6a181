//! Memory that never grows: sorted tables of digests, taken whole when it is made.
//!
//! What does not fit is a loss, counted and, when enforcing, denied. Descriptions are not kept:
//! whoever asked for the verdict has them.

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
use crate::Loss;
use crate::NULL_ID;
use crate::ObservedCell;
use crate::Platform;
use crate::ProcessId;
use crate::TaskIdentity;
use crate::TaskIndex;
use crate::made::MadeOctets;
use crate::made::Makers;
use crate::state_of;

/// Keeps digests only, in tables of fixed size.
///
/// A coefficient takes 33 octets, a task 34, a process 16, a pending exec 104; a made path its
/// own length and 4. `Bounds::made` is not used: `Bounds::made_octets` is the bound.
#[derive(Debug)]
pub struct CompactMemory {
    /// In ascending order.
    coefficients: Table<Coefficient>,
    tasks: Table<Task>,
    /// In ascending order of their numbers.
    processes: Table<Process>,
    pending: Table<(ProcessId, PendingExec<()>)>,
    made: MadeOctets,
}

#[derive(Debug)]
struct Coefficient {
    digest: Digest,
    marks: u8,
}

/// Marks of a coefficient.
mod mark {
    /// It belongs to the model.
    pub(super) const GOOD: u8 = 1;
    /// This run has shown it.
    pub(super) const SEEN: u8 = 2;
    /// A violation of this run has it.
    pub(super) const VIOLATED: u8 = 4;
}

/// A task's `PTASK_ID` is always the `TASK_ID` of another row.
#[derive(Debug)]
struct Task {
    identity: Digest,
    parent: u16,
}

#[derive(Debug)]
struct Process {
    id: ProcessId,
    task: u16,
    trusted: bool,
}

impl CompactMemory {
    /// Every coefficient, good and forensic, in ascending order.
    pub fn coefficients(&self) -> impl Iterator<Item = (Digest, bool)> {
        self.coefficients.rows.iter().map(|row| (row.digest, row.marks & mark::GOOD != 0))
    }

    fn coefficient(&self, digest: Digest) -> Result<usize, usize> {
        // A model is loaded in ascending order.
        match self.coefficients.rows.last() {
            Some(last) if last.digest < digest => Err(self.coefficients.rows.len()),
            _ => self.coefficients.rows.binary_search_by(|row| row.digest.cmp(&digest)),
        }
    }

    fn mark(&mut self, digest: Digest, marks: u8) -> Option<u8> {
        let at = self.coefficient(digest).ok()?;
        let row = self.coefficients.rows.get_mut(at)?;
        let before = row.marks;
        row.marks |= marks;
        Some(before)
    }

    fn task_row(&self, identity: Digest) -> Option<usize> {
        self.tasks.rows.iter().position(|row| row.identity == identity)
    }

    fn process_row(&self, id: ProcessId) -> Result<usize, usize> {
        self.processes.rows.binary_search_by(|row| row.id.cmp(&id))
    }

    fn pending_row(&self, id: ProcessId) -> Option<usize> {
        self.pending.rows.iter().position(|row| row.0 == id)
    }
}

impl Memory for CompactMemory {
    type Described = ();

    const DESCRIBES: bool = false;

    fn with_bounds(bounds: &Bounds) -> Self {
        let mut tasks = Table::new(bounds.tasks.clamp(1, usize::from(u16::MAX)));
        tasks.rows.push(Task { identity: NULL_ID, parent: 0 });
        Self {
            coefficients: Table::new(bounds.coefficients),
            tasks,
            processes: Table::new(bounds.processes),
            pending: Table::new(bounds.pending),
            made: MadeOctets::new(bounds.made_octets),
        }
    }

    fn describe(_: impl FnOnce() -> Result<ObservedCell, Loss>) -> Result<(), Loss> {
        Ok(())
    }

    /// A new one each time: one that was kept could grow.
    fn buffer(&mut self) -> Vec<u8> {
        Vec::with_capacity(256)
    }

    fn return_buffer(&mut self, _: Vec<u8>) {}

    fn process(&self, id: ProcessId) -> Option<ProcessStatus> {
        let row = &self.processes.rows[self.process_row(id).ok()?];
        Some(ProcessStatus { task: TaskIndex(row.task.into()), trusted: row.trusted })
    }

    fn introduce(&mut self, id: ProcessId, status: ProcessStatus) -> Result<(), Full> {
        let row = Process { id, task: status.task.0 as u16, trusted: status.trusted };
        if self.processes.is_full() {
            return Err(Full);
        }
        if let Some(pending) = self.pending_row(id) {
            self.pending.rows.swap_remove(pending);
        }
        match self.process_row(id) {
            Ok(at) => self.processes.rows[at] = row,
            Err(at) => self.processes.insert(at, row)?,
        }
        Ok(())
    }

    fn change(&mut self, id: ProcessId, status: ProcessStatus) {
        if let Ok(at) = self.process_row(id) {
            let row = &mut self.processes.rows[at];
            row.task = status.task.0 as u16;
            row.trusted = status.trusted;
        }
    }

    fn forget(&mut self, id: ProcessId) {
        self.release(id);
        if let Ok(at) = self.process_row(id) {
            self.processes.rows.remove(at);
        }
    }

    fn hold(&mut self, id: ProcessId, exec: PendingExec<()>) -> Result<(), Full> {
        match self.pending_row(id) {
            Some(at) => self.pending.rows[at].1 = exec,
            None => self.pending.insert(self.pending.rows.len(), (id, exec))?,
        }
        Ok(())
    }

    fn release(&mut self, id: ProcessId) -> Option<PendingExec<()>> {
        let at = self.pending_row(id)?;
        Some(self.pending.rows.swap_remove(at).1)
    }

    fn pending(&self, id: ProcessId) -> Option<TaskIdentity> {
        Some(self.pending.rows[self.pending_row(id)?].1.identity)
    }

    fn identity(&self, task: TaskIndex) -> TaskIdentity {
        let row = &self.tasks.rows[task.0 as usize];
        let parent = self.tasks.rows[usize::from(row.parent)].identity;
        TaskIdentity { parent, task: row.identity }
    }

    fn has_room(&self, identity: &TaskIdentity) -> bool {
        !self.tasks.is_full() || self.task_row(identity.task).is_some()
    }

    fn task(&mut self, parent: TaskIndex, exec: &PendingExec<()>) -> Result<TaskIndex, Full> {
        let identity = exec.identity.task;
        let Some(at) = self.task_row(identity) else {
            let at = self.tasks.rows.len();
            self.tasks.insert(at, Task { identity, parent: parent.0 as u16 })?;
            return Ok(TaskIndex(at as u32));
        };
        Ok(TaskIndex(at as u32))
    }

    fn known(&self, coefficient: Digest) -> Option<Known> {
        let row = &self.coefficients.rows[self.coefficient(coefficient).ok()?];
        let has = |mark| row.marks & mark != 0;
        Some(Known { good: has(mark::GOOD), row: u32::from(has(mark::SEEN)) })
    }

    fn count(&self) -> usize {
        self.coefficients.rows.len()
    }

    fn good(&self) -> Vec<Digest> {
        self.coefficients().filter_map(|(digest, good)| good.then_some(digest)).collect()
    }

    fn admit(&mut self, coefficient: Digest, good: bool) -> Result<(), Full> {
        let Err(at) = self.coefficient(coefficient) else {
            return Ok(());
        };
        let marks = if good { mark::GOOD } else { 0 };
        self.coefficients.insert(at, Coefficient { digest: coefficient, marks })
    }

    fn first(&mut self, event: GoodEvent<()>) {
        self.mark(event.coefficient, mark::GOOD | mark::SEEN);
    }

    fn again(&mut self, _: u32) {}

    fn violation(&mut self, violation: Violation<()>) -> Forensics {
        match self.mark(violation.coefficient, mark::VIOLATED) {
            Some(before) if before & mark::VIOLATED != 0 => Forensics::Again,
            _ => Forensics::Dropped,
        }
    }

    fn state(&self, platform: &Platform) -> Digest {
        state_of(self.coefficients.rows.iter().map(|row| &row.digest), platform)
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

/// Rows in memory that is taken once.
#[derive(Debug)]
struct Table<T> {
    rows: Vec<T>,
    bound: usize,
}

impl<T> Table<T> {
    fn new(bound: usize) -> Self {
        let mut rows = Vec::new();
        rows.reserve_exact(bound);
        Self { rows, bound }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.bound
    }

    fn insert(&mut self, at: usize, row: T) -> Result<(), Full> {
        if self.is_full() {
            return Err(Full);
        }
        self.rows.insert(at, row);
        Ok(())
    }
}
