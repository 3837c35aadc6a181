//! The agent's end: octets in, octets out.
//!
//! Phases: empty -> loading -> judging. A session that breaks leaves the record where it is, to be
//! asked for by the same orchestrator in a new session, but no event is judged any more: processes
//! and their chains were the old session's. `Reset` begins anew.
//!
//! What is done about a packet stays a function of its own (`inline(never)`): merged into one, their
//! frames would add up to more than the stack of a small device.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use tsem::Bounds;
use tsem::Digest;
use tsem::Judgement;
use tsem::Loss;
use tsem::Measurement;
use tsem::Mode;
use tsem::References;
use tsem::Setup;
use tsem::Vouched;

use crate::AgentHello;
use crate::Deframer;
use crate::EventMessage;
use crate::FrameError;
use crate::Identity;
use crate::Locality;
use crate::ModelEngine;
use crate::Opener;
use crate::Packet;
use crate::Pins;
use crate::Sealer;
use crate::SessionError;
use crate::attestation::Claims;
use crate::attestation::VouchedFor;
use crate::bound::MESSAGE_LEAST;
use crate::bound::MESSAGE_MAX;
use crate::bound::MODEL_KEYS_MAX;
use crate::bound::PACKET_MAX;
use crate::bound::TAG;
use crate::bound::framed;
use crate::message::ENVELOPE;
use crate::message::Failure;
use crate::message::Load;
use crate::message::Message;
use crate::message::MessageError;
use crate::message::Observes;
use crate::message::Reply;
use crate::message::Request;
use crate::message::Table;
use crate::message::messages;
use crate::model_header::HeaderReader;
use crate::model_header::ModelHeader;
use crate::model_signature;
use crate::model_signature::Computed;
use crate::session::Noise;
use crate::session::frame_refusal;

/// Pins could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept;

/// What differs from place to place.
pub trait Host {
    /// The engine that judges.
    type Engine: ModelEngine;

    /// Where this is.
    fn locality(&self) -> Locality;

    /// Program and version, as in `quixote-tma 0.1.0`; at most 64 octets are told.
    fn version(&self) -> &str;

    /// Fresh randomness for one session; `None` if there is none now, and then there is no session.
    fn random(&mut self) -> Option<[u8; 32]>;

    /// How much the engine keeps.
    fn bounds(&self) -> Bounds;

    /// The longest message that fits this agent's memory; [`MESSAGE_LEAST`] to [`MESSAGE_MAX`].
    fn message_max(&self) -> usize {
        MESSAGE_MAX
    }

    /// A new engine with an empty model.
    fn engine(&mut self, setup: Setup) -> Self::Engine;

    /// Decides on one event, looks up one page or signs one statement: a place that gives each of
    /// these memory of its own does so around `decide`. What it returns holds none of that memory,
    /// and what outlives it is written where there is room already.
    fn deciding<T>(&mut self, decide: impl FnOnce() -> T) -> T {
        decide()
    }

    /// Keeps whom to trust, for good.
    ///
    /// # Errors
    ///
    /// They cannot be kept; the agent stays as it was.
    fn keep(&mut self, pins: &Pins) -> Result<(), NotKept>;

    /// An event was outside the model: for a lamp, a pin, a bell. Must not block.
    fn violated(&mut self, _judgement: &Judgement) {}
}

/// An agent.
pub struct AgentEndpoint<H: Host> {
    deframer: Deframer,
    agent: Agent<H>,
}

impl<H: Host> AgentEndpoint<H> {
    /// An agent without a model.
    pub fn new(identity: Identity, pins: Pins, host: H) -> Self {
        let message_max = host.message_max().clamp(MESSAGE_LEAST, MESSAGE_MAX);
        let agent = Agent {
            identity,
            pins,
            host,
            message_max,
            handshake: None,
            session: None,
            phase: Phase::Empty,
            opened: Vec::with_capacity(message_max + TAG),
        };
        Self { deframer: Deframer::new(1 + message_max + TAG), agent }
    }

    /// Takes octets from the wire and appends to `out` what is to be sent. What is appended is at
    /// most [`AgentEndpoint::output_max`] and twice the octets taken.
    pub fn receive(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while !octets.is_empty() {
            let (taken, packet) = self.deframer.take(octets);
            octets = &octets[taken..];
            if let Some(packet) = packet {
                self.agent.packet(packet, out);
            }
        }
    }

