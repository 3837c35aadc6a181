//! The orchestrator's own record of who a process is.
//!
//! An agent forms identities itself and believes none. So that a disagreement shows at once, every
//! event is sent with the identity that its process has by this record, and the agent refuses one
//! that does not follow from its own. The record is an engine that is shown what identities follow
//! from: forks, execs, and which files the namespace made. It decides nothing.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tsem::Bounds;
use tsem::Description;
use tsem::Engine;
use tsem::EventKind;
use tsem::Mode;
use tsem::OnViolation;
use tsem::ProcessId;
use tsem::Setup;
use tsem::TaskIdentity;

use super::Orders;

/// An engine that only follows chains of execs.
pub(super) struct Witness(Mutex<Engine>);

impl Witness {
    pub(super) fn new(orders: &Orders<'_>) -> Self {
        let setup = Setup {
            mode: Mode::Free,
            on_violation: OnViolation::Deny,
            rules: orders.rules.clone(),
            references: orders.references.clone(),
            platform: orders.platform,
            bounds: Bounds::default(),
        };
        Self(Mutex::new(Engine::new(setup, [])))
    }

    /// The record itself, to be told what happens to processes and files.
    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who a process is now.
    pub(super) fn identity(&self, process: ProcessId) -> Option<TaskIdentity> {
        self.engine().identity(process)
    }

    /// The agent has allowed an event; of an exec, the identity that follows is kept until it is
    /// settled.
    pub(super) fn allowed(&self, event: &Description) {
        if event.cell.kind == EventKind::BprmCommittedCreds {
            let _ = self.engine().judge(event);
        }
    }
}
