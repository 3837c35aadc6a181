//! Kernel namespaces: made by clone and unshare, entered by setns.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use tsem::EventKind;
use tsem::Value;

use super::guards;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::sys;

const NAMESPACES: u64 = 0x7e02_0080;
const USER: u64 = 0x1000_0000;
/// For clone the lowest octet is the signal at its end, so a time namespace cannot be asked for.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

/// A process that shares its descriptors without being a thread is noted, before it is there.
pub(crate) fn clone(call: &Call) -> Handled {
    if call.argument(0) & libc::CLONE_FILES as u64 != 0 {
        call.supervisor.descriptors_shared.store(true, Ordering::Release);
    }
    create(call, call.argument(0) & CLONE_NAMESPACES)
}

pub(crate) fn unshare(call: &Call) -> Handled {
    create(call, call.argument(0) & NAMESPACES)
}

fn create(call: &Call, kinds: u64) -> Handled {
    if kinds == 0 {
        return Ok(Outcome::Continue);
    }
    if kinds & USER != 0 {
        call.judge(EventKind::UsernsCreate, Vec::new())?;
    }
    if kinds & !USER != 0 {
        call.judge(EventKind::NamespaceCreate, vec![Value::Number(kinds & !USER)])?;
    }
    look_anew(call);
    Ok(Outcome::Continue)
}

/// Roots and credentials are no longer what they were for all.
fn look_anew(call: &Call) {
    call.supervisor.roots_vary.store(true, Ordering::Release);
    call.thread.forget_credentials();
}

/// The descriptor decides, so it must be one that nobody can exchange.
pub(crate) fn setns(call: &Call) -> Handled {
    let fd = call.descriptor(call.argument(0) as i32)?;
    let kinds = match sys::namespace_kind(fd.as_fd()) {
        Ok(kind) => kind,
        // A pidfd: the kinds are asked for.
        Err(_) if sys::pid_of_pidfd(fd.as_fd()).is_some() => call.argument(1) & NAMESPACES,
        Err(_) => return Err(Refusal::Errno(libc::EINVAL)),
    };
    call.judge(EventKind::NamespaceEnter, vec![Value::Number(kinds)])?;
    look_anew(call);
    if call.descriptors_are_private() { Ok(Outcome::Continue) } else { guards::unfilterable(call) }
}
