//! Making and removing names: done by us in the directory that was judged.
//!
//! The directory is held, the name is a single component, and the act is an `*at` call with the
//! caller's credentials and umask. A node's device number is the argument of mknod(2), zero for
//! nodes that are no devices; the mode is the one that the umask leaves.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use tsem::Effect;
use tsem::EventKind;
use tsem::Value;

use super::held;
use super::held::CAP_MKNOD;
use super::held::Entry;
use super::held::Last;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::inode_calls;
use crate::inode_calls::Status;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

const CWD: i32 = libc::AT_FDCWD;
const PERMISSIONS: u32 = 0o7777;

/// No event: it tells what a later one will be about.
pub(crate) fn umask(call: &Call) -> Handled {
    call.supervisor.processes.umasks.begins(&call.thread);
    Ok(Outcome::Continue)
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn mkdir(call: &Call) -> Handled {
    make_directory(call, CWD, call.argument(0), call.argument(1) as u32)
}

pub(crate) fn mkdirat(call: &Call) -> Handled {
    make_directory(call, call.argument(0) as i32, call.argument(1), call.argument(2) as u32)
}

fn make_directory(call: &Call, fd: i32, path: u64, mode: u32) -> Handled {
    let entry = Entry::of(call, fd, &call.text(path)?)?;
    entry.is_vacant(true)?;
    entry.may_create(call)?;
    let umask = call.umask()?;
    let left = libc::S_IFDIR | (mode & 0o1777 & !umask);
    let make = || inode_calls::mkdirat(entry.parent.as_fd(), &entry.name, mode);
    make_entry(call, &entry, EventKind::InodeMkdir, vec![Value::Number(left.into())], umask, make)
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn mknod(call: &Call) -> Handled {
    let (mode, device) = (call.argument(1) as u32, call.argument(2) as u32);
    make_node(call, CWD, call.argument(0), mode, device)
}

pub(crate) fn mknodat(call: &Call) -> Handled {
    let (mode, device) = (call.argument(2) as u32, call.argument(3) as u32);
    make_node(call, call.argument(0) as i32, call.argument(1), mode, device)
}

fn make_node(call: &Call, fd: i32, path: u64, mode: u32, device: u32) -> Handled {
    // As the kernel's `umode_t`.
    let mode = mode & 0xffff;
    let kind = if mode & libc::S_IFMT == 0 { libc::S_IFREG } else { mode & libc::S_IFMT };
    let path = call.text(path)?;
    match kind {
        libc::S_IFREG | libc::S_IFCHR | libc::S_IFBLK | libc::S_IFIFO | libc::S_IFSOCK => {}
        libc::S_IFDIR => return Err(Refusal::Errno(libc::EPERM)),
        _ => return Err(Refusal::Errno(libc::EINVAL)),
    }
    let entry = Entry::of(call, fd, &path)?;
    entry.is_vacant(false)?;
    entry.may_create(call)?;
    let is_device = matches!(kind, libc::S_IFCHR | libc::S_IFBLK);
    let is_whiteout = kind == libc::S_IFCHR && device == 0;
    if is_device && !is_whiteout && !held::has_capability(call, CAP_MKNOD)? {
        return Err(Refusal::Errno(libc::EPERM));
    }
    let umask = call.umask()?;
    let mut values = vec![Value::Number((kind | (mode & PERMISSIONS & !umask)).into())];
    let event = if kind == libc::S_IFREG { EventKind::InodeCreate } else { EventKind::InodeMknod };
    if event == EventKind::InodeMknod {
        values.push(Value::Number(if is_device { device.into() } else { 0 }));
    }
    let make = || inode_calls::mknodat(entry.parent.as_fd(), &entry.name, mode, device);
    make_entry(call, &entry, event, values, umask, make)
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn symlink(call: &Call) -> Handled {
    make_symlink(call, call.argument(0), CWD, call.argument(1))
}

pub(crate) fn symlinkat(call: &Call) -> Handled {
    make_symlink(call, call.argument(0), call.argument(1) as i32, call.argument(2))
}

fn make_symlink(call: &Call, target: u64, fd: i32, path: u64) -> Handled {
    let target = call.text(target)?;
    if target.is_empty() {
        return Err(Refusal::Errno(libc::ENOENT));
    }
    let entry = Entry::of(call, fd, &call.text(path)?)?;
    entry.is_vacant(false)?;
    entry.may_create(call)?;
    let values = vec![Value::Text(target.clone())];
    let make = || inode_calls::symlinkat(&target, entry.parent.as_fd(), &entry.name);
    make_entry(call, &entry, EventKind::InodeSymlink, values, 0, make)
}

/// Judges, makes, tells. The umask yields to a default ACL in the kernel, so it is set, not
/// applied.
fn make_entry(
    call: &Call,
    entry: &Entry,
    event: EventKind,
    more: Vec<Value>,
    umask: u32,
    make: impl FnOnce() -> SysResult<()>,
) -> Handled {
    let place = entry.place()?;
    let mut values = vec![Value::Path(place.clone())];
    values.extend(more);
    call.judge(event, values)?;
    sys::umask(umask);
    let _changing = call.supervisor.changes.begin(&place.path);
    call.as_caller(make)?;
    call.effect(&Effect::Made(&place.path));
    Ok(Outcome::Value(0))
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn link(call: &Call) -> Handled {
    make_link(call, (CWD, call.argument(0)), (CWD, call.argument(1)), 0)
}

pub(crate) fn linkat(call: &Call) -> Handled {
    let (from, to) = (call.argument(0) as i32, call.argument(2) as i32);
    let flags = call.argument(4) as i32;
    if flags & !(libc::AT_SYMLINK_FOLLOW | libc::AT_EMPTY_PATH) != 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    make_link(call, (from, call.argument(1)), (to, call.argument(3)), flags)
}

/// A descriptor may always be linked by an empty path here: its opener may anyway by
/// `/proc/self/fd`, and that it was the caller who opened it cannot be seen in our copy.
fn make_link(call: &Call, from: (i32, u64), to: (i32, u64), flags: i32) -> Handled {
    let old = call.text(from.1)?;
    let new = call.text(to.1)?;
    let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
    let no_follow = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let object = held::object(call, from.0, &old, flags | no_follow)?;
    let entry = Entry::of(call, to.0, &new)?;
    entry.is_vacant(false)?;
    let status = Status::of(object.as_fd())?;
    if status.mount != entry.above.mount {
        return Err(entry.unless_read_only(libc::EXDEV).into());
    }
    check_hard_link(call, &object, &status)?;
    entry.may_create(call)?;
    if status.is_directory() {
        return Err(Refusal::Errno(libc::EPERM));
    }
    let place = entry.place()?;
    let described = held::describe(call, &object, &sys::fstat(object.as_fd())?)?;
    call.judge(EventKind::InodeLink, vec![described.into(), Value::Path(place.clone())])?;
    let _changing = call.supervisor.changes.begin(&place.path);
    call.as_caller(|| inode_calls::link(object.as_fd(), entry.parent.as_fd(), &entry.name))?;
    call.effect(&Effect::Made(&place.path));
    Ok(Outcome::Value(0))
}

/// `/proc/sys/fs/protected_hardlinks`: only what one may read and write, and nothing privileged.
fn check_hard_link(call: &Call, object: &OwnedFd, status: &Status) -> SysResult<()> {
    if held::owns(call, status.uid)? {
        return Ok(());
    }
    let setting = std::fs::read("/proc/sys/fs/protected_hardlinks").unwrap_or_default();
    if setting.first() != Some(&b'1') {
        return Ok(());
    }
    let privileged_group = libc::S_ISGID | libc::S_IXGRP;
    let safe = status.kind() == libc::S_IFREG
        && status.mode & libc::S_ISUID == 0
        && status.mode & privileged_group != privileged_group
        && call.as_caller(|| sys::may_access(object.as_fd(), libc::R_OK | libc::W_OK)).is_ok();
    if safe { Ok(()) } else { Err(Errno(libc::EPERM)) }
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn unlink(call: &Call) -> Handled {
    remove_name(call, CWD, call.argument(0))
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn rmdir(call: &Call) -> Handled {
    remove_directory(call, CWD, call.argument(0))
}

pub(crate) fn unlinkat(call: &Call) -> Handled {
    let (fd, path) = (call.argument(0) as i32, call.argument(1));
    match call.argument(2) as i32 {
        0 => remove_name(call, fd, path),
        libc::AT_REMOVEDIR => remove_directory(call, fd, path),
        _ => Err(Refusal::Errno(libc::EINVAL)),
    }
}

fn remove_name(call: &Call, fd: i32, path: u64) -> Handled {
    let entry = Entry::of(call, fd, &call.text(path)?)?;
    if entry.last != Last::Name {
        return Err(Refusal::Errno(libc::EISDIR));
    }
    let victim = entry.victim()?;
    if entry.slash {
        let errno = if victim.is_directory() { libc::EISDIR } else { libc::ENOTDIR };
        return Err(entry.unless_read_only(errno).into());
    }
    remove(call, entry, victim, 0)
}

fn remove_directory(call: &Call, fd: i32, path: u64) -> Handled {
    let entry = Entry::of(call, fd, &call.text(path)?)?;
    match entry.last {
        Last::Name => {}
        Last::Dot => return Err(Refusal::Errno(libc::EINVAL)),
        Last::DotDot => return Err(Refusal::Errno(libc::ENOTEMPTY)),
        Last::Root => return Err(Refusal::Errno(libc::EBUSY)),
    }
    let victim = entry.victim()?;
    remove(call, entry, victim, libc::AT_REMOVEDIR)
}

fn remove(call: &Call, mut entry: Entry, victim: Status, flags: i32) -> Handled {
    let as_directory = flags == libc::AT_REMOVEDIR;
    entry.may_delete(call, &victim, as_directory)?;
    if entry.is_mount_point(&victim) {
        return Err(Refusal::Errno(libc::EBUSY));
    }
    // Its end is the caller's to see, not ours to put off.
    entry.object = Ok(None);
    let event = if as_directory { EventKind::InodeRmdir } else { EventKind::InodeUnlink };
    let place = entry.place()?;
    call.judge(event, vec![Value::Path(place.clone())])?;
    let _changing = call.supervisor.changes.begin(&place.path);
    let names = held::names_change();
    call.as_caller(|| inode_calls::unlinkat(entry.parent.as_fd(), &entry.name, flags))?;
    drop(names);
    call.effect(&Effect::Removed(&place.path));
    Ok(Outcome::Value(0))
}
