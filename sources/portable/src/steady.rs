//! Whether a path keeps leading to the directory that it leads to.
//!
//! Where the kernel is given a path again, after what it names was judged, somebody could have exchanged a part of it. It
//! is steady if only root and the caller's own user could: their processes outside the namespace may do anything with the
//! workload, and those within change names through us.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use crate::path::PROC;
use crate::sys;
use crate::sys::Errno;
use crate::sys::OpenHow;
use crate::sys::SysResult;

/// As many as the kernel follows, `path_resolution(7)`.
const LINKS_MAX: u32 = 40;
/// `FUSE_SUPER_MAGIC`, linux/magic.h.
const FUSE: u32 = 0x6573_5546;
const OTHERS_WRITE: u32 = libc::S_IWGRP | libc::S_IWOTH;

/// A walk from a directory, from whose root absolute links go on.
pub(crate) struct Walk<'a> {
    pub(crate) root: BorrowedFd<'a>,
    pub(crate) from: BorrowedFd<'a>,
    /// The caller's user.
    pub(crate) user: u32,
}

impl Walk<'_> {
    /// Whether the path of a directory leads steadily to `to`. What cannot be told is not steady.
    pub(crate) fn leads_to(&self, path: &[u8], to: BorrowedFd<'_>) -> bool {
        let same = |one: libc::stat, other: libc::stat| {
            (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        };
        let end = self.end(path);
        end.is_ok_and(|end| end.zip(sys::fstat(to).ok()).is_some_and(|(end, to)| same(end, to)))
    }

    /// What is at the end of the path; `None` if that is not steady.
    fn end(&self, path: &[u8]) -> SysResult<Option<libc::stat>> {
        let mut at = self.start(path)?;
        let (mut rest, mut links) = (components(path), 0);
        while let Some(name) = rest.pop_front() {
            if name == b".." || !self.is_steady(&at)? {
                return Ok(None);
            }
            // Where everybody makes names, each is its owner's.
            let entry = sys::stat_at(at.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW)?;
            if !self.is_ours(entry.st_uid) {
                return Ok(None);
            }
            if entry.st_mode & libc::S_IFMT != libc::S_IFLNK {
                at = open(at.as_fd(), &name)?;
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Ok(None);
            }
            let target = sys::readlink_at(at.as_fd(), &name)?;
            if target.starts_with(b"/") {
                at = self.start(&target)?;
            }
            rest = components(&target).into_iter().chain(rest).collect();
        }
        let end = sys::fstat(at.as_fd())?;
        Ok(self.is_steady(&at)?.then_some(end))
    }

    fn start(&self, path: &[u8]) -> SysResult<OwnedFd> {
        let start = if path.starts_with(b"/") { self.root } else { self.from };
        start.try_clone_to_owned().map_err(|_| Errno(libc::EMFILE))
    }

    /// Whether what is ours in a directory stays there. In procfs names mean something else to everybody, and who
    /// serves a FUSE mount says of owners and names what he likes.
    fn is_steady(&self, directory: &OwnedFd) -> SysResult<bool> {
        let status = sys::fstat(directory.as_fd())?;
        let kept = status.st_mode & OTHERS_WRITE == 0 || status.st_mode & libc::S_ISVTX != 0;
        let file_system = sys::file_system_of(directory.as_fd())?;
        Ok(kept && self.is_ours(status.st_uid) && !matches!(file_system, PROC | FUSE))
    }

    fn is_ours(&self, owner: u32) -> bool {
        owner == 0 || owner == self.user
    }
}

fn open(at: BorrowedFd<'_>, name: &[u8]) -> SysResult<OwnedFd> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_DIRECTORY | libc::O_CLOEXEC;
    sys::openat2(at, name, OpenHow { flags: flags as u64, mode: 0, resolve: 0 })
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    let parts = path.split(|octet| *octet == b'/');
    parts.filter(|part| !matches!(*part, b"" | b".")).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::File;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::chown;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    const STRANGER: u32 = 12345;

    fn leads(from: &Path, path: &Path, to: &Path) -> bool {
        let open = |path: &Path| File::open(path).unwrap();
        let (root, from, to) = (open(Path::new("/")), open(from), open(to));
        let walk = Walk { root: root.as_fd(), from: from.as_fd(), user: own_user() };
        walk.leads_to(path.as_os_str().as_bytes(), to.as_fd())
    }

    fn own_user() -> u32 {
        fs::metadata("/proc/self").unwrap().uid()
    }

    #[test]
    fn a_path_is_steady_where_nobody_else_can_change_it() {
        let folder = std::env::temp_dir().join(format!("quixote-steady-{}", std::process::id()));
        let inner = folder.join("outer/inner");
        fs::create_dir_all(&inner).unwrap();
        let other = folder.join("other");
        fs::create_dir(&other).unwrap();
        let root = Path::new("/");
        assert!(leads(root, &inner, &inner));
        assert!(!leads(root, &inner, &other), "it leads elsewhere");
        assert!(!leads(root, &folder.join("none"), &other), "it leads nowhere");
        assert!(leads(&folder, Path::new("outer//./inner/"), &inner));
        assert!(leads(&folder, Path::new("."), &folder));
        assert!(!leads(&folder, Path::new("other/../outer/inner"), &inner));
        symlink(&inner, folder.join("absolute")).unwrap();
        symlink("outer", folder.join("relative")).unwrap();
        assert!(leads(&folder, Path::new("absolute"), &inner));
        assert!(leads(&folder, Path::new("relative/inner"), &inner));
        symlink("round", folder.join("round")).unwrap();
        assert!(!leads(&folder, Path::new("round"), &folder));
        assert!(!leads(root, Path::new("/proc/self/cwd"), &std::env::current_dir().unwrap()));

        let outer = folder.join("outer");
        fs::set_permissions(&outer, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!leads(root, &inner, &inner), "everybody can change it");
        assert!(!leads(root, &outer, &outer), "everybody can take away what is made there");
        fs::set_permissions(&outer, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(leads(root, &inner, &inner), "only its owner can change what is in it");
        assert_eq!(own_user(), 0, "files of others can be made only as root");
        chown(&inner, Some(STRANGER), None).unwrap();
        assert!(!leads(root, &inner, &inner), "a stranger can put another in its place");
        chown(&inner, Some(own_user()), None).unwrap();
        assert!(leads(root, &inner, &inner));
        chown(&outer, Some(STRANGER), None).unwrap();
        assert!(!leads(root, &inner, &inner), "a stranger can change it");
        std::os::unix::fs::lchown(folder.join("absolute"), Some(STRANGER), None).unwrap();
        chown(&outer, Some(0), None).unwrap();
        assert!(!leads(&folder, Path::new("absolute"), &inner), "the link is a stranger's");
        fs::remove_dir_all(folder).unwrap();
    }
}
