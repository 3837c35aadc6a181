//! The canonical binary encoding of COE and CELL: what is hashed.
//!
//! Everything is fixed in width or prefixed with its length, little-endian, in the order of the
//! event table. A version octet and the event's code open a CELL, and every choice between forms
//! has its own tag octet, so that no two events share an encoding. [`crate::decode_cell`] accepts
//! exactly what stands here; `docs/spec/02-model.md` says the same in words.

use alloc::vec::Vec;
use core::fmt;

use crate::Address;
use crate::Cell;
use crate::Coe;
use crate::Digest;
use crate::FieldType;
use crate::File;
use crate::Ipc;
use crate::Place;
use crate::Port;
use crate::Socket;
use crate::TEXT_MAX;
use crate::Target;
use crate::Value;

/// Opens every COE, and every CELL but those of [`ENCODING_VERSION_REFERENCE`]; another hash function
/// or layout gets another number.
pub const ENCODING_VERSION: u8 = 1;

/// Opens a CELL with a file that is named by its reference: each file's content has a tag there, so
/// that no content can have a digest that passes for a reference.
pub const ENCODING_VERSION_REFERENCE: u8 = 2;

/// Octets of an encoded COE.
pub const COE_SIZE: usize = 41;

/// The most address octets that [`Address::Other`] may carry.
pub const OTHER_ADDRESS_MAX: usize = 128;

/// Tag octets: one for each form that a value can take.
pub(crate) mod tag {
    pub(crate) const CONTENT_DIGEST: u8 = 0;
    pub(crate) const CONTENT_REFERENCE: u8 = 1;

    pub(crate) const NO_FILE: u8 = 0;
    pub(crate) const FILE: u8 = 1;

    pub(crate) const PORT_EXACT: u8 = 1;
    pub(crate) const PORT_EPHEMERAL: u8 = 2;

    pub(crate) const ADDRESS_NONE: u8 = 0;
    pub(crate) const ADDRESS_INET: u8 = 1;
    pub(crate) const ADDRESS_INET6: u8 = 2;
    pub(crate) const ADDRESS_UNIX_PATH: u8 = 3;
    pub(crate) const ADDRESS_UNIX_ABSTRACT: u8 = 4;
    pub(crate) const ADDRESS_NETLINK: u8 = 5;
    pub(crate) const ADDRESS_NETWORK: u8 = 6;
    pub(crate) const ADDRESS_ANY: u8 = 7;
    pub(crate) const ADDRESS_OTHER: u8 = 8;

    pub(crate) const TARGET_OUTSIDE: u8 = 0;
    pub(crate) const TARGET_TASK: u8 = 1;
    pub(crate) const TARGET_OWN: u8 = 2;
}

/// Why a CELL has no encoding. The describer of the event is to blame; the number is the index of
/// the field in [`crate::EventSpec::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// Not one value for each field of the event.
    FieldCount,
    /// A value of another type than the field's.
    FieldType(u8),
    /// A number that does not fit the field's width.
    TooWide(u8),
    /// A text, path or address beyond its bound.
    TooLong(u8),
    /// A path with a NUL octet.
    Nul(u8),
    /// A network that is neither 4 nor 16 octets, a prefix beyond it, or host bits that are set.
    Network(u8),
    /// A file that is named both by its digest and by its reference.
    Reference(u8),
}

