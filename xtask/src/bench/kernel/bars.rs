//! What the kernel source must cost at most, and whether it does.
//!
//! Medians are compared as they are: a bar that is missed by the noise of the machine is missed.

use super::CASES;
use super::results::Cache;
use super::results::Memory;
use super::results::Profile;
use super::results::Program;
use super::results::Results;
use anyhow::Result;
use std::fmt::Write;

/// In KiB, beyond the model.
const MEMORY_MAX: f64 = 256.0;

/// A bar: in each of `cases`, `configuration` takes at most `most` times as long as `base`.
struct Bar {
    text: &'static str,
    cases: &'static [&'static str],
    configuration: &'static str,
    base: &'static str,
    most: f64,
}

const BARS: [Bar; 4] = [
    Bar {
        text: "outside every namespace within 2% of no module, on every row",
        cases: &CASES,
        configuration: "attached",
        base: "none",
        most: 1.02,
    },
    Bar {
        text: "enforcing (hit path) no slower than TOMOYO, on any row",
        cases: &CASES,
        configuration: "enforcing",
        base: "tomoyo",
        most: 1.0,
    },
    Bar {
        text: "enforcing (hit path) no slower than AppArmor on open+close",
        cases: &["open"],
        configuration: "enforcing",
        base: "apparmor",
        most: 1.0,
    },
    Bar {
        text: "fork+exec, enforcing, within 10% of no module",
        cases: &["exec"],
        configuration: "enforcing",
        base: "none",
        most: 1.1,
    },
];

/// All bars as Markdown; below, for what is missed, which programs took the time.
pub(super) fn markdown(results: &Results) -> Result<String> {
    let mut text = "| bar | figure | |\n| --- | --- | --- |\n".to_owned();
    let mut why = String::new();
    for bar in &BARS {
        let outcome = bar.outcome(results)?;
        writeln!(text, "{}", outcome.row(bar.text))?;
        for case in &outcome.missed {
            why.push_str(&explanation(results, bar, case)?);
        }
    }
    match results.memory() {
        Some(memory) => {
            writeln!(text, "{}", memory_row(memory))?;
            if memory.total() > MEMORY_MAX {
                why.push_str(&largest(memory));
            }
        }
        None => writeln!(text, "| {} | not measured | |", memory_text())?,
    }
    if !why.is_empty() {
        write!(text, "\nBehind what is missed: {EXPLAINED}\n\n{why}")?;
    }
    Ok(text)
}

const EXPLAINED: &str = "\
of time, the kernel's own count of its BPF programs (`bpf_stats_enabled`) in one more run, for each call of the case. \
It holds a program's waiting for the agent, not the kernel's way to it.";

struct Outcome {
    figure: String,
    missed: Vec<&'static str>,
}

impl Bar {
    fn outcome(&self, results: &Results) -> Result<Outcome> {
        let mut ratios = Vec::new();
        for case in self.cases {
            ratios.push((*case, results.ratio(case, self.configuration, self.base)?));
        }
        ratios.sort_by(|one, other| other.1.total_cmp(&one.1));
        let missed: Vec<_> = ratios.iter().filter(|one| one.1 > self.most).collect();
        let told = if missed.is_empty() { &ratios[..1] } else { &ratios[..missed.len()] };
        let told: Vec<String> =
            told.iter().map(|(case, ratio)| format!("{case} {ratio:.3}")).collect();
        let missed = missed.into_iter().map(|one| one.0).collect();
        Ok(Outcome { figure: told.join(", "), missed })
    }
}

impl Outcome {
    fn row(&self, text: &str) -> String {
        let (word, said) =
            if self.missed.is_empty() { ("met", "at most ") } else { ("**missed**", "") };
        format!("| {text} | {said}{} | {word} |", self.figure)
    }
}

fn memory_text() -> String {
    format!("kernel memory of an idle namespace at most {MEMORY_MAX:.0} KiB beyond the model")
}

fn memory_row(memory: &Memory) -> String {
    let word = if memory.total() <= MEMORY_MAX { "met" } else { "**missed**" };
    format!(
        "| {} | {:.0} KiB (maps {:.0}, slab {:.0}, kernel stacks {:.0}, page tables {:.0}) | {word} |",
        memory_text(),
        memory.total(),
        memory.maps,
        memory.slab,
        memory.stacks,
        memory.page_tables
    )
}

fn largest(memory: &Memory) -> String {
    let one = |cache: &Cache| format!("{} {:.0} KiB", cache.name, cache.kib);
    let caches: Vec<String> = memory.caches.iter().map(one).collect();
    format!("- memory, of the slab most: {}\n", caches.join(", "))
}

fn explanation(results: &Results, bar: &Bar, case: &str) -> Result<String> {
    let more =
        results.spread(case, bar.configuration)?.median - results.spread(case, bar.base)?.median;
    let programs =
        results.profile(case, bar.configuration).map_or_else(|| "not profiled".to_owned(), dearest);
    Ok(format!("- {case}, {}: {more:.2} more than {}; {programs}\n", bar.configuration, bar.base))
}

fn dearest(profile: &Profile) -> String {
    let one = |program: &Program| {
        format!("{} {:.2} in {:.1} runs", program.name, program.micros, program.runs)
    };
    profile.programs.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    const BAR: Bar = Bar {
        text: "t",
        cases: &["open", "exec"],
        configuration: "attached",
        base: "none",
        most: 1.02,
    };

    #[test]
    fn a_bar_is_met_when_all_rows_are_below_it() {
        let mut of = vec![("open", "none", 2.0), ("open", "attached", 2.02), ("exec", "none", 5.0)];
        assert!(BAR.outcome(&results(&of)).is_err());
        of.push(("exec", "attached", 5.1));
        let outcome = BAR.outcome(&results(&of)).unwrap();
        assert_eq!(outcome.row("t"), "| t | at most exec 1.020 | met |");
    }

    #[test]
    fn a_bar_that_is_missed_names_the_rows() {
        let of = [
            ("open", "none", 2.0),
            ("open", "attached", 3.0),
            ("exec", "none", 5.0),
            ("exec", "attached", 5.0),
        ];
        let results = results(&of);
        let outcome = BAR.outcome(&results).unwrap();
        assert_eq!(outcome.row("t"), "| t | open 1.500 | **missed** |");
        let why = explanation(&results, &BAR, outcome.missed[0]).unwrap();
        assert_eq!(why, "- open, attached: 1.00 more than none; not profiled\n");
    }

    #[test]
    fn memory_is_held_against_its_bar() {
        let memory = |slab| Memory {
            maps: 200.0,
            slab,
            stacks: 16.0,
            page_tables: 10.0,
            caches: vec![Cache { name: "kmalloc-16k".to_owned(), kib: 16.0 }],
        };
        assert!(memory_row(&memory(30.0)).ends_with("| met |"));
        assert!(memory_row(&memory(31.0)).ends_with("| **missed** |"));
        assert_eq!(largest(&memory(1.0)), "- memory, of the slab most: kmalloc-16k 16 KiB\n");
    }
}
