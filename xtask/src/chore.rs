//! A chore of several named parts, each with a time limit and with what it needs.
//!
//! A part that cannot run here is skipped, counted and told with its reason; it is never taken
//! for a success. A required part that is skipped fails the chore.
//!
//! Parts run one after another in the order of their table, in two lanes: those that mostly wait for one emulated
//! processor run aside, one at a time, while the others go on. What they print is kept and shown between two parts.
//! When the others are done, two at a time are left to run.

use crate::process;
use crate::repository::Repository;
use crate::repository::has_program;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use nix::sys::memfd::MFdFlags;
use nix::sys::memfd::memfd_create;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Seek as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Which parts of a chore to run.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Selection {
    /// Run only this part (may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Name the parts, with what each needs, and run nothing
    #[arg(long)]
    list: bool,
}

/// One named part of a chore.
#[derive(Debug)]
pub(crate) struct Part {
    /// The name for `--only`.
    pub(crate) name: &'static str,
    /// What it shows, in one line.
    pub(crate) about: &'static str,
    /// How long it may take.
    pub(crate) limit: Duration,
    /// Whether the chore fails when it cannot run.
    pub(crate) required: bool,
    /// Beside which others it may run.
    pub(crate) lane: Lane,
    /// Programs on PATH and files of the repository without which it cannot run.
    pub(crate) needs: Vec<Need>,
    /// Command lines, run one after another in the repository's root.
    pub(crate) steps: Vec<Vec<&'static str>>,
}

/// A step from its command line; no word of it holds a blank.
pub(crate) fn words(line: &'static str) -> Vec<&'static str> {
    line.split_whitespace().collect()
}

/// Where a part runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// In the order of the table, alone in this lane.
    Main,
    /// Aside, from its turn in the table on: it shares no port or folder with any other part, and a build folder with
    /// none of the main lane.
    Aside,
}

/// What a part cannot run without.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// A program on PATH.
    Program(&'static str),
    /// That the chore is run by root.
    Root,
    /// A file or folder of the repository.
    File(&'static str),
    /// That it is asked for by name; why it is not run with all others.
    Asked(&'static str),
}

#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

struct Line<'a> {
    part: &'a Part,
    outcome: Outcome,
    took: Duration,
}

/// Runs the selected parts, all of them even when one fails, and prints the table.
pub(crate) fn run_all(
    repository: &Repository,
    parts: &[Part],
    selection: &Selection,
) -> Result<ExitCode> {
    let chosen = choose(parts, &selection.only)?;
    if selection.list {
        list(&chosen);
        return Ok(ExitCode::SUCCESS);
    }
    let lines = run_lanes(repository, &chosen, &selection.only)?;
    print_table(&lines);
    Ok(verdict(&lines))
}

/// Runs every part in its lane; the lines are in the order of the parts.
fn run_lanes<'a>(
    repository: &Repository,
    parts: &[&'a Part],
    asked: &[String],
) -> Result<Vec<Line<'a>>> {
    let (queue, queued) = mpsc::channel::<&Part>();
    let queued = Mutex::new(queued);
    let (finish, finished) = mpsc::channel();
    let run_queued = |finish: mpsc::Sender<_>| {
        while let Some(part) = next(&queued) {
            // The receiver outlives every sender.
            let _ = finish.send(run_aside(repository, part, asked));
        }
    };
    let mut lines = thread::scope(|scope| {
        let beside = finish.clone();
        scope.spawn(|| run_queued(beside));
        let mut lines = Vec::new();
        for part in parts {
            if part.lane == Lane::Aside && parts.len() > 1 {
                println!("\n==> {} runs aside; what it prints is shown after its end", part.name);
                queue.send(part).ok().context("the lane aside has ended")?;
            } else {
                lines.push(run_one(repository, part, asked, None));
            }
            lines.extend(finished.try_iter().map(shown));
        }
        drop(queue);
        scope.spawn(|| run_queued(finish));
        lines.extend(finished.iter().map(shown));
        anyhow::Ok(lines)
    })?;
    lines.sort_by_key(|line| parts.iter().position(|part| part.name == line.part.name));
    Ok(lines)
}

/// The next part aside; none when all have been taken and no more come.
fn next<'a>(queued: &Mutex<mpsc::Receiver<&'a Part>>) -> Option<&'a Part> {
    queued.lock().ok()?.recv().ok()
}

