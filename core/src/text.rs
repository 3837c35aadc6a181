//! The text form of COE and CELL: one line that a reviewer reads and `git diff` shows well.
//!
//! `file_open file=/etc/passwd{ext4 0:0 100644} access=read`. Driven by the event table in both
//! directions; what is written reads back to the same value. Only printable ASCII is written:
//! octets that could end a word, or that a terminal would not show as they are, stand in double
//! quotes as `\xNN`, so that no file name can forge a line or a field. Numbers without a name stay
//! numbers. `docs/spec/01-events.md` has the grammar.

mod parser;

use core::fmt;
use core::net::Ipv4Addr;
use core::net::Ipv6Addr;

pub use parser::ParseError;
pub use parser::ParseProblem;

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

/// Every capability that has a name.
pub(crate) const ALL_CAPABILITIES: u64 = (1 << 41) - 1;
/// With more missing than this, those that are there are named.
const MISSING_MAX: u32 = 20;

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.kind.spec();
        f.write_str(spec.name)?;
        for (field, value) in spec.fields.iter().zip(&self.values) {
            write!(f, " {}={}", field.name, Typed(&field.field_type, value))?;
        }
        Ok(())
    }
}

impl fmt::Display for Coe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uids = Ids([self.uid, self.euid, self.suid, self.fsuid]);
        let gids = Ids([self.gid, self.egid, self.sgid, self.fsgid]);
        write!(f, "uid={uids} gid={gids} caps=")?;
        write_capabilities(f, self.capabilities)
    }
}

/// Real, effective, saved and file system id; one number when all are the same.
struct Ids([u32; 4]);

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [real, effective, saved, file_system] = self.0;
        if self.0 == [real; 4] {
            write!(f, "{real}")
        } else {
            write!(f, "{real},{effective},{saved},{file_system}")
        }
    }
}

/// A value as its field's type wants it written.
struct Typed<'a>(&'a FieldType, &'a Value);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Value::Number(number) => write_number(f, self.0, *number),
            Value::Text(text) => write!(f, "{}", Octets(text)),
            Value::Path(place) => write!(f, "{place}"),
            Value::File(file) => write!(f, "{file}"),
            Value::NoFile => f.write_str("none"),
            Value::Socket(socket) => write!(f, "{socket}"),
            Value::Address(address) => write!(f, "{address}"),
            Value::Task(target) => write!(f, "{target}"),
            Value::Ipc(ipc) => write!(f, "{ipc}"),
            Value::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

fn write_number(f: &mut fmt::Formatter<'_>, kind: &FieldType, number: u64) -> fmt::Result {
    match kind {
        FieldType::Mode => write!(f, "{number:o}"),
        FieldType::Flags(names) | FieldType::Flags64(names) => write_flags(f, names, number),
        FieldType::Choice(names) => write_choice(f, names, number),
        _ => write!(f, "{number}"),
    }
}

/// Most of them read better by what is missing: `all-sys_boot`.
fn write_capabilities(f: &mut fmt::Formatter<'_>, bits: u64) -> fmt::Result {
    let missing = ALL_CAPABILITIES & !bits;
    if bits & !ALL_CAPABILITIES != 0 || missing.count_ones() > MISSING_MAX {
        return write_flags(f, &CAPABILITY, bits);
    }
    f.write_str("all")?;
    let missing = CAPABILITY.0.iter().filter(|(_, bit)| missing & bit != 0);
    missing.into_iter().try_for_each(|(name, _)| write!(f, "-{name}"))
}

/// `read|write|0x400`; `none` when no bit is set.
fn write_flags(f: &mut fmt::Formatter<'_>, names: &Names, bits: u64) -> fmt::Result {
    if bits == 0 {
        return f.write_str("none");
    }
    let mut rest = bits;
    let mut separator = "";
    for (name, bit) in names.0.iter().filter(|(_, bit)| bits & bit != 0) {
        write!(f, "{separator}{name}")?;
        rest &= !bit;
        separator = "|";
    }
    if rest != 0 {
        write!(f, "{separator}{rest:#x}")?;
    }
    Ok(())
}