    /// The most octets that one packet makes an agent send.
    pub fn output_max(&self) -> usize {
        2 * framed(PACKET_MAX.min(1 + self.agent.message_max + TAG))
    }

    /// Whom it trusts.
    pub fn pins(&self) -> &Pins {
        &self.agent.pins
    }

    /// What differs from place to place.
    pub fn host(&self) -> &H {
        &self.agent.host
    }

    /// The engine, once a model is in force.
    pub fn engine(&self) -> Option<&H::Engine> {
        match &self.agent.phase {
            Phase::Judging(judging) => Some(&judging.engine),
            _ => None,
        }
    }

    /// The wire was cut: the session is over. Call this where the transport tells.
    pub fn disconnected(&mut self) {
        self.deframer.reset();
        self.agent.end();
    }
}

struct Agent<H: Host> {
    identity: Identity,
    pins: Pins,
    host: H,
    message_max: usize,
    handshake: Option<Noise>,
    session: Option<Session>,
    phase: Phase<H::Engine>,
    opened: Vec<u8>,
}

struct Session {
    sealer: Sealer,
    opener: Opener,
    orchestrator: [u8; 32],
    /// The number of the next request.
    next: u32,
    replies: Vec<u8>,
}

enum Phase<E> {
    Empty,
    Loading(Box<Loading<E>>),
    Judging(Box<Judging<E>>),
}

struct Loading<E> {
    load: Load,
    header: HeaderReader,
    references: References,
    /// Content and path of the last of them.
    last_vouched: Option<(Digest, Digest)>,
    vouched: Option<VouchedFor>,
    read: Option<(ModelHeader, E)>,
    state: Option<Measurement>,
    last: Option<Digest>,
    count: u32,
    /// Statements and signatures; any that holds is enough.
    signed: Vec<(Vec<u8>, [u8; 64])>,
    /// The first thing that was wrong; told when the model is sealed.
    fault: Option<Failure>,
}

struct Judging<E> {
    engine: E,
    load: Load,
    header: Digest,
    model_state: Digest,
    signer: Option<[u8; 32]>,
    vouched: Option<VouchedFor>,
    cached: u64,
    /// The session that brought the model holds.
    live: bool,
}

/// Why a session is over. Not told to the other end in detail.
enum Fatal {
    Session,
    Message,
}

impl From<SessionError> for Fatal {
    fn from(_: SessionError) -> Self {
        Self::Session
    }
}

impl From<MessageError> for Fatal {
    fn from(_: MessageError) -> Self {
        Self::Message
    }
}

impl<H: Host> Agent<H> {
    fn packet(&mut self, packet: Result<&[u8], FrameError>, out: &mut Vec<u8>) {
        let packet = packet.map_err(|_| SessionError::Broken).and_then(Packet::read);
        let done = match packet {
            Ok(Packet::First(message)) => self.first(message, out),
            Ok(Packet::Third(message)) => self.third(message),
            Ok(Packet::Sealed(sealed)) => self.sealed(sealed, out),
            Ok(Packet::Second(_) | Packet::Refused) | Err(_) => Err(Fatal::Session),
        };
        // Noise on a wire that nobody has a session on is not answered.
        let noise = self.session.is_none() && matches!(packet, Err(SessionError::Broken));
        if done.is_err() && !noise {
            self.end();
            frame_refusal(out);
        }
    }

    fn end(&mut self) {
        self.session = None;
        self.handshake = None;
        match &mut self.phase {
            Phase::Judging(judging) => judging.live = false,
            phase => *phase = Phase::Empty,
        }
    }

    /// Whoever comes may begin a handshake; the session that is there holds until the new one is
    /// proven to be the orchestrator's.
    #[inline(never)]
    fn first(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), Fatal> {
        let random = self.host.random().ok_or(SessionError::Handshake)?;
        let mut noise = Noise::new(&self.identity, random, false)?;
        noise.read(message)?;
        let mut hello = Vec::new();
        self.hello().write(&mut hello);
        noise.write(&hello, out)?;
        self.handshake = Some(noise);
        Ok(())
    }

