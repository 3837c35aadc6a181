//! What a reader says of its input, and how that crosses the pipe.
//!
//! A frame is a length in four octets, little-endian, and the statement: a tag and its fields. The parent
//! takes each as an allegation: [`Statement::decode`] checks every length and bound again.

use crate::bounds;
use crate::cursor::Cursor;
use crate::refusal::Refusal;

/// The longest frame that carries octets to be verified: an RPM header at its bound.
pub const MAX_OCTETS: usize = 256 << 20;
/// What stands for "not stated" in sizes.
const NO_SIZE: u64 = u64::MAX;
/// What stands for "not stated" in modes.
const NO_MODE: u32 = u32::MAX;

/// One thing that a reader says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement<'a> {
    /// The parser is locked down; the bits of [`Lock`](crate::statement::lock) say how.
    Ready {
        /// What held.
        locks: u32,
    },
    /// The package that the files after it belong to.
    Package {
        /// Its name.
        name: &'a [u8],
        /// Its version, `[epoch:]version[-release]`.
        version: &'a [u8],
        /// Its architecture.
        arch: &'a [u8],
    },
    /// A file and the digest of its contents.
    File(File<'a>),
    /// A path that is no regular file: a link with its target, or (with none) a directory or other.
    Other {
        /// Its path.
        path: &'a [u8],
        /// Where a symbolic link points; empty for what is none.
        target: &'a [u8],
    },
    /// A path that a layer removes.
    Removed {
        /// Its path.
        path: &'a [u8],
    },
    /// A directory whose contents in lower layers a layer hides.
    Opaque {
        /// Its path.
        path: &'a [u8],
    },
    /// Octets for the parent to verify: a signature, a signed text, a header.
    Octets {
        /// Which.
        part: Part,
        /// The octets.
        octets: &'a [u8],
    },
    /// A name and what it is said to be.
    Fact {
        /// Which.
        name: &'a [u8],
        /// What.
        value: &'a [u8],
    },
    /// An entry of an index: a package or file elsewhere, by digest.
    Entry(Entry<'a>),
    /// The input was read to its end.
    Done,
    /// The input is refused; what was said before counts for nothing.
    Refused(Refusal),
}

/// A file and the digest of its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// The digest's algorithm, by its number in `OpenPGP`.
    pub algorithm: u8,
    /// The digest.
    pub digest: &'a [u8],
    /// Permission and type bits.
    pub mode: Option<u32>,
    /// Its length in octets.
    pub size: Option<u64>,
    /// Bits of [`flag`].
    pub flags: u8,
}

/// An entry of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What it is called: a package's name, or a file's path in the archive.
    pub name: &'a [u8],
    /// A package's version, or a media type.
    pub version: &'a [u8],
    /// A package's architecture, or a kind of entry.
    pub arch: &'a [u8],
    /// Where it lies.
    pub place: &'a [u8],
    /// The digest's algorithm, by its number in `OpenPGP`.
    pub algorithm: u8,
    /// The digest.
    pub digest: &'a [u8],
    /// Its length in octets.
    pub size: Option<u64>,
}

/// What a package says of a file besides; the numbers of `references::FileFlags`.
pub mod flag {
    /// Meant to be edited.
    pub const CONFIG: u8 = 1;
    /// Documentation.
    pub const DOC: u8 = 2;
    /// Named, and not in the package.
    pub const GHOST: u8 = 4;
    /// A licence's text.
    pub const LICENSE: u8 = 8;
    /// Its digest is not to be verified.
    pub const NO_VERIFY: u8 = 16;
}

