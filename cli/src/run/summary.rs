//! The summary of a run: the last thing that is said of it.

use std::fs;
use std::io;
use std::path::Path;

use orchestrator::record::Exit;
use orchestrator::record::Record;
use orchestrator::record::RecordedCounts;
use orchestrator::record::Replacement;
use serde::Serialize;

use crate::output;

/// The summary object of a run; what follows it depends on the command.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// The namespace's name.
    pub(crate) name: String,
    /// `free`, `sealed` or `enforcing`.
    pub(crate) mode: String,
    /// 64 hexadecimal digits.
    pub(crate) state: String,
    /// 64 hexadecimal digits.
    pub(crate) measurement: String,
    /// What was counted.
    pub(crate) counts: RecordedCounts,
    /// How the workload ended.
    pub(crate) exit: Option<Exit>,
    /// What the source could not judge, and what else is to be known of the figures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// What was learned; after `learn` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) learned: Option<serde_json::Value>,
}

impl Summary {
    /// What a record says at its end.
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            name: record.name.clone(),
            mode: record.mode.clone(),
            state: record.state.clone(),
            measurement: record.measurement.clone(),
            counts: record.counts,
            exit: record.exit,
            notes: notes_of(record),
            learned: None,
        }
    }

    /// Writes it as one line of JSON, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        let regular = fs::metadata(path).map_or(true, |found| found.is_file());
        if regular {
            orchestrator::model_file::format::write_atomically(path, line.as_bytes())
        } else {
            fs::write(path, line)
        }
    }

    /// For people.
    pub(crate) fn to_text(&self) -> String {
        let counts = &self.counts;
        let mut text = format!(
            "{} {} ({}) {}: {}, {} distinct",
            output::styled_for_stderr(output::STRONG, "quixote:"),
            self.name,
            self.mode,
            exit_words(self.exit),
            output::counted(counts.events, "event"),
            counts.coefficients,
        );
        text += &format!(", {}", alarming(counts.violations, "outside the model"));
        text += &format!(", {}", alarming(counts.denied, "denied"));
        text += &format!(", {}\n", alarming(counts.losses, "lost"));
        if counts.cached > 0 {
            let cached = output::counted(counts.cached, "event");
            text += &format!("  and {cached} that the verdict cache answered\n");
        }
        if counts.decided > 0 {
            text += &format!("  of the first, {} decided in the kernel\n", counts.decided);
        }
        text += &format!("  state {}\n", self.state);
        for note in &self.notes {
            text += &format!("  note: {}\n", output::printable(note));
        }
        if counts.violations > 0 {
            text += &format!("  see: quixote show {} forensics\n", self.name);
        }
        text
    }
}

/// With the models that have replaced another.
fn notes_of(record: &Record) -> Vec<String> {
    let replaced = record.replaced.iter().map(|each| replacement_words(record, each));
    record.notes.iter().cloned().chain(replaced).collect()
}

/// A model that has replaced another, for people.
pub(crate) fn replacement_words(record: &Record, replaced: &Replacement) -> String {
    let after = replaced.when.saturating_sub(record.started);
    let coefficients = output::counted(replaced.coefficients, "coefficient");
    let serial = replaced.serial;
    format!(
        "the model was replaced {after} s after the start by serial {serial}, of {coefficients}"
    )
}

fn alarming(count: u64, what: &str) -> String {
    let text = format!("{count} {what}");
    if count == 0 { text } else { output::styled_for_stderr(output::BAD, &text) }
}

/// How a workload ended, in words.
pub(crate) fn exit_words(exit: Option<Exit>) -> String {
    match exit {
        None => "runs".into(),
        Some(Exit::Code(code)) => format!("ended with status {code}"),
        Some(Exit::Signal(signal)) => format!("was ended by signal {signal}"),
    }
}
