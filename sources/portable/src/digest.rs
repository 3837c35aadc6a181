//! Content digests, and when an old one may be used again.
//!
//! A digest stands for a file's content only while nobody can have written since it was taken:
//! device, inode, size and both times are the same, the change lies further back than the clock's
//! granularity, and the file has a name and was never opened for writing in this namespace.

use std::collections::HashMap;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use sha2::Digest as _;
use sha2::Sha256;
use tsem::Digest;

use crate::file;
use crate::image::Program;
use crate::sys;
use crate::sys::SysResult;

const CLOCK_GRANULARITY: Duration = Duration::from_millis(50);
const ENTRIES_MAX: usize = 65_536;

/// What must be equal for a file's content to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    pub(crate) fn of(stat: &libc::stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether at most the change time differs, which names and attributes renew too.
    pub(crate) fn same_but_for_names(&self, other: &Self) -> bool {
        *self == Self { changed: self.changed, ..*other }
    }

    fn is_old(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let changed = Duration::new(self.changed.0.max(0) as u64, self.changed.1 as u32);
        now > changed + CLOCK_GRANULARITY
    }
}

/// What is known of a content.
#[derive(Clone, Debug)]
struct Known {
    version: Version,
    digest: Digest,
    /// Known once it was executed.
    program: Option<Arc<Program>>,
}

#[derive(Debug, Default)]
struct Entries {
    known: HashMap<(u64, u64), Known>,
    written: HashSet<(u64, u64)>,
}

/// The cache.
#[derive(Debug, Default)]
pub(crate) struct Digests(Mutex<Entries>);

impl Digests {
    /// The digest of a regular file held by `fd`, which need not be readable itself. Its `stat`
    /// was taken of the same object.
    pub(crate) fn of(&self, fd: BorrowedFd<'_>, stat: &libc::stat) -> SysResult<Digest> {
        let version = Version::of(stat);
        match self.known(&version) {
            Some(known) => Ok(known.digest),
            None => self.read(fd, stat, |_| None).map(|known| known.digest),
        }
    }

    /// As [`Digests::of`], and what the kernel would make of it as a program.
    pub(crate) fn of_program(
        &self,
        fd: BorrowedFd<'_>,
        stat: &libc::stat,
    ) -> SysResult<(Digest, Arc<Program>)> {
        let version = Version::of(stat);
        let known = self.known(&version).filter(|known| known.program.is_some());
        let program = |fd: BorrowedFd<'_>| {
            Some(Arc::new(Program::read(|offset, buffer| sys::pread(fd, buffer, offset).ok())))
        };
        let known = known.map_or_else(|| self.read(fd, stat, program), Ok)?;
        Ok((known.digest, known.program.unwrap_or_default()))
    }

    fn read(
        &self,
        fd: BorrowedFd<'_>,
        stat: &libc::stat,
        program: impl FnOnce(BorrowedFd<'_>) -> Option<Arc<Program>>,
    ) -> SysResult<Known> {
        let readable = file::reopen(fd, libc::O_RDONLY | libc::O_NONBLOCK, 0)?;
        let version = Version::of(stat);
        let old = version.is_old() && !is_nameless(stat);
        let digest = hash(readable.as_fd())?;
        let known = Known { version, digest, program: program(readable.as_fd()) };
        if old && Version::of(&sys::fstat(fd)?) == version {
            self.remember(known.clone());
        }
        Ok(known)
    }

    /// The namespace may write this file from now on.
    pub(crate) fn opened_for_writing(&self, stat: &libc::stat) {
        let mut entries = self.lock();
        entries.known.remove(&(stat.st_dev, stat.st_ino));
        entries.written.insert((stat.st_dev, stat.st_ino));
    }

    /// Whether this namespace may have opened the file for writing.
    pub(crate) fn may_be_written(&self, stat: &libc::stat) -> bool {
        is_nameless(stat) || self.lock().written.contains(&(stat.st_dev, stat.st_ino))
    }

    fn known(&self, version: &Version) -> Option<Known> {
        let entries = self.lock();
        let known = entries.known.get(&(version.device, version.inode))?;
        (known.version == *version).then(|| known.clone())
    }

    fn remember(&self, known: Known) {
        let mut entries = self.lock();
        let key = (known.version.device, known.version.inode);
        if entries.written.contains(&key) {
            return;
        }
        if entries.known.len() >= ENTRIES_MAX {
            entries.known.clear();
        }
        entries.known.insert(key, known);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As a memory file is: its maker may write it without opening it.
fn is_nameless(stat: &libc::stat) -> bool {
    stat.st_nlink == 0
}

fn hash(fd: BorrowedFd<'_>) -> SysResult<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    let mut offset = 0;
    loop {
        let read = sys::pread(fd, &mut buffer, offset)?;
        if read == 0 {
            return Ok(Digest(hasher.finalize().into()));
        }
        hasher.update(&buffer[..read]);
        offset += read as u64;
    }
}
