//! The write-ahead log: pages newer than the database's own, up to the last commit.

use std::collections::BTreeMap;

use crate::cursor::Cursor;
use crate::refusal::Refusal;

const MAGIC: u32 = 0x377f_0682;
const HEADER: usize = 32;
const FRAME: usize = 24;

/// The newest committed page of each number. What follows the last valid frame is no part of the log.
pub(super) fn pages(log: &[u8], page_size: usize) -> Result<BTreeMap<u32, &[u8]>, Refusal> {
    if log.len() < HEADER {
        return Ok(BTreeMap::new());
    }
    let (header, mut rest) = log.split_at(HEADER);
    let mut cursor = Cursor::new(header);
    let magic = cursor.be32()?;
    if magic & !1 != MAGIC {
        return Err(Refusal::Magic);
    }
    cursor.take(4)?;
    if cursor.be32()? as usize != page_size {
        return Err(Refusal::Inconsistent);
    }
    cursor.take(4)?;
    let salt = cursor.take(8)?;
    let big_endian = magic & 1 == 1;
    let mut sum = checksum([0, 0], &header[..24], big_endian);
    if sum != [cursor.be32()?, cursor.be32()?] {
        return Ok(BTreeMap::new());
    }
    let (mut pending, mut committed) = (Vec::new(), BTreeMap::new());
    while let Some((frame, next)) = rest.split_at_checked(FRAME + page_size) {
        rest = next;
        let mut cursor = Cursor::new(frame);
        let (number, commit) = (cursor.be32()?, cursor.be32()?);
        let same = cursor.take(8)? == salt;
        sum = checksum(sum, &frame[..8], big_endian);
        sum = checksum(sum, &frame[FRAME..], big_endian);
        if !same || sum != [cursor.be32()?, cursor.be32()?] {
            break;
        }
        pending.push((number, &frame[FRAME..]));
        if commit != 0 {
            committed.extend(pending.drain(..));
        }
    }
    Ok(committed)
}

fn checksum(start: [u32; 2], octets: &[u8], big_endian: bool) -> [u32; 2] {
    let word = |octets: &[u8]| {
        let word = [octets[0], octets[1], octets[2], octets[3]];
        if big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    };
    octets.chunks_exact(8).fold(start, |[first, second], pair| {
        let first = first.wrapping_add(word(pair)).wrapping_add(second);
        [first, second.wrapping_add(word(&pair[4..])).wrapping_add(first)]
    })
}
