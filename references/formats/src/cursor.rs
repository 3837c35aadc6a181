//! Reading octets from the front, with every length checked.

use crate::refusal::Refusal;

/// What is left of some octets.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// All of them.
    pub fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// The next `count` octets.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Refusal> {
        let (front, rest) = self.rest.split_at_checked(count).ok_or(Refusal::Truncated)?;
        self.rest = rest;
        Ok(front)
    }

    /// The next `N` octets.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (front, rest) = self.rest.split_first_chunk().ok_or(Refusal::Truncated)?;
        self.rest = rest;
        Ok(*front)
    }

    /// One octet.
    pub fn u8(&mut self) -> Result<u8, Refusal> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Two octets, big-endian.
    pub fn be16(&mut self) -> Result<u16, Refusal> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four octets, big-endian.
    pub fn be32(&mut self) -> Result<u32, Refusal> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Four octets, little-endian.
    pub fn le32(&mut self) -> Result<u32, Refusal> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight octets, little-endian.
    pub fn le64(&mut self) -> Result<u64, Refusal> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Octets after their length in four octets, little-endian.
    pub fn counted(&mut self, bound: usize) -> Result<&'a [u8], Refusal> {
        let count = self.le32()? as usize;
        if count > bound {
            return Err(Refusal::Bound);
        }
        self.take(count)
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<(), Refusal> {
        if self.rest.is_empty() { Ok(()) } else { Err(Refusal::Trailing) }
    }
}