    fn hello(&self) -> AgentHello {
        AgentHello {
            locality: self.host.locality(),
            provisioned: self.pins.orchestrator.is_some(),
            message_max: self.message_max,
            bounds: self.host.bounds(),
            signing: self.identity.public().signing,
            version: self.host.version().to_string(),
        }
    }

    #[inline(never)]
    fn third(&mut self, message: &[u8]) -> Result<(), Fatal> {
        let mut noise = self.handshake.take().ok_or(SessionError::Unexpected)?;
        noise.read(message)?;
        let orchestrator = noise.remote().ok_or(SessionError::Handshake)?;
        if self.pins.orchestrator.is_some_and(|pinned| pinned != orchestrator) {
            return Err(Fatal::Session);
        }
        let (sealer, opener) = noise.finish()?;
        self.end();
        let sealer = sealer.with_room(self.message_max);
        let replies = Vec::with_capacity(self.message_max);
        self.session = Some(Session { sealer, opener, orchestrator, next: 1, replies });
        Ok(())
    }

    fn sealed(&mut self, sealed: &[u8], out: &mut Vec<u8>) -> Result<(), Fatal> {
        let mut opened = core::mem::take(&mut self.opened);
        let session = self.session.as_mut().ok_or(SessionError::Unexpected)?;
        session.opener.open(sealed, &mut opened)?;
        let mut handled = Ok(());
        for message in messages(&opened) {
            handled = message.map_err(Fatal::from).and_then(|message| {
                let alone = message.octets().len() == opened.len();
                self.message(&message, alone, out)
            });
            if handled.is_err() {
                break;
            }
        }
        self.opened = opened;
        handled?;
        let session = self.session.as_mut().ok_or(SessionError::Unexpected)?;
        session.flush(out)
    }

    fn message(
        &mut self,
        message: &Message<'_>,
        alone: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Fatal> {
        let session = self.session.as_mut().ok_or(SessionError::Unexpected)?;
        if message.sequence != session.next {
            return Err(Fatal::Message);
        }
        session.next = session.next.checked_add(1).ok_or(SessionError::Exhausted)?;
        let request = message.request()?;
        // What has a long answer comes alone, so that a short packet cannot ask for megabytes.
        if request.has_long_answer() && !alone {
            return Err(Fatal::Message);
        }
        let answer = self.answer(&request, message.sequence)?;
        if let Some(answer) = answer {
            let session = self.session.as_mut().ok_or(SessionError::Unexpected)?;
            session.reply(&answer, message.sequence, self.message_max, out)?;
        }
        Ok(())
    }

    /// Does what is asked; `None` where nothing is answered, or where it has been already.
    fn answer(
        &mut self,
        request: &Request<'_>,
        sequence: u32,
    ) -> Result<Option<Reply<'static>>, Fatal> {
        if self.pins.orchestrator.is_none() {
            return Ok(match request {
                Request::Provision(keys) => Some(done(self.provision(keys))),
                request if request.is_answered() => Some(Reply::Failed(Failure::NotProvisioned)),
                _ => None,
            });
        }
        match request {
            Request::Provision(_) => Ok(Some(Reply::Failed(Failure::AlreadyProvisioned))),
            Request::Reset => {
                self.phase = Phase::Empty;
                Ok(Some(Reply::Done))
            }
            Request::Load(load) => Ok(Some(done(self.load(*load)))),
            Request::Seal => Ok(Some(self.seal().unwrap_or_else(Reply::Failed))),
            Request::References(_)
            | Request::Header(_)
            | Request::Signature { .. }
            | Request::Coefficients(_) => {
                self.part(request)?;
                Ok(None)
            }
            Request::Summary => Ok(Some(self.summary().unwrap_or_else(Reply::Failed))),
            Request::Page { table, row, offset } => self.page(*table, *row, *offset, sequence),
            Request::Attest(nonce) => self.attest(nonce, sequence),
            Request::Event(event) => self.event(event).map(Some),
            _ => {
                self.note(request)?;
                Ok(None)
            }
        }
    }

    #[inline(never)]
    fn provision(&mut self, keys: &[[u8; 32]]) -> Result<(), Failure> {
        let session = self.session.as_ref().ok_or(Failure::NotPinned)?;
        let pins = Pins { orchestrator: Some(session.orchestrator), model_keys: keys.to_vec() };
        self.host.keep(&pins).map_err(|NotKept| Failure::NotKept)?;
        self.pins = pins;
        Ok(())
    }

