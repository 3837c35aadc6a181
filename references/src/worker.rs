//! The parent's side of a parser: jobs out, statements in, and no trust in between.
//!
//! Whatever a parser does, the parent goes on: it never blocks on a pipe, takes no more than a job's
//! bounds allow, waits no longer than its deadline, and kills what breaks the protocol. A parser that
//! failed once is never asked again.

use std::io;
use std::io::Read;
use std::time::Duration;
use std::time::Instant;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::statement::MAX_OCTETS;
use reference_formats::statement::lock;
use rustix::event::PollFd;
use rustix::event::PollFlags;

use crate::confined::Confined;
use crate::confined::Program;

/// What every parser must have locked before it is given anything; strict mode also where a filter holds it.
const REQUIRED: u32 = lock::STRICT
    | lock::NO_NEW_PRIVILEGES
    | lock::NOT_DUMPABLE
    | lock::LIMITS
    | lock::CAPABILITIES
    | lock::TWO_PIPES;
const READ: usize = 256 << 10;
/// How much input waits in the parent.
const FEED: usize = 256 << 10;
/// A chunk of input is its length and so many octets at least, unless it is the last.
const LEAST_CHUNK: usize = 4096;
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What a job may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Statements at most.
    pub statements: u64,
    /// Octets of output at most.
    pub octets: u64,
    /// Time at most, from the job's start.
    pub deadline: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { statements: 4_000_000, octets: 4 << 30, deadline: Duration::from_secs(600) }
    }
}

