//! Verdicts that the agent has given, so that the same event need not be sent again.
//!
//! Off unless the user asks for it, because then the agent no longer sees every event; the agent is
//! told so before it has a model, is told how many it did not see, and states both when it attests.
//!
//! What is cached is one thing only: that an event of a process of this very chain, with these very
//! credentials, on this very object, was in the model. It holds
//!
//! - for one model: a cache comes to be with a session and ends with it;
//! - for events whose coefficient depends on nothing but the event and the chain: none that a rule
//!   touches, none that names another process, no exec, no creation;
//! - for processes that the agent itself has allowed something since they were forked or executed,
//!   and that it has not found outside the model;
//! - for a tenth of a second after the agent's last answer: an agent that is lost or wedged is not
//!   stood in for.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tsem::Description;
use tsem::Digest;
use tsem::EventKind;
use tsem::ProcessId;
use tsem::Rules;
use tsem::TaskIdentity;
use tsem::Value;
use tsem::Verdict;

/// After so long without an answer nothing counts as known.
const FRESH: Duration = Duration::from_millis(100);
/// Events that are kept; what comes later is asked each time.
const KNOWN_MAX: usize = 1 << 16;

/// Verdicts of one session.
pub(super) struct VerdictCache {
    rules: Rules,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    known: HashSet<Digest>,
    processes: HashMap<ProcessId, Standing>,
    last_answer: Option<Instant>,
    hits: u64,
    told: u64,
    /// The namespace is to end.
    over: bool,
}

/// What the agent thinks of a process, as far as it has said.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// Counts execs, so that an answer from before one does not vouch for what it became.
    execs: u64,
    vouched: bool,
    outside: bool,
}

/// An event that may be known, or become so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    key: Option<Digest>,
    process: ProcessId,
    execs: u64,
}

impl VerdictCache {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before an event is asked: what its answer will be kept under, if at all.
    pub(super) fn ticket(&self, event: &Description, identity: Option<TaskIdentity>) -> Ticket {
        let key = identity.filter(|_| self.may_be_kept(event));
        let key = key.and_then(|identity| key_of(event, identity));
        let kept = self.kept();
        let execs = kept.processes.get(&event.process).map_or(0, |standing| standing.execs);
        Ticket { key, process: event.process, execs }
    }

    fn may_be_kept(&self, event: &Description) -> bool {
        let is_file = |value: &Value| matches!(value, Value::File(_));
        let by_reference =
            !self.rules.references.is_empty() && event.cell.values.iter().any(is_file);
        !matches!(event.cell.kind, EventKind::BprmCommittedCreds | EventKind::InodeCreate)
            && event.targets.is_empty()
            && !by_reference
            && tsem::is_hashed_as_described(&event.cell, &self.rules)
    }

    /// Whether the agent has allowed this and would again; counted if so.
    pub(super) fn is_known(&self, ticket: Ticket) -> bool {
        let mut kept = self.kept();
        let fresh = kept.last_answer.is_some_and(|answer| answer.elapsed() < FRESH);
        let standing = kept.processes.get(&ticket.process).copied().unwrap_or_default();
        let known = fresh
            && !kept.over
            && standing.vouched
            && !standing.outside
            && standing.execs == ticket.execs
            && ticket.key.is_some_and(|key| kept.known.contains(&key));
        kept.hits += u64::from(known);
        known
    }

    /// Takes note of what the agent answered; `inside` if it found the event in the model.
    pub(super) fn answered(&self, ticket: Ticket, verdict: Verdict, inside: bool) {
        let mut kept = self.kept();
        kept.last_answer = Some(Instant::now());
        kept.over |= verdict == Verdict::Kill;
        let good = inside && verdict == Verdict::Allow;
        let standing = kept.processes.entry(ticket.process).or_default();
        standing.vouched |= good && standing.execs == ticket.execs;
        standing.outside |= !inside;
        if let Some(key) = ticket.key
            && good
            && kept.known.len() < KNOWN_MAX
        {
            kept.known.insert(key);
        }
    }

    /// A process is about to be something else, or has turned out not to be.
    pub(super) fn settled(&self, process: ProcessId) {
        let mut kept = self.kept();
        let standing = kept.processes.entry(process).or_default();
        standing.execs += 1;
        standing.vouched = false;
    }

    /// A process is gone.
    pub(super) fn exited(&self, process: ProcessId) {
        self.kept().processes.remove(&process);
    }

    /// Events that the agent was not shown.
    pub(super) fn hits(&self) -> u64 {
        self.kept().hits
    }

    /// How many of them the agent has not been told of; they count as told from now on.
    pub(super) fn take_untold(&self) -> u64 {
        let mut kept = self.kept();
        let untold = kept.hits - kept.told;
        kept.told = kept.hits;
        untold
    }
}

