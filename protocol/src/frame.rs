//! Frames: a packet in COBS, ended by a zero octet.
//!
//! After garbage the next zero octet is where reading starts again; a frame beyond the bound is
//! dropped as it comes and reported once.

use alloc::vec;
use alloc::vec::Vec;

use crate::bound::framed;

const END: u8 = 0;

/// Why octets are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Longer than the receiver's bound.
    TooLong,
    /// Not COBS.
    Damaged,
}

/// Appends a packet as a frame.
pub fn frame(packet: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + framed(packet.len()), END);
    let length = cobs::encode(packet, &mut out[start..]);
    out.truncate(start + length + 1);
    out[start + length] = END;
}

/// Cuts a stream of octets into packets.
#[derive(Debug)]
pub struct Deframer {
    buffer: Vec<u8>,
    length: usize,
    overrun: bool,
}

impl Deframer {
    /// For packets of at most `packet_max` octets.
    pub fn new(packet_max: usize) -> Self {
        Self { buffer: vec![0; framed(packet_max)], length: 0, overrun: false }
    }

    /// Forgets what was half read.
    pub fn reset(&mut self) {
        self.length = 0;
        self.overrun = false;
    }

    /// Takes octets up to the end of a frame; says how many, and the packet if there is one. An
    /// empty frame is no packet: a sender may end whatever went before with a zero octet.
    pub fn take(&mut self, octets: &[u8]) -> (usize, Option<Result<&[u8], FrameError>>) {
        let end = octets.iter().position(|octet| *octet == END);
        let part = &octets[..end.unwrap_or(octets.len())];
        self.keep(part);
        let Some(end) = end else {
            return (octets.len(), None);
        };
        (end + 1, self.packet())
    }

    fn keep(&mut self, part: &[u8]) {
        match self.buffer.get_mut(self.length..self.length + part.len()) {
            Some(room) if !self.overrun => {
                room.copy_from_slice(part);
                self.length += part.len();
            }
            _ => self.overrun = true,
        }
    }

    fn packet(&mut self) -> Option<Result<&[u8], FrameError>> {
        let length = core::mem::take(&mut self.length);
        if core::mem::take(&mut self.overrun) {
            return Some(Err(FrameError::TooLong));
        }
        if length == 0 {
            return None;
        }
        match cobs::decode_in_place(&mut self.buffer[..length]) {
            Ok(decoded) => Some(Ok(&self.buffer[..decoded])),
            Err(_) => Some(Err(FrameError::Damaged)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(deframer: &mut Deframer, mut octets: &[u8]) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut found = Vec::new();
        while !octets.is_empty() {
            let (taken, packet) = deframer.take(octets);
            found.extend(packet.map(|packet| packet.map(<[u8]>::to_vec)));
            octets = &octets[taken..];
        }
        found
    }

    #[test]
    fn packets_survive_their_frames_however_they_are_cut() {
        let long: Vec<u8> = (0..2000_u32).map(|number| (number % 251) as u8).collect();
        let mut stream = Vec::new();
        for packet in [&b"\0\0x"[..], &long, b"y"] {
            frame(packet, &mut stream);
        }
        let expected = [Ok(b"\0\0x".to_vec()), Ok(long), Ok(b"y".to_vec())];
        for step in [1, 7, 300, stream.len()] {
            let mut deframer = Deframer::new(2000);
            let found: Vec<_> =
                stream.chunks(step).flat_map(|part| packets(&mut deframer, part)).collect();
            assert_eq!(found, expected, "{step}");
        }
    }

    #[test]
    fn what_is_too_long_is_told_once_and_the_next_packet_is_read() {
        let mut stream = vec![1; 5000];
        stream.push(0);
        frame(b"x", &mut stream);
        let found = packets(&mut Deframer::new(100), &stream);
        assert_eq!(found, [Err(FrameError::TooLong), Ok(b"x".to_vec())]);
        let damaged = packets(&mut Deframer::new(100), &[9, 1, 0, 0]);
        assert_eq!(damaged, [Err(FrameError::Damaged)]);
    }
}
