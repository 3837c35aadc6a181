//! The header structure: an index of entries over a store of data.
//!
//! Checks what rpm's `hdrblobVerifyInfo` and `hdrblobVerifyRegion` check, before one value is read.

use std::ops::RangeInclusive;

use super::tag;
use crate::cursor::Cursor;
use crate::refusal::Refusal;

const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0];
const ENTRY: usize = 16;
/// Tags below are for regions and translation tables; rpm's are signed numbers.
const TAGS: RangeInclusive<u32> = 100..=i32::MAX as u32;
/// Most values of one entry, beside what the data can hold.
const MAX_COUNT: u32 = 0x000f_ffff;

const BINARY: u32 = 7;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const TRANSLATED: u32 = 9;

/// Which header of a package, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signatures and digests of the rest; nothing covers it.
    Signature,
    /// The main header as in a package file: all of it is immutable.
    Main,
    /// The main header as in the database: entries outside the region may follow.
    Stored,
}

impl Kind {
    fn max_entries(self) -> u32 {
        if self == Self::Signature { 32 } else { 65_535 }
    }

    fn max_data(self) -> u32 {
        if self == Self::Signature { (64 << 20) - 1 } else { (256 << 20) - 1 }
    }

    fn region(self) -> u32 {
        if self == Self::Signature { tag::HEADER_SIGNATURES } else { tag::HEADER_IMMUTABLE }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: i32,
    count: u32,
}

/// A header whose structure was checked.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
    /// Entries of the region, the region's own included.
    region_entries: usize,
    /// Octets of data in the region, its trailer included.
    region_data: usize,
}

impl<'a> Header<'a> {
    /// Reads a header with its magic number, as in a file; nothing may follow.
    pub fn read(octets: &'a [u8], kind: Kind) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(octets);
        if cursor.array()? != MAGIC {
            return Err(Refusal::Magic);
        }
        Self::read_bare(cursor.rest(), kind)
    }

    /// Reads a header without its magic number, as in the database; nothing may follow.
    pub fn read_bare(octets: &'a [u8], kind: Kind) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(octets);
        let (entries, length) = (cursor.be32()?, cursor.be32()?);
        if entries == 0 || entries > kind.max_entries() || length > kind.max_data() {
            return Err(Refusal::Bound);
        }
        let index = cursor.take(entries as usize * ENTRY)?;
        let data = cursor.take(length as usize)?;
        cursor.end()?;
        Self::checked(index, data, kind)
    }

    fn checked(index: &'a [u8], data: &'a [u8], kind: Kind) -> Result<Self, Refusal> {
        let (region_entries, region_data) = region(index, data, kind)?;
        let mut header = Self { index, data, region_entries, region_data };
        header.check_entries(kind)?;
        if kind == Kind::Signature {
            // Nobody signed it, inside its region or not, and rpm takes either.
            header.region_entries = index.len() / ENTRY;
        }
        Ok(header)
    }

    /// Every entry but the region's: known type, aligned, in ascending order, clear of each other
    /// and of the region's trailer. What stands outside a signed region has its data outside as well.
    fn check_entries(&self, kind: Kind) -> Result<(), Refusal> {
        let trailer = self.region_data - ENTRY;
        let mut end = 0;
        for (number, entry) in self.entries().enumerate().skip(1) {
            let start = usize::try_from(entry.offset).map_err(|_| Refusal::Bound)?;
            if !TAGS.contains(&entry.tag) || !(1..=TRANSLATED).contains(&entry.kind) {
                return Err(Refusal::Malformed);
            }
            if entry.count == 0 || entry.count > MAX_COUNT && entry.kind != BINARY {
                return Err(Refusal::Bound);
            }
            if start < end || start % alignment(entry.kind) != 0 {
                return Err(Refusal::Overlap);
            }
            end = start + self.length(&entry, start)?;
            let listed = number < self.region_entries;
            let inside = listed || kind == Kind::Signature && start < self.region_data;
            if inside && end > trailer || !inside && start < self.region_data {
                return Err(Refusal::Overlap);
            }
        }
        Ok(())
    }

