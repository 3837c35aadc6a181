//! Reading the text form: one pass, no backtracking, an error with its column.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;
use core::str::FromStr;

use super::ALL_CAPABILITIES;
use super::is_bare;
use crate::Address;
use crate::Cell;
use crate::Coe;
use crate::Digest;
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
use crate::names::CAPABILITY;
use crate::names::FAMILY;
use crate::names::FILE_SYSTEM;
use crate::names::Names;
use crate::names::SOCKET_TYPE;

/// Why a line is not the text form of a value. The writer of the line is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where, in octets from 1.
    pub column: usize,
    /// What.
    pub problem: ParseProblem,
}

/// What is wrong at a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseProblem {
    /// No event has this name.
    UnknownEvent,
    /// Something else must stand here.
    Expected(&'static str),
    /// A name that the field does not know.
    UnknownName,
    /// Not a number, or one too wide for the field.
    Number,
    /// A text, path or address beyond its bound.
    TooLong,
    /// A path with a NUL octet.
    Nul,
    /// An escape other than `\"`, `\\` and `\xNN`.
    Escape,
    /// A network whose prefix is too long or whose host bits are set.
    Network,
    /// Something follows the last field.
    Trailing,
}

impl FromStr for Cell {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(line);
        let kind = parser.event()?;
        let fields = kind.spec().fields.iter();
        let values = fields
            .map(|field| {
                parser.expect(" ")?;
                parser.expect(field.name)?;
                parser.expect("=")?;
                parser.value(&field.field_type)
            })
            .collect::<Result<_, _>>()?;
        parser.end()?;
        Ok(Self { kind, values })
    }
}

impl FromStr for Coe {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::new(line);
        parser.expect("uid=")?;
        let user = parser.ids()?;
        parser.expect(" gid=")?;
        let group = parser.ids()?;
        parser.expect(" caps=")?;
        let capabilities = parser.capabilities()?;
        parser.end()?;
        Ok(Self {
            uid: user[0],
            euid: user[1],
            suid: user[2],
            fsuid: user[3],
            gid: group[0],
            egid: group[1],
            sgid: group[2],
            fsgid: group[3],
            capabilities,
        })
    }
}

type Parsed<T> = Result<T, ParseError>;

