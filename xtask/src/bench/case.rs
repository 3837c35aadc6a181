//! Cases, as they stand in `conformance/bench_cases/cases.json`.
//!
//! `{work}`, `{port}`, `{micro}` and `{repository}` in a case stand for its own folder, its loopback
//! port, the compiled helper program and this checkout.

use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde::Deserialize;
use std::collections::BTreeMap;

const FILE: &str = "conformance/bench_cases/cases.json";

/// All cases, and the calls that the peer traces.
#[derive(Debug, Deserialize)]
pub(crate) struct Suite {
    /// For strace's `-e trace=`.
    pub(crate) calls: String,
    /// In the order of the table.
    pub(crate) cases: Vec<Case>,
}

/// One thing that is measured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The name for `--only` and in the table.
    pub(crate) name: String,
    /// What is done, in words.
    pub(crate) about: String,
    /// Files to write into the case's folder.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// A command to run once before everything.
    #[serde(default)]
    pub(crate) prepare: Vec<String>,
    /// The measured service; then `command` is its bare client.
    #[serde(default)]
    pub(crate) server: Vec<String>,
    /// The measured command, or the client of `server`.
    pub(crate) command: Vec<String>,
    /// In how many runs the model is learned: twice, so that what varies between runs shows itself
    /// and becomes a rule; more often where which files are opened is a matter of time.
    #[serde(default = "twice")]
    pub(crate) learn_runs: u32,
    /// It names files by the second: two runs never fall into one.
    #[serde(default)]
    pub(crate) names_by_second: bool,
    /// Where the figure is.
    pub(crate) metric: Metric,
}

fn twice() -> u32 {
    2
}

/// Where the figure of a run is, and which way is better.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// How long the command took; less is better.
    Wall,
    /// The number after this text in the output, in seconds; less is better.
    SecondsAfter(String),
    /// The number after this text in the output, a rate; more is better.
    RateAfter(String),
}

impl Suite {
    /// Reads the repository's cases.
    pub(crate) fn read(repository: &Repository) -> Result<Self> {
        let text = std::fs::read_to_string(repository.path(FILE)).context(FILE)?;
        serde_json::from_str(&text).context(FILE)
    }

    /// Keeps the named cases; all, when none is named.
    pub(crate) fn only(mut self, names: &[String]) -> Result<Self> {
        for name in names {
            ensure!(self.cases.iter().any(|case| case.name == *name), "no case is named {name}");
        }
        self.cases.retain(|case| names.is_empty() || names.contains(&case.name));
        Ok(self)
    }
}

impl Metric {
    /// The figure of one run.
    pub(crate) fn read(&self, output: &str, wall_s: f64) -> Result<f64> {
        match self {
            Self::Wall => Ok(wall_s),
            Self::SecondsAfter(text) | Self::RateAfter(text) => number_after(output, text),
        }
    }

    /// How much worse `median` is than `bare`; 1 when as good.
    pub(crate) fn slowdown(&self, median: f64, bare: f64) -> f64 {
        match self {
            Self::Wall | Self::SecondsAfter(_) => median / bare,
            Self::RateAfter(_) => bare / median,
        }
    }

    /// The unit of the figure.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Wall | Self::SecondsAfter(_) => "s",
            Self::RateAfter(_) => "1/s",
        }
    }
}

fn number_after(output: &str, text: &str) -> Result<f64> {
    let (_, rest) = output.split_once(text).with_context(|| format!("no {text} in: {output}"))?;
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let value: f64 = rest[..end].parse().with_context(|| format!("no number after {text}"))?;
    ensure!(value > 0.0, "a figure of zero after {text} cannot be compared");
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_of_the_repository_can_be_read() {
        let suite = Suite::read(&Repository::locate().unwrap()).unwrap();
        assert!(suite.cases.len() >= 8);
        assert!(suite.only(&["no such case".to_owned()]).is_err());
    }

    #[test]
    fn reads_figures_as_the_tools_print_them() {
        let wrk = Metric::RateAfter("Requests/sec:".to_owned());
        assert!((wrk.read("x\nRequests/sec:  1234.56\n", 0.0).unwrap() - 1234.56).abs() < 1e-9);
        let redis = Metric::RateAfter("\"SET\",\"".to_owned());
        assert!((redis.read("\"SET\",\"99.5\",\"0.1\"", 0.0).unwrap() - 99.5).abs() < 1e-9);
        assert!(wrk.read("Socket errors", 0.0).is_err());
        assert!(wrk.read("Requests/sec: 0.00", 0.0).is_err());
    }

    #[test]
    fn slower_is_above_one_whatever_the_unit() {
        let rate = Metric::RateAfter(String::new());
        assert!(rate.slowdown(50.0, 100.0) > 1.9);
        assert!(Metric::Wall.slowdown(2.0, 1.0) > 1.9);
    }
}
