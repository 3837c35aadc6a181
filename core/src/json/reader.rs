//! Reading the JSON form: every member of an object is taken by name, and what is left is refused.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

use serde_json::Map;
use serde_json::Value as Json;

use super::EXACT_MAX;
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

/// Why JSON is not the form of a CELL or COE. Whoever wrote it is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The member that was refused.
    pub member: String,
    /// Why.
    pub problem: JsonProblem,
}

/// What is wrong with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonProblem {
    /// It is not there.
    Missing,
    /// It does not belong there.
    Unknown,
    /// Its value is not one that it can have: another type, too wide, too long, not canonical.
    Value,
}

/// Reads the JSON form of a CELL.
pub fn cell_from_json(json: &Json) -> Result<Cell, JsonError> {
    let mut object = Members::of("", json)?;
    let kind = object.leaf("event", |name| EventKind::from_name(name.as_str()?))?;
    let mut members = Members::of("cell", object.required("cell")?)?;
    object.end()?;
    let mut values = Vec::with_capacity(kind.spec().fields.len());
    for field in kind.spec().fields {
        values.push(value(field.name, &field.field_type, members.required(field.name)?)?);
    }
    members.end()?;
    Ok(Cell { kind, values })
}

/// Reads the JSON form of a COE.
pub fn coe_from_json(json: &Json) -> Result<Coe, JsonError> {
    let mut object = Members::of("", json)?;
    let coe = Coe {
        uid: object.leaf("uid", number32)?,
        euid: object.leaf("euid", number32)?,
        suid: object.leaf("suid", number32)?,
        fsuid: object.leaf("fsuid", number32)?,
        gid: object.leaf("gid", number32)?,
        egid: object.leaf("egid", number32)?,
        sgid: object.leaf("sgid", number32)?,
        fsgid: object.leaf("fsgid", number32)?,
        capabilities: object.leaf("capabilities", |json| flags(&CAPABILITY, u64::MAX, json))?,
    };
    object.end()?;
    Ok(coe)
}

/// An object of which every member must be taken.
struct Members<'a> {
    object: &'a Map<String, Json>,
    taken: Vec<&'static str>,
}

impl<'a> Members<'a> {
    fn of(name: &str, json: &'a Json) -> Result<Self, JsonError> {
        let object = json.as_object().ok_or_else(|| error(name, JsonProblem::Value))?;
        Ok(Self { object, taken: Vec::new() })
    }

    fn optional(&mut self, name: &'static str) -> Option<&'a Json> {
        self.taken.push(name);
        self.object.get(name)
    }

    fn required(&mut self, name: &'static str) -> Result<&'a Json, JsonError> {
        self.optional(name).ok_or_else(|| error(name, JsonProblem::Missing))
    }

    fn leaf<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&Json) -> Option<T>,
    ) -> Result<T, JsonError> {
        read(self.required(name)?).ok_or_else(|| error(name, JsonProblem::Value))
    }

    fn optional_leaf<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl Fn(&Json) -> Option<T>,
    ) -> Result<T, JsonError> {
        let Some(json) = self.optional(name) else { return Ok(default) };
        read(json).ok_or_else(|| error(name, JsonProblem::Value))
    }

    fn end(&self) -> Result<(), JsonError> {
        let unknown = self.object.keys().find(|name| !self.taken.contains(&name.as_str()));
        unknown.map_or(Ok(()), |name| Err(error(name, JsonProblem::Unknown)))
    }
}

fn error(member: &str, problem: JsonProblem) -> JsonError {
    JsonError { member: member.into(), problem }
}

fn value(name: &str, kind: &FieldType, json: &Json) -> Result<Value, JsonError> {
    match kind {
        FieldType::Path => Ok(Value::Path(path_place(name, json)?)),

        FieldType::OptionalFile if json.is_null() => Ok(Value::NoFile),
        FieldType::File | FieldType::OptionalFile => Ok(Value::File(Box::new(file(name, json)?))),
        FieldType::Socket => Ok(Value::Socket(socket(name, json)?)),
        FieldType::Address => Ok(Value::Address(address(name, json)?)),
        FieldType::Task => Ok(Value::Task(target(name, json)?)),
        FieldType::Ipc => Ok(Value::Ipc(ipc(name, json)?)),
        simple => simple_value(simple, json).ok_or_else(|| error(name, JsonProblem::Value)),
    }
}

