//! The messages: what is asked of an agent, and what it answers.
//!
//! A sealed packet holds one or more messages, each behind its length. A message is its kind, its
//! sequence number and its body. Requests are numbered from 1 without a gap; an answer carries the
//! number of its request, and answers come in the order of the requests.

use alloc::vec::Vec;

use tsem::DecodeError;
use tsem::Digest;
use tsem::Effect;
use tsem::ExecOutcome;
use tsem::Loss;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ProcessId;
use tsem::Reason;
use tsem::TEXT_MAX;
use tsem::Verdict;
use tsem::Vouched;

use crate::bound::HEADER_MAX;
use crate::bound::MESSAGE_MAX;
use crate::bound::MODEL_KEYS_MAX;
use crate::bound::NONCE;
use crate::bound::STATEMENT_MAX;
use crate::engine::Summary;
use crate::event_message::EventMessage;
use crate::event_message::write_event;
use crate::wire::Reader;
use crate::wire::Write;

/// Length, kind and sequence number before a body.
pub(crate) const ENVELOPE: usize = 2 + 1 + 4;

/// Why octets are no message. The sender is to blame, and the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// The octets end too early.
    Truncated,
    /// Octets follow the last field.
    Trailing,
    /// A message, tag or choice without a meaning.
    Tag(u8),
    /// A length beyond its bound.
    TooLong,
    /// An event whose parts are no encoding.
    Event(DecodeError),
}

/// How a model is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// What an event outside the model means.
    pub mode: Mode,
    /// What a violation does besides.
    pub on_violation: OnViolation,
    /// Which events the agent is shown.
    pub observes: Observes,
    /// Nonce and platform aggregate.
    pub platform: Platform,
    /// How many coefficients follow.
    pub coefficients: u32,
    /// How many octets of header follow.
    pub header: u32,
    /// How many contents that packages vouch for follow.
    pub references: u32,
}

/// Which events an agent is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observes {
    /// Every one.
    Every,
    /// Those that a cache in front of it does not answer.
    Uncached,
}

/// A part of an agent's record that has rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// Good coefficients, sorted.
    Coefficients = 1,
    /// Task identities.
    Tasks = 2,
    /// The trajectory.
    Events = 3,
    /// Events outside the model.
    Forensics = 4,
}

/// Why an agent did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Failure {
    /// It has no orchestrator yet: only `Provision` is answered.
    NotProvisioned = 1,
    /// It has an orchestrator already.
    AlreadyProvisioned = 2,
    /// Whoever asks is not its orchestrator.
    NotPinned = 3,
    /// Not now: a model is not loaded, or is loaded already, or events came in another session.
    Phase = 4,
    /// The header is none, or has rules that this agent does not know.
    Header = 5,
    /// More of something than the agent keeps.
    TooMuch = 6,
    /// The coefficients are not ascending, or not as many as said.
    Coefficients = 7,
    /// Only signed models are enforced here, and this one has no signature.
    Unsigned = 8,
    /// No pinned key made the signature, or it does not hold.
    Signature = 9,
    /// What was signed is another model.
    OtherModel = 10,
    /// The pins could not be kept.
    NotKept = 11,
    /// The identity claimed for a process does not follow from its execs and forks.
    Identity = 12,
    /// There is no such row.
    Row = 13,
    /// The references are not ascending, or not as many as said before the header was complete.
    References = 14,
}

