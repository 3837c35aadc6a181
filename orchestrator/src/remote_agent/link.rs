//! One session with an agent, shared by many threads.
//!
//! Whoever has something to say appends it; one thread at a time seals and writes what has come
//! together, so that many threads share packets under load. Whoever waits for an answer reads for
//! all until its own has come, wakes only those whose answers came, and leaves the reading to one of
//! the others. The first fault ends the session for everyone, for good.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use tma_protocol::Deframer;
use tma_protocol::Opener;
use tma_protocol::Packet;
use tma_protocol::Reply;
use tma_protocol::Request;
use tma_protocol::Sealer;
use tma_protocol::SessionError;
use tma_protocol::bound::PACKET_MAX;
use tma_protocol::messages;
use tsem::Description;
use tsem::Digest;

use crate::agent::AgentError;
use crate::wire::Wire;

/// More than this waiting to be written means that the agent has stopped reading.
const OUTGOING_MAX: usize = 4 << 20;

/// A session.
pub(crate) struct Link {
    wire: Wire,
    message_max: usize,
    patience: Duration,
    outgoing: Mutex<Outgoing>,
    writer: Mutex<Writer>,
    inbox: Mutex<Inbox>,
    reader: Mutex<Reader>,
    fault: OnceLock<AgentError>,
}

/// What is to be sent. The writer holds no lock on it while it writes.
struct Outgoing {
    batch: Batch,
    next: u32,
    writing: bool,
    /// Numbers of requests whose answers have not come, in order.
    asked: VecDeque<u32>,
}

#[derive(Default)]
struct Batch {
    octets: Vec<u8>,
    /// Where each message ends, and whether it must have a packet of its own.
    ends: Vec<(usize, bool)>,
}

struct Writer {
    sealer: Sealer,
    batch: Batch,
    frames: Vec<u8>,
}

#[derive(Default)]
struct Inbox {
    answers: HashMap<u32, Vec<u8>>,
    reading: bool,
    /// Who sleeps until an answer has come, or until there is nobody who reads.
    waiting: BTreeMap<u32, Thread>,
}

impl Inbox {
    /// Takes over what was read, and wakes whom it is for.
    fn deliver(&mut self, answers: Vec<(u32, Vec<u8>)>) {
        for (sequence, answer) in answers {
            self.answers.insert(sequence, answer);
            self.waiting.remove(&sequence).map(|thread| thread.unpark()).unwrap_or_default();
        }
    }

    /// Wakes whoever waits for the oldest answer, to read for all.
    fn hand_over(&self) {
        if let Some(thread) = self.waiting.values().next() {
            thread.unpark();
        }
    }

    fn wake_all(&self) {
        self.waiting.values().for_each(Thread::unpark);
    }
}

struct Reader {
    opener: Opener,
    deframer: Deframer,
    octets: Vec<u8>,
    opened: Vec<u8>,
}

/// An answer as it came; [`Answer::reply`] reads it.
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    pub(crate) fn reply(&self) -> Result<Reply<'_>, AgentError> {
        let message = messages(&self.0).next().ok_or(AgentError::Unasked)?;
        Ok(message?.reply()?)
    }
}

/// What could not be asked.
pub(crate) enum NotAsked {
    /// The event is longer than what the agent can take.
    TooLong,
    /// The session is over.
    Fault(AgentError),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(crate) fn new(
        wire: Wire,
        (sealer, opener): (Sealer, Opener),
        message_max: usize,
        patience: Duration,
    ) -> Self {
        let asked = VecDeque::new();
        let outgoing = Outgoing { batch: Batch::default(), next: 1, writing: false, asked };
        let writer = Writer { sealer, batch: Batch::default(), frames: Vec::new() };
        let reader = Reader {
            opener,
            deframer: Deframer::new(PACKET_MAX),
            octets: vec![0; 64 * 1024],
            opened: Vec::new(),
        };
        Self {
            wire,
            message_max,
            patience,
            outgoing: Mutex::new(outgoing),
            writer: Mutex::new(writer),
            inbox: Mutex::default(),
            reader: Mutex::new(reader),
            fault: OnceLock::new(),
        }
    }

    /// The longest message that the agent takes.
    pub(crate) fn message_max(&self) -> usize {
        self.message_max
    }

    /// Why the session is over, if it is.
    pub(crate) fn fault(&self) -> Option<AgentError> {
        self.fault.get().cloned()
    }

    /// Ends the session for everyone. The first fault is the one that is told; true for it.
    pub(crate) fn end(&self, error: AgentError) -> bool {
        let first = self.fault.set(error).is_ok();
        if first {
            self.wire.shut_down();
            lock(&self.inbox).wake_all();
        }
        first
    }

