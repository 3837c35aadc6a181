//! An agent at the other end of a byte stream.
//!
//! The agent is believed only as far as its session holds: an answer that does not come in time,
//! that is not to what was asked, or that is none, ends the session, and from then on every event
//! is denied, in every mode. Nothing is ever asked again of an agent that was once not to be
//! believed.

mod link;
mod shadow;
mod verdict_cache;
mod witness;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tma_protocol::AgentHello;
use tma_protocol::Failure;
use tma_protocol::Load;
use tma_protocol::MessageError;
use tma_protocol::Observes;
use tma_protocol::Opener;
use tma_protocol::PublicIdentity;
use tma_protocol::Reply;
use tma_protocol::Request;
use tma_protocol::Sealer;
use tma_protocol::Summary;
use tma_protocol::Table;
use tma_protocol::bound::STATEMENT_MAX;
use tma_protocol::record;
use tma_protocol::record::Rows;
use tsem::Agent;
use tsem::Counts;
use tsem::Description;
use tsem::Digest;
use tsem::Effect;
use tsem::ExecOutcome;
use tsem::Forensic;
use tsem::Loss;
use tsem::Mode;
use tsem::Observation;
use tsem::ObservedEvent;
use tsem::ObservedTask;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ProcessId;
use tsem::References;
use tsem::Rules;
use tsem::TaskIdentity;
use tsem::Verdict;
use tsem::Vouched;

use crate::agent::AgentError;
use crate::agent::Attested;
use crate::agent::NamespaceAgent;
use crate::agent::Observer;
use crate::agent::Snapshot;
use crate::wire::Wire;
use link::Answer;
use link::Link;
use link::NotAsked;
use shadow::Shadow;
use verdict_cache::Ticket;
use verdict_cache::VerdictCache;
use witness::Witness;

/// Coefficients in one message; the shortest message that an agent may insist on holds them.
const COEFFICIENTS_AT_ONCE: usize = 28;
/// References in one message, likewise.
const REFERENCES_AT_ONCE: usize = 9;
/// Octets of header in one message.
const HEADER_AT_ONCE: usize = 900;
/// Asking again for a record that changed while it was read.
const READINGS_MAX: usize = 8;

/// What an agent is to enforce.
#[derive(Clone, Copy, Debug)]
pub struct Orders<'a> {
    /// What an event outside the model means.
    pub mode: Mode,
    /// What a violation does besides.
    pub on_violation: OnViolation,
    /// Nonce and platform aggregate.
    pub platform: Platform,
    /// The model's rules, to name identities as the agent does.
    pub rules: &'a Rules,
    /// What packages vouch for here, verified by us.
    pub references: &'a References,
    /// The canonical text of the model's header.
    pub header: &'a str,
    /// Good coefficients, sorted.
    pub coefficients: &'a [Digest],
    /// The signed statement about the model, and the Ed25519 signatures on it.
    pub signed: Option<&'a (Vec<u8>, Vec<[u8; 64]>)>,
    /// What the agent has once found in the model need not be sent again. Never while learning.
    pub cache: bool,
    /// Whether the source has to know before some events whether they would be allowed.
    pub foretells: bool,
}

impl Orders<'_> {
    fn caches(&self) -> bool {
        self.cache && self.mode != Mode::Free
    }
}

/// A session that nothing has been asked in yet.
pub struct Session {
    /// The byte stream.
    pub wire: Wire,
    /// The sending half.
    pub sealer: Sealer,
    /// The receiving half.
    pub opener: Opener,
    /// What the agent says of itself.
    pub hello: AgentHello,
    /// Who it has proven to be.
    pub identity: PublicIdentity,
    /// How long an answer may take.
    pub patience: Duration,
}

/// The agent.
pub struct RemoteAgent {
    link: Link,
    key: [u8; 32],
    mode: Mode,
    on_violation: OnViolation,
    rules: Rules,
    references: References,
    observer: Arc<dyn Observer>,
    /// What was fetched and never changes.
    mirror: Mutex<Mirror>,
    shadow: Option<Shadow>,
    /// Whether the shadow describes what an agent with little memory does not.
    describes: bool,
    witness: Witness,
    cache: Option<VerdictCache>,
    unasked: AtomicU64,
}

#[derive(Default)]
struct Mirror {
    tasks: Vec<ObservedTask>,
    identities: Vec<TaskIdentity>,
    forensics: usize,
}

