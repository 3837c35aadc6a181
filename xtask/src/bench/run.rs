//! One run of one case in one configuration.
//!
//! Every case keeps its folder and port for the whole bench, so that what was learned is what runs.

use super::Configuration;
use super::case::Case;
use super::case::Suite;
use crate::process;
use crate::process::Running;
use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const NEXT_SECOND: Duration = Duration::from_millis(1100);
const LIMIT: Duration = Duration::from_secs(120);
const START_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// What one run gave.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Sample {
    /// The case's name.
    pub(crate) case: String,
    /// What it ran under.
    pub(crate) configuration: Configuration,
    /// The figure, in the unit of the case's metric.
    pub(crate) value: f64,
    /// Events judged; none without quixote.
    pub(crate) events: Option<u64>,
    /// Events lost; none without quixote.
    pub(crate) losses: Option<u64>,
}

/// Folders, ports, models and the helper program of all cases.
#[derive(Debug)]
pub(crate) struct Bench {
    folder: PathBuf,
    root: PathBuf,
    quixote: PathBuf,
    calls: String,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    case: String,
    work: PathBuf,
    port: u16,
}

impl Bench {
    /// Compiles the helper program, lays out every case and learns its model.
    pub(crate) fn prepare(repository: &Repository, suite: &Suite) -> Result<Self> {
        let folder = repository.fresh_folder("bench")?;
        compile(repository, &folder.join("micro"))?;
        let places =
            suite.cases.iter().enumerate().map(|(index, case)| Place::make(&folder, index, case));
        let places = places.collect::<Result<_>>()?;
        let calls = suite.calls.clone();
        let (root, quixote) = (repository.root().to_owned(), repository.quixote());
        let bench = Self { folder, root, quixote, calls, places };
        for case in &suite.cases {
            bench.lay_out(case)?;
            bench.learn(case).with_context(|| format!("learning {}", case.name))?;
        }
        Ok(bench)
    }

    /// Runs a case once.
    pub(crate) fn sample(&self, case: &Case, configuration: Configuration) -> Result<Sample> {
        let summary = self.place(case)?.work.with_extension("summary");
        let (output, wall_s) = self.perform(case, &self.wrapper(case, configuration)?)?;
        let value = case.metric.read(&output, wall_s)?;
        let (events, losses) = match configuration {
            Configuration::Quixote => counts(&summary)?,
            _ => (None, None),
        };
        Ok(Sample { case: case.name.clone(), configuration, value, events, losses })
    }

    fn learn(&self, case: &Case) -> Result<()> {
        let model = self.place(case)?.work.with_extension("model").display().to_string();
        let quixote = self.quixote.display().to_string();
        let options = ["learn", "-q", "-o", &model, "--runs", "1", "--accept-rules", "all", "--"];
        let words: Vec<String> =
            std::iter::once(quixote.as_str()).chain(options).map(str::to_owned).collect();
        for _ in 0..case.learn_runs {
            self.perform(case, &words)?;
        }
        Ok(())
    }

    /// The words that stand before the measured command.
    fn wrapper(&self, case: &Case, configuration: Configuration) -> Result<Vec<String>> {
        let work = &self.place(case)?.work;
        let quixote = self.quixote.display().to_string();
        let model = work.with_extension("model").display().to_string();
        let summary = work.with_extension("summary").display().to_string();
        let trace = format!("trace={}", self.calls);
        let words: Vec<&str> = match configuration {
            Configuration::Bare => vec![],
            Configuration::Strace => {
                vec!["strace", "-f", "--seccomp-bpf", "-e", &trace, "-o", "/dev/null", "--"]
            }
            Configuration::Quixote => vec![
                &quixote,
                "enforce",
                "-q",
                "--allow-unsigned",
                "--summary",
                &summary,
                &model,
                "--",
            ],
        };
        Ok(words.into_iter().map(str::to_owned).collect())
    }

