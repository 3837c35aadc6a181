//! Receives notifications, has them judged, answers; and sees processes end.
//!
//! A call that blocks is watched by a monitor that breaks it off for signals, and that replaces
//! whoever is busy for long.
#![allow(unsafe_code, reason = "epoll")]

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tsem::Agent;
use tsem::Description;
use tsem::Loss;
use tsem::ProcessId;
use tsem::Verdict;

use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::changes::Changes;
use crate::credentials::field;
use crate::crew::Crew;
use crate::crew::Hire;
use crate::digest::Digests;
use crate::handlers;
use crate::latch::Latch;
use crate::listener::Listener;
use crate::listener::Notification;
use crate::process;
use crate::process::Process;
use crate::process::ProcessTable;
use crate::process::Stranger;
use crate::process::UnmetOrphans;
use crate::sys;
use crate::sys::Errno;

const BLOCKED_MAX: usize = 1024;
const RESTART: i32 = 512;
const ENDS_INTERVAL: Duration = Duration::from_millis(3);
const MONITOR_INTERVAL: Duration = Duration::from_millis(5);
/// So many rounds the monitor goes on without a blocked call.
const MONITOR_ROUNDS: u32 = 20;
const LISTENER_EVENT: u64 = 0;
/// How often orphans are looked for that nobody has met.
const UNMET_INTERVAL: Duration = Duration::from_secs(5);

/// Whether a file's content is to be hashed when it is opened, by its path.
pub type DigestPaths = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Everything that handlers share.
pub(crate) struct Supervisor {
    pub(crate) agent: Arc<dyn Agent>,
    pub(crate) listener: Listener,
    pub(crate) processes: ProcessTable,
    pub(crate) digests: Digests,
    pub(crate) changes: Changes,
    pub(crate) digest_paths: DigestPaths,
    /// The root directory that the first process started with.
    pub(crate) root: OwnedFd,
    /// Set before a call is let through that changes the root or mount namespace of a process.
    pub(crate) roots_vary: AtomicBool,
    /// Set before a process is let come to be that shares descriptors and is not a thread.
    pub(crate) descriptors_shared: AtomicBool,
    killed: AtomicBool,
    crew: Crew,
    monitor_sleeps: AtomicBool,
    blocked: Mutex<Vec<Blocked>>,
    blocked_more: Condvar,
    ends: Arc<Ends>,
    unmet: UnmetOrphans,
    first: u32,
    progress: Mutex<Progress>,
    progress_more: Condvar,
    /// Set when no process is left.
    pub(crate) ended: Latch,
}

/// How far the namespace has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) first_status: Option<i32>,
    pub(crate) all_ended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Blocked {
    id: u64,
    caller: u32,
    worker: i32,
}

/// The epoll set of pidfds.
struct Ends {
    epoll: OwnedFd,
    watched: Mutex<HashMap<u64, i32>>,
}

impl Ends {
    fn new() -> Result<Self, Errno> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        sys::check(fd as i64)?;
        // SAFETY: the descriptor has just been made for us.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { epoll, watched: Mutex::default() })
    }

    fn watch(&self, fd: i32, key: u64, events: i32) {
        let mut event = libc::epoll_event { events: events as u32, u64: key };
        // SAFETY: the event outlives the call.
        let done = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        };
        if done == 0 {
            self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(key, fd);
        }
    }

    fn forget(&self, key: u64) {
        let fd = self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        if let Some(fd) = fd {
            let none = std::ptr::null_mut();
            // SAFETY: removal takes no event.
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, none) };
        }
    }

    fn wait(&self) -> Vec<u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: the array's length is passed with it.
        let ready =
            unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 64, 100) };
        events[..ready.max(0) as usize].iter().map(|event| event.u64).collect()
    }
}

impl Supervisor {
    /// Asks the agent, once it has heard of every change of the names that the event is about.
    pub(crate) fn judge(&self, event: &Description) -> Verdict {
        for place in event.places() {
            self.changes.settled(&place.path);
        }
        self.agent.judge(event)
    }

