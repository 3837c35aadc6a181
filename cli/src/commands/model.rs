//! `quixote model`: models as files.

mod diff;
mod explain;
mod keygen;
mod lint;
mod merge;
mod pin;
mod rebase;
mod show;
mod sign;
mod verify;

use std::path::Path;

use orchestrator::model_file::model::ModelFile;

use crate::arguments::model::ModelCommand;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(command: &ModelCommand) -> Outcome<Status> {
    match command {
        ModelCommand::Show(arguments) => show::run(arguments),
        ModelCommand::Explain(arguments) => explain::run(arguments),
        ModelCommand::Diff(arguments) => diff::run(arguments),
        ModelCommand::Merge(arguments) => merge::run(arguments),
        ModelCommand::Rebase(arguments) => rebase::run(arguments),
        ModelCommand::Lint(arguments) => lint::run(arguments),
        ModelCommand::Sign(arguments) => sign::run(arguments),
        ModelCommand::Verify(arguments) => verify::run(arguments),
        ModelCommand::Keygen(arguments) => keygen::run(arguments),
        ModelCommand::Pin(arguments) => pin::run(arguments),
    }
}

/// A model to be read by people, not to be run under: its signature is not asked for.
pub(crate) fn read(path: &Path) -> Outcome<ModelFile> {
    let text = ModelFile::read_text(path).or_fail(path.display())?;
    ModelFile::parse(&text).or_fail(path.display())
}

/// One named line of a listing.
fn field(name: &str, value: impl std::fmt::Display) -> String {
    let label = format!("{name}:");
    format!("{} {value}\n", output::styled(output::STRONG, &format!("{label:<14}")))
}

/// A name that is already taken is never written over.
fn refuse_existing(path: &Path) -> Outcome<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let taken = Failure::new(format_args!("{} is already there", path.display()));
    Err(taken.next("choose another name, or remove it first"))
}