fn write_choice(f: &mut fmt::Formatter<'_>, names: &Names, number: u64) -> fmt::Result {
    match names.name(number) {
        Some(name) => f.write_str(name),
        None => write!(f, "{number}"),
    }
}

/// Octets as a bare word, or in double quotes.
pub(crate) struct Octets<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() || !self.0.iter().copied().all(is_bare) {
            return write_quoted(f, self.0);
        }
        write_ascii(f, self.0)
    }
}

/// Whether an octet can stand in a bare word.
fn is_bare(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\' | b'{' | b'}')
}

fn write_ascii(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| fmt::Write::write_char(f, char::from(*octet)))
}

fn write_quoted(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for octet in octets {
        match octet {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
            b' '..=b'~' => write_ascii(f, &[*octet])?,
            _ => write!(f, "\\x{octet:02x}")?,
        }
    }
    f.write_str("\"")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{", Octets(&self.path))?;
        write_file_system(f, self.file_system)?;
        write_origin(f, self)?;
        f.write_str("}")
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{", Octets(&self.place.path))?;
        write_file_system(f, self.place.file_system)?;
        write!(f, " {}:{} {:o}", self.uid, self.gid, self.mode)?;
        write_origin(f, &self.place)?;
        if !self.digest.is_zero() {
            write!(f, " sha256:{}", self.digest)?;
        }
        if !self.reference.is_zero() {
            write!(f, " reference:{}", self.reference)?;
        }
        f.write_str("}")
    }
}

fn write_file_system(f: &mut fmt::Formatter<'_>, magic: u32) -> fmt::Result {
    match FILE_SYSTEM.name(magic.into()) {
        Some(name) => f.write_str(name),
        None => write!(f, "{magic:#x}"),
    }
}

fn write_origin(f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    if place.generalised {
        f.write_str(" generalised")?;
    }
    if !place.maker.is_zero() {
        write!(f, " made-by:{}", place.maker)?;
    }
    Ok(())
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_choice(f, &FAMILY, self.family.into())?;
        f.write_str("/")?;
        write_choice(f, &SOCKET_TYPE, self.socket_type.into())?;
        write!(f, "/{}", self.protocol)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(number) => write!(f, "{number}"),
            Self::Ephemeral => f.write_str("*"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Any => f.write_str("any"),
            Self::Inet(octets, port) => write!(f, "{}:{port}", Ipv4Addr::from(*octets)),
            Self::Inet6(octets, port) => write!(f, "[{}]:{port}", Ipv6Addr::from(*octets)),
            Self::UnixPath(place) => write_unix_path(f, place),
            Self::UnixAbstract(name) => write!(f, "unix:@{}", Octets(name)),
            Self::Netlink(groups) => write!(f, "netlink:{groups:#x}"),
            Self::Network { network, prefix, port } => write_network(f, network, *prefix, *port),
            Self::Other(family, octets) => write_other(f, *family, octets),
        }
    }
}

/// A path that begins with `@` is quoted, so that it is not taken for an abstract name.
fn write_unix_path(f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
    f.write_str("unix:")?;
    if place.path.first() != Some(&b'@') || !place.path.iter().copied().all(is_bare) {
        return write!(f, "{place}");
    }
    write_quoted(f, &place.path)?;
    f.write_str("{")?;
    write_file_system(f, place.file_system)?;
    write_origin(f, place)?;
    f.write_str("}")
}

fn write_network(
    f: &mut fmt::Formatter<'_>,
    network: &[u8],
    prefix: u8,
    port: Port,
) -> fmt::Result {
    if let Ok(octets) = <[u8; 4]>::try_from(network) {
        write!(f, "{}/{prefix}:{port}", Ipv4Addr::from(octets))
    } else if let Ok(octets) = <[u8; 16]>::try_from(network) {
        write!(f, "[{}]/{prefix}:{port}", Ipv6Addr::from(octets))
    } else {
        f.write_str("malformed")
    }
}

