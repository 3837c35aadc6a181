//! POSIX message queues: files of a file system of their own, by names in no directory.
//!
//! The name is read once; the queue is opened, made and removed by us, so what was judged is what
//! is handed over. In another IPC namespace than ours the same name is another queue: there the
//! calls are refused.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use tsem::Effect;
use tsem::EventKind;
use tsem::Place;
use tsem::Value;

use super::guards;
use super::held;
use super::mounts;
use super::open;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

const MQUEUE: u32 = 0x1980_0202;
const ATTEMPTS: u32 = 40;

/// What was asked for.
struct Request {
    name: Vec<u8>,
    flags: i32,
    mode: u32,
    attributes: Option<sys::QueueAttributes>,
}

pub(crate) fn mq_open(call: &Call) -> Handled {
    let name = call.text(call.argument(0))?;
    let (flags, mode) = (call.argument(1) as i32, call.argument(2) as u32);
    let attributes = attributes(call, call.argument(3))?;
    if !mounts::shares(call, "ns/ipc")? {
        return Err(guards::refused(call));
    }
    let request = Request { name, flags, mode, attributes };
    let creates = flags & libc::O_CREAT != 0;
    let exclusive = creates && flags & libc::O_EXCL != 0;
    for _ in 0..ATTEMPTS {
        match open_existing(call, &request) {
            Ok(_) | Err(Errno(libc::EACCES)) if exclusive => {
                return Err(Refusal::Errno(libc::EEXIST));
            }
            Ok(queue) => return judged(call, &request, queue),
            Err(Errno(libc::ENOENT)) if creates => match create(call, &request) {
                Err(Refusal::Errno(libc::EEXIST)) if !exclusive => {}
                done => return done,
            },
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Refusal::Errno(libc::EAGAIN))
}

fn attributes(call: &Call, address: u64) -> SysResult<Option<sys::QueueAttributes>> {
    if address == 0 {
        return Ok(None);
    }
    let octets = call.bytes(address, size_of::<sys::QueueAttributes>())?;
    octets.try_into().map(Some).map_err(|_| Errno(libc::EFAULT))
}

/// Opening has no effect yet, so the open itself is the permission check that comes first.
fn open_existing(call: &Call, request: &Request) -> SysResult<OwnedFd> {
    let flags = request.flags & !(libc::O_CREAT | libc::O_EXCL);
    call.as_caller(|| sys::mq_open(&request.name, flags, 0, None))
}

fn judged(call: &Call, request: &Request, queue: OwnedFd) -> Handled {
    let described = file::describe(queue.as_fd(), &sys::fstat(queue.as_fd())?)?;
    open::judge_open(call, described, request.flags)?;
    Ok(handed(queue))
}

/// Creation and opening are both judged before either takes effect.
fn create(call: &Call, request: &Request) -> Handled {
    let umask = call.umask()?;
    let mode = libc::S_IFREG | (request.mode & 0o7777 & !umask);
    let place = place_of(&request.name);
    let inode = vec![Value::Path(place.clone()), Value::Number(u64::from(mode))];
    call.judge(EventKind::InodeCreate, inode)?;
    let coe = call.credentials()?.coe;
    let made = tsem::File::new(place.clone(), [coe.fsuid, coe.fsgid, mode], tsem::Digest::ZERO);
    open::judge_open(call, made, request.flags)?;
    sys::umask(umask);
    let flags = request.flags | libc::O_CREAT | libc::O_EXCL;
    let mode = request.mode & 0o7777;
    let attributes = request.attributes.as_ref();
    let _changing = call.supervisor.changes.begin(&place.path);
    let queue = call.as_caller(|| sys::mq_open(&request.name, flags, mode, attributes))?;
    call.effect(&Effect::Made(&place.path));
    Ok(handed(queue))
}

/// The kernel closes queues on exec, whatever was asked for.
fn handed(queue: OwnedFd) -> Outcome {
    Outcome::Fd { fd: queue, cloexec: true, quiet: false }
}

pub(crate) fn mq_unlink(call: &Call) -> Handled {
    let name = call.text(call.argument(0))?;
    if !mounts::shares(call, "ns/ipc")? {
        return Err(guards::refused(call));
    }
    may_unlink(call, &name)?;
    let place = place_of(&name);
    call.judge(EventKind::InodeUnlink, vec![Value::Path(place.clone())])?;
    let _changing = call.supervisor.changes.begin(&place.path);
    call.as_caller(|| sys::mq_unlink(&name))?;
    call.effect(&Effect::Removed(&place.path));
    Ok(Outcome::Value(0))
}

/// The directory of queues is sticky and root's. A queue that even we may not look at is left to the
/// kernel's own check, which comes before anything is removed.
fn may_unlink(call: &Call, name: &[u8]) -> SysResult<()> {
    let queue = match sys::mq_open(name, libc::O_RDONLY, 0, None) {
        Err(Errno(libc::EACCES)) if is_name(name) => return Ok(()),
        queue => queue?,
    };
    let is_roots = call.credentials()?.coe.fsuid == 0;
    if is_roots || held::owns(call, sys::fstat(queue.as_fd())?.st_uid)? {
        Ok(())
    } else {
        Err(Errno(libc::EPERM))
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.contains(&b'/') && !matches!(name, b"." | b"..")
}

fn place_of(name: &[u8]) -> Place {
    Place::new([b"/", name].concat(), MQUEUE)
}
