//! What the threads that serve a workload tell: counted at once, told later by the one that stays with it.
//!
//! The threads that serve a workload must never wait for a terminal. What does not fit into the
//! bounded queue is counted instead.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;

use orchestrator::agent::AgentError;
use orchestrator::agent::Observer;
use tsem::Description;
use tsem::EventKind;
use tsem::Forensic;
use tsem::Loss;
use tsem::TaskIdentity;

use crate::terminal::attention;

/// More violations than this, unread, are only counted.
const QUEUE: usize = 256;

/// The counting side.
#[derive(Debug)]
pub(crate) struct Watch {
    judged: AtomicU64,
    first: AtomicU64,
    lost: AtomicU64,
    untold: AtomicU64,
    program: Mutex<String>,
    violations: SyncSender<Violation>,
}

/// An event outside the model, and the programs that led to it.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) forensic: Forensic,
    pub(crate) chain: Vec<String>,
    /// Identity of the process that tried.
    pub(crate) acting: TaskIdentity,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Events judged.
    pub(crate) events: u64,
    /// Distinct ones among them.
    pub(crate) distinct: u64,
    /// Events that could not be judged.
    pub(crate) lost: u64,
}

/// A watch, and where its violations come out.
pub(crate) fn pair() -> (Watch, Receiver<Violation>) {
    let (violations, receiver) = mpsc::sync_channel(QUEUE);
    let watch = Watch {
        judged: AtomicU64::new(0),
        first: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        untold: AtomicU64::new(0),
        program: Mutex::new(String::new()),
        violations,
    };
    (watch, receiver)
}

impl Watch {
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            events: self.judged.load(Ordering::Relaxed),
            distinct: self.first.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// The program that was executed last.
    pub(crate) fn program(&self) -> String {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Violations that did not fit into the queue.
    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }
}

impl Observer for Watch {
    fn judged(&self, event: &Description, first: bool) {
        self.judged.fetch_add(1, Ordering::Relaxed);
        if !first {
            return;
        }
        self.first.fetch_add(1, Ordering::Relaxed);
        if event.cell.kind == EventKind::BprmCommittedCreds {
            let program = orchestrator::chain::program(&event.cell);
            *self.program.lock().unwrap_or_else(PoisonError::into_inner) = program;
        }
    }

    fn violation(&self, forensic: &Forensic, chain: &[String], acting: TaskIdentity) {
        let violation = Violation { forensic: forensic.clone(), chain: chain.to_vec(), acting };
        if self.violations.try_send(violation).is_err() {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        attention::call();
    }

    fn lost(&self, _: Loss) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn agent_lost(&self, error: &AgentError) {
        let text =
            format!("quixote: the agent is lost, everything is denied from now on: {error}\n");
        crate::output::note(&text);
    }
}
