//! System calls that change names, attributes and mounts, as safe functions.
//!
//! Each acts relative to a held directory, or on a held object through its link in our own
//! descriptor directory, so that nothing is looked up again after it was judged.
#![allow(unsafe_code, reason = "system calls with raw errnos that no safe crate offers")]

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::ptr;

use libc::c_long;

use crate::file;
use crate::sys;
use crate::sys::SysResult;
use crate::sys::c_path;
use crate::sys::check;

/// `statx.stx_attributes`: the object is the root of a mount.
const ATTRIBUTE_MOUNT_ROOT: u64 = 0x2000;
const MOVE_MOUNT_BY_FDS: u32 = 0x04 | 0x40;

/// Seconds and nanoseconds of access and modification.
pub(crate) type Times = [libc::timespec; 2];

/// What `statx(2)` says of a held object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    /// Device and inode.
    pub(crate) identity: (u64, u64),
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) links: u32,
    /// The mount that it is on.
    pub(crate) mount: u64,
    /// Whether it is that mount's root.
    pub(crate) is_mount_root: bool,
}

impl Status {
    pub(crate) fn of(fd: BorrowedFd<'_>) -> SysResult<Self> {
        const WANTED: u32 = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
        // SAFETY: statx is plain data, for which zeros are valid.
        let mut found: libc::statx = unsafe { std::mem::zeroed() };
        let (fd, flags) = (fd.as_raw_fd(), libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT);
        // SAFETY: the structure is filled by the call.
        done(unsafe { libc::statx(fd, c"".as_ptr(), flags, WANTED, &raw mut found) })?;
        let device = libc::makedev(found.stx_dev_major, found.stx_dev_minor);
        Ok(Self {
            identity: (device, found.stx_ino),
            mode: found.stx_mode.into(),
            uid: found.stx_uid,
            links: found.stx_nlink,
            mount: found.stx_mnt_id,
            is_mount_root: found.stx_attributes & ATTRIBUTE_MOUNT_ROOT != 0,
        })
    }

    /// `S_IFMT` of the mode.
    pub(crate) fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }
}

/// A link that leads to a held object itself, whatever it is, even an `O_PATH` one.
pub(crate) fn link_to(fd: BorrowedFd<'_>) -> CString {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    CString::new(path).unwrap_or_default()
}

/// As [`link_to`], from the directory of our descriptors.
fn own_link(fd: BorrowedFd<'_>) -> SysResult<(i32, CString)> {
    let directory = file::own_descriptors()?.as_raw_fd();
    Ok((directory, c_path(fd.as_raw_fd().to_string().as_bytes())?))
}

pub(crate) fn mkdirat(parent: BorrowedFd<'_>, name: &[u8], mode: u32) -> SysResult<()> {
    let name = c_path(name)?;
    // SAFETY: the name outlives the call.
    done(unsafe { libc::mkdirat(parent.as_raw_fd(), name.as_ptr(), mode) })
}

pub(crate) fn mknodat(
    parent: BorrowedFd<'_>,
    name: &[u8],
    mode: u32,
    device: u32,
) -> SysResult<()> {
    let name = c_path(name)?;
    let parent = parent.as_raw_fd();
    // SAFETY: the name outlives the call.
    check(unsafe { libc::syscall(libc::SYS_mknodat, parent, name.as_ptr(), mode, device) })
        .map(drop)
}

pub(crate) fn symlinkat(target: &[u8], parent: BorrowedFd<'_>, name: &[u8]) -> SysResult<()> {
    let (target, name) = (c_path(target)?, c_path(name)?);
    // SAFETY: both strings outlive the call.
    done(unsafe { libc::symlinkat(target.as_ptr(), parent.as_raw_fd(), name.as_ptr()) })
}

/// A new name for a held object.
pub(crate) fn link(object: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &[u8]) -> SysResult<()> {
    let (at, link) = own_link(object)?;
    let (name, parent) = (c_path(name)?, parent.as_raw_fd());
    // SAFETY: both strings outlive the call.
    done(unsafe { libc::linkat(at, link.as_ptr(), parent, name.as_ptr(), libc::AT_SYMLINK_FOLLOW) })
}

pub(crate) fn unlinkat(parent: BorrowedFd<'_>, name: &[u8], flags: i32) -> SysResult<()> {
    let name = c_path(name)?;
    // SAFETY: the name outlives the call.
    done(unsafe { libc::unlinkat(parent.as_raw_fd(), name.as_ptr(), flags) })
}

