//! OCI images: a layout directory, or an archive of one.
//!
//! Everything hangs from a manifest's digest, which the user names (or a verified signature of one does): manifest, configuration and
//! layers are each hashed by us before they are read, and each expanded layer against the configuration's
//! `diff_ids`. Then the layers are laid over one another.

mod signatures;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::bounds;
use reference_formats::statement::Part;
use sha2::Digest as _;
use sha2::Sha256;

use crate::deb::Sha256Digest;
use crate::deb::sha256;
use crate::digest::decode_hex;
use crate::digest::encode_hex;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Format;
use crate::record::Package;
use crate::record::Reference;
use crate::record::Signer;
use crate::record::Verified;
use crate::statements::PackageReading;
use crate::statements::Stated;
use crate::statements::stated;
use crate::statements::text;

/// Most descriptors of one document; a parser keeps to fewer.
const MAX_DESCRIPTORS: usize = 8192;
/// Deepest resolution of links while a path is placed.
const MAX_LINKS: usize = 40;
const NO_LAYOUT: Problem = Problem::Missing("file oci-layout: it is no OCI layout");

/// A layout: a directory, or an archive of one.
#[derive(Clone, Debug)]
pub struct Layout {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    /// Where each file begins in the archive, and how long it is, as a parser says that nobody believes: what is read
    /// there is hashed.
    Archive {
        file: PathBuf,
        contents: BTreeMap<Vec<u8>, (u64, u64)>,
    },
}

/// Who says that an image is the one that is meant.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Nobody.
    #[default]
    None,
    /// The user, who named the digest of its manifest or index.
    Pinned(Sha256Digest),
    /// A key that signed that digest.
    Signed(Sha256Digest, Signer),
}

/// What an index or manifest names.
#[derive(Clone, Debug)]
struct Descriptor {
    name: String,
    media_type: String,
    arch: String,
    tag: String,
    digest: Sha256Digest,
    /// What cosign annotates of it.
    cosign: Cosign,
}

/// What cosign annotates.
#[derive(Clone, Debug, Default)]
struct Cosign {
    /// What it is in a layout that cosign saved.
    kind: String,
    /// Of a layer: its signature in the older form.
    signature: Option<Vec<u8>>,
    /// That signature is by a certificate.
    keyless: bool,
}

impl Layout {
    /// The layout in `folder`.
    pub fn open(folder: &Path) -> Result<Self, Problem> {
        let marker = folder.join("oci-layout");
        if marker.is_file() {
            Ok(Self { place: Place::Folder(folder.to_owned()) })
        } else {
            Err(NO_LAYOUT)
        }
    }

    /// The layout in an archive (tar, not compressed).
    pub fn open_archive(path: &Path, readers: &mut Readers) -> Result<Self, Problem> {
        let mut file = File::open(path).map_err(Problem::file(path))?;
        let mut contents = BTreeMap::new();
        readers.ask(Domain::Unverified, Job::OciArchive, &mut file, &mut |said| {
            let Statement::Entry(entry) = said else { return Err(Refusal::Malformed.into()) };
            let start = text(entry.version)?.parse().map_err(|_| Refusal::Malformed)?;
            let size = entry.size.ok_or(Refusal::Malformed)?;
            if contents.len() > bounds::FILES {
                return Err(Refusal::Bound.into());
            }
            contents.insert(entry.place.to_vec(), (start, size));
            Ok(())
        })?;
        if !contents.contains_key(&b"/oci-layout"[..]) {
            return Err(NO_LAYOUT);
        }
        Ok(Self { place: Place::Archive { file: path.to_owned(), contents } })
    }