/// What is asked of an agent.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// Trust the asking orchestrator and these model keys from now on. Answered.
    Provision(Vec<[u8; 32]>),
    /// Forget model and record. Answered.
    Reset,
    /// A model follows. Answered.
    Load(Load),
    /// The next contents that packages vouch for, ascending, each as `tsem::Vouched` has it; all
    /// come before the header. Not answered.
    References(&'a [[u8; Vouched::SIZE]]),
    /// The next part of its header. Not answered.
    Header(&'a [u8]),
    /// The signed statement about it, and an Ed25519 signature. Not answered.
    Signature {
        /// The payload of the DSSE envelope.
        statement: &'a [u8],
        /// By one of the pinned model keys.
        signature: [u8; 64],
    },
    /// The next of its coefficients, ascending. Not answered.
    Coefficients(&'a [[u8; 32]]),
    /// The model is complete. Answered with [`Reply::Sealed`].
    Seal,
    /// The namespace's first process is there. Not answered.
    Started(ProcessId),
    /// A process made another. Not answered.
    Forked {
        /// Who.
        parent: ProcessId,
        /// Whom.
        child: ProcessId,
    },
    /// A process is gone. Not answered.
    Exited(ProcessId),
    /// An exec has happened, or has failed. Not answered.
    ExecSettled(ProcessId, ExecOutcome),
    /// An allowed event has changed the file system. Not answered.
    Effect(ProcessId, Effect<'a>),
    /// An event could not be described. Not answered.
    Lost(Loss),
    /// So many events were answered from a cache. Not answered.
    Cached(u64),
    /// Judge this. Answered with [`Reply::Verdict`].
    Event(EventMessage<'a>),
    /// Counts, state and measurement. Answered with [`Reply::Summary`].
    Summary,
    /// Rows of a table, from an octet of a row on. Answered with [`Reply::Page`].
    Page {
        /// Which table.
        table: Table,
        /// First row.
        row: u32,
        /// First octet of that row.
        offset: u32,
    },
    /// Sign what you are. Answered with [`Reply::Statement`].
    Attest(&'a [u8]),
}

/// What an agent answers.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// It is done.
    Done,
    /// It is not.
    Failed(Failure),
    /// The model is in force.
    Sealed {
        /// The digest of its header.
        header: Digest,
        /// Its state, with the platform of its header.
        state: Digest,
    },
    /// What happens to an event.
    Verdict {
        /// The verdict.
        verdict: Verdict,
        /// Not seen in this run before.
        first: bool,
        /// Set if it was outside the model.
        violation: Option<Reason>,
        /// Its coefficient; zero if it could not be judged.
        coefficient: Digest,
    },
    /// Counts, state and measurement.
    Summary(Summary),
    /// Parts of rows, in order; [`crate::record::Rows`] puts them together.
    Page {
        /// How many rows the table has.
        total: u32,
        /// The parts.
        parts: &'a [u8],
    },
    /// A signed attestation.
    Statement(&'a [u8]),
}

/// A message with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    kind: u8,
    /// Its sequence number.
    pub sequence: u32,
    body: &'a [u8],
    whole: &'a [u8],
}

/// The messages of an opened packet.
pub fn messages(octets: &[u8]) -> impl Iterator<Item = Result<Message<'_>, MessageError>> {
    let mut reader = Reader(octets);
    core::iter::from_fn(move || {
        let read = (!reader.0.is_empty()).then(|| Message::read(&mut reader))?;
        if read.is_err() {
            reader.0 = &[];
        }
        Some(read)
    })
}

impl<'a> Message<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, MessageError> {
        let start = reader.0;
        let mut message = Reader(reader.text(MESSAGE_MAX - 2)?);
        let whole = &start[..start.len() - reader.0.len()];
        Ok(Self { kind: message.u8()?, sequence: message.u32()?, body: message.rest(), whole })
    }

    /// Its octets as they stand in a packet, to be kept and read again by [`messages`].
    pub fn octets(&self) -> &'a [u8] {
        self.whole
    }

    /// The message as a request.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn request(&self) -> Result<Request<'a>, MessageError> {
        let mut reader = Reader(self.body);
        let request = read_request(self.kind, &mut reader)?;
        reader.end()?;
        Ok(request)
    }

    /// The message as an answer.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn reply(&self) -> Result<Reply<'a>, MessageError> {
        let mut reader = Reader(self.body);
        let reply = read_reply(self.kind, &mut reader)?;
        reader.end()?;
        Ok(reply)
    }
}

