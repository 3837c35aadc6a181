//! `cargo xtask bench kernel`: what the kernel source costs, beside no security module and peers.
//!
//! Which security modules a kernel has is settled at its boot, so configurations come in sets of
//! one boot each; within a boot the order is random. The clock of the guest counts the instructions
//! that its processors carry out: under emulation time depends on what else this machine does, by
//! tens of percent. The table gives ratios.

mod bars;
mod report;
mod results;

use super::statistics::Shuffle;
use crate::process;
use crate::repository::Repository;
use crate::setup;
use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use results::Results;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);
/// In the order of the table; `speed_cases.py` says what each is.
const CASES: [&str; 9] =
    ["open", "stat", "read", "pipe", "connect", "exec", "compile", "nginx", "redis"];
/// What all others are compared with.
const BASE: &str = "none";

/// What one boot can measure.
struct Boot {
    append: &'static str,
    configurations: &'static [&'static str],
    /// For `speed.py`.
    options: &'static [&'static str],
}

const BOOTS: &[Boot] = &[
    Boot { append: "lsm=capability", configurations: &["none"], options: &[] },
    Boot {
        append: "lsm=capability,bpf",
        configurations: &[
            "unloaded",
            "attached",
            "sealed",
            "enforcing",
            "process-agent",
            "learning",
        ],
        options: &["--explain"],
    },
    Boot {
        append: "lsm=capability,apparmor apparmor=1",
        configurations: &["apparmor"],
        options: &[],
    },
    // The kernel takes TOMOYO's policy for loaded once the trigger has been executed.
    Boot {
        append: "lsm=capability,tomoyo TOMOYO_trigger=/tmp/speed/trigger TOMOYO_loader=/bin/true",
        configurations: &["tomoyo"],
        options: &[],
    },
    Boot { append: "lsm=capability,integrity", configurations: &["ima"], options: &[] },
];

/// How to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Runs of every case in every configuration
    #[arg(long, default_value_t = 10)]
    runs: u32,
    /// The kernel's series
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// The binary to measure, with `quixote-tma` beside it, instead of a release build of this checkout
    #[arg(long, value_name = "FILE")]
    quixote: Option<PathBuf>,
    /// Write the tables here as well
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write what the guests printed here, a JSON object a line, also where one of them fails
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure nothing: make the tables of what --json kept (may be given several times)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "only"])]
    from: Vec<PathBuf>,
    /// Boot only for this configuration, and those of the same boot, and make no tables: for --json and --from (may be
    /// given several times)
    #[arg(long, value_name = "CONFIGURATION", requires = "json", value_parser = PossibleValuesParser::new(configurations()))]
    only: Vec<String>,
    /// Measure time instead of instructions: half of the figures are noise unless the machine is idle
    #[arg(long)]
    wall_clock: bool,
    /// Processors of the virtual machine: with two, what is measured has the second for itself
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Seconds that a boot may take
    #[arg(long, default_value_t = 14400)]
    timeout: u64,
}

/// The two helper programs.
struct Programs {
    micro: PathBuf,
    client: PathBuf,
}

/// Measures and reports.
pub(super) fn run(repository: &Repository, options: &Options) -> Result<()> {
    if options.from.is_empty() {
        let printed = measure_all(repository, options)?;
        return if options.only.is_empty() { publish(&printed, options) } else { Ok(()) };
    }
    let read =
        |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    publish(&options.from.iter().map(read).collect::<Result<String>>()?, options)
}

fn measure_all(repository: &Repository, options: &Options) -> Result<String> {
    setup::ensure(repository)?;
    let quixote = match &options.quixote {
        Some(path) => path.clone(),
        None => build(repository)?,
    };
    let programs = compile(repository)?;
    let mut printed = String::new();
    let asked = |boot: &&Boot| {
        options.only.is_empty()
            || options.only.iter().any(|only| boot.configurations.contains(&only.as_str()))
    };
    for boot in BOOTS.iter().filter(asked) {
        println!("boot: {} ({})", boot.append, boot.configurations.join(", "));
        let (measured, ended) = measure(repository, boot, options, &programs, &quixote)?;
        printed += &measured;
        if let Some(path) = &options.json {
            write(path, &printed)?;
        }
        ended?;
    }
    Ok(printed)
}

fn publish(printed: &str, options: &Options) -> Result<()> {
    let mut results = Results::default();
    results.add(printed)?;
    let tables = report::markdown(&results)? + &bars::markdown(&results)?;
    println!("\n{tables}");
    if let Some(path) = &options.markdown {
        write(path, &tables)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// In the order of the table.
fn configurations() -> impl Iterator<Item = &'static str> {
    BOOTS.iter().flat_map(|boot| boot.configurations).copied()
}

fn build(repository: &Repository) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", "quixote", "--package", "process-agent"]);
    process::run(cargo.current_dir(repository.root()), LIMIT)?;
    Ok(repository.quixote())
}

fn compile(repository: &Repository) -> Result<Programs> {
    let folder = repository.fresh_folder("bench-kernel")?;
    let programs = Programs { micro: folder.join("micro"), client: folder.join("client") };
    for (program, source) in [(&programs.micro, "micro.c"), (&programs.client, "client.c")] {
        let mut gcc = Command::new("gcc");
        gcc.args(["-static", "-O2", "-Wall", "-Wextra", "-o"]).arg(program);
        gcc.arg(repository.path("conformance/bench_cases").join(source));
        process::run(&mut gcc, LIMIT)?;
    }
    Ok(programs)
}

/// What was measured, also by a machine that then failed, and whether it did.
fn measure(
    repository: &Repository,
    boot: &Boot,
    options: &Options,
    programs: &Programs,
    quixote: &Path,
) -> Result<(String, Result<()>)> {
    let mut guest = Command::new(std::env::current_exe()?);
    guest.args(["vm", "--kernel", &options.kernel, "--append", boot.append]);
    if !options.wall_clock {
        guest.arg("--count-instructions");
    }
    let mut guest = guest
        .args(["--cpus", &options.cpus.to_string()])
        .args(["--timeout", &options.timeout.to_string(), "--", "/usr/bin/python3"])
        .arg(repository.path("conformance/kernel_matrix/speed.py"))
        .arg("--micro")
        .arg(&programs.micro)
        .arg("--client")
        .arg(&programs.client)
        .arg("--quixote")
        .arg(quixote)
        .args(["--runs", &options.runs.to_string()])
        .args(["--seed", &Shuffle::seed_from_clock()?.to_string()])
        .args(["--clock", if options.wall_clock { "wall" } else { "instructions" }])
        .args(boot.options)
        .args(boot.configurations)
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo xtask vm")?;
    let printed = shown_as_it_comes(guest.stdout.take().context("no pipe")?)?;
    let status = guest.wait()?;
    let ended = if status.success() {
        Ok(())
    } else {
        Err(anyhow!("the measurement under {} ended with {status}", boot.append))
    };
    Ok((printed, ended))
}

/// All that is printed; hours may lie between the first line and the last.
fn shown_as_it_comes(output: impl Read) -> Result<String> {
    let mut printed = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("what the guest printed")?;
        println!("{line}");
        printed += &line;
        printed.push('\n');
    }
    Ok(printed)
}
