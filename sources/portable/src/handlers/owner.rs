//! Who is signalled when a descriptor becomes ready: `F_SETOWN` and its likes.
//!
//! By it the kernel sends `SIGIO` (or another signal, by `F_SETSIG`) in the caller's name, so it is
//! judged as that signal. It is set by us on our copy of the descriptor, for the process that was
//! judged.

use std::os::fd::AsFd;

use tsem::EventKind;
use tsem::Target;
use tsem::Value;

use super::guards;
use super::terminal;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::sys;
use crate::sys::Owner;

const SIOCSPGRP: u64 = 0x8902;
const FIOSETOWN: u64 = 0x8901;

/// `F_SETOWN` takes a number, `F_SETOWN_EX` a structure.
pub(crate) fn fcntl(call: &Call) -> Handled {
    let owner = if call.argument(1) as i32 == libc::F_SETOWN {
        Owner::of_number(call.argument(2) as i32)
    } else {
        let words = call.bytes(call.argument(2), 8)?;
        Owner::of_words(&words).ok_or(Refusal::Errno(libc::EINVAL))?
    };
    set_owner(call, owner)
}

/// Sockets take the owner by an ioctl; typing into the terminal is never let through unjudged.
pub(crate) fn ioctl(call: &Call) -> Handled {
    match call.argument(1) & 0xffff_ffff {
        FIOSETOWN | SIOCSPGRP => {
            let number = call.bytes(call.argument(2), 4)?;
            let number = number.first_chunk().map_or(0, |number| i32::from_ne_bytes(*number));
            set_owner(call, Owner::of_number(number))
        }
        sys::TIOCGPTPEER => terminal::peer(call),
        _ => guards::unfilterable(call),
    }
}

fn set_owner(call: &Call, owner: Owner) -> Handled {
    let fd = call.descriptor(call.argument(0) as i32)?;
    judge(call, owner)?;
    call.as_identity(|| sys::set_owner(fd.as_fd(), owner))?;
    Ok(Outcome::Value(0))
}

/// A signal to the process itself is no event; a group is judged as whoever is in it outside.
fn judge(call: &Call, owner: Owner) -> Result<(), Refusal> {
    let pid = match owner {
        Owner::None => return Ok(()),
        Owner::Process(pid) => Some(pid),
        Owner::Thread(tid) => Some(sys::process_of_thread(tid).ok_or(Refusal::Errno(libc::ESRCH))?),
        Owner::Group(_) => None,
    };
    if pid == Some(call.process().pid) {
        return Ok(());
    }
    let target = pid.and_then(|pid| call.find_target(pid)).map(|target| target.id);
    let values = [Value::Task(Target::Outside), Value::Number(libc::SIGIO as u64)];
    call.judge_targets(EventKind::TaskKill, values.into(), [target].into())
}
