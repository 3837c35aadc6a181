//! The descriptions that an agent with little memory does not keep, and what will be allowed.
//!
//! Such an agent knows digests only. The shadow is an engine in the orchestrator that is shown the
//! same events under the same rules, so that a model can be learned and a violation be told in
//! words. Verdicts, state, measurement and counts are the agent's; where a hook cannot wait, and so
//! decides by the model whatever the agent is, the shadow foretells what rules of the model allow.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tsem::Bounds;
use tsem::Description;
use tsem::Digest;
use tsem::Effect;
use tsem::Engine;
use tsem::ExecOutcome;
use tsem::Forensic;
use tsem::Observation;
use tsem::ProcessId;
use tsem::Setup;
use tsem::TaskIdentity;

use super::Orders;

/// An engine that describes and foretells.
pub(super) struct Shadow(Mutex<Engine>);

impl Shadow {
    pub(super) fn new(orders: &Orders<'_>) -> Self {
        let setup = Setup {
            mode: orders.mode,
            on_violation: orders.on_violation,
            rules: orders.rules.clone(),
            references: orders.references.clone(),
            platform: orders.platform,
            bounds: Bounds::default(),
        };
        Self(Mutex::new(Engine::new(setup, orders.coefficients.iter().copied())))
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn started(&self, process: ProcessId) {
        self.engine().started(process);
    }

    pub(super) fn forked(&self, parent: ProcessId, child: ProcessId) {
        self.engine().forked(parent, child);
    }

    pub(super) fn exited(&self, process: ProcessId) {
        self.engine().exited(process);
    }

    pub(super) fn exec_settled(&self, process: ProcessId, outcome: ExecOutcome) {
        self.engine().exec_settled(process, outcome);
    }

    pub(super) fn effect(&self, process: ProcessId, effect: &Effect<'_>) {
        self.engine().effect(process, effect);
    }

    /// Takes note of an event that the agent has judged.
    pub(super) fn judged(&self, event: &Description) {
        let _ = self.engine().judge(event);
    }

    /// Whether the agent would allow an event, by its rules and what it was told.
    pub(super) fn would_allow(&self, event: &Description) -> bool {
        self.engine().would_allow(event)
    }

    /// A violation that the agent has found, by its coefficient, with the programs that led to it
    /// and the identity of the process that tried.
    pub(super) fn violation(
        &self,
        coefficient: Digest,
    ) -> Option<(Forensic, Vec<String>, TaskIdentity)> {
        let engine = self.engine();
        let forensics = engine.forensics().iter().rev();
        let found = forensics.into_iter().find(|kept| kept.coefficient == coefficient)?;
        let task = found.event.task;
        let chain = crate::chain::names(engine.observation(), task);
        let acting = engine.identities().get(task.0 as usize).copied();
        Some((found.clone(), chain, acting.unwrap_or(TaskIdentity::INITIAL)))
    }

    /// Trajectory, forensics, and how many of these were not kept.
    pub(super) fn record(&self) -> (Observation, Vec<Forensic>, u64) {
        let engine = self.engine();
        let dropped = engine.counts().forensics_dropped;
        (engine.observation().clone(), engine.forensics().to_vec(), dropped)
    }
}