fn write_other(f: &mut fmt::Formatter<'_>, family: u16, octets: &[u8]) -> fmt::Result {
    f.write_str("other:")?;
    write_choice(f, &FAMILY, family.into())?;
    f.write_str(":")?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("outside"),
            Self::Own => f.write_str("own"),
            Self::Task(identity) => write!(f, "task:{identity}"),
        }
    }
}

impl fmt::Display for Ipc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, gid, creator_uid, creator_gid, mode } = self;
        write!(f, "{uid}:{gid}/{creator_uid}:{creator_gid}/{mode:o}")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn same(line: &str) {
        let cell: Cell = line.parse().unwrap();
        assert_eq!(cell.to_string(), line);
    }

    fn refused(line: &str) -> (usize, ParseProblem) {
        let error = line.parse::<Cell>().unwrap_err();
        (error.column, error.problem)
    }

    #[test]
    fn lines_read_as_a_reviewer_expects() {
        let maker = "2".repeat(64);
        same("file_open file=/etc/passwd{ext4 0:0 100644} access=read|write|0x400");
        same(r#"inode_symlink path="/tmp/a \"b\"\x0a\xff"{tmpfs} target="""#);
        same(&alloc::format!("inode_unlink path=/tmp/*{{tmpfs generalised made-by:{maker}}}"));
        same(&alloc::format!(
            "bprm_committed_creds file=none{{0x1 0:0 100755 sha256:{maker}}} script=none"
        ));
        same("mmap_file file=none protection=none sharing=7");
        for address in [
            "127.0.0.1:80",
            "[::1]:*",
            "unix:/run/x{tmpfs}",
            r#"unix:"@x"{tmpfs}"#,
            "unix:@abstract",
            r#"unix:@"""#,
            "10.0.0.0/8:443",
            "[fd00::]/8:*",
            "netlink:0x0",
            "other:packet:00ff",
            "other:999:",
            "any",
            "none",
        ] {
            same(&alloc::format!("socket_connect socket=inet/stream/6 address={address}"));
        }
        same(&alloc::format!("task_kill target=task:{maker} signal=9"));
        same("task_kill target=own signal=0");
        same("shm_shmat ipc=1:2/3:4/600 flags=0");
        same("userns_create");
    }

    #[test]
    fn an_error_has_its_column() {
        assert_eq!(refused("file_opened x=1"), (1, ParseProblem::UnknownEvent));
        assert_eq!(refused("userns_create "), (14, ParseProblem::Trailing));
        assert_eq!(refused("bpf command=+1"), (13, ParseProblem::Number));
        assert_eq!(refused("bpf command=4294967296"), (13, ParseProblem::Number));
        assert_eq!(refused("bpf size=1"), (5, ParseProblem::Expected("command")));
        assert_eq!(refused(r#"inode_unlink path="\x00"{ext4}"#), (19, ParseProblem::Nul));
        assert_eq!(refused(r#"inode_unlink path="\q"{ext4}"#), (20, ParseProblem::Escape));
        assert_eq!(refused("inode_unlink path=é"), (19, ParseProblem::Expected("a word")));
        let network = "socket_connect socket=inet/stream/6 address=10.0.0.1/8:1";
        assert_eq!(refused(network), (53, ParseProblem::Network));
    }

    #[test]
    fn a_coe_is_short_when_its_ids_agree() {
        for line in [
            "uid=0 gid=0 caps=all",
            "uid=1000 gid=1000,0,0,7 caps=none",
            "uid=4294967295 gid=5 caps=chown|kill|0x8000000000000000",
        ] {
            let coe: Coe = line.parse().unwrap();
            assert_eq!(coe.to_string(), line);
        }
        assert!("uid=1,2 gid=0 caps=none".parse::<Coe>().is_err());
        assert!("uid=1 gid=0 caps=".parse::<Coe>().is_err());
    }
}