/// Appends the encoding of `cell` to `out`; on an error `out` is as it was.
pub fn encode_cell(cell: &Cell, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let result = append_cell(cell, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// HF(CELL). `scratch` is overwritten; a caller keeps it to save the allocation.
pub fn cell_digest(cell: &Cell, scratch: &mut Vec<u8>) -> Result<Digest, EncodeError> {
    scratch.clear();
    encode_cell(cell, scratch)?;
    Ok(Digest::of(&[scratch]))
}

/// The encoding of a COE: it always has one.
pub fn encode_coe(coe: &Coe) -> [u8; COE_SIZE] {
    let mut out = [0; COE_SIZE];
    out[0] = ENCODING_VERSION;
    let ids = [coe.uid, coe.euid, coe.suid, coe.fsuid, coe.gid, coe.egid, coe.sgid, coe.fsgid];
    for (slot, id) in out[1..33].chunks_exact_mut(4).zip(ids) {
        slot.copy_from_slice(&id.to_le_bytes());
    }
    out[33..].copy_from_slice(&coe.capabilities.to_le_bytes());
    out
}

/// HF(COE).
pub fn coe_digest(coe: &Coe) -> Digest {
    Digest::of(&[&encode_coe(coe)])
}

fn append_cell(cell: &Cell, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let spec = cell.kind.spec();
    if cell.values.len() != spec.fields.len() {
        return Err(EncodeError::FieldCount);
    }
    let version = version_of(cell);
    out.push(version);
    out.extend_from_slice(&cell.kind.code().to_le_bytes());
    for (index, (field, value)) in spec.fields.iter().zip(&cell.values).enumerate() {
        append_value(version, &field.field_type, value, out)
            .map_err(|fault| fault.at(index as u8))?;
    }
    Ok(())
}

/// The version that a cell's encoding opens with: the second only where there is a reference.
fn version_of(cell: &Cell) -> u8 {
    let referred = |value: &Value| matches!(value, Value::File(file) if !file.reference.is_zero());
    if cell.values.iter().any(referred) { ENCODING_VERSION_REFERENCE } else { ENCODING_VERSION }
}

/// An [`EncodeError`] that does not know its field yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Type,
    Wide,
    Long,
    Nul,
    Network,
    Reference,
}

impl Fault {
    fn at(self, field: u8) -> EncodeError {
        match self {
            Self::Type => EncodeError::FieldType(field),
            Self::Wide => EncodeError::TooWide(field),
            Self::Long => EncodeError::TooLong(field),
            Self::Nul => EncodeError::Nul(field),
            Self::Network => EncodeError::Network(field),
            Self::Reference => EncodeError::Reference(field),
        }
    }
}

fn append_value(
    version: u8,
    kind: &FieldType,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    match (kind, value) {
        (
            FieldType::Number32 | FieldType::Mode | FieldType::Flags(_) | FieldType::Choice(_),
            Value::Number(number),
        ) => append_number32(*number, out),
        (FieldType::Number64 | FieldType::Flags64(_), Value::Number(number)) => {
            out.extend_from_slice(&number.to_le_bytes());
            Ok(())
        }
        (FieldType::Text, Value::Text(text)) => append_text(text, TEXT_MAX, out),
        (FieldType::Path, Value::Path(place)) => append_place(place, out),
        (FieldType::File, Value::File(file)) => append_file(version, file, out),
        (FieldType::OptionalFile, Value::File(file)) => {
            out.push(tag::FILE);
            append_file(version, file, out)
        }
        (FieldType::OptionalFile, Value::NoFile) => {
            out.push(tag::NO_FILE);
            Ok(())
        }
        (FieldType::Address, Value::Address(address)) => append_address(address, out),
        (FieldType::Socket, Value::Socket(socket)) => {
            append_socket(*socket, out);
            Ok(())
        }
        (FieldType::Task, Value::Task(target)) => {
            append_target(target, out);
            Ok(())
        }
        (FieldType::Ipc, Value::Ipc(ipc)) => {
            append_ipc(ipc, out);
            Ok(())
        }
        (FieldType::Digest, Value::Digest(digest)) => {
            out.extend_from_slice(&digest.0);
            Ok(())
        }
        _ => Err(Fault::Type),
    }
}

fn append_number32(number: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
    let number = u32::try_from(number).map_err(|_| Fault::Wide)?;
    out.extend_from_slice(&number.to_le_bytes());
    Ok(())
}

fn append_text(text: &[u8], bound: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    if text.len() > bound {
        return Err(Fault::Long);
    }
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text);
    Ok(())
}

fn append_place(place: &Place, out: &mut Vec<u8>) -> Result<(), Fault> {
    if place.path.contains(&0) {
        return Err(Fault::Nul);
    }
    append_text(&place.path, TEXT_MAX, out)?;
    out.extend_from_slice(&place.file_system.to_le_bytes());
    out.push(u8::from(place.generalised));
    out.extend_from_slice(&place.maker.0);
    Ok(())
}

