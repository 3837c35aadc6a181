//! Exit statuses: the workload's own wherever possible, and few of ours, far from common ones.
//!
//! The statuses 125 to 127 are those of env(1), nohup(1) and container engines, so that scripts
//! that know these know quixote. `docs/book/src/exit-status.md` says the same for users.

use std::process::ExitCode;

use orchestrator::record::Exit;
use orchestrator::workload::CommandFault;

/// With `--fail-on-violation`: at least one event was outside the model.
pub(crate) const VIOLATION: u8 = 120;
/// Quixote itself could not do what was asked.
pub(crate) const OWN_FAILURE: u8 = 125;
/// The workload's program cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The workload's program is not there.
pub(crate) const NOT_FOUND: u8 = 127;
/// A question was answered with no: models differ, `lint` or `doctor` found something.
pub(crate) const ANSWER_NO: u8 = 1;
/// What a shell adds to the number of the signal that ended a program.
const SIGNAL_BASE: i32 = 128;

/// The status of a workload that could not be started, as env(1) has it.
pub(crate) fn of_command(fault: Option<CommandFault>) -> u8 {
    match fault {
        Some(CommandFault::NotFound) => NOT_FOUND,
        Some(CommandFault::NotExecutable) => NOT_EXECUTABLE,
        None => OWN_FAILURE,
    }
}

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u8);

impl Status {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const NO: Self = Self(ANSWER_NO);

    /// Success, or that the answer is no.
    pub(crate) const fn yes_or_no(yes: bool) -> Self {
        if yes { Self::SUCCESS } else { Self::NO }
    }

    /// As the workload ended; 128 and the signal's number if a signal ended it.
    pub(crate) fn of_workload(exit: Exit) -> Self {
        let code = match exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => SIGNAL_BASE + signal,
        };
        Self(u8::try_from(code).unwrap_or(OWN_FAILURE))
    }

    /// As the workload ended, unless violations count and there were some.
    pub(crate) fn of_run(exit: Exit, violations: u64, fail_on_violation: bool) -> Self {
        if fail_on_violation && violations > 0 { Self(VIOLATION) } else { Self::of_workload(exit) }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        status.0.into()
    }
}

/// Prints what clap has to say. Help and version were asked for; the rest is our failure.
pub(crate) fn of_command_line(asked: &clap::Error) -> ExitCode {
    let printed = asked.print();
    if asked.use_stderr() || printed.is_err() { OWN_FAILURE.into() } else { ExitCode::SUCCESS }
}

/// The table of `--help`.
pub(crate) const HELP: &str = "\
Exit status:
  as the workload's own; 128+N if signal N ended it
  120  with --fail-on-violation: an event was outside the model
  125  quixote could not do what was asked (bad model, signature, arguments, ...)
  126  the workload's program cannot be executed, or the model does not allow it
  127  the workload's program was not found
  1    the answer is no: `model diff` found a difference, `model lint` or `doctor` something,
       or a question of `accept` was answered with no";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_decides_unless_violations_count() {
        assert_eq!(Status::of_run(Exit::Code(3), 0, true), Status(3));
        assert_eq!(Status::of_run(Exit::Code(3), 2, false), Status(3));
        assert_eq!(Status::of_run(Exit::Code(0), 2, true), Status(VIOLATION));
        assert_eq!(Status::of_run(Exit::Signal(15), 0, false), Status(143));
    }

    #[test]
    fn the_help_names_every_status() {
        for status in [VIOLATION, OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND, ANSWER_NO] {
            let line = format!("\n  {status} ");
            assert!(HELP.contains(&line), "{status}");
        }
    }
}
