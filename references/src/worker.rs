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
const CHUNK: usize = 256 << 10;
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
    received: Vec<u8>,
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
        let mut worker = Self { confined, received: Vec::new(), locks: 0 };
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
            if let Some(end) = self.frame()? {
                let Ok(Statement::Ready { locks }) = Statement::decode(&self.received[4..end])
                else {
                    return Err(WorkerProblem::Garbage);
                };
                self.received.drain(..end);
                return Ok(locks);
            }
            self.wait(false, deadline)?;
            self.receive()?;
        }
    }

    /// Where the first whole frame in what was received ends.
    fn frame(&self) -> Result<Option<usize>, WorkerProblem> {
        let Some(length) = self.received.first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_OCTETS + 64 {
            return Err(WorkerProblem::Flooded);
        }
        Ok((self.received.len() >= 4 + length).then_some(4 + length))
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
        let mut feed = Feed { input, pending: vec![job as u8], sent: 0, ended: false };
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
            let mut start = 0;
            while let Some(frame) = next_frame(&self.received[start..])? {
                start += frame.len() + 4;
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
                if !feed.is_done() || start != self.received.len() {
                    return Err(WorkerProblem::Garbage.into());
                }
                self.received.clear();
                return Ok(ended);
            }
            self.received.drain(..start);
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
        let held = self.received.len();
        self.received.resize(held + READ, 0);
        let result = rustix::io::read(&self.confined.output, &mut self.received[held..]);
        let count = *result.as_ref().unwrap_or(&0);
        self.received.truncate(held + count);
        match result {
            Ok(0) => Err(WorkerProblem::Died),
            Ok(count) => Ok(count),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
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
    sent: usize,
    ended: bool,
}

impl Feed<'_> {
    fn is_done(&self) -> bool {
        self.ended && self.sent == self.pending.len()
    }

    /// Takes the next chunk once the last one is sent.
    fn refill(&mut self) -> io::Result<()> {
        if self.ended || (self.sent < self.pending.len() && self.sent > 0) {
            return Ok(());
        }
        self.pending.drain(..self.sent);
        self.sent = 0;
        if self.pending.len() >= CHUNK {
            return Ok(());
        }
        let start = self.pending.len();
        self.pending.resize(start + 4 + CHUNK, 0);
        let count = read_some(self.input, &mut self.pending[start + 4..])?;
        self.pending.truncate(start + 4 + count);
        self.pending[start..start + 4].copy_from_slice(&(count as u32).to_le_bytes());
        self.ended = count == 0;
        Ok(())
    }

    fn send(&mut self, confined: &Confined) -> Result<(), WorkerProblem> {
        match rustix::io::write(&confined.input, &self.pending[self.sent..]) {
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
