//! Staying with a workload that runs: its signals are passed on, and the user is told what happens.
//!
//! Whole lines only, and only when the screen is ours: what a full-screen program shows is not
//! written over, its messages wait for the end of the run. What an attacker can trigger is limited
//! in rate, and what is held back is counted.

use std::collections::VecDeque;
use std::io;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use orchestrator::workload::Running;

use super::denial::Denial;
use super::watch::Progress;
use super::watch::Violation;
use super::watch::Watch;
use crate::allowance::Allowance;
use crate::diagnostics;
use crate::output;
use crate::terminal::screen;
use crate::terminal::screen::Screen;
use crate::terminal::signals::Caught;

/// How often one looks whether what waits can be told.
const TICK: Duration = Duration::from_millis(100);
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

/// What was told, and what waits.
pub(crate) struct Desk {
    watch: Arc<Watch>,
    seen: Receiver<Violation>,
    telling: Telling,
    held: VecDeque<String>,
    held_back: u64,
    allowance: Allowance,
    told: Progress,
    told_at: Instant,
    shows_progress: bool,
    /// What a program shows there is not written over, so it is looked at again and again.
    on_terminal: bool,
    taken: Option<Instant>,
    /// Writes, and need not be waited for: nobody may be reading.
    writer: Option<JoinHandle<()>>,
}

impl Desk {
    pub(crate) fn new(watch: Arc<Watch>, seen: Receiver<Violation>, telling: Telling) -> Self {
        let on_terminal = !telling.quiet && io::stderr().is_terminal();
        let shows_progress = telling.progress && on_terminal;
        Self {
            watch,
            seen,
            telling,
            held: VecDeque::new(),
            held_back: 0,
            allowance: Allowance::new(Instant::now()),
            told: Progress::default(),
            told_at: Instant::now(),
            shows_progress,
            on_terminal,
            taken: None,
            writer: None,
        }
    }

    /// Whether a line can be written now without being lost or in the way.
    fn screen_is_free(&mut self) -> bool {
        if screen::look() == Screen::Taken {
            self.taken = Some(Instant::now());
        }
        self.taken.is_none_or(|taken| taken.elapsed() >= SETTLING)
    }

    /// Passes on signals, tells what happens and has others answered until the workload has ended.
    ///
    /// # Errors
    ///
    /// Nothing can be waited for.
    pub(crate) fn stay(&mut self, caught: &Caught, running: &Running) -> io::Result<()> {
        loop {
            self.take_violations();
            self.tick();
            if caught.wait(running, self.pause())? {
                return Ok(());
            }
        }
    }

    /// Until the next look; without one, until somebody calls.
    fn pause(&self) -> Option<Duration> {
        let waits = !self.held.is_empty() || diagnostics::wait_to_be_told();
        (self.on_terminal || waits && !self.telling.quiet).then_some(TICK)
    }

    fn take_violations(&mut self) {
        while let Ok(violation) = self.seen.try_recv() {
            self.violation(&violation);
        }
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
        if now != self.told && self.screen_is_free() && !self.is_writing() {
            let (name, program) = (&self.telling.name, self.watch.program());
            let line = progress_line(name, self.told, now, &program);
            self.told = now;
            self.write(line);
        }
    }

    fn write_if_free(&mut self) {
        let free = self.screen_is_free();
        if free && !self.telling.quiet && !self.is_writing() {
            let text = self.held();
            self.write(text);
        }
    }

    /// What is held, to be told.
    fn held(&mut self) -> String {
        self.held.drain(..).chain(diagnostics::take()).collect()
    }

    fn is_writing(&mut self) -> bool {
        if self.writer.as_ref().is_some_and(|writer| !writer.is_finished()) {
            return true;
        }
        self.await_writer();
        false
    }

    fn await_writer(&mut self) {
        // One that panicked has said so.
        let _ = self.writer.take().map(JoinHandle::join);
    }

    /// Has it written, by a thread for as long as that takes: signals are passed on meanwhile.
    fn write(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        let text = Arc::new(text);
        let written = text.clone();
        let writer = thread::Builder::new().name("writer".into());
        match writer.spawn(move || output::note(&written)) {
            Ok(writer) => self.writer = Some(writer),
            // The workload may have taken all the threads there are.
            Err(_) => output::note(&text),
        }
    }

    /// Tells what is still to be told. The workload has ended.
    pub(crate) fn close(mut self) {
        self.take_violations();
        self.await_writer();
        output::note(&self.held());
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
