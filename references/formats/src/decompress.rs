//! Decompression by magic number, bounded in what comes out.

use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::bounds;
use crate::refusal::Refusal;
use crate::statement::Part;
use crate::statement::Sink;
use crate::statement::Statement;

const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const LZ4: &[u8] = &[0x04, 0x22, 0x4d, 0x18];
/// Magic numbers of zstd's skippable frames differ in the last four bits.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];
const BUFFER: usize = 64 << 10;
/// The memory for one xz block, in kibioctets: dictionaries of preset 9 fit.
const XZ_MEMORY_KIB: u32 = 200 << 10;
/// The largest window of a zstd frame, as the command-line tool's default.
const ZSTD_WINDOW: u64 = 128 << 20;

/// Says what `input` expands to, piece by piece.
pub fn expand(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut expanded = reader(input)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match expanded.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                sink.say(&Statement::Octets { part: Part::Signed, octets: &buffer[..count] })?;
            }
        }
    }
}

/// What `input` expands to; itself when it has no magic number of a compression.
pub fn reader<'a>(input: &'a mut dyn Read) -> io::Result<Box<dyn Read + 'a>> {
    bounded(input, bounds::EXPANDED)
}

fn bounded<'a>(input: &'a mut dyn Read, most: u64) -> io::Result<Box<dyn Read + 'a>> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let magic = input.fill_buf()?;
    let expanded: Box<dyn Read + 'a> = if magic.starts_with(GZIP) {
        Box::new(MultiGzDecoder::new(input))
    } else if magic.starts_with(XZ) {
        Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB))
    } else if magic.starts_with(ZSTD) || magic.get(1..4) == Some(ZSTD_SKIPPABLE) {
        Box::new(Zstd { state: State::Between(input) })
    } else if magic.starts_with(LZ4) {
        Box::new(lz4_flex::frame::FrameDecoder::new(input))
    } else {
        Box::new(input)
    };
    Ok(Box::new(Bounded { left: most, input: expanded }))
}

/// Refuses more than a bound of octets.
struct Bounded<'a> {
    left: u64,
    input: Box<dyn Read + 'a>,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

/// Frames of zstd, one after another.
struct Zstd<R: Read> {
    state: State<R>,
}

enum State<R: Read> {
    Between(BufReader<R>),
    Within(Box<StreamingDecoder<BufReader<R>, ruzstd::decoding::FrameDecoder>>),
    Broken,
}

impl<R: Read> Zstd<R> {
    fn begin(mut input: BufReader<R>) -> io::Result<State<R>> {
        // A frame's magic number and header may lie across the buffer's end: the decoder reads on.
        while input.fill_buf()?.get(1..4) == Some(ZSTD_SKIPPABLE) {
            let mut header = [0; 8];
            input.read_exact(&mut header)?;
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            io::copy(&mut (&mut input).take(length.into()), &mut io::sink())?;
        }
        if input.buffer().is_empty() {
            return Ok(State::Between(input));
        }
        let decoder = StreamingDecoder::new_with_max_window_size(input, ZSTD_WINDOW);
        decoder.map(|decoder| State::Within(Box::new(decoder))).map_err(io::Error::other)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Broken) {
                State::Broken => return Err(io::ErrorKind::InvalidData.into()),
                State::Between(input) => match Self::begin(input)? {
                    State::Between(input) => {
                        self.state = State::Between(input);
                        return Ok(0);
                    }
                    within => within,
                },
                State::Within(mut decoder) => {
                    let count = decoder.read(buffer)?;
                    if count > 0 || buffer.is_empty() {
                        self.state = State::Within(decoder);
                        return Ok(count);
                    }
                    State::Between(decoder.into_inner())
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bomb: a mebioctet of zeros, by gzip, xz, zstd and lz4, each a thousandth of that or less.
    const BOMBS: [&[u8]; 4] = [
        include_bytes!("../testdata/zeros.gz"),
        include_bytes!("../testdata/zeros.xz"),
        include_bytes!("../testdata/zeros.zst"),
        include_bytes!("../testdata/zeros.lz4"),
    ];
    const MEBIOCTET: u64 = 1 << 20;

    fn expanded(mut bomb: &[u8], most: u64) -> io::Result<u64> {
        let mut reader = bounded(&mut bomb, most)?;
        io::copy(&mut reader, &mut io::sink())
    }

    #[test]
    fn a_bomb_goes_off_at_the_bound() {
        for bomb in BOMBS {
            assert!(bomb.len() < 6000);
            assert_eq!(expanded(bomb, MEBIOCTET).unwrap(), MEBIOCTET);
            let refused = expanded(bomb, MEBIOCTET - 1).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
        }
    }

    /// A few octets that ask for half a gibioctet of memory before they say anything.
    #[test]
    fn a_dictionary_beyond_the_bound_is_refused() {
        let xz: &[u8] = include_bytes!("../testdata/dictionary.xz");
        let zstd: &[u8] = include_bytes!("../testdata/window.zst");
        for bomb in [xz, zstd] {
            assert!(expanded(bomb, MEBIOCTET).is_err());
        }
    }

    /// Each is skipped where it stands, and not by a call within a call.
    #[test]
    fn frames_without_contents_are_skipped_however_many() {
        let skipped = [&[0x50], ZSTD_SKIPPABLE, &[0; 4]].concat();
        let frames = skipped.repeat(1 << 18);
        assert_eq!(expanded(&frames, 0).unwrap(), 0);
        let then = [&frames, BOMBS[2]].concat();
        assert_eq!(expanded(&then, MEBIOCTET).unwrap(), MEBIOCTET);
    }
}
