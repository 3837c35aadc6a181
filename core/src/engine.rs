//! The trusted modeling agent's engine: identities, trust, model, modes, verdicts.
//!
//! It computes every identity and coefficient itself, from descriptions; it takes none on trust.
//! Everything it keeps is bounded, and what happens at a bound is counted: see [`Bounds`].

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::Cell;
use crate::Coe;
use crate::Description;
use crate::Digest;
use crate::Effect;
use crate::EventKind;
use crate::ExecOutcome;
use crate::Loss;
use crate::Maker;
use crate::Measurement;
use crate::NameRule;
use crate::Observation;
use crate::ObservedEvent;
use crate::Platform;
use crate::ProcessId;
use crate::References;
use crate::Rules;
use crate::Target;
use crate::TaskIdentity;
use crate::TaskIndex;
use crate::Value;
use crate::Verdict;
use crate::canonical::canonicalise;
use crate::canonical::is_canonical;
use crate::cell_digest;
use crate::coefficient;
use crate::encode_coe;
use crate::made::Makers;
use crate::memory::CompactMemory;
use crate::memory::Forensics;
use crate::memory::Full;
use crate::memory::GoodEvent;
use crate::memory::Known;
use crate::memory::Memory;
use crate::memory::PendingExec;
use crate::memory::ProcessStatus;
use crate::memory::Violation;
use crate::memory::WholeMemory;
use crate::observation::ObservedCell;
use crate::observation::generalise;
use crate::observation::is_exec;

/// What an event outside the model means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It joins the model.
    Free,
    /// It is forensics, the process becomes untrusted, the event goes ahead.
    Sealed,
    /// It is denied.
    Enforcing,
}

/// What a violation does besides being denied, when enforcing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OnViolation {
    /// Nothing: later events of the process are judged as ever.
    Deny,
    /// The process is untrusted: every later event of it is denied.
    Untrust,
    /// The whole namespace ends.
    Kill,
}

/// How much an engine keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Distinct coefficients, good and forensic together. Beyond: a loss, denied when enforcing.
    pub coefficients: usize,
    /// Descriptions of forensics. Beyond: the coefficient still counts, the description is dropped
    /// and counted.
    pub forensics: usize,
    /// Task identities. Beyond: the exec is a loss and denied.
    pub tasks: usize,
    /// Live processes. Beyond: events of the process are losses and denied.
    pub processes: usize,
    /// Execs that were allowed and are not settled yet. Beyond: a loss, denied when enforcing.
    pub pending: usize,
    /// Paths that the namespace made. Beyond: not known as its own, counted.
    pub made: usize,
    /// The same in octets, each path with 4 more, for [`CompactMemory`].
    pub made_octets: usize,
    /// Contents at paths that packages vouch for; whoever sets the engine up keeps to it.
    pub references: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            coefficients: 1 << 20,
            forensics: 1 << 14,
            tasks: 1 << 16,
            processes: 1 << 17,
            pending: 1 << 17,
            made: 1 << 20,
            made_octets: 1 << 20,
            references: References::BOUND_DEFAULT,
        }
    }
}

/// How an engine is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What an event outside the model means.
    pub mode: Mode,
    /// What a violation does besides.
    pub on_violation: OnViolation,
    /// The model's rules.
    pub rules: Rules,
    /// What the rules' packages vouch for on this machine, verified by whoever sets up.
    pub references: References,
    /// Nonce and platform aggregate.
    pub platform: Platform,
    /// How much to keep.
    pub bounds: Bounds,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events judged.
    pub events: u64,
    /// Events outside the model, or of untrusted processes.
    pub violations: u64,
    /// Events refused.
    pub denied: u64,
    /// Events that the source dropped.
    pub dropped: u64,
    /// Events whose object could not be read or named.
    pub unreadable: u64,
    /// Events, or parts of them, beyond a bound.
    pub too_large: u64,
    /// Forensics whose description was not kept.
    pub forensics_dropped: u64,
    /// Made paths that were not kept.
    pub made_dropped: u64,
}

