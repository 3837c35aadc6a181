//! The files of an archive, each hashed: what DEB, apk, Arch and OCI layers have in common.

use std::collections::BTreeMap;
use std::io::Read as _;

use sha2::Digest as _;
use sha2::Sha256;

use crate::bounds;
use crate::refusal::Refusal;
use crate::statement::File;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::tar::Archive;
use crate::tar::Entry;
use crate::tar::Kind;

/// SHA-256, by its number in `OpenPGP`.
const SHA256: u8 = 8;
const BUFFER: usize = 64 << 10;
const REGULAR: u32 = 0o100_000;

/// What is to be made of an archive's entries.
pub struct Tree<'a> {
    /// The flags of the file at a path.
    pub flags: &'a dyn Fn(&[u8]) -> u8,
    /// Whether an entry belongs to the package itself, and not to what it installs.
    pub skip: &'a dyn Fn(&Entry) -> bool,
    /// Whether a path may be there several times, the last one counting.
    pub repeats: bool,
}

struct Seen {
    digest: [u8; 32],
    mode: u32,
    size: u64,
}

impl Tree<'_> {
    /// Says every entry of the archive.
    pub fn say(&self, archive: &mut Archive<'_>, sink: &mut dyn Sink) -> Result<(), Refusal> {
        let mut seen = BTreeMap::new();
        let mut buffer = vec![0; BUFFER];
        while let Some(entry) = archive.next_entry()? {
            if (self.skip)(&entry) {
                continue;
            }
            if seen.len() > bounds::FILES {
                return Err(Refusal::Bound);
            }
            let file = match entry.kind {
                Kind::File => {
                    let digest = hash(archive, &mut buffer)?;
                    Seen { digest, mode: entry.mode, size: entry.size }
                }
                Kind::HardLink => earlier(&seen, &entry.target)?,
                Kind::SymbolicLink => {
                    sink.say(&Statement::Other { path: &entry.path, target: &entry.target })?;
                    continue;
                }
                Kind::Directory | Kind::Special => {
                    sink.say(&Statement::Other { path: &entry.path, target: b"" })?;
                    continue;
                }
            };
            self.say_file(&entry, &file, sink)?;
            if seen.insert(entry.path, file).is_some() && !self.repeats {
                return Err(Refusal::Twice);
            }
        }
        Ok(())
    }

    fn say_file(&self, entry: &Entry, file: &Seen, sink: &mut dyn Sink) -> Result<(), Refusal> {
        sink.say(&Statement::File(File {
            path: &entry.path,
            algorithm: SHA256,
            digest: &file.digest,
            mode: Some(REGULAR | file.mode),
            size: Some(file.size),
            flags: (self.flags)(&entry.path),
        }))
    }
}

fn earlier(seen: &BTreeMap<Vec<u8>, Seen>, target: &[u8]) -> Result<Seen, Refusal> {
    let earlier = seen.get(&crate::tar::absolute(target)?).ok_or(Refusal::Missing)?;
    Ok(Seen { digest: earlier.digest, mode: earlier.mode, size: earlier.size })
}

fn hash(archive: &mut Archive<'_>, buffer: &mut [u8]) -> Result<[u8; 32], Refusal> {
    let mut hasher = Sha256::new();
    loop {
        match archive.read(buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
