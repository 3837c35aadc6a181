//! What calls on names and attributes act on, held; and the kernel's checks before its hooks.
//!
//! An event fires only where these checks pass, in the kernel's order, so that a call that would
//! fail anyway fails with the same error and without an event. What they cannot foresee the act
//! itself reports: it is done with the caller's credentials on the objects that are held here.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use std::sync::RwLockWriteGuard;

use tsem::File;
use tsem::Loss;
use tsem::Place;

use crate::call::Call;
use crate::call::Refusal;
use crate::file;
use crate::inode_calls;
use crate::inode_calls::Status;
use crate::path;
use crate::path::Walk;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

/// `CAP_*` numbers, capabilities(7).
pub(crate) const CAP_CHOWN: u32 = 0;
pub(crate) const CAP_FOWNER: u32 = 3;
pub(crate) const CAP_MKNOD: u32 = 27;
pub(crate) const CAP_SYS_CHROOT: u32 = 18;
pub(crate) const CAP_SYS_ADMIN: u32 = 21;
pub(crate) const CAP_SETFCAP: u32 = 31;

/// Names stand still while somebody holds this exclusively.
static NAMES: RwLock<()> = RwLock::new(());

/// Held while a name is taken away or given to something else.
pub(crate) fn names_change() -> RwLockReadGuard<'static, ()> {
    NAMES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held while the kernel looks up a name that was judged before.
pub(crate) fn names_stand() -> RwLockWriteGuard<'static, ()> {
    NAMES.write().unwrap_or_else(PoisonError::into_inner)
}

/// What the last component of a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Name,
    Dot,
    DotDot,
    Root,
}

/// A directory that is held, and a name in it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) parent: OwnedFd,
    /// The directory's.
    pub(crate) above: Status,
    pub(crate) name: Vec<u8>,
    pub(crate) last: Last,
    /// The path ended in a slash: only a directory will do.
    pub(crate) slash: bool,
    /// What the name stands for; a symbolic link itself. An error counts once the name is needed.
    pub(crate) object: SysResult<Option<OwnedFd>>,
}

impl Entry {
    /// Walks to the directory of a path's last component, which the caller may search, and looks
    /// there.
    pub(crate) fn of(call: &Call, fd: i32, path: &[u8]) -> SysResult<Self> {
        let (above, name, slash) = split(path)?;
        let parent = match above {
            b"." => call.start_directory(fd)?,
            _ => call.resolve(fd, above, FOLLOW)?.object()?,
        };
        let status = Status::of(parent.as_fd())?;
        if !status.is_directory() {
            return Err(Errno(libc::ENOTDIR));
        }
        let last = match name {
            b"" => Last::Root,
            b"." => Last::Dot,
            b".." => Last::DotDot,
            _ => Last::Name,
        };
        let object = if last == Last::Name {
            look_up(call, &parent, name)
        } else {
            call.as_caller(|| sys::may_access(parent.as_fd(), libc::X_OK)).map(|()| None)
        };
        if let Err(errno @ Errno(libc::EACCES)) = object {
            return Err(errno);
        }
        Ok(Self { parent, above: status, name: name.to_vec(), last, slash, object })
    }

    /// What is to be taken away.
    pub(crate) fn victim(&self) -> SysResult<Status> {
        match &self.object {
            Ok(Some(object)) => Status::of(object.as_fd()),
            Ok(None) => Err(self.unless_read_only(libc::ENOENT)),
            Err(errno) => Err(self.unless_read_only(errno.0)),
        }
    }

    pub(crate) fn place(&self) -> SysResult<Place> {
        file::place_in(self.parent.as_fd(), &self.name)
    }

    /// The kernel's `filename_create`: nothing is there yet.
    pub(crate) fn is_vacant(&self, directory: bool) -> SysResult<()> {
        if self.last != Last::Name || self.object.as_ref().map_err(|errno| *errno)?.is_some() {
            return Err(Errno(libc::EEXIST));
        }
        if self.slash && !directory {
            return Err(Errno(libc::ENOENT));
        }
        Ok(())
    }

    /// The kernel's `may_create`.
    pub(crate) fn may_create(&self, call: &Call) -> SysResult<()> {
        if self.above.links == 0 {
            return Err(self.unless_read_only(libc::ENOENT));
        }
        self.may_write(call)
    }

    /// The error of a call on this directory; that nothing may be written here comes before it.
    pub(crate) fn unless_read_only(&self, errno: i32) -> Errno {
        is_writable(self.parent.as_fd()).err().unwrap_or(Errno(errno))
    }

    fn may_write(&self, call: &Call) -> SysResult<()> {
        call.as_caller(|| sys::may_access(self.parent.as_fd(), libc::W_OK | libc::X_OK))
            .map_err(|errno| self.unless_read_only(errno.0))
    }