mod kind {
    pub(super) const PROVISION: u8 = 0x01;
    pub(super) const RESET: u8 = 0x02;
    pub(super) const LOAD: u8 = 0x03;
    pub(super) const HEADER: u8 = 0x04;
    pub(super) const SIGNATURE: u8 = 0x05;
    pub(super) const COEFFICIENTS: u8 = 0x06;
    pub(super) const SEAL: u8 = 0x07;
    pub(super) const REFERENCES: u8 = 0x08;
    pub(super) const STARTED: u8 = 0x10;
    pub(super) const FORKED: u8 = 0x11;
    pub(super) const EXITED: u8 = 0x12;
    pub(super) const EXEC_SETTLED: u8 = 0x13;
    pub(super) const EFFECT: u8 = 0x14;
    pub(super) const LOST: u8 = 0x15;
    pub(super) const CACHED: u8 = 0x16;
    pub(super) const EVENT: u8 = 0x17;
    pub(super) const SUMMARY: u8 = 0x20;
    pub(super) const PAGE: u8 = 0x21;
    pub(super) const ATTEST: u8 = 0x22;

    pub(super) const DONE: u8 = 0x81;
    pub(super) const FAILED: u8 = 0x82;
    pub(super) const SEALED: u8 = 0x83;
    pub(super) const VERDICT: u8 = 0x84;
    pub(super) const SUMMARY_IS: u8 = 0x85;
    pub(super) const PAGE_IS: u8 = 0x86;
    pub(super) const STATEMENT: u8 = 0x87;
}

fn read_request<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Request<'a>, MessageError> {
    Ok(match kind {
        kind::PROVISION => Request::Provision(read_keys(reader)?),
        kind::RESET => Request::Reset,
        kind::LOAD => Request::Load(read_load(reader)?),
        kind::HEADER => Request::Header(reader.rest()),
        kind::SIGNATURE => {
            let signature = reader.array()?;
            Request::Signature { statement: reader.text(STATEMENT_MAX)?, signature }
        }
        kind::COEFFICIENTS => {
            let (coefficients, rest) = reader.rest().as_chunks();
            Reader(rest).end()?;
            Request::Coefficients(coefficients)
        }
        kind::SEAL => Request::Seal,
        kind::REFERENCES => {
            let (entries, rest) = reader.rest().as_chunks();
            Reader(rest).end()?;
            Request::References(entries)
        }
        kind::STARTED => Request::Started(read_process(reader)?),
        kind::FORKED => {
            Request::Forked { parent: read_process(reader)?, child: read_process(reader)? }
        }
        kind::EXITED => Request::Exited(read_process(reader)?),
        kind::EXEC_SETTLED => {
            Request::ExecSettled(read_process(reader)?, choice(OUTCOMES, reader.u8()?)?)
        }
        kind::EFFECT => Request::Effect(read_process(reader)?, read_effect(reader)?),
        kind::LOST => Request::Lost(choice(LOSSES, reader.u8()?)?),
        kind::CACHED => Request::Cached(reader.u64()?),
        kind::EVENT => Request::Event(EventMessage::read(reader)?),
        kind::SUMMARY => Request::Summary,
        kind::PAGE => Request::Page {
            table: choice(TABLES, reader.u8()?)?,
            row: reader.u32()?,
            offset: reader.u32()?,
        },
        kind::ATTEST => {
            let nonce = reader.rest();
            Request::Attest(
                NONCE.contains(&nonce.len()).then_some(nonce).ok_or(MessageError::TooLong)?,
            )
        }
        other => return Err(MessageError::Tag(other)),
    })
}

fn read_reply<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Reply<'a>, MessageError> {
    Ok(match kind {
        kind::DONE => Reply::Done,
        kind::FAILED => Reply::Failed(choice(FAILURES, reader.u8()?)?),
        kind::SEALED => Reply::Sealed { header: reader.digest()?, state: reader.digest()? },
        kind::VERDICT => read_verdict(reader)?,
        kind::SUMMARY_IS => Reply::Summary(Summary::read(reader)?),
        kind::PAGE_IS => Reply::Page { total: reader.u32()?, parts: reader.rest() },
        kind::STATEMENT => Reply::Statement(reader.rest()),
        other => return Err(MessageError::Tag(other)),
    })
}

