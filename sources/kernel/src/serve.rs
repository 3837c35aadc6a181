//! Serves a namespace: takes messages from its ring, asks the agent, answers.
//!
//! One thread, so that what the agent learns has the order of the ring.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use libbpf_rs::RingBufferBuilder;
use portable_source::credentials;
use portable_source::credentials::Credentials;
use portable_source::latch::Latch;
use portable_source::listener::Listener;
use portable_source::listener::Notification;
use tsem::Agent;
use tsem::Cell;
use tsem::Description;
use tsem::Digest;
use tsem::EventKind;
use tsem::ExecOutcome;
use tsem::Loss;
use tsem::Mode;
use tsem::OnViolation;
use tsem::ProcessId;
use tsem::TaskIdentity;
use tsem::Value;
use tsem::Verdict;

use crate::content;
use crate::describe;
use crate::ended;
use crate::ended::Ended;
use crate::foretold;
use crate::foretold::Caller;
use crate::foretold::Foretold;
use crate::model::Known;
use crate::mount_source;
use crate::namespace::FIRST;
use crate::namespace::Namespace;
use crate::programs::KernelError;
use crate::shared_memory::RingPositions;
use crate::sys;
use crate::wire;
use crate::wire::Message;
use crate::wire::MessageType;

/// So long a call waits for what was told before it; then it is refused where only a rule allows it.
const CATCH_UP: Duration = Duration::from_secs(30);
const CATCH_UP_PAUSE: Duration = Duration::from_micros(50);

/// Of our threads; one of the usual size has page tables of its own.
pub(crate) const STACK: usize = 512 * 1024;

/// Whether the rules of a model leave an event as the kernel wrote it down, so that it may be
/// known by that.
pub(crate) type Unruled = Arc<dyn Fn(&Cell) -> bool + Send + Sync>;
/// Whether a file's content counts when it is opened, by its path.
pub(crate) type DigestPaths = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Everything that serving needs.
pub(crate) struct Server {
    pub(crate) namespace: Namespace,
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) mode: Mode,
    pub(crate) on_violation: OnViolation,
    pub(crate) unruled: Unruled,
    pub(crate) digest_paths: DigestPaths,
    pub(crate) first_pid: u32,
    processes: Mutex<HashMap<u64, u32>>,
    foretold: Mutex<Foretold>,
    ended: Mutex<Ended>,
    reported: Mutex<u64>,
    progress: Mutex<Progress>,
    more: Condvar,
    /// Set when no process is left.
    pub(crate) ended_all: Latch,
    /// Where calls are told as they begin.
    positions: Option<RingPositions>,
}

/// How far the namespace has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) first_status: Option<i32>,
    pub(crate) all_ended: bool,
}

/// What is to be served, and how.
pub(crate) struct Service {
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) mode: Mode,
    pub(crate) on_violation: OnViolation,
    pub(crate) unruled: Unruled,
    pub(crate) digest_paths: DigestPaths,
    /// Where calls are told as they begin, if any are.
    pub(crate) listener: Option<Listener>,
}

impl Server {
    pub(crate) fn start(
        namespace: Namespace,
        service: Service,
        first_pid: u32,
    ) -> std::io::Result<Arc<Self>> {
        let Service { agent, mode, on_violation, unruled, digest_paths, listener } = service;
        let ring = listener.as_ref().map(|_| RingPositions::of(namespace.ring.as_fd()));
        agent.started(FIRST);
        let server = Arc::new(Self {
            namespace,
            agent,
            mode,
            on_violation,
            unruled,
            digest_paths,
            first_pid,
            processes: Mutex::new([(FIRST.0, first_pid)].into()),
            foretold: Mutex::default(),
            ended: Mutex::default(),
            reported: Mutex::default(),
            progress: Mutex::default(),
            more: Condvar::new(),
            ended_all: Latch::new()?,
            positions: ring.transpose()?,
        });
        let serving = server.clone();
        let thread = std::thread::Builder::new().name("kernel-source".into()).stack_size(STACK);
        thread.spawn(move || {
            sys::leave_signals_to_others();
            serving.serve();
        })?;
        if let Some(listener) = listener {
            let foretelling = server.clone();
            std::thread::Builder::new().name("foretelling".into()).spawn(move || {
                sys::leave_signals_to_others();
                foretelling.foretell_all(&listener);
            })?;
        }
        Ok(server)
    }