impl RemoteAgent {
    /// Gives an agent its orders.
    ///
    /// # Errors
    ///
    /// It refuses them, or computes another model from them than they are.
    pub fn new(
        session: Session,
        orders: &Orders<'_>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, AgentError> {
        let Session { wire, sealer, opener, hello, identity, patience } = session;
        if orders.coefficients.len() > hello.bounds.coefficients {
            return Err(AgentError::TooLarge(hello.bounds.coefficients));
        }
        if orders.references.len() > hello.bounds.references {
            return Err(AgentError::TooManyReferences {
                files: orders.references.len(),
                room: hello.bounds.references,
            });
        }
        let link = Link::new(wire, (sealer, opener), hello.message_max, patience);
        load(&link, orders)?;
        let describes = hello.bounds.forensics == 0;
        Ok(Self {
            shadow: (describes || orders.foretells).then(|| Shadow::new(orders)),
            describes,
            witness: Witness::new(orders),
            cache: orders.caches().then(|| VerdictCache::new(orders.rules.clone())),
            link,
            key: identity.signing,
            mode: orders.mode,
            on_violation: orders.on_violation,
            rules: orders.rules.clone(),
            references: orders.references.clone(),
            observer,
            mirror: Mutex::default(),
            unasked: AtomicU64::new(0),
        })
    }

    fn tell(&self, request: &Request<'_>) {
        self.tell_and(request, || {});
    }

    fn tell_and(&self, request: &Request<'_>, then: impl FnOnce()) {
        match self.link.tell(request, then) {
            Ok(true) => {}
            Ok(false) => self.too_long(),
            Err(error) => self.end(error),
        }
    }

    /// What does not fit the agent's messages is a loss, counted where the record is.
    fn too_long(&self) {
        tracing::warn!(target: "audit", "an event is lost: it does not fit the agent's messages");
        self.observer.lost(Loss::TooLarge);
        if let Err(error) = self.link.tell(&Request::Lost(Loss::TooLarge), || {}) {
            self.end(error);
        }
    }

    fn end(&self, error: AgentError) {
        if self.link.end(error.clone()) {
            self.observer.agent_lost(&error);
        }
    }

    fn fail_closed(&self) -> Verdict {
        self.unasked.fetch_add(1, Ordering::Relaxed);
        match self.on_violation {
            OnViolation::Kill => Verdict::Kill,
            OnViolation::Deny | OnViolation::Untrust => Verdict::Deny,
        }
    }

    /// What an earlier answer of the agent says of an event, where that may be relied on.
    fn known(&self, event: &Description) -> Result<Verdict, Option<Ticket>> {
        let Some(cache) = &self.cache else { return Err(None) };
        let ticket = cache.ticket(event, self.witness.identity(event.process));
        if self.link.fault().is_some() || !cache.is_known(ticket) {
            return Err(Some(ticket));
        }
        self.observer.judged(event, false);
        Ok(Verdict::Allow)
    }

    fn verdict(&self, event: &Description) -> Result<Verdict, AgentError> {
        let ticket = match self.known(event) {
            Ok(verdict) => return Ok(verdict),
            Err(ticket) => ticket,
        };
        self.tell_cached();
        let claim = || self.witness.identity(event.process).map(|identity| identity.task);
        let answer = match self.link.ask_event(event, claim) {
            Ok(answer) => answer,
            Err(NotAsked::Fault(error)) => return Err(error),
            Err(NotAsked::TooLong) => {
                self.too_long();
                let enforcing = self.mode == Mode::Enforcing;
                return Ok(if enforcing { Verdict::Deny } else { Verdict::Allow });
            }
        };
        self.answered(event, ticket, &answer.reply()?)
    }

    fn answered(
        &self,
        event: &Description,
        ticket: Option<Ticket>,
        reply: &Reply<'_>,
    ) -> Result<Verdict, AgentError> {
        let keep = |verdict, inside| {
            if let Some((cache, ticket)) = self.cache.as_ref().zip(ticket) {
                cache.answered(ticket, verdict, inside);
            }
        };
        let what = event.cell.kind.name();
        match *reply {
            Reply::Verdict { verdict, first, violation, coefficient } => {
                // What could not be judged has no coefficient.
                let judged = coefficient != Digest::ZERO;
                if !judged {
                    tracing::warn!(target: "audit", what, "an event is lost to the agent");
                }
                keep(verdict, violation.is_none() && judged);
                if verdict == Verdict::Allow {
                    self.witness.allowed(event);
                }
                self.shadow(|shadow| shadow.judged(event));
                self.observer.judged(event, first);
                if first && violation.is_some() {
                    self.tell_violation(coefficient)?;
                }
                Ok(verdict)
            }
            Reply::Failed(Failure::Identity) => {
                keep(Verdict::Deny, false);
                tracing::warn!(target: "audit", what, "an event is lost: another identity than the agent's");
                self.observer.lost(Loss::Unreadable);
                Ok(Verdict::Deny)
            }
            Reply::Failed(failure) => Err(AgentError::Refused(failure)),
            _ => Err(AgentError::Unasked),
        }
    }

