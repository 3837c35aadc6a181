//! Processes that have ended. Each stays known until somebody has waited for it: until then a signal
//! may name it, and a hook that began before may still tell of it.

use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use tsem::ProcessId;

use crate::namespace;
use crate::namespace::Namespace;
use crate::sys;

/// What names a process that is gone has been told by then: hooks do not sleep while they hold one.
const GRACE: Duration = Duration::from_millis(10);
/// Between two looks at a process that nobody has waited for yet.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Those that are not forgotten yet.
#[derive(Debug, Default)]
pub(crate) struct Ended(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    process: ProcessId,
    pid: u32,
    /// Since when nobody can name it any more.
    gone: Option<Instant>,
    next_look: Instant,
    pause: Duration,
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Somebody has waited for it: we did, with this status, or its parent.
    Gone(Option<i32>),
    /// It has not ended quite yet, or waits for its parent.
    Waits,
}

impl Ended {
    pub(crate) fn add(&mut self, process: ProcessId, pid: u32) {
        let next_look = Instant::now();
        self.0.push(Entry { process, pid, gone: None, next_look, pause: PAUSE_MIN });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How long nothing has to be looked at; at most `PAUSE_MAX`.
    pub(crate) fn pause(&self) -> Duration {
        let now = Instant::now();
        let due = |entry: &Entry| entry.gone.map_or(entry.next_look, |since| since + GRACE);
        let next = self.0.iter().map(due).min();
        next.map_or(PAUSE_MAX, |next| {
            next.saturating_duration_since(now).clamp(PAUSE_MIN, PAUSE_MAX)
        })
    }

    /// Looks at those that are due, and gives those to be forgotten: gone since before the ring was
    /// read last, and for `GRACE`, or at once where `nobody_is_left`.
    pub(crate) fn look(
        &mut self,
        nobody_is_left: bool,
        mut fate: impl FnMut(ProcessId, u32) -> Fate,
        mut reaped: impl FnMut(u32, Option<i32>),
    ) -> Vec<ProcessId> {
        let now = Instant::now();
        let mut forgotten = Vec::new();
        self.0.retain_mut(|entry| {
            if let Some(since) = entry.gone {
                let forget = nobody_is_left || now.duration_since(since) >= GRACE;
                if forget {
                    forgotten.push(entry.process);
                }
                return !forget;
            }
            if now < entry.next_look {
                return true;
            }
            match fate(entry.process, entry.pid) {
                Fate::Gone(status) => {
                    reaped(entry.pid, status);
                    entry.gone = Some(now);
                }
                Fate::Waits => {
                    entry.next_look = now + entry.pause;
                    entry.pause = (entry.pause * 2).min(PAUSE_MAX);
                }
            }
            true
        });
        forgotten
    }
}

/// Waits for a process if it is a child of ours and has ended.
pub(crate) fn fate(namespace: &Namespace, process: ProcessId, pid: u32) -> Fate {
    match namespace::hold_process(namespace, process, pid) {
        Ok(Some(pidfd)) => {
            sys::reap(pidfd.as_fd()).map_or(Fate::Waits, |status| Fate::Gone(Some(status)))
        }
        Ok(None) => Fate::Gone(None),
        Err(_) => Fate::Waits,
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const ONE: ProcessId = ProcessId(1);

    #[test]
    fn one_that_nobody_has_waited_for_stays_known() {
        let mut ended = Ended::default();
        ended.add(ONE, 7);
        let mut pause = Duration::ZERO;
        for _ in 0..8 {
            sleep(pause);
            let forgotten = ended.look(true, |_, _| Fate::Waits, |_, _| unreachable!());
            assert_eq!(forgotten, []);
            pause = ended.pause();
        }
        assert!(pause > 2 * PAUSE_MIN, "looked at ever more seldom");
        let mut statuses = Vec::new();
        sleep(PAUSE_MAX);
        let gone = |process, pid| {
            assert_eq!((process, pid), (ONE, 7));
            Fate::Gone(Some(9))
        };
        assert_eq!(ended.look(true, gone, |pid, status| statuses.push((pid, status))), []);
        assert_eq!(statuses, [(7, Some(9))]);
        assert_eq!(ended.look(true, |_, _| unreachable!(), |_, _| unreachable!()), [ONE]);
        assert!(ended.is_empty());
    }

    #[test]
    fn what_a_hook_still_tells_of_one_that_is_gone_finds_it() {
        let mut ended = Ended::default();
        ended.add(ONE, 7);
        assert_eq!(ended.look(false, |_, _| Fate::Gone(None), |_, _| {}), []);
        assert_eq!(ended.look(false, |_, _| unreachable!(), |_, _| unreachable!()), []);
        sleep(GRACE);
        assert_eq!(ended.look(false, |_, _| unreachable!(), |_, _| unreachable!()), [ONE]);
    }
}
