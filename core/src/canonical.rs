//! The canonical form that needs no rule: what two good runs never share.
//!
//! Process ids in procfs, terminal numbers, inode numbers in the names of pipes and sockets. Rules
//! of the model come after (see [`crate::Rules`]).

use alloc::vec::Vec;

use crate::Address;
use crate::Cell;
use crate::Place;
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

/// Whether a cell is hashed as it came: it has nothing that [`canonicalise`] rewrites, and no
/// target to be named.
pub(crate) fn is_canonical(cell: &Cell) -> bool {
    cell.values.iter().all(|value| match value {
        Value::Task(_) | Value::Address(Address::UnixAbstract(_)) => false,
        Value::File(file) if !file.reference.is_zero() => false,
        value => value.place().is_none_or(|place| {
            place.path.starts_with(b"/") && !is(place, "proc") && !is(place, "devpts")
        }),
    })
}

fn canonicalise_place(place: &mut Place, pid: u32) {
    if is(place, "proc") {
        place.path = canonical_proc(&place.path, pid);
    } else if is(place, "devpts") {
        place.path = canonical_terminal(&place.path);
    } else if !place.path.starts_with(b"/") {
        place.path = without_inode(&place.path);
    }
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
    let hex = |octet: &u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(octet);
    if name.len() == 5 && name.iter().all(hex) { b"<ephemeral>".to_vec() } else { name.to_vec() }
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

    fn canonical(path: &str, file_system: &str) -> Vec<u8> {
        let mut place = Place::new(path, FILE_SYSTEM.number(file_system).unwrap() as u32);
        canonicalise_place(&mut place, 42);
        place.path
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