    /// A file of the layout.
    fn file(&self, name: &str) -> Result<Contents, Problem> {
        match &self.place {
            Place::Folder(folder) => {
                let path = folder.join(name);
                let file = File::open(&path).map_err(Problem::file(&path))?;
                Ok(Contents { file, path, start: 0, size: u64::MAX })
            }
            Place::Archive { file: path, contents } => {
                let found = contents.get(format!("/{name}").as_bytes());
                let (start, size) = *found.ok_or(Problem::Missing("blob that it names"))?;
                let file = File::open(path).map_err(Problem::file(path))?;
                Ok(Contents { file, path: path.clone(), start, size })
            }
        }
    }

    /// Reads the image whose manifest (or index) is trusted. [`Trust::None`] takes the one image that the layout's
    /// unsigned index names, and vouches for nothing.
    pub fn image(
        &self,
        trust: &Trust,
        arch: &str,
        readers: &mut Readers,
    ) -> Result<PackageReading, Problem> {
        let (digest, verified, signer) = match trust {
            Trust::Pinned(digest) => (*digest, Verified::Pinned, None),
            Trust::Signed(digest, signer) => (*digest, Verified::Signature, Some(signer.clone())),
            Trust::None => (self.only_image(readers)?, Verified::Unsigned, None),
        };
        let domain_name = encode_hex(&digest);
        let domain = match (&signer, verified) {
            (Some(signer), _) => Domain::Signer(&signer.key),
            (None, Verified::Pinned) => Domain::Signer(&domain_name),
            _ => Domain::Unverified,
        };
        let (manifest, named) = self.manifest(digest, arch, domain, readers)?;
        let config = named.iter().find(|one| one.name == "config");
        let config = config.ok_or(Problem::Missing("configuration"))?;
        let (arch, diff_ids) = self.config(&config.digest, domain, readers)?;
        let layers: Vec<_> = named.iter().filter(|one| one.name == "layer").collect();
        if layers.len() != diff_ids.len() {
            return Err(Refusal::Inconsistent.into());
        }
        let mut image = Image::default();
        for (layer, diff_id) in layers.iter().zip(&diff_ids) {
            self.layer(&layer.digest, diff_id, domain, readers, &mut image)?;
        }
        Ok(image.finish(&encode_hex(&manifest), &arch, verified, signer))
    }

    /// What the layout's own index names.
    fn index(&self, readers: &mut Readers) -> Result<Vec<Descriptor>, Problem> {
        let index = self.file("index.json")?.document()?;
        descriptors(&index, Domain::Unverified, readers)
    }

    /// The manifest itself, through an index of platforms where there is one.
    fn manifest(
        &self,
        digest: Sha256Digest,
        arch: &str,
        domain: Domain<'_>,
        readers: &mut Readers,
    ) -> Result<(Sha256Digest, Vec<Descriptor>), Problem> {
        let named = descriptors(&self.blob(&digest)?, domain, readers)?;
        let mut of_arch = named.iter().filter(|one| one.name == "manifest" && one.arch == arch);
        match (named.iter().any(|one| one.name == "manifest"), of_arch.next()) {
            (false, _) => Ok((digest, named)),
            (true, None) => Err(Problem::Missing("image for this architecture")),
            (true, Some(one)) => {
                let inner = descriptors(&self.blob(&one.digest)?, domain, readers)?;
                // An index in an index has no end that anybody needs.
                if inner.iter().any(|one| one.name == "manifest") {
                    return Err(Refusal::Cycle.into());
                }
                Ok((one.digest, inner))
            }
        }
    }

    fn config(
        &self,
        digest: &Sha256Digest,
        domain: Domain<'_>,
        readers: &mut Readers,
    ) -> Result<(String, Vec<Sha256Digest>), Problem> {
        let (mut arch, mut diff_ids) = (String::new(), Vec::new());
        readers.ask(domain, Job::OciConfig, &mut &self.blob(digest)?[..], &mut |said| {
            match said {
                Statement::Fact { name: b"architecture", value } => arch = text(value)?,
                Statement::Fact { name: b"diff-id", value } => diff_ids.push(sha256_of(value)?),
                _ => return Err(Refusal::Malformed.into()),
            }
            Ok(())
        })?;
        Ok((arch, diff_ids))
    }

