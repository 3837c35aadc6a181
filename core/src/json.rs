//! The JSON form of COE and CELL, for programs.
//!
//! `{"event": "file_open", "cell": {"file": {...}, "access": ["read"]}}`, driven by the event table
//! in both directions. Octets that are not UTF-8 stand as `{"hex": "..."}` and numbers that JSON
//! readers would round as `"0x..."`. A reader accepts nothing that it does not know and says the
//! name of what it refused. `docs/spec/01-events.md` describes the form.

mod reader;

use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use core::fmt::Write as _;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

pub use reader::JsonError;
pub use reader::JsonProblem;
pub use reader::cell_from_json;
pub use reader::coe_from_json;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use crate::Address;
use crate::Cell;
use crate::Coe;
use crate::FieldType;
use crate::File;
use crate::Ipc;
use crate::Place;
use crate::Port;
use crate::Socket;
use crate::Target;
use crate::Value;
use crate::names::CAPABILITY;
use crate::names::FAMILY;
use crate::names::FILE_SYSTEM;
use crate::names::Names;
use crate::names::SOCKET_TYPE;

/// The largest number that every JSON reader keeps exactly.
const EXACT_MAX: u64 = (1 << 53) - 1;

/// The JSON form of a CELL.
pub fn cell_to_json(cell: &Cell) -> Json {
    let spec = cell.kind.spec();
    let values = spec.fields.iter().zip(&cell.values);
    let fields: Map<String, Json> = values
        .map(|(field, value)| (field.name.into(), written(&field.field_type, value)))
        .collect();
    json!({ "event": spec.name, "cell": fields })
}

/// The JSON form of a COE.
pub fn coe_to_json(coe: &Coe) -> Json {
    json!({
        "uid": coe.uid, "euid": coe.euid, "suid": coe.suid, "fsuid": coe.fsuid,
        "gid": coe.gid, "egid": coe.egid, "sgid": coe.sgid, "fsgid": coe.fsgid,
        "capabilities": flags(&CAPABILITY, coe.capabilities),
    })
}

fn written(kind: &FieldType, value: &Value) -> Json {
    match value {
        Value::Number(number) => numeral(kind, *number),
        Value::Text(text) => octets(text),
        Value::Path(path) => place(path).into(),
        Value::File(some) => file(some),
        Value::NoFile => Json::Null,
        Value::Socket(some) => socket(*some),
        Value::Address(some) => address(some),
        Value::Task(Target::Outside) => "outside".into(),
        Value::Task(Target::Own) => "own".into(),
        Value::Task(Target::Task(identity)) => json!({ "task": identity.to_hex() }),
        Value::Ipc(some) => ipc(some),
        Value::Digest(digest) => digest.to_hex().into(),
    }
}

fn numeral(kind: &FieldType, number: u64) -> Json {
    match kind {
        FieldType::Mode => format!("{number:o}").into(),
        FieldType::Flags(names) | FieldType::Flags64(names) => flags(names, number),
        FieldType::Choice(names) => choice(names, number),
        _ => exact(number),
    }
}

fn exact(number: u64) -> Json {
    if number <= EXACT_MAX { number.into() } else { format!("{number:#x}").into() }
}

/// Names of bits, then one number for the bits without a name.
fn flags(names: &Names, bits: u64) -> Json {
    let known = names.0.iter().filter(|(_, bit)| bits & bit != 0);
    let rest = known.clone().fold(bits, |rest, (_, bit)| rest & !bit);
    let rest = (rest != 0).then(|| exact(rest));
    known.map(|(name, _)| Json::from(*name)).chain(rest).collect()
}

fn choice(names: &Names, number: u64) -> Json {
    names.name(number).map_or(number.into(), Json::from)
}

fn octets(octets: &[u8]) -> Json {
    match core::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": hex(octets) }),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut digits, octet| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{octet:02x}");
        digits
    })
}

fn place(place: &Place) -> Map<String, Json> {
    let mut object = Map::new();
    object.insert("path".into(), octets(&place.path));
    object.insert("fs".into(), choice(&FILE_SYSTEM, place.file_system.into()));
    if place.generalised {
        object.insert("generalised".into(), true.into());
    }
    if !place.maker.is_zero() {
        object.insert("maker".into(), place.maker.to_hex().into());
    }
    object
}