    #[inline(never)]
    fn load(&mut self, load: Load) -> Result<(), Failure> {
        if !matches!(self.phase, Phase::Empty) {
            return Err(Failure::Phase);
        }
        let bounds = self.host.bounds();
        let (coefficients, references) = (load.coefficients as usize, load.references as usize);
        if coefficients > bounds.coefficients || references > bounds.references {
            return Err(Failure::TooMuch);
        }
        self.phase = Phase::Loading(Box::new(Loading {
            load,
            header: HeaderReader::new(),
            references: References::with_bound(references),
            last_vouched: None,
            vouched: None,
            read: None,
            state: None,
            last: None,
            count: 0,
            signed: Vec::new(),
            fault: None,
        }));
        Ok(())
    }

    /// A part of a model. A part that comes out of place ends the session; one that is wrong is
    /// told when the model is sealed.
    #[inline(never)]
    fn part(&mut self, request: &Request<'_>) -> Result<(), Fatal> {
        let Phase::Loading(loading) = &mut self.phase else {
            return Err(Fatal::Message);
        };
        if loading.fault.is_some() {
            return Ok(());
        }
        let taken = match request {
            Request::References(entries) => loading.references(entries),
            Request::Header(part) => loading.header_part(part, &mut self.host),
            Request::Signature { statement, signature } => loading.signature(statement, *signature),
            Request::Coefficients(coefficients) => loading.coefficients(coefficients),
            _ => Err(Failure::Phase),
        };
        loading.fault = taken.err();
        Ok(())
    }

