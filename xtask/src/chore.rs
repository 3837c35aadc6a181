//! A chore of several named parts, each with a time limit and with what it needs.
//!
//! A part that cannot run here is skipped, counted and told with its reason; it is never taken
//! for a success. A required part that is skipped fails the chore.

use crate::process;
use crate::repository::Repository;
use crate::repository::has_program;
use anyhow::Result;
use anyhow::bail;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::process::ExitCode;
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
    /// Programs on PATH and files of the repository without which it cannot run.
    pub(crate) needs: Vec<Need>,
    /// Command lines, run one after another in the repository's root.
    pub(crate) steps: Vec<Vec<&'static str>>,
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
    let run = |part| run_one(repository, part, &selection.only);
    let lines: Vec<Line> = chosen.into_iter().map(run).collect();
    print_table(&lines);
    Ok(verdict(&lines))
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
        println!("{:<14} {:>5} s  {}{required}", part.name, part.limit.as_secs(), part.about);
    }
}

fn run_one<'a>(repository: &Repository, part: &'a Part, asked: &[String]) -> Line<'a> {
    println!("\n==> {}: {}", part.name, part.about);
    let started = Instant::now();
    let outcome = match missing(repository, part, asked) {
        Some(why) => Outcome::Skipped(why),
        None => match run_steps(repository, part) {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        },
    };
    if let Outcome::Failed(why) | Outcome::Skipped(why) = &outcome {
        println!("{}: {why}", part.name);
    }
    Line { part, outcome, took: started.elapsed() }
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

fn run_steps(repository: &Repository, part: &Part) -> Result<()> {
    let deadline = Instant::now() + part.limit;
    for step in &part.steps {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut command = Command::new(step[0]);
        command.args(&step[1..]).current_dir(repository.root());
        process::run(&mut command, left)?;
    }
    Ok(())
}

fn print_table(lines: &[Line]) {
    println!("\n{:<14} {:>8}  {:<8} why", "part", "seconds", "outcome");
    for line in lines {
        let (word, why) = match &line.outcome {
            Outcome::Passed => ("passed", ""),
            Outcome::Failed(why) => ("FAILED", why.as_str()),
            Outcome::Skipped(why) => ("skipped", why.as_str()),
        };
        println!("{:<14} {:>8.1}  {word:<8} {why}", line.part.name, line.took.as_secs_f64());
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
        Part { name, about: "a part", limit, required, needs, steps: vec![vec![step]] }
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
    fn an_unknown_name_is_refused() {
        let parts = [part("good", true, "true", vec![])];
        assert!(choose(&parts, &["evil".to_owned()]).is_err());
        assert_eq!(choose(&parts, &["good".to_owned()]).unwrap().len(), 1);
    }
}
