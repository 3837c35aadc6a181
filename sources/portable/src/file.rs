//! Describes objects that are held: name, owner, mode, file system.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use tsem::Digest;
use tsem::File;
use tsem::Place;

use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

/// The type bits of a mode.
pub(crate) fn kind(stat: &libc::stat) -> u32 {
    stat.st_mode & libc::S_IFMT
}

/// The directory of our own descriptors, opened once: it saves three components a look-up.
pub(crate) fn own_descriptors() -> SysResult<BorrowedFd<'static>> {
    static DIRECTORY: OnceLock<OwnedFd> = OnceLock::new();
    if DIRECTORY.get().is_none() {
        let path = format!("/proc/{}/fd", std::process::id());
        let directory = sys::open(path.as_bytes(), libc::O_PATH | libc::O_DIRECTORY)?;
        let _ = DIRECTORY.set(directory);
    }
    DIRECTORY.get().map(AsFd::as_fd).ok_or(Errno(libc::EIO))
}

/// The kernel's name for an object.
pub(crate) fn name_of(fd: BorrowedFd<'_>) -> SysResult<Vec<u8>> {
    sys::readlink_at(own_descriptors()?, fd.as_raw_fd().to_string().as_bytes())
}

/// Opens the object behind an `O_PATH` descriptor, with the calling thread's credentials.
pub(crate) fn reopen(fd: BorrowedFd<'_>, flags: i32, mode: u32) -> SysResult<OwnedFd> {
    sys::openat(own_descriptors()?, fd.as_raw_fd().to_string().as_bytes(), flags, mode)
}

/// Where an object is.
pub(crate) fn place_of(fd: BorrowedFd<'_>) -> SysResult<Place> {
    Ok(Place::new(name_of(fd)?, sys::file_system_of(fd)?))
}

/// Where a name in a directory is, whether there is an object or not.
pub(crate) fn place_in(parent: BorrowedFd<'_>, name: &[u8]) -> SysResult<Place> {
    let mut directory = name_of(parent)?;
    if directory != b"/" {
        directory.push(b'/');
    }
    place_below(&directory, name, sys::file_system_of(parent)?)
}

/// As [`place_in`] a directory whose name, with a slash at its end, and file system are known.
pub(crate) fn place_below(directory: &[u8], name: &[u8], file_system: u32) -> SysResult<Place> {
    let path = [directory, name].concat();
    if path.len() > tsem::TEXT_MAX {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    Ok(Place::new(path, file_system))
}

/// A file without its content's digest.
pub(crate) fn describe(fd: BorrowedFd<'_>, stat: &libc::stat) -> SysResult<File> {
    Ok(File::new(place_of(fd)?, [stat.st_uid, stat.st_gid, stat.st_mode], Digest::ZERO))
}