    fn length(&self, entry: &Entry, start: usize) -> Result<usize, Refusal> {
        let data = self.data.get(start..).ok_or(Refusal::Bound)?;
        let length = match entry.kind {
            STRING if entry.count != 1 => return Err(Refusal::Malformed),
            STRING | STRING_ARRAY | TRANSLATED => length_of_strings(data, entry.count)?,
            kind => width(kind) * entry.count as usize,
        };
        if length > data.len() { Err(Refusal::Bound) } else { Ok(length) }
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.index.chunks_exact(ENTRY).map(entry)
    }

    /// The entry of the immutable region with this tag. A tag that is there twice is refused.
    fn find(&self, tag: u32) -> Result<Option<Entry>, Refusal> {
        let mut found = self.entries().take(self.region_entries).filter(|entry| entry.tag == tag);
        let first = found.next();
        if found.next().is_some() { Err(Refusal::Twice) } else { Ok(first) }
    }

    /// Whether the immutable region has this tag.
    pub fn has(&self, tag: u32) -> Result<bool, Refusal> {
        Ok(self.find(tag)?.is_some())
    }

    fn value(&self, tag: u32, kinds: &[u32]) -> Result<Option<(Entry, &'a [u8])>, Refusal> {
        let Some(entry) = self.find(tag)? else { return Ok(None) };
        if !kinds.contains(&entry.kind) {
            return Err(Refusal::Malformed);
        }
        let start = usize::try_from(entry.offset).map_err(|_| Refusal::Bound)?;
        let length = self.length(&entry, start)?;
        Ok(Some((entry, &self.data[start..start + length])))
    }

    /// The strings of a string, string array or translated string.
    pub fn strings(&self, tag: u32) -> Result<Option<Strings<'a>>, Refusal> {
        let value = self.value(tag, &[STRING, STRING_ARRAY, TRANSLATED])?;
        Ok(value.map(|(entry, data)| Strings { left: entry.count, data }))
    }

    /// The first string.
    pub fn string(&self, tag: u32) -> Result<Option<&'a [u8]>, Refusal> {
        Ok(self.strings(tag)?.and_then(|mut strings| strings.next()))
    }

    /// The numbers of an array of 16 bits each.
    pub fn int16s(
        &self,
        tag: u32,
    ) -> Result<Option<impl ExactSizeIterator<Item = u16> + 'a>, Refusal> {
        let value = self.value(tag, &[3])?;
        let number = |octets: &[u8]| u16::from_be_bytes([octets[0], octets[1]]);
        Ok(value.map(|(_, data)| data.chunks_exact(2).map(number)))
    }

    /// The numbers of an array of 32 bits each.
    pub fn int32s(
        &self,
        tag: u32,
    ) -> Result<Option<impl ExactSizeIterator<Item = u32> + 'a>, Refusal> {
        Ok(self.value(tag, &[4])?.map(|(_, data)| data.chunks_exact(4).map(be32)))
    }

    /// The numbers of an array of 64 bits each.
    pub fn int64s(
        &self,
        tag: u32,
    ) -> Result<Option<impl ExactSizeIterator<Item = u64> + 'a>, Refusal> {
        let number = |octets: &[u8]| u64::from(be32(octets)) << 32 | u64::from(be32(&octets[4..]));
        Ok(self.value(tag, &[5])?.map(|(_, data)| data.chunks_exact(8).map(number)))
    }

    /// Octets.
    pub fn binary(&self, tag: u32) -> Result<Option<&'a [u8]>, Refusal> {
        Ok(self.value(tag, &[BINARY])?.map(|(_, data)| data))
    }

    /// Octets of an entry outside the region, or in it: for what verifies itself.
    pub fn unsigned_binary(&self, tag: u32) -> Result<Option<&'a [u8]>, Refusal> {
        let Some(entry) = self.entries().skip(1).find(|entry| entry.tag == tag) else {
            return Ok(None);
        };
        if entry.kind != BINARY {
            return Err(Refusal::Malformed);
        }
        let start = usize::try_from(entry.offset).map_err(|_| Refusal::Bound)?;
        Ok(Some(&self.data[start..start + entry.count as usize]))
    }

    /// Strings of an entry outside the region, or in it: for what verifies itself.
    pub fn unsigned_strings(&self, tag: u32) -> Result<Option<Strings<'a>>, Refusal> {
        let Some(entry) = self.entries().skip(1).find(|entry| entry.tag == tag) else {
            return Ok(None);
        };
        if ![STRING, STRING_ARRAY].contains(&entry.kind) {
            return Err(Refusal::Malformed);
        }
        let start = usize::try_from(entry.offset).map_err(|_| Refusal::Bound)?;
        Ok(Some(Strings { left: entry.count, data: &self.data[start..] }))
    }

    /// The octets that a signature of the header covers: the region alone, as it was in the package file.
    pub fn immutable(&self) -> Vec<u8> {
        let (index, data) = (self.region_entries * ENTRY, self.region_data);
        let mut octets = Vec::with_capacity(16 + index + data);
        octets.extend_from_slice(&MAGIC);
        octets.extend_from_slice(&(self.region_entries as u32).to_be_bytes());
        octets.extend_from_slice(&(data as u32).to_be_bytes());
        octets.extend_from_slice(&self.index[..index]);
        octets.extend_from_slice(&self.data[..data]);
        octets
    }
}

