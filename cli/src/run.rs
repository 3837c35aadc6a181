//! One run of a workload, as the user sees it: messages while it runs, a summary at its end.

mod denial;
pub(crate) mod machine_references;
mod prepared_model;
mod reporter;
mod summary;
mod watch;

use std::path::Path;
use std::sync::Arc;

use orchestrator::control;
use orchestrator::workload;
use orchestrator::workload::Finished;
use orchestrator::workload::RunError;
use orchestrator::workload::Workload;
use rustix::process::Pid;

use crate::arguments::run::ModelArguments;
use crate::arguments::run::RunArguments;
use crate::exit;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::terminal::job_control;
use crate::terminal::signals;
use crate::terminal::signals::Caught;

pub(crate) use denial::Denial;
pub(crate) use denial::chain_words;
pub(crate) use prepared_model::PreparedModel;
pub(crate) use prepared_model::verify;
pub(crate) use reporter::Telling;
pub(crate) use summary::Summary;

/// Runs a workload to its end, telling the user meanwhile what `telling` says.
pub(crate) fn to_its_end(workload: &Workload, telling: Telling) -> Outcome<Finished> {
    let caught = signals::catch().or_fail("signals")?;
    let (watch, seen) = watch::pair();
    let watch = Arc::new(watch);
    let reporter = reporter::start(watch.clone(), seen, telling).or_fail("messages")?;
    let ended = follow(workload::start(workload, watch), &caught);
    reporter.finish();
    ended
}

/// Stays with a workload that runs until it ends. One whose first exec is denied has ended.
fn follow(started: Result<workload::Running, RunError>, caught: &Caught) -> Outcome<Finished> {
    let running = match started {
        Ok(running) => running,
        Err(RunError::Refused(finished)) => return Ok(*finished),
        Err(error) => return Err(cannot_run(&error)),
    };
    let first = i32::try_from(running.first_pid()).ok().and_then(Pid::from_raw);
    let first = first.ok_or_else(|| Failure::new("the workload has no process id"))?;
    caught.relay_to(running.first_pidfd().or_fail("the workload")?);
    job_control::follow(first).or_fail("job control")?;
    running.wait().map_err(|error| cannot_run(&error))
}

/// Runs a workload under a model, and tells how it went.
pub(crate) fn under_model(
    model: &PreparedModel,
    workload: &Workload,
    arguments: &ModelArguments,
    run: &RunArguments,
) -> Outcome<Status> {
    let denial = Denial::new(model.model().clone(), &arguments.model, model.references().clone());
    let denial = Some(denial);
    let name = workload.name.clone();
    let telling = Telling { name, progress: false, quiet: run.quiet, denial };
    let finished = to_its_end(workload, telling)?;
    sum_up(&Summary::of(&finished.record), run)?;
    Ok(status_of(&finished, arguments.fail_on_violation))
}

/// A failure to run, with the status that env(1) would have.
fn cannot_run(error: &RunError) -> Failure {
    let fault = error.command_fault();
    let failure = Failure::from_library(error, "").status(exit::of_command(fault));
    match fault {
        Some(_) => failure.next("give a program on PATH, or a path to one, after the --"),
        None => failure,
    }
}

/// Tells how the run ended: a summary on stderr, or as JSON on stdout, and to a file.
pub(crate) fn sum_up(summary: &Summary, arguments: &RunArguments) -> Outcome<()> {
    if let Some(path) = &arguments.summary {
        summary.write(path).or_fail(path.display())?;
    }
    if arguments.json {
        crate::output::print_json(summary)?;
    } else {
        crate::output::note(&summary.to_text());
    }
    Ok(())
}

/// The status of a finished run.
pub(crate) fn status_of(finished: &Finished, fail_on_violation: bool) -> Status {
    Status::of_run(finished.exit, finished.record.counts.violations, fail_on_violation)
}

/// The namespace's name: as given, else as `default` says, else the program's.
pub(crate) fn name_of(arguments: &RunArguments, default: Option<&str>) -> Outcome<String> {
    let program = arguments.command.first().map(Path::new).and_then(Path::file_name);
    let program = program.map(|name| name.to_string_lossy().into_owned());
    let named = arguments.name.clone().or_else(|| default.map(Into::into)).or(program);
    let name = named.unwrap_or_default();
    control::checked_name(&name).or_fail("").map_err(|failure| failure.next("choose a --name"))?;
    Ok(name)
}
