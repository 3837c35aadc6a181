//! `quixote model rebase`: a model of plain digests, carried over to upgraded packages.

use std::fmt::Write as _;

use orchestrator::model_file::format::Descriptions;
use orchestrator::model_file::rebase;
use orchestrator::model_file::rebase::Rebased;
use orchestrator::model_file::review::diff::Difference;
use orchestrator::model_file::review::diff::diff;
use serde_json::json;

use crate::arguments::model::RebaseArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;
use crate::run::machine_references;

pub(crate) fn run(arguments: &RebaseArguments) -> Outcome<Status> {
    let model = super::read(&arguments.model)?;
    let from = machine_references::read(&arguments.from)?;
    let to = machine_references::read(&arguments.to)?;
    let rebased = rebase::rebase(&model, &from, &to).or_fail(arguments.model.display())?;
    let path = &arguments.output;
    rebased.model.write(path, Descriptions::Keep).or_fail(path.display())?;
    let difference = diff(&model, &rebased.model);
    if arguments.json {
        output::print_json(&json!({
            "model": path, "header": rebased.model.header(), "state": rebased.model.state().to_hex(),
            "packages": rebased.steps, "left": rebased.left, "difference": difference,
        }))?;
    } else {
        output::print(&words(&rebased, &difference, &path.display().to_string()))?;
    }
    Ok(Status::yes_or_no(rebased.left.is_empty()))
}

fn words(rebased: &Rebased, difference: &Difference, path: &str) -> String {
    let mut text = String::new();
    for step in &rebased.steps {
        let (package, from, to) = (&step.package, &step.from, &step.to);
        let line = format!("{package} {from} -> {to}: {}", output::counted(step.files, "file"));
        let _ = writeln!(text, "{}", output::printable(&line));
    }
    if rebased.steps.is_empty() {
        text += "no package explains a change; the model is as it was\n";
    }
    for left in &rebased.left {
        let line = format!("not exchanged: {}: {}", left.path, left.why);
        let _ = writeln!(text, "{}", output::styled(output::CAUTION, &output::printable(&line)));
    }
    let _ = write!(text, "{difference}");
    let (model, serial) = (&rebased.model, rebased.model.header().serial);
    let _ = writeln!(
        text,
        "wrote {path}: serial {serial}\n  state {}\n  next: quixote model explain {path}, then sign it",
        model.state()
    );
    text
}
