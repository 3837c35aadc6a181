//! The agent in the orchestrator itself: the engine behind a lock.
//!
//! Every verdict is formed under the lock, so that the order of events that the measurement
//! extends is the order in which they were decided.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tsem::Agent;
use tsem::Description;
use tsem::Digest;
use tsem::Effect;
use tsem::Engine;
use tsem::ExecOutcome;
use tsem::Loss;
use tsem::ProcessId;
use tsem::TaskIdentity;
use tsem::Verdict;

use crate::agent::AgentError;
use crate::agent::Attested;
use crate::agent::NamespaceAgent;
use crate::agent::Observer;
use crate::agent::Snapshot;

/// The engine behind a lock.
pub struct LocalAgent {
    engine: Mutex<Engine>,
    observer: Arc<dyn Observer>,
}

impl LocalAgent {
    /// An agent around an engine.
    pub fn new(engine: Engine, observer: Arc<dyn Observer>) -> Self {
        Self { engine: Mutex::new(engine), observer }
    }

    /// The engine. A thread that panicked while it held the lock cannot have left it half
    /// changed in a way that turns a denial into leave: the model only grows in free mode, or to
    /// what another one has that was to be put in force.
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the engine do something, and says what for when that was lost to it.
    fn told<T>(&self, what: &str, process: ProcessId, act: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.engine();
        let before = engine.counts();
        let done = act(&mut engine);
        let after = engine.counts();
        drop(engine);
        if after.losses() > before.losses() {
            let (process, too_large) = (process.0, after.too_large > before.too_large);
            tracing::warn!(target: "audit", what, process, too_large, "an event is lost to the agent");
        }
        done
    }
}

impl Agent for LocalAgent {
    fn started(&self, process: ProcessId) {
        self.told("start", process, |engine| engine.started(process));
    }

    fn forked(&self, parent: ProcessId, child: ProcessId) {
        self.told("fork", parent, |engine| engine.forked(parent, child));
    }

    fn exited(&self, process: ProcessId) {
        self.told("exit", process, |engine| engine.exited(process));
    }

    fn judge(&self, event: &Description) -> Verdict {
        let (judged, told) = self.told(event.cell.kind.name(), event.process, |engine| {
            let judged = engine.judge(event);
            let told = judged.first && judged.violation.is_some();
            let told = told.then(|| engine.forensics().last().cloned()).flatten();
            let told = told.map(|forensic| {
                let chain = crate::chain::names(engine.observation(), forensic.event.task);
                let acting = engine.identities().get(forensic.event.task.0 as usize).copied();
                (forensic, chain, acting.unwrap_or(TaskIdentity::INITIAL))
            });
            (judged, told)
        });
        self.observer.judged(event, judged.first);
        if let Some((forensic, chain, acting)) = told {
            self.observer.violation(&forensic, &chain, acting);
        }
        judged.verdict
    }

    fn would_allow(&self, event: &Description) -> bool {
        self.engine().would_allow(event)
    }

    fn executing(&self, process: ProcessId) -> Option<TaskIdentity> {
        self.engine().executing(process)
    }

    fn exec_settled(&self, process: ProcessId, outcome: ExecOutcome) {
        self.told("end of an exec", process, |engine| engine.exec_settled(process, outcome));
    }

    fn effect(&self, process: ProcessId, effect: &Effect<'_>) {
        self.engine().effect(process, effect);
    }

    fn lost(&self, _: Option<ProcessId>, loss: Loss) {
        self.engine().lost(loss);
        self.observer.lost(loss);
    }
}

impl NamespaceAgent for LocalAgent {
    fn snapshot(&self) -> Result<Snapshot, AgentError> {
        let engine = self.engine();
        Ok(Snapshot {
            state: engine.state(),
            measurement: engine.measurement(),
            counts: engine.counts(),
            observation: engine.observation().clone(),
            forensics: engine.forensics().to_vec(),
            coefficients: engine.coefficients(),
            cached: 0,
        })
    }

    fn attest(&self, _: &[u8]) -> Result<Attested, AgentError> {
        Err(AgentError::NoKey)
    }

    fn may_replace_model(&self, coefficients: &[Digest]) -> Result<(), AgentError> {
        let engine = self.engine();
        let fits = engine.has_room_for(coefficients.iter().copied());
        if fits { Ok(()) } else { Err(too_large(&engine)) }
    }

    fn replace_model(&self, coefficients: &[Digest]) -> Result<(), AgentError> {
        let mut engine = self.engine();
        let replaced = engine.replace_model(coefficients.iter().copied());
        replaced.map_err(|_| too_large(&engine))
    }

    fn close(&self) {}

    fn fault(&self) -> Option<AgentError> {
        None
    }

    fn unasked(&self) -> u64 {
        0
    }
}

fn too_large(engine: &Engine) -> AgentError {
    AgentError::TooLarge(engine.setup().bounds.coefficients)
}
