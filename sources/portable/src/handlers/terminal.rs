//! Opening the other end of a terminal by its master, as openpty(3) does: `TIOCGPTPEER`.
//!
//! The kernel's hook is told of it as of any open (drivers/tty/pty.c, `ptm_open_peer`).

use std::os::fd::AsFd;

use super::guards;
use super::open;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::path::Walk;
use crate::sys;

pub(crate) fn peer(call: &Call) -> Handled {
    let flags = call.argument(2) as i32;
    // What becomes the caller's controlling terminal has to be opened by the caller.
    if flags & libc::O_NOCTTY == 0 {
        return guards::unfilterable(call);
    }
    let master = call.descriptor(call.argument(0) as i32)?;
    let number = sys::terminal_number(master.as_fd())?;
    let path = format!("/dev/pts/{number}");
    let walk = Walk { follow: false, may_miss: false };
    let object = call.resolve(libc::AT_FDCWD, path.as_bytes(), walk)?.object()?;
    let stat = sys::fstat(object.as_fd())?;
    open::judge_open(call, file::describe(object.as_fd(), &stat)?, flags)?;
    let peer = call.as_caller(|| sys::terminal_peer(master.as_fd(), flags))?;
    let opened = sys::fstat(peer.as_fd())?;
    // Terminals of another devpts have the same numbers.
    if (opened.st_dev, opened.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(Refusal::Errno(libc::EPERM));
    }
    Ok(Outcome::Fd { fd: peer, cloexec: flags & libc::O_CLOEXEC != 0, quiet: false })
}
