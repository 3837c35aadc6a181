//! Debian: from the signed release to the files of a package.
//!
//! A release (`InRelease`, or `Release` with `Release.gpg`) is signed and states the digests of its indexes; an
//! index states the digest of each package file; the files in that are hashed by us. dpkg's own `md5sums` take
//! no part: they are in nobody's signature, and MD5 vouches for nothing.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::io::Seek as _;
use std::path::Path;
use std::path::PathBuf;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::bounds;
use reference_formats::statement::Part;
use sha2::Digest as _;
use sha2::Sha256;

use crate::installed::Installed;
use crate::openpgp::Keyring;
use crate::problem::NotVouched;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Format;
use crate::record::Signer;
use crate::record::Verified;
use crate::statements::Collector;
use crate::statements::PackageReading;
use crate::statements::text;

/// Where apt keeps releases and indexes.
pub const LISTS: &str = "var/lib/apt/lists";
/// Where apt keeps package files, if it does.
pub const ARCHIVES: &str = "var/cache/apt/archives";
/// What apt appends to an index that it keeps compressed.
const COMPRESSED: [&str; 5] = ["", ".lz4", ".gz", ".xz", ".zst"];

/// How a text that is signed within itself begins, and how a signature does.
const SIGNED_TEXT: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

/// SHA-256 of a file.
pub type Sha256Digest = [u8; 32];

/// A release whose signature holds.
#[derive(Clone, Debug)]
pub struct Release {
    /// Whose signature.
    pub signer: Signer,
    /// What the release says of itself: `Suite`, `Codename`, `Date`, `Valid-Until`, ...
    pub facts: BTreeMap<String, String>,
    indexes: BTreeMap<String, Sha256Digest>,
}

