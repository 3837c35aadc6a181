//! `quixote ps`: running namespaces, and recorded ones with `--all`.

use std::fmt::Write as _;

use orchestrator::control;
use orchestrator::record::Record;
use serde::Serialize;

use crate::arguments::namespace::PsArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::namespace;
use crate::output;
use crate::output::STRONG;
use crate::run::Summary;

/// A line of the list.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    summary: Summary,
    running: bool,
    pid: u32,
    started: u64,
    ended: Option<u64>,
    command: Vec<String>,
}

pub(crate) fn run(arguments: &PsArguments) -> Outcome<Status> {
    let mut records = control::running().or_fail("")?;
    if arguments.all {
        let is_running = |name: &String| records.iter().any(|record| record.name == *name);
        let ended: Vec<String> = namespace::recorded_names()?;
        let ended: Vec<String> = ended.into_iter().filter(|name| !is_running(name)).collect();
        for name in ended {
            records.push(namespace::recorded(&name)?);
        }
    }
    if arguments.json {
        output::print_json(&records.iter().map(Row::of).collect::<Vec<_>>())?;
    } else {
        output::print(&table(&records))?;
    }
    Ok(Status::SUCCESS)
}

impl Row {
    fn of(record: &Record) -> Self {
        Self {
            summary: Summary::of(record),
            running: record.is_running(),
            pid: record.orchestrator,
            started: record.started,
            ended: record.ended,
            command: record.command.clone(),
        }
    }
}

fn table(records: &[Record]) -> String {
    if records.is_empty() {
        return "no namespace runs; `quixote ps --all` lists recorded ones\n".into();
    }
    let width = records.iter().map(|record| record.name.len()).max().unwrap_or(0).max(4);
    let head = format!(
        "{:<width$}  {:<9}  {:>7}  {:>9}  {:>8}  {:>6}  {:>4}  {}",
        "NAME", "MODE", "PID", "EVENTS", "OUTSIDE", "DENIED", "LOST", "COMMAND"
    );
    let mut text = format!("{}\n", output::styled(STRONG, &head));
    for record in records {
        let counts = &record.counts;
        let pid =
            if record.is_running() { record.orchestrator.to_string() } else { "ended".into() };
        let _ = writeln!(
            text,
            "{:<width$}  {:<9}  {pid:>7}  {:>9}  {:>8}  {:>6}  {:>4}  {}",
            record.name,
            record.mode,
            counts.events,
            counts.violations,
            counts.denied,
            counts.losses,
            output::printable(&record.command.join(" ")),
        );
    }
    text
}
