//! The canonical form that needs no rule: what two good runs never share.
//!
//! Process ids in procfs, terminal numbers, inode numbers in the names of pipes and sockets. Rules
//! of the model come after (see [`crate::Rules`]).

use alloc::vec::Vec;

use crate::Address;
use crate::Cell;
use crate::Place;
use crate::References;
use crate::Rules;
use crate::Value;
use crate::names::FILE_SYSTEM;

/// Brings every place and address of a cell into canonical form. `pid` is the acting process's id
/// as procfs shows it.
pub fn canonicalise(cell: &mut Cell, pid: u32) {
    for value in &mut cell.values {
        if let Some(place) = value.place_mut() {
            canonicalise_place(place, pid);
        }
        if let Value::Address(Address::UnixAbstract(name)) = value {
            *name = kernel_chosen_abstract(name);
        }
    }
}

/// Whether a cell, as a source describes it, is what is hashed: neither the canonical form nor a rule
/// rewrites anything, and it has no target to be named. Such an event may be known by its encoding.
pub fn is_hashed_as_described(cell: &Cell, rules: &Rules) -> bool {
    is_canonical(cell) && !rules.touch(cell)
}

/// Whether an event with this cell, as a model describes it, is hashed as a source describes it: no
/// rule and no reference has a part in it. Whoever wrote the cell down knows its targets' identities.
/// Such an event is in a model exactly if its own coefficient is.
pub fn is_hashed_without_rules(cell: &Cell, rules: &Rules, references: &References) -> bool {
    let is_plain = |value: &Value| match value {
        Value::Task(_) => true,
        Value::File(file) => {
            is_value_canonical(value)
                && references.of(file.digest, &file.place.path).is_zero()
                && (file.digest.is_zero()
                    || !cell.is_opened_to_use()
                    || rules.wants_digest(&file.place.path))
        }
        value => is_value_canonical(value),
    };
    let generalised = |value: &Value| value.place().is_some_and(|place| place.generalised);
    cell.values.iter().all(|value| is_plain(value) && !generalised(value)) && !rules.touch(cell)
}

/// Whether a cell is hashed as it came: it has nothing that [`canonicalise`] rewrites, and no
/// target to be named.
pub(crate) fn is_canonical(cell: &Cell) -> bool {
    cell.values.iter().all(is_value_canonical)
}

fn is_value_canonical(value: &Value) -> bool {
    match value {
        Value::Task(_) => false,
        Value::Address(Address::UnixAbstract(name)) => !is_kernel_chosen(name),
        Value::File(file) if !file.reference.is_zero() => false,
        // Every number of a process is rewritten, whichever it is.
        value => value.place().is_none_or(|place| canonical_path(place, 0).is_none()),
    }
}

fn canonicalise_place(place: &mut Place, pid: u32) {
    if let Some(path) = canonical_path(place, pid) {
        place.path = path;
    }
}

/// The path in canonical form, if it is not.
fn canonical_path(place: &Place, pid: u32) -> Option<Vec<u8>> {
    let path = if is(place, "proc") {
        canonical_proc(&place.path, pid)
    } else if is(place, "devpts") {
        canonical_terminal(&place.path)
    } else if !place.path.starts_with(b"/") {
        without_inode(&place.path)
    } else {
        return None;
    };
    (path != place.path).then_some(path)
}

fn is(place: &Place, file_system: &str) -> bool {
    FILE_SYSTEM.number(file_system) == Some(place.file_system.into())
}

/// `/proc/42/task/43/fd/7` of process 42 -> `/proc/self/task/<tid>/fd/<n>`.
fn canonical_proc(path: &[u8], pid: u32) -> Vec<u8> {
    let mut before: &[u8] = b"";
    let mut in_process = false;
    let mut out = Vec::with_capacity(path.len());
    for (index, component) in path.split(|octet| *octet == b'/').enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        let number = decimal(component);
        let name: &[u8] = match (number, before) {
            (Some(number), b"proc") => {
                in_process = true;
                if number == u64::from(pid) { b"self" } else { b"<pid>" }
            }
            (Some(_), b"task") if in_process => b"<tid>",
            (Some(_), b"fd" | b"fdinfo") if in_process => b"<n>",
            (_, b"map_files") if in_process => b"<range>",
            _ => component,
        };
        out.extend_from_slice(name);
        before = component;
    }
    out
}

/// `/dev/pts/7` -> `/dev/pts/<n>`.
fn canonical_terminal(path: &[u8]) -> Vec<u8> {
    let name = path.iter().rposition(|octet| *octet == b'/').map_or(0, |slash| slash + 1);
    if decimal(&path[name..]).is_none() {
        return path.to_vec();
    }
    [&path[..name], b"<n>"].concat()
}

/// `pipe:[123]` -> `pipe:`; `anon_inode:[eventfd]` and `memfd:name` stay.
fn without_inode(name: &[u8]) -> Vec<u8> {
    let inode = name.iter().position(|octet| *octet == b'[').filter(|open| {
        let rest = &name[open + 1..];
        rest.split_last().is_some_and(|(last, number)| *last == b']' && decimal(number).is_some())
    });
    name[..inode.unwrap_or(name.len())].to_vec()
}

/// Autobind gives a UNIX socket an abstract name of five hexadecimal digits, unix(7).
fn kernel_chosen_abstract(name: &[u8]) -> Vec<u8> {
    if is_kernel_chosen(name) { b"<ephemeral>".to_vec() } else { name.to_vec() }
}

