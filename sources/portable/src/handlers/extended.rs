//! Extended attributes: set and removed by us on the object that was judged.
//!
//! The value's digest is part of the event where it decides about security (`security.*`, ACLs in
//! `system.*`); elsewhere it is data.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use sha2::Digest as _;
use sha2::Sha256;
use tsem::Digest;
use tsem::EventKind;
use tsem::Value;

use super::held;
use super::held::CAP_SETFCAP;
use super::held::CAP_SYS_ADMIN;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::inode_calls;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

const CWD: i32 = libc::AT_FDCWD;
const NAME_MAX: usize = 255;
const VALUE_MAX: u64 = 65_536;
const CREATE_OR_REPLACE: u32 = 3;
const ARGUMENTS: usize = 16;
const CAPABILITIES: &[u8] = b"security.capability";

/// An attribute to be set.
struct Attribute {
    name: Vec<u8>,
    value: Vec<u8>,
    flags: i32,
}

pub(crate) fn setxattr(call: &Call) -> Handled {
    let attribute = registers(call)?;
    set_by_path(call, CWD, call.argument(0), &attribute, 0)
}

pub(crate) fn lsetxattr(call: &Call) -> Handled {
    let attribute = registers(call)?;
    set_by_path(call, CWD, call.argument(0), &attribute, libc::AT_SYMLINK_NOFOLLOW)
}

pub(crate) fn fsetxattr(call: &Call) -> Handled {
    let object = held::open_descriptor(call, call.argument(0) as i32)?;
    set(call, &object, &registers(call)?)
}

pub(crate) fn setxattrat(call: &Call) -> Handled {
    let flags = call.argument(2) as i32;
    known_flags(flags)?;
    match call.argument(5) {
        size if size < ARGUMENTS as u64 => return Err(Refusal::Errno(libc::EINVAL)),
        size if size > ARGUMENTS as u64 => return Err(Refusal::Errno(libc::E2BIG)),
        _ => {}
    }
    let arguments = call.bytes(call.argument(4), ARGUMENTS)?;
    let number = |octets: &[u8]| octets.iter().rev().fold(0, |n, o| n << 8 | u64::from(*o));
    let (value, size) = (number(&arguments[..8]), number(&arguments[8..12]));
    let attribute = read(call, call.argument(3), value, size, number(&arguments[12..]) as u32)?;
    set_by_path(call, call.argument(0) as i32, call.argument(1), &attribute, flags)
}

/// Name, value, size and flags of the classic calls.
fn registers(call: &Call) -> SysResult<Attribute> {
    let (value, size) = (call.argument(2), call.argument(3));
    read(call, call.argument(1), value, size, call.argument(4) as u32)
}

fn read(call: &Call, name: u64, value: u64, size: u64, flags: u32) -> SysResult<Attribute> {
    if flags & !CREATE_OR_REPLACE != 0 {
        return Err(Errno(libc::EINVAL));
    }
    let name = read_name(call, name)?;
    if size > VALUE_MAX {
        return Err(Errno(libc::E2BIG));
    }
    let value = if size == 0 { Vec::new() } else { call.bytes(value, size as usize)? };
    Ok(Attribute { name, value, flags: flags as i32 })
}

fn read_name(call: &Call, address: u64) -> SysResult<Vec<u8>> {
    match call.text(address) {
        Ok(name) if name.is_empty() || name.len() > NAME_MAX => Err(Errno(libc::ERANGE)),
        Err(Errno(libc::ENAMETOOLONG)) => Err(Errno(libc::ERANGE)),
        name => name,
    }
}

fn set_by_path(call: &Call, fd: i32, path: u64, attribute: &Attribute, flags: i32) -> Handled {
    let object = by_path(call, fd, path, flags)?;
    set(call, &object, attribute)
}

fn set(call: &Call, object: &OwnedFd, attribute: &Attribute) -> Handled {
    let stat = sys::fstat(object.as_fd())?;
    if attribute.name == CAPABILITIES {
        may_set_capabilities(call, object, &attribute.value)?;
    } else {
        may_change(call, object, &stat, &attribute.name)?;
    }
    let described = held::describe(call, object, &stat)?;
    let name = Value::Text(attribute.name.clone());
    let value = Value::Digest(digest(attribute));
    call.judge(EventKind::InodeSetxattr, vec![described.into(), name, value])?;
    call.as_caller(|| {
        let Attribute { name, value, flags } = attribute;
        inode_calls::set_xattr(object.as_fd(), name, value, *flags)
    })?;
    Ok(Outcome::Value(0))
}

