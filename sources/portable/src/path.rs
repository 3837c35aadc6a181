//! Walks a path as the kernel would for the caller, and holds what it finds.
//!
//! The common case is one `openat2` that refuses symbolic links, or one that follows ordinary ones to
//! what is not in procfs. The rest goes component by component, so that `/proc/self` means the
//! caller and the caller's root is never left.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use crate::call::Call;
use crate::file;
use crate::handlers::held;
use crate::sys;
use crate::sys::Errno;
use crate::sys::OpenHow;
use crate::sys::SysResult;

pub(crate) const PROC: u32 = 0x9fa0;
const PROC_ROOT_INODE: u64 = 1;
const RESOLVE_NO_MAGICLINKS: u64 = 2;
const RESOLVE_NO_SYMLINKS: u64 = 4;
const LINKS_MAX: u32 = 40;

/// How to treat the last component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// A symbolic link as last component is followed.
    pub(crate) follow: bool,
    /// A missing last component is [`Found::Missing`], not `ENOENT`.
    pub(crate) may_miss: bool,
}

/// What a path names.
#[derive(Debug)]
pub(crate) enum Found {
    /// An object, by an `O_PATH` descriptor.
    Object(OwnedFd),
    /// Nothing yet: the directory and the name in it.
    Missing {
        /// The directory, by an `O_PATH` descriptor.
        parent: OwnedFd,
        /// A single component.
        name: Vec<u8>,
        /// The path ended in a slash: only a directory may be made.
        directory: bool,
    },
}

impl Found {
    /// The object; a missing one is `ENOENT`.
    pub(crate) fn object(self) -> SysResult<OwnedFd> {
        match self {
            Self::Object(fd) => Ok(fd),
            Self::Missing { .. } => Err(Errno(libc::ENOENT)),
        }
    }
}

pub(crate) fn resolve(call: &Call, fd: i32, path: &[u8], walk: Walk) -> SysResult<Found> {
    if path.is_empty() {
        return Err(Errno(libc::ENOENT));
    }
    let own_root = || call.supervisor.root.try_clone().map_err(|_| Errno(libc::EMFILE));
    let roots_vary = call.supervisor.roots_vary.load(Ordering::Acquire);
    let absolute = path[0] == b'/';
    let start = if absolute { None } else { Some(call.start_directory(fd)?) };
    if !roots_vary {
        let from = start.as_ref().unwrap_or(&call.supervisor.root).as_fd();
        if let Some(found) = at_once(call, from, path, walk)? {
            return Ok(found);
        }
    }
    let root = if roots_vary { call.root()? } else { own_root()? };
    let at = match start {
        Some(start) => start,
        None => root.try_clone().map_err(|_| Errno(libc::EMFILE))?,
    };
    Steps { call, root, at, rest: VecDeque::new(), links: 0 }.run(path, walk)
}

/// The whole walk by the kernel; `None` where it must not or cannot be done so.
fn at_once(call: &Call, from: BorrowedFd<'_>, path: &[u8], walk: Walk) -> SysResult<Option<Found>> {
    let last = if walk.follow { 0 } else { libc::O_NOFOLLOW };
    match open_path(call, from, path, last, RESOLVE_NO_SYMLINKS) {
        Ok(object) => Ok(Some(Found::Object(object))),
        Err(Errno(libc::ELOOP | libc::EAGAIN)) => Ok(through_links(call, from, path, last)),
        Err(Errno(libc::ENOENT)) if walk.may_miss => Ok(missing(call, from, path)),
        Err(errno) => Err(errno),
    }
}

/// Ordinary links mean the same to us as to the caller, but for those of procfs.
fn through_links(call: &Call, from: BorrowedFd<'_>, path: &[u8], last: i32) -> Option<Found> {
    let object = open_path(call, from, path, last, RESOLVE_NO_MAGICLINKS).ok()?;
    let in_procfs = sys::file_system_of(object.as_fd()) == Ok(PROC);
    (!in_procfs).then_some(Found::Object(object))
}

