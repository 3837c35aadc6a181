//! Runs a command under the kernel source and prints its events: what the kernel saw.
//!
//! `run [--model] CMD...`: with every coefficient computed in the kernel too and compared.

use std::sync::Mutex;
use std::sync::PoisonError;

use tsem::Agent;
use tsem::Bounds;
use tsem::Description;
use tsem::Effect;
use tsem::Engine;
use tsem::ExecOutcome;
use tsem::Loss;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ProcessId;
use tsem::Rules;
use tsem::Setup;
use tsem::TaskIdentity;
use tsem::Verdict;

struct Printing(Mutex<Engine>);

impl Printing {
    fn engine(&self) -> std::sync::MutexGuard<'_, Engine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent for Printing {
    fn started(&self, process: ProcessId) {
        self.engine().started(process);
    }

    fn forked(&self, parent: ProcessId, child: ProcessId) {
        self.engine().forked(parent, child);
    }

    fn exited(&self, process: ProcessId) {
        self.engine().exited(process);
    }

    fn judge(&self, event: &Description) -> Verdict {
        let judgement = self.engine().judge(event);
        if judgement.first {
            eprintln!("{:?} {}", event.process, event.cell);
        }
        judgement.verdict
    }

    fn executing(&self, process: ProcessId) -> Option<TaskIdentity> {
        self.engine().executing(process)
    }

    fn exec_settled(&self, process: ProcessId, outcome: ExecOutcome) {
        self.engine().exec_settled(process, outcome);
    }

    fn effect(&self, process: ProcessId, effect: &Effect<'_>) {
        self.engine().effect(process, effect);
    }

    fn lost(&self, process: Option<ProcessId>, loss: Loss) {
        eprintln!("lost: {process:?} {loss:?}");
        self.engine().lost(loss);
    }
}

fn main() -> Result<(), kernel_source::LaunchError> {
    let setup = Setup {
        mode: Mode::Free,
        on_violation: OnViolation::Untrust,
        rules: Rules::default(),
        platform: Platform::NONE,
        references: tsem::References::default(),
        bounds: Bounds::default(),
    };
    let agent = std::sync::Arc::new(Printing(Mutex::new(Engine::new(setup, []))));
    let mut launch = kernel_source::Launch::new(std::env::args_os().skip(1));
    launch.compare = true;
    launch.unruled =
        std::sync::Arc::new(|cell| tsem::is_hashed_as_described(cell, &Rules::default()));
    let running = launch.prepare()?.start(agent.clone())?;
    let status = running.wait();
    running.wait_for_all();
    let engine = agent.engine();
    println!("{status}; {:?}", engine.counts());
    println!("{:?}", running.counts());
    println!("{} coefficients, state {}", engine.good(), engine.state().to_hex());
    Ok(())
}
