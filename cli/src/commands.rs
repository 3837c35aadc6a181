//! The commands, one a file.

mod accept;
mod attest;
mod completions;
mod doctor;
mod enforce;
mod kernel;
mod learn;
mod man;
mod model;
mod monitor;
mod provision;
mod ps;
pub(crate) mod references;
mod replace;
mod show;
mod verify_attestation;

use crate::arguments::Command;
use crate::arguments::references::ReferencesCommand;
use crate::arguments::run::OnCrash;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::terminal::guardian;

/// Does what is asked.
pub(crate) fn run(command: Command) -> Outcome<Status> {
    if reaches_programs(&command) {
        kernel::enter()?;
    }
    if on_crash(&command) == OnCrash::Kill
        && let Some(status) = guardian::employ()?
    {
        return Ok(status);
    }
    match command {
        Command::Learn(arguments) => learn::run(&arguments),
        Command::Model { command } => model::run(&command),
        Command::Monitor(arguments) => monitor::run(&arguments),
        Command::Enforce(arguments) => enforce::run(&arguments),
        Command::Ps(arguments) => ps::run(&arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Replace(arguments) => replace::run(&arguments),
        Command::Accept(arguments) => accept::run(&arguments),
        Command::Attest(arguments) => attest::run(&arguments),
        Command::VerifyAttestation(arguments) => verify_attestation::run(&arguments),
        Command::Provision(arguments) => provision::run(&arguments),
        Command::References { command } => references::run(&command),
        Command::Kernel { command } => kernel::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { directory } => man::run(directory.as_deref()),
    }
}

/// What becomes of the workload that a command runs.
fn on_crash(command: &Command) -> OnCrash {
    match command {
        Command::Learn(arguments) => arguments.run.on_crash,
        Command::Monitor(arguments) => arguments.run.on_crash,
        Command::Enforce(arguments) => arguments.run.on_crash,
        _ => OnCrash::Deny,
    }
}

/// Commands that have to do with the kernel source's programs, or may.
fn reaches_programs(command: &Command) -> bool {
    match command {
        Command::References { command } => matches!(command, ReferencesCommand::ParserModel(_)),
        Command::Learn(_) | Command::Monitor(_) | Command::Enforce(_) | Command::Kernel { .. } => {
            true
        }
        _ => false,
    }
}
