//! `quixote accept`: reviewed forensics become an addition to the model. Never silently.

use std::fs;
use std::io;
use std::io::IsTerminal;
use std::path::Path;
use std::path::PathBuf;

use orchestrator::accept;
use orchestrator::model_file::format::Descriptions;
use orchestrator::model_file::model::ModelFile;
use orchestrator::model_file::review::diff::Difference;
use orchestrator::model_file::review::diff::diff;
use orchestrator::model_file::signing::signature_path;
use orchestrator::record::Record;
use serde_json::json;

use super::model;
use super::show::forensic_text;
use crate::arguments::namespace::AcceptArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::namespace;
use crate::output;
use crate::question;

pub(crate) fn run(arguments: &AcceptArguments) -> Outcome<Status> {
    let record = namespace::find(&arguments.namespace)?;
    refuse_unfinished(arguments, &record)?;
    let rows = chosen(arguments, &record)?;
    let base = base(arguments, &record)?;
    refuse_other(&arguments.output, &base)?;
    let model = model::read(&base)?;
    let extended = accept::accept(&model, &record, &rows).or_fail(&arguments.namespace)?;
    if extended.len() == model.len() {
        output::note("quixote: the model holds all of this already; nothing is written\n");
        return Ok(Status::SUCCESS);
    }
    let difference = diff(&model, &extended);
    output::note(&review(&record, &rows, &difference));
    if !agreed(arguments)? {
        output::note("quixote: nothing is written\n");
        return Ok(Status::NO);
    }
    extended.write(&arguments.output, Descriptions::Keep).or_fail(arguments.output.display())?;
    tell(arguments, &extended, extended.len() - model.len(), &difference)?;
    Ok(Status::SUCCESS)
}

/// What is not known to be all is taken only when that is asked for.
fn refuse_unfinished(arguments: &AcceptArguments, record: &Record) -> Outcome<()> {
    match namespace::caution(record) {
        Some(caution) if !arguments.unfinished => Err(Failure::new(caution)
            .next("run the workload again, or add --unfinished to take what there is")),
        _ => Ok(()),
    }
}

fn chosen(arguments: &AcceptArguments, record: &Record) -> Outcome<Vec<usize>> {
    if record.forensics.is_empty() {
        let none = format!("nothing in {} was outside its model", record.name);
        return Err(Failure::new(none));
    }
    if arguments.only.is_empty() {
        return Ok((0..record.forensics.len()).collect());
    }
    accept::choose(record, &arguments.only).or_fail("--only")
}

/// The model that is added to.
fn base(arguments: &AcceptArguments, record: &Record) -> Outcome<PathBuf> {
    let base = arguments.model.clone().or_else(|| record.model.clone());
    base.ok_or_else(|| {
        let none = format!("the record of {} names no model", record.name);
        Failure::new(none).next("give it with --model")
    })
}

/// A model that is not the one that is added to is never written over.
fn refuse_other(output: &Path, base: &Path) -> Outcome<()> {
    let other = match (fs::canonicalize(output), fs::canonicalize(base)) {
        (Ok(output), Ok(base)) => output != base,
        (there, _) => there.is_ok(),
    };
    if !other {
        return Ok(());
    }
    let taken =
        Failure::new(format_args!("{} is already there, and another model", output.display()));
    Err(taken.next("choose another -o, or give it as --model too, to add to it"))
}

fn review(record: &Record, rows: &[usize], difference: &Difference) -> String {
    let mut text = format!("these events of {}:\n", output::printable(&record.name));
    for row in rows {
        if let Some(forensic) = record.forensics.get(*row) {
            text += &forensic_text(row + 1, forensic);
        }
    }
    text + &format!("\nwould change what the model allows:\n{difference}\n")
}

/// Nothing is added without a yes.
fn agreed(arguments: &AcceptArguments) -> Outcome<bool> {
    if arguments.yes {
        return Ok(true);
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let unasked =
            Failure::new("there is no terminal to ask on, and nothing is accepted silently");
        return Err(unasked.next("review the above, then add --yes"));
    }
    question::yes_or_no("Add this to the model?")
}

fn tell(
    arguments: &AcceptArguments,
    model: &ModelFile,
    added: usize,
    difference: &Difference,
) -> Outcome<()> {
    let (path, serial) = (&arguments.output, model.header().serial);
    let state = model.state().to_hex();
    if arguments.json {
        output::print_json(&json!({
            "model": path, "serial": serial, "state": state, "coefficients": model.len(),
            "added": added, "difference": difference,
        }))?;
        return Ok(());
    }
    let signed = signature_path(path).exists();
    let again = if signed { "sign it again: its signature holds no more" } else { "sign it" };
    let added = output::counted(added, "coefficient");
    output::print(&format!(
        "{}: {added} added, serial {serial}\n  state {state}\n  next: {again}\n",
        path.display()
    ))?;
    Ok(())
}