const OUTCOMES: &[(u8, ExecOutcome)] = &[(1, ExecOutcome::Committed), (2, ExecOutcome::Failed)];
const LOSSES: &[(u8, Loss)] = &[(1, Loss::Dropped), (2, Loss::Unreadable), (3, Loss::TooLarge)];
const MODES: &[(u8, Mode)] = &[(1, Mode::Free), (2, Mode::Sealed), (3, Mode::Enforcing)];
const ON_VIOLATION: &[(u8, OnViolation)] =
    &[(1, OnViolation::Deny), (2, OnViolation::Untrust), (3, OnViolation::Kill)];
const OBSERVES: &[(u8, Observes)] = &[(1, Observes::Every), (2, Observes::Uncached)];
const REASONS: &[(u8, Option<Reason>)] =
    &[(0, None), (1, Some(Reason::NotInModel)), (2, Some(Reason::Untrusted))];
const FLAGS: &[(u8, bool)] = &[(0, false), (1, true)];
const TABLES: &[(u8, Table)] = &[
    (Table::Coefficients as u8, Table::Coefficients),
    (Table::Tasks as u8, Table::Tasks),
    (Table::Events as u8, Table::Events),
    (Table::Forensics as u8, Table::Forensics),
];
const FAILURES: &[(u8, Failure)] = &[
    (Failure::NotProvisioned as u8, Failure::NotProvisioned),
    (Failure::AlreadyProvisioned as u8, Failure::AlreadyProvisioned),
    (Failure::NotPinned as u8, Failure::NotPinned),
    (Failure::Phase as u8, Failure::Phase),
    (Failure::Header as u8, Failure::Header),
    (Failure::TooMuch as u8, Failure::TooMuch),
    (Failure::Coefficients as u8, Failure::Coefficients),
    (Failure::Unsigned as u8, Failure::Unsigned),
    (Failure::Signature as u8, Failure::Signature),
    (Failure::OtherModel as u8, Failure::OtherModel),
    (Failure::NotKept as u8, Failure::NotKept),
    (Failure::Identity as u8, Failure::Identity),
    (Failure::Row as u8, Failure::Row),
    (Failure::References as u8, Failure::References),
];
const VERDICTS: [Verdict; 3] = [Verdict::Allow, Verdict::Deny, Verdict::Kill];

fn choice<T: Copy>(table: &[(u8, T)], octet: u8) -> Result<T, MessageError> {
    let found = table.iter().find(|(code, _)| *code == octet);
    found.map(|(_, value)| *value).ok_or(MessageError::Tag(octet))
}

/// The octet of a choice; every value stands in its table.
fn code<T: PartialEq>(table: &[(u8, T)], value: &T) -> u8 {
    table.iter().find(|(_, listed)| listed == value).map_or(u8::MAX, |(code, _)| *code)
}

pub(crate) fn reason_code(reason: Reason) -> u8 {
    code(REASONS, &Some(reason))
}

pub(crate) fn reason_of(octet: u8) -> Result<Reason, MessageError> {
    choice(REASONS, octet)?.ok_or(MessageError::Tag(octet))
}

fn read_process(reader: &mut Reader<'_>) -> Result<ProcessId, MessageError> {
    reader.u64().map(ProcessId)
}

fn read_keys(reader: &mut Reader<'_>) -> Result<Vec<[u8; 32]>, MessageError> {
    let count = usize::from(reader.u8()?);
    if count > MODEL_KEYS_MAX {
        return Err(MessageError::TooLong);
    }
    (0..count).map(|_| reader.array()).collect()
}

fn read_load(reader: &mut Reader<'_>) -> Result<Load, MessageError> {
    let load = Load {
        mode: choice(MODES, reader.u8()?)?,
        on_violation: choice(ON_VIOLATION, reader.u8()?)?,
        observes: choice(OBSERVES, reader.u8()?)?,
        platform: Platform { base: reader.digest()?, aggregate: reader.digest()? },
        coefficients: reader.u32()?,
        header: reader.u32()?,
        references: reader.u32()?,
    };
    if load.header as usize > HEADER_MAX { Err(MessageError::TooLong) } else { Ok(load) }
}