/// What holds of a parser that is locked down.
pub mod lock {
    /// seccomp's strict mode, the last step: without it no parser reads. Where a filter is in force already (in most
    /// containers) the kernel has no way to it: then a further filter for the same calls, and [`FILTER`] besides.
    pub const STRICT: u32 = 1;
    /// `no_new_privs`.
    pub const NO_NEW_PRIVILEGES: u32 = 2;
    /// Not dumpable, so not to be traced or read by its own user.
    pub const NOT_DUMPABLE: u32 = 4;
    /// Bounds on memory, time, descriptors and processes.
    pub const LIMITS: u32 = 8;
    /// Nothing but the two pipes is open.
    pub const TWO_PIPES: u32 = 16;
    /// Landlock, without one rule.
    pub const LANDLOCK: u32 = 32;
    /// Own user, mount, network, process, IPC and host name namespaces.
    pub const NAMESPACES: u32 = 64;
    /// An empty root directory.
    pub const EMPTY_ROOT: u32 = 128;
    /// No capability is left.
    pub const CAPABILITIES: u32 = 256;
    /// [`STRICT`] is held by a filter.
    pub const FILTER: u32 = 512;
}

/// Which octets a reader hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// `OpenPGP` packets of one or several signatures.
    Signature = 1,
    /// The text or octets that the signature is to cover.
    Signed = 2,
    /// An RPM header, rebuilt from the database: what the signatures after it are to cover.
    Header = 3,
    /// A signature that covers the last header.
    HeaderSignature = 4,
    /// A key or certificate.
    Key = 5,
}

impl Part {
    fn from_code(code: u8) -> Result<Self, Refusal> {
        [Self::Signature, Self::Signed, Self::Header, Self::HeaderSignature, Self::Key]
            .into_iter()
            .find(|part| *part as u8 == code)
            .ok_or(Refusal::Malformed)
    }
}

/// Takes statements; in the parser it writes frames, in tests it collects.
pub trait Sink {
    /// Takes one.
    fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal>;
}

impl Statement<'_> {
    /// Appends the frame to `buffer`.
    pub fn encode(&self, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        match self {
            Self::Ready { locks } => {
                buffer.push(1);
                buffer.extend_from_slice(&locks.to_le_bytes());
            }
            Self::Package { name, version, arch } => put(buffer, 2, &[name, version, arch]),
            Self::File(file) => put_file(buffer, file),
            Self::Other { path, target } => put(buffer, 4, &[path, target]),
            Self::Removed { path } => put(buffer, 5, &[path]),
            Self::Opaque { path } => put(buffer, 6, &[path]),
            Self::Octets { part, octets } => {
                buffer.extend_from_slice(&[7, *part as u8]);
                counted(buffer, octets);
            }
            Self::Fact { name, value } => put(buffer, 8, &[name, value]),
            Self::Entry(entry) => put_entry(buffer, entry),
            Self::Done => buffer.push(10),
            Self::Refused(refusal) => buffer.extend_from_slice(&[11, *refusal as u8]),
        }
        let length = (buffer.len() - start - 4) as u32;
        buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

fn put(buffer: &mut Vec<u8>, tag: u8, fields: &[&[u8]]) {
    buffer.push(tag);
    for field in fields {
        counted(buffer, field);
    }
}

fn counted(buffer: &mut Vec<u8>, octets: &[u8]) {
    buffer.extend_from_slice(&(octets.len() as u32).to_le_bytes());
    buffer.extend_from_slice(octets);
}

fn put_file(buffer: &mut Vec<u8>, file: &File<'_>) {
    buffer.extend_from_slice(&[3, file.algorithm, file.flags]);
    buffer.extend_from_slice(&file.mode.unwrap_or(NO_MODE).to_le_bytes());
    buffer.extend_from_slice(&file.size.unwrap_or(NO_SIZE).to_le_bytes());
    counted(buffer, file.digest);
    counted(buffer, file.path);
}

fn put_entry(buffer: &mut Vec<u8>, entry: &Entry<'_>) {
    buffer.extend_from_slice(&[9, entry.algorithm]);
    buffer.extend_from_slice(&entry.size.unwrap_or(NO_SIZE).to_le_bytes());
    for field in [entry.digest, entry.name, entry.version, entry.arch, entry.place] {
        counted(buffer, field);
    }
}

impl<'a> Statement<'a> {
    /// Reads a frame's contents, without its length.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(frame);
        let statement = Self::take(&mut cursor)?;
        cursor.end()?;
        Ok(statement)
    }

    fn take(cursor: &mut Cursor<'a>) -> Result<Self, Refusal> {
        Ok(match cursor.u8()? {
            1 => Self::Ready { locks: cursor.le32()? },
            2 => Self::Package {
                name: cursor.counted(bounds::WORD)?,
                version: cursor.counted(bounds::WORD)?,
                arch: cursor.counted(bounds::WORD)?,
            },
            3 => Self::File(File::take(cursor)?),
            4 => Self::Other {
                path: cursor.counted(bounds::PATH)?,
                target: cursor.counted(bounds::PATH)?,
            },
            5 => Self::Removed { path: cursor.counted(bounds::PATH)? },
            6 => Self::Opaque { path: cursor.counted(bounds::PATH)? },
            7 => Self::Octets {
                part: Part::from_code(cursor.u8()?)?,
                octets: cursor.counted(MAX_OCTETS)?,
            },
            8 => Self::Fact {
                name: cursor.counted(bounds::WORD)?,
                value: cursor.counted(bounds::DOCUMENT)?,
            },
            9 => Self::Entry(Entry::take(cursor)?),
            10 => Self::Done,
            11 => Self::Refused(Refusal::from_code(cursor.u8()?)),
            _ => return Err(Refusal::Malformed),
        })
    }
}

