//! `quixote model diff`: behaviour added and removed, in words.

use orchestrator::model_file::review::diff::diff;

use crate::arguments::model::DiffArguments;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::output;
use crate::output::BAD;
use crate::output::GOOD;

pub(crate) fn run(arguments: &DiffArguments) -> Outcome<Status> {
    let difference = diff(&super::read(&arguments.old)?, &super::read(&arguments.new)?);
    if arguments.json {
        output::print_json(&difference)?;
    } else {
        let text: String = difference.to_string().lines().map(coloured).collect();
        output::print(&text)?;
    }
    Ok(Status::yes_or_no(difference.is_empty()))
}

fn coloured(line: &str) -> String {
    let text = match line.trim_start().chars().next() {
        Some('+') => output::styled(GOOD, line),
        Some('-') => output::styled(BAD, line),
        _ => line.to_owned(),
    };
    text + "\n"
}