impl Counts {
    /// Events that could not be judged.
    pub fn losses(&self) -> u64 {
        self.dropped + self.unreadable + self.too_large
    }
}

/// Why an event was a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its coefficient is not in the model.
    NotInModel,
    /// The process is untrusted.
    Untrusted,
}

/// What the engine did with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What happens to the event.
    pub verdict: Verdict,
    /// The event's coefficient; zero if it could not be judged.
    pub coefficient: Digest,
    /// Set if it was outside the model.
    pub violation: Option<Reason>,
    /// It has not been seen in this run before.
    pub first: bool,
}

/// An event outside the model.
#[derive(Clone, Debug)]
pub struct Forensic {
    /// The event. For an exec, its task is the one that tried.
    pub event: ObservedEvent,
    /// Its coefficient.
    pub coefficient: Digest,
    /// Why.
    pub reason: Reason,
    /// Whether it was refused.
    pub denied: bool,
    /// The acting process.
    pub process: ProcessId,
}

/// The engine; `M` is what it keeps between events.
#[derive(Debug)]
pub struct Engine<M = WholeMemory> {
    setup: Setup,
    memory: M,
    /// Makers can be seen in a coefficient, or in what is kept of an event.
    makers_matter: bool,
    good: usize,
    measurement: Measurement,
    counts: Counts,
    coe_cache: Option<(Coe, Digest)>,
}

/// What an event is hashed to.
struct Formed {
    task: TaskIndex,
    identity: TaskIdentity,
    coefficient: Digest,
}

/// An event that is to be kept.
struct Candidate<D> {
    described: D,
    is_exec: bool,
    task: TaskIndex,
    identity: TaskIdentity,
    coefficient: Digest,
}

impl Engine {
    /// An engine with a model of these coefficients; none for a new model. A coefficient beyond
    /// the bound is a loss.
    pub fn new(setup: Setup, model: impl IntoIterator<Item = Digest>) -> Self {
        let mut engine = Self::empty(setup);
        for coefficient in model {
            if !engine.load(coefficient) {
                engine.lost(Loss::TooLarge);
            }
        }
        engine
    }
}

impl Engine<CompactMemory> {
    /// An engine that takes all its memory now and keeps digests only; see [`CompactMemory`].
    pub fn compact(setup: Setup) -> Self {
        Self::empty(setup)
    }
}

impl<M: Memory> Engine<M> {
    /// An engine without a model. [`Engine::load`] gives it one.
    pub fn empty(setup: Setup) -> Self {
        let bound = |rule: &NameRule| rule.maker == Maker::Namespace;
        Self {
            memory: M::with_bounds(&setup.bounds),
            makers_matter: M::DESCRIBES || setup.rules.names.iter().any(bound),
            good: 0,
            measurement: Measurement::new(&setup.platform),
            counts: Counts::default(),
            coe_cache: None,
            setup,
        }
    }

    /// Adds a coefficient to the model before any event is judged, for a model that comes in parts;
    /// ascending order is fastest. False at the bound: nothing was added then.
    pub fn load(&mut self, coefficient: Digest) -> bool {
        let before = self.memory.count();
        let fits = self.memory.admit(coefficient, true).is_ok();
        self.good += self.memory.count() - before;
        fits
    }

    /// Introduces the namespace's first process.
    pub fn started(&mut self, process: ProcessId) {
        self.introduce(process, TaskIndex::INITIAL, true);
    }

    /// Introduces a process made by another; it inherits identity and trust.
    pub fn forked(&mut self, parent: ProcessId, child: ProcessId) {
        match self.memory.process(parent) {
            Some(status) => self.introduce(child, status.task, status.trusted),
            None => self.lost(Loss::Unreadable),
        }
    }