    /// Tells the agent how many events it was not shown.
    fn tell_cached(&self) {
        let untold = self.cache.as_ref().map_or(0, VerdictCache::take_untold);
        if untold > 0 {
            self.tell(&Request::Cached(untold));
        }
    }

    fn shadow(&self, note: impl FnOnce(&Shadow)) {
        self.shadow.as_ref().map(note).unwrap_or_default();
    }

    fn describing(&self) -> Option<&Shadow> {
        self.shadow.as_ref().filter(|_| self.describes)
    }

    fn tell_violation(&self, coefficient: Digest) -> Result<(), AgentError> {
        let Some(shadow) = self.describing() else {
            return self.tell_violations();
        };
        if let Some((forensic, chain, acting)) = shadow.violation(coefficient) {
            self.observer.violation(&forensic, &chain, acting);
        }
        Ok(())
    }

    /// Tells the observer of every violation that it has not been told of.
    fn tell_violations(&self) -> Result<(), AgentError> {
        let mut mirror = self.mirror();
        let from = mirror.forensics;
        let forensics = self.fetch_forensics(from)?;
        self.fetch_tasks(&mut mirror)?;
        mirror.forensics += forensics.len();
        let observation = Observation { tasks: mirror.tasks.clone(), events: Vec::new() };
        for forensic in &forensics {
            let row = forensic.event.task.0 as usize;
            let acting = mirror.identities.get(row).ok_or(AgentError::Record)?;
            let chain = crate::chain::names(&observation, forensic.event.task);
            self.observer.violation(forensic, &chain, *acting);
        }
        Ok(())
    }

    fn mirror(&self) -> MutexGuard<'_, Mirror> {
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn summary(&self) -> Result<Summary, AgentError> {
        let answer = self.link.ask(&Request::Summary)?;
        match answer.reply()? {
            Reply::Summary(summary) => Ok(summary),
            other => Err(unexpected(&other)),
        }
    }

    /// The record, read between two summaries that say the same, or as near as can be had.
    fn read_record(&self) -> Result<Snapshot, AgentError> {
        let mut before = self.summary()?;
        for _ in 0..READINGS_MAX {
            let snapshot = self.read_once(&before)?;
            let after = self.summary()?;
            if after.state == before.state && after.good == before.good {
                return Ok(snapshot);
            }
            before = after;
        }
        self.read_once(&before)
    }

    fn read_once(&self, summary: &Summary) -> Result<Snapshot, AgentError> {
        let link = &self.link;
        let mut coefficients: Vec<Digest> =
            fetch(link, Table::Coefficients, 0, record::read_coefficient)?;
        coefficients.sort_unstable();
        coefficients.dedup();
        if let Some(shadow) = self.describing() {
            let (observation, forensics, forensics_dropped) = shadow.record();
            let Summary { state, measurement, counts, .. } = *summary;
            return Ok(Snapshot {
                state,
                measurement,
                counts: Counts { forensics_dropped, ..counts },
                observation,
                forensics,
                coefficients,
                cached: self.cached(),
            });
        }
        let mut events: Vec<ObservedEvent> = fetch(link, Table::Events, 0, record::read_event)?;
        for event in &mut events {
            self.references.refer(&mut event.observed.cell);
        }
        let forensics = self.fetch_forensics(0)?;
        let mut mirror = self.mirror();
        self.fetch_tasks(&mut mirror)?;
        let tasks = mirror.tasks.clone();
        let fits = |event: &ObservedEvent| event_fits(event, tasks.len());
        if !events.iter().all(fits) || !forensics.iter().all(|forensic| fits(&forensic.event)) {
            return Err(AgentError::Record);
        }
        Ok(Snapshot {
            state: summary.state,
            measurement: summary.measurement,
            counts: summary.counts,
            observation: Observation { tasks, events },
            forensics,
            coefficients,
            cached: self.cached(),
        })
    }

