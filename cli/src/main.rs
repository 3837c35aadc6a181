//! `quixote`: keeps a Linux workload inside the security behaviour that it was tested to.
//!
//! Arguments and presentation only. What a command does is the `orchestrator` library's matter.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "texts for people are made once a command; how they read counts more"
)]

mod allowance;
mod arguments;
mod commands;
mod diagnostics;
mod exit;
mod failure;
mod namespace;
mod output;
mod question;
mod run;
mod terminal;

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::failure::OrFail;
use crate::terminal::signals;

fn main() -> ExitCode {
    let arguments = match Arguments::from_command_line() {
        Ok(arguments) => arguments,
        Err(asked) => return exit::of_command_line(&asked),
    };
    output::choose_colour(arguments.color);
    let outcome = diagnostics::collect()
        .and_then(|()| signals::have_children_waited_for().or_fail("signals"))
        .and_then(|()| commands::run(arguments.command));
    diagnostics::write_rest();
    match outcome {
        Ok(status) => status.into(),
        Err(failure) => failure.report(),
    }
}
