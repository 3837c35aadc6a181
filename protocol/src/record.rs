//! The record of an agent, row by row, in parts that fit its messages.
//!
//! A page is a run of parts: row, length of the row, offset, length of the part, octets. The next
//! page is asked for from where the last part ended, so a row may be longer than a message.

use alloc::vec::Vec;

use tsem::COE_SIZE;
use tsem::Cell;
use tsem::Digest;
use tsem::Forensic;
use tsem::Makers;
use tsem::ObservedCell;
use tsem::ObservedEvent;
use tsem::ObservedTask;
use tsem::ProcessId;
use tsem::References;
use tsem::TaskIndex;
use tsem::Value;

use crate::bound::CELL_MAX;
use crate::bound::ROW_MAX;
use crate::message::MessageError;
use crate::message::reason_code;
use crate::message::reason_of;
use crate::wire::Reader;
use crate::wire::Write;

/// Row, length, offset and length of a part before its octets.
const PART: usize = 4 + 4 + 4 + 2;

/// Appends as many parts of rows as fit into `room`, beginning at an octet of a row; the number of
/// rows. `None` if there is no such octet.
pub fn write_parts<T>(
    rows: &[T],
    from: (u32, u32),
    room: usize,
    out: &mut Vec<u8>,
    write: impl Fn(&T, &mut Vec<u8>),
) -> Option<u32> {
    write_parts_of(rows.len(), rows.iter(), from, room, out, write)
}

/// The same for a table of `total` rows that is no slice.
pub fn write_parts_of<T>(
    total: usize,
    rows: impl Iterator<Item = T>,
    (row, offset): (u32, u32),
    room: usize,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) -> Option<u32> {
    let end = out.len() + room;
    let mut offset = offset as usize;
    let mut encoded = Vec::new();
    for (row, value) in rows.enumerate().skip(row as usize) {
        encoded.clear();
        write(value, &mut encoded);
        let rest = encoded.get(offset..)?;
        let Some(fits) = (end - out.len()).checked_sub(PART).filter(|fits| *fits > 0) else {
            break;
        };
        let part = &rest[..rest.len().min(fits)];
        out.u32(row as u32);
        out.u32(encoded.len() as u32);
        out.u32(offset as u32);
        out.text(part);
        if part.len() < rest.len() {
            break;
        }
        offset = 0;
    }
    u32::try_from(total).ok()
}

/// Puts rows together from pages.
#[derive(Debug, Default)]
pub struct Rows {
    row: u32,
    partial: Vec<u8>,
}

impl Rows {
    /// Begins at a row.
    pub fn from(row: u32) -> Self {
        Self { row, partial: Vec::new() }
    }

    /// Where the next page must begin.
    pub fn next(&self) -> (u32, u32) {
        (self.row, self.partial.len() as u32)
    }

    /// Takes a page; calls `row` with every row that is complete.
    ///
    /// # Errors
    ///
    /// The parts do not follow one another, or nothing came where something must.
    pub fn take(
        &mut self,
        total: u32,
        parts: &[u8],
        mut row: impl FnMut(&[u8]) -> Result<(), MessageError>,
    ) -> Result<(), MessageError> {
        if parts.is_empty() && self.row < total {
            return Err(MessageError::Truncated);
        }
        let mut reader = Reader(parts);
        while !reader.0.is_empty() {
            let (at, length, offset) = (reader.u32()?, reader.u32()? as usize, reader.u32()?);
            let part = reader.text(usize::from(u16::MAX))?;
            if (at, offset) != self.next() || at >= total || length > ROW_MAX {
                return Err(MessageError::TooLong);
            }
            self.partial.extend_from_slice(part);
            if self.partial.len() > length || (part.is_empty() && length > 0) {
                return Err(MessageError::TooLong);
            }
            if self.partial.len() == length {
                row(&core::mem::take(&mut self.partial))?;
                self.row += 1;
            }
        }
        Ok(())
    }
}

fn write_cell(observed: &ObservedCell, out: &mut Vec<u8>) {
    out.octets(&tsem::encode_coe(&observed.coe));
    let mut cell = Vec::new();
    // A cell that was judged has an encoding. Which references vouch for its files the reader knows
    // as well: it is the one who sent them.
    let _ = match unreferred(&observed.cell) {
        Some(plain) => tsem::encode_cell(&plain, &mut cell),
        None => tsem::encode_cell(&observed.cell, &mut cell),
    };
    out.text(&cell);
    out.u8(observed.makers.len() as u8);
    for makers in &observed.makers {
        out.u16(makers.len() as u16);
        for (end, task) in makers {
            out.u16(*end);
            out.u32(task.0);
        }
    }
    out.u8(observed.targets.len() as u8);
    observed.targets.iter().for_each(|target| out.u32(target.0));
}

