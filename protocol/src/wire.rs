//! Fixed-width little-endian numbers in and out; nothing is read twice.

use alloc::vec::Vec;

use tsem::Digest;

use crate::message::MessageError;

/// The octets that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], MessageError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(MessageError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(MessageError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, MessageError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MessageError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MessageError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, MessageError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, MessageError> {
        self.array().map(Digest)
    }

    /// Octets behind a 2-octet length.
    pub(crate) fn text(&mut self, bound: usize) -> Result<&'a [u8], MessageError> {
        let length = usize::from(self.u16()?);
        if length > bound {
            return Err(MessageError::TooLong);
        }
        self.take(length)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    pub(crate) fn end(&self) -> Result<(), MessageError> {
        if self.0.is_empty() { Ok(()) } else { Err(MessageError::Trailing) }
    }
}

/// Appends; what is appended is always within the bound of its kind.
pub(crate) trait Write {
    fn u8(&mut self, number: u8);
    fn u16(&mut self, number: u16);
    fn u32(&mut self, number: u32);
    fn u64(&mut self, number: u64);
    fn octets(&mut self, octets: &[u8]);
    fn text(&mut self, octets: &[u8]);
}

impl Write for Vec<u8> {
    fn u8(&mut self, number: u8) {
        self.push(number);
    }

    fn u16(&mut self, number: u16) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.extend_from_slice(&number.to_le_bytes());
    }

    fn octets(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }

    fn text(&mut self, octets: &[u8]) {
        self.u16(octets.len() as u16);
        self.octets(octets);
    }
}