    /// Forensics from a row on, with what the references make of their files.
    fn fetch_forensics(&self, from: usize) -> Result<Vec<Forensic>, AgentError> {
        let mut forensics: Vec<Forensic> =
            fetch(&self.link, Table::Forensics, from, record::read_forensic)?;
        for forensic in &mut forensics {
            self.references.refer(&mut forensic.event.observed.cell);
        }
        Ok(forensics)
    }

    /// Takes over the tasks that have come to be; each refers to earlier ones only.
    fn fetch_tasks(&self, mirror: &mut Mirror) -> Result<(), AgentError> {
        let from = mirror.tasks.len();
        let more: Vec<ObservedTask> = fetch(&self.link, Table::Tasks, from, record::read_task)?;
        for mut task in more {
            let row = mirror.tasks.len();
            let exec_fits = task.exec.as_ref().is_none_or(|exec| cell_fits(exec, row));
            if (task.parent.0 as usize >= row && row > 0) || !exec_fits {
                return Err(AgentError::Record);
            }
            if let Some(exec) = &mut task.exec {
                self.references.refer(&mut exec.cell);
            }
            mirror.tasks.push(task);
        }
        if mirror.identities.len() < mirror.tasks.len() {
            let tasks = Observation { tasks: mirror.tasks.clone(), events: Vec::new() };
            let identities = tasks.identities(&self.rules);
            mirror.identities = identities.map_err(|_| AgentError::Record)?;
        }
        Ok(())
    }

    fn cached(&self) -> u64 {
        self.cache.as_ref().map_or(0, VerdictCache::hits)
    }
}

fn event_fits(event: &ObservedEvent, tasks: usize) -> bool {
    (event.task.0 as usize) < tasks && cell_fits(&event.observed, tasks)
}

fn cell_fits(cell: &tsem::ObservedCell, tasks: usize) -> bool {
    let makers = cell.makers.iter().flatten().map(|(_, task)| task);
    makers.chain(&cell.targets).all(|task| (task.0 as usize) < tasks)
}