/// A part's line, and what it has printed.
fn run_aside<'a>(
    repository: &Repository,
    part: &'a Part,
    asked: &[String],
) -> (Line<'a>, Option<File>) {
    match memfd_create("output", MFdFlags::MFD_CLOEXEC).map(File::from) {
        Ok(output) => (run_one(repository, part, asked, Some(&output)), Some(output)),
        Err(error) => {
            let outcome = Outcome::Failed(format!("cannot keep what it prints: {error}"));
            (Line { part, outcome, took: Duration::ZERO }, None)
        }
    }
}

/// Prints what a part aside has printed.
fn shown((line, output): (Line<'_>, Option<File>)) -> Line<'_> {
    head(line.part);
    let copy = |mut file: File| {
        file.rewind()?;
        std::io::copy(&mut file, &mut std::io::stdout())
    };
    if let Some(Err(error)) = output.map(copy) {
        println!("{}: what it printed cannot be shown: {error}", line.part.name);
    }
    end(&line);
    line
}

fn head(part: &Part) {
    println!("\n==> {}: {}", part.name, part.about);
}

fn end(line: &Line<'_>) {
    if let Outcome::Failed(why) | Outcome::Skipped(why) = &line.outcome {
        println!("{}: {why}", line.part.name);
    }
}

fn choose<'a>(parts: &'a [Part], only: &[String]) -> Result<Vec<&'a Part>> {
    if let Some(unknown) = only.iter().find(|name| parts.iter().all(|part| part.name != **name)) {
        bail!("no part is named {unknown}; `--list` names them");
    }
    let wanted = |part: &&Part| only.is_empty() || only.iter().any(|name| name == part.name);
    Ok(parts.iter().filter(wanted).collect())
}

fn list(parts: &[&Part]) {
    for part in parts {
        let required = if part.required { "" } else { " (optional)" };
        println!("{:<18} {:>5} s  {}{required}", part.name, part.limit.as_secs(), part.about);
    }
}

/// `output`: where the part prints to, when not to where the chore prints.
fn run_one<'a>(
    repository: &Repository,
    part: &'a Part,
    asked: &[String],
    output: Option<&File>,
) -> Line<'a> {
    if output.is_none() {
        head(part);
    }
    let started = Instant::now();
    let outcome = match missing(repository, part, asked) {
        Some(why) => Outcome::Skipped(why),
        None => match run_steps(repository, part, output) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        },
    };
    let line = Line { part, outcome, took: started.elapsed() };
    if output.is_none() {
        end(&line);
    }
    line
}

