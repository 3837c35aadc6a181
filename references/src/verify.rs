//! The files of a system against its references.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;

use crate::digest::Algorithm;
use crate::digest::FileDigest;
use crate::record::FileFlags;
use crate::record::Reference;
use crate::scan::Progress;

const BUFFER: usize = 256 << 10;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Its contents are not what is vouched for.
    Contents,
    /// It is not there.
    Missing,
    /// It is there, and no regular file.
    Kind,
    /// It cannot be read.
    Unreadable,
    /// The reference's digest is of an algorithm that vouches for nothing, or that is not computed.
    Unchecked,
}

impl Difference {
    /// Its name in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Contents => "changed",
            Self::Missing => "missing",
            Self::Kind => "no regular file",
            Self::Unreadable => "unreadable",
            Self::Unchecked => "unchecked",
        }
    }
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verification<'a> {
    /// Files whose contents are vouched for.
    pub same: usize,
    /// What differs, in the order of the references.
    pub differences: Vec<(&'a Reference, Difference)>,
}

/// Hashes every file below `root` that a reference names, and compares. Ghosts and what asks not to be verified
/// are passed over.
pub fn verify<'a>(
    root: &Path,
    references: &'a [Reference],
    threads: usize,
    progress: Progress<'_>,
) -> std::io::Result<Verification<'a>> {
    let root = File::open(root)?;
    let (next, same) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let differences = Mutex::new(Vec::new());
    let one_thread = || {
        let mut buffer = vec![0; BUFFER];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(reference) = references.get(index) else { return };
            let passed = [FileFlags::GHOST, FileFlags::NO_VERIFY];
            if passed.into_iter().any(|flag| reference.flags.has(flag)) {
                continue;
            }
            match compare(&root, reference, &mut buffer) {
                Ok(()) => drop(same.fetch_add(1, Ordering::Relaxed)),
                Err(difference) => {
                    let mut all =
                        differences.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    all.push((index, difference));
                }
            }
            if index.is_multiple_of(64) {
                progress(index, references.len());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(one_thread);
        }
    });
    let mut differences =
        differences.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    differences.sort_unstable();
    let named = differences.into_iter().map(|(index, difference)| (&references[index], difference));
    Ok(Verification { same: same.into_inner(), differences: named.collect() })
}

fn compare(root: &File, reference: &Reference, buffer: &mut [u8]) -> Result<(), Difference> {
    let digest = digest(root, &reference.path, reference.digest.algorithm(), buffer)?;
    if digest == reference.digest { Ok(()) } else { Err(Difference::Contents) }
}

/// The digest of the regular file at `path` below `root`; links on the way stay below it.
pub fn digest(
    root: &File,
    path: &[u8],
    algorithm: Algorithm,
    buffer: &mut [u8],
) -> Result<FileDigest, Difference> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    // NONBLOCK: a FIFO in a file's place must not hold us up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve);
    let file = File::from(opened.map_err(|errno| match errno {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => Difference::Missing,
        rustix::io::Errno::LOOP => Difference::Kind,
        _ => Difference::Unreadable,
    })?);
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Difference::Kind);
    }
    let octets = match algorithm {
        Algorithm::Sha256 => hash::<sha2::Sha256>(file, buffer),
        Algorithm::Sha224 => hash::<sha2::Sha224>(file, buffer),
        Algorithm::Sha384 => hash::<sha2::Sha384>(file, buffer),
        Algorithm::Sha512 => hash::<sha2::Sha512>(file, buffer),
        _ => return Err(Difference::Unchecked),
    };
    let octets = octets.map_err(|_| Difference::Unreadable)?;
    FileDigest::new(algorithm, &octets).ok_or(Difference::Unchecked)
}

fn hash<H: sha2::Digest>(mut file: File, buffer: &mut [u8]) -> std::io::Result<Vec<u8>> {
    let mut hasher = H::new();
    loop {
        match file.read(buffer)? {
            0 => return Ok(hasher.finalize().to_vec()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
