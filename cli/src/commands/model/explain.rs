//! `quixote model explain`: what a model allows, in words, for the person who says yes or no.

use orchestrator::model_file::review::explain::explain;

use crate::arguments::model::ExplainArguments;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &ExplainArguments) -> Outcome<Status> {
    let explanation = explain(&super::read(&arguments.model)?);
    if arguments.json {
        output::print_json(&explanation)?;
    } else {
        output::print(&explanation.to_string())?;
    }
    Ok(Status::SUCCESS)
}
