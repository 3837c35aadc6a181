//! Signals while a workload runs: they reach it as if we were not there.
//!
//! The workload stays in our process group, so what the terminal sends (Ctrl-C, Ctrl-\, Ctrl-Z,
//! hang-up) reaches it without us; we only must not die of it. What someone sends to us alone is
//! meant for the workload and is passed on, except when the workload itself sent it to its group.
//! Handlers, not "ignore": an exec undoes handlers, so the workload starts with the dispositions
//! that we were started with, but for SIGCHLD, and SIGPWR where there is a guardian: the default.
#![allow(unsafe_code, reason = "sigaction(2) has no safe form that tells who sent a signal")]

use std::fs;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::ptr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use orchestrator::workload::Running;
use rustix::process::Signal;

use super::attention;
use super::attention::Arrival;
use super::guardian;

/// What we outlive while the workload runs.
const CAUGHT: [i32; 10] = [
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTSTP,
    libc::SIGCONT,
    libc::SIGPWR,
];

/// An ancestry longer than this is no ancestry.
const ANCESTORS_MAX: u32 = 4096;

/// The workload that signals are passed on to; none between runs.
static WORKLOAD: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Signals are caught as long as this lives: between runs, Ctrl-C is meant for us.
#[derive(Debug)]
pub(crate) struct Caught(());

/// Catches the signals from now on. Those that were ignored stay ignored, for us and the workload
/// (`nohup`, background jobs of a script).
pub(crate) fn catch() -> io::Result<Caught> {
    attention::open()?;
    if guardian::is_lost() {
        return Err(io::Error::other("the guardian was killed"));
    }
    // What came at the very end of an earlier run was meant for that.
    while attention::next().is_some() {}
    let caught = Caught(());
    for number in CAUGHT {
        if !is_ignored(number)? {
            handle(number)?;
        }
    }
    Ok(caught)
}

impl Caught {
    /// Waits until something is to be looked at, or the time has passed; whether the workload has ended. Passes on to
    /// it what has arrived, and ends it without the guardian that we had.
    ///
    /// # Errors
    ///
    /// Nothing can be waited for.
    #[expect(clippy::unused_self, reason = "signals are passed on only while they are caught")]
    pub(crate) fn wait(&self, running: &Running, pause: Option<Duration>) -> io::Result<bool> {
        let over = running.stay(attention::reader(), pause)?;
        if guardian::is_lost() {
            running.kill_all();
        }
        pass_on();
        Ok(over)
    }

    /// Passes on to the workload what is meant for it; a descriptor, so that a reused number is
    /// never signalled.
    #[expect(clippy::unused_self, reason = "signals are passed on only while they are caught")]
    pub(crate) fn relay_to(&self, workload: OwnedFd) {
        *lock(&WORKLOAD) = Some(workload);
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        *lock(&WORKLOAD) = None;
        for number in CAUGHT {
            // What cannot be undone was not done either: both are sigaction(2) of the same number.
            if is_ignored(number).is_ok_and(|ignored| !ignored) {
                let _ = set_action(number, libc::SIG_DFL, 0);
            }
        }
    }
}

/// Passes on what has arrived.
pub(super) fn pass_on() {
    while let Some(arrival) = attention::next() {
        arrival.pass_on();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Arrival {
    fn pass_on(self) {
        let signal = Signal::from_named_raw(self.number).filter(|_| self.is_for_workload());
        if let (Some(signal), Some(workload)) = (signal, lock(&WORKLOAD).as_ref()) {
            // A workload that has ended needs no signal.
            let _ = rustix::process::pidfd_send_signal(workload, signal);
        }
    }

    /// A continued workload may have a process group of its own, and one more SIGCONT is no harm.
    /// The kernel sends to the whole group; so does a workload that signals its group.
    fn is_for_workload(self) -> bool {
        self.number == libc::SIGCONT || (self.code <= 0 && !descends_from_us(self.sender))
    }
}

/// Whether a process is of the workload: all of it descends from us, its orphans too.
fn descends_from_us(process: i32) -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut at = process;
    for _ in 0..ANCESTORS_MAX {
        match parent_of(at) {
            Some(parent) if parent == own => return true,
            Some(parent) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    false
}

fn parent_of(process: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

/// Stops this process as `signal` stops one that does not handle it, until it is continued.
pub(crate) fn stop_ourselves(signal: Signal) -> io::Result<()> {
    let number = signal.as_raw();
    let handled = CAUGHT.contains(&number) && !is_ignored(number)?;
    if handled {
        set_action(number, libc::SIG_DFL, 0)?;
    }
    // SAFETY: raise(3) takes a number and touches no memory of ours. It signals this thread, so
    // that the stop takes place before it returns.
    unsafe { libc::raise(number) };
    if handled { handle(number) } else { Ok(()) }
}

/// Has a signal take effect, whatever whoever started us has said of it.
pub(super) fn heed(number: i32) -> io::Result<()> {
    set_action(number, libc::SIG_DFL, 0)?;
    // SAFETY: a set of zeros is one; the calls take pointers to it.
    let outcome = unsafe {
        let mut only: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, number);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, ptr::null_mut())
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whoever started us may have said that children are not waited for: how they ended would be lost.
///
/// # Errors
///
/// The kernel does not take it.
pub(crate) fn have_children_waited_for() -> io::Result<()> {
    set_action(libc::SIGCHLD, libc::SIG_DFL, 0)
}

fn is_ignored(number: i32) -> io::Result<bool> {
    let mut old = mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `old` is a place for a sigaction, and the call writes it whole when it returns 0.
    let old = unsafe {
        if libc::sigaction(number, ptr::null(), old.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        old.assume_init()
    };
    Ok(old.sa_sigaction == libc::SIG_IGN)
}

fn handle(number: i32) -> io::Result<()> {
    let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
    set_action(number, handler as usize, libc::SA_SIGINFO | libc::SA_RESTART)
}

fn set_action(number: i32, action: usize, flags: i32) -> io::Result<()> {
    // SAFETY: a sigaction of zeros is one (no flags, empty mask); what it is set to is either
    // SIG_DFL or `on_signal`, whose signature fits SA_SIGINFO and which is async-signal-safe.
    let outcome = unsafe {
        let mut new: libc::sigaction = mem::zeroed();
        new.sa_sigaction = action;
        new.sa_flags = flags;
        libc::sigaction(number, &raw const new, ptr::null_mut())
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Tells whoever stays with the workload. Only write(2) is called, and errno is put back.
extern "C" fn on_signal(number: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel gives a valid siginfo; si_pid is initialised for every
    // code <= 0 that we look at it for, and reading it otherwise reads initialised memory of the
    // kernel's union. write(2) and errno are async-signal-safe.
    unsafe {
        let errno = *libc::__errno_location();
        attention::write(Arrival { number, code: (*info).si_code, sender: (*info).si_pid() });
        *libc::__errno_location() = errno;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_sends_is_left_to_the_kernel() {
        let arrival = |number, code, sender| Arrival { number, code, sender };
        let outsider = 1;
        assert!(!arrival(libc::SIGINT, libc::SI_KERNEL, 0).is_for_workload());
        assert!(arrival(libc::SIGINT, libc::SI_USER, outsider).is_for_workload());
        assert!(arrival(libc::SIGCONT, libc::SI_KERNEL, 0).is_for_workload());
    }

    #[test]
    fn what_the_workload_sends_to_its_group_is_not_sent_back() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let sender = child.id() as i32;
        let arrival = Arrival { number: libc::SIGTERM, code: libc::SI_USER, sender };
        assert!(!arrival.is_for_workload());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
