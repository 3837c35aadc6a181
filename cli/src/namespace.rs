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
    if let Ok(record) = control::ask(called) {
        return Ok(record);
    }
    if record_path(called)?.exists() {
        return recorded(called);
    }
    let none = format!("there is no running or recorded namespace named {called}");
    Err(Failure::new(none)
        .next("quixote ps --all lists them; a record's file is given by its path"))
}

/// The record of a namespace that has ended.
pub(crate) fn recorded(name: &str) -> Outcome<Record> {
    let path = record_path(name)?;
    Record::read(&path).or_fail(path.display())
}

/// The names of all recorded namespaces, sorted.
pub(crate) fn recorded_names() -> Outcome<Vec<String>> {
    let directory = places::records_dir().or_fail("")?;
    let entries = fs::read_dir(&directory).or_fail(directory.display())?;
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_suffix(".json").map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn record_path(name: &str) -> Outcome<PathBuf> {
    Ok(places::records_dir().or_fail("")?.join(format!("{name}.json")))
}