    fn introduce(&mut self, process: ProcessId, task: TaskIndex, trusted: bool) {
        if self.memory.introduce(process, ProcessStatus { task, trusted }).is_err() {
            self.lost(Loss::TooLarge);
        }
    }

    /// Forgets a process. A pending exec counts as committed.
    pub fn exited(&mut self, process: ProcessId) {
        self.exec_settled(process, ExecOutcome::Committed);
        self.memory.forget(process);
    }

    /// Decides an event before it takes effect.
    pub fn judge(&mut self, event: &Description) -> Judgement {
        self.counts.events += 1;
        let Some(ProcessStatus { task, trusted }) = self.memory.process(event.process) else {
            return self.unjudged(Loss::Unreadable);
        };
        let judged = self.form(event, task).and_then(|formed| self.decide(event, trusted, formed));
        let judgement = judged.unwrap_or_else(|loss| self.unjudged(loss));
        // An open that creates is judged as a creation and an opening before either takes effect;
        // the opening is of a file of the namespace's own already.
        if judgement.verdict == Verdict::Allow
            && event.cell.kind == EventKind::InodeCreate
            && self.makers_matter
            && let Some(place) = event.places().next()
        {
            self.memory.expect(task, &place.path);
        }
        judgement
    }

    /// Whether an event is in the model, of a process that is trusted. Nothing changes by asking.
    pub fn would_allow(&mut self, event: &Description) -> bool {
        let Some(ProcessStatus { task, trusted: true }) = self.memory.process(event.process) else {
            return false;
        };
        let known = self.form(event, task).map(|formed| self.memory.known(formed.coefficient));
        known.is_ok_and(|known| known.is_some_and(|known| known.good))
    }

    fn unjudged(&mut self, loss: Loss) -> Judgement {
        self.lost(loss);
        let verdict = match self.setup.mode {
            Mode::Free | Mode::Sealed => Verdict::Allow,
            Mode::Enforcing => Verdict::Deny,
        };
        self.counts.denied += u64::from(verdict == Verdict::Deny);
        Judgement { verdict, coefficient: Digest::ZERO, violation: None, first: false }
    }

    /// Identity and coefficient of an event. A known event needs no description of its own, so
    /// none is made here.
    fn form(&mut self, event: &Description, task: TaskIndex) -> Result<Formed, Loss> {
        let cell = self.hashed_cell(event, task)?;
        let mut buffer = self.memory.buffer();
        let cell_digest = cell_digest(&cell, &mut buffer).map_err(|_| Loss::TooLarge);
        let is_exec = is_exec(cell.kind);
        self.memory.return_buffer(buffer);
        let cell_digest = cell_digest?;
        let coe_digest = self.coe_digest(event.coe);
        let before = self.memory.identity(task);
        let identity = if is_exec { before.exec(coe_digest, cell_digest) } else { before };
        let coefficient = coefficient(event.cell.kind, identity, coe_digest, cell_digest);
        Ok(Formed { task, identity, coefficient })
    }