fn file(file: &File) -> Json {
    let mut object = place(&file.place);
    object.insert("uid".into(), file.uid.into());
    object.insert("gid".into(), file.gid.into());
    object.insert("mode".into(), format!("{:o}", file.mode).into());
    if !file.digest.is_zero() {
        object.insert("sha256".into(), file.digest.to_hex().into());
    }
    if !file.reference.is_zero() {
        object.insert("reference".into(), file.reference.to_hex().into());
    }
    object.into()
}

fn socket(socket: Socket) -> Json {
    json!({
        "family": choice(&FAMILY, socket.family.into()),
        "type": choice(&SOCKET_TYPE, socket.socket_type.into()),
        "protocol": socket.protocol,
    })
}

fn ipc(ipc: &Ipc) -> Json {
    json!({
        "uid": ipc.uid, "gid": ipc.gid,
        "creator_uid": ipc.creator_uid, "creator_gid": ipc.creator_gid,
        "mode": format!("{:o}", ipc.mode),
    })
}

fn address(address: &Address) -> Json {
    match address {
        Address::None => "none".into(),
        Address::Any => "any".into(),
        Address::Inet(host, at) => {
            json!({ "inet": Ipv4Addr::from(*host).to_string(), "port": port(*at) })
        }
        Address::Inet6(host, at) => {
            json!({ "inet6": Ipv6Addr::from(*host).to_string(), "port": port(*at) })
        }
        Address::UnixPath(path) => json!({ "unix": place(path) }),
        Address::UnixAbstract(name) => json!({ "abstract": octets(name) }),
        Address::Netlink(groups) => json!({ "netlink": groups }),
        Address::Network { network: host, prefix, port: at } => {
            json!({ "network": network(host, *prefix), "port": port(*at) })
        }
        Address::Other(family, rest) => {
            let family = choice(&FAMILY, (*family).into());
            json!({ "other": { "family": family, "hex": hex(rest) } })
        }
    }
}

fn port(port: Port) -> Json {
    match port {
        Port::Exact(number) => number.into(),
        Port::Ephemeral => "ephemeral".into(),
    }
}

fn network(network: &[u8], prefix: u8) -> String {
    if let Ok(host) = <[u8; 4]>::try_from(network) {
        format!("{}/{prefix}", Ipv4Addr::from(host))
    } else if let Ok(host) = <[u8; 16]>::try_from(network) {
        format!("{}/{prefix}", Ipv6Addr::from(host))
    } else {
        format!("{}/{prefix}", hex(network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(json: &Json) {
        assert_eq!(cell_to_json(&cell_from_json(json).unwrap()), *json);
    }

    fn refusal(json: &Json) -> (String, JsonProblem) {
        let error = cell_from_json(json).unwrap_err();
        (error.member, error.problem)
    }

    #[test]
    fn an_event_is_an_object_of_its_fields() {
        let file = json!({ "path": { "hex": "2fff" }, "fs": "ext4", "uid": 0, "gid": 7,
            "mode": "100644", "generalised": true, "maker": "2".repeat(64) });
        round_trip(&json!({ "event": "file_open",
            "cell": { "file": file, "access": ["read", "exec", 1024] } }));
        round_trip(&json!({ "event": "task_prctl",
            "cell": { "option": 9999, "argument": "0xffffffffffffffff" } }));
    }

    #[test]
    fn what_does_not_belong_is_refused_by_name() {
        let bpf = |cell: Json| json!({ "event": "bpf", "cell": cell });
        let refused = |name: &str, problem| (String::from(name), problem);
        assert_eq!(refusal(&bpf(json!({}))), refused("command", JsonProblem::Missing));
        let extra = bpf(json!({ "command": 1, "size": 2 }));
        assert_eq!(refusal(&extra), refused("size", JsonProblem::Unknown));
        for wrong in [json!(-1), json!(1.5), json!(1_u64 << 32), json!("1"), Json::Null] {
            let cell = bpf(json!({ "command": wrong }));
            assert_eq!(refusal(&cell), refused("command", JsonProblem::Value));
        }
        let event = json!({ "event": "bpfs", "cell": {} });
        assert_eq!(refusal(&event), refused("event", JsonProblem::Value));
    }
}
