//! The table, with everything beside it without which a figure says nothing.

use super::Configuration;
use super::case::Case;
use super::case::Suite;
use super::run::Sample;
use super::statistics::Spread;
use anyhow::Context;
use anyhow::Result;
use std::fmt::Write;
use std::process::Command;

const HEAD: &str = "\
| case | bare, median (quartiles) | strace, times slower | quixote, times slower | share of strace's overhead | events | lost |
| --- | --- | --- | --- | --- | --- | --- |
";

/// The table as Markdown.
pub(crate) fn markdown(suite: &Suite, samples: &[Sample], runs: u32) -> Result<String> {
    let mut text = format!("{}\n\n{HEAD}", conditions(runs)?);
    for case in &suite.cases {
        writeln!(text, "{}", row(case, samples)?)?;
    }
    text.push('\n');
    for case in &suite.cases {
        writeln!(text, "- {}: {}", case.name, case.about)?;
    }
    Ok(text)
}

fn conditions(runs: u32) -> Result<String> {
    let kernel = first_line("uname", &["-srm"])?;
    let date = first_line("date", &["-u", "+%Y-%m-%d"])?;
    let cores = std::thread::available_parallelism()?;
    let strace = first_line("strace", &["--version"])?;
    Ok(format!("{date}, {kernel}, {cores} cores, {runs} runs each in random order, {strace}."))
}

fn first_line(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().context(program.to_owned())?.to_owned())
}

fn row(case: &Case, samples: &[Sample]) -> Result<String> {
    let of = |configuration| spread(case, samples, configuration);
    let bare = of(Configuration::Bare)?;
    let unit = case.metric.unit();
    let slowdown = |spread: Spread| {
        let [median, lower, upper] = [spread.median, spread.lower, spread.upper]
            .map(|figure| case.metric.slowdown(figure, bare.median));
        (median, format!("{median:.2} ({:.2} to {:.2})", lower.min(upper), lower.max(upper)))
    };
    let (strace, strace_text) = slowdown(of(Configuration::Strace)?);
    let (quixote, quixote_text) = slowdown(of(Configuration::Quixote)?);
    let (events, losses) = counts(case, samples);
    Ok(format!(
        "| {} | {} {unit} ({} to {}) | {strace_text} | {quixote_text} | {} | {events} | {losses} |",
        case.name,
        figure(bare.median),
        figure(bare.lower),
        figure(bare.upper),
        share(quixote, strace),
    ))
}

fn spread(case: &Case, samples: &[Sample], configuration: Configuration) -> Result<Spread> {
    let own = |s: &&Sample| s.case == case.name && s.configuration == configuration;
    Spread::of(samples.iter().filter(own).map(|sample| sample.value).collect())
}

/// Median count of events, and all that were lost in all runs.
fn counts(case: &Case, samples: &[Sample]) -> (u64, u64) {
    let own = || samples.iter().filter(|sample| sample.case == case.name);
    let mut events: Vec<u64> = own().filter_map(|sample| sample.events).collect();
    events.sort_unstable();
    let median = events.get(events.len() / 2).copied().unwrap_or(0);
    (median, own().filter_map(|sample| sample.losses).sum())
}

/// Our overhead as a share of the peer's; no figure where the peer's is lost in the noise.
fn share(quixote: f64, strace: f64) -> String {
    if strace < 1.02 {
        return "-".to_owned();
    }
    format!("{:.0}%", (quixote - 1.0).max(0.0) / (strace - 1.0) * 100.0)
}

fn figure(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_overhead_not_of_time() {
        assert_eq!(share(2.0, 3.0), "50%");
        assert_eq!(share(0.9, 3.0), "0%");
        assert_eq!(share(1.5, 1.0), "-");
    }
}
