//! `cargo xtask bench kernel`: what the kernel source costs, beside no security module and peers.
//!
//! Which security modules a kernel has is settled at its boot, so configurations come in sets of
//! one boot each; within a boot the order is random. Under emulation absolute figures say nothing:
//! the table gives ratios.

use super::statistics::Shuffle;
use super::statistics::Spread;
use crate::process;
use crate::repository::Repository;
use crate::setup;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(900);
const CASES: [&str; 6] = ["open", "stat", "read", "pipe", "connect", "exec"];
/// What all others are compared with.
const BASE: &str = "none";

/// What one boot can measure.
struct Boot {
    append: &'static str,
    configurations: &'static [&'static str],
}

const BOOTS: &[Boot] = &[
    Boot { append: "lsm=capability", configurations: &["none"] },
    Boot {
        append: "lsm=capability,bpf",
        configurations: &["unloaded", "attached", "enforcing", "learning"],
    },
    Boot { append: "lsm=capability,apparmor apparmor=1", configurations: &["apparmor"] },
    Boot { append: "lsm=capability,integrity ima_policy=tcb", configurations: &["ima"] },
];

const LEGEND: &str = "\
- none: no security module but capability; the others as times that figure, medians and quartiles.
- unloaded: the BPF LSM is active, no program is loaded. attached: the programs are loaded, and the measured process is in no namespace.
- enforcing: in a namespace with a model just learned; learning: in one that learns.
- apparmor: under an enforcing profile made for the case. ima: measuring by its `tcb` policy.
";

/// How to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Runs of every case in every configuration
    #[arg(long, default_value_t = 10)]
    runs: u32,
    /// The kernel's series
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// The binary to measure, instead of a release build of this checkout
    #[arg(long, value_name = "FILE")]
    quixote: Option<PathBuf>,
    /// Write the table here as well
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Seconds that a boot may take
    #[arg(long, default_value_t = 1800)]
    timeout: u64,
}

/// One figure, as the guest prints it.
#[derive(Debug, Deserialize)]
struct Sample {
    case: String,
    configuration: String,
    micros: f64,
    events: u64,
    lost: u64,
}

/// Measures and reports.
pub(super) fn run(repository: &Repository, options: &Options) -> Result<()> {
    setup::ensure(repository)?;
    let quixote = match &options.quixote {
        Some(path) => path.clone(),
        None => build(repository)?,
    };
    let micro = repository.fresh_folder("bench-kernel")?.join("micro");
    compile(repository, &micro)?;
    let mut samples = Vec::new();
    for boot in BOOTS {
        println!("boot: {} ({})", boot.append, boot.configurations.join(", "));
        samples.extend(measure(repository, boot, options, &micro, &quixote)?);
    }
    let table = table(&samples, options)?;
    println!("\n{table}");
    if let Some(path) = &options.markdown {
        std::fs::write(path, &table).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn build(repository: &Repository) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", "quixote"]).current_dir(repository.root());
    process::run(&mut cargo, LIMIT)?;
    Ok(repository.quixote())
}

fn compile(repository: &Repository, micro: &Path) -> Result<()> {
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-O2", "-Wall", "-o"]).arg(micro);
    gcc.arg(repository.path("conformance/bench_cases/micro.c"));
    process::run(&mut gcc, LIMIT)
}

fn measure(
    repository: &Repository,
    boot: &Boot,
    options: &Options,
    micro: &Path,
    quixote: &Path,
) -> Result<Vec<Sample>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["vm", "--kernel", &options.kernel, "--append", boot.append])
        .args(["--timeout", &options.timeout.to_string(), "--", "/usr/bin/python3"])
        .arg(repository.path("conformance/kernel_matrix/speed.py"))
        .arg("--micro")
        .arg(micro)
        .arg("--quixote")
        .arg(quixote)
        .args(["--runs", &options.runs.to_string()])
        .args(["--seed", &Shuffle::seed_from_clock()?.to_string()])
        .args(boot.configurations)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo xtask vm")?;
    if !output.status.success() {
        bail!("the measurement under {} ended with {}", boot.append, output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).context(line.to_owned())).collect()
}

fn table(samples: &[Sample], options: &Options) -> Result<String> {
    let configurations: Vec<&str> =
        BOOTS.iter().flat_map(|boot| boot.configurations).copied().collect();
    let mut text = format!(
        "Linux {} in QEMU (emulated), 2 processors, tmpfs, {} runs each in random order.\n\n| case |",
        options.kernel, options.runs
    );
    for name in &configurations {
        write!(text, " {name} |")?;
    }
    writeln!(text, " events, lost (enforcing) |")?;
    writeln!(text, "|{}", " --- |".repeat(configurations.len() + 2))?;
    for case in CASES {
        writeln!(text, "{}", row(samples, case, &configurations)?)?;
    }
    writeln!(text, "\n{LEGEND}")?;
    Ok(text)
}

fn row(samples: &[Sample], case: &str, configurations: &[&str]) -> Result<String> {
    let base = spread(samples, case, BASE)?;
    let mut text = format!("| {case} |");
    for name in configurations {
        let this = spread(samples, case, name)?;
        let [median, lower, upper] =
            [this.median, this.lower, this.upper].map(|figure| figure / base.median);
        if *name == BASE {
            write!(text, " {:.2} us ({lower:.2} to {upper:.2}) |", base.median)?;
        } else {
            write!(text, " {median:.2} ({lower:.2} to {upper:.2}) |")?;
        }
    }
    let enforced =
        samples.iter().filter(|one| one.case == case && one.configuration == "enforcing");
    let (events, lost) =
        enforced.fold((0, 0), |(events, lost), one| (one.events.max(events), one.lost.max(lost)));
    write!(text, " {events}, {lost} |")?;
    Ok(text)
}

fn spread(samples: &[Sample], case: &str, configuration: &str) -> Result<Spread> {
    let of = samples.iter().filter(|one| one.case == case && one.configuration == configuration);
    Spread::of(of.map(|one| one.micros).collect())
        .with_context(|| format!("{case} under {configuration}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_relative_to_none() {
        let sample = |configuration: &str, micros| Sample {
            case: "open".to_owned(),
            configuration: configuration.to_owned(),
            micros,
            events: 4,
            lost: 0,
        };
        let samples = [sample("none", 2.0), sample("enforcing", 3.0)];
        let row = row(&samples, "open", &["none", "enforcing"]).unwrap();
        assert_eq!(row, "| open | 2.00 us (1.00 to 1.00) | 1.50 (1.50 to 1.50) | 4, 0 |");
        assert!(spread(&samples, "open", "ima").is_err());
    }
}
