//! `quixote show`: one aspect of a running or recorded namespace.

use std::fmt::Write as _;

use orchestrator::accept;
use orchestrator::accept::Answer;
use orchestrator::model_file::review::nearest::Near;
use orchestrator::record::Record;
use orchestrator::record::RecordedCounts;
use orchestrator::stored::StoredEvent;
use orchestrator::stored::StoredForensic;
use orchestrator::stored::StoredReason;
use serde::Serialize;
use serde_json::json;
use tsem::Observation;
use tsem::TaskIndex;

use super::model;
use crate::arguments::namespace::Aspect;
use crate::arguments::namespace::ShowArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::namespace;
use crate::output;
use crate::output::FAINT;
use crate::output::STRONG;
use crate::run;
use crate::run::chain_words;
use crate::run::near_words;

/// So many digits of a coefficient name it for people.
const SHORT: usize = 12;
/// So many near events are told.
const NEAR_MAX: usize = 2;

pub(crate) fn run(arguments: &ShowArguments) -> Outcome<Status> {
    let record = namespace::find(&arguments.namespace)?;
    if let Some(caution) = namespace::caution(&record) {
        let head = output::styled_for_stderr(output::CAUTION, "quixote: unfinished:");
        output::note(&format!("{head} {}\n", output::printable(&caution)));
    }
    if arguments.json {
        show_json(&record, arguments.aspect)?;
    } else {
        output::print(&text(&record, arguments.aspect)?)?;
    }
    Ok(Status::SUCCESS)
}

fn show_json(record: &Record, aspect: Aspect) -> Outcome<()> {
    match aspect {
        Aspect::Trajectory => output::print_json(&trajectory(record)?)?,
        Aspect::Forensics => output::print_json(&numbered(record))?,
        Aspect::Coefficients => output::print_json(&record.coefficients)?,
        Aspect::Counts => output::print_json(&record.counts)?,
        Aspect::State => output::print_json(&json!({ "state": record.state }))?,
        Aspect::Measurement => output::print_json(&json!({ "measurement": record.measurement }))?,
        Aspect::Model => output::print_json(&json!({
            "model": record.model, "replaced": record.replaced,
        }))?,
    }
    Ok(())
}

fn text(record: &Record, aspect: Aspect) -> Outcome<String> {
    Ok(match aspect {
        Aspect::Trajectory => trajectory_text(&trajectory(record)?),
        Aspect::Forensics => forensics_text(record),
        Aspect::Coefficients => {
            record.coefficients.iter().map(|line| format!("{line}\n")).collect()
        }
        Aspect::Counts => counts_text(&record.counts),
        Aspect::State => format!("{}\n", record.state),
        Aspect::Measurement => format!("{}\n", record.measurement),
        Aspect::Model => model_text(record),
    })
}

fn model_text(record: &Record) -> String {
    let model = record.model.as_ref();
    let model = model.map_or("no model".into(), |path| path.display().to_string());
    let mut text = format!("{}\n", output::printable(&model));
    for replacement in &record.replaced {
        text += &format!("  {}\n", run::replacement_words(record, replacement));
    }
    text
}

/// An event of the trajectory, with the programs that led to it.
#[derive(Serialize)]
struct Step<'a> {
    chain: Vec<String>,
    #[serde(flatten)]
    event: &'a StoredEvent,
}

fn trajectory(record: &Record) -> Outcome<Vec<Step<'_>>> {
    let observation = record.observation.read().or_fail(&record.name)?;
    let step = |event| step(&observation, event);
    Ok(record.observation.events.iter().map(step).collect())
}

fn step<'a>(observation: &Observation, event: &'a StoredEvent) -> Step<'a> {
    Step { chain: orchestrator::chain::names(observation, TaskIndex(event.task)), event }
}

fn trajectory_text(steps: &[Step<'_>]) -> String {
    let mut text = String::new();
    let mut before: Option<&[String]> = None;
    for step in steps {
        if before != Some(&step.chain) {
            let _ = writeln!(text, "{}", output::styled(STRONG, &chain_words(&step.chain)));
            before = Some(&step.chain);
        }
        let event = step.event;
        let _ = writeln!(text, "  {:>6}x  {}", event.count, event.cell.event);
    }
    text
}

/// A forensic with the number that `accept --only` knows it by, and what its model says to it now.
#[derive(Serialize)]
struct Numbered<'a> {
    number: usize,
    #[serde(flatten)]
    forensic: &'a StoredForensic,
    held: bool,
    nearest: Vec<Near>,
}