fn simple_value(kind: &FieldType, json: &Json) -> Option<Value> {
    match kind {
        FieldType::Number32 => number32(json).map(|number| Value::Number(number.into())),
        FieldType::Number64 => number64(json).map(Value::Number),
        FieldType::Mode => mode(json).map(|mode| Value::Number(mode.into())),
        FieldType::Flags(names) => flags(names, u32::MAX.into(), json).map(Value::Number),
        FieldType::Flags64(names) => flags(names, u64::MAX, json).map(Value::Number),
        FieldType::Choice(names) => choice(names, json).map(|number| Value::Number(number.into())),
        FieldType::Text => octets(json).map(Value::Text),
        FieldType::Digest => digest(json).map(Value::Digest),
        _ => None,
    }
}

fn number32(json: &Json) -> Option<u32> {
    json.as_u64()?.try_into().ok()
}

/// A number, or `"0x..."` for one that a number would not keep.
fn number64(json: &Json) -> Option<u64> {
    let Some(text) = json.as_str() else {
        return json.as_u64().filter(|number| *number <= EXACT_MAX);
    };
    let digits = text.strip_prefix("0x").filter(|digits| digits.chars().all(is_hex))?;
    u64::from_str_radix(digits, 16).ok()
}

fn is_hex(digit: char) -> bool {
    digit.is_ascii_hexdigit()
}

fn mode(json: &Json) -> Option<u32> {
    let digits = json.as_str().filter(|digits| digits.chars().all(|digit| digit.is_digit(8)))?;
    u32::from_str_radix(digits, 8).ok()
}

fn flags(names: &Names, bound: u64, json: &Json) -> Option<u64> {
    json.as_array()?.iter().try_fold(0, |bits, item| {
        let bit = item.as_str().and_then(|name| names.number(name));
        bit.or_else(|| number64(item)).filter(|bit| *bit <= bound).map(|bit| bits | bit)
    })
}

fn choice(names: &Names, json: &Json) -> Option<u32> {
    match json.as_str() {
        Some(name) => names.number(name)?.try_into().ok(),
        None => number32(json),
    }
}

fn octets(json: &Json) -> Option<Vec<u8>> {
    let octets = match json {
        Json::String(text) => text.as_bytes().to_vec(),
        Json::Object(object) if object.len() == 1 => from_hex(object.get("hex")?)?,
        _ => return None,
    };
    (octets.len() <= TEXT_MAX).then_some(octets)
}

fn from_hex(json: &Json) -> Option<Vec<u8>> {
    let pairs = json.as_str()?.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let high = char::from(*pair.first()?).to_digit(16)?;
            let low = char::from(*pair.get(1)?).to_digit(16)?;
            Some((high * 16 + low) as u8)
        })
        .collect()
}

fn digest(json: &Json) -> Option<Digest> {
    Digest::from_hex(json.as_str()?)
}

fn path_place(name: &str, json: &Json) -> Result<Place, JsonError> {
    let mut members = Members::of(name, json)?;
    let place = place(&mut members)?;
    members.end()?;
    Ok(place)
}

fn place(members: &mut Members<'_>) -> Result<Place, JsonError> {
    Ok(Place {
        path: members.leaf("path", |json| octets(json).filter(|path| !path.contains(&0)))?,
        file_system: members.leaf("fs", |json| choice(&FILE_SYSTEM, json))?,
        generalised: members.optional_leaf("generalised", false, Json::as_bool)?,
        maker: members.optional_leaf("maker", Digest::ZERO, digest)?,
    })
}

fn file(name: &str, json: &Json) -> Result<File, JsonError> {
    let mut members = Members::of(name, json)?;
    let file = File {
        place: place(&mut members)?,
        uid: members.leaf("uid", number32)?,
        gid: members.leaf("gid", number32)?,
        mode: members.leaf("mode", mode)?,
        digest: members.optional_leaf("sha256", Digest::ZERO, digest)?,
        reference: members.optional_leaf("reference", Digest::ZERO, digest)?,
    };
    members.end()?;
    Ok(file)
}