fn missing(repository: &Repository, part: &Part, asked: &[String]) -> Option<String> {
    part.needs.iter().find_map(|need| match need {
        Need::Program(name) if !has_program(name) => {
            Some(format!("the program `{name}` is not here; `cargo xtask setup` says how"))
        }
        Need::Root if !is_root() => Some("it needs root".to_owned()),
        Need::File(path) if !repository.path(path).exists() => {
            Some(format!("{path} is not in the repository"))
        }
        Need::Asked(why) if !asked.iter().any(|name| name == part.name) => {
            Some(format!("by `--only {}` alone: {why}", part.name))
        }
        _ => None,
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn run_steps(repository: &Repository, part: &Part, output: Option<&File>) -> Result<()> {
    let deadline = Instant::now() + part.limit;
    for step in &part.steps {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut command = command(repository, step);
        match output {
            Some(file) => process::run_into(&mut command, file, left)?,
            None => process::run(&mut command, left)?,
        }
    }
    Ok(())
}

/// A chore of this program's is run by this very program: cargo would wait for a build beside it.
fn command(repository: &Repository, step: &[&str]) -> Command {
    let (program, arguments) = match step {
        ["cargo", "xtask", arguments @ ..] => (repository.xtask().as_os_str(), arguments),
        [program, arguments @ ..] => (OsStr::new(*program), arguments),
        [] => unreachable!("a step names a program"),
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(repository.root());
    command
}

fn print_table(lines: &[Line]) {
    println!("\n{:<18} {:>8}  {:<8} why", "part", "seconds", "outcome");
    for line in lines {
        let (word, why) = match &line.outcome {
            Outcome::Passed => ("passed", ""),
            Outcome::Failed(why) => ("FAILED", why.as_str()),
            Outcome::Skipped(why) => ("skipped", why.as_str()),
        };
        println!("{:<18} {:>8.1}  {word:<8} {why}", line.part.name, line.took.as_secs_f64());
    }
    let count = |of: fn(&Outcome) -> bool| lines.iter().filter(|line| of(&line.outcome)).count();
    let passed = count(|outcome| matches!(outcome, Outcome::Passed));
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
}

fn verdict(lines: &[Line]) -> ExitCode {
    let bad = |line: &Line| match line.outcome {
        Outcome::Passed => false,
        Outcome::Failed(_) => true,
        Outcome::Skipped(_) => line.part.required,
    };
    if lines.iter().any(bad) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &'static str, required: bool, step: &'static str, needs: Vec<Need>) -> Part {
        let limit = Duration::from_secs(10);
        let (lane, steps) = (Lane::Main, vec![vec![step]]);
        Part { name, about: "a part", limit, required, lane, needs, steps }
    }

    fn run(part: Part) -> ExitCode {
        run_selected(part, &[])
    }

    fn run_selected(part: Part, only: &[&str]) -> ExitCode {
        let repository = Repository::locate().unwrap();
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        run_all(&repository, &[part], &Selection { only, list: false }).unwrap()
    }

    #[test]
    fn a_part_that_must_be_asked_for_runs_by_its_name_alone() {
        let asked = || part("rare", false, "false", vec![Need::Asked("it takes hours")]);
        assert_eq!(run(asked()), ExitCode::SUCCESS);
        assert_eq!(run_selected(asked(), &["rare"]), ExitCode::FAILURE);
        let required = part("rare", true, "true", vec![Need::Asked("it takes hours")]);
        assert_eq!(run(required), ExitCode::FAILURE);
    }

    #[test]
    fn a_failed_part_fails_the_chore() {
        assert_eq!(run(part("good", true, "true", vec![])), ExitCode::SUCCESS);
        assert_eq!(run(part("bad", false, "false", vec![])), ExitCode::FAILURE);
    }

    #[test]
    fn a_missing_part_fails_the_chore_only_when_required() {
        let need = || vec![Need::Program("no-such-program-here")];
        assert_eq!(run(part("must", true, "true", need())), ExitCode::FAILURE);
        assert_eq!(run(part("may", false, "true", need())), ExitCode::SUCCESS);
        let need = vec![Need::File("no/such/file")];
        assert_eq!(run(part("must", true, "true", need)), ExitCode::FAILURE);
    }

    #[test]
    fn a_part_aside_counts_as_any_other() {
        let aside = |name, step| Part { lane: Lane::Aside, ..part(name, true, step, vec![]) };
        let outcome = |parts: &[Part]| {
            run_all(&Repository::locate().unwrap(), parts, &Selection::default()).unwrap()
        };
        let main = || part("main", true, "true", vec![]);
        assert_eq!(outcome(&[aside("beside", "true"), main()]), ExitCode::SUCCESS);
        assert_eq!(outcome(&[aside("beside", "false"), main()]), ExitCode::FAILURE);
        let missing = vec![Need::Program("no-such-program-here")];
        let missing = Part { lane: Lane::Aside, ..part("beside", true, "true", missing) };
        assert_eq!(outcome(&[main(), missing]), ExitCode::FAILURE);
    }

    #[test]
    fn lines_are_in_the_order_of_the_table_and_both_lanes_run_at_once() {
        let mut slow = Part { lane: Lane::Aside, ..part("slow", true, "sleep", vec![]) };
        slow.steps = vec![vec!["sleep", "0.3"]];
        let parts = [slow, part("quick", true, "true", vec![])];
        let parts: Vec<&Part> = parts.iter().collect();
        let lines = run_lanes(&Repository::locate().unwrap(), &parts, &[]).unwrap();
        assert_eq!(lines[0].part.name, "slow");
        assert!(lines[0].took >= Duration::from_millis(300));
        assert!(lines[1].took < Duration::from_millis(300));
    }

    #[test]
    fn parts_aside_run_two_at_a_time_when_the_others_are_done() {
        let aside = |name| {
            let mut part = Part { lane: Lane::Aside, ..part(name, true, "sleep", vec![]) };
            part.steps = vec![vec!["sleep", "1"]];
            part
        };
        let parts = [aside("one"), aside("other"), part("quick", true, "true", vec![])];
        let parts: Vec<&Part> = parts.iter().collect();
        let started = Instant::now();
        let lines = run_lanes(&Repository::locate().unwrap(), &parts, &[]).unwrap();
        assert!(started.elapsed() < Duration::from_secs(2));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let parts = [part("good", true, "true", vec![])];
        assert!(choose(&parts, &["evil".to_owned()]).is_err());
        assert_eq!(choose(&parts, &["good".to_owned()]).unwrap().len(), 1);
    }
}
