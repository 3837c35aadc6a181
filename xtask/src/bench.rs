//! `cargo xtask bench`: what enforcement costs, beside its peer, in one run.
//!
//! For the portable source every case runs bare, under strace with the same calls traced to nowhere,
//! and under `quixote enforce` with a model learned just before. The order is shuffled, so that what
//! else the machine does falls on all alike. A case is data (`conformance/bench_cases/cases.json`),
//! not code.

mod case;
mod kernel;
mod report;
mod run;
mod statistics;

use crate::process;
use crate::repository::Repository;
use crate::setup;
use anyhow::Context;
use anyhow::Result;
use case::Case;
use case::Suite;
use run::Bench;
use run::Sample;
use statistics::Shuffle;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A thousand packages are made and signed first.
const REFERENCES_LIMIT: Duration = Duration::from_secs(3600);
const AGENTS_LIMIT: Duration = Duration::from_secs(1800);
/// Where `agents/build.sh` leaves the stub domain.
const IMAGE: &str = "vm:target/agents/x86_64-unknown-none/release/stubdomain";
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// What to measure.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum What {
    /// The portable source, against no source at all and against strace
    Portable(Options),
    /// The kernel source, in virtual machines, against no security module and against peers
    Kernel(kernel::Options),
    /// A verdict in each locality of the agent, beside the one in the orchestrator
    Agents {
        /// Rounds, in each of which every locality takes its turn
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// A further locality, as --tma names it, provisioned before (may be given several times)
        #[arg(long, value_name = "WHERE")]
        also: Vec<String>,
        /// The microcontrollers that QEMU emulates besides
        #[arg(long)]
        boards: bool,
    },
    /// References: scans beside `rpm -qa --dump`, `dpkg --verify` and `debsums`, with and without isolation
    References {
        /// For `conformance/references/bench.py`; `-- --help` names them
        #[arg(last = true)]
        options: Vec<String>,
    },
}

/// How to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Runs of every case in every configuration
    #[arg(long, default_value_t = 10)]
    runs: u32,
    /// Only this case (may be given several times)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write the table here as well
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write every sample here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a case runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Configuration {
    /// Nothing.
    Bare,
    /// `strace -f --seccomp-bpf`, its output discarded.
    Strace,
    /// `quixote enforce`.
    Quixote,
}

const CONFIGURATIONS: [Configuration; 3] =
    [Configuration::Bare, Configuration::Strace, Configuration::Quixote];

/// Measures and reports.
pub(crate) fn run(repository: &Repository, what: &What) -> Result<()> {
    match what {
        What::Portable(options) => run_portable(repository, options),
        What::Kernel(options) => kernel::run(repository, options),
        What::Agents { rounds, also, boards } => run_agents(repository, *rounds, also, *boards),
        What::References { options } => run_references(repository, options),
    }
}

/// In the orchestrator, a process, a virtual machine; `also` elsewhere.
fn run_agents(repository: &Repository, rounds: u32, also: &[String], boards: bool) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", "process-agent"]);
    cargo.args(["--package", "agent-conformance"]);
    process::run(cargo.current_dir(repository.root()), BUILD_LIMIT)?;
    if boards {
        return run_agents_and_boards(repository, rounds, also);
    }
    let mut image = Command::new("agents/build.sh");
    process::run(image.arg("stubdomain").current_dir(repository.root()), BUILD_LIMIT)?;
    let mut bench = Command::new("target/release/agent-bench");
    bench.args(["--rounds", &rounds.to_string(), "orchestrator", "process", IMAGE]).args(also);
    process::run(bench.current_dir(repository.root()), AGENTS_LIMIT)
}

fn run_agents_and_boards(repository: &Repository, rounds: u32, also: &[String]) -> Result<()> {
    build(repository)?;
    let mut bench = Command::new("python3");
    bench.args(["conformance/run_bare_agents.py", "bench", "--rounds", &rounds.to_string()]);
    bench.args(also.iter().flat_map(|place| ["--also", place.as_str()]));
    process::run(bench.current_dir(repository.root()), AGENTS_LIMIT)
}

fn run_references(repository: &Repository, options: &[String]) -> Result<()> {
    setup::ensure(repository)?;
    build(repository)?;
    let mut python = Command::new("python3");
    python.arg("conformance/references/bench.py").args(options);
    process::run(python.current_dir(repository.root()), REFERENCES_LIMIT)
}

fn run_portable(repository: &Repository, options: &Options) -> Result<()> {
    setup::ensure(repository)?;
    build(repository)?;
    let suite = Suite::read(repository)?.only(&options.only)?;
    let bench = Bench::prepare(repository, &suite)?;
    let samples = measure(&bench, &suite, options.runs)?;
    publish(&suite, &samples, options)
}

fn build(repository: &Repository) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", "quixote"]).current_dir(repository.root());
    process::run(&mut cargo, BUILD_LIMIT)
}

fn measure(bench: &Bench, suite: &Suite, runs: u32) -> Result<Vec<Sample>> {
    let mut plan = plan(&suite.cases, runs);
    let seed = Shuffle::seed_from_clock()?;
    println!("order: seed {seed}, {} runs", plan.len());
    Shuffle::new(seed).shuffle(&mut plan);
    let mut samples = Vec::with_capacity(plan.len());
    for (index, (case, configuration)) in plan.iter().enumerate() {
        let sample = bench
            .sample(case, *configuration)
            .with_context(|| format!("{} under {configuration:?}", case.name))?;
        println!("{:>4}  {:<24} {configuration:<8?} {:.4}", index + 1, case.name, sample.value);
        samples.push(sample);
    }
    Ok(samples)
}

fn plan(cases: &[Case], runs: u32) -> Vec<(&Case, Configuration)> {
    let each = |case| CONFIGURATIONS.map(|configuration| (case, configuration));
    (0..runs).flat_map(|_| cases.iter().flat_map(each)).collect()
}

fn publish(suite: &Suite, samples: &[Sample], options: &Options) -> Result<()> {
    let table = report::markdown(suite, samples, options.runs)?;
    println!("\n{table}");
    if let Some(path) = &options.markdown {
        std::fs::write(path, &table).with_context(|| path.display().to_string())?;
    }
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(samples)?;
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
