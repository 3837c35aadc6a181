//! Reading the canonical encoding back: the inverse of [`crate::encode_cell`].
//!
//! Octets from outside are an allegation. A decoder accepts exactly one encoding of each value:
//! what it accepts encodes to the same octets again, and nothing may follow.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::Address;
use crate::Cell;
use crate::Coe;
use crate::Digest;
use crate::ENCODING_VERSION;
use crate::ENCODING_VERSION_REFERENCE;
use crate::EventKind;
use crate::FieldType;
use crate::File;
use crate::Ipc;
use crate::OTHER_ADDRESS_MAX;
use crate::Place;
use crate::Port;
use crate::Socket;
use crate::TEXT_MAX;
use crate::Target;
use crate::Value;
use crate::encode::is_network;
use crate::encode::tag;

/// Why octets are not an encoding. The sender is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The octets end too early.
    Truncated,
    /// Octets follow the last field.
    Trailing,
    /// A version that this code does not know.
    Version(u8),
    /// An event that this code does not know.
    Event(u16),
    /// A tag octet without a meaning.
    Tag(u8),
    /// A length beyond its bound.
    TooLong,
    /// A path with a NUL octet.
    Nul,
    /// A network that is neither 4 nor 16 octets, a prefix beyond it, or host bits that are set.
    Network,
    /// The version for references where there is none, or a reference of zeros.
    Reference,
}

/// Reads a whole CELL.
pub fn decode_cell(octets: &[u8]) -> Result<Cell, DecodeError> {
    let mut reader = Reader { rest: octets, version: ENCODING_VERSION, referred: false };
    reader.version = reader.cell_version()?;
    let code = reader.u16()?;
    let kind = EventKind::from_code(code).ok_or(DecodeError::Event(code))?;
    let fields = kind.spec().fields.iter();
    let values = fields.map(|field| reader.value(&field.field_type)).collect::<Result<_, _>>()?;
    reader.end()?;
    if reader.referred == (reader.version == ENCODING_VERSION_REFERENCE) {
        Ok(Cell { kind, values })
    } else {
        Err(DecodeError::Reference)
    }
}

/// Reads a whole COE.
pub fn decode_coe(octets: &[u8]) -> Result<Coe, DecodeError> {
    let mut reader = Reader { rest: octets, version: ENCODING_VERSION, referred: false };
    reader.coe_version()?;
    let coe = Coe {
        uid: reader.u32()?,
        euid: reader.u32()?,
        suid: reader.u32()?,
        fsuid: reader.u32()?,
        gid: reader.u32()?,
        egid: reader.u32()?,
        sgid: reader.u32()?,
        fsgid: reader.u32()?,
        capabilities: reader.u64()?,
    };
    reader.end()?;
    Ok(coe)
}

/// The octets that are still to be read, and under which version.
struct Reader<'a> {
    rest: &'a [u8],
    version: u8,
    /// A file was named by its reference.
    referred: bool,
}

impl<'a> Reader<'a> {
    fn value(&mut self, kind: &FieldType) -> Result<Value, DecodeError> {
        Ok(match kind {
            FieldType::Number32 | FieldType::Mode | FieldType::Flags(_) | FieldType::Choice(_) => {
                Value::Number(self.u32()?.into())
            }
            FieldType::Number64 | FieldType::Flags64(_) => Value::Number(self.u64()?),
            FieldType::Text => Value::Text(self.text(TEXT_MAX)?),
            FieldType::Path => Value::Path(self.place()?),
            FieldType::File => Value::File(Box::new(self.file()?)),
            FieldType::OptionalFile => self.optional_file()?,
            FieldType::Socket => Value::Socket(self.socket()?),
            FieldType::Address => Value::Address(self.address()?),
            FieldType::Task => Value::Task(self.target()?),
            FieldType::Ipc => Value::Ipc(self.ipc()?),
            FieldType::Digest => Value::Digest(self.digest()?),
        })
    }

    fn cell_version(&mut self) -> Result<u8, DecodeError> {
        match self.u8()? {
            version @ (ENCODING_VERSION | ENCODING_VERSION_REFERENCE) => Ok(version),
            other => Err(DecodeError::Version(other)),
        }
    }

