//! `quixote learn`: runs a workload in free mode, and makes a model of all its runs.

mod choice;
mod report;

use std::collections::BTreeSet;
use std::path::Path;

use orchestrator::hooks::Hooks;
use orchestrator::learn::Lesson;
use orchestrator::model_file::convergence;
use orchestrator::model_file::convergence::Convergence;
use orchestrator::model_file::header::add_rule;
use orchestrator::model_file::model::ModelFile;
use orchestrator::model_file::propose;
use orchestrator::record::Exit;
use orchestrator::reference_table;
use orchestrator::reference_table::ReferenceTable;
use orchestrator::source::Source;
use orchestrator::workload::Finished;
use orchestrator::workload::Workload;
use tsem::Mode;
use tsem::Observation;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ReferenceRule;
use tsem::References;
use tsem::Rules;

use self::choice::Choice;
use crate::arguments::run::LearnArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;
use crate::run;
use crate::run::Summary;
use crate::run::Telling;
use crate::run::machine_references;

/// What was learned, to be told.
struct Learned<'a> {
    path: &'a Path,
    model: ModelFile,
    convergence: Convergence,
    choice: Choice,
}

pub(crate) fn run(arguments: &LearnArguments) -> Outcome<Status> {
    let rules = given_rules(arguments)?;
    let name = run::name_of(&arguments.run, file_stem(&arguments.output).as_deref())?;
    let begin = if arguments.anew { Lesson::anew } else { Lesson::open };
    let mut lesson = begin(&arguments.output, &name, &rules).or_fail("")?;
    if let Some(profile) = arguments.profile {
        lesson.choose_profile(profile.into()).or_fail("")?;
    }
    let vouching = Vouching::of(arguments, lesson.rules())?;
    let source = arguments.run.source.source_for(lesson.rules().profile);
    let finished = run_all(arguments, &name, source, &mut lesson, &vouching)?;
    let rules_of_runs = lesson.rules().clone();
    let learned = conclude(arguments, &mut lesson, &vouching)?;
    let mut summary = Summary::of(&finished.record);
    summary.learned = Some(learned.to_json());
    if learned.model.rules() != &rules_of_runs {
        let note =
            "this state is the last run's by itself, before the new rules; the model has its own";
        summary.notes.push(note.into());
        // Of the new rules as well; of those of the runs it is said already.
        let caution = source.caution(learned.model.rules()).map(String::from);
        summary.notes.extend(caution.filter(|caution| !summary.notes.contains(caution)));
    }
    if !arguments.run.json {
        output::note(&learned.to_text());
    }
    run::sum_up(&summary, &arguments.run)?;
    Ok(Status::of_workload(finished.exit))
}

/// The rules of the command line.
fn given_rules(arguments: &LearnArguments) -> Outcome<Rules> {
    let mut rules = Rules::default();
    for pattern in &arguments.digest {
        let text = format!("digest {pattern}");
        add_rule(&mut rules, &text).or_fail(format_args!("--digest {pattern}"))?;
    }
    for text in &arguments.rule {
        add_rule(&mut rules, text).or_fail(format_args!("--rule '{text}'"))?;
    }
    Ok(rules)
}

/// Runs as often as is asked, or until a signal ends a run: Ctrl-C is meant for all of them.
fn run_all(
    arguments: &LearnArguments,
    name: &str,
    source: Source,
    lesson: &mut Lesson,
    vouching: &Vouching,
) -> Outcome<Finished> {
    let mut last = None;
    for number in 1..=arguments.runs {
        if arguments.runs > 1 && !arguments.run.quiet {
            output::note(&format!("quixote: run {number} of {}\n", arguments.runs));
        }
        std::thread::sleep(lesson.pause());
        let finished = run_once(arguments, name, source, lesson, vouching)?;
        lesson.add(&finished).or_fail("")?;
        let interrupted = matches!(finished.exit, Exit::Signal(_));
        last = Some(finished);
        if interrupted {
            break;
        }
    }
    last.ok_or_else(|| Failure::new("no run was asked for"))
}

fn run_once(
    arguments: &LearnArguments,
    name: &str,
    source: Source,
    lesson: &Lesson,
    vouching: &Vouching,
) -> Outcome<Finished> {
    let workload = Workload {
        command: arguments.run.command.clone(),
        user: arguments.run.user.clone(),
        name: name.into(),
        mode: Mode::Free,
        on_violation: OnViolation::Deny,
        rules: lesson.rules().clone(),
        references: vouching.table.clone(),
        coefficients: Vec::new(),
        exact: Vec::new(),
        ruled: BTreeSet::new(),
        model: std::path::absolute(&arguments.output).ok(),
        platform: Platform::NONE,
        tma: arguments.run.tma.clone(),
        verdict_cache: false,
        header: None,
        signature: None,
        source,
        on_crash: arguments.run.on_crash.into(),
        shield: false,
        hooks: Hooks::default(),
    };
    let (name, quiet) = (name.into(), arguments.run.quiet);
    run::to_its_end(&workload, Telling { name, progress: true, quiet, denial: None }, None)
}

/// What this machine's packages vouch for, under the rules that are there and those that may be
/// proposed.
#[derive(Default)]
struct Vouching {
    candidates: Vec<ReferenceRule>,
    table: References,
}

impl Vouching {
    fn of(arguments: &LearnArguments, rules: &Rules) -> Outcome<Self> {
        let known = &rules.references;
        let Some(path) = &arguments.references else {
            let _ = machine_references::table(None, known, true)?;
            return Ok(Self::default());
        };
        let set = machine_references::read(path)?;
        let candidates = reference_table::candidates(&set, known, &arguments.signer);
        let all = [known.as_slice(), &candidates].concat();
        let now_s = machine_references::now_s();
        let table = ReferenceTable::of(&set, &all, now_s).or_fail(path.display())?;
        Ok(Self { candidates, table: table.vouched().clone() })
    }
}

/// Decides on the proposed rules, and writes the model.
fn conclude<'a>(
    arguments: &'a LearnArguments,
    lesson: &mut Lesson,
    vouching: &Vouching,
) -> Outcome<Learned<'a>> {
    let path = arguments.output.as_path();
    let runs: Vec<Observation> = lesson.runs().iter().map(|run| run.observation.clone()).collect();
    let runs: Vec<&Observation> = runs.iter().collect();
    let damaged = |error| Failure::new(format_args!("a learning run is damaged: {error}"));
    let mut proposals = propose::propose(&runs, lesson.rules()).map_err(damaged)?;
    proposals.proposals.extend(reference_table::propose(&runs, &vouching.candidates));
    let choice = Choice::make(proposals, arguments)?;
    for rule in choice.accepted() {
        add_rule(lesson.rules_mut(), rule).or_fail(rule)?;
    }
    let convergence = convergence::analyse(&runs, lesson.rules()).map_err(damaged)?;
    let model = lesson.write().or_fail(path.display())?;
    Ok(Learned { path, model, convergence, choice })
}

fn file_stem(path: &Path) -> Option<String> {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
}