fn append_file(version: u8, file: &File, out: &mut Vec<u8>) -> Result<(), Fault> {
    append_place(&file.place, out)?;
    append_words(&[file.uid, file.gid, file.mode], out);
    let content = match (file.digest.is_zero(), file.reference.is_zero()) {
        (false, false) => return Err(Fault::Reference),
        (_, true) => (tag::CONTENT_DIGEST, file.digest),
        (true, false) => (tag::CONTENT_REFERENCE, file.reference),
    };
    if version == ENCODING_VERSION_REFERENCE {
        out.push(content.0);
    }
    out.extend_from_slice(&content.1.0);
    Ok(())
}

fn append_words(words: &[u32], out: &mut Vec<u8>) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}

fn append_socket(socket: Socket, out: &mut Vec<u8>) {
    append_words(&[socket.family, socket.socket_type, socket.protocol], out);
}

fn append_ipc(ipc: &Ipc, out: &mut Vec<u8>) {
    append_words(&[ipc.uid, ipc.gid, ipc.creator_uid, ipc.creator_gid, ipc.mode], out);
}

fn append_target(target: &Target, out: &mut Vec<u8>) {
    match target {
        Target::Outside => out.push(tag::TARGET_OUTSIDE),
        Target::Task(identity) => {
            out.push(tag::TARGET_TASK);
            out.extend_from_slice(&identity.0);
        }
        Target::Own => out.push(tag::TARGET_OWN),
    }
}

fn append_address(address: &Address, out: &mut Vec<u8>) -> Result<(), Fault> {
    match address {
        Address::None => out.push(tag::ADDRESS_NONE),
        Address::Inet(octets, port) => {
            out.push(tag::ADDRESS_INET);
            out.extend_from_slice(octets);
            append_port(*port, out);
        }
        Address::Inet6(octets, port) => {
            out.push(tag::ADDRESS_INET6);
            out.extend_from_slice(octets);
            append_port(*port, out);
        }
        Address::UnixPath(place) => {
            out.push(tag::ADDRESS_UNIX_PATH);
            append_place(place, out)?;
        }
        Address::UnixAbstract(name) => {
            out.push(tag::ADDRESS_UNIX_ABSTRACT);
            append_text(name, TEXT_MAX, out)?;
        }
        Address::Netlink(groups) => {
            out.push(tag::ADDRESS_NETLINK);
            append_words(&[*groups], out);
        }
        Address::Network { network, prefix, port } => {
            append_network(network, *prefix, *port, out)?;
        }
        Address::Any => out.push(tag::ADDRESS_ANY),
        Address::Other(family, octets) => {
            out.push(tag::ADDRESS_OTHER);
            out.extend_from_slice(&family.to_le_bytes());
            append_text(octets, OTHER_ADDRESS_MAX, out)?;
        }
    }
    Ok(())
}

fn append_port(port: Port, out: &mut Vec<u8>) {
    match port {
        Port::Exact(number) => {
            out.push(tag::PORT_EXACT);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Port::Ephemeral => out.push(tag::PORT_EPHEMERAL),
    }
}

fn append_network(network: &[u8], prefix: u8, port: Port, out: &mut Vec<u8>) -> Result<(), Fault> {
    if !is_network(network, prefix) {
        return Err(Fault::Network);
    }
    out.push(tag::ADDRESS_NETWORK);
    out.push(network.len() as u8);
    out.extend_from_slice(network);
    out.push(prefix);
    append_port(port, out);
    Ok(())
}

/// Whether `network` is 4 or 16 octets and has no bit set after the first `prefix`.
pub(crate) fn is_network(network: &[u8], prefix: u8) -> bool {
    let whole = usize::from(prefix / 8);
    let rest = 0xff_u8 >> (prefix % 8);
    matches!(network.len(), 4 | 16)
        && usize::from(prefix) <= network.len() * 8
        && network.get(whole).is_none_or(|octet| octet & rest == 0)
        && network.iter().skip(whole + 1).all(|octet| *octet == 0)
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FieldCount => write!(f, "the event has another number of fields"),
            Self::FieldType(field) => write!(f, "field {field} has another type"),
            Self::TooWide(field) => write!(f, "the number in field {field} is too wide"),
            Self::TooLong(field) => write!(f, "field {field} is too long"),
            Self::Nul(field) => write!(f, "the path in field {field} has a NUL in it"),
            Self::Network(field) => write!(f, "field {field} is not a network"),
            Self::Reference(field) => {
                write!(f, "the file in field {field} has both a digest and a reference")
            }
        }
    }
}