    fn blob_file(&self, digest: &Sha256Digest) -> Result<Contents, Problem> {
        self.file(&format!("blobs/sha256/{}", encode_hex(digest)))
    }

    /// A document that has the digest it is called by.
    fn blob(&self, digest: &Sha256Digest) -> Result<Vec<u8>, Problem> {
        let octets = self.blob_file(digest)?.document()?;
        if sha256(&octets) == *digest { Ok(octets) } else { Err(Problem::Changed("document")) }
    }

    fn layer(
        &self,
        digest: &Sha256Digest,
        diff_id: &Sha256Digest,
        domain: Domain<'_>,
        readers: &mut Readers,
        image: &mut Image,
    ) -> Result<(), Problem> {
        let mut file = self.blob_file(digest)?;
        // Hashed before it is read by a parser that is kept, and again while it is read.
        let whole = hash(file.reader()?);
        if whole.map_err(Problem::file(&file.path))? != *digest {
            return Err(Problem::Changed("layer"));
        }
        let mut input = Hashing { input: file.reader()?, hasher: Sha256::new() };
        let (mut expanded, mut layer) = (Vec::new(), Vec::new());
        readers.ask(domain, Job::OciLayer, &mut input, &mut |said| {
            match said {
                Statement::Fact { name: b"expanded-digest", value } => expanded = value.to_vec(),
                said => layer.push(Change::read(said)?),
            }
            if layer.len() > bounds::FILES {
                return Err(Refusal::Bound.into());
            }
            Ok(())
        })?;
        if Sha256Digest::from(input.hasher.finalize()) != *digest || expanded != diff_id {
            return Err(Problem::Changed("layer"));
        }
        image.apply(layer)
    }
}

/// The contents of one file of a layout.
struct Contents {
    file: File,
    path: PathBuf,
    start: u64,
    size: u64,
}

impl Contents {
    fn reader(&mut self) -> Result<impl Read + '_, Problem> {
        self.file.seek(SeekFrom::Start(self.start)).map_err(Problem::file(&self.path))?;
        Ok((&mut self.file).take(self.size))
    }

    /// All of it, at the bound for documents.
    fn document(mut self) -> Result<Vec<u8>, Problem> {
        let mut octets = Vec::new();
        let limit = bounds::DOCUMENT as u64 + 1;
        let read = self.reader()?.take(limit).read_to_end(&mut octets);
        read.map_err(Problem::file(&self.path))?;
        if octets.len() > bounds::DOCUMENT {
            Err(Problem::TooLarge("document"))
        } else {
            Ok(octets)
        }
    }
}

fn descriptors(
    octets: &[u8],
    domain: Domain<'_>,
    readers: &mut Readers,
) -> Result<Vec<Descriptor>, Problem> {
    let mut named = Vec::new();
    readers.ask(domain, Job::OciDocument, &mut &*octets, &mut |said| {
        if let Statement::Entry(entry) = said {
            if named.len() > MAX_DESCRIPTORS {
                return Err(Refusal::Bound.into());
            }
            named.push(Descriptor {
                name: text(entry.name)?,
                media_type: text(entry.version)?,
                arch: text(entry.arch)?,
                tag: text(entry.place)?,
                digest: entry.digest.try_into().map_err(|_| Refusal::Malformed)?,
                cosign: Cosign::default(),
            });
            return Ok(());
        }
        // What is annotated follows what it belongs to.
        named.last_mut().ok_or(Refusal::Malformed)?.cosign.take(said)
    })?;
    Ok(named)
}

impl Cosign {
    fn take(&mut self, said: &Statement<'_>) -> Result<(), Problem> {
        match said {
            Statement::Fact { name: b"kind", value } => self.kind = text(value)?,
            Statement::Fact { name: b"certificate", .. } => self.keyless = true,
            Statement::Octets { part: Part::Signature, octets } => {
                self.signature = Some(octets.to_vec());
            }
            _ => return Err(Refusal::Malformed.into()),
        }
        Ok(())
    }
}