struct Parser<'a> {
    text: &'a str,
    /// Octets read; always on a character boundary, as only ASCII is ever consumed.
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn event(&mut self) -> Parsed<EventKind> {
        let start = self.at;
        let name = self.word(|octet| octet != b' ');
        EventKind::from_name(name).ok_or(error(start, ParseProblem::UnknownEvent))
    }

    fn value(&mut self, kind: &FieldType) -> Parsed<Value> {
        Ok(match kind {
            FieldType::Number32 => Value::Number(self.number32()?.into()),
            FieldType::Number64 => Value::Number(self.number(10, u64::MAX)?),
            FieldType::Mode => Value::Number(self.mode()?.into()),
            FieldType::Flags(names) => Value::Number(self.flags(names, u32::MAX.into())?),
            FieldType::Flags64(names) => Value::Number(self.flags(names, u64::MAX)?),
            FieldType::Choice(names) => Value::Number(self.choice(names)?.into()),
            FieldType::Text => Value::Text(self.octets()?),
            FieldType::Path => Value::Path(self.path_place()?),
            FieldType::File => Value::File(Box::new(self.file()?)),
            FieldType::OptionalFile => self.optional_file()?,
            FieldType::Socket => Value::Socket(self.socket()?),
            FieldType::Address => Value::Address(self.address()?),
            FieldType::Task => Value::Task(self.target()?),
            FieldType::Ipc => Value::Ipc(self.ipc()?),
            FieldType::Digest => Value::Digest(self.digest()?),
        })
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn fail<T>(&self, problem: ParseProblem) -> Parsed<T> {
        Err(error(self.at, problem))
    }

    fn accept(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token.as_bytes());
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &'static str) -> Parsed<()> {
        if self.accept(token) { Ok(()) } else { self.fail(ParseProblem::Expected(token)) }
    }

    fn end(&self) -> Parsed<()> {
        if self.rest().is_empty() { Ok(()) } else { self.fail(ParseProblem::Trailing) }
    }

    /// The longest run of ASCII octets that `belongs`.
    fn word(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let ends = |octet: &u8| !octet.is_ascii() || !belongs(*octet);
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        let word = &self.text[self.at..self.at + length];
        self.at += length;
        word
    }

    /// A name or number in a list: letters, digits, `_`.
    fn atom(&mut self) -> &'a str {
        self.word(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
    }

    /// Digits only: a sign is not a number here.
    fn number(&mut self, radix: u32, bound: u64) -> Parsed<u64> {
        let start = self.at;
        let digits = self.word(|octet| char::from(octet).is_digit(radix));
        number_of(digits, radix, bound).ok_or(error(start, ParseProblem::Number))
    }

    fn number32(&mut self) -> Parsed<u32> {
        self.number(10, u32::MAX.into()).map(|number| number as u32)
    }

    fn mode(&mut self) -> Parsed<u32> {
        self.number(8, u32::MAX.into()).map(|number| number as u32)
    }

    fn flags(&mut self, names: &Names, bound: u64) -> Parsed<u64> {
        if self.accept("none") {
            return Ok(0);
        }
        let mut bits = 0;
        loop {
            let start = self.at;
            let name = self.atom();
            bits |= match name.strip_prefix("0x") {
                Some(digits) => {
                    number_of(digits, 16, bound).ok_or(error(start, ParseProblem::Number))?
                }
                None => names.number(name).ok_or(error(start, ParseProblem::UnknownName))?,
            };
            if !self.accept("|") {
                return Ok(bits);
            }
        }
    }

    /// A name, or a decimal number of 32 bits.
    fn choice(&mut self, names: &Names) -> Parsed<u32> {
        let start = self.at;
        let name = self.atom();
        if name.starts_with(|first: char| first.is_ascii_digit()) && names.number(name).is_none() {
            let number = number_of(name, 10, u32::MAX.into());
            return number.map(|n| n as u32).ok_or(error(start, ParseProblem::Number));
        }
        let number = names.number(name).and_then(|number| u32::try_from(number).ok());
        number.ok_or(error(start, ParseProblem::UnknownName))
    }

    /// One id for all four, or four.
    fn ids(&mut self) -> Parsed<[u32; 4]> {
        let mut ids = [self.number32()?; 4];
        if self.rest().first() == Some(&b',') {
            for id in &mut ids[1..] {
                self.expect(",")?;
                *id = self.number32()?;
            }
        }
        Ok(ids)
    }

    fn capabilities(&mut self) -> Parsed<u64> {
        if !self.accept("all") {
            return self.flags(&CAPABILITY, u64::MAX);
        }
        let mut capabilities = ALL_CAPABILITIES;
        while self.accept("-") {
            let name = self.atom();
            match CAPABILITY.number(name) {
                Some(bit) if capabilities & bit != 0 => capabilities &= !bit,
                _ => return self.fail(ParseProblem::Expected("a capability")),
            }
        }
        Ok(capabilities)
    }

    /// A bare word or a quoted one.
    fn octets(&mut self) -> Parsed<Vec<u8>> {
        let start = self.at;
        let octets =
            if self.accept("\"") { self.quoted()? } else { self.word(is_bare).as_bytes().to_vec() };
        if self.at == start {
            return self.fail(ParseProblem::Expected("a word"));
        }
        if octets.len() > TEXT_MAX {
            return Err(error(start, ParseProblem::TooLong));
        }
        Ok(octets)
    }

    /// After the opening quote, up to and with the closing one.
    fn quoted(&mut self) -> Parsed<Vec<u8>> {
        let mut octets = Vec::new();
        loop {
            let plain =
                self.word(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\'));
            octets.extend_from_slice(plain.as_bytes());
            match self.rest().first() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(octets);
                }
                Some(b'\\') => octets.push(self.escape()?),
                _ => return self.fail(ParseProblem::Expected("\"")),
            }
        }
    }

    fn escape(&mut self) -> Parsed<u8> {
        let start = self.at;
        self.at += 1;
        let octet = match self.rest() {
            [octet @ (b'"' | b'\\'), ..] => Some((*octet, 1)),
            [b'x', high, low, ..] => pair(*high, *low).map(|octet| (octet, 3)),
            _ => None,
        };
        let (octet, length) = octet.ok_or(error(start, ParseProblem::Escape))?;
        self.at += length;
        Ok(octet)
    }

    fn path(&mut self) -> Parsed<Vec<u8>> {
        let start = self.at;
        let path = self.octets()?;
        if path.contains(&0) {
            return Err(error(start, ParseProblem::Nul));
        }
        Ok(path)
    }

    fn path_place(&mut self) -> Parsed<Place> {
        let path = self.path()?;
        self.expect("{")?;
        let file_system = self.file_system()?;
        let (generalised, maker) = self.origin()?;
        self.expect("}")?;
        Ok(Place { path, file_system, generalised, maker })
    }

    fn file(&mut self) -> Parsed<File> {
        let path = self.path()?;
        self.expect("{")?;
        let file_system = self.file_system()?;
        self.expect(" ")?;
        let (uid, gid) = self.owner()?;
        self.expect(" ")?;
        let mode = self.mode()?;
        let (generalised, maker) = self.origin()?;
        let digest = self.labelled_digest(" sha256:")?;
        let reference = self.labelled_digest(" reference:")?;
        self.expect("}")?;
        let place = Place { path, file_system, generalised, maker };
        Ok(File { place, uid, gid, mode, digest, reference })
    }

    /// Nothing and a file called `none` differ in what follows: a file has braces.
    fn optional_file(&mut self) -> Parsed<Value> {
        if self.rest() == b"none" || self.rest().starts_with(b"none ") {
            self.at += "none".len();
            return Ok(Value::NoFile);
        }
        self.file().map(Value::from)
    }

    fn file_system(&mut self) -> Parsed<u32> {
        let start = self.at;
        let name = self.atom();
        let number = match name.strip_prefix("0x") {
            Some(digits) => number_of(digits, 16, u32::MAX.into()),
            None => FILE_SYSTEM.number(name),
        };
        number.map(|n| n as u32).ok_or(error(start, ParseProblem::UnknownName))
    }

    fn owner(&mut self) -> Parsed<(u32, u32)> {
        let uid = self.number32()?;
        self.expect(":")?;
        Ok((uid, self.number32()?))
    }

    fn origin(&mut self) -> Parsed<(bool, Digest)> {
        let generalised = self.accept(" generalised");
        Ok((generalised, self.labelled_digest(" made-by:")?))
    }

    /// A digest after its label; zero where the label is not there.
    fn labelled_digest(&mut self, label: &str) -> Parsed<Digest> {
        if self.accept(label) { self.digest() } else { Ok(Digest::ZERO) }
    }

    fn digest(&mut self) -> Parsed<Digest> {
        let start = self.at;
        let digits = self.word(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
        let expected = ParseProblem::Expected("64 lower-case hexadecimal digits");
        Digest::from_hex(digits).ok_or(error(start, expected))
    }

    fn socket(&mut self) -> Parsed<Socket> {
        let family = self.choice(&FAMILY)?;
        self.expect("/")?;
        let socket_type = self.choice(&SOCKET_TYPE)?;
        self.expect("/")?;
        Ok(Socket { family, socket_type, protocol: self.number32()? })
    }

    fn target(&mut self) -> Parsed<Target> {
        if self.accept("outside") {
            Ok(Target::Outside)
        } else if self.accept("own") {
            Ok(Target::Own)
        } else {
            self.expect("task:")?;
            self.digest().map(Target::Task)
        }
    }

    fn ipc(&mut self) -> Parsed<Ipc> {
        let owner = self.owner()?;
        self.expect("/")?;
        let creator = self.owner()?;
        self.expect("/")?;
        Ok(Ipc {
            uid: owner.0,
            gid: owner.1,
            creator_uid: creator.0,
            creator_gid: creator.1,
            mode: self.mode()?,
        })
    }

    fn address(&mut self) -> Parsed<Address> {
        if self.accept("none") {
            Ok(Address::None)
        } else if self.accept("any") {
            Ok(Address::Any)
        } else if self.accept("unix:@") {
            self.octets().map(Address::UnixAbstract)
        } else if self.accept("unix:") {
            self.path_place().map(Address::UnixPath)
        } else if self.accept("netlink:0x") {
            self.number(16, u32::MAX.into()).map(|groups| Address::Netlink(groups as u32))
        } else if self.accept("other:") {
            self.other_address()
        } else {
            self.internet_address()
        }
    }

    fn other_address(&mut self) -> Parsed<Address> {
        let start = self.at;
        let family = u16::try_from(self.choice(&FAMILY)?);
        let family = family.map_err(|_| error(start, ParseProblem::Number))?;
        self.expect(":")?;
        let start = self.at;
        let digits = self.word(|octet| octet.is_ascii_hexdigit()).as_bytes();
        if digits.len() > 2 * OTHER_ADDRESS_MAX {
            return Err(error(start, ParseProblem::TooLong));
        }
        let pairs = digits.chunks(2).map(|digits| match digits {
            [high, low] => pair(*high, *low),
            _ => None,
        });
        let octets = pairs.collect::<Option<_>>();
        let expected = ParseProblem::Expected("pairs of hexadecimal digits");
        Ok(Address::Other(family, octets.ok_or(error(start, expected))?))
    }

    fn internet_address(&mut self) -> Parsed<Address> {
        let start = self.at;
        if self.accept("[") {
            let digits = self.word(|octet| octet.is_ascii_hexdigit() || b":.".contains(&octet));
            self.expect("]")?;
            let address = Ipv6Addr::from_str(digits).map_err(|_| not_an_address(start))?;
            let network = self.network(&address.octets())?;
            let port = self.port()?;
            Ok(network.map_or(Address::Inet6(address.octets(), port), |with| with(port)))
        } else {
            let digits = self.word(|octet| octet.is_ascii_digit() || octet == b'.');
            let address = Ipv4Addr::from_str(digits).map_err(|_| not_an_address(start))?;
            let network = self.network(&address.octets())?;
            let port = self.port()?;
            Ok(network.map_or(Address::Inet(address.octets(), port), |with| with(port)))
        }
    }

    /// `/prefix` after an address makes a network of it, which still lacks its port.
    fn network(&mut self, octets: &[u8]) -> Parsed<Option<impl FnOnce(Port) -> Address + use<>>> {
        let start = self.at;
        if !self.accept("/") {
            return Ok(None);
        }
        let prefix = self.number(10, 128)? as u8;
        if !is_network(octets, prefix) {
            return Err(error(start, ParseProblem::Network));
        }
        let network = octets.to_vec();
        Ok(Some(move |port| Address::Network { network, prefix, port }))
    }

    fn port(&mut self) -> Parsed<Port> {
        self.expect(":")?;
        if self.accept("*") {
            return Ok(Port::Ephemeral);
        }
        self.number(10, u16::MAX.into()).map(|number| Port::Exact(number as u16))
    }
}