    fn serve(&self) {
        let mut rings = RingBufferBuilder::new();
        let taken = rings.add(&self.namespace.ring, |octets| {
            self.take(octets);
            0
        });
        let ring = taken.map(|_| ()).and_then(|()| rings.build());
        let Ok(ring) = ring else {
            tracing::error!(target: "user", "the namespace's ring cannot be read: it ends");
            return self.kill();
        };
        loop {
            while !self.tick() {
                let pause = lock(&self.ended).pause();
                if let Err(error) = ring.poll(pause)
                    && error.kind() != libbpf_rs::ErrorKind::Interrupted
                {
                    tracing::error!(target: "user", %error, "the namespace's ring cannot be read");
                    self.kill();
                }
            }
            let _ = ring.consume();
            if !self.end_untold() {
                break;
            }
        }
        self.forget(lock(&self.foretold).drain());
        self.report_losses();
        self.note(|progress| progress.all_ended = true);
        self.ended_all.set();
    }

    /// True when the last task is gone, and every process that has ended is forgotten.
    fn tick(&self) -> bool {
        self.report_losses();
        let nobody_is_left = self.namespace.live() <= 0;
        let mut ended = lock(&self.ended);
        let forgotten = ended.look(
            nobody_is_left,
            |process, pid| ended::fate(&self.namespace, process, pid),
            |pid, status| self.reaped(pid, status),
        );
        let all = nobody_is_left && ended.is_empty();
        drop(ended);
        for process in forgotten {
            self.agent.exited(process);
            self.namespace.forget_process(process);
        }
        all
    }

    /// When no task is left and the ring is empty: ends the processes whose end did not fit the
    /// ring. Whether anybody is to be waited for.
    fn end_untold(&self) -> bool {
        let mut ended = lock(&self.ended);
        lock(&self.processes).drain().for_each(|(process, pid)| ended.add(ProcessId(process), pid));
        !ended.is_empty()
    }

    fn reaped(&self, pid: u32, status: Option<i32>) {
        if pid == self.first_pid {
            let status = status.unwrap_or(libc::SIGKILL);
            self.note(|progress| progress.first_status = progress.first_status.or(Some(status)));
        }
    }

    /// What the programs counted as lost since the last time.
    fn report_losses(&self) {
        let counts = self.namespace.counts();
        let now = counts.dropped + counts.late;
        let mut reported = lock(&self.reported);
        if now > *reported {
            tracing::warn!(
                target: "audit",
                dropped = counts.dropped,
                late = counts.late,
                "events that did not fit the ring, and events without an answer at their deadline, so far"
            );
        }
        (*reported..now).for_each(|_| self.agent.lost(None, Loss::Dropped));
        *reported = now;
    }

    fn lost(&self, process: ProcessId, event: &str, why: &str) {
        tracing::warn!(target: "audit", event, why, "an event is lost");
        self.agent.lost(Some(process), Loss::Unreadable);
    }

    /// An event of which nobody knows what it is.
    fn unjudged(&self, message: &Message<'_>, why: &str) {
        let event = describe::kind_name(message);
        let denied = match message.about {
            MessageType::Judge => self.mode == Mode::Enforcing,
            _ => message.flags & wire::DENIED != 0,
        };
        tracing::warn!(target: "audit", event, why, denied, "an event is lost");
        self.agent.lost(Some(ProcessId(message.process)), Loss::Unreadable);
    }

    fn take(&self, octets: &[u8]) {
        let Some(message) = Message::read(octets) else {
            tracing::error!(target: "dev", "the programs sent no message");
            return self.agent.lost(None, Loss::Unreadable);
        };
        let process = ProcessId(message.process);
        match message.about {
            MessageType::Judge => self.judge(&message),
            MessageType::Told => self.told(&message),
            MessageType::Forked => self.agent.forked(process, ProcessId(message.other)),
            MessageType::Exited => self.exited(process, message.pid),
            MessageType::Committed => self.agent.exec_settled(process, ExecOutcome::Committed),
            MessageType::Failed => self.agent.exec_settled(process, ExecOutcome::Failed),
            MessageType::Lost => self.unjudged(&message, "the kernel could not describe it"),
        }
    }

