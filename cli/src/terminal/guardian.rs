//! A second process that outlives us: with `--on-crash kill`, nothing of a workload lives on when we are gone.
//!
//! It is our parent, not our child: what we leave behind becomes its own children then, whoever made them, so it need not
//! know what a namespace is, and is the same for every source. As long as anything of it lives it has a child, and it
//! kills until it has none. Whoever started quixote sees the guardian: it passes on signals, stops when we stop, and ends
//! as we end. If it is itself killed, we end the workload.
#![allow(unsafe_code, reason = "fork(2) has no safe form")]

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use orchestrator::record::Exit;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::DumpableBehavior;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::process::WaitIdStatus;

use super::attention;
use super::job_control;
use super::signals;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

/// Between two looks at what is left.
const PAUSE: Duration = Duration::from_millis(1);
/// What has not died by then waits for a device.
const PATIENCE: Duration = Duration::from_secs(60);

/// Our guardian, if we have one.
static GUARDIAN: OnceLock<Pid> = OnceLock::new();

/// Goes on in a child, with `None`; the parent guards it, and comes back with its status. To be called while there is one thread.
///
/// # Errors
///
/// There is no room for another process, or the child cannot be guarded, which ends it.
pub(crate) fn employ() -> Outcome<Option<Status>> {
    let guardian = rustix::process::getpid();
    let before = children().or_fail("the guardian")?;
    rustix::process::set_child_subreaper(Some(guardian)).or_fail("the guardian")?;
    // SAFETY: there is no other thread that could hold a lock at this moment.
    let child = unsafe { libc::fork() };
    match Pid::from_raw(child.max(0)) {
        Some(child) => guard(child, &before).map(Some).or_fail("the guardian"),
        None if child == 0 => be_guarded_by(guardian).map(|()| None).or_fail("the guardian"),
        None => Err(io::Error::last_os_error()).or_fail("the guardian"),
    }
}

/// Whether we had a guardian and have lost it.
pub(super) fn is_lost() -> bool {
    GUARDIAN.get().is_some_and(|guardian| rustix::process::getppid() != Some(*guardian))
}

/// The signal comes when the guardian ends; before a workload runs we die of it.
fn be_guarded_by(guardian: Pid) -> io::Result<()> {
    signals::heed(libc::SIGPWR)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::POWER))?;
    let _ = GUARDIAN.set(guardian);
    if is_lost() { Err(io::Error::other("it was killed at once")) } else { Ok(()) }
}

/// `before`: children that are none of ours. Whoever executed us had them.
fn guard(orchestrator: Pid, before: &[Pid]) -> io::Result<Status> {
    let pidfd = rustix::process::pidfd_open(orchestrator, PidfdFlags::empty())?;
    let caught = signals::catch()?;
    caught.relay_to(pidfd.try_clone()?);
    job_control::follow(orchestrator)?;
    let ended = wait_for(&pidfd)?;
    if let Some(left) = end_what_is_left(before)? {
        let how = how_it_ended(&ended);
        output::note(&format!("quixote: the orchestrator {how}; {left}\n"));
    }
    drop(caught);
    Ok(end_as(&ended))
}

/// Passes on signals until the orchestrator has ended.
fn wait_for(orchestrator: &OwnedFd) -> io::Result<WaitIdStatus> {
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let ended = rustix::process::waitid(WaitId::PidFd(orchestrator.as_fd()), options)?;
        if let Some(status) = ended {
            return Ok(status);
        }
        let fds = [Some(orchestrator.as_fd()), attention::reader()].into_iter().flatten();
        let mut polled: Vec<_> =
            fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        signals::pass_on();
    }
}

/// Kills our children, and what becomes a child by that, until there is none; says so if there was any.
fn end_what_is_left(before: &[Pid]) -> io::Result<Option<&'static str>> {
    let until = Instant::now() + PATIENCE;
    let mut told = None;
    while has_children()? {
        let left: Vec<_> =
            children()?.into_iter().filter(|child| !before.contains(child)).collect();
        if left.is_empty() {
            break;
        }
        if Instant::now() > until {
            return Ok(Some("something of its workload does not die"));
        }
        told = Some("what was left of its workload was ended");
        for child in left {
            // A number is its child's until we have waited for it.
            let _ = rustix::process::kill_process(child, Signal::KILL);
        }
        thread::sleep(PAUSE);
    }
    Ok(told)
}

/// Whether there are any, when those that have ended are waited for.
fn has_children() -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    loop {
        match rustix::process::waitid(WaitId::All, options) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(true),
            Err(Errno::CHILD) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// As the kernel lists them, by each of our threads.
fn children() -> io::Result<Vec<Pid>> {
    let mut all = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let numbers = fs::read_to_string(thread?.path().join("children"))?;
        let numbers = numbers.split_ascii_whitespace().filter_map(|number| number.parse().ok());
        all.extend(numbers.filter_map(Pid::from_raw));
    }
    Ok(all)
}

fn how_it_ended(ended: &WaitIdStatus) -> String {
    match (ended.exit_status(), ended.terminating_signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

/// A signal that ended it ends us; its core is enough.
fn end_as(ended: &WaitIdStatus) -> Status {
    let Some(signal) = ended.terminating_signal() else {
        return Status::of_workload(Exit::Code(ended.exit_status().unwrap_or(-1)));
    };
    if let Some(named) = Signal::from_named_raw(signal) {
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let _ = rustix::process::kill_process(rustix::process::getpid(), named);
    }
    Status::of_workload(Exit::Signal(signal))
}