fn socket(name: &str, json: &Json) -> Result<Socket, JsonError> {
    let mut members = Members::of(name, json)?;
    let socket = Socket {
        family: members.leaf("family", |json| choice(&FAMILY, json))?,
        socket_type: members.leaf("type", |json| choice(&SOCKET_TYPE, json))?,
        protocol: members.leaf("protocol", number32)?,
    };
    members.end()?;
    Ok(socket)
}

fn ipc(name: &str, json: &Json) -> Result<Ipc, JsonError> {
    let mut members = Members::of(name, json)?;
    let ipc = Ipc {
        uid: members.leaf("uid", number32)?,
        gid: members.leaf("gid", number32)?,
        creator_uid: members.leaf("creator_uid", number32)?,
        creator_gid: members.leaf("creator_gid", number32)?,
        mode: members.leaf("mode", mode)?,
    };
    members.end()?;
    Ok(ipc)
}

fn target(name: &str, json: &Json) -> Result<Target, JsonError> {
    match json.as_str() {
        Some("outside") => return Ok(Target::Outside),
        Some("own") => return Ok(Target::Own),
        _ => {}
    }
    let mut members = Members::of(name, json)?;
    let target = members.leaf("task", digest).map(Target::Task)?;
    members.end()?;
    Ok(target)
}

fn address(name: &str, json: &Json) -> Result<Address, JsonError> {
    match json.as_str() {
        Some("none") => return Ok(Address::None),
        Some("any") => return Ok(Address::Any),
        _ => {}
    }
    let mut members = Members::of(name, json)?;
    let address = if let Some(json) = members.optional("unix") {
        Address::UnixPath(path_place("unix", json)?)
    } else if let Some(json) = members.optional("other") {
        other_address(json)?
    } else {
        plain_address(name, &mut members)?
    };
    members.end()?;
    Ok(address)
}

fn plain_address(name: &str, members: &mut Members<'_>) -> Result<Address, JsonError> {
    if members.object.contains_key("abstract") {
        members.leaf("abstract", octets).map(Address::UnixAbstract)
    } else if members.object.contains_key("netlink") {
        members.leaf("netlink", number32).map(Address::Netlink)
    } else if members.object.contains_key("inet") {
        let host: Ipv4Addr = members.leaf("inet", |json| json.as_str()?.parse().ok())?;
        Ok(Address::Inet(host.octets(), members.leaf("port", port)?))
    } else if members.object.contains_key("inet6") {
        let host: Ipv6Addr = members.leaf("inet6", |json| json.as_str()?.parse().ok())?;
        Ok(Address::Inet6(host.octets(), members.leaf("port", port)?))
    } else if members.object.contains_key("network") {
        let (network, prefix) = members.leaf("network", network)?;
        Ok(Address::Network { network, prefix, port: members.leaf("port", port)? })
    } else {
        Err(error(name, JsonProblem::Value))
    }
}

fn other_address(json: &Json) -> Result<Address, JsonError> {
    let mut members = Members::of("other", json)?;
    let family =
        members.leaf("family", |json| choice(&FAMILY, json).and_then(|n| n.try_into().ok()))?;
    let bounded = |json: &Json| from_hex(json).filter(|octets| octets.len() <= OTHER_ADDRESS_MAX);
    let octets = members.leaf("hex", bounded)?;
    members.end()?;
    Ok(Address::Other(family, octets))
}

fn port(json: &Json) -> Option<Port> {
    if json.as_str() == Some("ephemeral") {
        return Some(Port::Ephemeral);
    }
    json.as_u64()?.try_into().ok().map(Port::Exact)
}

fn network(json: &Json) -> Option<(Vec<u8>, u8)> {
    let (host, prefix) = json.as_str()?.split_once('/')?;
    let network = match host.parse().ok()? {
        IpAddr::V4(host) => host.octets().to_vec(),
        IpAddr::V6(host) => host.octets().to_vec(),
    };
    let prefix = Some(prefix).filter(|text| text.chars().all(|digit| digit.is_ascii_digit()))?;
    let prefix = prefix.parse().ok()?;
    is_network(&network, prefix).then_some((network, prefix))
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.member.is_empty() { "the document" } else { &self.member };
        match self.problem {
            JsonProblem::Missing => write!(f, "{name:?} is missing"),
            JsonProblem::Unknown => write!(f, "{name:?} does not belong here"),
            JsonProblem::Value => write!(f, "{name:?} has a value that it cannot have"),
        }
    }
}

impl core::error::Error for JsonError {}
