//! Reading the rows of one table of an `SQLite` database, with its write-ahead log.
//!
//! Read only, tables with row numbers only, no SQL: what it takes to see the rpm database without a C
//! library in reach of its octets. <https://www.sqlite.org/fileformat2.html>

mod log;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::bounds;
use crate::cursor::Cursor;
use crate::refusal::Refusal;

/// The longest database with its log.
pub const MAX_DATABASE: usize = 1 << 30;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const FILE_HEADER: usize = 100;
const LEAF: u8 = 0x0d;
const INTERIOR: u8 = 0x05;
const ROOT_OF_SCHEMA: u32 = 1;

/// A database whose first page was read.
#[derive(Debug)]
pub struct Database<'a> {
    pages: &'a [u8],
    newer: BTreeMap<u32, &'a [u8]>,
    page_size: usize,
    usable: usize,
}

/// What is still allowed in a walk: a page is visited once, an octet belongs to one row.
struct Budget {
    pages: usize,
    octets: usize,
}

/// Takes a row: its number and its columns.
type EachRow<'f> = dyn FnMut(i64, &Columns<'_>) -> Result<(), Refusal> + 'f;

impl<'a> Database<'a> {
    /// Opens a database; `log` holds its write-ahead log, or nothing.
    pub fn open(pages: &'a [u8], log: &'a [u8]) -> Result<Self, Refusal> {
        if !pages.starts_with(MAGIC) {
            return Err(Refusal::Magic);
        }
        let header = pages.get(..FILE_HEADER).ok_or(Refusal::Truncated)?;
        let page_size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            size if size.is_power_of_two() && size >= 512 => usize::from(size),
            _ => return Err(Refusal::Malformed),
        };
        let usable = page_size - usize::from(header[20]);
        if usable < 480 {
            return Err(Refusal::Malformed);
        }
        let newer = log::pages(log, page_size)?;
        Ok(Self { pages, newer, page_size, usable })
    }

    /// Calls `each` for every row of the table `name`, in the order of row numbers.
    pub fn each_row(&self, name: &[u8], each: &mut EachRow<'_>) -> Result<(), Refusal> {
        let mut root = None;
        let mut budget = self.budget();
        self.walk(ROOT_OF_SCHEMA, 0, &mut budget, &mut |_, columns| {
            let is_table = columns.octets(0)?.as_deref() == Some(b"table");
            if is_table && columns.octets(1)?.as_deref() == Some(name) {
                root = columns.integer(3)?;
            }
            Ok(())
        })?;
        let root = root.and_then(|root| u32::try_from(root).ok()).ok_or(Refusal::Missing)?;
        self.walk(root, 0, &mut self.budget(), each)
    }

    fn budget(&self) -> Budget {
        let octets = self.pages.len() + self.newer.len() * self.page_size;
        Budget { pages: octets / self.page_size + 1, octets }
    }

    fn page(&self, number: u32) -> Result<&'a [u8], Refusal> {
        if let Some(page) = self.newer.get(&number) {
            return Ok(page);
        }
        let start = (number as usize).checked_sub(1).ok_or(Refusal::Bound)? * self.page_size;
        self.pages.get(start..start + self.page_size).ok_or(Refusal::Truncated)
    }

    fn walk(
        &self,
        number: u32,
        depth: usize,
        budget: &mut Budget,
        each: &mut EachRow<'_>,
    ) -> Result<(), Refusal> {
        budget.pages = budget.pages.checked_sub(1).ok_or(Refusal::Cycle)?;
        if depth > bounds::DEPTH {
            return Err(Refusal::Cycle);
        }
        let page = self.page(number)?;
        let mut header = Cursor::new(&page[if number == 1 { FILE_HEADER } else { 0 }..]);
        let kind = header.u8()?;
        header.take(2)?;
        let cells = header.be16()?;
        header.take(3)?;
        let last = if kind == INTERIOR { Some(header.be32()?) } else { None };
        for _ in 0..cells {
            let cell = page.get(usize::from(header.be16()?)..).ok_or(Refusal::Bound)?;
            let mut cell = Cursor::new(cell);
            match kind {
                LEAF => self.row(&mut cell, budget, each)?,
                INTERIOR => self.walk(cell.be32()?, depth + 1, budget, each)?,
                _ => return Err(Refusal::Malformed),
            }
        }
        last.map_or(Ok(()), |last| self.walk(last, depth + 1, budget, each))
    }

    fn row(
        &self,
        cell: &mut Cursor<'a>,
        budget: &mut Budget,
        each: &mut EachRow<'_>,
    ) -> Result<(), Refusal> {
        let length = usize::try_from(varint(cell)?).map_err(|_| Refusal::Bound)?;
        let row = varint(cell)?;
        budget.octets = budget.octets.checked_sub(length).ok_or(Refusal::Overlap)?;
        let payload = self.payload(cell, length)?;
        each(row, &Columns::read(&payload)?)
    }

    fn payload(&self, cell: &mut Cursor<'a>, length: usize) -> Result<Cow<'a, [u8]>, Refusal> {
        let local = self.local(length);
        let first = cell.take(local)?;
        if local == length {
            return Ok(Cow::Borrowed(first));
        }
        let mut payload = Vec::with_capacity(length);
        payload.extend_from_slice(first);
        let mut next = cell.be32()?;
        while payload.len() < length {
            let page = self.page(next)?;
            let mut cursor = Cursor::new(&page[..self.usable]);
            next = cursor.be32()?;
            payload.extend_from_slice(cursor.take((length - payload.len()).min(self.usable - 4))?);
        }
        Ok(Cow::Owned(payload))
    }

    /// How many octets of a payload stand in its cell.
    fn local(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let kept = least + (length - least) % (self.usable - 4);
        if kept <= most { kept } else { least }
    }
}

