//! What the kernel would make of an executable's first octets.

/// As many octets as the kernel looks at, `BINPRM_BUF_SIZE`.
const HEAD_SIZE: usize = 256;

const PT_INTERP: u32 = 3;

/// A format of executable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// ELF, for this machine.
    Elf,
    /// `#!`, and the interpreter named.
    Script(Vec<u8>),
    /// Anything else: `ENOEXEC`.
    #[default]
    Unknown,
}

/// What is to be known of a file that is executed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) format: Format,
    /// The path of its ELF interpreter.
    pub(crate) loader: Option<Vec<u8>>,
}

impl Program {
    /// `read` fills as much of a buffer from an offset as there is, and says how much.
    pub(crate) fn read(read: impl Fn(u64, &mut [u8]) -> Option<usize>) -> Self {
        let mut head = vec![0; HEAD_SIZE];
        let length = read(0, &mut head).unwrap_or(0);
        head.truncate(length);
        let format = format(&head);
        let fills = |offset, buffer: &mut [u8]| read(offset, buffer) == Some(buffer.len());
        let loader = (format == Format::Elf).then(|| interpreter_path(&head, fills)).flatten();
        Self { format, loader }
    }
}

/// Tells the format.
fn format(head: &[u8]) -> Format {
    if head.starts_with(b"\x7fELF\x02\x01") {
        return Format::Elf;
    }
    match head.strip_prefix(b"#!").and_then(interpreter) {
        Some(interpreter) => Format::Script(interpreter),
        None => Format::Unknown,
    }
}

/// Up to the first blank after the blanks; a line that does not end within the head is cut there,
/// which the kernel accepts only when the name itself is whole.
fn interpreter(line: &[u8]) -> Option<Vec<u8>> {
    let is_blank = |octet: &u8| *octet == b' ' || *octet == b'\t';
    let end = line.iter().position(|octet| *octet == b'\n' || *octet == 0);
    let line = &line[..end.unwrap_or(line.len())];
    let start = line.iter().position(|octet| !is_blank(octet))?;
    let name = &line[start..];
    let length = name.iter().position(is_blank);
    if length.is_none() && end.is_none() {
        return None;
    }
    Some(name[..length.unwrap_or(name.len())].to_vec())
}

/// Where the ELF interpreter's path stands: offset and length. `read` fills from an offset.
fn interpreter_path(head: &[u8], mut read: impl FnMut(u64, &mut [u8]) -> bool) -> Option<Vec<u8>> {
    let table = number(head, 32, 8)?;
    let (size, count) = (number(head, 54, 2)?, number(head, 56, 2)?);
    if size != 56 {
        return None;
    }
    for index in 0..count {
        let mut entry = [0; 56];
        if !read(table.checked_add(index * size)?, &mut entry) {
            return None;
        }
        if number(&entry, 0, 4)? as u32 != PT_INTERP {
            continue;
        }
        let length = number(&entry, 32, 8)?;
        if !(2..=4096).contains(&length) {
            return None;
        }
        let mut path = vec![0; length as usize];
        if !read(number(&entry, 8, 8)?, &mut path) {
            return None;
        }
        path.truncate(path.iter().position(|octet| *octet == 0)?);
        return Some(path);
    }
    None
}

fn number(octets: &[u8], at: usize, size: usize) -> Option<u64> {
    let field = octets.get(at..at + size)?;
    Some(field.iter().rev().fold(0, |number, octet| number << 8 | u64::from(*octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        assert_eq!(format(b"\x7fELF\x02\x01\x01"), Format::Elf);
        assert_eq!(format(b"#! /bin/sh -e\n"), Format::Script(b"/bin/sh".to_vec()));
        assert_eq!(format(b"#!/bin/sh\nls"), Format::Script(b"/bin/sh".to_vec()));
        assert_eq!(format(b"#!\n"), Format::Unknown);
        assert_eq!(format(b"echo"), Format::Unknown);
        assert_eq!(format(&[b"#!/".as_slice(), &[b'a'; 253]].concat()), Format::Unknown);
    }
}
