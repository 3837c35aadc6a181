//! Mode, owner, size and times: changed by us on the object that was judged.
//!
//! Fields of `inode_setattr` that are not asked for are all-ones. The kernel's hook stands before
//! its owner checks; an event here means that those pass too.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use tsem::EventKind;
use tsem::Value;

use super::held;
use super::held::CAP_CHOWN;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::inode_calls;
use crate::inode_calls::Times;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

const CWD: i32 = libc::AT_FDCWD;
const LEFT_ALONE: u32 = u32::MAX;

/// `tsem::names::ATTRIBUTES`.
const MODE: u64 = 1;
const UID: u64 = 2;
const GID: u64 = 4;
const SIZE: u64 = 8;
const ACCESSED: u64 = 16;
const MODIFIED: u64 = 32;
const TIMES_NOW: u64 = 64;

#[cfg(target_arch = "x86_64")]
pub(crate) fn chmod(call: &Call) -> Handled {
    change_mode(call, CWD, call.argument(0), call.argument(1) as u32, 0)
}

pub(crate) fn fchmodat(call: &Call) -> Handled {
    let mode = call.argument(2) as u32;
    change_mode(call, call.argument(0) as i32, call.argument(1), mode, 0)
}

pub(crate) fn fchmodat2(call: &Call) -> Handled {
    let (mode, flags) = (call.argument(2) as u32, call.argument(3) as i32);
    known_flags(flags)?;
    change_mode(call, call.argument(0) as i32, call.argument(1), mode, flags)
}

pub(crate) fn fchmod(call: &Call) -> Handled {
    let object = held::open_descriptor(call, call.argument(0) as i32)?;
    set_mode(call, &object, call.argument(1) as u32)
}

fn change_mode(call: &Call, fd: i32, path: u64, mode: u32, flags: i32) -> Handled {
    let object = held::object(call, fd, &call.text(path)?, flags)?;
    set_mode(call, &object, mode)
}

