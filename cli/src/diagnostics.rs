//! What the libraries have to say beside their results: `tracing` events, for stderr.
//!
//! Targets are audiences: `audit` is what a security engineer keeps, `user` what the user can act on,
//! `dev` what a developer needs. Nothing is written from where it happens: the thread that answers the
//! workload must not wait for whoever reads stderr. What an attacker can trigger is limited in rate
//! by the place in the source, and what is held back is counted.

use std::collections::HashMap;
use std::env;
use std::io;
use std::mem;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use crate::allowance::Allowance;
use crate::failure::Failure;
use crate::failure::Outcome;
use crate::output;
use crate::terminal::attention;

const VARIABLE: &str = "QUIXOTE_LOG";
/// So many lines wait to be written.
const WAITING_MAX: usize = 50;

static WAITING: Mutex<Waiting> = Mutex::new(Waiting::new());

struct Waiting {
    lines: Vec<String>,
    held_back: u64,
}

impl Waiting {
    const fn new() -> Self {
        Self { lines: Vec::new(), held_back: 0 }
    }

    fn add(&mut self, line: &str) {
        if self.lines.len() < WAITING_MAX {
            self.lines.push(format!("quixote: {}\n", output::printable(line.trim())));
        } else {
            self.held_back += 1;
        }
    }
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Collects diagnostics from now on, of what the variable `QUIXOTE_LOG` says.
pub(crate) fn collect() -> Outcome<()> {
    let said = env::var_os(VARIABLE).unwrap_or_default();
    let chosen = said.to_str().and_then(targets).ok_or_else(|| {
        Failure::new(format_args!("{VARIABLE} is no list of targets and levels"))
            .at(said.to_string_lossy())
            .next("name targets as in audit=warn,user=warn,dev=debug, or one level for all")
    })?;
    let lines =
        fmt::layer().compact().without_time().with_ansi(false).with_writer(Lines::default());
    orchestrator::kernel::trace_libbpf();
    // Only `main` sets it, once.
    let _ = tracing_subscriber::registry().with(lines.with_filter(chosen)).try_init();
    Ok(())
}

/// What is told; by default what matters to people who keep a workload, and failures.
fn targets(said: &str) -> Option<Targets> {
    if said.is_empty() {
        let levels = [("audit", LevelFilter::WARN), ("user", LevelFilter::WARN)];
        return Some(Targets::new().with_targets(levels).with_target("dev", LevelFilter::ERROR));
    }
    said.parse().ok()
}

/// Whether there are lines to be written.
pub(crate) fn wait_to_be_told() -> bool {
    !waiting().lines.is_empty()
}

/// The lines that wait, to be written.
pub(crate) fn take() -> Vec<String> {
    mem::take(&mut waiting().lines)
}

/// Writes what still waits, and how much was held back.
pub(crate) fn write_rest() {
    let rest = mem::replace(&mut *waiting(), Waiting::new());
    rest.lines.iter().for_each(|line| output::note(line));
    if rest.held_back > 0 {
        let more = output::counted(rest.held_back, "more diagnostic");
        output::note(&format!("quixote: {more} not told here\n"));
    }
}

/// Gives each place in the source that tells something its allowance.
#[derive(Default)]
struct Lines {
    allowances: Mutex<HashMap<tracing::callsite::Identifier, Allowance>>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { may: true }
    }

    fn make_writer_for(&'a self, event: &tracing::Metadata<'_>) -> Line {
        // Only who asks for it is told what is no failure, and asks for all of it.
        if event.target() == "dev" && *event.level() != tracing::Level::ERROR {
            return Line { may: true };
        }
        let now = Instant::now();
        let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = allowances.entry(event.callsite()).or_insert_with(|| Allowance::new(now));
        Line { may: allowance.take(now) }
    }
}

/// Takes one line, whole.
struct Line {
    may: bool,
}

impl io::Write for Line {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut waiting = waiting();
        if self.may {
            waiting.add(&String::from_utf8_lossy(octets));
        } else {
            waiting.held_back += 1;
        }
        drop(waiting);
        attention::call();
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn audiences_have_levels() {
        let silent = targets("").unwrap();
        assert!(silent.would_enable("audit", &Level::WARN));
        assert!(silent.would_enable("dev", &Level::ERROR));
        assert!(!silent.would_enable("dev", &Level::DEBUG));
        assert!(!silent.would_enable("libbpf", &Level::ERROR));
        assert!(targets("dev=debug").unwrap().would_enable("dev", &Level::DEBUG));
        assert!(targets("dev=loud").is_none());
    }

    #[test]
    fn a_flood_is_held_back_and_counted() {
        let lines = fmt::layer().compact().without_time().with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(lines.with_writer(Lines::default()));
        tracing::subscriber::with_default(subscriber, || {
            for pid in 0..1000 {
                tracing::warn!(target: "audit", pid, "a program\x1b[2J was exchanged");
            }
            tracing::error!(target: "user", "another place");
        });
        let told = mem::replace(&mut *waiting(), Waiting::new());
        assert_eq!(told.lines.len() as u64 + told.held_back, 1001);
        assert!(told.lines.len() < 15, "{:?}", told.lines);
        assert!(told.lines[0].contains("audit: a program"), "{:?}", told.lines);
        assert!(told.lines[0].ends_with("was exchanged pid=0\n"), "{:?}", told.lines);
        assert!(!told.lines[0].contains('\x1b'), "{:?}", told.lines);
        assert!(told.lines.last().unwrap().contains("user: another place"));
    }
}