    /// The cell in the form that is hashed; borrowed where that is how it came.
    fn hashed_cell<'e>(
        &self,
        event: &'e Description,
        task: TaskIndex,
    ) -> Result<Cow<'e, Cell>, Loss> {
        let touched = self.setup.rules.touch(&event.cell) || self.vouch_for(&event.cell);
        if is_canonical(&event.cell) && !touched {
            return Ok(Cow::Borrowed(&event.cell));
        }
        let ObservedCell { mut cell, makers, targets, .. } = self.observe(event, task)?;
        let identity = |task| Some(self.memory.identity(task).task);
        generalise(&mut cell, &self.setup.rules, &makers, &targets, identity);
        Ok(Cow::Owned(cell))
    }

    /// The event as it is kept: in canonical form, before rules.
    fn observe(&self, event: &Description, task: TaskIndex) -> Result<ObservedCell, Loss> {
        let mut cell = event.cell.clone();
        canonicalise(&mut cell, event.pid);
        self.setup.references.refer(&mut cell);
        let makers = self.makers_of(&cell, task);
        let targets = self.name_targets(&mut cell, event)?;
        Ok(ObservedCell { coe: event.coe, cell, makers, targets })
    }

    /// Whether a package vouches for a file of the cell.
    fn vouch_for(&self, cell: &Cell) -> bool {
        let references = &self.setup.references;
        let vouched = |value: &Value| {
            matches!(value, Value::File(file)
                if !references.of(file.digest, &file.place.path).is_zero())
        };
        !references.is_empty() && cell.values.iter().any(vouched)
    }

    fn makers_of(&self, cell: &Cell, task: TaskIndex) -> Vec<Makers> {
        if !self.makers_matter {
            return Vec::new();
        }
        let places = || cell.values.iter().filter_map(Value::place);
        let mut makers: Vec<Makers> =
            places().map(|place| self.memory.makers(&place.path)).collect();
        // A name that the event itself makes has no maker yet, and yet it is the namespace's own:
        // else no rule for made files would cover their creation.
        if let Some((row, maker)) = Self::new_name(cell, task, &makers)
            && let (Some(place), Some(makers)) = (places().nth(row), makers.get_mut(row))
        {
            let end = place.path.len() as u16;
            makers.retain(|made| made.0 != end);
            makers.push((end, maker));
        }
        makers
    }

    /// Which place of the cell is a name that the event makes, and who made its object.
    fn new_name(cell: &Cell, task: TaskIndex, makers: &[Makers]) -> Option<(usize, TaskIndex)> {
        match cell.kind {
            EventKind::InodeCreate
            | EventKind::InodeMkdir
            | EventKind::InodeMknod
            | EventKind::InodeSymlink
            | EventKind::SocketBind => Some((0, task)),
            EventKind::InodeLink => Some((1, task)),
            EventKind::InodeRename => {
                let from = cell.values.iter().find_map(Value::place)?.path.len();
                let made = makers.first()?.iter().find(|made| usize::from(made.0) == from)?;
                Some((1, made.1))
            }
            _ => None,
        }
    }

    /// Gives every target its identity; a target that the engine does not know is a loss.
    fn name_targets(&self, cell: &mut Cell, event: &Description) -> Result<Vec<TaskIndex>, Loss> {
        let mut given = event.targets.iter();
        let mut rows = Vec::new();
        for value in &mut cell.values {
            let Value::Task(target) = value else { continue };
            *target = match given.next() {
                Some(Some(process)) if *process == event.process => Target::Own,
                Some(Some(process)) => {
                    let task = self.memory.process(*process).ok_or(Loss::Unreadable)?.task;
                    rows.push(task);
                    Target::Task(self.memory.identity(task).task)
                }
                Some(None) => Target::Outside,
                None => return Err(Loss::Unreadable),
            };
        }
        Ok(rows)
    }

    fn coe_digest(&mut self, coe: Coe) -> Digest {
        match self.coe_cache {
            Some((cached, digest)) if cached == coe => digest,
            _ => {
                let digest = Digest::of(&[&encode_coe(&coe)]);
                self.coe_cache = Some((coe, digest));
                digest
            }
        }
    }

    fn decide(
        &mut self,
        event: &Description,
        trusted: bool,
        formed: Formed,
    ) -> Result<Judgement, Loss> {
        let coefficient = formed.coefficient;
        let known = self.memory.known(coefficient);
        let good = known.is_some_and(|known| known.good);
        let reason = match (trusted, good) {
            (false, _) if self.setup.mode == Mode::Enforcing => Some(Reason::Untrusted),
            (_, false) if self.setup.mode != Mode::Free => Some(Reason::NotInModel),
            _ => None,
        };
        let is_exec = is_exec(event.cell.kind);
        let (verdict, first) = match (reason, known) {
            (None, Some(Known { row: row @ 1.., .. })) if !is_exec => {
                self.memory.again(row);
                (Verdict::Allow, false)
            }
            _ => {
                let described = M::describe(|| self.observe(event, formed.task))?;
                let Formed { task, identity, .. } = formed;
                let candidate = Candidate { described, is_exec, task, identity, coefficient };
                match reason {
                    None => self.accept(event.process, candidate, known),
                    Some(reason) => self.violation(event.process, candidate, reason),
                }
            }
        };
        self.counts.denied += u64::from(verdict != Verdict::Allow);
        Ok(Judgement { verdict, coefficient, violation: reason, first })
    }

    fn accept(
        &mut self,
        process: ProcessId,
        event: Candidate<M::Described>,
        known: Option<Known>,
    ) -> (Verdict, bool) {
        if event.is_exec {
            let first = known.is_none_or(|known| known.row == 0);
            return (self.hold_exec(process, event), first);
        }
        let Candidate { task, described, coefficient, .. } = event;
        self.record(task, described, coefficient, known)
    }

    /// Remembers an allowed exec until it is known whether it happened.
    fn hold_exec(&mut self, process: ProcessId, event: Candidate<M::Described>) -> Verdict {
        let Candidate { described, identity, coefficient, .. } = event;
        let exec = PendingExec { described, identity, coefficient };
        // An exec for which there is no room does not go ahead in any mode: the process would
        // from then on be judged as what it was before.
        if self.memory.has_room(&identity) && self.memory.hold(process, exec).is_ok() {
            return Verdict::Allow;
        }
        self.lost(Loss::TooLarge);
        Verdict::Deny
    }

    fn violation(
        &mut self,
        id: ProcessId,
        event: Candidate<M::Described>,
        reason: Reason,
    ) -> (Verdict, bool) {
        self.counts.violations += 1;
        let enforcing = self.setup.mode == Mode::Enforcing;
        if !enforcing || self.setup.on_violation != OnViolation::Deny {
            self.distrust(id);
        }
        let remembered = self.note_forensic_coefficient(event.coefficient);
        let first = self.keep_forensics(id, &event, reason, enforcing);
        if remembered.is_err() {
            return (self.unjudged(Loss::TooLarge).verdict, first);
        }
        if !enforcing && event.is_exec {
            return (self.hold_exec(id, event), first);
        }
        let verdict = match (enforcing, self.setup.on_violation) {
            (false, _) => Verdict::Allow,
            (true, OnViolation::Kill) => Verdict::Kill,
            (true, OnViolation::Deny | OnViolation::Untrust) => Verdict::Deny,
        };
        (verdict, first)
    }

    fn distrust(&mut self, id: ProcessId) {
        if let Some(status) = self.memory.process(id) {
            self.memory.change(id, ProcessStatus { trusted: false, ..status });
        }
    }

    /// A violation perturbs state and measurement, each distinct one once.
    fn note_forensic_coefficient(&mut self, coefficient: Digest) -> Result<(), Full> {
        if self.memory.known(coefficient).is_none() {
            self.memory.admit(coefficient, false)?;
            self.measurement.extend(coefficient);
        }
        Ok(())
    }

    /// Keeps a violation, each distinct one once; true for the first.
    fn keep_forensics(
        &mut self,
        process: ProcessId,
        event: &Candidate<M::Described>,
        reason: Reason,
        denied: bool,
    ) -> bool {
        let Candidate { task, coefficient, .. } = *event;
        let (described, number) = (event.described.clone(), self.counts.events);
        let violation = Violation { process, task, described, coefficient, number, reason, denied };
        let kept = self.memory.violation(violation);
        self.counts.forensics_dropped += u64::from(kept == Forensics::Dropped);
        kept != Forensics::Again
    }

    /// Notes that a good event takes place: first sight extends measurement and trajectory.
    fn record(
        &mut self,
        task: TaskIndex,
        described: M::Described,
        coefficient: Digest,
        known: Option<Known>,
    ) -> (Verdict, bool) {
        if let Some(Known { row: row @ 1.., .. }) = known {
            self.memory.again(row);
            return (Verdict::Allow, false);
        }
        if !self.load(coefficient) {
            let unjudged = self.unjudged(Loss::TooLarge);
            return (unjudged.verdict, true);
        }
        self.measurement.extend(coefficient);
        let number = self.counts.events;
        self.memory.first(GoodEvent { task, described, coefficient, number });
        (Verdict::Allow, true)
    }

    /// An exec that was allowed has happened, or has failed.
    pub fn exec_settled(&mut self, id: ProcessId, outcome: ExecOutcome) {
        let (Some(status), Some(exec)) = (self.memory.process(id), self.memory.release(id)) else {
            return;
        };
        if outcome == ExecOutcome::Failed {
            return;
        }
        let Ok(task) = self.memory.task(status.task, &exec) else {
            // Another exec took the last row meanwhile. What this one runs has no name here.
            self.distrust(id);
            return self.lost(Loss::TooLarge);
        };
        self.memory.change(id, ProcessStatus { task, ..status });
        let known = self.memory.known(exec.coefficient);
        if known.map_or(self.setup.mode == Mode::Free, |known| known.good) {
            let _ = self.record(task, exec.described, exec.coefficient, known);
        }
    }

    /// An allowed event has changed the file system.
    pub fn effect(&mut self, process: ProcessId, effect: &Effect<'_>) {
        if !self.makers_matter {
            return;
        }
        let task = self.memory.process(process).map_or(TaskIndex::INITIAL, |status| status.task);
        self.memory.note(task, effect);
    }

    /// An event could not be described.
    pub fn lost(&mut self, loss: Loss) {
        let count = match loss {
            Loss::Dropped => &mut self.counts.dropped,
            Loss::Unreadable => &mut self.counts.unreadable,
            Loss::TooLarge => &mut self.counts.too_large,
        };
        *count += 1;
    }
}