/// The cell without what references make of its files; `None` where they make nothing of it.
fn unreferred(cell: &Cell) -> Option<Cell> {
    let refers = |value: &Value| matches!(value, Value::File(file) if !file.reference.is_zero());
    cell.values.iter().any(refers).then(|| {
        let mut plain = cell.clone();
        References::with_bound(0).refer(&mut plain);
        plain
    })
}

fn read_cell(reader: &mut Reader<'_>) -> Result<ObservedCell, MessageError> {
    let coe = tsem::decode_coe(reader.take(COE_SIZE)?).map_err(MessageError::Event)?;
    let cell: Cell = tsem::decode_cell(reader.text(CELL_MAX)?).map_err(MessageError::Event)?;
    let makers = (0..reader.u8()?).map(|_| read_makers(reader)).collect::<Result<_, _>>()?;
    let targets = (0..reader.u8()?).map(|_| read_task_index(reader)).collect::<Result<_, _>>()?;
    Ok(ObservedCell { coe, cell, makers, targets })
}

fn read_makers(reader: &mut Reader<'_>) -> Result<Makers, MessageError> {
    (0..reader.u16()?).map(|_| Ok((reader.u16()?, read_task_index(reader)?))).collect()
}

fn read_task_index(reader: &mut Reader<'_>) -> Result<TaskIndex, MessageError> {
    reader.u32().map(TaskIndex)
}

/// Appends a row of [`crate::Table::Tasks`].
pub fn write_task(task: &ObservedTask, out: &mut Vec<u8>) {
    out.u32(task.parent.0);
    out.u8(u8::from(task.exec.is_some()));
    if let Some(exec) = &task.exec {
        write_cell(exec, out);
    }
}

/// Appends a row of [`crate::Table::Events`].
pub fn write_event(event: &ObservedEvent, out: &mut Vec<u8>) {
    out.u32(event.task.0);
    out.u64(event.count);
    out.u64(event.first);
    write_cell(&event.observed, out);
}

/// Appends a row of [`crate::Table::Forensics`].
pub fn write_forensic(forensic: &Forensic, out: &mut Vec<u8>) {
    out.octets(&forensic.coefficient.0);
    out.u8(reason_code(forensic.reason));
    out.u8(u8::from(forensic.denied));
    out.u64(forensic.process.0);
    write_event(&forensic.event, out);
}

fn whole<T>(
    row: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, MessageError>,
) -> Result<T, MessageError> {
    let mut reader = Reader(row);
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Reads a row of [`crate::Table::Coefficients`].
///
/// # Errors
///
/// It is none.
pub fn read_coefficient(row: &[u8]) -> Result<Digest, MessageError> {
    let mut reader = Reader(row);
    let coefficient = reader.digest()?;
    reader.end()?;
    Ok(coefficient)
}

/// Reads a row of [`crate::Table::Tasks`]; which rows it refers to is not checked.
///
/// # Errors
///
/// It is none.
pub fn read_task(row: &[u8]) -> Result<ObservedTask, MessageError> {
    whole(row, |reader| {
        let parent = read_task_index(reader)?;
        let exec = match reader.u8()? {
            0 => None,
            1 => Some(read_cell(reader)?),
            other => return Err(MessageError::Tag(other)),
        };
        Ok(ObservedTask { parent, exec })
    })
}

/// Reads a row of [`crate::Table::Events`]; which rows it refers to is not checked.
///
/// # Errors
///
/// It is none.
pub fn read_event(row: &[u8]) -> Result<ObservedEvent, MessageError> {
    whole(row, read_event_row)
}

fn read_event_row(reader: &mut Reader<'_>) -> Result<ObservedEvent, MessageError> {
    let task = read_task_index(reader)?;
    let (count, first) = (reader.u64()?, reader.u64()?);
    Ok(ObservedEvent { task, observed: read_cell(reader)?, count, first })
}

/// Reads a row of [`crate::Table::Forensics`]; which rows it refers to is not checked.
///
/// # Errors
///
/// It is none.
pub fn read_forensic(row: &[u8]) -> Result<Forensic, MessageError> {
    whole(row, |reader| {
        let coefficient = reader.digest()?;
        let reason = reason_of(reader.u8()?)?;
        let denied = reader.u8()? != 0;
        let process = ProcessId(reader.u64()?);
        let event = read_event_row(reader)?;
        Ok(Forensic { event, coefficient, reason, denied, process })
    })
}