/// Every row of a table from `row` on.
fn fetch<T>(
    link: &Link,
    table: Table,
    row: usize,
    read: impl Fn(&[u8]) -> Result<T, MessageError>,
) -> Result<Vec<T>, AgentError> {
    let mut rows = Rows::from(row as u32);
    let mut found = Vec::new();
    loop {
        let (row, offset) = rows.next();
        let answer = link.ask(&Request::Page { table, row, offset })?;
        let (total, parts) = match answer.reply()? {
            Reply::Page { total, parts } => (total, parts),
            other => return Err(unexpected(&other)),
        };
        rows.take(total, parts, |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        if rows.next().0 >= total {
            return Ok(found);
        }
    }
}

fn unexpected(reply: &Reply<'_>) -> AgentError {
    match reply {
        Reply::Failed(failure) => AgentError::Refused(*failure),
        _ => AgentError::Unasked,
    }
}

fn done(answer: &Answer) -> Result<(), AgentError> {
    match answer.reply()? {
        Reply::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// Makes an agent trust this orchestrator, and these model keys, for good.
///
/// # Errors
///
/// It has an orchestrator already, or cannot keep another.
pub fn provision(session: Session, model_keys: Vec<[u8; 32]>) -> Result<(), AgentError> {
    let Session { wire, sealer, opener, hello, patience, .. } = session;
    let link = Link::new(wire, (sealer, opener), hello.message_max, patience);
    done(&link.ask(&Request::Provision(model_keys))?)
}

/// Streams a model; nothing of it is in force before the agent has computed the same from it.
fn load(link: &Link, orders: &Orders<'_>) -> Result<(), AgentError> {
    done(&link.ask(&Request::Reset)?)?;
    let load = Load {
        mode: orders.mode,
        on_violation: orders.on_violation,
        observes: if orders.caches() { Observes::Uncached } else { Observes::Every },
        platform: orders.platform,
        coefficients: orders.coefficients.len() as u32,
        header: orders.header.len() as u32,
        references: orders.references.len() as u32,
    };
    done(&link.ask(&Request::Load(load))?)?;
    let vouched: Vec<_> = orders.references.entries().map(Vouched::to_octets).collect();
    for part in vouched.chunks(REFERENCES_AT_ONCE) {
        tell(link, &Request::References(part))?;
    }
    for part in orders.header.as_bytes().chunks(HEADER_AT_ONCE) {
        tell(link, &Request::Header(part))?;
    }
    if let Some((statement, signatures)) = orders.signed
        && statement.len() <= STATEMENT_MAX
    {
        for signature in signatures {
            tell(link, &Request::Signature { statement, signature: *signature })?;
        }
    }
    for part in orders.coefficients.chunks(COEFFICIENTS_AT_ONCE) {
        let octets: Vec<[u8; 32]> = part.iter().map(|coefficient| coefficient.0).collect();
        tell(link, &Request::Coefficients(&octets))?;
    }
    let answer = link.ask(&Request::Seal)?;
    match answer.reply()? {
        Reply::Sealed { header, .. } if header == Digest::of(&[orders.header.as_bytes()]) => Ok(()),
        Reply::Sealed { .. } => Err(AgentError::OtherModel),
        other => Err(unexpected(&other)),
    }
}

fn tell(link: &Link, request: &Request<'_>) -> Result<(), AgentError> {
    if link.tell(request, || {})? { Ok(()) } else { Err(AgentError::TooLarge(link.message_max())) }
}

impl Agent for RemoteAgent {
    fn started(&self, process: ProcessId) {
        self.tell_and(&Request::Started(process), || self.witness.engine().started(process));
        self.shadow(|shadow| shadow.started(process));
    }

    fn forked(&self, parent: ProcessId, child: ProcessId) {
        let note = || self.witness.engine().forked(parent, child);
        self.tell_and(&Request::Forked { parent, child }, note);
        self.shadow(|shadow| shadow.forked(parent, child));
    }

    fn exited(&self, process: ProcessId) {
        self.tell_and(&Request::Exited(process), || self.witness.engine().exited(process));
        self.cache.as_ref().map(|cache| cache.exited(process)).unwrap_or_default();
        self.shadow(|shadow| shadow.exited(process));
    }

    fn judge(&self, event: &Description) -> Verdict {
        match self.verdict(event) {
            Ok(verdict) => verdict,
            Err(error) => {
                self.end(error);
                self.fail_closed()
            }
        }
    }

    fn would_allow(&self, event: &Description) -> bool {
        self.shadow.as_ref().is_some_and(|shadow| shadow.would_allow(event))
    }

    fn executing(&self, process: ProcessId) -> Option<TaskIdentity> {
        self.witness.engine().executing(process)
    }

    fn exec_settled(&self, process: ProcessId, outcome: ExecOutcome) {
        self.cache.as_ref().map(|cache| cache.settled(process)).unwrap_or_default();
        let note = || self.witness.engine().exec_settled(process, outcome);
        self.tell_and(&Request::ExecSettled(process, outcome), note);
        self.shadow(|shadow| shadow.exec_settled(process, outcome));
    }

    fn effect(&self, process: ProcessId, effect: &Effect<'_>) {
        let note = || self.witness.engine().effect(process, effect);
        self.tell_and(&Request::Effect(process, effect.clone()), note);
        self.shadow(|shadow| shadow.effect(process, effect));
    }

    fn lost(&self, _: Option<ProcessId>, loss: Loss) {
        self.observer.lost(loss);
        self.tell(&Request::Lost(loss));
    }
}

impl NamespaceAgent for RemoteAgent {
    fn snapshot(&self) -> Result<Snapshot, AgentError> {
        self.tell_cached();
        self.read_record().inspect_err(|error| self.end(error.clone()))
    }

    fn attest(&self, nonce: &[u8]) -> Result<Attested, AgentError> {
        self.tell_cached();
        let answer = self.link.ask(&Request::Attest(nonce));
        let answer = answer.inspect_err(|error| self.end(error.clone()))?;
        match answer.reply()? {
            Reply::Statement(statement) => {
                Ok(Attested { statement: statement.to_vec(), key: self.key })
            }
            other => Err(unexpected(&other)),
        }
    }

    fn may_replace_model(&self, _: &[Digest]) -> Result<(), AgentError> {
        Err(AgentError::KeepsItsModel)
    }

    fn replace_model(&self, _: &[Digest]) -> Result<(), AgentError> {
        Err(AgentError::KeepsItsModel)
    }

    fn close(&self) {
        self.link.end(AgentError::Gone);
    }

    fn fault(&self) -> Option<AgentError> {
        self.link.fault()
    }

    fn unasked(&self) -> u64 {
        self.unasked.load(Ordering::Relaxed)
    }
}