fn sha256_of(value: &[u8]) -> Result<Sha256Digest, Refusal> {
    let hex = value.strip_prefix(b"sha256:").and_then(decode_hex);
    hex.and_then(|octets| octets.try_into().ok()).ok_or(Refusal::Unsupported)
}

struct Hashing<R> {
    input: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn hash(input: impl Read) -> std::io::Result<Sha256Digest> {
    let mut hashing = Hashing { input, hasher: Sha256::new() };
    let mut buffer = vec![0; 256 << 10];
    while hashing.read(&mut buffer)? > 0 {}
    Ok(hashing.hasher.finalize().into())
}

/// What a layer does at a path.
enum Change {
    File(Stated),
    Link(Vec<u8>, Vec<u8>),
    Other(Vec<u8>),
    Removed(Vec<u8>),
    Opaque(Vec<u8>),
}

impl Change {
    fn read(said: &Statement<'_>) -> Result<Self, Problem> {
        Ok(match said {
            Statement::File(file) => Self::File(stated(file)?),
            Statement::Other { path, target: b"" } => Self::Other(path.to_vec()),
            Statement::Other { path, target } => Self::Link(path.to_vec(), target.to_vec()),
            Statement::Removed { path } => Self::Removed(path.to_vec()),
            Statement::Opaque { path } => Self::Opaque(path.to_vec()),
            _ => return Err(Refusal::Malformed.into()),
        })
    }
}

enum Node {
    File(Stated),
    Link(Vec<u8>),
    Other,
}

/// Layers laid over one another.
#[derive(Default)]
struct Image {
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Image {
    /// Removals count for what lies below; then the layer's own files come.
    fn apply(&mut self, layer: Vec<Change>) -> Result<(), Problem> {
        for change in &layer {
            match change {
                Change::Removed(path) => self.remove(&self.placed(path)?, true),
                Change::Opaque(path) => self.remove(&self.placed(path)?, false),
                _ => {}
            }
        }
        for change in layer {
            let (path, node) = match change {
                Change::File(stated) => (stated.path.to_vec(), Node::File(stated)),
                Change::Link(path, target) => (path, Node::Link(target)),
                Change::Other(path) => (path, Node::Other),
                Change::Removed(_) | Change::Opaque(_) => continue,
            };
            let path = self.placed(&path)?;
            if !matches!(node, Node::Other) {
                // What a file or link replaces goes with all that was below it.
                self.remove(&path, true);
            }
            self.nodes.insert(path, node);
        }
        if self.nodes.len() > 4 * bounds::FILES {
            return Err(Refusal::Bound.into());
        }
        Ok(())
    }

    fn remove(&mut self, path: &[u8], itself: bool) {
        if itself {
            self.nodes.remove(path);
        }
        let below = if path == b"/" { b"/".to_vec() } else { [path, b"/"].concat() };
        let from = self.nodes.range(below.clone()..);
        let gone: Vec<_> = from
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&below))
            .cloned()
            .collect();
        for path in gone {
            self.nodes.remove(&path);
        }
    }

