//! The threads that serve notifications, and how many of them wait for one.
//!
//! Every notification wakes all who wait for one, so few do; the others are parked. One who is
//! about to block, or who is busy for long, is replaced first, so that no call stalls another.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread::available_parallelism;

/// One who is still handing over its answer is no hindrance to the next notification.
const WAITING_MAX: usize = 2;
const PARKED_MAX: usize = 16;

/// Counts them.
#[derive(Debug)]
pub(crate) struct Crew {
    state: Mutex<State>,
    called: Condvar,
    /// So many at work at once are worth it.
    processors: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Waiting for a notification, or called to.
    waiting: usize,
    working: usize,
    parked: usize,
    /// Called from among the parked, and not awake yet.
    calls: usize,
    dismissed: bool,
}

impl State {
    /// Whether there is nobody to call, so that somebody must be hired.
    fn call(&mut self, called: &Condvar) -> Hire {
        self.waiting += 1;
        if self.parked == 0 {
            return Hire::One;
        }
        self.parked -= 1;
        self.calls += 1;
        called.notify_one();
        Hire::None
    }
}

/// Whether a thread is to be started, which is counted as waiting already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Hire {
    None,
    One,
}

impl Crew {
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self { state: Mutex::default(), called: Condvar::new(), processors }
    }

    /// Before a thread waits for a notification: it may be parked meanwhile. `false` if it is not
    /// needed any more.
    pub(crate) fn wait(&self) -> bool {
        let mut state = self.lock();
        if state.dismissed {
            return false;
        }
        if state.waiting < WAITING_MAX {
            state.waiting += 1;
            return true;
        }
        if state.parked >= PARKED_MAX {
            return false;
        }
        state.parked += 1;
        let idle = |state: &mut State| state.calls == 0 && !state.dismissed;
        let mut state = self.called.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        state.calls = state.calls.saturating_sub(1);
        !state.dismissed
    }

    /// A thread that waited has a notification.
    pub(crate) fn works(&self) -> Hire {
        let mut state = self.lock();
        state.waiting -= 1;
        state.working += 1;
        if state.waiting == 0 && state.working < self.processors {
            return state.call(&self.called);
        }
        Hire::None
    }

    /// A thread that waited has none after all.
    pub(crate) fn waits_no_more(&self) {
        self.lock().waiting -= 1;
    }

    /// A thread has answered, or is about to block.
    pub(crate) fn works_no_more(&self) {
        self.lock().working -= 1;
    }

    /// A thread that was about to block has come back.
    pub(crate) fn works_again(&self) {
        self.lock().working += 1;
    }

    /// Sees to it that somebody waits.
    pub(crate) fn replenish(&self) -> Hire {
        let mut state = self.lock();
        if state.waiting == 0 && !state.dismissed {
            return state.call(&self.called);
        }
        Hire::None
    }

    pub(crate) fn nobody_waits(&self) -> bool {
        self.lock().waiting == 0
    }

    /// Nobody is needed any more.
    pub(crate) fn dismiss(&self) {
        self.lock().dismissed = true;
        self.called.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn somebody_waits_whatever_the_others_do() {
        let crew = Crew { processors: 1, ..Crew::new() };
        assert!(crew.wait());
        assert_eq!(crew.works(), Hire::None);
        assert!(crew.nobody_waits());
        assert_eq!(crew.replenish(), Hire::One);
        assert_eq!(crew.replenish(), Hire::None);
    }

    #[test]
    fn a_free_processor_is_reason_enough() {
        let crew = Crew { processors: 2, ..Crew::new() };
        assert!(crew.wait());
        assert_eq!(crew.works(), Hire::One);
        assert_eq!(crew.works(), Hire::None);
    }

    #[test]
    fn the_parked_are_called_before_others_are_hired() {
        let crew = Arc::new(Crew { processors: 1, ..Crew::new() });
        (0..WAITING_MAX).for_each(|_| assert!(crew.wait()));
        let parked = std::thread::spawn({
            let crew = crew.clone();
            move || crew.wait()
        });
        while crew.lock().parked == 0 {
            std::thread::yield_now();
        }
        (0..WAITING_MAX).for_each(|_| assert_eq!(crew.works(), Hire::None));
        assert_eq!(crew.replenish(), Hire::None);
        assert!(parked.join().unwrap());
    }

    #[test]
    fn the_parked_are_dismissed_with_the_others() {
        let crew = Arc::new(Crew::new());
        (0..WAITING_MAX).for_each(|_| assert!(crew.wait()));
        let parked = std::thread::spawn({
            let crew = crew.clone();
            move || crew.wait()
        });
        crew.dismiss();
        assert!(!parked.join().unwrap());
        assert!(!crew.wait());
    }
}
