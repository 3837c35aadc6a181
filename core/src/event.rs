//! An event, as a source describes it to a trusted modeling agent.

use alloc::vec::Vec;

use crate::EventKind;
use crate::Place;
use crate::Value;
use crate::value::Target;

/// A process of a namespace: a serial number given by the orchestrator, never used twice in a
/// namespace. Process ids are reused by the kernel and never name a process here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u64);

/// COE, the context of execution: the acting process's credentials, credentials(7), as seen from
/// the orchestrator's user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Coe {
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Saved user id.
    pub suid: u32,
    /// File system user id.
    pub fsuid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Saved group id.
    pub sgid: u32,
    /// File system group id.
    pub fsgid: u32,
    /// Effective capabilities, bit per `CAP_*`.
    pub capabilities: u64,
}

/// CELL: an event's kind and what it acts on.
///
/// The values stand in the order of the kind's row in the event table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Which event.
    pub kind: EventKind,
    /// One for each field of [`crate::EventSpec::fields`].
    pub values: Vec<Value>,
}

impl Cell {
    /// Whether it is a file that is opened for something else than to be executed: its content counts
    /// only where a rule asks for it. Of what runs or is mapped to run it always does.
    pub fn is_opened_to_use(&self) -> bool {
        const EXEC_INTENT: u64 = 256;
        self.kind == EventKind::FileOpen
            && !matches!(self.values.get(1), Some(Value::Number(EXEC_INTENT)))
    }
}

/// What a source tells an agent: one event that is about to take effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Who acts.
    pub process: ProcessId,
    /// The acting process's id as the namespace's procfs shows it. Only used to tell `/proc/self`
    /// from other processes; never hashed.
    pub pid: u32,
    /// With which credentials.
    pub coe: Coe,
    /// What, on what. [`Target::Task`] and [`Place::maker`] are filled in by the agent: a source
    /// leaves makers zero and names targets in `targets`.
    pub cell: Cell,
    /// For each `Task` field, in order, the process meant; `None` for one outside the namespace.
    pub targets: Vec<Option<ProcessId>>,
}

/// What became of an exec that was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecOutcome {
    /// The process runs the file that was judged: its task identity changes now.
    Committed,
    /// The call failed; the process is what it was.
    Failed,
}

/// A change to the file system that has taken effect, so that the agent knows which files the
/// namespace made. Paths as in [`Place::path`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// A file, directory, node or link was made.
    Made(&'a [u8]),
    /// A name is gone.
    Removed(&'a [u8]),
    /// A name, and all below it, moved.
    Renamed {
        /// Old name.
        from: &'a [u8],
        /// New name.
        to: &'a [u8],
    },
}

/// Why an event could not be described or decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// The source dropped an event.
    Dropped,
    /// The object could not be read, opened or named.
    Unreadable,
    /// A bound was exceeded: path, argument, table.
    TooLarge,
}

impl Description {
    /// The places named by the event, in field order.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.cell.values.iter().filter_map(Value::place)
    }

    /// Whether the event acts on the acting process itself alone.
    pub fn is_own(&self) -> bool {
        self.cell.values.iter().any(|value| matches!(value, Value::Task(Target::Own)))
    }
}