/// A name that nothing had when its path was walked, in a directory that no links lead to.
fn missing(call: &Call, from: BorrowedFd<'_>, path: &[u8]) -> Option<Found> {
    let (above, name, slash) = held::split(path).ok()?;
    if slash || matches!(name, b"" | b"." | b"..") {
        return None;
    }
    let parent = open_path(call, from, above, libc::O_DIRECTORY, RESOLVE_NO_SYMLINKS).ok()?;
    Some(Found::Missing { parent, name: name.to_vec(), directory: false })
}

fn open_path(
    call: &Call,
    from: BorrowedFd<'_>,
    path: &[u8],
    flags: i32,
    resolve: u64,
) -> SysResult<OwnedFd> {
    let how = OpenHow { flags: (libc::O_PATH | flags) as u64, mode: 0, resolve };
    call.as_caller(|| sys::openat2(from, path, how))
}

struct Steps<'a> {
    call: &'a Call,
    root: OwnedFd,
    at: OwnedFd,
    rest: VecDeque<Vec<u8>>,
    links: u32,
}

impl Steps<'_> {
    fn run(mut self, path: &[u8], walk: Walk) -> SysResult<Found> {
        let mut directory = false;
        self.push(path, &mut directory, true);
        while let Some(name) = self.rest.pop_front() {
            let last = self.rest.is_empty();
            if name == b".." {
                self.up()?;
                continue;
            }
            let next = match self.open(&name, libc::O_PATH | libc::O_NOFOLLOW) {
                Err(Errno(libc::ENOENT)) if last && walk.may_miss => {
                    return Ok(Found::Missing { parent: self.at, name, directory });
                }
                next => next?,
            };
            let is_link = file::kind(&sys::fstat(next.as_fd())?) == libc::S_IFLNK;
            if is_link && (!last || walk.follow || directory) {
                self.follow(&name, &next, &mut directory, last)?;
            } else {
                self.at = next;
            }
        }
        let is_directory = file::kind(&sys::fstat(self.at.as_fd())?) == libc::S_IFDIR;
        if directory && !is_directory {
            return Err(Errno(libc::ENOTDIR));
        }
        Ok(Found::Object(self.at))
    }

    fn open(&self, name: &[u8], flags: i32) -> SysResult<OwnedFd> {
        self.call.as_caller(|| sys::openat(self.at.as_fd(), name, flags, 0))
    }

    /// Puts the components of a path before the rest.
    fn push(&mut self, path: &[u8], directory: &mut bool, last: bool) {
        let names = path.split(|octet| *octet == b'/').filter(|n| !n.is_empty() && *n != b".");
        let names: Vec<_> = names.map(<[u8]>::to_vec).collect();
        if last && (path.ends_with(b"/") || path.ends_with(b"/.")) {
            *directory = true;
        }
        names.into_iter().rev().for_each(|name| self.rest.push_front(name));
    }

    fn up(&mut self) -> SysResult<()> {
        let (at, root) = (sys::fstat(self.at.as_fd())?, sys::fstat(self.root.as_fd())?);
        if (at.st_dev, at.st_ino) != (root.st_dev, root.st_ino) {
            self.at = self.open(b"..", libc::O_PATH)?;
        }
        Ok(())
    }

    fn follow(
        &mut self,
        name: &[u8],
        link: &OwnedFd,
        directory: &mut bool,
        last: bool,
    ) -> SysResult<()> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno(libc::ELOOP));
        }
        if last {
            self.may_follow(link)?;
        }
        let target = match self.procfs_link(name, link)? {
            ProcfsLink::Jump(object) => {
                self.at = object;
                return Ok(());
            }
            ProcfsLink::Text(text) => text,
            ProcfsLink::None => sys::readlink_at(link.as_fd(), b"")?,
        };
        if target.first() == Some(&b'/') {
            self.at = self.root.try_clone().map_err(|_| Errno(libc::EMFILE))?;
        }
        self.push(&target, directory, last);
        Ok(())
    }

    /// `/proc/sys/fs/protected_symlinks`: the kernel's `may_follow_link`.
    fn may_follow(&self, link: &OwnedFd) -> SysResult<()> {
        let (link, directory) = (sys::fstat(link.as_fd())?, sys::fstat(self.at.as_fd())?);
        let fsuid = self.call.credentials()?.coe.fsuid;
        if is_trap(fsuid, &directory, &link) && links_are_protected() {
            return Err(Errno(libc::EACCES));
        }
        Ok(())
    }

    fn procfs_link(&self, name: &[u8], link: &OwnedFd) -> SysResult<ProcfsLink> {
        if sys::file_system_of(link.as_fd())? != PROC {
            return Ok(ProcfsLink::None);
        }
        let (pid, tid) = (self.call.process().pid, self.call.thread.tid);
        if sys::fstat(self.at.as_fd())?.st_ino == PROC_ROOT_INODE {
            match name {
                b"self" => return Ok(ProcfsLink::Text(format!("{pid}").into())),
                b"thread-self" => return Ok(ProcfsLink::Text(format!("{pid}/task/{tid}").into())),
                _ => {}
            }
        }
        let how = OpenHow { flags: libc::O_PATH as u64, mode: 0, resolve: RESOLVE_NO_MAGICLINKS };
        match sys::openat2(self.at.as_fd(), name, how) {
            Err(Errno(libc::ELOOP)) => self.jump(name, pid).map(ProcfsLink::Jump),
            _ => Ok(ProcfsLink::None),
        }
    }

    /// A magic link of the caller is the caller's own; of others, what its credentials allow.
    fn jump(&self, name: &[u8], pid: u32) -> SysResult<OwnedFd> {
        let place = file::name_of(self.at.as_fd())?;
        refuse_supervisor(&place)?;
        if procfs_pid(&place) == Some(pid) {
            return sys::openat(self.at.as_fd(), name, libc::O_PATH, 0);
        }
        self.open(name, libc::O_PATH)
    }
}