    fn exited(&self, process: ProcessId, pid: u32) {
        self.forget(lock(&self.foretold).ended(pid));
        lock(&self.processes).remove(&process.0);
        lock(&self.ended).add(process, pid);
    }

    /// The description of a message, and whether it is known by what the kernel wrote down.
    fn describe(&self, message: &Message<'_>) -> Option<(Description, bool)> {
        lock(&self.processes).insert(message.process, message.pid);
        let mut event = match describe::event(message) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(target: "dev", ?error, "the kernel sent no event");
                self.unjudged(message, "it cannot be read");
                return None;
            }
        };
        let name = event.cell.kind.name();
        if !describe::coefficient_agrees(message, event.cell.kind) {
            self.lost(event.process, name, "kernel and core differ about its coefficient");
        }
        if message.flags & wire::WANTS_DIGEST != 0 && !self.fill_digest(&mut event, message) {
            self.unjudged(message, "its file has no digest");
            return None;
        }
        if message.flags & wire::NAMES_SOURCE != 0 {
            mount_source::resolve(&mut event.cell, message.tid);
        }
        let filled = message.flags & (wire::WANTS_DIGEST | wire::NAMES_SOURCE) != 0;
        let unruled = (self.unruled)(&event.cell);
        let wanted = |path: &[u8]| (self.digest_paths)(path);
        let changed = describe::drop_unwanted_digest(&mut event.cell, wanted);
        Some((event, unruled && !changed && !filled))
    }

    /// Takes the digest that the kernel could not.
    fn fill_digest(&self, event: &mut Description, message: &Message<'_>) -> bool {
        let file = event.cell.values.iter_mut().find_map(|value| match value {
            Value::File(file) => Some(file),
            _ => None,
        });
        let Some(file) = file else { return false };
        let contents = &self.namespace.maps.contents;
        let digest = content::digest(contents, message.pid, &file.place.path, message.born);
        file.digest = digest.unwrap_or(Digest::ZERO);
        digest.is_some()
    }

    fn judge(&self, message: &Message<'_>) {
        let Some((event, unruled)) = self.describe(message) else {
            let verdict = if self.mode == Mode::Enforcing { Verdict::Deny } else { Verdict::Allow };
            return self.namespace.answer(message.sequence, verdict as u32, 0, None);
        };
        let mut verdict = self.agent.judge(&event);
        let leads_to = self.leads_to(&event, &mut verdict);
        let flags = match verdict {
            Verdict::Allow => {
                self.tell_effects(&event);
                if unruled && self.mode != Mode::Sealed { wire::ANSWER_CACHE } else { 0 }
            }
            Verdict::Deny | Verdict::Kill => self.refused(&event, verdict),
        };
        let answer = if verdict == Verdict::Allow { verdict } else { Verdict::Deny };
        self.namespace.answer(message.sequence, answer as u32, flags, leads_to.as_ref());
    }

    /// The identity that an allowed exec leads to; the kernel forms coefficients with it from then on.
    fn leads_to(&self, event: &Description, verdict: &mut Verdict) -> Option<Digest> {
        if event.cell.kind != EventKind::BprmCommittedCreds || *verdict != Verdict::Allow {
            return None;
        }
        let leads_to = self.agent.executing(event.process).map(|identity| identity.task);
        if leads_to.is_none() {
            let name = event.cell.kind.name();
            self.lost(event.process, name, "the agent does not say what it leads to");
            *verdict = Verdict::Deny;
        }
        leads_to
    }

    /// Before the answer, so that no thread of the process passes by it.
    fn refused(&self, event: &Description, verdict: Verdict) -> u32 {
        if verdict == Verdict::Kill {
            self.kill();
        }
        if self.on_violation == OnViolation::Deny {
            return 0;
        }
        self.namespace.untrust(event.process);
        wire::ANSWER_UNTRUST
    }

    /// The kernel has decided; the agent judges the same event, for the record. Where the two differ,
    /// that is a loss: what the kernel refused is allowed by a rule, or what it let through is of a
    /// process that is not trusted any more.
    fn told(&self, message: &Message<'_>) {
        self.forget(lock(&self.foretold).came(message.tid, &message.coefficient));
        let Some((event, _)) = self.describe(message) else { return };
        let verdict = self.agent.judge(&event);
        let denied = message.flags & wire::DENIED != 0;
        match verdict {
            Verdict::Allow if denied => {
                self.lost(event.process, event.cell.kind.name(), "only the kernel denied it");
            }
            Verdict::Allow => self.tell_effects(&event),
            Verdict::Deny | Verdict::Kill => {
                if !denied {
                    self.lost(event.process, event.cell.kind.name(), "only the kernel allowed it");
                }
                let _ = self.refused(&event, verdict);
            }
        }
    }

    /// Calls begin whose hooks cannot wait: what only a rule allows is made known to the hook, which
    /// decides by what the kernel really does.
    fn foretell_all(&self, listener: &Listener) {
        while sys::wait_to_read(listener.as_fd()) {
            // Whoever was killed meanwhile waits no more.
            let Ok(call) = listener.receive() else { continue };
            self.foretell(&call);
            let _ = listener.proceed(call.id);
        }
    }

    /// Waits until all that was told before now is served: what the caller did before is known to the agent then, and no
    /// event of an earlier call takes away what is foretold of this one.
    fn catch_up(&self) -> bool {
        let Some(positions) = &self.positions else { return true };
        let (written, until) = (positions.written(), Instant::now() + CATCH_UP);
        while positions.read() < written {
            if lock(&self.progress).all_ended || Instant::now() > until {
                return false;
            }
            std::thread::sleep(CATCH_UP_PAUSE);
        }
        true
    }

    fn foretell(&self, call: &Notification) {
        self.forget(lock(&self.foretold).over(call.tid));
        let Some((event, identity)) = self.foretold_event(call) else { return };
        if !self.catch_up() {
            return;
        }
        if !lock(&self.foretold).has_room() {
            let gone = lock(&self.foretold).sweep(|tid| foretold::status(tid).is_some());
            self.forget(gone);
        }
        // Without room the hook refuses.
        // Locked throughout: what was foretold under another model is taken back by then.
        let mut foretold = lock(&self.foretold);
        if foretold.has_room()
            && self.agent.would_allow(&event)
            && let Some(coefficient) = describe::coefficient_of(identity, &event.coe, &event.cell)
            && self.namespace.foretell(&coefficient)
        {
            foretold.expect(event.pid, call.tid, coefficient, &event.cell);
        }
    }

    /// Hooks decide by this from now on, and what was allowed before is looked up again.
    pub(crate) fn replace_model(&self, known: &[Known]) -> Result<(), KernelError> {
        let mut foretold = lock(&self.foretold);
        self.forget(foretold.drain());
        self.namespace.replace_model(known)
    }

    fn foretold_event(&self, call: &Notification) -> Option<(Description, TaskIdentity)> {
        let status = foretold::status(call.tid)?;
        let pid = credentials::field(&status, "Tgid:")?.parse().ok()?;
        let pidfd = sys::pidfd_open(pid).ok()?;
        let (process, identity) = self.namespace.task_of(pidfd.as_fd())?;
        let Credentials { coe, umask, .. } = Credentials::parse(&status)?;
        let caller = Caller { tid: call.tid, umask, pidfd: pidfd.as_fd() };
        let cell = caller.event(call.number.into(), call.arguments)?;
        Some((Description { process, pid, coe, cell, targets: Vec::new() }, identity?))
    }

    fn forget(&self, coefficients: impl IntoIterator<Item = Digest>) {
        coefficients.into_iter().for_each(|each| self.namespace.forget(&each));
    }

    fn tell_effects(&self, event: &Description) {
        for effect in describe::effects(&event.cell) {
            self.agent.effect(event.process, &effect);
            // After it: what was foretold meanwhile was by what the agent knew before.
            self.forget(lock(&self.foretold).void(&effect));
        }
    }

    /// Ends the namespace: all processes die now, and what is still made meanwhile at its next event.
    pub(crate) fn kill(&self) {
        self.namespace.kill();
        self.namespace.kill_processes();
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut lock(&self.progress));
        self.more.notify_all();
    }

    /// Waits until something is so.
    pub(crate) fn wait_until(&self, reached: impl Fn(&Progress) -> bool) -> Progress {
        let progress = lock(&self.progress);
        *self
            .more
            .wait_while(progress, |progress| !reached(progress))
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