impl<'a> File<'a> {
    fn take(cursor: &mut Cursor<'a>) -> Result<Self, Refusal> {
        let (algorithm, flags) = (cursor.u8()?, cursor.u8()?);
        let (mode, size) = (cursor.le32()?, cursor.le64()?);
        Ok(Self {
            algorithm,
            flags,
            mode: (mode != NO_MODE).then_some(mode),
            size: (size != NO_SIZE).then_some(size),
            digest: cursor.counted(64)?,
            path: cursor.counted(bounds::PATH)?,
        })
    }
}

impl<'a> Entry<'a> {
    fn take(cursor: &mut Cursor<'a>) -> Result<Self, Refusal> {
        let (algorithm, size) = (cursor.u8()?, cursor.le64()?);
        Ok(Self {
            algorithm,
            size: (size != NO_SIZE).then_some(size),
            digest: cursor.counted(64)?,
            name: cursor.counted(bounds::PATH)?,
            version: cursor.counted(bounds::WORD)?,
            arch: cursor.counted(bounds::WORD)?,
            place: cursor.counted(bounds::PATH)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<Statement<'static>> {
        let file = File {
            path: b"/usr/bin/x",
            algorithm: 8,
            digest: &[3; 32],
            mode: Some(0o100_755),
            size: None,
            flags: flag::CONFIG,
        };
        let entry = Entry {
            name: b"n",
            version: b"1",
            arch: b"all",
            place: b"pool/n.deb",
            algorithm: 8,
            digest: &[1; 32],
            size: Some(7),
        };
        vec![
            Statement::Ready { locks: lock::STRICT },
            Statement::Package { name: b"n", version: b"1:2-3", arch: b"amd64" },
            Statement::File(file),
            Statement::File(File { mode: None, size: Some(1), ..file }),
            Statement::Other { path: b"/bin", target: b"usr/bin" },
            Statement::Removed { path: b"/x" },
            Statement::Opaque { path: b"/y" },
            Statement::Octets { part: Part::Header, octets: &[9; 300] },
            Statement::Fact { name: b"k", value: b"v" },
            Statement::Entry(entry),
            Statement::Done,
            Statement::Refused(Refusal::Cycle),
        ]
    }

    #[test]
    fn what_is_said_is_heard() {
        for statement in all() {
            let mut frame = Vec::new();
            statement.encode(&mut frame);
            let (length, rest) = frame.split_at(4);
            assert_eq!(rest.len(), u32::from_le_bytes(length.try_into().unwrap()) as usize);
            assert_eq!(Statement::decode(rest), Ok(statement));
            for short in 0..rest.len() {
                assert!(Statement::decode(&rest[..short]).is_err(), "{statement:?} at {short}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_frame_panics(frame: Vec<u8>) {
            let _ = Statement::decode(&frame);
        }
    }
}
