//! Tar archives, entry by entry: ustar with GNU's long names and the pax extensions for names and sizes.

use std::io::Read;

use crate::bounds;
use crate::refusal::Refusal;

const BLOCK: usize = 512;
/// The longest extension record: long names and a pax header.
const MAX_EXTENSION: u64 = 1 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; its contents follow.
    File,
    /// Another name of an earlier file.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A directory.
    Directory,
    /// A device or FIFO.
    Special,
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Absolute, normalised, without `.` and `..`; `/` for the root itself.
    pub path: Vec<u8>,
    /// Where a link points, as it is written.
    pub target: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Octets of contents.
    pub size: u64,
}

/// An archive that is read from the front.
pub struct Archive<'a> {
    input: &'a mut dyn Read,
    left: u64,
    padding: u64,
    entries: usize,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<'a> Archive<'a> {
    /// Reads from the front of `input`.
    pub fn new(input: &'a mut dyn Read) -> Self {
        Self { input, left: 0, padding: 0, entries: 0 }
    }

    /// The next entry; what is left of the contents of the one before is skipped. At the end everything has
    /// been read, and nothing but zeros followed.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Refusal> {
        self.skip()?;
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let size = number(&header[124..136])?;
            match header[156] {
                b'L' => extensions.path = Some(self.text(size)?),
                b'K' => extensions.target = Some(self.text(size)?),
                b'x' => self.pax(size, &mut extensions)?,
                b'g' => drop(self.extension(size)?),
                kind => return self.entry(&header, kind, size, extensions).map(Some),
            }
            // Extensions without an end cost no more than entries do.
            self.count()?;
        }
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.entries += 1;
        if self.entries > 4 * bounds::FILES { Err(Refusal::Bound) } else { Ok(()) }
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK],
        kind: u8,
        size: u64,
        extensions: Extensions,
    ) -> Result<Entry, Refusal> {
        self.count()?;
        let kind = match kind {
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::SymbolicLink,
            b'5' => Kind::Directory,
            b'3' | b'4' | b'6' => Kind::Special,
            _ => return Err(Refusal::Unsupported),
        };
        let size = extensions.size.unwrap_or(size);
        let contents = if kind == Kind::File { size } else { 0 };
        if kind != Kind::File && size != 0 && kind != Kind::Directory {
            return Err(Refusal::Inconsistent);
        }
        if contents > bounds::EXPANDED {
            return Err(Refusal::Bound);
        }
        self.left = contents;
        self.padding = contents.next_multiple_of(BLOCK as u64) - contents;
        let name = extensions.path.unwrap_or_else(|| name(header));
        let target = extensions.target.unwrap_or_else(|| until_nul(&header[157..257]).to_vec());
        if target.len() > bounds::PATH {
            return Err(Refusal::Path);
        }
        let mode = number(&header[100..108])? as u32 & 0o7777;
        Ok(Entry { path: absolute(&name)?, target, kind, mode, size: contents })
    }

    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, Refusal> {
        let mut block = [0; BLOCK];
        if !fill(self.input, &mut block)? {
            return Ok(None);
        }
        if block.iter().all(|octet| *octet == 0) {
            return self.end().map(|()| None);
        }
        let stated = number(&block[148..156])?;
        let mut sum: u64 = block.iter().map(|octet| u64::from(*octet)).sum();
        sum -= block[148..156].iter().map(|octet| u64::from(*octet)).sum::<u64>();
        if sum + 8 * u64::from(b' ') == stated { Ok(Some(block)) } else { Err(Refusal::Malformed) }
    }

    fn end(&mut self) -> Result<(), Refusal> {
        let mut buffer = [0; 8192];
        loop {
            let count = self.input.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            if buffer[..count].iter().any(|octet| *octet != 0) {
                return Err(Refusal::Trailing);
            }
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        if size > MAX_EXTENSION {
            return Err(Refusal::Bound);
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        let mut octets = Vec::new();
        self.read_to_end(&mut octets)?;
        self.skip()?;
        Ok(octets)
    }

    fn text(&mut self, size: u64) -> Result<Vec<u8>, Refusal> {
        Ok(until_nul(&self.extension(size)?).to_vec())
    }

    fn pax(&mut self, size: u64, extensions: &mut Extensions) -> Result<(), Refusal> {
        let records = self.extension(size)?;
        let mut rest = &records[..];
        while !rest.is_empty() {
            let space = rest.iter().position(|octet| *octet == b' ').ok_or(Refusal::Malformed)?;
            let length = decimal(&rest[..space])? as usize;
            let record = rest.get(space + 1..length).ok_or(Refusal::Malformed)?;
            rest = &rest[length..];
            let (last, record) = record.split_last().ok_or(Refusal::Malformed)?;
            let equals = record.iter().position(|octet| *octet == b'=');
            let (key, value) = record.split_at(equals.ok_or(Refusal::Malformed)?);
            let value = &value[1..];
            match key {
                _ if *last != b'\n' => return Err(Refusal::Malformed),
                b"path" => extensions.path = Some(value.to_vec()),
                b"linkpath" => extensions.target = Some(value.to_vec()),
                b"size" => extensions.size = Some(decimal(value)?),
                key if key.starts_with(b"GNU.sparse") => return Err(Refusal::Unsupported),
                _ => {}
            }
        }
        Ok(())
    }

    fn skip(&mut self) -> Result<(), Refusal> {
        let count = self.left + std::mem::take(&mut self.padding);
        self.left = 0;
        let skipped = std::io::copy(&mut self.input.take(count), &mut std::io::sink())?;
        if skipped == count { Ok(()) } else { Err(Refusal::Truncated) }
    }
}

impl Read for Archive<'_> {
    /// The contents of the entry that was last returned.
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        // An empty read is no question that every decompressor answers well.
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Fills the buffer; false at the end of the input.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> Result<bool, Refusal> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(Refusal::Truncated),
            count => filled += count,
        }
    }
    Ok(true)
}