impl Release {
    /// Reads an `InRelease`: its text counts only as far as the signature covers it.
    pub fn signed_inline(
        octets: &[u8],
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> Result<Self, Problem> {
        let (mut signed, mut signatures) = (None, Vec::new());
        readers.ask(Domain::Unverified, Job::ClearSigned, &mut &*octets, &mut |said| {
            match said {
                Statement::Octets { part: Part::Signed, octets } if signed.is_none() => {
                    signed = Some(octets.to_vec());
                }
                Statement::Octets { part: Part::Signature, octets } => {
                    signatures.extend_from_slice(octets);
                }
                _ => return Err(Refusal::Malformed.into()),
            }
            Ok(())
        })?;
        let signed = signed.ok_or(Problem::Missing("signed text"))?;
        let signer = keys.verify(&signatures, &signed, now_s)?;
        Self::read(&signed, signer, readers)
    }

    /// Reads a `Release` with the signatures of its `Release.gpg`.
    pub fn signed_apart(
        octets: &[u8],
        signature: &[u8],
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> Result<Self, Problem> {
        let packets = detached(signature, readers)?;
        let signer = keys.verify(&packets, octets, now_s)?;
        Self::read(octets, signer, readers)
    }

    /// Reads a release as [`Indexes`] and the store keep it: an `InRelease`, or a `Release` with its `Release.gpg` behind it.
    /// Where the one is taken to end decides nothing: elsewhere the signature does not hold.
    pub(crate) fn kept(
        octets: &[u8],
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> Result<Self, Problem> {
        if octets.starts_with(SIGNED_TEXT) {
            return Self::signed_inline(octets, keys, now_s, readers);
        }
        let mut places = octets.windows(SIGNATURE.len());
        let at = places.rposition(|some| some == SIGNATURE).ok_or(Refusal::Missing)?;
        let (text, signature) = octets.split_at(at);
        Self::signed_apart(text, signature, keys, now_s, readers)
    }

    fn read(octets: &[u8], signer: Signer, readers: &mut Readers) -> Result<Self, Problem> {
        let (mut facts, mut indexes) = (BTreeMap::new(), BTreeMap::new());
        let domain = Domain::Signer(&signer.key);
        readers.ask(domain, Job::Release, &mut &*octets, &mut |said| {
            match said {
                Statement::Fact { name, value } => drop(facts.insert(text(name)?, text(value)?)),
                Statement::Entry(entry) => {
                    let digest = entry.digest.try_into().map_err(|_| Refusal::Malformed)?;
                    indexes.insert(text(entry.place)?, digest);
                }
                _ => return Err(Refusal::Malformed.into()),
            }
            Ok(())
        })?;
        Ok(Self { signer, facts, indexes })
    }

    /// The digest of the index of this name (`main/binary-amd64/Packages`), uncompressed.
    pub fn index(&self, name: &str) -> Option<&Sha256Digest> {
        self.indexes.get(name)
    }
}

/// The packets of a detached signature.
pub(crate) fn detached(signature: &[u8], readers: &mut Readers) -> Result<Vec<u8>, Problem> {
    let mut packets = Vec::new();
    readers.ask(Domain::Unverified, Job::Detached, &mut &*signature, &mut |said| {
        let Statement::Octets { part: Part::Signature, octets } = said else {
            return Err(Refusal::Malformed.into());
        };
        packets.extend_from_slice(octets);
        Ok(())
    })?;
    Ok(packets)
}

/// A package that a signed index lists.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Name, version and architecture.
    pub identity: [String; 3],
    /// The index that lists it, by its name in the release.
    pub index: String,
    /// The digest of that index.
    pub index_digest: Sha256Digest,
    /// The release, by the digest of its file.
    pub release_digest: Sha256Digest,
    /// Whose signature the release has.
    pub signer: Signer,
}

/// What signed indexes list, by the digest of the package file.
#[derive(Debug, Default)]
pub struct Indexes {
    listed: HashMap<Sha256Digest, Listed>,
    releases: HashMap<Sha256Digest, Vec<u8>>,
}

impl Indexes {
    /// Reads every release and index that apt keeps below `root`. What does not hold is told, and lists nothing.
    pub fn of_apt(
        root: &Path,
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> (Self, Vec<NotVouched>) {
        let (mut indexes, mut not) = (Self::default(), Vec::new());
        let lists = root.join(LISTS);
        let Ok(entries) = std::fs::read_dir(&lists) else { return (indexes, not) };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names.iter().filter_map(|name| name.to_str()) {
            let inline = name.strip_suffix("InRelease");
            // apt fetches the one or the other.
            let apart = name.strip_suffix("Release.gpg");
            let Some(base) = inline.or(apart) else { continue };
            let added = indexes.add_release(&lists, base, inline.is_some(), keys, now_s, readers);
            if let Err(why) = added {
                not.push(NotVouched { what: lists.join(name).display().to_string(), why });
            }
        }
        (indexes, not)
    }

    /// Adds a release, signed within itself or apart, and its indexes.
    fn add_release(
        &mut self,
        lists: &Path,
        base: &str,
        inline: bool,
        keys: &Keyring,
        now_s: u64,
        readers: &mut Readers,
    ) -> Result<(), Problem> {
        let file = |name: &str| read(&lists.join(format!("{base}{name}")));
        let (octets, release) = if inline {
            let octets = file("InRelease")?;
            let release = Release::signed_inline(&octets, keys, now_s, readers)?;
            (octets, release)
        } else {
            let octets = [file("Release")?, file("Release.gpg")?].concat();
            let release = Release::kept(&octets, keys, now_s, readers)?;
            (octets, release)
        };
        let digest = sha256(&octets);
        self.releases.insert(digest, octets);
        self.add_all(lists, base, &release, digest, readers)
    }

    /// Adds every index of a release that lies beside it.
    fn add_all(
        &mut self,
        lists: &Path,
        base: &str,
        release: &Release,
        release_digest: Sha256Digest,
        readers: &mut Readers,
    ) -> Result<(), Problem> {
        for name in release.indexes.keys().filter(|name| name.ends_with("/Packages")) {
            let file = format!("{base}{}", name.replace('/', "_"));
            let candidates = COMPRESSED.map(|suffix| lists.join(format!("{file}{suffix}")));
            if let Some(path) = candidates.iter().find(|path| path.exists()) {
                let octets = expanded(path, readers)?;
                self.add(release, release_digest, name, &octets, readers)?;
            }
        }
        Ok(())
    }

    /// Adds an index, if it is the one that the release states.
    pub fn add(
        &mut self,
        release: &Release,
        release_digest: Sha256Digest,
        name: &str,
        octets: &[u8],
        readers: &mut Readers,
    ) -> Result<(), Problem> {
        let index_digest = sha256(octets);
        if release.index(name) != Some(&index_digest) {
            return Err(Problem::Changed("index"));
        }
        let domain = Domain::Signer(&release.signer.key);
        let mut input = octets;
        readers.ask(domain, Job::Packages, &mut input, &mut |said| {
            let Statement::Entry(entry) = said else { return Err(Refusal::Malformed.into()) };
            // Very old archives list MD5 alone: such a package is not listed for us.
            let Ok(digest) = Sha256Digest::try_from(entry.digest) else { return Ok(()) };
            let identity = [text(entry.name)?, text(entry.version)?, text(entry.arch)?];
            let listed = Listed {
                identity,
                index: name.to_owned(),
                index_digest,
                release_digest,
                signer: release.signer.clone(),
            };
            if self.listed.len() >= bounds::ENTRIES * 4 {
                return Err(Problem::TooLarge("number of packages"));
            }
            self.listed.insert(digest, listed);
            Ok(())
        })
    }

    /// How many package files are listed.
    pub fn len(&self) -> usize {
        self.listed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// What lists a package file with this digest.
    pub fn find(&self, digest: &Sha256Digest) -> Option<&Listed> {
        self.listed.get(digest)
    }

    /// A release's file, by its digest.
    pub fn release(&self, digest: &Sha256Digest) -> Option<&[u8]> {
        self.releases.get(digest).map(Vec::as_slice)
    }
}

/// An index as it was signed: apt may keep it compressed by itself.
fn expanded(path: &Path, readers: &mut Readers) -> Result<Vec<u8>, Problem> {
    let octets = read(path)?;
    if path.extension().is_none_or(|extension| {
        !COMPRESSED.contains(&&*format!(".{}", extension.to_string_lossy()))
    }) {
        return Ok(octets);
    }
    let mut all = Vec::new();
    readers.ask(Domain::Unverified, Job::Expand, &mut &octets[..], &mut |said| {
        let Statement::Octets { octets, .. } = said else { return Err(Refusal::Malformed.into()) };
        if all.len() + octets.len() > bounds::INDEX {
            return Err(Problem::TooLarge("index"));
        }
        all.extend_from_slice(octets);
        Ok(())
    })?;
    Ok(all)
}

/// A package file that was read, and what lists it.
#[derive(Clone, Debug)]
pub struct DebReading {
    /// The package and its files.
    pub reading: PackageReading,
    /// The digest of the package file.
    pub digest: Sha256Digest,
    /// What lists it.
    pub listed: Listed,
}

/// Reads a package file that a signed index lists: all of its files, hashed.
pub fn package(
    path: &Path,
    indexes: &Indexes,
    readers: &mut Readers,
) -> Result<DebReading, Problem> {
    let mut file = File::open(path).map_err(Problem::file(path))?;
    let digest = hash_file(&mut file).map_err(Problem::file(path))?;
    let listed = indexes.find(&digest).ok_or(Problem::NotListed(""))?;
    file.rewind().map_err(Problem::file(path))?;
    let mut input = Hashing { input: &mut file, hasher: Sha256::new() };
    let mut collector = Collector::default();
    let domain = Domain::Signer(&listed.signer.key);
    readers.ask(domain, Job::Deb, &mut input, &mut |said| collector.hear(said))?;
    // The octets that were read are those that were looked up, also if somebody writes to the file.
    if Sha256Digest::from(input.hasher.finalize()) != digest {
        return Err(Problem::Changed("file"));
    }
    let signer = Some(listed.signer.clone());
    let reading = collector.finish(Format::Deb, Verified::Release, signer)?;
    let package = &reading.package;
    if [&package.name, &package.version, &package.arch] != listed.identity.each_ref() {
        return Err(Problem::Changed("name, version or architecture"));
    }
    Ok(DebReading { reading, digest, listed: listed.clone() })
}

/// Hashes what is read through it.
struct Hashing<'a> {
    input: &'a mut dyn Read,
    hasher: Sha256,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn hash_file(file: &mut File) -> std::io::Result<Sha256Digest> {
    let mut hashing = Hashing { input: file, hasher: Sha256::new() };
    let mut buffer = vec![0; 256 << 10];
    while hashing.read(&mut buffer)? > 0 {}
    Ok(hashing.hasher.finalize().into())
}

pub(crate) fn sha256(octets: &[u8]) -> Sha256Digest {
    Sha256::digest(octets).into()
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let mut octets = Vec::new();
    let file = File::open(path).map_err(Problem::file(path))?;
    let limit = bounds::INDEX as u64 + 1;
    file.take(limit).read_to_end(&mut octets).map_err(Problem::file(path))?;
    if octets.len() > bounds::INDEX { Err(Problem::TooLarge("file")) } else { Ok(octets) }
}

/// The file of an installed package, as apt names it, where one of `folders` has it.
pub fn find(installed: &Installed, folders: &[PathBuf]) -> Option<PathBuf> {
    Installed::find_in(&[file_name(installed)], folders)
}

/// As apt names the file: the epoch's colon is escaped.
pub(crate) fn file_name(installed: &Installed) -> String {
    let Installed { name, version, arch } = installed;
    let version = version.replace('%', "%25").replace(':', "%3a");
    format!("{name}_{version}_{arch}.deb")
}

/// What dpkg has installed below `root`.
pub fn installed(root: &Path, readers: &mut Readers) -> Result<Vec<Installed>, Problem> {
    let octets = read(&root.join("var/lib/dpkg/status"))?;
    let mut all = Vec::new();
    readers.ask(Domain::Local, Job::Packages, &mut &octets[..], &mut |said| {
        let Statement::Entry(entry) = said else { return Err(Refusal::Malformed.into()) };
        if entry.place.ends_with(b" installed") {
            all.push(Installed::said([entry.name, entry.version, entry.arch])?);
        }
        Ok(())
    })?;
    all.sort();
    Ok(all)
}

/// The permission bits that files have by `dpkg-statoverride`, whatever their package says.
pub fn mode_overrides(root: &Path) -> HashMap<Vec<u8>, u32> {
    let text = std::fs::read(root.join("var/lib/dpkg/statoverride")).unwrap_or_default();
    let line = |line: &[u8]| {
        // User, group, mode; the rest is the path, with whatever spaces it has.
        let mut fields = line.splitn(4, |octet| *octet == b' ');
        let (mode, path) = (fields.nth(2)?, fields.next()?);
        let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
        (path.starts_with(b"/") && mode <= 0o7777).then(|| (path.to_vec(), mode))
    };
    text.split(|octet| *octet == b'\n').filter_map(line).collect()
}

/// Where files of packages were diverted to (`dpkg-divert`): from path to path, with the package that is exempt.
pub fn diversions(root: &Path) -> HashMap<Vec<u8>, (Vec<u8>, String)> {
    let text = std::fs::read(root.join("var/lib/dpkg/diversions")).unwrap_or_default();
    let lines: Vec<&[u8]> = text.split(|octet| *octet == b'\n').collect();
    let three = lines.chunks_exact(3);
    three
        .map(|three| {
            let owner = String::from_utf8_lossy(three[2]).into_owned();
            (three[0].to_vec(), (three[1].to_vec(), owner))
        })
        .collect()
}
