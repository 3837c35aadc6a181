//! `quixote replace`: a newer model for a namespace that runs.

use orchestrator::control;
use orchestrator::model_file::trust::Unverified;
use orchestrator::replacement::Replaced;

use crate::arguments::namespace::ReplaceArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &ReplaceArguments) -> Outcome<Status> {
    control::checked_name(&arguments.namespace).or_fail("")?;
    // It is the orchestrator's to record, which may stand elsewhere.
    let path = std::path::absolute(&arguments.model).or_fail(arguments.model.display())?;
    let model = Unverified::read(&path).or_fail(arguments.model.display())?;
    let replaced =
        control::replace(&arguments.namespace, &model).or_fail(arguments.model.display())?;
    if arguments.json {
        output::print_json(&replaced)?;
    } else {
        output::print(&text(&replaced))?;
    }
    Ok(Status::SUCCESS)
}

fn text(replaced: &Replaced) -> String {
    let Replaced { name, serial_before, serial, added, removed, state, .. } = replaced;
    let coefficients = output::counted(replaced.coefficients as u64, "coefficient");
    format!(
        "{name}: serial {serial} is in force instead of {serial_before}\n  \
         {coefficients}: {added} added, {removed} removed\n  state {state}\n",
        name = output::printable(name),
    )
}
