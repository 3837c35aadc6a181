//! `quixote model show`: the header, and every event that the model holds, by program.

use std::fmt::Write as _;

use orchestrator::model_file::header::rule_lines;
use orchestrator::model_file::model::Described;
use orchestrator::model_file::model::ModelFile;
use serde_json::Value;
use serde_json::json;
use tsem::Digest;

use super::field;
use crate::arguments::model::ShowArguments;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::output;
use crate::output::FAINT;
use crate::output::STRONG;

/// So many digits of a coefficient name it for people.
const SHORT: usize = 12;

pub(crate) fn run(arguments: &ShowArguments) -> Outcome<Status> {
    let model = super::read(&arguments.model)?;
    if arguments.json {
        output::print_json(&as_json(&model, arguments.header))?;
    } else {
        let mut text = header(&model);
        if !arguments.header {
            text += &events(&model);
        }
        output::print(&text)?;
    }
    Ok(Status::SUCCESS)
}

fn as_json(model: &ModelFile, header_only: bool) -> Value {
    let mut object = json!({
        "header": model.header(),
        "header_digest": model.header().digest().to_hex(),
        "state": model.state().to_hex(),
        "coefficients": model.len(),
    });
    if !header_only {
        let events =
            model.entries().map(|(coefficient, described)| event(model, coefficient, described));
        object["events"] = events.collect();
    }
    object
}

fn event(model: &ModelFile, coefficient: &Digest, described: Option<&Described>) -> Value {
    let mut object = json!({ "coefficient": coefficient.to_hex() });
    if let Some(described) = described {
        object["program"] = chain(model, described).into();
        object["event"] = described.cell.to_string().into();
        object["credentials"] = described.coe.to_string().into();
        object["seen"] = described.seen.name().into();
        object["task_id"] = described.identity.task.to_hex().into();
    }
    object
}

fn chain(model: &ModelFile, described: &Described) -> Vec<String> {
    let chain = model.chain(&described.identity.task).into_iter();
    chain.map(|program| String::from_utf8_lossy(program.path()).into_owned()).collect()
}

fn header(model: &ModelFile) -> String {
    let header = model.header();
    let mut text = field("workload", &header.workload);
    text += &field("serial", header.serial);
    text += &field("profile", header.rules.profile.name());
    text += &field("learned on", format_args!("{}, {} source", header.learned_on, header.source));
    let runs = output::counted(header.runs, "run");
    let events = output::counted(header.events, "event");
    text += &field("learned from", format_args!("{runs}, {events}, {} lost", header.losses));
    text += &field("coefficients", model.len());
    text += &field("state", model.state().to_hex());
    for rule in rule_lines(&header.rules) {
        text += &field("rule", rule);
    }
    text
}

fn events(model: &ModelFile) -> String {
    let mut rows: Vec<_> =
        model.described().map(|(digest, row)| (chain(model, row), row, digest)).collect();
    rows.sort_by(|a, b| (&a.0, &a.1.cell, a.2).cmp(&(&b.0, &b.1.cell, b.2)));
    let mut text = String::new();
    let mut before: Option<Vec<String>> = None;
    for (chain, described, coefficient) in rows {
        if before.as_ref() != Some(&chain) {
            let title = if chain.is_empty() {
                "(before the first program)".into()
            } else {
                chain.join(" > ")
            };
            let _ = writeln!(text, "\n{}", output::styled(STRONG, &output::printable(&title)));
            before = Some(chain);
        }
        let short = &coefficient.to_hex()[..SHORT];
        let _ = writeln!(
            text,
            "  {}  {}  {}",
            output::styled(FAINT, short),
            described.cell,
            output::styled(FAINT, &described.coe.to_string())
        );
    }
    let silent = model.entries().filter(|(_, described)| described.is_none()).count();
    if silent > 0 {
        let silent = output::counted(silent, "coefficient");
        let _ = writeln!(text, "\n{silent} without a description");
    }
    text
}
