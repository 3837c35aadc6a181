//! `quixote completions`: a completion script for a shell.

use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(shell: Shell) -> Outcome<Status> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::definition(), "quixote", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Status::SUCCESS)
}
