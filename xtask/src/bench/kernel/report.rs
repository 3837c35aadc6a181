//! The table of figures, with what was counted beside each.

use super::BASE;
use super::CASES;
use super::configurations;
use super::results::Results;
use anyhow::Result;
use std::fmt::Write;

const LEGEND: &str = "\
- none: no security module but capability, for each call; the others as times that figure, medians and quartiles. Behind the semicolon: events, of them asked of the agent, lost (the most of any run).
- unloaded: the BPF LSM is active, no program is loaded. attached: the programs are loaded, and what is measured is in no namespace.
- sealed: in a namespace with a model just learned, by `monitor`; enforcing: by `enforce`; process-agent: by `enforce --tma process`; learning: in one that learns.
- apparmor: under an enforcing profile made for the case. tomoyo: enforcing what it learned of the case. ima: measuring what is executed, mapped to be, and read by root.
- open is open+close, exec is fork+exec+exit, connect is on loopback, compile is `gcc -c` of one file; nginx is a request on a kept connection, a file opened for each; redis is a SET and a GET.
- Before it is measured, everything that enforces has denied an act that was not learned, which `none` performs; a run in which anything was denied ends the bench.
";

/// As Markdown.
pub(super) fn markdown(results: &Results) -> Result<String> {
    let (machine, runs) = (results.machine()?, results.runs());
    let mut text = format!(
        "Linux {} in QEMU (emulated), {} processors, tmpfs, {runs} runs each in random order; {}.\n\n| case |",
        machine.kernel,
        machine.processors,
        machine.clock.unit()
    );
    for name in configurations() {
        write!(text, " {name} |")?;
    }
    writeln!(text, "\n|{}", " --- |".repeat(configurations().count() + 1))?;
    for case in CASES {
        writeln!(text, "{}", row(results, case, configurations())?)?;
    }
    writeln!(text, "\n{LEGEND}")?;
    Ok(text)
}

fn row<'a>(
    results: &Results,
    case: &str,
    configurations: impl Iterator<Item = &'a str>,
) -> Result<String> {
    let mut text = format!("| {case} |");
    for name in configurations {
        let cell = if name == BASE { base(results, case)? } else { cell(results, case, name)? };
        write!(text, " {cell} |")?;
    }
    Ok(text)
}

fn base(results: &Results, case: &str) -> Result<String> {
    let spread = results.spread(case, BASE)?;
    Ok(format!("{:.2} ({:.2} to {:.2})", spread.median, spread.lower, spread.upper))
}

fn cell(results: &Results, case: &str, configuration: &str) -> Result<String> {
    let (base, this) = (results.spread(case, BASE)?, results.spread(case, configuration)?);
    let [median, lower, upper] =
        [this.median, this.lower, this.upper].map(|figure| figure / base.median);
    let counts = counts(results, case, configuration);
    Ok(format!("{median:.2} ({lower:.2} to {upper:.2}){counts}"))
}

fn counts(results: &Results, case: &str, configuration: &str) -> String {
    let events = results.most(case, configuration, |one| one.events + one.cached + one.decided);
    if events == 0 {
        return String::new();
    }
    let asked = results.most(case, configuration, |one| one.events);
    let lost = results.most(case, configuration, |one| one.lost);
    format!("; {events}, {asked}, {lost}")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn a_row_is_relative_to_none_with_counts_beside_it() {
        let results = results(&[("open", "none", 2.0), ("open", "enforcing", 3.0)]);
        let row = row(&results, "open", ["none", "enforcing"].into_iter()).unwrap();
        let expected = "| open | 2.00 (2.00 to 2.00) | 1.50 (1.50 to 1.50); 9, 4, 1 |";
        assert_eq!(row, expected);
    }
}