/// The columns of a row.
#[derive(Debug)]
pub struct Columns<'a> {
    columns: Vec<(i64, &'a [u8])>,
}

impl<'a> Columns<'a> {
    /// Most columns of a row.
    const MOST: usize = 64;

    fn read(record: &'a [u8]) -> Result<Self, Refusal> {
        let mut header = Cursor::new(record);
        let length = usize::try_from(varint(&mut header)?).map_err(|_| Refusal::Bound)?;
        let taken = record.len() - header.rest().len();
        let mut types = Cursor::new(record.get(taken..length).ok_or(Refusal::Bound)?);
        let mut values = Cursor::new(record.get(length..).ok_or(Refusal::Bound)?);
        let mut columns = Vec::new();
        while !types.rest().is_empty() {
            if columns.len() == Self::MOST {
                return Err(Refusal::Bound);
            }
            let kind = varint(&mut types)?;
            columns.push((kind, values.take(width(kind)?)?));
        }
        Ok(Self { columns })
    }

    fn column(&self, index: usize) -> Result<(i64, &'a [u8]), Refusal> {
        self.columns.get(index).copied().ok_or(Refusal::Missing)
    }

    /// Text or octets; `None` for NULL.
    pub fn octets(&self, index: usize) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
        match self.column(index)? {
            (0, _) => Ok(None),
            (kind, value) if kind >= 12 => Ok(Some(Cow::Borrowed(value))),
            _ => Err(Refusal::Malformed),
        }
    }

    /// A whole number; `None` for NULL.
    pub fn integer(&self, index: usize) -> Result<Option<i64>, Refusal> {
        let (kind, value) = self.column(index)?;
        let negative = value.first().is_some_and(|octet| octet & 0x80 != 0);
        let start = if negative { -1 } else { 0 };
        match kind {
            0 => Ok(None),
            8 => Ok(Some(0)),
            9 => Ok(Some(1)),
            1..=6 => Ok(Some(value.iter().fold(start, |n, octet| n << 8 | i64::from(*octet)))),
            _ => Err(Refusal::Malformed),
        }
    }
}

fn width(kind: i64) -> Result<usize, Refusal> {
    Ok(match kind {
        0 | 8 | 9 => 0,
        1..=4 => kind as usize,
        5 => 6,
        6 | 7 => 8,
        12.. => usize::try_from((kind - 12) / 2).map_err(|_| Refusal::Bound)?,
        _ => return Err(Refusal::Malformed),
    })
}

fn varint(cursor: &mut Cursor<'_>) -> Result<i64, Refusal> {
    let mut value = 0u64;
    for _ in 0..8 {
        let octet = cursor.u8()?;
        value = value << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            return Ok(value as i64);
        }
    }
    Ok((value << 8 | u64::from(cursor.u8()?)) as i64)
}

#[cfg(test)]
mod tests;