fn numbered(record: &Record) -> Vec<Numbered<'_>> {
    let rows = record.forensics.iter().zip(answers(record)).enumerate();
    let number = |(row, (forensic, answer)): (usize, (_, Answer))| {
        let Answer { held, nearest } = answer;
        Numbered { number: row + 1, forensic, held, nearest }
    };
    rows.map(number).collect()
}

/// Of a model that is no longer there, or no model, there is nothing to say.
fn answers(record: &Record) -> Vec<Answer> {
    let model = record.model.as_deref().and_then(|path| model::read(path).ok());
    let answers = model.and_then(|model| accept::answers(&model, record).ok());
    answers.unwrap_or_else(|| vec![Answer::default(); record.forensics.len()])
}

fn forensics_text(record: &Record) -> String {
    if record.forensics.is_empty() {
        return format!("nothing in {} was outside its model\n", record.name);
    }
    let mut text = String::new();
    for row in numbered(record) {
        text += &forensic_text(row.number, row.forensic);
        text += &answer_text(&row);
    }
    if record.counts.forensics_dropped > 0 {
        let _ = writeln!(text, "{} more were not kept", record.counts.forensics_dropped);
    }
    let model = record.model.as_ref().map_or("MODEL".into(), |path| path.display().to_string());
    let accept = format!("quixote accept {} --only N... -o {model}", record.name);
    let _ = writeln!(text, "\nto accept some: {}", output::printable(&accept));
    text
}

fn answer_text(row: &Numbered<'_>) -> String {
    if row.held {
        return "     allowed by now: the model holds it\n".into();
    }
    if row.forensic.reason == StoredReason::Untrusted {
        return String::new();
    }
    let near = row.nearest.iter().take(NEAR_MAX).map(near_words).collect::<String>();
    near.lines().map(|line| format!("   {line}\n")).collect()
}

/// One forensic, for people.
pub(super) fn forensic_text(number: usize, forensic: &StoredForensic) -> String {
    let outcome = match (forensic.denied, forensic.reason) {
        (true, StoredReason::NotInModel) => "denied, not in the model",
        (false, StoredReason::NotInModel) => "allowed, not in the model",
        (true, StoredReason::Untrusted) => "denied, the process was untrusted",
        (false, StoredReason::Untrusted) => "allowed, the process was untrusted",
    };
    let short: String = forensic.coefficient.chars().take(SHORT).collect();
    let mut text = format!(
        "{} {}\n",
        output::styled(STRONG, &format!("{number:>3}.")),
        forensic.event.cell.event
    );
    let _ = writeln!(text, "     by {}", chain_words(&forensic.chain));
    let times = output::counted(forensic.event.count, "time");
    let detail = format!("{outcome}, {times}; coefficient {short}");
    let _ = writeln!(text, "     {}", output::styled(FAINT, &detail));
    text
}

fn counts_text(counts: &RecordedCounts) -> String {
    let rows = [
        ("events", counts.events, "judged; of these"),
        ("  decided", counts.decided, "in the kernel, before the agent was told"),
        ("cached", counts.cached, "events besides, allowed as the very same was before"),
        ("coefficients", counts.coefficients, "distinct good events"),
        ("violations", counts.violations, "events outside the model, or of untrusted processes"),
        ("denied", counts.denied, "events refused"),
        ("losses", counts.losses, "events that could not be judged; of these"),
        ("  dropped", counts.dropped, "by the source"),
        ("  unreadable", counts.unreadable, "their object could not be read or named"),
        ("  too large", counts.too_large, "beyond a bound"),
        ("not kept", counts.forensics_dropped, "descriptions of forensics, beyond a bound"),
        ("unknown made", counts.made_dropped, "paths that the workload made, beyond a bound"),
    ];
    let row = |(name, count, about): (&str, u64, &str)| {
        format!("{name:<13} {count:>10}  {}\n", output::styled(FAINT, about))
    };
    rows.into_iter().map(row).collect()
}