    fn perform(&self, case: &Case, wrapper: &[String]) -> Result<(String, f64)> {
        if case.names_by_second {
            std::thread::sleep(NEXT_SECOND);
        }
        if case.server.is_empty() {
            return self.finish(case, &[wrapper, &self.words(case, &case.command)?].concat());
        }
        let words = [wrapper, &self.words(case, &case.server)?].concat();
        let mut server = self.start(case, &words, "server")?;
        self.await_listening(case, &mut server)?;
        let result = self.finish(case, &self.words(case, &case.command)?)?;
        // To the process that was wrapped as well: strace holds back signals meant for itself.
        server.interrupt_tree(Signal::SIGTERM)?;
        server.wait(LIMIT).context("the server")?;
        Ok(result)
    }

    fn finish(&self, case: &Case, words: &[String]) -> Result<(String, f64)> {
        let started = Instant::now();
        let status = self.start(case, words, "client")?.wait(LIMIT)?;
        let wall_s = started.elapsed().as_secs_f64();
        let output = fs::read_to_string(self.output(case, "client")?)?;
        ensure!(status.success(), "{} ended with {status}:\n{output}", words.join(" "));
        Ok((output, wall_s))
    }

    fn start(&self, case: &Case, words: &[String], role: &str) -> Result<Running> {
        let file = File::create(self.output(case, role)?)?;
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(&self.place(case)?.work)
            .env("XDG_STATE_HOME", self.folder.join("state"))
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .stdout(file.try_clone()?)
            .stderr(file);
        Running::start(&mut command)
    }

    fn await_listening(&self, case: &Case, server: &mut Running) -> Result<()> {
        let port = self.place(case)?.port;
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let alive = Instant::now() < deadline && server.is_running()?;
            let output = fs::read_to_string(self.output(case, "server")?)?;
            ensure!(alive, "the server does not listen:\n{output}");
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn lay_out(&self, case: &Case) -> Result<()> {
        let work = &self.place(case)?.work;
        fs::write(work.join("file"), vec![b'x'; 1024])?;
        for (name, text) in &case.files {
            fs::write(work.join(name), self.word(case, text)?)?;
        }
        if !case.prepare.is_empty() {
            self.finish(case, &self.words(case, &case.prepare)?)?;
        }
        Ok(())
    }

    fn words(&self, case: &Case, words: &[String]) -> Result<Vec<String>> {
        words.iter().map(|word| self.word(case, word)).collect()
    }

    fn word(&self, case: &Case, word: &str) -> Result<String> {
        let place = self.place(case)?;
        let micro = self.folder.join("micro").display().to_string();
        let root = self.root.display().to_string();
        let word = word.replace("{work}", &place.work.display().to_string());
        let word = word.replace("{repository}", &root);
        Ok(word.replace("{port}", &place.port.to_string()).replace("{micro}", &micro))
    }

    fn output(&self, case: &Case, role: &str) -> Result<PathBuf> {
        Ok(self.place(case)?.work.with_extension(role))
    }

    fn place(&self, case: &Case) -> Result<&Place> {
        let of_case = |place: &&Place| place.case == case.name;
        self.places.iter().find(of_case).with_context(|| format!("{} has no folder", case.name))
    }
}

impl Place {
    fn make(folder: &Path, index: usize, case: &Case) -> Result<Self> {
        let work = folder.join(format!("case{index}"));
        fs::create_dir(&work)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { case: case.name.clone(), work, port })
    }
}

fn compile(repository: &Repository, program: &Path) -> Result<()> {
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-Wextra", "-o"]).arg(program);
    gcc.arg(repository.path("conformance/bench_cases/micro.c"));
    process::run(&mut gcc, LIMIT)
}

/// Events and losses; a run with a violation is no measurement of normal work.
fn counts(summary: &Path) -> Result<(Option<u64>, Option<u64>)> {
    let text = fs::read_to_string(summary).with_context(|| summary.display().to_string())?;
    let line = text.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(line).context("the summary")?;
    let count = |name: &str| {
        value["counts"][name].as_u64().with_context(|| format!("no count of {name}: {value}"))
    };
    ensure!(count("violations")? == 0, "events were denied: {value}");
    Ok((Some(count("events")?), Some(count("losses")?)))
}
