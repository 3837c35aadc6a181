//! Signals to other processes.
//!
//! A process id that the caller gives may be reused before the kernel looks at it, so a signal is
//! sent by us over the pidfd of the process that was judged. Its sender is then us; so a signal
//! to a child of a caller with one thread, which nobody else can reap, is left to the kernel.
//! Signals within a process are no event.

use std::os::fd::AsFd;
use std::sync::Arc;

use tsem::EventKind;
use tsem::Target;
use tsem::Value;

use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::handlers::exec;
use crate::process::Process;
use crate::sys;
use crate::sys::Errno;

const SIGNAL_INFO_SIZE: usize = 128;

pub(crate) fn kill(call: &Call) -> Handled {
    let (pid, signal) = (call.argument(0) as i32, call.argument(1) as i32);
    match pid {
        1.. => kill_one(call, pid as u32, signal),
        0 => kill_group(call, sys::process_group(call.process().pid)?, signal),
        -1 => kill_many(call, call.supervisor.processes.with_ended(), signal, false),
        _ => kill_group(call, pid.unsigned_abs(), signal),
    }
}

fn kill_one(call: &Call, pid: u32, signal: i32) -> Handled {
    if pid == call.process().pid {
        return Ok(Outcome::Continue);
    }
    let Some(target) = judge_signal(call, pid, signal)? else { return refuse_outside(call, pid) };
    if call.is_steady(&target) {
        return Ok(Outcome::Continue);
    }
    call.as_identity(|| sys::pidfd_signal(target.pidfd.as_fd(), signal))?;
    Ok(Outcome::Value(0))
}

/// Nothing pins a process outside the namespace, and its id may be anyone's by the time the kernel
/// looks: what the model allows is sent over a pidfd of our own.
fn refuse_outside(call: &Call, pid: u32) -> Handled {
    if pid == std::process::id() {
        return Err(Refusal::Errno(libc::EPERM));
    }
    let pidfd = sys::pidfd_open(pid, 0)?;
    call.as_identity(|| sys::pidfd_signal(pidfd.as_fd(), call.argument(1) as i32))?;
    Ok(Outcome::Value(0))
}