fn until_nul(octets: &[u8]) -> &[u8] {
    let end = octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len());
    &octets[..end]
}

fn name(header: &[u8; BLOCK]) -> Vec<u8> {
    let (name, prefix) = (until_nul(&header[..100]), until_nul(&header[345..500]));
    // Only ustar has the prefix; GNU's old format keeps times there.
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() {
        return [prefix, b"/", name].concat();
    }
    name.to_vec()
}

/// A number in octal, or in GNU's form for large ones.
fn number(field: &[u8]) -> Result<u64, Refusal> {
    if field[0] & 0x80 != 0 {
        let (first, rest) = (u64::from(field[0] & 0x7f), &field[1..]);
        return rest.iter().try_fold(first, |number, octet| {
            let wider = number.checked_mul(256).ok_or(Refusal::Bound)?;
            Ok(wider + u64::from(*octet))
        });
    }
    let padding = |octet: &&u8| **octet != b' ' && **octet != 0;
    field.iter().filter(padding).try_fold(0u64, |number, octet| match octet {
        b'0'..=b'7' => {
            let wider = number.checked_mul(8).ok_or(Refusal::Bound)?;
            Ok(wider + u64::from(octet - b'0'))
        }
        _ => Err(Refusal::Malformed),
    })
}

/// A number in decimal digits.
pub(crate) fn decimal(digits: &[u8]) -> Result<u64, Refusal> {
    let text = std::str::from_utf8(digits).map_err(|_| Refusal::Malformed)?;
    text.parse().map_err(|_| Refusal::Malformed)
}

/// An absolute path without empty parts and `.`; one with `..` is refused.
pub(crate) fn absolute(name: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut path = Vec::with_capacity(name.len() + 1);
    for part in name.split(|octet| *octet == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(Refusal::Path),
            part if part.contains(&0) => return Err(Refusal::Path),
            part => {
                path.push(b'/');
                path.extend_from_slice(part);
            }
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    if path.len() > bounds::PATH { Err(Refusal::Path) } else { Ok(path) }
}