fn read_effect<'a>(reader: &mut Reader<'a>) -> Result<Effect<'a>, MessageError> {
    Ok(match reader.u8()? {
        1 => Effect::Made(reader.text(TEXT_MAX)?),
        2 => Effect::Removed(reader.text(TEXT_MAX)?),
        3 => Effect::Renamed { from: reader.text(TEXT_MAX)?, to: reader.text(TEXT_MAX)? },
        other => return Err(MessageError::Tag(other)),
    })
}

fn read_verdict(reader: &mut Reader<'_>) -> Result<Reply<'static>, MessageError> {
    let octets = reader.u32()?;
    let verdict = VERDICTS.into_iter().find(|verdict| *verdict as u32 == octets);
    Ok(Reply::Verdict {
        verdict: verdict.ok_or(MessageError::Tag(octets as u8))?,
        first: choice(FLAGS, reader.u8()?)?,
        violation: choice(REASONS, reader.u8()?)?,
        coefficient: reader.digest()?,
    })
}

/// Appends one message; `body` appends its body. False, and nothing appended, beyond `bound`.
fn write_message(
    kind: u8,
    sequence: u32,
    bound: usize,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> bool,
) -> bool {
    let start = out.len();
    out.u16(0);
    out.u8(kind);
    out.u32(sequence);
    let written = body(out);
    let length = out.len() - start;
    if !written || length > bound {
        out.truncate(start);
        return false;
    }
    out[start..start + 2].copy_from_slice(&((length - 2) as u16).to_le_bytes());
    true
}

impl Request<'_> {
    /// Appends the request; false, and nothing appended, if it is longer than `bound`, the
    /// receiver's longest message. Events are appended by [`Request::write_event`].
    pub fn write(&self, sequence: u32, bound: usize, out: &mut Vec<u8>) -> bool {
        write_message(self.kind(), sequence, bound, out, |out| {
            self.write_body(out);
            true
        })
    }

    /// Appends an event; false, and nothing appended, if it has no encoding within the bounds.
    pub fn write_event(
        event: &tsem::Description,
        claim: Option<Digest>,
        sequence: u32,
        bound: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        write_message(kind::EVENT, sequence, bound, out, |out| write_event(event, claim, out))
    }

    /// Whether an answer comes.
    pub fn is_answered(&self) -> bool {
        matches!(
            self,
            Self::Provision(_)
                | Self::Reset
                | Self::Load(_)
                | Self::Seal
                | Self::Event(_)
                | Self::Summary
                | Self::Page { .. }
                | Self::Attest(_)
        )
    }

    /// Whether the answer may be much longer than the request; such a request comes alone.
    pub fn has_long_answer(&self) -> bool {
        matches!(self, Self::Summary | Self::Page { .. } | Self::Attest(_) | Self::Seal)
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Provision(_) => kind::PROVISION,
            Self::Reset => kind::RESET,
            Self::Load(_) => kind::LOAD,
            Self::Header(_) => kind::HEADER,
            Self::Signature { .. } => kind::SIGNATURE,
            Self::Coefficients(_) => kind::COEFFICIENTS,
            Self::Seal => kind::SEAL,
            Self::References(_) => kind::REFERENCES,
            Self::Started(_) => kind::STARTED,
            Self::Forked { .. } => kind::FORKED,
            Self::Exited(_) => kind::EXITED,
            Self::ExecSettled(..) => kind::EXEC_SETTLED,
            Self::Effect(..) => kind::EFFECT,
            Self::Lost(_) => kind::LOST,
            Self::Cached(_) => kind::CACHED,
            Self::Event(_) => kind::EVENT,
            Self::Summary => kind::SUMMARY,
            Self::Page { .. } => kind::PAGE,
            Self::Attest(_) => kind::ATTEST,
        }
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Reset | Self::Seal | Self::Summary => {}
            Self::Provision(keys) => {
                out.u8(keys.len().min(MODEL_KEYS_MAX) as u8);
                keys.iter().take(MODEL_KEYS_MAX).for_each(|key| out.octets(key));
            }
            Self::Load(load) => write_load(load, out),
            Self::Header(octets) | Self::Attest(octets) => out.octets(octets),
            Self::Signature { statement, signature } => {
                out.octets(signature);
                out.text(statement);
            }
            Self::Coefficients(coefficients) => out.octets(coefficients.as_flattened()),
            Self::References(entries) => out.octets(entries.as_flattened()),
            Self::Started(process) | Self::Exited(process) => out.u64(process.0),
            Self::Forked { parent, child } => {
                out.u64(parent.0);
                out.u64(child.0);
            }
            Self::ExecSettled(process, outcome) => {
                out.u64(process.0);
                out.u8(code(OUTCOMES, outcome));
            }
            Self::Effect(process, effect) => {
                out.u64(process.0);
                write_effect(effect, out);
            }
            Self::Lost(loss) => out.u8(code(LOSSES, loss)),
            Self::Cached(events) => out.u64(*events),
            Self::Event(event) => write_event_again(event, out),
            Self::Page { table, row, offset } => {
                out.u8(*table as u8);
                out.u32(*row);
                out.u32(*offset);
            }
        }
    }
}