    fn coe_version(&mut self) -> Result<(), DecodeError> {
        match self.u8()? {
            ENCODING_VERSION => Ok(()),
            other => Err(DecodeError::Version(other)),
        }
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    fn digest(&mut self) -> Result<Digest, DecodeError> {
        self.array().map(Digest)
    }

    fn text(&mut self, bound: usize) -> Result<Vec<u8>, DecodeError> {
        let length = usize::from(self.u16()?);
        if length > bound {
            return Err(DecodeError::TooLong);
        }
        self.take(length).map(<[u8]>::to_vec)
    }

    fn place(&mut self) -> Result<Place, DecodeError> {
        let path = self.text(TEXT_MAX)?;
        if path.contains(&0) {
            return Err(DecodeError::Nul);
        }
        Ok(Place {
            path,
            file_system: self.u32()?,
            generalised: self.truth()?,
            maker: self.digest()?,
        })
    }

    fn truth(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn file(&mut self) -> Result<File, DecodeError> {
        let place = self.place()?;
        let numbers = [self.u32()?, self.u32()?, self.u32()?];
        let tag = match self.version {
            ENCODING_VERSION => tag::CONTENT_DIGEST,
            _ => self.u8()?,
        };
        let content = self.digest()?;
        match tag {
            tag::CONTENT_DIGEST => Ok(File::new(place, numbers, content)),
            tag::CONTENT_REFERENCE if content.is_zero() => Err(DecodeError::Reference),
            tag::CONTENT_REFERENCE => {
                self.referred = true;
                Ok(File { reference: content, ..File::new(place, numbers, Digest::ZERO) })
            }
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn optional_file(&mut self) -> Result<Value, DecodeError> {
        match self.u8()? {
            tag::NO_FILE => Ok(Value::NoFile),
            tag::FILE => self.file().map(Value::from),
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn socket(&mut self) -> Result<Socket, DecodeError> {
        Ok(Socket { family: self.u32()?, socket_type: self.u32()?, protocol: self.u32()? })
    }

    fn ipc(&mut self) -> Result<Ipc, DecodeError> {
        Ok(Ipc {
            uid: self.u32()?,
            gid: self.u32()?,
            creator_uid: self.u32()?,
            creator_gid: self.u32()?,
            mode: self.u32()?,
        })
    }

    fn target(&mut self) -> Result<Target, DecodeError> {
        match self.u8()? {
            tag::TARGET_OUTSIDE => Ok(Target::Outside),
            tag::TARGET_TASK => self.digest().map(Target::Task),
            tag::TARGET_OWN => Ok(Target::Own),
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn address(&mut self) -> Result<Address, DecodeError> {
        Ok(match self.u8()? {
            tag::ADDRESS_NONE => Address::None,
            tag::ADDRESS_INET => Address::Inet(self.array()?, self.port()?),
            tag::ADDRESS_INET6 => Address::Inet6(self.array()?, self.port()?),
            tag::ADDRESS_UNIX_PATH => Address::UnixPath(self.place()?),
            tag::ADDRESS_UNIX_ABSTRACT => Address::UnixAbstract(self.text(TEXT_MAX)?),
            tag::ADDRESS_NETLINK => Address::Netlink(self.u32()?),
            tag::ADDRESS_NETWORK => self.network()?,
            tag::ADDRESS_ANY => Address::Any,
            tag::ADDRESS_OTHER => Address::Other(self.u16()?, self.text(OTHER_ADDRESS_MAX)?),
            other => return Err(DecodeError::Tag(other)),
        })
    }

    fn port(&mut self) -> Result<Port, DecodeError> {
        match self.u8()? {
            tag::PORT_EXACT => self.u16().map(Port::Exact),
            tag::PORT_EPHEMERAL => Ok(Port::Ephemeral),
            other => Err(DecodeError::Tag(other)),
        }
    }

    fn network(&mut self) -> Result<Address, DecodeError> {
        let length = usize::from(self.u8()?);
        let network = self.take(length)?.to_vec();
        let prefix = self.u8()?;
        if !is_network(&network, prefix) {
            return Err(DecodeError::Network);
        }
        Ok(Address::Network { network, prefix, port: self.port()? })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "the encoding ends too early"),
            Self::Trailing => write!(f, "octets follow the encoding"),
            Self::Version(version) => write!(f, "unknown encoding version {version}"),
            Self::Event(code) => write!(f, "unknown event code {code}"),
            Self::Tag(tag) => write!(f, "unknown tag {tag}"),
            Self::TooLong => write!(f, "a length is beyond its bound"),
            Self::Nul => write!(f, "a path has a NUL in it"),
            Self::Network => write!(f, "an address is not a network"),
            Self::Reference => write!(f, "the encoding for references does not fit what it holds"),
        }
    }
}

impl core::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::encode_cell;
    use crate::encode_coe;

    fn encoded() -> Vec<u8> {
        let address =
            Address::Network { network: vec![10, 0, 0, 0], prefix: 8, port: Port::Exact(80) };
        let socket = Socket { family: 2, socket_type: 1, protocol: 6 };
        let values = vec![Value::Socket(socket), Value::Address(address)];
        let mut out = Vec::new();
        encode_cell(&Cell { kind: EventKind::SocketConnect, values }, &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_decoded_encodes_to_the_same_octets() {
        let mut again = Vec::new();
        encode_cell(&decode_cell(&encoded()).unwrap(), &mut again).unwrap();
        assert_eq!(again, encoded());
    }

    #[test]
    fn every_cut_is_truncated_and_every_addition_trails() {
        let mut octets = encoded();
        for end in 0..octets.len() {
            assert_eq!(decode_cell(&octets[..end]), Err(DecodeError::Truncated));
        }
        octets.push(0);
        assert_eq!(decode_cell(&octets), Err(DecodeError::Trailing));
    }

    #[test]
    fn what_is_not_canonical_is_refused_by_name() {
        let alter = |index: usize, octet: u8| {
            let mut octets = encoded();
            octets[index] = octet;
            decode_cell(&octets)
        };
        assert_eq!(alter(0, 2), Err(DecodeError::Reference));
        assert_eq!(alter(0, 3), Err(DecodeError::Version(3)));
        assert_eq!(alter(2, 1), Err(DecodeError::Event(264)));
        assert_eq!(alter(15, 9), Err(DecodeError::Tag(9)));
        assert_eq!(alter(16, 3), Err(DecodeError::Network));
        assert_eq!(alter(20, 1), Err(DecodeError::Network));
        assert_eq!(alter(22, 0), Err(DecodeError::Tag(0)));
    }

    #[test]
    fn a_coe_comes_back() {
        let coe = Coe { euid: u32::MAX, capabilities: u64::MAX, ..Coe::default() };
        let octets = encode_coe(&coe);
        assert_eq!(decode_coe(&octets), Ok(coe));
        assert_eq!(decode_coe(&octets[..40]), Err(DecodeError::Truncated));
    }
}