/// Strings that end in NUL, one after another, as many as were checked.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    left: u32,
    data: &'a [u8],
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let end = self.data.iter().position(|octet| *octet == 0)?;
        let string = &self.data[..end];
        self.data = &self.data[end + 1..];
        Some(string)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Strings<'_> {}

/// Entries and octets of the region that the first entry opens.
fn region(index: &[u8], data: &[u8], kind: Kind) -> Result<(usize, usize), Refusal> {
    let opening = entry(&index[..ENTRY]);
    let well_formed = opening.tag == kind.region() && opening.kind == BINARY && opening.count == 16;
    let start = usize::try_from(opening.offset).map_err(|_| Refusal::Region)?;
    let octets = data.get(start..start + ENTRY).filter(|_| well_formed).ok_or(Refusal::Region)?;
    let trailer = entry(octets);
    let spanned = i64::from(trailer.offset).unsigned_abs() as usize;
    let entries = spanned / ENTRY;
    let whole = entries == index.len() / ENTRY && start + ENTRY == data.len();
    let holds = trailer.tag == kind.region()
        && trailer.kind == BINARY
        && trailer.count == 16
        && trailer.offset < 0
        && spanned.is_multiple_of(ENTRY)
        && entries <= index.len() / ENTRY
        && (whole || kind != Kind::Main);
    if holds { Ok((entries, start + ENTRY)) } else { Err(Refusal::Region) }
}

fn be32(octets: &[u8]) -> u32 {
    u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]])
}

fn entry(octets: &[u8]) -> Entry {
    Entry {
        tag: be32(octets),
        kind: be32(&octets[4..]),
        offset: be32(&octets[8..]) as i32,
        count: be32(&octets[12..]),
    }
}

fn alignment(kind: u32) -> usize {
    match kind {
        3..=5 => width(kind),
        _ => 1,
    }
}

fn width(kind: u32) -> usize {
    match kind {
        3 => 2,
        4 => 4,
        5 => 8,
        _ => 1,
    }
}

fn length_of_strings(data: &[u8], count: u32) -> Result<usize, Refusal> {
    let mut end = 0;
    for _ in 0..count {
        let length = data[end..].iter().position(|octet| *octet == 0).ok_or(Refusal::Bound)?;
        end += length + 1;
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