    #[inline(never)]
    fn seal(&mut self) -> Result<Reply<'static>, Failure> {
        let Phase::Loading(loading) = core::mem::replace(&mut self.phase, Phase::Empty) else {
            return Err(Failure::Phase);
        };
        let computed = loading.computed()?;
        let keys = &self.pins.model_keys;
        let signer = self.host.deciding(|| loading.signer(keys, computed))?;
        let judging = loading.finish(computed, signer)?;
        let (header, state) = (judging.header, judging.model_state);
        self.phase = Phase::Judging(judging);
        Ok(Reply::Sealed { header, state })
    }

    fn judging(&mut self) -> Result<&mut Judging<H::Engine>, Failure> {
        match &mut self.phase {
            Phase::Judging(judging) => Ok(judging),
            _ => Err(Failure::Phase),
        }
    }

    #[inline(never)]
    fn event(&mut self, event: &EventMessage<'_>) -> Result<Reply<'static>, Fatal> {
        let Phase::Judging(judging) = &mut self.phase else {
            return Ok(Reply::Failed(Failure::Phase));
        };
        if !judging.live {
            return Ok(Reply::Failed(Failure::Phase));
        }
        let own = judging.engine.identity(event.process).map(|identity| identity.task);
        if event.claim.is_some() && event.claim != own {
            judging.engine.lost(Loss::Unreadable);
            return Ok(Reply::Failed(Failure::Identity));
        }
        let judged = self.host.deciding(|| judging.engine.judge(event));
        let judged = judged.map_err(|_| Fatal::Message)?;
        if judged.violation.is_some() {
            self.host.violated(&judged);
        }
        let Judgement { verdict, coefficient, violation, first } = judged;
        Ok(Reply::Verdict { verdict, first, violation, coefficient })
    }

    /// What is told and not answered. Where there is nothing to tell it to, the session is over.
    #[inline(never)]
    fn note(&mut self, request: &Request<'_>) -> Result<(), Fatal> {
        let Phase::Judging(judging) = &mut self.phase else {
            return Err(Fatal::Message);
        };
        let Judging { engine, live: true, cached, load, .. } = judging.as_mut() else {
            return Err(Fatal::Message);
        };
        self.host.deciding(|| {
            match request {
                Request::Started(process) => engine.started(*process),
                Request::Forked { parent, child } => engine.forked(*parent, *child),
                Request::Exited(process) => engine.exited(*process),
                Request::ExecSettled(process, outcome) => engine.exec_settled(*process, *outcome),
                Request::Effect(process, effect) => engine.effect(*process, effect),
                Request::Lost(loss) => engine.lost(*loss),
                Request::Cached(events) if load.observes == Observes::Uncached => {
                    *cached = cached.saturating_add(*events);
                }
                _ => return Err(Fatal::Message),
            }
            Ok(())
        })
    }

    fn summary(&mut self) -> Result<Reply<'static>, Failure> {
        Ok(Reply::Summary(self.judging()?.engine.summary()))
    }

    /// Pages are written straight into the session's buffer, which is empty and which they fill.
    #[inline(never)]
    fn page(
        &mut self,
        table: Table,
        row: u32,
        offset: u32,
        sequence: u32,
    ) -> Result<Option<Reply<'static>>, Fatal> {
        let Self { host, phase, session, message_max, .. } = self;
        let Phase::Judging(judging) = phase else {
            return Ok(Some(Reply::Failed(Failure::Phase)));
        };
        let session = session.as_mut().ok_or(SessionError::Unexpected)?;
        let room = *message_max - ENVELOPE - 4;
        let written = host.deciding(|| {
            let mut parts = Vec::with_capacity(room);
            let total = judging.engine.page(table, row, offset, room, &mut parts)?;
            let page = Reply::Page { total, parts: &parts };
            Some(page.write(sequence, *message_max, &mut session.replies))
        });
        Ok(unless_written(written.ok_or(Failure::Row)))
    }

    #[inline(never)]
    fn attest(&mut self, nonce: &[u8], sequence: u32) -> Result<Option<Reply<'static>>, Fatal> {
        let Phase::Judging(judging) = &self.phase else {
            return Ok(Some(Reply::Failed(Failure::Phase)));
        };
        let claims = self.claims(judging, nonce);
        let Self { host, identity, session, message_max, .. } = self;
        let session = session.as_mut().ok_or(SessionError::Unexpected)?;
        let written = host.deciding(|| {
            let statement = claims.sign(identity).map_err(|_| Failure::TooMuch)?;
            Ok(Reply::Statement(&statement).write(sequence, *message_max, &mut session.replies))
        });
        Ok(unless_written(written))
    }

    fn claims(&self, judging: &Judging<H::Engine>, nonce: &[u8]) -> Claims {
        let summary = judging.engine.summary();
        let cached = (judging.load.observes == Observes::Uncached).then_some(judging.cached);
        Claims {
            nonce: nonce.to_vec(),
            agent: Digest::of(&[&self.identity.public().signing]),
            version: self.host.version().to_string(),
            locality: self.host.locality().name().to_string(),
            mode: mode_name(judging.load.mode).to_string(),
            header: judging.header,
            model_state: judging.model_state,
            state: summary.state,
            measurement: summary.measurement,
            base: judging.load.platform.base,
            aggregate: judging.load.platform.aggregate,
            counts: summary.counts,
            coefficients: summary.good,
            cached,
            references: judging.vouched,
            signer: judging.signer,
            in_session: judging.live,
        }
    }
}

/// What is left to be answered when an answer was, or was not, put into the session's buffer.
fn unless_written(written: Result<bool, Failure>) -> Option<Reply<'static>> {
    match written {
        Ok(true) => None,
        Ok(false) => Some(Reply::Failed(Failure::TooMuch)),
        Err(failure) => Some(Reply::Failed(failure)),
    }
}

fn done(result: Result<(), Failure>) -> Reply<'static> {
    result.map_or_else(Reply::Failed, |()| Reply::Done)
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Free => "free",
        Mode::Sealed => "sealed",
        Mode::Enforcing => "enforcing",
    }
}