/// Judges a signal; the target if it is in the namespace.
fn judge_signal(call: &Call, pid: u32, signal: i32) -> Result<Option<Arc<Process>>, Refusal> {
    if !(0..=64).contains(&signal) {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let target = call.find_target(pid);
    if target.is_none() && !sys::process_exists(pid) {
        return Err(Refusal::Errno(libc::ESRCH));
    }
    if let Some(target) = &target {
        exec::settle_target(call, target)?;
    }
    judge_target(call, target.as_deref(), signal)?;
    Ok(target)
}

fn judge_target(call: &Call, target: Option<&Process>, signal: i32) -> Result<(), Refusal> {
    let values = [Value::Task(Target::Outside), Value::Number(signal as u64)];
    let targets = [target.map(|target| target.id)];
    call.judge_targets(EventKind::TaskKill, values.into(), targets.into())
}

fn kill_group(call: &Call, group: u32, signal: i32) -> Handled {
    call.supervisor.processes.introduce_children(call.process().pid);
    let members = call.supervisor.processes.with_ended().into_iter();
    let members: Vec<_> =
        members.filter(|member| sys::process_group(member.pid) == Ok(group)).collect();
    // A group that lies wholly outside is an event; in one's own, those outside are passed over.
    if members.is_empty() && sys::group_exists(group) {
        judge_target(call, None, signal)?;
        return Err(Refusal::Errno(libc::EPERM));
    }
    kill_many(call, members, signal, true)
}

/// Members outside the namespace are not reached. The caller's own signal comes last.
fn kill_many(call: &Call, members: Vec<Arc<Process>>, signal: i32, with_own: bool) -> Handled {
    let own = call.process().id;
    let mut outcome = Err(Errno(libc::ESRCH));
    for member in members.iter().filter(|member| member.id != own && member.is_alive()) {
        exec::settle_target(call, member)?;
        judge_target(call, Some(member), signal)?;
        let sent = call.as_identity(|| sys::pidfd_signal(member.pidfd.as_fd(), signal));
        outcome = if sent.is_ok() || outcome.is_err() { outcome.or(sent) } else { outcome };
    }
    if with_own && members.iter().any(|member| member.id == own) {
        outcome = sys::pidfd_signal(call.process().pidfd.as_fd(), signal);
    }
    outcome?;
    Ok(Outcome::Value(0))
}

pub(crate) fn tgkill(call: &Call) -> Handled {
    let (pid, tid) = (call.argument(0) as u32, call.argument(1) as u32);
    to_thread(call, pid, tid, call.argument(2) as i32)
}

/// The thread's process is not named; a thread that is the caller itself cannot be reused.
pub(crate) fn tkill(call: &Call) -> Handled {
    let tid = call.argument(0) as u32;
    if tid == call.thread.tid {
        return Ok(Outcome::Continue);
    }
    let pid = sys::process_of_thread(tid).ok_or(Refusal::Errno(libc::ESRCH))?;
    if pid == call.process().pid {
        sys::signal_foreign_thread(pid, tid, call.argument(1) as i32);
        return Ok(Outcome::Value(0));
    }
    to_thread(call, pid, tid, call.argument(1) as i32)
}

fn to_thread(call: &Call, pid: u32, tid: u32, signal: i32) -> Handled {
    if pid == call.process().pid {
        return Ok(Outcome::Continue);
    }
    let Some(target) = judge_signal(call, pid, signal)? else {
        return Err(Refusal::Errno(libc::EPERM));
    };
    if call.is_steady(&target) {
        return Ok(Outcome::Continue);
    }
    let thread = sys::pidfd_open_thread(tid)?;
    if sys::process_of_thread(tid) != Some(pid) || !target.is_alive() {
        return Err(Refusal::Errno(libc::ESRCH));
    }
    call.as_identity(|| sys::pidfd_signal(thread.as_fd(), signal))?;
    Ok(Outcome::Value(0))
}

pub(crate) fn rt_sigqueueinfo(call: &Call) -> Handled {
    queue(call, call.argument(0) as u32, call.argument(1) as i32, call.argument(2))
}

pub(crate) fn rt_tgsigqueueinfo(call: &Call) -> Handled {
    queue(call, call.argument(0) as u32, call.argument(2) as i32, call.argument(3))
}

fn queue(call: &Call, pid: u32, signal: i32, information: u64) -> Handled {
    if pid == call.process().pid {
        return Ok(Outcome::Continue);
    }
    let information = call.bytes(information, SIGNAL_INFO_SIZE)?;
    let Some(target) = judge_signal(call, pid, signal)? else {
        return Err(Refusal::Errno(libc::EPERM));
    };
    call.as_identity(|| sys::pidfd_queue(target.pidfd.as_fd(), signal, &information))?;
    Ok(Outcome::Value(0))
}

pub(crate) fn pidfd_send_signal(call: &Call) -> Handled {
    let signal = call.argument(1) as i32;
    let pidfd = call.descriptor(call.argument(0) as i32)?;
    let pid = sys::pid_of_pidfd(pidfd.as_fd()).ok_or(Refusal::Errno(libc::EBADF))?;
    let information = match call.argument(2) {
        0 => None,
        at => Some(call.bytes(at, SIGNAL_INFO_SIZE)?),
    };
    if pid != call.process().pid {
        let target = judge_signal(call, pid, signal)?;
        if target.is_none() && pid == std::process::id() {
            return Err(Refusal::Errno(libc::EPERM));
        }
    }
    call.as_identity(|| match &information {
        Some(information) => sys::pidfd_queue(pidfd.as_fd(), signal, information),
        None => sys::pidfd_signal(pidfd.as_fd(), signal),
    })?;
    Ok(Outcome::Value(0))
}