/// The whole event and who does it; `None` for what has no encoding.
fn key_of(event: &Description, identity: TaskIdentity) -> Option<Digest> {
    let mut cell = Vec::with_capacity(256);
    tsem::encode_cell(&event.cell, &mut cell).ok()?;
    let coe = tsem::encode_coe(&event.coe);
    Some(Digest::of(&[&identity.parent.0, &identity.task.0, &coe, &cell]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsem::Cell;
    use tsem::Coe;
    use tsem::File;
    use tsem::Place;

    const FIRST: ProcessId = ProcessId(1);
    /// As statfs(2) names it.
    const PROCFS: u32 = 0x9fa0;
    const INITIAL: Option<TaskIdentity> = Some(TaskIdentity::INITIAL);

    fn open(process: ProcessId, path: &str) -> Description {
        let file = File::new(Place::new(path, 0xef53), [0, 0, 0o100_644], Digest::ZERO);
        Description {
            process,
            pid: 1,
            coe: Coe::default(),
            cell: Cell { kind: EventKind::FileOpen, values: vec![file.into(), Value::Number(1)] },
            targets: Vec::new(),
        }
    }

    fn cache() -> VerdictCache {
        VerdictCache::new(Rules::default())
    }

    /// Asks an agent that allows.
    fn allow(cache: &VerdictCache, event: &Description) {
        cache.answered(cache.ticket(event, INITIAL), Verdict::Allow, true);
    }

    fn is_known(cache: &VerdictCache, event: &Description) -> bool {
        cache.is_known(cache.ticket(event, INITIAL))
    }

    #[test]
    fn what_the_agent_allowed_is_known_for_this_chain_and_this_object_alone() {
        let (cache, event) = (cache(), open(FIRST, "/a"));
        assert!(!is_known(&cache, &event));
        allow(&cache, &event);
        assert!(is_known(&cache, &event));
        assert!(!is_known(&cache, &open(FIRST, "/b")));
        let other_coe = Description { coe: Coe { euid: 1, ..Coe::default() }, ..event.clone() };
        assert!(!is_known(&cache, &other_coe));
        let other = TaskIdentity { parent: Digest::ZERO, task: Digest([1; 32]) };
        assert!(!cache.is_known(cache.ticket(&event, Some(other))));
        assert!(!cache.is_known(cache.ticket(&event, None)));
        assert_eq!((cache.hits(), cache.take_untold(), cache.take_untold()), (1, 1, 0));
    }

    #[test]
    fn a_new_process_and_a_new_program_are_asked_about_first() {
        let (cache, event) = (cache(), open(FIRST, "/a"));
        allow(&cache, &event);
        let child = open(ProcessId(2), "/a");
        assert!(!is_known(&cache, &child));
        allow(&cache, &child);
        assert!(is_known(&cache, &child));
        let before = cache.ticket(&event, INITIAL);
        cache.settled(FIRST);
        assert!(!is_known(&cache, &event));
        // An answer that was on its way when the exec happened.
        cache.answered(before, Verdict::Allow, true);
        assert!(!is_known(&cache, &event));
        cache.exited(ProcessId(2));
        assert!(!is_known(&cache, &child));
    }

    #[test]
    fn a_process_outside_the_model_is_always_asked_about() {
        let (cache, event) = (cache(), open(FIRST, "/a"));
        allow(&cache, &event);
        let late = cache.ticket(&event, INITIAL);
        cache.answered(cache.ticket(&open(FIRST, "/etc/shadow"), INITIAL), Verdict::Deny, false);
        assert!(!is_known(&cache, &event));
        // An older answer that is read only now changes nothing.
        cache.answered(late, Verdict::Allow, true);
        assert!(!is_known(&cache, &event));
        assert!(!is_known(&cache, &open(FIRST, "/etc/shadow")));
    }

    #[test]
    fn nothing_is_known_once_the_namespace_is_to_end() {
        let (cache, event) = (cache(), open(FIRST, "/a"));
        allow(&cache, &event);
        cache.answered(cache.ticket(&open(ProcessId(2), "/x"), INITIAL), Verdict::Kill, false);
        assert!(!is_known(&cache, &event));
    }

    #[test]
    fn nothing_is_known_of_an_agent_that_is_silent() {
        let (cache, event) = (cache(), open(FIRST, "/a"));
        allow(&cache, &event);
        cache.kept().last_answer = Instant::now().checked_sub(FRESH);
        assert!(!is_known(&cache, &event));
    }

    #[test]
    fn what_a_rule_or_another_process_has_a_part_in_is_never_kept() {
        let mut rules = Rules::default();
        rules.add_line("name /tmp/{alnum} made").unwrap();
        let cache = VerdictCache::new(rules);
        let target = Description { targets: vec![None], ..open(FIRST, "/a") };
        let mut procfs = open(FIRST, "/proc/1/maps");
        if let Some(Value::File(file)) = procfs.cell.values.first_mut() {
            file.place.file_system = PROCFS;
        }
        for event in [open(FIRST, "/tmp/x1"), procfs, target] {
            allow(&cache, &event);
            assert!(!is_known(&cache, &event), "{}", event.cell);
        }
        allow(&cache, &open(FIRST, "/a"));
        assert!(is_known(&cache, &open(FIRST, "/a")));
    }
}
