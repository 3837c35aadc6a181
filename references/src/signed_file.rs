//! What is signed as a whole, by a detached signature beside it: Arch packages, lists, bills of materials.

use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::path::Path;

use reference_formats::Job;
use reference_formats::bounds;

use crate::deb::detached;
use crate::openpgp::Keyring;
use crate::openpgp::SignatureProblem;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Format;
use crate::record::Verified;
use crate::statements::Collector;
use crate::statements::PackageReading;

/// The longest file that is held in memory to be verified.
const MAX_FILE: u64 = 1 << 30;
/// What is appended to a file's name for its signature.
const SIGNATURES: [&str; 3] = [".sig", ".asc", ".gpg"];

/// What a file that is signed as a whole can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An Arch package (`.pkg.tar.zst`).
    Arch,
    /// A list in mtree's form.
    Mtree,
    /// A list of digests and paths.
    List,
    /// An SPDX 2 document.
    Spdx,
    /// A `CycloneDX` document.
    CycloneDx,
}

impl Kind {
    fn job(self) -> Job {
        match self {
            Self::Arch => Job::Arch,
            Self::Mtree => Job::Mtree,
            Self::List => Job::List,
            Self::Spdx => Job::Spdx,
            Self::CycloneDx => Job::CycloneDx,
        }
    }

    fn format(self) -> Format {
        match self {
            Self::Arch => Format::Arch,
            Self::Mtree | Self::List => Format::List,
            Self::Spdx => Format::Spdx,
            Self::CycloneDx => Format::CycloneDx,
        }
    }
}

/// Reads a file whose detached signature (`FILE.sig`, `.asc` or `.gpg`) counts.
pub fn read(
    path: &Path,
    kind: Kind,
    keys: &Keyring,
    now_s: u64,
    readers: &mut Readers,
) -> Result<PackageReading, Problem> {
    let octets = contents(path)?;
    let signature = signature_of(path)?;
    let packets = detached(&signature, readers)?;
    let signer = keys.verify(&packets, &octets, now_s)?;
    let mut collector = Collector::default();
    let domain = Domain::Signer(&signer.key);
    readers.ask(domain, kind.job(), &mut &octets[..], &mut |said| collector.hear(said))?;
    // A plain list has no name of its own: its file's serves.
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    collector.name_if_none([name, String::new(), "all".to_owned()]);
    collector.finish(kind.format(), Verified::Signature, Some(signer))
}

fn contents(path: &Path) -> Result<Vec<u8>, Problem> {
    let mut file = File::open(path).map_err(Problem::file(path))?;
    let length = file.seek(std::io::SeekFrom::End(0)).map_err(Problem::file(path))?;
    file.rewind().map_err(Problem::file(path))?;
    if length > MAX_FILE {
        return Err(Problem::TooLarge("file"));
    }
    let mut octets = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut octets).map_err(Problem::file(path))?;
    Ok(octets)
}

fn signature_of(path: &Path) -> Result<Vec<u8>, Problem> {
    for suffix in SIGNATURES {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let name = Path::new(&name);
        if let Ok(file) = File::open(name) {
            let mut octets = Vec::new();
            let limit = bounds::SIGNATURE as u64;
            file.take(limit).read_to_end(&mut octets).map_err(Problem::file(name))?;
            return Ok(octets);
        }
    }
    Err(SignatureProblem::Missing.into())
}