    /// Takes over a first process that waits for its exec.
    pub(crate) fn start(
        agent: Arc<dyn Agent>,
        listener: Listener,
        digest_paths: DigestPaths,
        first: u32,
    ) -> Result<Arc<Self>, Errno> {
        let ends = Arc::new(Ends::new()?);
        ends.watch(listener.as_fd().as_raw_fd(), LISTENER_EVENT, 0);
        let watcher = ends.clone();
        let watch = move |process: &Process| {
            watcher.watch(process.pidfd.as_raw_fd(), process.id.0, libc::EPOLLIN);
        };
        let supervisor = Arc::new(Self {
            processes: ProcessTable::new(agent.clone(), Box::new(watch)),
            agent,
            listener,
            digests: Digests::default(),
            changes: Changes::default(),
            digest_paths,
            root: sys::open(b"/", libc::O_PATH | libc::O_DIRECTORY)?,
            roots_vary: AtomicBool::new(false),
            descriptors_shared: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            crew: Crew::new(),
            monitor_sleeps: AtomicBool::new(false),
            blocked: Mutex::default(),
            blocked_more: Condvar::new(),
            ends,
            unmet: UnmetOrphans::new(),
            first,
            progress: Mutex::default(),
            progress_more: Condvar::new(),
            ended: Latch::new().map_err(|_| Errno(libc::EMFILE))?,
        });
        supervisor.processes.start(first)?;
        supervisor.spawn(Self::watch_ends);
        supervisor.spawn(Self::monitor_blocked);
        (0..2).for_each(|_| supervisor.spawn(Self::serve_from_now));
        Ok(supervisor)
    }

    fn spawn(self: &Arc<Self>, run: fn(&Arc<Self>)) {
        let supervisor = self.clone();
        std::thread::spawn(move || {
            sys::leave_signals_to_others();
            if sys::unshare_file_system_context().is_ok() {
                run(&supervisor);
            }
        });
    }

    fn serve_from_now(self: &Arc<Self>) {
        while self.crew.wait() {
            if !self.serve() {
                self.crew.dismiss();
            }
        }
    }

    /// Whoever is hired is counted as waiting already.
    fn hire(self: &Arc<Self>, hire: Hire) {
        if hire == Hire::None {
            return;
        }
        let supervisor = self.clone();
        let started = std::thread::Builder::new().spawn(move || {
            sys::leave_signals_to_others();
            if sys::unshare_file_system_context().is_err() {
                supervisor.crew.waits_no_more();
            } else if supervisor.serve() {
                supervisor.serve_from_now();
            } else {
                supervisor.crew.dismiss();
            }
        });
        // For want of threads: the monitor tries again.
        if started.is_err() {
            self.crew.waits_no_more();
        }
    }

    /// Waits for one notification and answers it; `false` when there will be no more.
    fn serve(self: &Arc<Self>) -> bool {
        match self.listener.receive() {
            Ok(notification) => {
                self.hire(self.crew.works());
                self.wake_monitor();
                self.serve_one(notification);
                self.crew.works_no_more();
                true
            }
            Err(errno) => {
                self.crew.waits_no_more();
                let passes = matches!(errno, Errno(libc::EINTR | libc::ENOENT));
                passes && !self.progress().all_ended && !self.has_hung_up()
            }
        }
    }

    /// While nobody waits the monitor must be awake.
    fn wake_monitor(&self) {
        if self.monitor_sleeps.load(Ordering::SeqCst) && self.crew.nobody_waits() {
            let _blocked = self.lock_blocked();
            self.blocked_more.notify_one();
        }
    }

    fn has_hung_up(&self) -> bool {
        let fd = self.listener.as_fd().as_raw_fd();
        let mut set = [libc::pollfd { fd, events: 0, revents: 0 }];
        sys::poll(&mut set, 0) > 0 && set[0].revents & libc::POLLHUP != 0
    }

