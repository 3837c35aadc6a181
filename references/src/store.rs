//! Evidence kept at install time: apt throws away what vouches for a package once it is installed.
//!
//! For each package file: the release with its signature, which index of it lists the package, and the digests that
//! were computed from the file. The signature and the index's digest are checked again whenever the
//! evidence is used; that the index listed the package, and what the files' digests were, rests on the store,
//! which only its owner may write. A package so remembered is [`Verified::Captured`].

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::deb::DebReading;
use crate::deb::Indexes;
use crate::deb::Release;
use crate::deb::Sha256Digest;
use crate::digest::decode_hex;
use crate::digest::encode_hex;
use crate::installed::Installed;
use crate::json_lines::LineProblem;
use crate::openpgp::Keyring;
use crate::problem::Problem;
use crate::readers::Readers;
use crate::record::Package;
use crate::record::Reference;
use crate::record::Verified;
use crate::statements::PackageReading;

/// Where the store of a machine is, below its root.
pub const STORE: &str = "var/lib/quixote/references";

/// Why evidence cannot be kept or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreProblem {
    /// A file of the store.
    #[error("cannot use the store's {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others than its owner may write to the store.
    #[error("others may write to the store {}; run chmod go-w on it", .0.display())]
    Writable(PathBuf),
    /// A record that cannot be read.
    #[error("evidence of the store is damaged: {0}")]
    Damaged(#[from] LineProblem),
    /// The first line of a record cannot be read.
    #[error("evidence of the store is damaged: {0}")]
    Head(#[from] serde_json::Error),
    /// The evidence does not hold any more: key, signature or index.
    #[error("{0}")]
    NotHeld(#[source] Box<Problem>),
}

impl From<Problem> for StoreProblem {
    fn from(problem: Problem) -> Self {
        Self::NotHeld(Box::new(problem))
    }
}

/// The first line of a record: what lists the package.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    package: String,
    package_version: String,
    arch: String,
    deb_sha256: String,
    index: String,
    index_sha256: String,
    release_sha256: String,
}

const VERSION: u32 = 1;

/// Kept evidence.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Releases whose signature was checked, by the digest of their file.
    releases: BTreeMap<String, Release>,
}

impl Store {
    /// The store in `folder`, which only its owner may write. It need not exist yet.
    pub fn open(folder: &Path) -> Result<Self, StoreProblem> {
        for folder in [folder.to_owned(), folder.join("packages"), folder.join("releases")] {
            match fs::symlink_metadata(&folder) {
                Ok(there) if there.mode() & 0o022 != 0 || !there.is_dir() => {
                    return Err(StoreProblem::Writable(folder));
                }
                _ => {}
            }
        }
        Ok(Self { folder: folder.to_owned(), releases: BTreeMap::new() })
    }

    fn record(&self, package: &Installed) -> PathBuf {
        self.folder.join("packages").join(crate::deb::file_name(package)).with_extension("jsonl")
    }

    /// Keeps the evidence for a package file that was just read.
    pub fn keep(&self, deb: &DebReading, indexes: &Indexes) -> Result<PathBuf, StoreProblem> {
        let listed = &deb.listed;
        let release = indexes.release(&listed.release_digest).ok_or(Problem::Missing("release"))?;
        let release_sha256 = encode_hex(&listed.release_digest);
        let path = self.folder.join("releases").join(&release_sha256);
        write(&path, release)?;
        let [package, package_version, arch] = listed.identity.clone();
        let head = Head {
            version: VERSION,
            package,
            package_version,
            arch,
            deb_sha256: encode_hex(&deb.digest),
            index: listed.index.clone(),
            index_sha256: encode_hex(&listed.index_digest),
            release_sha256,
        };
        let mut text = serde_json::to_string(&head)? + "\n";
        for reference in &deb.reading.references {
            text += &reference.to_json_line();
            text.push('\n');
        }
        let package = &deb.reading.package;
        let installed = Installed {
            name: package.name.clone(),
            version: package.version.clone(),
            arch: package.arch.clone(),
        };
        let path = self.record(&installed);
        write(&path, text.as_bytes())?;
        Ok(path)
    }

    /// The kept references of an installed package; `None` when there is no evidence for it.
    pub fn recall(
        &mut self,
        package: &Installed,
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> Result<Option<PackageReading>, StoreProblem> {
        let path = self.record(package);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| StoreProblem::File { path, error })?,
        };
        let (head, lines) = text.split_once('\n').unwrap_or((&text, ""));
        let head: Head = serde_json::from_str(head)?;
        let same = head.version == VERSION
            && package.is([&head.package, &head.package_version, &head.arch]);
        if !same {
            return Err(Problem::Changed("name, version or architecture").into());
        }
        let signer = self.release(&head, keys, now_s, readers)?.signer.clone();
        let mut references: Vec<Reference> = Vec::new();
        for line in lines.lines() {
            references.push(Reference::from_json_line(line, references.last())?);
        }
        let package = std::sync::Arc::new(Package {
            format: crate::record::Format::Deb,
            name: head.package,
            version: head.package_version,
            arch: head.arch,
            signer: Some(signer),
            verified: Verified::Captured,
        });
        for reference in &mut references {
            reference.package = package.clone();
        }
        Ok(Some(PackageReading { package, references, others: Vec::new() }))
    }

    /// The release of a record: its signature counts today, and it states the index that listed the package.
    fn release(
        &mut self,
        head: &Head,
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> Result<&Release, StoreProblem> {
        let name = &head.release_sha256;
        let plain = name.len() == 64 && name.bytes().all(|octet| octet.is_ascii_hexdigit());
        if !plain {
            return Err(Problem::Changed("release").into());
        }
        if !self.releases.contains_key(name) {
            let octets = crate::deb::read(&self.folder.join("releases").join(name))?;
            if encode_hex(&crate::deb::sha256(&octets)) != *name {
                return Err(Problem::Changed("release").into());
            }
            let release = Release::kept(&octets, keys, now_s, readers)?;
            self.releases.insert(name.clone(), release);
        }
        let release = &self.releases[name];
        let index = decode_hex(head.index_sha256.as_bytes());
        let index = index.and_then(|octets| Sha256Digest::try_from(octets).ok());
        if index.is_none() || release.index(&head.index) != index.as_ref() {
            return Err(Problem::Changed("index").into());
        }
        Ok(release)
    }
}

/// Writes a file whole or not at all; one that is there already is left when it says the same.
fn write(path: &Path, octets: &[u8]) -> Result<(), StoreProblem> {
    let problem = |error| StoreProblem::File { path: path.to_owned(), error };
    if fs::read(path).is_ok_and(|there| there == octets) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(problem)?;
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o644).open(&unfinished);
    let written = file.and_then(|mut file| {
        file.write_all(octets)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&unfinished, path)).map_err(problem)
}
