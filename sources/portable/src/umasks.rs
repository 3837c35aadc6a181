//! What a thread's umask is, without reading procfs for every file that is made.
//!
//! umask(2) is notified and carried out by the kernel: what was read before one is not used after it,
//! whoever made it, and while one is under way nothing is remembered.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::process::Thread;
use crate::sys;

/// The calls of umask(2) that are under way, and a count of those that began or ended.
#[derive(Debug, Default)]
pub(crate) struct Umasks {
    epoch: AtomicU64,
    some_under_way: AtomicBool,
    under_way: Mutex<Vec<Arc<Thread>>>,
}

/// A umask and when it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    /// An epoch in which nothing was under way.
    pub(crate) epoch: u64,
    pub(crate) umask: u32,
}

impl Umasks {
    /// Before a call is let through.
    pub(crate) fn begins(&self, thread: &Arc<Thread>) {
        let mut under_way = self.lock();
        under_way.push(thread.clone());
        self.some_under_way.store(true, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// A thread makes another call: the one before it is over.
    pub(crate) fn came_back(&self, tid: u32) {
        if self.some_under_way.load(Ordering::SeqCst) {
            self.settle(|thread| thread.tid == tid);
        }
    }

    /// To be taken before a umask is read, and compared before it is used again; `None` while any may
    /// be changing.
    pub(crate) fn epoch(&self) -> Option<u64> {
        if self.some_under_way.load(Ordering::SeqCst) {
            self.settle(|thread| !thread.is_alive() || has_left(thread.tid));
        }
        if self.some_under_way.load(Ordering::SeqCst) {
            return None;
        }
        Some(self.epoch.load(Ordering::SeqCst))
    }

    fn settle(&self, is_over: impl Fn(&Thread) -> bool) {
        let mut under_way = self.lock();
        let before = under_way.len();
        under_way.retain(|thread| !is_over(thread));
        if under_way.len() < before {
            self.epoch.fetch_add(1, Ordering::SeqCst);
        }
        self.some_under_way.store(!under_way.is_empty(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Thread>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a thread waits in another call. One that runs may run in the kernel.
fn has_left(tid: u32) -> bool {
    let Ok(state) = sys::read_text(&format!("/proc/{tid}/syscall")) else {
        return false;
    };
    let number = state.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
    number.is_some_and(|number: i64| number != libc::SYS_umask)
}