    fn serve_one(self: &Arc<Self>, notification: Notification) {
        let thread = match self.processes.thread(notification.tid) {
            Ok(thread) => thread,
            Err(Stranger::Gone) => return self.refuse_unknown(&notification),
            Err(Stranger::Ambiguous) => {
                if self.listener.valid(notification.id).is_ok() {
                    self.lost(&notification, None, Loss::Unreadable);
                    self.refuse(&notification, Refusal::Kill);
                }
                return;
            }
        };
        if self.listener.valid(notification.id).is_err() {
            return;
        }
        self.processes.umasks.came_back(thread.tid);
        let call = Call { supervisor: self.clone(), notification, thread };
        if self.killed.load(Ordering::Acquire) {
            call.process().kill();
            return self.refuse(&notification, Refusal::Errno(libc::EPERM));
        }
        let handled = handlers::exec::settle(&call).and_then(|()| handlers::handle(&call));
        self.count_want(&notification, &handled);
        self.answer(&notification, handled);
    }

    /// Tells the agent, and whoever keeps the log, that a call could not be judged.
    pub(crate) fn lost(&self, call: &Notification, process: Option<ProcessId>, loss: Loss) {
        let (tid, number) = (call.tid, call.number);
        tracing::warn!(target: "audit", tid, number, ?loss, "a system call could not be judged");
        self.agent.lost(process, loss);
    }

    /// Who waits is there, but could not be held: for want of descriptors, or of memory.
    fn refuse_unknown(&self, notification: &Notification) {
        if self.listener.valid(notification.id).is_ok() {
            self.lost(notification, None, Loss::Dropped);
        }
        self.refuse(notification, Refusal::Errno(libc::EPERM));
    }

    /// A call that was refused because we, not the workload, have no descriptor left is a loss:
    /// the workload's own table is only asked when a descriptor is handed over.
    fn count_want(&self, notification: &Notification, handled: &Handled) {
        if matches!(handled, Err(Refusal::Errno(libc::EMFILE | libc::ENFILE))) {
            self.lost(notification, None, Loss::Dropped);
        }
    }

    fn answer(self: &Arc<Self>, notification: &Notification, handled: Handled) {
        let id = notification.id;
        let sent = match handled {
            Ok(Outcome::Continue) => self.listener.proceed(id),
            Ok(Outcome::Value(value)) => self.listener.value(id, value),
            Ok(Outcome::Fd { fd, cloexec, quiet }) => {
                self.listener.hand_over(id, fd, cloexec, quiet)
            }
            Ok(Outcome::Blocking(rest)) => return self.block(notification, rest),
            Err(refusal) => return self.refuse(notification, refusal),
        };
        match sent {
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(errno) => self.refuse(notification, errno.into()),
        }
    }

    fn refuse(&self, notification: &Notification, refusal: Refusal) {
        let errno = match refusal {
            Refusal::Errno(errno) => errno,
            Refusal::Kill => {
                self.kill();
                libc::EPERM
            }
        };
        let _ = self.listener.error(notification.id, errno);
    }

    /// Carries on with a call that may block. Somebody else waits for notifications before it does,
    /// so this holds up nobody, and a call that does not block costs no thread.
    fn block(
        self: &Arc<Self>,
        notification: &Notification,
        rest: Box<dyn FnOnce() -> Handled + Send>,
    ) {
        if self.lock_blocked().len() >= BLOCKED_MAX {
            self.lost(notification, None, Loss::Dropped);
            return self.refuse(notification, Refusal::Errno(libc::ENFILE));
        }
        let (id, caller) = (notification.id, notification.tid);
        let worker = sys::thread_id();
        self.lock_blocked().push(Blocked { id, caller, worker });
        self.blocked_more.notify_one();
        self.crew.works_no_more();
        self.hire(self.crew.replenish());
        let handled = match sys::interruptible(rest) {
            Err(Refusal::Errno(libc::EINTR)) => Err(Refusal::Errno(RESTART)),
            handled => handled,
        };
        self.crew.works_again();
        self.lock_blocked().retain(|blocked| blocked.worker != worker);
        self.count_want(notification, &handled);
        self.answer(notification, handled);
    }