impl Session {
    fn reply(
        &mut self,
        reply: &Reply<'_>,
        sequence: u32,
        message_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fatal> {
        let room = message_max - self.replies.len();
        if reply.write(sequence, room, &mut self.replies) {
            return Ok(());
        }
        self.flush(out)?;
        let written = reply.write(sequence, message_max, &mut self.replies);
        if written { Ok(()) } else { Err(Fatal::Message) }
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Fatal> {
        if !self.replies.is_empty() {
            self.sealer.seal(&self.replies, out)?;
            self.replies.clear();
        }
        Ok(())
    }
}

impl<E: ModelEngine> Loading<E> {
    fn references(&mut self, entries: &[[u8; Vouched::SIZE]]) -> Result<(), Failure> {
        for entry in entries {
            let vouched = Vouched::from_octets(entry);
            let place = (vouched.content, vouched.path);
            if self.read.is_some() || self.last_vouched.is_some_and(|last| last >= place) {
                return Err(Failure::References);
            }
            self.references.insert(vouched).map_err(|_| Failure::References)?;
            self.last_vouched = Some(place);
        }
        Ok(())
    }

    fn header_part(
        &mut self,
        part: &[u8],
        host: &mut impl Host<Engine = E>,
    ) -> Result<(), Failure> {
        self.header.take(part).map_err(|_| Failure::Header)?;
        let length = self.load.header as usize;
        if self.header.length() < length {
            return Ok(());
        }
        let header = core::mem::replace(&mut self.header, HeaderReader::new());
        if header.length() > length || self.read.is_some() {
            return Err(Failure::Header);
        }
        let header = header.finish().map_err(|_| Failure::Header)?;
        let Load { mode, on_violation, platform, .. } = self.load;
        let rules = header.rules.clone();
        let references = core::mem::take(&mut self.references);
        if references.len() != self.load.references as usize {
            return Err(Failure::References);
        }
        self.vouched = VouchedFor::of(&references);
        let bounds = host.bounds();
        let setup = Setup { mode, on_violation, rules, references, platform, bounds };
        self.state = Some(Measurement::new(&header.platform));
        self.read = Some((header, host.engine(setup)));
        Ok(())
    }

    fn signature(&mut self, statement: &[u8], signature: [u8; 64]) -> Result<(), Failure> {
        if self.signed.len() >= MODEL_KEYS_MAX {
            return Err(Failure::TooMuch);
        }
        self.signed.push((statement.to_vec(), signature));
        Ok(())
    }

    /// The state of ascending coefficients is their measurement, so it needs no list.
    fn coefficients(&mut self, coefficients: &[[u8; 32]]) -> Result<(), Failure> {
        let (Some((_, engine)), Some(state)) = (&mut self.read, &mut self.state) else {
            return Err(Failure::Header);
        };
        for coefficient in coefficients {
            let coefficient = Digest(*coefficient);
            if self.last.is_some_and(|last| last >= coefficient)
                || self.count == self.load.coefficients
            {
                return Err(Failure::Coefficients);
            }
            if !engine.load(coefficient) {
                return Err(Failure::TooMuch);
            }
            state.extend(coefficient);
            self.last = Some(coefficient);
            self.count += 1;
        }
        Ok(())
    }

    /// What the whole model came to; nothing of it is in force before all of it has been checked.
    fn computed(&self) -> Result<Computed, Failure> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let ((header, _), state) = self.read.as_ref().zip(self.state).ok_or(Failure::Header)?;
        if self.count != self.load.coefficients {
            return Err(Failure::Coefficients);
        }
        Ok(Computed { header: header.digest, state: state.value(), coefficients: self.count })
    }

    /// Which pinned key signed this very model; `None` where none has to.
    #[inline(never)]
    fn signer(&self, keys: &[[u8; 32]], computed: Computed) -> Result<Option<[u8; 32]>, Failure> {
        if self.load.mode == Mode::Free || keys.is_empty() {
            return Ok(None);
        }
        let mut found = Err(Failure::Unsigned);
        for (statement, signature) in &self.signed {
            found = model_signature::check(statement, signature, keys, computed);
            if found.is_ok() {
                break;
            }
        }
        found.map(Some)
    }

    #[inline(never)]
    fn finish(
        self: Box<Self>,
        computed: Computed,
        signer: Option<[u8; 32]>,
    ) -> Result<Box<Judging<E>>, Failure> {
        // What was needed to load is given back before what is needed to judge is taken.
        let Self { read, load, vouched, .. } = {
            let boxed = self;
            *boxed
        };
        let (_, engine) = read.ok_or(Failure::Header)?;
        Ok(Box::new(Judging {
            engine,
            load,
            header: computed.header,
            model_state: computed.state,
            signer,
            vouched,
            cached: 0,
            live: true,
        }))
    }
}

#[cfg(test)]
mod tests;
