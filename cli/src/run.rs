//! One run of a workload, as the user sees it: messages while it runs, a summary at its end.

mod denial;
mod desk;
pub(crate) mod machine_references;
mod prepared_model;
mod summary;
mod watch;

use std::path::Path;
use std::sync::Arc;

use orchestrator::control;
use orchestrator::replacement::Replaceable;
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
use crate::namespace;
use crate::output;
use crate::terminal::job_control;
use crate::terminal::signals;
use crate::terminal::signals::Caught;

pub(crate) use denial::Denial;
pub(crate) use denial::chain_words;
pub(crate) use denial::near_words;
use desk::Desk;
pub(crate) use desk::Telling;
pub(crate) use prepared_model::PreparedModel;
pub(crate) use prepared_model::verify;
pub(crate) use summary::Summary;
pub(crate) use summary::replacement_words;

/// Runs a workload to its end, telling the user meanwhile what `telling` says.
pub(crate) fn to_its_end(
    workload: &Workload,
    telling: Telling,
    replaceable: Option<Replaceable>,
) -> Outcome<Finished> {
    tell_lost(&workload.name)?;
    workload.source.spare_memory();
    let caught = signals::catch().or_fail("signals")?;
    let (watch, seen) = watch::pair();
    let watch = Arc::new(watch);
    let mut desk = Desk::new(watch.clone(), seen, telling);
    let started = workload::start(workload, watch, replaceable);
    let ended = follow(workload, started, &caught, &mut desk);
    desk.close();
    ended
}

/// Says that the run before this one was lost, before its record is replaced.
fn tell_lost(name: &str) -> Outcome<()> {
    if control::ask_if_running(name).or_fail(name)?.is_none()
        && let Some(lost) = namespace::lost(name)?
    {
        let head = output::styled_for_stderr(output::CAUTION, "quixote: lost before:");
        let events = output::counted(lost.counts.events, "event");
        output::note(&format!(
            "{head} the last run of {name} did not end, its orchestrator was killed; the {events} \
             that it had shown by then are part of no model\n"
        ));
    }
    Ok(())
}

/// Stays with a workload that runs until it ends. One whose first exec is denied has ended.
fn follow(
    workload: &Workload,
    started: Result<workload::Running, RunError>,
    caught: &Caught,
    desk: &mut Desk,
) -> Outcome<Finished> {
    let running = match started {
        Ok(running) => running,
        Err(RunError::Refused(finished)) => return Ok(*finished),
        Err(error) => return Err(cannot_run(&error, workload)),
    };
    let first = i32::try_from(running.first_pid()).ok().and_then(Pid::from_raw);
    let first = first.ok_or_else(|| Failure::new("the workload has no process id"))?;
    caught.relay_to(running.first_pidfd().or_fail("the workload")?);
    job_control::follow(first).or_fail("job control")?;
    if let Err(error) = desk.stay(caught, &running) {
        running.kill_all();
        return Err(error).or_fail("the workload");
    }
    running.wait().map_err(|error| cannot_run(&error, workload))
}

/// Runs a workload under a model, and tells how it went.
pub(crate) fn under_model(
    model: &PreparedModel,
    workload: &Workload,
    arguments: &ModelArguments,
    run: &RunArguments,
) -> Outcome<Status> {
    let replaceable = model.replaceable();
    let denial = Denial::new(replaceable.in_force.clone(), model.references().clone());
    let denial = Some(denial);
    let name = workload.name.clone();
    let telling = Telling { name, progress: false, quiet: run.quiet, denial };
    let finished = to_its_end(workload, telling, Some(replaceable))?;
    sum_up(&Summary::of(&finished.record), run)?;
    Ok(status_of(&finished, arguments.fail_on_violation))
}

/// A failure to run, with the status that env(1) would have.
fn cannot_run(error: &RunError, workload: &Workload) -> Failure {
    let fault = error.command_fault();
    let failure = Failure::from_library(error, "").status(exit::of_command(fault));
    match fault {
        None if matches!(error, RunError::MissingHooks(_)) => {
            failure.next("learn it on this kernel, or say --allow-missing-hooks")
        }
        None if matches!(error, RunError::UserIsOfTheKernel) => {
            failure.next("run quixote itself as that user, or give --source kernel")
        }
        None if matches!(error, RunError::FullIsOfTheKernel) => {
            failure.next("give --source kernel, as root")
        }
        Some(_) => failure
            .at(program_of(workload))
            .next("give a program on PATH, or a path to one, after the --"),
        None => match error.mend() {
            Some(mend) => failure.next(mend),
            None => failure,
        },
    }
}

fn program_of(workload: &Workload) -> String {
    workload.command.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Tells how the run ended: a summary on stderr, or as JSON on stdout, and to a file.
pub(crate) fn sum_up(summary: &Summary, arguments: &RunArguments) -> Outcome<()> {
    if let Some(path) = &arguments.summary {
        summary.write(path).or_fail(path.display())?;
    }
    if arguments.json {
        output::print_json(summary)?;
    } else {
        output::note(&summary.to_text());
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
