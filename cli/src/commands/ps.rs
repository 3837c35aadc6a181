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
    /// When the record was taken, if the run was lost with its orchestrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    unfinished: Option<u64>,
    pid: u32,
    started: u64,
    ended: Option<u64>,
    command: Vec<String>,
}

pub(crate) fn run(arguments: &PsArguments) -> Outcome<Status> {
    let mut records = control::running().or_fail("")?;
    if arguments.all {
        records.extend(others(&records)?);
    } else {
        tell_lost(namespace::lost_names()?.len());
    }
    if arguments.json {
        output::print_json(&records.iter().map(Row::of).collect::<Vec<_>>())?;
    } else {
        output::print(&table(&records))?;
    }
    Ok(Status::SUCCESS)
}

/// What is recorded and does not run.
fn others(running: &[Record]) -> Outcome<Vec<Record>> {
    let is_running = |name: &String| running.iter().any(|record| record.name == *name);
    let names = namespace::recorded_names()?;
    let names = names.iter().filter(|name| !is_running(name));
    let records = names.filter_map(|name| namespace::recorded(name).transpose());
    let records: Vec<Record> = records.collect::<Outcome<_>>()?;
    Ok(records.into_iter().filter(|record| !has_begun_meanwhile(record)).collect())
}

fn has_begun_meanwhile(record: &Record) -> bool {
    record.unfinished.is_some() && !matches!(control::ask_if_running(&record.name), Ok(None))
}

fn tell_lost(lost: usize) {
    if lost == 0 {
        return;
    }
    let runs = output::counted(lost, "run");
    output::note(&format!(
        "quixote: {runs} did not end, the orchestrator was killed; see: quixote ps --all\n"
    ));
}

impl Row {
    fn of(record: &Record) -> Self {
        Self {
            summary: Summary::of(record),
            running: record.is_running(),
            unfinished: record.unfinished,
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
        let pid = match (record.is_running(), record.unfinished) {
            (true, _) => record.orchestrator.to_string(),
            (false, Some(_)) => "lost".into(),
            (false, None) => "ended".into(),
        };
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