/// Why a parser's result is not to be had. The parser is gone, whichever it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerProblem {
    /// It cannot be started here.
    #[error("the isolated parser cannot be started: {0}")]
    Start(#[source] io::Error),
    /// It could not lock itself down.
    #[error("the isolated parser could not lock itself down (locks {0:#x})")]
    NotLocked(u32),
    /// It ended, or was killed for something it may not do, before the job was done.
    #[error("the isolated parser died")]
    Died,
    /// It was not done in time.
    #[error("the isolated parser was not done in time")]
    Hung,
    /// It said more than the job's bounds allow.
    #[error("the isolated parser said more than allowed")]
    Flooded,
    /// What it said is no statement, or not in place.
    #[error("the isolated parser broke the protocol")]
    Garbage,
    /// A pipe failed.
    #[error("the pipe to the isolated parser failed: {0}")]
    Pipe(#[from] io::Error),
}

impl From<rustix::io::Errno> for WorkerProblem {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Pipe(errno.into())
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The parser read all of the input.
    Done,
    /// The parser refuses the input.
    Refused(Refusal),
}

/// A parser at work.
#[derive(Debug)]
pub struct Worker {
    confined: Confined,
    received: Received,
    /// Memory for input on its way, used again for every job.
    feeding: Vec<u8>,
    locks: u32,
}

impl Worker {
    /// Starts the parser of this library, with so much memory.
    pub fn start(memory_mebioctets: u32) -> Result<Self, WorkerProblem> {
        let program = Program::parser().map_err(WorkerProblem::Start)?;
        Self::start_program(program, &memory_mebioctets.to_string())
    }

    /// Starts another program in its place: for tests of what a bad one can do.
    pub fn start_program(program: &Program, argument: &str) -> Result<Self, WorkerProblem> {
        let confined = Confined::start(program, argument).map_err(WorkerProblem::Start)?;
        let namespaces = if confined.in_namespaces { lock::NAMESPACES } else { 0 };
        let received = Received::default();
        let mut worker = Self { confined, received, feeding: vec![0; FEED], locks: 0 };
        let locks = worker.ready()?;
        if locks & REQUIRED != REQUIRED {
            return Err(WorkerProblem::NotLocked(locks));
        }
        worker.locks = locks | namespaces;
        Ok(worker)
    }

    /// What holds of it, as bits of `reference_formats::statement::lock`.
    pub fn locks(&self) -> u32 {
        self.locks
    }

    fn ready(&mut self) -> Result<u32, WorkerProblem> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Some(frame) = next_frame(self.received.held())? {
                let Ok(Statement::Ready { locks }) = Statement::decode(frame) else {
                    return Err(WorkerProblem::Garbage);
                };
                let taken = frame.len() + 4;
                self.received.take(taken);
                return Ok(locks);
            }
            self.wait(false, deadline)?;
            self.receive()?;
        }
    }

    /// Hands `input` to the parser and each statement to `hear`, to the job's end.
    ///
    /// What `hear` was told counts only when the outcome is [`Outcome::Done`]. On an error of either the
    /// parser must not be used again; it is killed when the worker is dropped.
    pub fn run<E: From<WorkerProblem>>(
        &mut self,
        job: Job,
        input: &mut dyn Read,
        bounds: Bounds,
        hear: &mut dyn FnMut(&Statement<'_>) -> Result<(), E>,
    ) -> Result<Outcome, E> {
        let deadline = Instant::now() + bounds.deadline;
        let mut feed = Feed::new(job, input, std::mem::take(&mut self.feeding));
        let (mut statements, mut octets) = (0, 0);
        loop {
            feed.refill().map_err(WorkerProblem::from)?;
            let (readable, writable) = self.wait(!feed.is_done(), deadline)?;
            if writable {
                feed.send(&self.confined)?;
            }
            if !readable {
                continue;
            }
            octets += self.receive()? as u64;
            let (mut taken, held) = (0, self.received.held());
            while let Some(frame) = next_frame(&held[taken..])? {
                taken += frame.len() + 4;
                statements += 1;
                if statements > bounds.statements {
                    return Err(WorkerProblem::Flooded.into());
                }
                let ended = match Statement::decode(frame) {
                    Ok(Statement::Done) => Outcome::Done,
                    Ok(Statement::Refused(refusal)) => Outcome::Refused(refusal),
                    Ok(Statement::Ready { .. }) | Err(_) => {
                        return Err(WorkerProblem::Garbage.into());
                    }
                    Ok(statement) => {
                        hear(&statement)?;
                        continue;
                    }
                };
                // An end before the input's, or something after the end, is a lie.
                if !feed.is_done() || taken != held.len() {
                    return Err(WorkerProblem::Garbage.into());
                }
                self.received.take(taken);
                self.feeding = feed.pending;
                return Ok(ended);
            }
            self.received.take(taken);
            if octets > bounds.octets {
                return Err(WorkerProblem::Flooded.into());
            }
        }
    }

    /// Waits until something can be read, or written if that is wanted.
    fn wait(&self, write: bool, deadline: Instant) -> Result<(bool, bool), WorkerProblem> {
        let left = deadline.checked_duration_since(Instant::now()).ok_or(WorkerProblem::Hung)?;
        let timeout = rustix::event::Timespec::try_from(left).map_err(|_| WorkerProblem::Hung)?;
        let mut ends = [
            PollFd::new(&self.confined.output, PollFlags::IN),
            PollFd::new(&self.confined.input, PollFlags::OUT),
        ];
        let watched = if write { 2 } else { 1 };
        match rustix::event::poll(&mut ends[..watched], Some(&timeout)) {
            Ok(0) => Err(WorkerProblem::Hung),
            Ok(_) => Ok((!ends[0].revents().is_empty(), write && !ends[1].revents().is_empty())),
            Err(rustix::io::Errno::INTR) => Ok((false, false)),
            Err(errno) => Err(errno.into()),
        }
    }

    fn receive(&mut self) -> Result<usize, WorkerProblem> {
        match rustix::io::read(&self.confined.output, self.received.room()) {
            Ok(0) => Err(WorkerProblem::Died),
            Ok(count) => {
                self.received.end += count;
                Ok(count)
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// What a parser said and nobody has taken yet. Its memory is used again: to clear it for every read would cost more than
/// what is read.
#[derive(Debug, Default)]
struct Received {
    octets: Vec<u8>,
    start: usize,
    end: usize,
}

impl Received {
    fn held(&self) -> &[u8] {
        &self.octets[self.start..self.end]
    }

    fn take(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where to read to, so much as one read may give.
    fn room(&mut self) -> &mut [u8] {
        if self.octets.len() < self.end + READ && self.start > 0 {
            self.octets.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.octets.len() < self.end + READ {
            self.octets.resize(self.end + READ, 0);
        }
        &mut self.octets[self.end..]
    }
}

fn next_frame(received: &[u8]) -> Result<Option<&[u8]>, WorkerProblem> {
    let Some((length, rest)) = received.split_first_chunk() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_OCTETS + 64 {
        return Err(WorkerProblem::Flooded);
    }
    Ok(rest.get(..length))
}

/// A job's input on its way.
struct Feed<'a> {
    input: &'a mut dyn Read,
    pending: Vec<u8>,
    filled: usize,
    sent: usize,
    ended: bool,
}

impl<'a> Feed<'a> {
    fn new(job: Job, input: &'a mut dyn Read, mut pending: Vec<u8>) -> Self {
        // Only what failed does not give its memory back.
        pending.resize(FEED, 0);
        pending[0] = job as u8;
        Self { input, pending, filled: 1, sent: 0, ended: false }
    }

    fn is_done(&self) -> bool {
        self.ended && self.sent == self.filled
    }

    /// Takes as many chunks as fit once the last ones are sent.
    fn refill(&mut self) -> io::Result<()> {
        if self.sent == self.filled {
            (self.sent, self.filled) = (0, 0);
        }
        while self.sent == 0 && !self.ended && self.filled + LEAST_CHUNK <= self.pending.len() {
            let (length, rest) = self.pending[self.filled..].split_at_mut(4);
            let count = read_some(self.input, rest)?;
            length.copy_from_slice(&(count as u32).to_le_bytes());
            self.filled += 4 + count;
            self.ended = count == 0;
        }
        Ok(())
    }

    fn send(&mut self, confined: &Confined) -> Result<(), WorkerProblem> {
        match rustix::io::write(&confined.input, &self.pending[self.sent..self.filled]) {
            Ok(count) => self.sent += count,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::PIPE) => return Err(WorkerProblem::Died),
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

fn read_some(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