fn error(at: usize, problem: ParseProblem) -> ParseError {
    ParseError { column: at + 1, problem }
}

fn not_an_address(at: usize) -> ParseError {
    error(at, ParseProblem::Expected("an address"))
}

fn number_of(digits: &str, radix: u32, bound: u64) -> Option<u64> {
    // from_str_radix would take a sign.
    let plain = digits.chars().all(|digit| digit.is_digit(radix));
    let number = u64::from_str_radix(digits, radix).ok()?;
    (plain && number <= bound).then_some(number)
}

fn pair(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    Some((high * 16 + low) as u8)
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: ", self.column)?;
        match self.problem {
            ParseProblem::UnknownEvent => write!(f, "no event has this name"),
            ParseProblem::Expected(what) => write!(f, "expected {what:?}"),
            ParseProblem::UnknownName => write!(f, "a name that the field does not know"),
            ParseProblem::Number => write!(f, "not a number that fits the field"),
            ParseProblem::TooLong => write!(f, "too long"),
            ParseProblem::Nul => write!(f, "a NUL in a path"),
            ParseProblem::Escape => write!(f, "an unknown escape"),
            ParseProblem::Network => write!(f, "not a network: host bits are set"),
            ParseProblem::Trailing => write!(f, "something follows the last field"),
        }
    }
}

impl core::error::Error for ParseError {}