pub(crate) fn renameat2(
    from: (BorrowedFd<'_>, &[u8]),
    to: (BorrowedFd<'_>, &[u8]),
    flags: u32,
) -> SysResult<()> {
    let (old, new) = (c_path(from.1)?, c_path(to.1)?);
    let (from, to) = (from.0.as_raw_fd(), to.0.as_raw_fd());
    // SAFETY: both names outlive the call.
    check(unsafe {
        libc::syscall(libc::SYS_renameat2, from, old.as_ptr(), to, new.as_ptr(), flags)
    })
    .map(drop)
}

/// chmod(2) of a held object.
pub(crate) fn set_mode(object: BorrowedFd<'_>, mode: u32) -> SysResult<()> {
    let (at, link) = own_link(object)?;
    // SAFETY: the link outlives the call.
    done(unsafe { libc::fchmodat(at, link.as_ptr(), mode, 0) })
}

/// chown(2) of a held object; all-ones leaves an id alone.
pub(crate) fn set_owner(object: BorrowedFd<'_>, uid: u32, gid: u32) -> SysResult<()> {
    let empty = c"".as_ptr();
    // SAFETY: the empty string is static.
    done(unsafe { libc::fchownat(object.as_raw_fd(), empty, uid, gid, libc::AT_EMPTY_PATH) })
}

/// truncate(2) of a held object.
pub(crate) fn set_size(object: BorrowedFd<'_>, size: i64) -> SysResult<()> {
    // SAFETY: the link outlives the call.
    done(unsafe { libc::truncate(link_to(object).as_ptr(), size) })
}

/// ftruncate(2): needs no permission but the descriptor's own.
pub(crate) fn set_open_size(file: BorrowedFd<'_>, size: i64) -> SysResult<()> {
    // SAFETY: no pointers are passed.
    done(unsafe { libc::ftruncate(file.as_raw_fd(), size) })
}

/// utimensat(2) of a held object; no times are now.
pub(crate) fn set_times(object: BorrowedFd<'_>, times: Option<&Times>) -> SysResult<()> {
    let times = times.map_or(ptr::null(), |times| times.as_ptr());
    let (at, link) = own_link(object)?;
    // SAFETY: the link and the times outlive the call; null is allowed.
    done(unsafe { libc::utimensat(at, link.as_ptr(), times, 0) })
}

pub(crate) fn set_xattr(
    object: BorrowedFd<'_>,
    name: &[u8],
    value: &[u8],
    flags: i32,
) -> SysResult<()> {
    let name = c_path(name)?;
    let (value, size) = (value.as_ptr().cast(), value.len());
    // SAFETY: link and name outlive the call; the value's length is passed with it.
    done(unsafe { libc::setxattr(link_to(object).as_ptr(), name.as_ptr(), value, size, flags) })
}

pub(crate) fn remove_xattr(object: BorrowedFd<'_>, name: &[u8]) -> SysResult<()> {
    let name = c_path(name)?;
    // SAFETY: link and name outlive the call.
    done(unsafe { libc::removexattr(link_to(object).as_ptr(), name.as_ptr()) })
}

/// The `F_GETFL` flags of a descriptor.
pub(crate) fn open_flags(fd: BorrowedFd<'_>) -> SysResult<i32> {
    // SAFETY: no pointers are passed.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    check(c_long::from(flags)).map(|flags| flags as i32)
}

/// Whether nothing may be written where the object is: file system or mount.
pub(crate) fn is_read_only(fd: BorrowedFd<'_>) -> SysResult<bool> {
    // SAFETY: statvfs is plain data, for which zeros are valid.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is filled by the call.
    done(unsafe { libc::fstatvfs(fd.as_raw_fd(), &raw mut found) })?;
    Ok(found.f_flag & libc::ST_RDONLY != 0)
}

/// mount(2) on a held object. What is not given is null.
pub(crate) fn mount(
    source: Option<&CString>,
    target: BorrowedFd<'_>,
    kind: Option<&CString>,
    flags: u64,
    data: Option<&[u8]>,
) -> SysResult<()> {
    let text = |text: Option<&CString>| text.map_or(ptr::null(), |text| text.as_ptr());
    let data = data.map_or(ptr::null(), |data| data.as_ptr().cast());
    let target = link_to(target);
    // SAFETY: all strings outlive the call; the data is a page of its own, as the kernel reads it.
    done(unsafe { libc::mount(text(source), target.as_ptr(), text(kind), flags, data) })
}

/// umount2(2) of what is mounted on a name; links are not followed.
pub(crate) fn unmount(parent: BorrowedFd<'_>, name: &[u8], flags: i32) -> SysResult<()> {
    const NO_FOLLOW: i32 = 8;
    let place = c_path(&[link_to(parent).as_bytes(), b"/", name].concat())?;
    // SAFETY: the path outlives the call.
    done(unsafe { libc::umount2(place.as_ptr(), flags | NO_FOLLOW) })
}

/// `move_mount` from a held object to a held object.
pub(crate) fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>, flags: u32) -> SysResult<()> {
    let (from, to, empty) = (from.as_raw_fd(), to.as_raw_fd(), c"".as_ptr());
    let flags = flags | MOVE_MOUNT_BY_FDS;
    // SAFETY: the empty string is static.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, empty, to, empty, flags) }).map(drop)
}

/// The name that an object has in the directory it is in.
pub(crate) fn last_name(fd: BorrowedFd<'_>) -> SysResult<Vec<u8>> {
    let path = file::name_of(fd)?;
    Ok(path.rsplit(|octet| *octet == b'/').next().unwrap_or_default().to_vec())
}

fn done(result: i32) -> SysResult<()> {
    sys::check(c_long::from(result)).map(drop)
}