impl core::error::Error for EncodeError {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::EventKind;

    fn unlink(path: &[u8]) -> Cell {
        Cell { kind: EventKind::InodeUnlink, values: vec![Value::Path(Place::new(path, 0xef53))] }
    }

    #[test]
    fn a_cell_opens_with_version_and_code() {
        let mut out = vec![0xaa];
        encode_cell(&unlink(b"/x"), &mut out).unwrap();
        assert_eq!(out[..12], [0xaa, 1, 21, 0, 2, 0, b'/', b'x', 0x53, 0xef, 0, 0]);
        assert_eq!(out.len(), 1 + 3 + 4 + 4 + 1 + 32);
    }

    #[test]
    fn what_does_not_match_its_row_is_refused_and_leaves_no_trace() {
        let mut out = vec![7];
        let refuse = |cell: Cell, out: &mut Vec<u8>| encode_cell(&cell, out).unwrap_err();
        let mut cell = unlink(b"/x");
        cell.values.push(Value::NoFile);
        assert_eq!(refuse(cell, &mut out), EncodeError::FieldCount);
        assert_eq!(refuse(unlink(b"/\0"), &mut out), EncodeError::Nul(0));
        assert_eq!(refuse(unlink(&[b'/'; 4096]), &mut out), EncodeError::TooLong(0));
        let wide = Value::Number(1 << 32);
        let kill = vec![Value::Task(Target::Own), wide];
        let cell = Cell { kind: EventKind::TaskKill, values: kill };
        assert_eq!(refuse(cell, &mut out), EncodeError::TooWide(1));
        let cell = Cell { kind: EventKind::InodeUnlink, values: vec![Value::NoFile] };
        assert_eq!(refuse(cell, &mut out), EncodeError::FieldType(0));
        assert_eq!(out, [7]);
    }

    #[test]
    fn a_reference_has_a_version_and_a_tag_of_its_own() {
        let (place, other) = (Place::new("/x", 0xef53), Digest([7; 32]));
        let plain = File::new(place, [1, 2, 3], other);
        let referred = File { digest: Digest::ZERO, reference: other, ..plain.clone() };
        let encoded = |first: &File, second: Value| {
            let values = vec![first.clone().into(), second];
            let mut out = Vec::new();
            let cell = Cell { kind: EventKind::BprmCommittedCreds, values };
            encode_cell(&cell, &mut out).map(|()| out)
        };
        let (old, new) = (encoded(&plain, Value::NoFile), encoded(&referred, Value::NoFile));
        let (old, new) = (old.unwrap(), new.unwrap());
        assert_eq!((old[0], new[0]), (1, 2));
        assert_eq!(new.len(), old.len() + 1);
        assert_eq!(new[new.len() - 34], tag::CONTENT_REFERENCE);
        let script = encoded(&referred, plain.clone().into()).unwrap();
        assert_eq!(script[script.len() - 33], tag::CONTENT_DIGEST);
        let both = File { digest: other, ..referred };
        assert_eq!(encoded(&both, Value::NoFile), Err(EncodeError::Reference(0)));
    }

    #[test]
    fn a_network_has_no_host_bits() {
        assert!(is_network(&[10, 0, 0, 0], 8));
        assert!(is_network(&[10, 0, 0, 1], 32));
        assert!(is_network(&[0; 16], 0));
        assert!(is_network(&[0xff; 16], 128));
        assert!(is_network(&[10, 128, 0, 0], 9));
        assert!(!is_network(&[10, 64, 0, 0], 9));
        assert!(!is_network(&[10, 0, 0, 1], 8));
        assert!(!is_network(&[10, 0, 0, 0], 33));
        assert!(!is_network(&[10, 0, 0], 8));
    }

    #[test]
    fn a_coe_is_41_octets_in_order() {
        let coe = Coe {
            uid: 1,
            euid: 2,
            suid: 3,
            fsuid: 4,
            gid: 5,
            egid: 6,
            sgid: 7,
            fsgid: 8,
            capabilities: 9,
        };
        let octets = encode_coe(&coe);
        assert_eq!(octets[0], 1);
        let words: Vec<u8> = octets[1..].iter().step_by(4).copied().collect();
        assert_eq!(words, [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
    }
}
