//! What an agent decides, and the trait of all agents.

use crate::Description;
use crate::Effect;
use crate::ExecOutcome;
use crate::Loss;
use crate::ProcessId;
use crate::TaskIdentity;

/// What happens to an event. There is no default: who has no verdict denies.
///
/// The discriminants are far apart, so that no single flipped bit turns a denial into leave.
#[must_use = "a verdict that is not carried out is an open door"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Verdict {
    /// The event takes effect.
    Allow = 0x6a5c_39b2,
    /// The event is refused with `EPERM` before it takes effect.
    Deny = 0x95a3_c64d,
    /// The whole namespace ends.
    Kill = 0x0ff1_dead,
}

/// A trusted modeling agent, wherever it runs.
///
/// A source calls it from many threads. Every call about a process comes after the call that
/// introduced the process ([`Agent::forked`], or [`Agent::started`] for the first).
pub trait Agent: Send + Sync {
    /// The namespace's first process is there; it has not executed anything yet.
    fn started(&self, process: ProcessId);

    /// `parent` made `child`; the child has the identity and trust that the parent has now.
    fn forked(&self, parent: ProcessId, child: ProcessId);

    /// A process is gone. An exec of it that is still pending counts as committed.
    fn exited(&self, process: ProcessId);

    /// Decides an event before it takes effect.
    ///
    /// `bprm_committed_creds` is decided before the exec; it joins the model, and the identity of
    /// the process changes, when [`Agent::exec_settled`] says that it happened.
    fn judge(&self, event: &Description) -> Verdict;

    /// Whether an event would be allowed, for a source that has to know before it happens. Nothing is
    /// counted, learned or recorded; the event is judged when it comes. An agent that cannot tell
    /// says no, and a hook that cannot ask refuses what only a rule allows.
    fn would_allow(&self, _event: &Description) -> bool {
        false
    }

    /// The identity that a process has once the exec that was just allowed has happened, for a source
    /// that forms coefficients itself. An agent that cannot tell says `None`, and such a source refuses
    /// the exec.
    fn executing(&self, _process: ProcessId) -> Option<TaskIdentity> {
        None
    }

    /// An exec that was allowed has happened, or has failed.
    fn exec_settled(&self, process: ProcessId, outcome: ExecOutcome);

    /// An allowed event of `process` has changed the file system.
    fn effect(&self, process: ProcessId, effect: &Effect<'_>);

    /// An event could not be described. It was denied where that was possible.
    fn lost(&self, process: Option<ProcessId>, loss: Loss);
}
