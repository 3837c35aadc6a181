//! Runs a command under the portable source with an agent that allows everything.
//!
//! With `TRACE` set, events are printed; for measurements it is silent.
use std::sync::Arc;

use portable_source::Launch;
use tsem::Agent;
use tsem::Description;
use tsem::Effect;
use tsem::ExecOutcome;
use tsem::Loss;
use tsem::ProcessId;
use tsem::Verdict;

struct Printer(bool);

impl Agent for Printer {
    fn started(&self, _: ProcessId) {}
    fn forked(&self, parent: ProcessId, child: ProcessId) {
        if self.0 {
            eprintln!("{parent:?} -> {child:?}");
        }
    }
    fn exited(&self, process: ProcessId) {
        if self.0 {
            eprintln!("{process:?} exited");
        }
    }
    fn judge(&self, event: &Description) -> Verdict {
        if self.0 {
            let places: Vec<_> =
                event.places().map(|p| String::from_utf8_lossy(&p.path).into_owned()).collect();
            let name = event.cell.kind.name();
            eprintln!("{:?} {name} {}", event.process, places.join(" "));
        }
        Verdict::Allow
    }
    fn exec_settled(&self, process: ProcessId, outcome: ExecOutcome) {
        if self.0 {
            eprintln!("{process:?} {outcome:?}");
        }
    }
    fn effect(&self, _: ProcessId, _: &Effect<'_>) {}
    fn lost(&self, process: Option<ProcessId>, loss: Loss) {
        eprintln!("lost {process:?} {loss:?}");
    }
}

fn main() {
    let launch = Launch::new(std::env::args_os().skip(1));
    let agent = Arc::new(Printer(std::env::var_os("TRACE").is_some()));
    let running = launch.prepare().and_then(|prepared| prepared.start(agent));
    match running {
        Ok(running) => {
            let status = running.wait();
            running.wait_for_all();
            std::process::exit(status.code().unwrap_or(128));
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(125);
        }
    }
}
