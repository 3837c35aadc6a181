//! Digests of files that the kernel cannot read in its hook, taken while the task waits there.
//!
//! The file is found by its name and proven by the entry that the program has just made for its
//! inode: another file that the name leads to meanwhile has another entry, or none.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use sha2::Digest as _;
use sha2::Sha256;
use tsem::Digest;

use crate::wire;

const BUFFER_SIZE: usize = 1 << 17;

/// The digest of the file at `path` for a process, if its inode has this entry before and after.
pub(crate) fn digest(contents: &MapHandle, pid: u32, path: &[u8], born: u64) -> Option<Digest> {
    let mut file = find(contents, pid, path, born)?;
    let digest = hash(&mut file)?;
    is_born(contents, &file, born).then_some(digest)
}

fn find(contents: &MapHandle, pid: u32, path: &[u8], born: u64) -> Option<File> {
    let named = candidates(pid, path).into_iter().filter_map(|path| open(&path));
    let held = descriptors(pid).into_iter().filter_map(|path| open(&path));
    named.chain(held).find(|file| is_born(contents, file, born))
}

/// As the process sees the name, and as we do.
fn candidates(pid: u32, path: &[u8]) -> Vec<PathBuf> {
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let below = path.strip_prefix("/").unwrap_or(path);
    vec![Path::new(&format!("/proc/{pid}/root")).join(below), path.to_path_buf()]
}

/// A file without a name is executed by a descriptor.
fn descriptors(pid: u32) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Only a regular file is opened: opening another may have an effect.
fn open(path: &Path) -> Option<File> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()
}

fn is_born(contents: &MapHandle, file: &File, born: u64) -> bool {
    let key = file.as_fd().as_raw_fd().to_ne_bytes();
    let entry = contents.lookup(&key, MapFlags::ANY).ok().flatten();
    entry.and_then(|entry| wire::born_of(&entry)) == Some(born)
}

fn hash(file: &mut File) -> Option<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(Digest(hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
