//! What an engine keeps between events, and in how much memory.
//!
//! One engine decides everywhere; what differs from place to place is how much can be kept. With
//! [`WholeMemory`] every distinct event keeps its description, so that a model can be learned and
//! a violation be told. With [`CompactMemory`] nothing grows after it was made, and an event costs
//! its digest alone: that is what a microcontroller has room for. Both give the same verdicts,
//! coefficients, state and measurement.

mod compact;
mod whole;

use alloc::vec::Vec;

pub use compact::CompactMemory;
pub use whole::WholeMemory;

use crate::Bounds;
use crate::Digest;
use crate::Effect;
use crate::Loss;
use crate::ObservedCell;
use crate::Platform;
use crate::ProcessId;
use crate::TaskIdentity;
use crate::TaskIndex;
use crate::made::Makers;

/// A bound of [`Bounds`] is reached; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What is known of a coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// It belongs to the model.
    pub good: bool,
    /// Where this run's first event of it is kept, plus one; 0 before it is seen, and for
    /// forensics.
    pub row: u32,
}

/// What a process is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its task.
    pub task: TaskIndex,
    /// No event of it, or of those it descends from, was outside the model.
    pub trusted: bool,
}

/// An exec that was allowed and is not settled yet.
#[derive(Clone, Debug)]
pub struct PendingExec<D> {
    /// What is kept of its description.
    pub described: D,
    /// What the process is once it has happened.
    pub identity: TaskIdentity,
    /// Of the exec.
    pub coefficient: Digest,
}

/// A good event that takes place.
#[derive(Clone, Debug)]
pub struct GoodEvent<D> {
    /// Whose; for an exec the new one.
    pub task: TaskIndex,
    /// What is kept of its description.
    pub described: D,
    /// Its coefficient.
    pub coefficient: Digest,
    /// Its number among all events of this run, from 1.
    pub number: u64,
}

/// An event outside the model, about to be kept.
#[derive(Clone, Debug)]
pub struct Violation<D> {
    /// The process that tried.
    pub process: ProcessId,
    /// The task that tried.
    pub task: TaskIndex,
    /// What is kept of its description.
    pub described: D,
    /// Its coefficient.
    pub coefficient: Digest,
    /// Its number among all events of this run, from 1.
    pub number: u64,
    /// Why.
    pub reason: crate::Reason,
    /// It was refused.
    pub denied: bool,
}

/// What became of the description of a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forensics {
    /// Kept: the first of its kind.
    First,
    /// One of its kind was there before.
    Again,
    /// Not kept, for want of room; the first of its kind as far as is known.
    Dropped,
}

/// What an engine keeps. Every method that adds something respects [`Bounds`].
///
/// Implemented by [`WholeMemory`] and [`CompactMemory`], and by nothing outside this crate.
pub trait Memory: sealed::Sealed {
    /// What is kept of an event beside its coefficient.
    type Described: Clone;

    /// Whether descriptions are kept, to be formed again under other rules.
    const DESCRIBES: bool;

    /// With nothing in it. Takes all the memory it will ever need if it is compact.
    fn with_bounds(bounds: &Bounds) -> Self;

    /// What is kept of an event that `observe` describes.
    fn describe(
        observe: impl FnOnce() -> Result<ObservedCell, Loss>,
    ) -> Result<Self::Described, Loss>;

    /// An empty buffer to encode a cell into.
    fn buffer(&mut self) -> Vec<u8>;

    /// Gives the buffer back.
    fn return_buffer(&mut self, buffer: Vec<u8>);

    /// A process; `None` for one that is not there.
    fn process(&self, id: ProcessId) -> Option<ProcessStatus>;

    /// A process is there, without a pending exec.
    fn introduce(&mut self, id: ProcessId, status: ProcessStatus) -> Result<(), Full>;

    /// Changes a process that is there.
    fn change(&mut self, id: ProcessId, status: ProcessStatus);

    /// A process is gone, and so is its pending exec.
    fn forget(&mut self, id: ProcessId);

    /// Keeps an exec of a process that is there until it is settled, instead of an earlier one.
    fn hold(&mut self, id: ProcessId, exec: PendingExec<Self::Described>) -> Result<(), Full>;

    /// Takes the pending exec of a process.
    fn release(&mut self, id: ProcessId) -> Option<PendingExec<Self::Described>>;

    /// The identity that a process has once its pending exec has happened; `None` without one.
    fn pending(&self, id: ProcessId) -> Option<TaskIdentity>;

    /// The identity of a task.
    fn identity(&self, task: TaskIndex) -> TaskIdentity;

    /// Whether [`Memory::task`] would find or have a row for this identity.
    fn has_room(&self, identity: &TaskIdentity) -> bool;

    /// The task that `parent` becomes by an exec; a new row for one that is not there yet.
    fn task(
        &mut self,
        parent: TaskIndex,
        exec: &PendingExec<Self::Described>,
    ) -> Result<TaskIndex, Full>;

    /// What is known of a coefficient.
    fn known(&self, coefficient: Digest) -> Option<Known>;

    /// How many coefficients are known.
    fn count(&self) -> usize;

    /// The good coefficients, in ascending order.
    fn good(&self) -> Vec<Digest>;

    /// Adds a coefficient that has not been seen in this run; leaves one that is there.
    fn admit(&mut self, coefficient: Digest, good: bool) -> Result<(), Full>;

    /// A good event was seen for the first time in this run; its coefficient is admitted.
    fn first(&mut self, event: GoodEvent<Self::Described>);

    /// The good event of a [`Known::row`] was seen again.
    fn again(&mut self, row: u32);

    /// Keeps a violation, each distinct one once. Its coefficient is admitted if there was room.
    fn violation(&mut self, violation: Violation<Self::Described>) -> Forensics;

    /// The state of all coefficients.
    fn state(&self, platform: &Platform) -> Digest;

    /// `task` has changed the file system.
    fn note(&mut self, task: TaskIndex, effect: &Effect<'_>);

    /// `task` is about to make a path; what another has made there stays its.
    fn expect(&mut self, task: TaskIndex, path: &[u8]);

    /// Every leading part of `path`, and `path` itself, that the namespace made.
    fn makers(&self, path: &[u8]) -> Makers;

    /// Made paths that were not kept.
    fn made_dropped(&self) -> u64;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::CompactMemory {}
    impl Sealed for super::WholeMemory {}
}
