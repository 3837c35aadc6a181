//! `quixote kernel`: loads, unloads and shows the programs of the kernel source.

use std::fmt::Write as _;

use orchestrator::kernel;
use orchestrator::kernel::KernelError;
use orchestrator::kernel::KernelStatus;

use crate::arguments::kernel::KernelArguments;
use crate::arguments::kernel::KernelCommand;
use crate::arguments::kernel::LoadArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(command: &KernelCommand) -> Outcome<Status> {
    match command {
        KernelCommand::Status(arguments) => {
            let status = tell(arguments)?;
            Ok(Status::yes_or_no(!status.programs.is_empty()))
        }
        KernelCommand::Load(arguments) => changed(load(arguments), &arguments.how),
        KernelCommand::Unload(arguments) => changed(kernel::unload(), arguments),
    }
}

fn load(arguments: &LoadArguments) -> Result<(), KernelError> {
    kernel::load(arguments.profile.into())?;
    if arguments.lockdown { kernel::begin_lockdown() } else { Ok(()) }
}

/// Under a lockdown, goes on as the program that may still reach what is loaded.
pub(crate) fn enter() -> Outcome<()> {
    let entered = kernel::enter().or_fail("the copy of this program that acts under the lockdown");
    entered.map_err(|failure| failure.next("quixote kernel status says whether it is on"))
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
    let failure = Failure::from_library(error, "");
    match error.mend() {
        Some(mend) => failure.next(mend),
        None => failure,
    }
}

fn report(status: &KernelStatus) -> String {
    let mut text = String::new();
    let active = if status.active { "active" } else { "not active" };
    let _ = writeln!(text, "BPF LSM is {active} (security modules: {})", status.security_modules);
    if status.programs.is_empty() {
        let of = if status.other_sets.is_empty() { "" } else { " of this quixote" };
        let _ = writeln!(text, "no programs{of} are loaded");
    } else {
        let used = usage(&status.programs, status.namespaces);
        let _ = writeln!(text, "{used} (set {})", status.own_set);
        let full = if status.full { "judged where asked for" } else { "not loaded" };
        let _ = writeln!(text, "events of the profile 'full': {full}");
    }
    for set in &status.other_sets {
        let used = usage(&set.programs, set.namespaces);
        let _ = writeln!(text, "of another quixote: {used} (set {})", set.name);
    }
    if !status.missing_hooks.is_empty() {
        let missing = status.missing_hooks.join(", ");
        let _ = writeln!(text, "hooks that this kernel lacks: {missing}");
    }
    if status.lockdown {
        text.push_str("lockdown: root outside is locked out of them until the next boot\n");
        text.push_str(kernel_itself(status.kernel_lockdown.as_deref()));
    }
    text
}

/// How many programs, and who uses them.
fn usage(programs: &[String], namespaces: Option<usize>) -> String {
    let programs = output::counted(programs.len(), "attached program");
    let namespaces = namespaces.map(|count| output::counted(count, "namespace"));
    format!("{programs}, {}", namespaces.unwrap_or_else(|| "namespaces unknown".into()))
}

/// What is left to root if the kernel can be changed.
fn kernel_itself(lockdown: Option<&str>) -> &'static str {
    match lockdown {
        Some("integrity" | "confidentiality") => "",
        _ => {
            "the kernel itself is not locked down: root can still load modules or write to its memory \
             (boot with lockdown=integrity)\n"
        }
    }
}