/// An event that was read is written as it came.
fn write_event_again(event: &EventMessage<'_>, out: &mut Vec<u8>) {
    out.u64(event.process.0);
    out.u32(event.pid);
    out.u8(u8::from(event.claim.is_some()));
    if let Some(claim) = event.claim {
        out.octets(&claim.0);
    }
    crate::event_message::write_targets(event.targets(), out);
    out.octets(&tsem::encode_coe(&event.coe));
    out.octets(event.cell);
}

fn write_load(load: &Load, out: &mut Vec<u8>) {
    out.u8(code(MODES, &load.mode));
    out.u8(code(ON_VIOLATION, &load.on_violation));
    out.u8(code(OBSERVES, &load.observes));
    out.octets(&load.platform.base.0);
    out.octets(&load.platform.aggregate.0);
    out.u32(load.coefficients);
    out.u32(load.header);
    out.u32(load.references);
}

fn write_effect(effect: &Effect<'_>, out: &mut Vec<u8>) {
    match effect {
        Effect::Made(path) => {
            out.u8(1);
            out.text(path);
        }
        Effect::Removed(path) => {
            out.u8(2);
            out.text(path);
        }
        Effect::Renamed { from, to } => {
            out.u8(3);
            out.text(from);
            out.text(to);
        }
    }
}

impl Reply<'_> {
    /// Appends the answer; what an agent answers is within its own bound.
    pub fn write(&self, sequence: u32, bound: usize, out: &mut Vec<u8>) -> bool {
        write_message(self.kind(), sequence, bound, out, |out| {
            self.write_body(out);
            true
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Done => kind::DONE,
            Self::Failed(_) => kind::FAILED,
            Self::Sealed { .. } => kind::SEALED,
            Self::Verdict { .. } => kind::VERDICT,
            Self::Summary(_) => kind::SUMMARY_IS,
            Self::Page { .. } => kind::PAGE_IS,
            Self::Statement(_) => kind::STATEMENT,
        }
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Done => {}
            Self::Failed(failure) => out.u8(*failure as u8),
            Self::Sealed { header, state } => {
                out.octets(&header.0);
                out.octets(&state.0);
            }
            Self::Verdict { verdict, first, violation, coefficient } => {
                out.u32(*verdict as u32);
                out.u8(u8::from(*first));
                out.u8(code(REASONS, violation));
                out.octets(&coefficient.0);
            }
            Self::Summary(summary) => summary.write(out),
            Self::Page { total, parts } => {
                out.u32(*total);
                out.octets(parts);
            }
            Self::Statement(octets) => out.octets(octets),
        }
    }
}
