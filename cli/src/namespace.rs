//! A namespace by what the user calls it: the name of a running or recorded one, or a file.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use orchestrator::control;
use orchestrator::places;
use orchestrator::record::Record;

use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;

/// The record of a namespace; as it is now, if it runs.
pub(crate) fn find(called: &str) -> Outcome<Record> {
    if called.contains('/') || Path::new(called).is_file() {
        return Record::read(Path::new(called)).or_fail(called);
    }
    control::checked_name(called).or_fail("")?;
    if let Some(record) = control::ask_if_running(called).or_fail(called)? {
        return Ok(record);
    }
    if let Some(record) = recorded(called)? {
        return Ok(record);
    }
    let none = format!("there is no running or recorded namespace named {called}");
    Err(Failure::new(none)
        .next("quixote ps --all lists them; a record's file is given by its path"))
}

/// The record of a namespace that does not run, if there is one: of a run that was lost rather
/// than of one before it that ended.
pub(crate) fn recorded(name: &str) -> Outcome<Option<Record>> {
    for directory in directories()? {
        let path = directory.join(format!("{name}.json"));
        if path.exists() {
            return Record::read(&path).or_fail(path.display()).map(Some);
        }
    }
    Ok(None)
}

/// The last run under this name, if it was lost.
pub(crate) fn lost(name: &str) -> Outcome<Option<Record>> {
    Ok(recorded(name)?.filter(|record| record.unfinished.is_some()))
}

/// The names of runs that were lost.
pub(crate) fn lost_names() -> Outcome<Vec<String>> {
    let mut names = names_in(&places::unfinished_dir().or_fail("")?)?;
    names.retain(|name| matches!(control::ask_if_running(name), Ok(None)));
    Ok(names)
}

/// What to know of a record before relying on it.
pub(crate) fn caution(record: &Record) -> Option<String> {
    let taken = record.unfinished?;
    let (name, after) = (&record.name, taken.saturating_sub(record.started));
    Some(format!(
        "the run {name} was lost with its orchestrator: this record was taken {after} s after its \
         start, and nobody knows what came later"
    ))
}

/// The names of all recorded namespaces, sorted, each once.
pub(crate) fn recorded_names() -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for directory in directories()? {
        names.extend(names_in(&directory)?);
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn names_in(directory: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(directory).or_fail(directory.display())?;
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix(".json").map(str::to_owned)
    });
    Ok(names.collect())
}

fn directories() -> Outcome<[PathBuf; 2]> {
    Ok([places::unfinished_dir().or_fail("")?, places::records_dir().or_fail("")?])
}