    /// Tells something that is not answered, and does `then` before anything else is said; false if
    /// it is too long to be told.
    pub(crate) fn tell(
        &self,
        request: &Request<'_>,
        then: impl FnOnce(),
    ) -> Result<bool, AgentError> {
        let put = |next, bound, out: &mut Vec<u8>| {
            let fits = request.write(next, bound, out);
            if fits {
                then();
            }
            fits
        };
        Ok(self.put(false, false, put)?.is_some())
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Result<Answer, AgentError> {
        let put = |next, bound, out: &mut Vec<u8>| request.write(next, bound, out);
        let sequence = self.put(true, request.has_long_answer(), put)?;
        self.wait(sequence.ok_or(AgentError::Unasked)?)
    }

    /// Asks for a verdict and waits for it. What is claimed of the acting process is taken when
    /// nothing can be told between.
    pub(crate) fn ask_event(
        &self,
        event: &Description,
        claim: impl FnOnce() -> Option<Digest>,
    ) -> Result<Answer, NotAsked> {
        let put =
            |next, bound, out: &mut Vec<u8>| Request::write_event(event, claim(), next, bound, out);
        let sequence = self.put(true, false, put).map_err(NotAsked::Fault)?;
        self.wait(sequence.ok_or(NotAsked::TooLong)?).map_err(NotAsked::Fault)
    }

    /// Appends a message and sees to it that it is written; its number, or `None` if it does not
    /// fit.
    fn put(
        &self,
        answered: bool,
        alone: bool,
        write: impl FnOnce(u32, usize, &mut Vec<u8>) -> bool,
    ) -> Result<Option<u32>, AgentError> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let mut outgoing = lock(&self.outgoing);
        let sequence = outgoing.next;
        if !write(sequence, self.message_max, &mut outgoing.batch.octets) {
            return Ok(None);
        }
        let end = outgoing.batch.octets.len();
        outgoing.batch.ends.push((end, alone));
        outgoing.next =
            sequence.checked_add(1).ok_or(AgentError::Session(SessionError::Exhausted))?;
        if answered {
            outgoing.asked.push_back(sequence);
        }
        if end > OUTGOING_MAX {
            return Err(AgentError::Silent(self.patience.as_secs()));
        }
        if !outgoing.writing {
            outgoing.writing = true;
            self.write_all(outgoing)?;
        }
        Ok(Some(sequence))
    }

    /// Writes what has come together until nothing more has.
    fn write_all<'a>(&'a self, mut outgoing: MutexGuard<'a, Outgoing>) -> Result<(), AgentError> {
        let mut writer = lock(&self.writer);
        loop {
            std::mem::swap(&mut outgoing.batch, &mut writer.batch);
            drop(outgoing);
            let sealed = writer.seal(self.message_max);
            sealed.map_err(AgentError::Session)?;
            self.wire.write_all(&writer.frames, self.patience)?;
            outgoing = lock(&self.outgoing);
            if outgoing.batch.ends.is_empty() {
                outgoing.writing = false;
                return Ok(());
            }
        }
    }

    /// Waits for an answer, reading for all while nobody else does.
    fn wait(&self, sequence: u32) -> Result<Answer, AgentError> {
        let waited = self.wait_until(sequence, Instant::now() + self.patience);
        let mut inbox = lock(&self.inbox);
        inbox.waiting.remove(&sequence);
        if !inbox.reading {
            inbox.hand_over();
        }
        waited
    }

    fn wait_until(&self, sequence: u32, deadline: Instant) -> Result<Answer, AgentError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut inbox = lock(&self.inbox);
            if let Some(answer) = inbox.answers.remove(&sequence) {
                return Ok(Answer(answer));
            }
            if let Some(fault) = self.fault() {
                return Err(fault);
            }
            if left.is_zero() {
                return Err(AgentError::Silent(self.patience.as_secs()));
            }
            if inbox.reading {
                inbox.waiting.insert(sequence, std::thread::current());
                drop(inbox);
                std::thread::park_timeout(left);
                continue;
            }
            inbox.reading = true;
            inbox.waiting.remove(&sequence);
            drop(inbox);
            let read = self.read(left);
            let mut inbox = lock(&self.inbox);
            inbox.reading = false;
            match read {
                Ok(answers) => inbox.deliver(answers),
                Err(error) => {
                    inbox.wake_all();
                    return Err(error);
                }
            }
        }
    }

    /// Reads once; the answers that came.
    fn read(&self, patience: Duration) -> Result<Vec<(u32, Vec<u8>)>, AgentError> {
        let mut reader = lock(&self.reader);
        let Reader { opener, deframer, octets, opened } = &mut *reader;
        let read = self.wire.read(octets, patience)?;
        let mut rest = &octets[..read];
        let mut answers = Vec::new();
        while !rest.is_empty() {
            let (taken, packet) = deframer.take(rest);
            rest = &rest[taken..];
            let Some(packet) = packet else { continue };
            let packet = packet.map_err(|_| AgentError::Session(SessionError::Broken))?;
            match Packet::read(packet)? {
                Packet::Sealed(sealed) => opener.open(sealed, opened)?,
                Packet::Refused => return Err(SessionError::Refused.into()),
                _ => return Err(SessionError::Unexpected.into()),
            }
            for message in messages(opened) {
                let message = message?;
                self.expect(message.sequence)?;
                answers.push((message.sequence, message.octets().to_vec()));
            }
        }
        Ok(answers)
    }

    /// An answer must be that to the oldest request that has none.
    fn expect(&self, sequence: u32) -> Result<(), AgentError> {
        let asked = lock(&self.outgoing).asked.pop_front();
        if asked == Some(sequence) { Ok(()) } else { Err(AgentError::Unasked) }
    }
}

impl Writer {
    /// Seals the batch into as few packets as its messages allow.
    fn seal(&mut self, message_max: usize) -> Result<(), SessionError> {
        self.frames.clear();
        let (mut start, mut end) = (0, 0);
        let mut alone_before = false;
        for (next, alone) in self.batch.ends.drain(..) {
            let full = next - start > message_max;
            if end > start && (full || alone || alone_before) {
                self.sealer.seal(&self.batch.octets[start..end], &mut self.frames)?;
                start = end;
            }
            end = next;
            alone_before = alone;
        }
        if end > start {
            self.sealer.seal(&self.batch.octets[start..end], &mut self.frames)?;
        }
        self.batch.octets.clear();
        Ok(())
    }
}
