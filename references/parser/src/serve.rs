//! Jobs in, statements out, until the input ends.
//!
//! A job is its code and then its input in chunks: a length in four octets, little-endian, and so many
//! octets; length zero ends it. The parser reads a job's input to that end whatever it thinks of it, so that
//! both sides stay in step.

use std::io;
use std::io::Read;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Sink;
use reference_formats::Statement;

use crate::lock;
use crate::system;

const BUFFER: usize = 256 << 10;
const MEBIOCTET: usize = 1 << 20;
/// What a parser may use when nobody says otherwise.
const DEFAULT_MEBIOCTETS: usize = 256;
/// What a parser that got no whole job ends with.
const BROKEN: i32 = 71;

/// The bound on memory, from the one argument: a number of mebioctets.
pub fn arena_octets(argument: Option<String>) -> usize {
    let said = argument.and_then(|text| text.parse().ok());
    said.unwrap_or(DEFAULT_MEBIOCTETS).saturating_mul(MEBIOCTET)
}

/// Says that the lock holds, then serves jobs; ends the process at the end of its input.
pub fn jobs(locks: u32) -> ! {
    let mut input = Pipe { buffer: vec![0; BUFFER], start: 0, end: 0 };
    let mut output = Output { buffer: Vec::with_capacity(BUFFER * 2) };
    Statement::Ready { locks }.encode(&mut output.buffer);
    output.flush();
    while let Some(code) = input.octet() {
        let outcome = one(Job::from_code(code), &mut input, &mut output);
        let last = outcome.map_or_else(Statement::Refused, |()| Statement::Done);
        last.encode(&mut output.buffer);
        output.flush();
    }
    lock::leave()
}

fn one(job: Option<Job>, input: &mut Pipe, output: &mut Output) -> Result<(), Refusal> {
    let mut chunks = Chunks { pipe: input, left: 0, ended: false };
    let outcome = match job {
        Some(job) => job.run(&mut chunks, output),
        None => Err(Refusal::Unsupported),
    };
    // A reader that did not want all of its input: what is left belongs to no next job.
    let unread = chunks.drain();
    outcome.and(if unread { Err(Refusal::Trailing) } else { Ok(()) })
}

/// Descriptor 0.
struct Pipe {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Pipe {
    /// What is there, read from the pipe when nothing is; empty at its end.
    fn fill(&mut self) -> &[u8] {
        if self.start == self.end {
            let count = system::read(&mut self.buffer);
            (self.start, self.end) = (0, usize::try_from(count).unwrap_or(0));
        }
        &self.buffer[self.start..self.end]
    }

    fn octet(&mut self) -> Option<u8> {
        let octet = self.fill().first().copied()?;
        self.start += 1;
        Some(octet)
    }

    fn length(&mut self) -> Option<usize> {
        let mut octets = [0; 4];
        for octet in &mut octets {
            *octet = self.octet()?;
        }
        Some(u32::from_le_bytes(octets) as usize)
    }
}

/// The input of one job.
struct Chunks<'a> {
    pipe: &'a mut Pipe,
    left: usize,
    ended: bool,
}

impl Chunks<'_> {
    /// Whether anything was left; leaves nothing.
    fn drain(&mut self) -> bool {
        let mut unread = false;
        let mut nowhere = [0; 4096];
        while let Ok(1..) = self.read(&mut nowhere) {
            unread = true;
        }
        unread
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            // An input that breaks off in the middle of a job: there is nobody to tell.
            self.left = self.pipe.length().unwrap_or_else(|| system::exit(BROKEN));
            self.ended = self.left == 0;
        }
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let there = self.pipe.fill();
        let count = there.len().min(self.left).min(buffer.len());
        if count == 0 {
            system::exit(BROKEN);
        }
        buffer[..count].copy_from_slice(&there[..count]);
        self.pipe.start += count;
        self.left -= count;
        Ok(count)
    }
}

/// Descriptor 1.
struct Output {
    buffer: Vec<u8>,
}

impl Output {
    fn flush(&mut self) {
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            match usize::try_from(system::write(rest)) {
                Ok(count) => rest = &rest[count..],
                Err(_) => system::exit(BROKEN),
            }
        }
        self.buffer.clear();
    }
}

impl Sink for Output {
    fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
        statement.encode(&mut self.buffer);
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
        Ok(())
    }
}
