//! Child processes with a time limit, none of which outlives its chore.
//!
//! Every child leads a process group of its own, so that ending it ends what it started. The
//! groups that run are kept in one list: an interrupt ends them all.

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

static GROUPS: Mutex<Vec<i32>> = Mutex::new(Vec::new());
const POLL: Duration = Duration::from_millis(20);
const INTERRUPTED: i32 = 130;

/// A running child that leads its own process group and is ended when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts `command` with no standard input.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_owned();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", name.display()))?;
        groups().push(group_of(&child));
        Ok(Self { child })
    }

    /// Waits until the child has ended; past `limit` its group is killed and this is an error.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                self.kill_group();
                self.child.wait()?;
                bail!("not done within its limit of {} s", limit.as_secs());
            }
            thread::sleep(POLL);
        }
    }

    /// Whether the child still runs.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Sends a signal to the child itself, not to its group.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        nix::sys::signal::kill(Pid::from_raw(group_of(&self.child)), signal)
            .context("cannot signal the child")
    }

    /// Sends a signal to the child and to all that it started in its group.
    ///
    /// For wrappers that do not pass signals on.
    pub(crate) fn interrupt_tree(&self, signal: Signal) -> Result<()> {
        killpg(Pid::from_raw(group_of(&self.child)), signal).context("cannot signal the group")
    }

    fn kill_group(&self) {
        // An error means that the group is already empty, which is what is wanted.
        let _ = killpg(Pid::from_raw(group_of(&self.child)), Signal::SIGKILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
        let _ = self.child.wait();
        let own = group_of(&self.child);
        groups().retain(|group| *group != own);
    }
}

/// Runs a command to its end with its output shown; anything but success is an error.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    println!("$ {}", display(command));
    run_to_its_end(command, limit)
}

/// As [`run`], but the command and its output go to the end of `file`.
pub(crate) fn run_into(command: &mut Command, mut file: &File, limit: Duration) -> Result<()> {
    writeln!(file, "$ {}", display(command))?;
    command.stdout(file.try_clone()?).stderr(file.try_clone()?);
    run_to_its_end(command, limit)
}

/// As [`run`], but its standard output and the command itself are not shown.
pub(crate) fn run_quietly(command: &mut Command, limit: Duration) -> Result<()> {
    run_to_its_end(command.stdout(Stdio::null()), limit)
}

fn run_to_its_end(command: &mut Command, limit: Duration) -> Result<()> {
    let line = display(command);
    let status = Running::start(command)?.wait(limit).with_context(|| line.clone())?;
    ensure!(status.success(), "`{line}` ended with {status}");
    Ok(())
}

/// The command as a reader would type it.
pub(crate) fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Makes Ctrl-C and SIGTERM end every running child before xtask itself.
pub(crate) fn end_children_on_interrupt() {
    let handler = || {
        for group in groups().iter() {
            let _ = killpg(Pid::from_raw(*group), Signal::SIGKILL);
        }
        std::process::exit(INTERRUPTED);
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("xtask: an interrupt will not end children: {error}");
    }
}

fn group_of(child: &Child) -> i32 {
    child.id() as i32
}

fn groups() -> std::sync::MutexGuard<'static, Vec<i32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_past_its_limit_is_ended_with_what_it_started() {
        let started = Instant::now();
        let mut child =
            Running::start(Command::new("sh").args(["-c", "sleep 60 & sleep 60"])).unwrap();
        let group = group_of(&child.child);
        assert!(child.wait(Duration::from_millis(100)).is_err());
        assert!(started.elapsed() < Duration::from_secs(20));
        let gone = (0..100).any(|_| {
            thread::sleep(POLL);
            killpg(Pid::from_raw(group), None).is_err()
        });
        assert!(gone, "the group still has members");
    }

    #[test]
    fn failure_is_an_error() {
        let limit = Duration::from_secs(10);
        assert!(run(&mut Command::new("false"), limit).is_err());
        assert!(run(&mut Command::new("true"), limit).is_ok());
        assert!(run(&mut Command::new("/nonexistent/program"), limit).is_err());
    }
}
