//! A second process that outlives us: with `--on-crash kill`, nothing of a workload lives on when we are gone.
//!
//! It is our parent, not our child: what we leave behind becomes its own children then, whoever made them, so it need not
//! know what a namespace is, and is the same for every source. Whoever started quixote sees the guardian: it passes on
//! signals, stops when we stop, and ends as we end. If it is itself killed, we end the workload.
#![allow(unsafe_code, reason = "fork(2) has no safe form")]

use std::collections::HashSet;
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

/// What is left is looked for so often.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
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
    rustix::process::set_child_subreaper(Some(guardian)).or_fail("the guardian")?;
    // SAFETY: there is no other thread that could hold a lock at this moment.
    let child = unsafe { libc::fork() };
    match Pid::from_raw(child.max(0)) {
        Some(child) => guard(child).map(Some).or_fail("the guardian"),
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
    rustix::process::set_parent_process_death_signal(Some(Signal::POWER))?;
    let _ = GUARDIAN.set(guardian);
    if is_lost() { Err(io::Error::other("it was killed at once")) } else { Ok(()) }
}

fn guard(orchestrator: Pid) -> io::Result<Status> {
    let pidfd = rustix::process::pidfd_open(orchestrator, PidfdFlags::empty())?;
    let caught = signals::catch()?;
    caught.relay_to(pidfd.try_clone()?);
    job_control::follow(orchestrator)?;
    let ended = wait_for(&pidfd)?;
    let left = end_what_is_left();
    if left > 0 {
        let how = how_it_ended(&ended);
        output::note(&format!(
            "quixote: the orchestrator {how}; what was left of its workload was ended (processes: {left})
"
        ));
    }
    drop(caught);
    Ok(end_as(&ended))
}

/// Passes on signals until the orchestrator has ended.
fn wait_for(orchestrator: &OwnedFd) -> io::Result<WaitIdStatus> {
    loop {
        let ended = WaitId::PidFd(orchestrator.as_fd());
        if let Some(status) =
            rustix::process::waitid(ended, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)?
        {
            return Ok(status);
        }
        let fds = [Some(orchestrator.as_fd()), attention::reader()];
        let mut polled: Vec<_> = fds
            .into_iter()
            .flatten()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        signals::pass_on();
    }
}

/// Kills every process that descends from us, until none is left; how many that were.
fn end_what_is_left() -> usize {
    let until = Instant::now() + PATIENCE;
    let mut killed = HashSet::new();
    loop {
        reap();
        let left = descendants();
        if left.is_empty() || Instant::now() > until {
            return killed.len();
        }
        killed.extend(left.into_iter().filter(|process| kill(*process).is_ok()));
        thread::sleep(BETWEEN_LOOKS);
    }
}

fn reap() {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    while let Ok(Some(_)) = rustix::process::waitid(WaitId::All, options) {}
}

/// Those that still run.
fn descendants() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let left = numbers.filter(|number| signals::descends_from_us(*number) && !is_zombie(*number));
    left.filter_map(Pid::from_raw).collect()
}

fn is_zombie(process: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    status.is_ok_and(|status| status.lines().any(|line| line.starts_with("State:\tZ")))
}

/// By a descriptor: the number may be another's by now.
fn kill(process: Pid) -> io::Result<()> {
    let pidfd = rustix::process::pidfd_open(process, PidfdFlags::empty())?;
    if !signals::descends_from_us(process.as_raw_pid()) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(rustix::process::pidfd_send_signal(&pidfd, Signal::KILL)?)
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