fn digest(attribute: &Attribute) -> Digest {
    let name = &attribute.name;
    if name.starts_with(b"security.") || name.starts_with(b"system.") {
        return Digest(Sha256::digest(&attribute.value).into());
    }
    Digest::ZERO
}

pub(crate) fn removexattr(call: &Call) -> Handled {
    remove_by_path(call, CWD, call.argument(0), call.argument(1), 0)
}

pub(crate) fn lremovexattr(call: &Call) -> Handled {
    remove_by_path(call, CWD, call.argument(0), call.argument(1), libc::AT_SYMLINK_NOFOLLOW)
}

pub(crate) fn fremovexattr(call: &Call) -> Handled {
    let object = held::open_descriptor(call, call.argument(0) as i32)?;
    remove(call, &object, &read_name(call, call.argument(1))?)
}

pub(crate) fn removexattrat(call: &Call) -> Handled {
    let flags = call.argument(2) as i32;
    known_flags(flags)?;
    remove_by_path(call, call.argument(0) as i32, call.argument(1), call.argument(3), flags)
}

fn remove_by_path(call: &Call, fd: i32, path: u64, name: u64, flags: i32) -> Handled {
    let name = read_name(call, name)?;
    let object = by_path(call, fd, path, flags)?;
    remove(call, &object, &name)
}

fn remove(call: &Call, object: &OwnedFd, name: &[u8]) -> Handled {
    let stat = sys::fstat(object.as_fd())?;
    may_change(call, object, &stat, name)?;
    let described = held::describe(call, object, &stat)?;
    let values = vec![described.into(), Value::Text(name.to_vec())];
    call.judge(EventKind::InodeRemovexattr, values)?;
    call.as_caller(|| inode_calls::remove_xattr(object.as_fd(), name))?;
    Ok(Outcome::Value(0))
}

/// A descriptor that an empty path names must be open for more than its path.
fn by_path(call: &Call, fd: i32, path: u64, flags: i32) -> SysResult<OwnedFd> {
    let may_be_empty = flags & libc::AT_EMPTY_PATH != 0;
    let path = if path == 0 && may_be_empty { Vec::new() } else { call.text(path)? };
    if path.is_empty() && may_be_empty && fd != CWD {
        return held::open_descriptor(call, fd);
    }
    held::object(call, fd, &path, flags)
}

fn known_flags(flags: i32) -> SysResult<()> {
    let known = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    if flags & !known == 0 { Ok(()) } else { Err(Errno(libc::EINVAL)) }
}

/// The kernel's `cap_convert_nscap`; an empty value, which grants nothing, it lets pass.
fn may_set_capabilities(call: &Call, object: &OwnedFd, value: &[u8]) -> SysResult<()> {
    held::is_writable(object.as_fd())?;
    match (value.len(), value.get(3)) {
        (0, _) => Ok(()),
        (20, Some(2)) | (24, Some(3)) if held::has_capability(call, CAP_SETFCAP)? => Ok(()),
        (20, Some(2)) | (24, Some(3)) => Err(Errno(libc::EPERM)),
        _ => Err(Errno(libc::EINVAL)),
    }
}

/// The kernel's `xattr_permission`, and its capability module, which stands before the others.
fn may_change(call: &Call, object: &OwnedFd, stat: &libc::stat, name: &[u8]) -> SysResult<()> {
    held::is_writable(object.as_fd())?;
    let needs = |allowed: bool| if allowed { Ok(()) } else { Err(Errno(libc::EPERM)) };
    if name == CAPABILITIES {
        return needs(held::has_capability(call, CAP_SETFCAP)?);
    }
    if name.starts_with(b"security.") || name.starts_with(b"trusted.") {
        return needs(held::has_capability(call, CAP_SYS_ADMIN)?);
    }
    if name.starts_with(b"system.") {
        return needs(held::owns(call, stat.st_uid)?);
    }
    if name.starts_with(b"user.") {
        let kind = file::kind(stat);
        needs(matches!(kind, libc::S_IFREG | libc::S_IFDIR))?;
        let sticky = kind == libc::S_IFDIR && stat.st_mode & libc::S_ISVTX != 0;
        needs(!sticky || held::owns(call, stat.st_uid)?)?;
    }
    call.as_caller(|| sys::may_access(object.as_fd(), libc::W_OK))
}
