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

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of entries: kind, path, target of a link, contents.
    fn tar(entries: &[(u8, &str, &str, &str)]) -> Vec<u8> {
        let mut octets = Vec::new();
        for (kind, path, target, contents) in entries {
            let mut head = [0; 512];
            let mut put =
                |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
            put(0, path);
            put(100, "0000644");
            put(124, &format!("{:011o}", contents.len()));
            put(148, "        ");
            put(157, target);
            put(257, "ustar\x0000");
            head[156] = *kind;
            let sum: u32 = head.iter().map(|octet| u32::from(*octet)).sum();
            head[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
            octets.extend_from_slice(&head);
            octets.extend_from_slice(contents.as_bytes());
            octets.resize(octets.len().next_multiple_of(512), 0);
        }
        octets.resize(octets.len() + 1024, 0);
        octets
    }

    #[derive(Default)]
    struct Paths(Vec<String>);

    impl Sink for Paths {
        fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
            let Statement::File(file) = statement else { return Ok(()) };
            self.0.push(format!("{} {:x}", String::from_utf8_lossy(file.path), file.digest[0]));
            Ok(())
        }
    }

    fn said(repeats: bool, entries: &[(u8, &str, &str, &str)]) -> Result<Vec<String>, Refusal> {
        let tree = Tree { flags: &|_| 0, skip: &|_| false, repeats };
        let (octets, mut paths) = (tar(entries), Paths::default());
        tree.say(&mut Archive::new(&mut &octets[..]), &mut paths)?;
        Ok(paths.0)
    }

    /// What unpacks it keeps the last, which is not what was told first.
    #[test]
    fn a_file_that_is_twice_in_an_archive_is_refused_where_one_alone_may_be() {
        let twice = [(b'0', "./a", "", "one"), (b'0', "a", "", "two")];
        assert_eq!(said(false, &twice), Err(Refusal::Twice));
        assert_eq!(said(true, &twice).unwrap().len(), 2);
        let linked = [(b'0', "a", "", "one"), (b'0', "b", "", "two"), (b'1', "b", "a", "")];
        assert_eq!(said(false, &linked), Err(Refusal::Twice));
    }

    #[test]
    fn a_hard_link_has_the_contents_of_an_earlier_file() {
        let good = [(b'0', "a", "", "one"), (b'1', "b", "./a", "")];
        assert_eq!(said(false, &good).unwrap(), ["/a 76", "/b 76"]);
        for odd in [
            // To what is not there, to itself, to what comes later, in a circle, out of the archive.
            &[(b'1', "b", "a", "")][..],
            &[(b'1', "b", "b", "")],
            &[(b'1', "b", "a", ""), (b'0', "a", "", "one")],
            &[(b'1', "a", "b", ""), (b'1', "b", "a", "")],
        ] {
            assert_eq!(said(true, odd), Err(Refusal::Missing), "{odd:?}");
        }
        let out = [(b'0', "a", "", "one"), (b'1', "b", "../a", "")];
        assert_eq!(said(true, &out), Err(Refusal::Path));
    }
}
