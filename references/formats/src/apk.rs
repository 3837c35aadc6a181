//! Alpine's packages, version 2: three gzip streams one after another: signature, control, data.
//!
//! The signature covers the octets of the control stream, which states the digest of the data stream's. So the parts are
//! first told apart, then verified by the parent, and only then read.

use std::io::Read;

use flate2::bufread::GzDecoder;

use crate::arch::Info;
use crate::arch::is_meta;
use crate::decompress;
use crate::refusal::Refusal;
use crate::statement::Part;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::tar::Archive;
use crate::tree::Tree;

/// The longest signature or control stream, expanded.
const MAX_STREAM: u64 = 16 << 20;
const SIGNATURE_FILE: &[u8] = b"/.SIGN.";

/// Tells the parts of a package apart: says where the control stream begins and ends, the name of the signature's file (with
/// the algorithm and the key's name in it), and the signature.
pub fn parts(octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let (first, signature_end) = stream(octets)?;
    let rest = &octets[signature_end..];
    let (_, control_length) = stream(rest)?;
    let mut input = &first[..];
    let mut archive = Archive::new(&mut input);
    let entry = archive.next_entry()?.ok_or(Refusal::Missing)?;
    let name = entry.path.strip_prefix(SIGNATURE_FILE).ok_or(Refusal::Missing)?;
    sink.say(&Statement::Fact { name: b"signature-name", value: name })?;
    let mut signature = Vec::new();
    (&mut archive).take(64 << 10).read_to_end(&mut signature)?;
    sink.say(&Statement::Octets { part: Part::Signature, octets: &signature })?;
    let control_end = signature_end + control_length;
    let bounds = format!("{signature_end} {control_end}");
    sink.say(&Statement::Fact { name: b"control", value: bounds.as_bytes() })
}

/// One gzip stream, expanded, and how many octets it has.
fn stream(octets: &[u8]) -> Result<(Vec<u8>, usize), Refusal> {
    let mut decoder = GzDecoder::new(octets);
    let mut expanded = Vec::new();
    let count = (&mut decoder).take(MAX_STREAM + 1).read_to_end(&mut expanded)?;
    if count as u64 > MAX_STREAM {
        return Err(Refusal::Bound);
    }
    Ok((expanded, octets.len() - decoder.into_inner().len()))
}

/// The control stream: what the package is, and the SHA-256 of its data stream.
pub fn control(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut expanded = decompress::reader(input)?;
    let mut archive = Archive::new(&mut expanded);
    let mut found = false;
    // A stream that others follow has no end-of-archive blocks; ours ends where it was cut.
    while let Some(entry) = archive.next_entry()? {
        if entry.path == b"/.PKGINFO" {
            if std::mem::replace(&mut found, true) {
                return Err(Refusal::Twice);
            }
            if entry.size > MAX_STREAM {
                return Err(Refusal::Bound);
            }
            let mut text = Vec::new();
            archive.read_to_end(&mut text)?;
            let info = Info { text: &text };
            info.say(b"pkgname", b"pkgver", sink)?;
            let value = info.one(b"datahash")?;
            sink.say(&Statement::Fact { name: b"data-digest", value })?;
        }
    }
    if found { Ok(()) } else { Err(Refusal::Missing) }
}

/// The data stream: every file with the digest of its contents.
pub fn data(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut expanded = decompress::reader(input)?;
    let tree = Tree { flags: &|_| 0, skip: &is_meta, repeats: false };
    tree.say(&mut Archive::new(&mut expanded), sink)
}
