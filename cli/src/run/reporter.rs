//! The thread that tells the user what happens while a workload runs.
//!
//! Whole lines only, and only when the screen is ours: what a full-screen program shows is not
//! written over, its messages wait for the end of the run. What an attacker can trigger is limited
//! in rate, and what is held back is counted.

use std::collections::VecDeque;
use std::io;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use super::denial::Denial;
use super::watch::Progress;
use super::watch::Violation;
use super::watch::Watch;
use crate::allowance::Allowance;
use crate::diagnostics;
use crate::output;
use crate::terminal::screen;
use crate::terminal::screen::Screen;

/// How often the reporter looks whether what waits can be told.
const TICK: Duration = Duration::from_millis(100);
/// The same while nothing waits; violations and the end wake it.
const IDLE: Duration = Duration::from_secs(1);
/// Progress is told no more often than this.
const BETWEEN_PROGRESS: Duration = Duration::from_secs(2);
/// A program that has just given the terminal back may still clear the screen.
const SETTLING: Duration = Duration::from_secs(1);
/// So many messages wait for the screen.
const HELD_MAX: usize = 20;

/// What to tell, and when.
pub(crate) struct Telling {
    /// The namespace.
    pub(crate) name: String,
    /// Say how learning goes on, if stderr is a terminal.
    pub(crate) progress: bool,
    /// Hold everything until the end.
    pub(crate) quiet: bool,
    /// Tells a violation; none while learning.
    pub(crate) denial: Option<Denial>,
}

/// The thread, to be ended.
pub(crate) struct Reporter {
    ended: Arc<AtomicBool>,
    watch: Arc<Watch>,
    thread: JoinHandle<()>,
}

/// Starts telling.
pub(crate) fn start(
    watch: Arc<Watch>,
    seen: Receiver<Option<Violation>>,
    telling: Telling,
) -> io::Result<Reporter> {
    let ended = Arc::new(AtomicBool::new(false));
    let mut desk = Desk::new(watch.clone(), telling);
    let end = ended.clone();
    let thread = thread::Builder::new().name("reporter".into()).spawn(move || {
        while !end.load(Ordering::Acquire) {
            match seen.recv_timeout(desk.pause()) {
                Ok(Some(violation)) => desk.violation(&violation),
                Ok(None) => {}
                Err(RecvTimeoutError::Timeout) => desk.tick(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        for violation in seen.try_iter().flatten() {
            desk.violation(&violation);
        }
        desk.close();
    })?;
    Ok(Reporter { ended, watch, thread })
}

impl Reporter {
    /// Tells what is still to be told. The workload has ended.
    pub(crate) fn finish(self) {
        self.ended.store(true, Ordering::Release);
        self.watch.wake();
        // A reporter that panicked has said so itself; the run's result does not depend on it.
        let _ = self.thread.join();
    }
}

/// What was told, and what waits.
struct Desk {
    watch: Arc<Watch>,
    telling: Telling,
    held: VecDeque<String>,
    held_back: u64,
    allowance: Allowance,
    told: Progress,
    told_at: Instant,
    shows_progress: bool,
    taken: Option<Instant>,
}

impl Desk {
    fn new(watch: Arc<Watch>, telling: Telling) -> Self {
        let shows_progress = telling.progress && !telling.quiet && io::stderr().is_terminal();
        Self {
            watch,
            telling,
            held: VecDeque::new(),
            held_back: 0,
            allowance: Allowance::new(Instant::now()),
            told: Progress::default(),
            told_at: Instant::now(),
            shows_progress,
            taken: None,
        }
    }

    /// Whether a line can be written now without being lost or in the way.
    fn screen_is_free(&mut self) -> bool {
        if screen::look() == Screen::Taken {
            self.taken = Some(Instant::now());
        }
        self.taken.is_none_or(|taken| taken.elapsed() >= SETTLING)
    }

    fn pause(&self) -> Duration {
        if self.shows_progress || !self.held.is_empty() { TICK } else { IDLE }
    }

    fn violation(&mut self, violation: &Violation) {
        let Some(denial) = &mut self.telling.denial else { return };
        if self.held.len() >= HELD_MAX || !self.allowance.take(Instant::now()) {
            self.held_back += 1;
            return;
        }
        self.held.push_back(denial.tell(&self.telling.name, violation));
        self.write_if_free();
    }

    fn tick(&mut self) {
        self.write_if_free();
        if self.shows_progress && self.told_at.elapsed() >= BETWEEN_PROGRESS {
            self.progress();
        }
    }

    fn progress(&mut self) {
        let now = self.watch.progress();
        self.told_at = Instant::now();
        if now != self.told && self.screen_is_free() {
            let (name, program) = (&self.telling.name, self.watch.program());
            output::note(&progress_line(name, self.told, now, &program));
            self.told = now;
        }
    }

    fn write_if_free(&mut self) {
        let free = self.screen_is_free();
        if free && !self.telling.quiet {
            self.write_held();
        }
    }

    fn write_held(&mut self) {
        for message in self.held.drain(..).chain(diagnostics::take()) {
            output::note(&message);
        }
    }

    fn close(mut self) {
        self.write_held();
        let held_back = self.held_back + self.watch.untold();
        if held_back > 0 && self.telling.denial.is_some() {
            let name = &self.telling.name;
            output::note(&format!(
                "quixote: {held_back} more, not told here; see: quixote show {name} forensics\n"
            ));
        }
    }
}

fn progress_line(name: &str, before: Progress, now: Progress, program: &str) -> String {
    let new = now.distinct - before.distinct;
    let lost = if now.lost > 0 { format!(", {} lost", now.lost) } else { String::new() };
    format!(
        "quixote: learning {name}: {}, {} distinct (+{new}){lost}; last program {}\n",
        output::counted(now.events, "event"),
        now.distinct,
        output::printable(program)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_is_new() {
        let before = Progress { events: 10, distinct: 4, lost: 0 };
        let now = Progress { events: 30, distinct: 9, lost: 1 };
        let line = progress_line("web", before, now, "/bin/sh");
        assert_eq!(
            line,
            "quixote: learning web: 30 events, 9 distinct (+5), 1 lost; last program /bin/sh\n"
        );
    }
}