/// A link that somebody else put where everybody may.
fn is_trap(fsuid: u32, directory: &libc::stat, link: &libc::stat) -> bool {
    const OPEN_AND_STICKY: u32 = libc::S_ISVTX | libc::S_IWOTH;
    link.st_uid != fsuid
        && directory.st_mode & OPEN_AND_STICKY == OPEN_AND_STICKY
        && link.st_uid != directory.st_uid
}

/// Where it cannot be read, they are.
fn links_are_protected() -> bool {
    let setting = std::fs::read("/proc/sys/fs/protected_symlinks");
    setting.map_or(true, |setting| setting.trim_ascii() != b"0")
}

enum ProcfsLink {
    Jump(OwnedFd),
    Text(Vec<u8>),
    None,
}

/// The process that a place in procfs is about.
pub(crate) fn procfs_pid(place: &[u8]) -> Option<u32> {
    let name = place.strip_prefix(b"/proc/")?.split(|octet| *octet == b'/').next()?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// The kernel would let us look into ourselves; the workload must not look through us.
pub(crate) fn refuse_supervisor(place: &[u8]) -> SysResult<()> {
    const OPEN_TO_ALL: [&[u8]; 7] =
        [b"stat", b"status", b"statm", b"cmdline", b"comm", b"cgroup", b"mountinfo"];
    let own = std::process::id();
    let Some(rest) = place.strip_prefix(format!("/proc/{own}/").as_bytes()) else {
        return Ok(());
    };
    if OPEN_TO_ALL.contains(&rest) { Ok(()) } else { Err(Errno(libc::EACCES)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(path: &std::path::Path) -> libc::stat {
        let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let held = sys::open(path, libc::O_PATH | libc::O_NOFOLLOW).unwrap();
        sys::fstat(held.as_fd()).unwrap()
    }

    #[test]
    fn a_link_of_another_user_where_everybody_may_put_one_is_a_trap() {
        let with = |mode: u32, owner: u32, link_owner: u32, fsuid: u32| {
            let mut directory = stat(std::path::Path::new("/"));
            let mut link = directory;
            (directory.st_mode, directory.st_uid, link.st_uid) = (mode, owner, link_owner);
            is_trap(fsuid, &directory, &link)
        };
        assert!(with(0o041_777, 0, 7, 8), "a sticky directory, a stranger's link");
        assert!(with(0o041_777, 0, 7, 0), "for root too");
        assert!(!with(0o041_777, 0, 8, 8), "one's own link");
        assert!(!with(0o041_777, 7, 7, 8), "the directory's owner's link");
        assert!(!with(0o040_777, 0, 7, 8), "not sticky");
        assert!(!with(0o041_775, 0, 7, 8), "not open to everybody");
    }
}