fn is_kernel_chosen(name: &[u8]) -> bool {
    let hex = |octet: &u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(octet);
    name.len() == 5 && name.iter().all(hex)
}

fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;
    use crate::EventKind;
    use crate::File;
    use crate::Maker;
    use crate::NameRule;
    use crate::Pattern;
    use crate::Port;
    use crate::Socket;
    use crate::Target;
    use crate::Vouched;

    fn canonical(path: &str, file_system: &str) -> Vec<u8> {
        let mut place = Place::new(path, FILE_SYSTEM.number(file_system).unwrap() as u32);
        canonicalise_place(&mut place, 42);
        place.path
    }

    fn opened(path: &str, file_system: &str, digest: Digest) -> Cell {
        let place = Place::new(path, FILE_SYSTEM.number(file_system).unwrap() as u32);
        let file = File::new(place, [0, 0, 0o100_644], digest);
        Cell { kind: EventKind::FileOpen, values: vec![file.into(), Value::Number(1)] }
    }

    fn connected(address: Address) -> Cell {
        let socket = Socket { family: 2, socket_type: 1, protocol: 6 };
        let values = vec![Value::Socket(socket), Value::Address(address)];
        Cell { kind: EventKind::SocketConnect, values }
    }

    #[test]
    fn what_is_canonical_already_is_hashed_as_described() {
        let rules = Rules::default();
        let plain = |cell: &Cell| is_hashed_as_described(cell, &rules);
        for (path, file_system) in [
            ("/etc/hostname", "ext4"),
            ("/proc/self/maps", "proc"),
            ("/dev/pts/<n>", "devpts"),
            ("pipe:", "pipefs"),
        ] {
            assert!(plain(&opened(path, file_system, Digest::ZERO)), "{path}");
        }
        for (path, file_system) in
            [("/proc/42/maps", "proc"), ("/dev/pts/3", "devpts"), ("pipe:[7]", "pipefs")]
        {
            assert!(!plain(&opened(path, file_system, Digest::ZERO)), "{path}");
        }
        let inet = |port| connected(Address::Inet([127, 0, 0, 1], Port::Exact(port)));
        assert!(plain(&inet(6379)) && !plain(&inet(40000)), "an ephemeral port is rewritten");
        let unix = |name: &str| connected(Address::UnixAbstract(name.into()));
        assert!(plain(&unix("bus")) && !plain(&unix("00a1f")), "an autobound name is rewritten");
    }

    #[test]
    fn a_rule_or_a_reference_that_has_a_part_is_seen() {
        let content = Digest([7; 32]);
        let none = References::default();
        let without = |cell: &Cell, rules: &Rules| is_hashed_without_rules(cell, rules, &none);
        let rules = Rules::default();
        assert!(without(&opened("/etc/hostname", "ext4", Digest::ZERO), &rules));
        assert!(
            !without(&opened("/etc/hostname", "ext4", content), &rules),
            "no rule asks for the content of what is only read"
        );
        let wanting = Rules { digests: vec![Pattern::parse("/etc").unwrap()], ..Rules::default() };
        assert!(without(&opened("/etc/hostname", "ext4", content), &wanting));
        let mut vouched = References::default();
        let entry = Vouched::new(content, b"/etc/hostname", Digest([9; 32]));
        vouched.insert(entry).unwrap();
        let cell = opened("/etc/hostname", "ext4", content);
        assert!(!is_hashed_without_rules(&cell, &wanting, &vouched), "a package names it");
        let named =
            NameRule { pattern: Pattern::parse("/tmp/{hex:8}").unwrap(), maker: Maker::Anyone };
        let names = Rules { names: vec![named], ..Rules::default() };
        assert!(!without(&opened("/tmp/0123abcd/x", "ext4", Digest::ZERO), &names));
        assert!(without(&opened("/tmp/x", "ext4", Digest::ZERO), &names));
        let mut general = opened("/tmp/{hex:8}", "ext4", Digest::ZERO);
        general.values[0].place_mut().unwrap().generalised = true;
        assert!(!without(&general, &rules), "no source describes it so");
        let killed = vec![Value::Task(Target::Task(content)), Value::Number(9)];
        let killed = Cell { kind: EventKind::TaskKill, values: killed };
        assert!(without(&killed, &rules), "who wrote it down knows whom it is about");
        assert!(!is_hashed_as_described(&killed, &rules));
    }

    #[test]
    fn numbers_that_the_kernel_chose_are_gone() {
        assert_eq!(canonical("/proc/42/task/43/fd/7", "proc"), b"/proc/self/task/<tid>/fd/<n>");
        assert_eq!(canonical("/proc/41/maps", "proc"), b"/proc/<pid>/maps");
        assert_eq!(canonical("/proc/irq/4/spurious", "proc"), b"/proc/irq/4/spurious");
        assert_eq!(canonical("/proc/42/maps", "ext4"), b"/proc/42/maps");
        assert_eq!(canonical("/dev/pts/12", "devpts"), b"/dev/pts/<n>");
        assert_eq!(canonical("/dev/pts/ptmx", "devpts"), b"/dev/pts/ptmx");
        assert_eq!(canonical("pipe:[812]", "pipefs"), b"pipe:");
        assert_eq!(canonical("anon_inode:[eventfd]", "anon_inode"), b"anon_inode:[eventfd]");
    }
}
