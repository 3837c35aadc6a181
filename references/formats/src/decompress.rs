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
    Ok(Box::new(Bounded { left: bounds::EXPANDED, input: expanded }))
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
        if input.fill_buf()?.is_empty() {
            return Ok(State::Between(input));
        }
        if input.buffer().get(1..4) == Some(ZSTD_SKIPPABLE) {
            let mut header = [0; 8];
            input.read_exact(&mut header)?;
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            io::copy(&mut (&mut input).take(length.into()), &mut io::sink())?;
            return Self::begin(input);
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