    fn lock_blocked(&self) -> MutexGuard<'_, Vec<Blocked>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks blocking calls off whose callers have a signal to take, or are gone; and sees to it
    /// that somebody waits for notifications.
    fn monitor_blocked(self: &Arc<Self>) {
        let mut idle = 0;
        while !self.progress().all_ended {
            self.hire(self.crew.replenish());
            let blocked = self.lock_blocked();
            // While such calls keep coming it looks by the clock: to wake it for each costs more
            // than most of them take.
            idle = if blocked.is_empty() { idle + 1 } else { 0 };
            if idle > MONITOR_ROUNDS {
                if self.sleep_until_called(blocked) {
                    idle = 0;
                }
                continue;
            }
            for call in blocked.iter() {
                if self.listener.valid(call.id).is_err() || has_signal(call.caller) {
                    sys::signal_thread(call.worker, sys::interrupt_signal());
                }
            }
            drop(blocked);
            std::thread::sleep(MONITOR_INTERVAL);
        }
    }

    /// Whether it was called; else the time has passed.
    fn sleep_until_called(&self, blocked: MutexGuard<'_, Vec<Blocked>>) -> bool {
        self.monitor_sleeps.store(true, Ordering::SeqCst);
        let called = self.crew.nobody_waits() || {
            let wait = self.blocked_more.wait_timeout(blocked, Duration::from_millis(200));
            wait.is_ok_and(|(_, waited)| !waited.timed_out())
        };
        self.monitor_sleeps.store(false, Ordering::SeqCst);
        called
    }

    /// Tells the agent of processes that end, reaps orphans, and notes the last end.
    fn watch_ends(self: &Arc<Self>) {
        let (mut last, mut looked) = (None, Instant::now());
        loop {
            let ends = self.ends.wait();
            self.ended(&ends);
            if self.killed.load(Ordering::Acquire) {
                self.kill_known();
            }
            self.processes.forget_reaped();
            // Before Linux 6.11 they keep the listener from hanging up.
            if self.processes.is_empty() || looked.elapsed() >= UNMET_INTERVAL {
                self.unmet.reap(&self.processes);
                looked = Instant::now();
            }
            if self.has_hung_up() && self.processes.is_empty() {
                self.processes.forget_all_ended();
                self.crew.dismiss();
                self.note(|progress| progress.all_ended = true);
                self.ended.set();
                return;
            }
            if !ends.is_empty() {
                let before = last.replace(Instant::now());
                // While processes keep ending it looks by the clock, as each would wake it.
                if before.is_some_and(|before: Instant| before.elapsed() < ENDS_INTERVAL * 2) {
                    std::thread::sleep(ENDS_INTERVAL);
                }
            }
        }
    }

    /// What was pending of those that have ended is settled, and their orphans are taken in while
    /// they are still known.
    fn ended(&self, keys: &[u64]) {
        for key in keys {
            self.ends.forget(*key);
        }
        let mut ended = self.processes.processes();
        ended.retain(|process| keys.contains(&process.id.0));
        if ended.is_empty() {
            return;
        }
        for process in &ended {
            handlers::exec::settle_at_exit(self, process);
        }
        self.processes.adopt_orphans();
        for process in ended {
            self.processes.ended(&process);
            let status = sys::reap(process.pid);
            if process.pid == self.first {
                self.note(|progress| progress.first_status = status.or(Some(libc::SIGKILL)));
            }
        }
    }

    fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
        self.progress_more.notify_all();
    }

    /// Waits until something is so.
    pub(crate) fn wait_until(&self, reached: impl Fn(&Progress) -> bool) -> Progress {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        *self
            .progress_more
            .wait_while(progress, |progress| !reached(progress))
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the namespace: what is known dies now, what is not at its next notified call.
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.kill_known();
    }

    fn kill_known(&self) {
        for process in self.processes.processes() {
            let silent = process::children(process.pid);
            self.processes.introduce_children(process.pid);
            process.kill();
            let known = silent.iter().filter_map(|pid| self.processes.process(*pid));
            known.for_each(|child| child.kill());
        }
    }
}

/// Whether a thread has a signal that it would take now.
fn has_signal(tid: u32) -> bool {
    let Ok(status) = sys::read_text(&format!("/proc/{tid}/status")) else {
        return true;
    };
    let set =
        |name| field(&status, name).and_then(|set| u64::from_str_radix(set, 16).ok()).unwrap_or(0);
    (set("SigPnd:") | set("ShdPnd:")) & !set("SigBlk:") & !set("SigIgn:") != 0
}