    /// Where a path really lies: links among its directories are followed, within the image.
    fn placed(&self, path: &[u8]) -> Result<Vec<u8>, Problem> {
        let slash = path.iter().rposition(|octet| *octet == b'/').ok_or(Refusal::Path)?;
        let (folder, name) = (&path[..slash], &path[slash..]);
        let mut todo: Vec<Vec<u8>> = parts(folder).rev().map(<[u8]>::to_vec).collect();
        let (mut real, mut links): (Vec<u8>, usize) = (Vec::new(), 0);
        while let Some(part) = todo.pop() {
            if part == b".." {
                let up = real.iter().rposition(|octet| *octet == b'/').unwrap_or(0);
                real.truncate(up);
                continue;
            }
            let next = [&real[..], b"/", &part].concat();
            let Some(Node::Link(target)) = self.nodes.get(&next) else {
                real = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Refusal::Cycle.into());
            }
            if target.starts_with(b"/") {
                real.clear();
            }
            todo.extend(parts(target).rev().map(<[u8]>::to_vec));
        }
        Ok([&real[..], name].concat())
    }

    fn finish(
        self,
        digest: &str,
        arch: &str,
        verified: Verified,
        signer: Option<Signer>,
    ) -> PackageReading {
        let package = Arc::new(Package {
            format: Format::Oci,
            name: format!("sha256:{digest}"),
            version: String::new(),
            arch: arch.to_owned(),
            signer,
            verified,
        });
        let (mut references, mut others) = (Vec::new(), Vec::new());
        for (path, node) in self.nodes {
            match node {
                Node::File(stated) => {
                    let path = path.into();
                    references.push(Reference { path, ..stated.with(&package) });
                }
                Node::Link(target) => others.push((path.into(), target.into())),
                Node::Other => others.push((path.into(), Box::default())),
            }
        }
        PackageReading { package, references, others }
    }
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|octet| *octet == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// The images that a layout's own index names, by tag: for people who look for a digest to pin.
pub fn tags(layout: &Layout, readers: &mut Readers) -> Result<Vec<(String, String)>, Problem> {
    let named = layout.index(readers)?;
    Ok(named.into_iter().map(|one| (one.tag, encode_hex(&one.digest))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;

    fn file(path: &str, octet: u8) -> Change {
        Change::File(Stated::new(path.as_bytes(), Algorithm::Sha256, &[octet; 32]))
    }

    fn paths(layers: Vec<Vec<Change>>) -> Vec<String> {
        let mut image = Image::default();
        for layer in layers {
            image.apply(layer).unwrap();
        }
        let reading = image.finish("00", "amd64", Verified::Pinned, None);
        let name = |one: &Reference| {
            format!("{} {}", String::from_utf8_lossy(&one.path), one.digest.octets()[0])
        };
        reading.references.iter().map(name).collect()
    }

    #[test]
    fn upper_layers_replace_and_remove() {
        let lower = vec![file("/a", 1), file("/d/b", 1), file("/d/c", 1), file("/e/f", 1)];
        let upper = vec![
            file("/a", 2),
            Change::Removed(b"/d/b".to_vec()),
            file("/e/g", 2),
            Change::Opaque(b"/e".to_vec()),
        ];
        assert_eq!(paths(vec![lower, upper]), ["/a 2", "/d/c 1", "/e/g 2"]);
    }

    #[test]
    fn a_file_in_a_linked_directory_lies_where_the_link_points() {
        let lower =
            vec![file("/usr/bin/a", 1), Change::Link(b"/bin".to_vec(), b"usr/bin".to_vec())];
        let upper = vec![file("/bin/a", 2)];
        assert_eq!(paths(vec![lower, upper]), ["/usr/bin/a 2"]);
        let out = vec![Change::Link(b"/up".to_vec(), b"../../etc".to_vec()), file("/up/x", 3)];
        assert_eq!(paths(vec![out]), ["/etc/x 3"]);
    }

    #[test]
    fn links_in_a_circle_are_refused() {
        let mut image = Image::default();
        let links = vec![
            Change::Link(b"/a".to_vec(), b"b".to_vec()),
            Change::Link(b"/b".to_vec(), b"a".to_vec()),
            file("/a/x", 1),
        ];
        assert!(matches!(image.apply(links), Err(Problem::Refused(Refusal::Cycle))));
    }

    #[test]
    fn a_directory_that_becomes_a_file_takes_its_contents_along() {
        assert_eq!(paths(vec![vec![file("/d/a", 1)], vec![file("/d", 2)]]), ["/d 2"]);
    }
}
