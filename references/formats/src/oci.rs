//! Documents of the Open Container Initiative: index, manifest, configuration; and layers.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Read;

use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;

use crate::bounds;
use crate::decompress;
use crate::refusal::Refusal;
use crate::rpm::base64;
use crate::rpm::decode_hex;
use crate::statement::Entry;
use crate::statement::Part;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::tar::Archive;
use crate::tar::Kind;
use crate::tree::Tree;

/// SHA-256, by its number in `OpenPGP`.
const SHA256: u8 = 8;
/// Most layers or manifests that one document may name.
const MAX_DESCRIPTORS: usize = 4096;
/// Most files of one layout.
const MAX_BLOBS: usize = 65_536;

/// What it is about, where it says so; then of an index its manifests, of a manifest its configuration and layers, in order. Each is said as an entry: the name says which, the version is the media type, the architecture the platform's, the
/// place a tag. What cosign annotates follows the entry that it belongs to. A document that can be read both ways is refused:
/// who signed it may have read the other.
pub fn document(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let document = json(text)?;
    if let Some(subject) = document.get("subject") {
        descriptor(subject, "subject", sink)?;
    }
    match (document.get("manifests"), document.get("config"), document.get("layers")) {
        (Some(manifests), None, None) => each(manifests, "manifest", sink),
        (None, Some(config), Some(layers)) => {
            descriptor(config, "config", sink)?;
            each(layers, "layer", sink)
        }
        (Some(_), _, _) => Err(Refusal::Inconsistent),
        (None, Some(_), None) => Err(Refusal::Missing),
        (None, None, _) => Err(Refusal::Unsupported),
    }
}

fn each(list: &Value, name: &str, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let list = list.as_array().ok_or(Refusal::Malformed)?;
    if list.len() > MAX_DESCRIPTORS {
        return Err(Refusal::Bound);
    }
    list.iter().try_for_each(|one| descriptor(one, name, sink))
}

fn descriptor(value: &Value, name: &str, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let digest = text("digest").ok_or(Refusal::Missing)?;
    let platform = value.get("platform");
    let arch = platform.and_then(|platform| platform.get("architecture")).and_then(Value::as_str);
    let annotations = value.get("annotations");
    let tag = annotations.and_then(|all| all.get("org.opencontainers.image.ref.name"));
    let hex = digest.strip_prefix("sha256:").ok_or(Refusal::Unsupported)?;
    let mut octets = Vec::new();
    decode_hex(hex.as_bytes(), &mut octets)?;
    sink.say(&Statement::Entry(Entry {
        name: name.as_bytes(),
        version: text("mediaType").unwrap_or_default().as_bytes(),
        arch: arch.unwrap_or_default().as_bytes(),
        place: tag.and_then(Value::as_str).unwrap_or_default().as_bytes(),
        algorithm: SHA256,
        digest: &octets,
        size: value.get("size").and_then(Value::as_u64),
    }))?;
    annotations.map_or(Ok(()), |annotations| cosign(annotations, sink))
}

/// What cosign annotates: in a saved layout what a manifest is, and its older signatures of a layer.
fn cosign(annotations: &Value, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let text = |name: &str| annotations.get(name).and_then(Value::as_str);
    if let Some(kind) = text("kind").filter(|kind| kind.len() <= bounds::WORD) {
        sink.say(&Statement::Fact { name: b"kind", value: kind.as_bytes() })?;
    }
    if text("dev.sigstore.cosign/certificate").is_some() {
        sink.say(&Statement::Fact { name: b"certificate", value: b"" })?;
    }
    let Some(signature) = text("dev.cosignproject.cosign/signature") else { return Ok(()) };
    let octets = base64(signature.as_bytes())?;
    if octets.len() > bounds::SIGNATURE {
        return Err(Refusal::Bound);
    }
    sink.say(&Statement::Octets { part: Part::Signature, octets: &octets })
}

/// A configuration: architecture, and the digest of each layer when it is expanded, in order.
pub fn config(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let config = json(text)?;
    let arch = config.get("architecture").and_then(Value::as_str).unwrap_or_default();
    sink.say(&Statement::Fact { name: b"architecture", value: arch.as_bytes() })?;
    let layers = config.get("rootfs").and_then(|rootfs| rootfs.get("diff_ids"));
    let layers = layers.and_then(Value::as_array).ok_or(Refusal::Missing)?;
    if layers.len() > MAX_DESCRIPTORS {
        return Err(Refusal::Bound);
    }
    for layer in layers {
        let value = layer.as_str().ok_or(Refusal::Malformed)?;
        sink.say(&Statement::Fact { name: b"diff-id", value: value.as_bytes() })?;
    }
    Ok(())
}

/// A layout in one archive: each regular file as an entry, its path, length, and (as version) where its contents begin.
/// Nothing is hashed: whoever reads a file by what is said here hashes what they read.
pub fn archive(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let position = Cell::new(0);
    let mut counting = Counting { input, position: &position };
    let mut archive = Archive::new(&mut counting);
    let mut seen = BTreeSet::new();
    while let Some(entry) = archive.next_entry()? {
        if entry.kind != Kind::File {
            continue;
        }
        sink.say(&Statement::Entry(Entry {
            name: b"",
            version: position.get().to_string().as_bytes(),
            arch: b"",
            place: &entry.path,
            algorithm: 0,
            digest: b"",
            size: Some(entry.size),
        }))?;
        if seen.len() == MAX_BLOBS {
            return Err(Refusal::Bound);
        }
        if !seen.insert(entry.path) {
            return Err(Refusal::Twice);
        }
    }
    Ok(())
}

/// Counts what is read through it.
struct Counting<'a> {
    input: &'a mut dyn Read,
    position: &'a Cell<u64>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.position.set(self.position.get() + count as u64);
        Ok(count)
    }
}

/// A layer: its files, hashed; what it removes of the layers below; and the digest of the whole, expanded.
pub fn layer(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let expanded = decompress::reader(input)?;
    let mut hashing = Hashing { input: expanded, hasher: Sha256::new() };
    {
        let mut whiteouts = Whiteouts { sink };
        let tree = Tree { flags: &|_| 0, skip: &|_| false, repeats: true };
        tree.say(&mut Archive::new(&mut hashing), &mut whiteouts)?;
    }
    let digest: [u8; 32] = hashing.hasher.finalize().into();
    sink.say(&Statement::Fact { name: b"expanded-digest", value: &digest })
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

/// Says files named `.wh.NAME` as removals.
struct Whiteouts<'a> {
    sink: &'a mut dyn Sink,
}

impl Sink for Whiteouts<'_> {
    fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
        let path = match statement {
            Statement::File(file) => file.path,
            Statement::Other { path, .. } => path,
            _ => return self.sink.say(statement),
        };
        let slash = path.iter().rposition(|octet| *octet == b'/').ok_or(Refusal::Path)?;
        let (folder, name) = (&path[..slash], &path[slash + 1..]);
        match name.strip_prefix(b".wh.") {
            Some(b".wh..opq") => {
                let path = if folder.is_empty() { b"/" } else { folder };
                self.sink.say(&Statement::Opaque { path })
            }
            Some(removed) if !removed.is_empty() => {
                let path = [folder, b"/", removed].concat();
                self.sink.say(&Statement::Removed { path: &path })
            }
            _ => self.sink.say(statement),
        }
    }
}

/// JSON of a bounded depth (the library's own bound is 128).
pub(crate) fn json(text: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(text).map_err(|_| Refusal::Malformed)
}
