//! `quixote kernel`: loads, unloads and shows the programs of the kernel source.

use std::fmt::Write as _;

use orchestrator::kernel;
use orchestrator::kernel::KernelError;
use orchestrator::kernel::KernelStatus;

use crate::arguments::kernel::KernelArguments;
use crate::arguments::kernel::KernelCommand;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(command: &KernelCommand) -> Outcome<Status> {
    match command {
        KernelCommand::Status(arguments) => {
            let status = tell(arguments)?;
            Ok(Status::yes_or_no(!status.programs.is_empty()))
        }
        KernelCommand::Load(arguments) => changed(kernel::load(), arguments),
        KernelCommand::Unload(arguments) => changed(kernel::unload(), arguments),
    }
}

fn changed(change: Result<(), KernelError>, arguments: &KernelArguments) -> Outcome<Status> {
    change.map_err(|error| failed(&error))?;
    tell(arguments)?;
    Ok(Status::yes_or_no(true))
}

/// Tells what is loaded now.
fn tell(arguments: &KernelArguments) -> Outcome<KernelStatus> {
    let status = kernel::status();
    if arguments.json {
        output::print_json(&status)?;
    } else {
        output::print(&report(&status))?;
    }
    Ok(status)
}

fn failed(error: &KernelError) -> Failure {
    Failure::from_library(error, "").next("quixote doctor says what the kernel source needs")
}

fn report(status: &KernelStatus) -> String {
    let mut text = String::new();
    let active = if status.active { "active" } else { "not active" };
    let _ = writeln!(text, "BPF LSM is {active} (security modules: {})", status.security_modules);
    match status.programs.len() {
        0 => text.push_str("no programs are loaded\n"),
        count => {
            let programs = output::counted(count, "attached program");
            let namespaces = output::counted(status.namespaces, "namespace");
            let _ = writeln!(text, "{programs}, {namespaces}");
            let full = if status.full { "judged where asked for" } else { "not loaded" };
            let _ = writeln!(text, "events of the profile 'full': {full}");
        }
    }
    if !status.missing_hooks.is_empty() {
        let missing = status.missing_hooks.join(", ");
        let _ = writeln!(text, "hooks that this kernel lacks: {missing}");
    }
    text
}