impl<M: Memory> Engine<M> {
    /// How it was set up.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What it keeps.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts { made_dropped: self.memory.made_dropped(), ..self.counts }
    }

    /// Distinct good coefficients.
    pub fn good(&self) -> usize {
        self.good
    }

    /// The good coefficients, in ascending order.
    pub fn coefficients(&self) -> Vec<Digest> {
        self.memory.good()
    }

    /// The state: over all coefficients, good and forensic.
    pub fn state(&self) -> Digest {
        self.memory.state(&self.setup.platform)
    }

    /// The measurement: over the coefficients in the order in which this run first showed them.
    pub fn measurement(&self) -> Digest {
        self.measurement.value()
    }

    /// The identity of a process now; `None` for one that is not there.
    pub fn identity(&self, process: ProcessId) -> Option<TaskIdentity> {
        Some(self.memory.identity(self.memory.process(process)?.task))
    }

    /// The identity that a process has once its allowed exec has happened; `None` if it waits for none.
    pub fn executing(&self, process: ProcessId) -> Option<TaskIdentity> {
        self.memory.pending(process)
    }

    /// Whether a process is trusted; `None` for one that is not there.
    pub fn is_trusted(&self, process: ProcessId) -> Option<bool> {
        Some(self.memory.process(process)?.trusted)
    }

    /// The kind of the exec that a process waits for, if any.
    pub fn pending_exec(&self, process: ProcessId) -> Option<EventKind> {
        self.executing(process).map(|_| EventKind::BprmCommittedCreds)
    }
}

impl Engine {
    /// The trajectory: every distinct good event of this run, as it was seen.
    pub fn observation(&self) -> &Observation {
        self.memory.observation()
    }

    /// Identity by task row.
    pub fn identities(&self) -> &[TaskIdentity] {
        self.memory.identities()
    }

    /// Events outside the model, in order of first appearance.
    pub fn forensics(&self) -> &[Forensic] {
        self.memory.forensics()
    }
}

#[cfg(test)]
mod tests;
