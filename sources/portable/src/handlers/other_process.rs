//! Looking into other processes, and taking from them.

use std::os::fd::AsFd;
use std::sync::Arc;

use tsem::EventKind;
use tsem::Target;
use tsem::Value;

use super::exec;
use super::guards;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::process;
use crate::process::Process;
use crate::sys;

const READ: u64 = 1;
const ATTACH: u64 = 2;
const TRACEME: u64 = 0;
const ATTACH_REQUEST: u64 = 16;
const SEIZE_REQUEST: u64 = 0x4206;

impl Call {
    /// The process of the namespace that a pid names; one that forked silently is introduced.
    pub(crate) fn find_target(&self, pid: u32) -> Option<Arc<Process>> {
        let processes = &self.supervisor.processes;
        processes.process(pid).or_else(|| {
            processes.introduce_children(self.process().pid);
            processes.process(pid).or_else(|| processes.thread(pid).ok().map(|t| t.process.clone()))
        })
    }

    /// Whether a pid cannot come to mean another process while the caller waits: it is the
    /// caller's child, and only the caller, which waits, could reap it.
    pub(crate) fn is_steady(&self, target: &Process) -> bool {
        target.id == self.process().id
            || process::parent(target.pid) == Some(self.process().pid)
                && self.is_only_thread()
                && target.is_alive()
    }
}

/// Judges access to a process by its pid; its own process is no event, as in the kernel.
fn judge_access(call: &Call, pid: u32, kind: EventKind, mode: u64) -> Result<Access, Refusal> {
    if pid == call.process().pid {
        return Ok(Access::Own);
    }
    let target = call.find_target(pid);
    if target.is_none() && !sys::process_exists(pid) {
        return Err(Refusal::Errno(libc::ESRCH));
    }
    if let Some(target) = &target {
        exec::settle_target(call, target)?;
    }
    let values = [Value::Task(Target::Outside), Value::Number(mode)];
    let targets = [target.as_ref().map(|target| target.id)];
    call.judge_targets(kind, values.into(), targets.into())?;
    match target {
        Some(target) if call.is_steady(&target) => Ok(Access::Steady),
        // The model may hold that the caller looks at a process which could be exchanged.
        _ if pid == std::process::id() => Err(Refusal::Errno(libc::EPERM)),
        _ => Ok(Access::Exchangeable),
    }
}

/// How sure it is that the kernel will act on the process that was judged.
enum Access {
    Own,
    Steady,
    Exchangeable,
}

impl Access {
    fn proceed(self, call: &Call) -> Handled {
        match self {
            Self::Own | Self::Steady => Ok(Outcome::Continue),
            Self::Exchangeable => guards::unfilterable(call),
        }
    }
}

/// Requests on a tracee that is attached are no events: the attachment was.
pub(crate) fn ptrace(call: &Call) -> Handled {
    match call.argument(0) {
        TRACEME => traceme(call),
        ATTACH_REQUEST | SEIZE_REQUEST => {
            let pid = call.argument(1) as u32;
            judge_access(call, pid, EventKind::PtraceAccessCheck, ATTACH)?.proceed(call)
        }
        _ => Ok(Outcome::Continue),
    }
}

fn traceme(call: &Call) -> Handled {
    let parent = process::parent(call.process().pid);
    let parent = parent.and_then(|pid| call.find_target(pid));
    if let Some(parent) = &parent {
        exec::settle_target(call, parent)?;
    }
    let parent = parent.map(|parent| parent.id);
    let values = [Value::Task(Target::Outside)];
    call.judge_targets(EventKind::PtraceTraceme, values.into(), [parent].into())?;
    Ok(Outcome::Continue)
}

/// `process_vm_readv` and `process_vm_writev` both need the right to attach.
pub(crate) fn process_memory(call: &Call) -> Handled {
    let pid = call.argument(0) as u32;
    judge_access(call, pid, EventKind::PtraceAccessCheck, ATTACH)?.proceed(call)
}

/// Calls that need the right to read from the process that their first argument names.
pub(crate) fn looked_into(call: &Call) -> Handled {
    let pid = call.argument(0) as u32;
    judge_access(call, pid, EventKind::PtraceAccessCheck, READ)?.proceed(call)
}

pub(crate) fn kcmp(call: &Call) -> Handled {
    for index in [0, 1] {
        let pid = call.argument(index) as u32;
        if let access @ Access::Exchangeable =
            judge_access(call, pid, EventKind::PtraceAccessCheck, READ)?
        {
            return access.proceed(call);
        }
    }
    Ok(Outcome::Continue)
}

/// The process is named by a descriptor, which another thread could exchange.
pub(crate) fn process_madvise(call: &Call) -> Handled {
    let pidfd = call.descriptor(call.argument(0) as i32)?;
    let pid = sys::pid_of_pidfd(pidfd.as_fd()).ok_or(Refusal::Errno(libc::EBADF))?;
    judge_access(call, pid, EventKind::PtraceAccessCheck, READ)?;
    if call.descriptors_are_private() { Ok(Outcome::Continue) } else { guards::unfilterable(call) }
}

/// Done by us on our copy of the pidfd.
pub(crate) fn pidfd_getfd(call: &Call) -> Handled {
    let pidfd = call.descriptor(call.argument(0) as i32)?;
    let pid = sys::pid_of_pidfd(pidfd.as_fd()).ok_or(Refusal::Errno(libc::EBADF))?;
    judge_access(call, pid, EventKind::PtraceAccessCheck, ATTACH)?;
    let number = call.argument(1) as i32;
    let fd = call.as_identity(|| sys::pidfd_getfd(pidfd.as_fd(), number))?;
    Ok(Outcome::Fd { fd, cloexec: true, quiet: false })
}

pub(crate) fn prlimit(call: &Call) -> Handled {
    let pid = call.argument(0) as u32;
    let writes = u64::from(call.argument(2) != 0) * 2;
    let reads = u64::from(call.argument(3) != 0);
    judge_access(call, pid, EventKind::TaskPrlimit, reads | writes)?.proceed(call)
}