fn set_mode(call: &Call, object: &OwnedFd, mode: u32) -> Handled {
    let stat = changeable(object)?;
    let mode = mode & 0o7777;
    if file::kind(&stat) == libc::S_IFLNK {
        return Err(Refusal::Errno(libc::EOPNOTSUPP));
    }
    if !held::owns(call, stat.st_uid)? {
        return Err(Refusal::Errno(libc::EPERM));
    }
    let what = Change { what: MODE, mode: file::kind(&stat) | mode, ..Change::default() };
    what.judge(call, object, &stat)?;
    call.as_caller(|| inode_calls::set_mode(object.as_fd(), mode))?;
    Ok(Outcome::Value(0))
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn chown(call: &Call) -> Handled {
    let ids = (call.argument(1) as u32, call.argument(2) as u32);
    change_owner(call, CWD, call.argument(0), ids, 0)
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn lchown(call: &Call) -> Handled {
    let ids = (call.argument(1) as u32, call.argument(2) as u32);
    change_owner(call, CWD, call.argument(0), ids, libc::AT_SYMLINK_NOFOLLOW)
}

pub(crate) fn fchownat(call: &Call) -> Handled {
    let ids = (call.argument(2) as u32, call.argument(3) as u32);
    let flags = call.argument(4) as i32;
    known_flags(flags)?;
    change_owner(call, call.argument(0) as i32, call.argument(1), ids, flags)
}

pub(crate) fn fchown(call: &Call) -> Handled {
    let object = held::open_descriptor(call, call.argument(0) as i32)?;
    set_owner(call, &object, (call.argument(1) as u32, call.argument(2) as u32))
}

fn change_owner(call: &Call, fd: i32, path: u64, ids: (u32, u32), flags: i32) -> Handled {
    let object = held::object(call, fd, &call.text(path)?, flags)?;
    set_owner(call, &object, ids)
}

fn set_owner(call: &Call, object: &OwnedFd, (uid, gid): (u32, u32)) -> Handled {
    let stat = changeable(object)?;
    may_change_owner(call, &stat, uid, gid)?;
    let bit = |id, bit| if id == LEFT_ALONE { 0 } else { bit };
    let change = Change { what: bit(uid, UID) | bit(gid, GID), uid, gid, ..Change::default() };
    change.judge(call, object, &stat)?;
    call.as_caller(|| inode_calls::set_owner(object.as_fd(), uid, gid))?;
    Ok(Outcome::Value(0))
}

/// The kernel's `chown_ok` and `chgrp_ok`.
fn may_change_owner(call: &Call, stat: &libc::stat, uid: u32, gid: u32) -> SysResult<()> {
    if held::has_capability(call, CAP_CHOWN)? {
        return Ok(());
    }
    let caller = call.credentials()?;
    let own = caller.coe.fsuid == stat.st_uid;
    let in_group = gid == stat.st_gid || gid == caller.coe.fsgid || caller.groups.contains(&gid);
    let uid_stays = uid == LEFT_ALONE || own && uid == stat.st_uid;
    let gid_allowed = gid == LEFT_ALONE || own && in_group;
    if uid_stays && gid_allowed { Ok(()) } else { Err(Errno(libc::EPERM)) }
}

pub(crate) fn truncate(call: &Call) -> Handled {
    let size = call.argument(1) as i64;
    if size < 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let object = held::object(call, CWD, &call.text(call.argument(0))?, 0)?;
    let stat = sys::fstat(object.as_fd())?;
    match file::kind(&stat) {
        libc::S_IFREG => {}
        libc::S_IFDIR => return Err(Refusal::Errno(libc::EISDIR)),
        _ => return Err(Refusal::Errno(libc::EINVAL)),
    }
    held::is_writable(object.as_fd())?;
    call.as_caller(|| sys::may_access(object.as_fd(), libc::W_OK))?;
    Change { what: SIZE, ..Change::default() }.judge(call, &object, &stat)?;
    call.as_caller(|| inode_calls::set_size(object.as_fd(), size))?;
    Ok(Outcome::Value(0))
}

pub(crate) fn ftruncate(call: &Call) -> Handled {
    let size = call.argument(1) as i64;
    if size < 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let object = held::open_descriptor(call, call.argument(0) as i32)?;
    let stat = sys::fstat(object.as_fd())?;
    let reads_only = inode_calls::open_flags(object.as_fd())? & libc::O_ACCMODE == libc::O_RDONLY;
    if file::kind(&stat) != libc::S_IFREG || reads_only {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    Change { what: SIZE, ..Change::default() }.judge(call, &object, &stat)?;
    call.as_caller(|| inode_calls::set_open_size(object.as_fd(), size))?;
    Ok(Outcome::Value(0))
}

/// Seconds only.
#[cfg(target_arch = "x86_64")]
pub(crate) fn utime(call: &Call) -> Handled {
    let times = read_times(call, call.argument(1), 1, |_| Ok(0))?;
    change_times(call, CWD, call.argument(0), times.as_ref(), 0)
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn utimes(call: &Call) -> Handled {
    let times = read_times(call, call.argument(1), 2, microseconds)?;
    change_times(call, CWD, call.argument(0), times.as_ref(), 0)
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn futimesat(call: &Call) -> Handled {
    let times = read_times(call, call.argument(2), 2, microseconds)?;
    change_times(call, call.argument(0) as i32, call.argument(1), times.as_ref(), 0)
}

pub(crate) fn utimensat(call: &Call) -> Handled {
    let times = read_times(call, call.argument(2), 2, Ok)?;
    let flags = call.argument(3) as i32;
    let omit = |time: &libc::timespec| time.tv_nsec == libc::UTIME_OMIT;
    if times.as_ref().is_some_and(|times| times.iter().all(omit)) {
        return Ok(Outcome::Value(0));
    }
    change_times(call, call.argument(0) as i32, call.argument(1), times.as_ref(), flags)
}

/// Two times of one (seconds) or two words; no address means now.
fn read_times(
    call: &Call,
    address: u64,
    words: usize,
    fraction: fn(i64) -> SysResult<i64>,
) -> SysResult<Option<Times>> {
    if address == 0 {
        return Ok(None);
    }
    let octets = call.bytes(address, 16 * words)?;
    let word = |at: usize| {
        octets[8 * at..8 * at + 8].iter().rev().fold(0_u64, |n, o| n << 8 | u64::from(*o)) as i64
    };
    let time = |index: usize| {
        let at = index * words;
        let tv_nsec = if words == 1 { 0 } else { fraction(word(at + 1))? };
        Ok(libc::timespec { tv_sec: word(at), tv_nsec })
    };
    Ok(Some([time(0)?, time(1)?]))
}

#[cfg(target_arch = "x86_64")]
fn microseconds(fraction: i64) -> SysResult<i64> {
    if (0..1_000_000).contains(&fraction) { Ok(fraction * 1000) } else { Err(Errno(libc::EINVAL)) }
}

/// Without a path it is the descriptor's own file.
fn change_times(call: &Call, fd: i32, path: u64, times: Option<&Times>, flags: i32) -> Handled {
    if path == 0 && fd != CWD {
        if flags != 0 {
            return Err(Refusal::Errno(libc::EINVAL));
        }
        return set_times(call, &held::open_descriptor(call, fd)?, times);
    }
    known_flags(flags)?;
    let object = held::object(call, fd, &call.text(path)?, flags)?;
    set_times(call, &object, times)
}

fn set_times(call: &Call, object: &OwnedFd, times: Option<&Times>) -> Handled {
    let is = |special: i64| move |time: &libc::timespec| time.tv_nsec == special;
    let (now, omitted) = (is(libc::UTIME_NOW), is(libc::UTIME_OMIT));
    let valid = |time: &libc::timespec| {
        now(time) || omitted(time) || (0..1_000_000_000).contains(&time.tv_nsec)
    };
    if times.is_some_and(|times| !times.iter().all(valid)) {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let stat = changeable(object)?;
    let touches = times.is_none_or(|times| times.iter().all(now));
    may_change_times(call, object, &stat, touches)?;
    let set = |index: usize| times.is_none_or(|times| !omitted(&times[index]));
    let bit = |set, bit| if set { bit } else { 0 };
    let what = bit(set(0), ACCESSED) | bit(set(1), MODIFIED) | bit(touches, TIMES_NOW);
    Change { what, ..Change::default() }.judge(call, object, &stat)?;
    call.as_caller(|| inode_calls::set_times(object.as_fd(), times))?;
    Ok(Outcome::Value(0))
}

/// Who may write may set the times to now; others only what is their own.
fn may_change_times(
    call: &Call,
    object: &OwnedFd,
    stat: &libc::stat,
    touches: bool,
) -> SysResult<()> {
    if held::owns(call, stat.st_uid)? {
        return Ok(());
    }
    if !touches {
        return Err(Errno(libc::EPERM));
    }
    call.as_caller(|| sys::may_access(object.as_fd(), libc::W_OK)).map_err(|_| Errno(libc::EACCES))
}

fn known_flags(flags: i32) -> SysResult<()> {
    let known = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    if flags & !known == 0 { Ok(()) } else { Err(Errno(libc::EINVAL)) }
}

fn changeable(object: &OwnedFd) -> SysResult<libc::stat> {
    held::is_writable(object.as_fd())?;
    sys::fstat(object.as_fd())
}

/// What was asked for.
struct Change {
    what: u64,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Default for Change {
    fn default() -> Self {
        Self { what: 0, mode: LEFT_ALONE, uid: LEFT_ALONE, gid: LEFT_ALONE }
    }
}

impl Change {
    fn judge(&self, call: &Call, object: &OwnedFd, stat: &libc::stat) -> Result<(), Refusal> {
        let described = held::describe(call, object, stat)?;
        let number = |number: u32| Value::Number(number.into());
        let (mode, uid, gid) = (number(self.mode), number(self.uid), number(self.gid));
        let values = vec![described.into(), Value::Number(self.what), mode, uid, gid];
        call.judge(EventKind::InodeSetattr, values)
    }
}