    /// The kernel's `may_delete`, and that nothing is mounted there.
    pub(crate) fn may_delete(
        &self,
        call: &Call,
        victim: &Status,
        as_directory: bool,
    ) -> SysResult<()> {
        self.may_write(call)?;
        check_sticky(call, &self.above, victim)?;
        match (as_directory, victim.is_directory()) {
            (true, false) => Err(Errno(libc::ENOTDIR)),
            (false, true) => Err(Errno(libc::EISDIR)),
            _ => Ok(()),
        }
    }

    /// Whether something is mounted on the name.
    pub(crate) fn is_mount_point(&self, victim: &Status) -> bool {
        victim.is_mount_root && victim.mount != self.above.mount
    }
}

fn look_up(call: &Call, parent: &OwnedFd, name: &[u8]) -> SysResult<Option<OwnedFd>> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    match call.as_caller(|| sys::openat(parent.as_fd(), name, flags, 0)) {
        Ok(object) => Ok(Some(object)),
        Err(Errno(libc::ENOENT)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

pub(crate) const FOLLOW: Walk = Walk { follow: true, may_miss: false };

/// Directory part, last component without slashes, whether slashes followed it.
pub(crate) fn split(path: &[u8]) -> SysResult<(&[u8], &[u8], bool)> {
    if path.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    let Some(end) = path.iter().rposition(|octet| *octet != b'/') else {
        return Ok((b"/", b"", true));
    };
    let start = path[..end].iter().rposition(|octet| *octet == b'/').map_or(0, |at| at + 1);
    let above = if start == 0 { b"." } else { &path[..start] };
    Ok((above, &path[start..=end], end + 1 < path.len()))
}

/// The object that a path names; with `AT_EMPTY_PATH` an empty one names the descriptor's.
pub(crate) fn object(call: &Call, fd: i32, path: &[u8], flags: i32) -> SysResult<OwnedFd> {
    if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        return call.start_directory(fd);
    }
    let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
    call.resolve(fd, path, Walk { follow, may_miss: false })?.object()
}

/// Our copy of a descriptor of the caller that is open for more than its path.
pub(crate) fn open_descriptor(call: &Call, fd: i32) -> SysResult<OwnedFd> {
    let copy = call.descriptor(fd)?;
    if inode_calls::open_flags(copy.as_fd())? & libc::O_PATH != 0 {
        return Err(Errno(libc::EBADF));
    }
    Ok(copy)
}

/// `EROFS` comes before permissions.
pub(crate) fn is_writable(fd: BorrowedFd<'_>) -> SysResult<()> {
    if inode_calls::is_read_only(fd)? { Err(Errno(libc::EROFS)) } else { Ok(()) }
}

pub(crate) fn has_capability(call: &Call, capability: u32) -> SysResult<bool> {
    Ok(call.credentials()?.coe.capabilities & 1 << capability != 0)
}

/// Whether the caller may do what only the owner may.
pub(crate) fn owns(call: &Call, owner: u32) -> SysResult<bool> {
    Ok(call.credentials()?.coe.fsuid == owner || has_capability(call, CAP_FOWNER)?)
}

fn check_sticky(call: &Call, directory: &Status, victim: &Status) -> SysResult<()> {
    let sticky = directory.mode & libc::S_ISVTX != 0;
    if sticky && !owns(call, victim.uid)? && !owns(call, directory.uid)? {
        return Err(Errno(libc::EPERM));
    }
    Ok(())
}

/// A file for an event, its content hashed where a rule asks for it.
pub(crate) fn describe(call: &Call, object: &OwnedFd, stat: &libc::stat) -> Result<File, Refusal> {
    let mut described = file::describe(object.as_fd(), stat)?;
    let place = &described.place;
    if place.file_system == path::PROC {
        path::refuse_supervisor(&place.path)?;
    }
    if file::kind(stat) == libc::S_IFREG && (call.supervisor.digest_paths)(&place.path) {
        let digest = call.supervisor.digests.of(object.as_fd(), stat);
        described.digest = digest.map_err(|_| call.lost(Loss::Unreadable))?;
    }
    Ok(described)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_as_the_kernel_does() {
        let parts = |path: &'static [u8]| split(path).unwrap();
        assert_eq!(parts(b"a"), (&b"."[..], &b"a"[..], false));
        assert_eq!(parts(b"/a//"), (&b"/"[..], &b"a"[..], true));
        assert_eq!(parts(b"a//b/../c"), (&b"a//b/../"[..], &b"c"[..], false));
        assert_eq!(parts(b"//"), (&b"/"[..], &b""[..], true));
        assert_eq!(parts(b".."), (&b"."[..], &b".."[..], false));
        assert!(split(b"").is_err());
    }
}
