//! Names that are being made, moved or removed by us.
//!
//! A change is seen by everybody as soon as the kernel has made it, and the agent hears of it only
//! then. What another process does at such a name waits in between: else it would be judged as if
//! the namespace had not made what it made.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The names whose changes the agent has not heard of yet; as many as there are handlers, at most.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    under_way: Mutex<Vec<Vec<u8>>>,
    told: Condvar,
}

/// Held from before a change until the agent has heard of it. Whoever holds one waits for no other,
/// judges nothing, and takes the lock on all names after it.
#[derive(Debug)]
#[must_use = "others wait for the change only while this is held"]
pub(crate) struct Change<'a> {
    changes: &'a Changes,
    names: [&'a [u8]; 2],
}

impl Changes {
    /// Begins a change of one name, once no other change of it, above it or below it is under way.
    pub(crate) fn begin<'a>(&'a self, name: &'a [u8]) -> Change<'a> {
        self.begin_both([name, name])
    }

    /// As [`Changes::begin`], of two names.
    pub(crate) fn begin_both<'a>(&'a self, names: [&'a [u8]; 2]) -> Change<'a> {
        let meets = |other: &[u8]| {
            names.iter().any(|name| is_at_or_below(name, other) || is_at_or_below(other, name))
        };
        self.wait(meets).extend(names.map(<[u8]>::to_vec));
        Change { changes: self, names }
    }

    /// Waits until no name is being changed that `path` is at or below.
    pub(crate) fn settled(&self, path: &[u8]) {
        drop(self.wait(|name| is_at_or_below(path, name)));
    }

    fn wait(&self, meets: impl Fn(&[u8]) -> bool) -> MutexGuard<'_, Vec<Vec<u8>>> {
        let is_met = |names: &mut Vec<Vec<u8>>| names.iter().any(|name| meets(name));
        self.told.wait_while(self.lock(), is_met).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut under_way = self.changes.lock();
        for name in self.names {
            if let Some(at) = under_way.iter().position(|other| other == name) {
                under_way.swap_remove(at);
            }
        }
        drop(under_way);
        self.changes.told.notify_all();
    }
}

fn is_at_or_below(path: &[u8], name: &[u8]) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.first().is_none_or(|octet| *octet == b'/'))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Whether `act` waits for the end of a change of `/d`.
    fn waits(act: impl Fn(&Changes) + Sync) -> bool {
        let (changes, is_told) = (Changes::default(), AtomicBool::new(false));
        let change = changes.begin(b"/d");
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                act(&changes);
                is_told.load(Ordering::SeqCst)
            });
            thread::sleep(Duration::from_millis(50));
            is_told.store(true, Ordering::SeqCst);
            drop(change);
            other.join().unwrap()
        })
    }

    #[test]
    fn what_is_at_or_below_a_name_waits_for_its_change() {
        for path in [&b"/d"[..], b"/d/f", b"/d/e/f"] {
            assert!(waits(|changes| changes.settled(path)), "{}", path.escape_ascii());
        }
        for path in [&b"/"[..], b"/dd", b"/e", b""] {
            assert!(!waits(|changes| changes.settled(path)), "{}", path.escape_ascii());
        }
    }

    #[test]
    fn changes_of_one_name_come_one_after_another() {
        for names in [[&b"/d"[..], b"/x"], [b"/x", b"/d/f"], [b"/d/e/f", b"/d/e/f"]] {
            assert!(waits(|changes| drop(changes.begin_both(names))));
        }
        assert!(!waits(|changes| drop(changes.begin_both([b"/x", b"/dd"]))));
    }

    #[test]
    fn a_change_leaves_nothing_behind() {
        let changes = Changes::default();
        drop(changes.begin(b"/d"));
        drop(changes.begin_both([b"/d", b"/e"]));
        assert!(changes.lock().is_empty());
    }
}
