//! Whether learning has seen enough.
//!
//! Two questions, each with an estimate and an upper bound, because either alone misleads. The
//! chance that the next *event* is unseen is Good and Turing's: the share of events that were seen
//! once. The chance that the next *run* shows something new is told by the runs themselves: how
//! many of them hold something that no other run holds. A service that serves a million requests
//! and rotates its log once has a tiny first number and a large second one.

#![allow(
    clippy::cast_precision_loss,
    reason = "counts beyond 2^52 change an estimate in its sixteenth digit"
)]

use std::collections::BTreeMap;

use serde::Serialize;
use tsem::Digest;
use tsem::EncodeError;
use tsem::Observation;
use tsem::Rules;

/// One minus the chance that a bound is wrong.
pub const CONFIDENCE: f64 = 0.95;
/// More varying events than this are counted, not listed.
const VARIED_MAX: usize = 1000;

/// What one run brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunGrowth {
    /// Counted from 1.
    pub run: usize,
    /// Events seen.
    pub events: u64,
    /// Distinct coefficients.
    pub distinct: usize,
    /// Coefficients that no earlier run had.
    pub new: usize,
    /// Coefficients that no other run had.
    pub alone: usize,
}

/// An event that was not seen in every run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Varied {
    /// Its coefficient, in hexadecimal digits.
    pub coefficient: String,
    /// In its text form.
    pub event: String,
    /// The runs that had it, counted from 1.
    pub runs: Vec<usize>,
}

/// What is to be thought of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outlook {
    /// One run cannot show what varies between runs.
    OneRun,
    /// Runs differ: rules are missing, or not everything has been exercised.
    Varying,
    /// The last run brought nothing new, but it took several to get there.
    Settled,
    /// Every run showed the same.
    Identical,
}

/// How far learning has come.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Convergence {
    /// Run by run.
    pub runs: Vec<RunGrowth>,
    /// Events in all runs.
    pub events: u64,
    /// Distinct coefficients in all runs.
    pub distinct: usize,
    /// Coefficients that were seen as one single event.
    pub singletons: usize,
    /// Good and Turing's estimate of the chance that the next event is an unseen one.
    pub unseen_event: f64,
    /// What that chance does not exceed, with [`CONFIDENCE`], for independent events.
    pub unseen_event_at_most: f64,
    /// Share of the runs that showed something alone; `None` for a single run.
    pub unseen_run: Option<f64>,
    /// What the chance that the next run shows something new does not exceed, with [`CONFIDENCE`].
    pub unseen_run_at_most: Option<f64>,
    /// Events that were not seen in every run; a long list is cut.
    pub varied: Vec<Varied>,
    /// How many of them there are.
    pub varied_total: usize,
    /// In a word.
    pub outlook: Outlook,
}

struct Sight {
    count: u64,
    runs: Vec<usize>,
    event: String,
}

/// Analyses runs under the rules of the model that is being learned.
///
/// # Errors
///
/// An observation that was read from a damaged record.
pub fn analyse(runs: &[&Observation], rules: &Rules) -> Result<Convergence, EncodeError> {
    let mut sights: BTreeMap<Digest, Sight> = BTreeMap::new();
    let mut growth = Vec::with_capacity(runs.len());
    for (index, run) in runs.iter().enumerate() {
        growth.push(note_run(&mut sights, index + 1, run, rules)?);
    }
    for sight in sights.values() {
        if let [only] = sight.runs.as_slice() {
            growth[*only - 1].alone += 1;
        }
    }
    let varied: Vec<_> = sights.iter().filter(|(_, sight)| sight.runs.len() < runs.len()).collect();
    let events = growth.iter().map(|run| run.events).sum();
    let singletons = sights.values().filter(|sight| sight.count == 1).count();
    let alone = growth.iter().filter(|run| run.alone > 0).count();
    let several = runs.len() > 1;
    Ok(Convergence {
        outlook: outlook(&growth, varied.len()),
        events,
        distinct: sights.len(),
        singletons,
        unseen_event: good_turing(singletons, events),
        unseen_event_at_most: good_turing_bound(singletons, events),
        unseen_run: several.then(|| alone as f64 / runs.len() as f64),
        unseen_run_at_most: several.then(|| binomial_bound(alone, runs.len())),
        varied_total: varied.len(),
        varied: varied.into_iter().take(VARIED_MAX).map(varied_of).collect(),
        runs: growth,
    })
}

fn note_run(
    sights: &mut BTreeMap<Digest, Sight>,
    run: usize,
    observation: &Observation,
    rules: &Rules,
) -> Result<RunGrowth, EncodeError> {
    let mut growth = RunGrowth { run, events: 0, distinct: 0, new: 0, alone: 0 };
    let formed = observation.form(rules)?;
    for (event, observed) in formed.into_iter().zip(&observation.events) {
        growth.events += observed.count;
        let sight = sights.entry(event.coefficient).or_insert_with(|| {
            growth.new += 1;
            Sight { count: 0, runs: Vec::new(), event: event.cell.to_string() }
        });
        sight.count += observed.count;
        if sight.runs.last() != Some(&run) {
            sight.runs.push(run);
            growth.distinct += 1;
        }
    }
    Ok(growth)
}

fn varied_of((coefficient, sight): (&Digest, &Sight)) -> Varied {
    Varied {
        coefficient: coefficient.to_hex(),
        event: sight.event.clone(),
        runs: sight.runs.clone(),
    }
}

fn outlook(runs: &[RunGrowth], varied: usize) -> Outlook {
    match runs {
        [] | [_] => Outlook::OneRun,
        _ if varied == 0 => Outlook::Identical,
        [.., last] if last.new == 0 => Outlook::Settled,
        _ => Outlook::Varying,
    }
}

fn good_turing(singletons: usize, events: u64) -> f64 {
    if events == 0 { 1.0 } else { singletons as f64 / events as f64 }
}

/// Theorem 1 of `McAllester` and Schapire, "On the convergence rate of Good-Turing estimators"
/// (2000).
fn good_turing_bound(singletons: usize, events: u64) -> f64 {
    if events == 0 {
        return 1.0;
    }
    let slack = ((3.0 / (1.0 - CONFIDENCE)).ln() / events as f64).sqrt();
    (good_turing(singletons, events) + (2.0 * 2.0_f64.sqrt() + 3.0_f64.sqrt()) * slack).min(1.0)
}

/// The upper end of Clopper and Pearson's one-sided interval for `hits` of `trials`: the chance at
/// which so few hits have a probability of one minus [`CONFIDENCE`].
fn binomial_bound(hits: usize, trials: usize) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(hits, trials, middle) > 1.0 - CONFIDENCE { low = middle } else { high = middle }
    }
    high
}

/// The probability of at most `hits` of `trials`, each with `chance`.
fn at_most(hits: usize, trials: usize, chance: f64) -> f64 {
    let mut term = (1.0 - chance).powi(trials as i32);
    let mut sum = term;
    for hit in 0..hits {
        term *= (trials - hit) as f64 / (hit + 1) as f64 * chance / (1.0 - chance);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::model::tests::story;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-3
    }

    #[test]
    fn growth_and_variation_are_told_run_by_run() {
        let (one, two) = (story("/tmp/x1").observation, story("/tmp/x2").observation);
        let found = analyse(&[&one, &two, &one], &Rules::default()).unwrap();
        let new: Vec<usize> = found.runs.iter().map(|run| run.new).collect();
        assert_eq!(new, [5, 1, 0]);
        assert_eq!(found.outlook, Outlook::Settled);
        assert_eq!((found.varied_total, found.distinct, found.events), (2, 6, 15));
        assert_eq!(found.singletons, 1);
        assert!(close(found.unseen_event, 1.0 / 15.0));
        assert!(close(found.unseen_run.unwrap(), 1.0 / 3.0));
        assert!(found.varied.iter().any(|varied| varied.runs == [2]));
    }

    #[test]
    fn a_rule_takes_variation_away() {
        let (one, two) = (story("/tmp/x1").observation, story("/tmp/x2").observation);
        let mut rules = Rules::default();
        crate::model_file::header::add_rule(&mut rules, "name /tmp/x{digits} made").unwrap();
        let found = analyse(&[&one, &two], &rules).unwrap();
        assert_eq!(found.outlook, Outlook::Identical);
        assert_eq!(found.varied, []);
        assert!(close(found.unseen_run.unwrap(), 0.0));
    }

    #[test]
    fn one_run_or_none_says_little() {
        let one = story("/tmp/x1").observation;
        let found = analyse(&[&one], &Rules::default()).unwrap();
        assert_eq!(found.outlook, Outlook::OneRun);
        assert_eq!(found.unseen_run_at_most, None);
        let none = analyse(&[], &Rules::default()).unwrap();
        assert!(close(none.unseen_event_at_most, 1.0));
    }

    /// The rule of three, and values of published tables.
    #[test]
    fn the_binomial_bound_is_clopper_and_pearsons() {
        assert!(close(binomial_bound(0, 10), 0.2589));
        assert!(close(binomial_bound(1, 10), 0.3942));
        assert!(close(binomial_bound(2, 20), 0.2826));
        assert!(close(binomial_bound(3, 3), 1.0));
        assert!(close(binomial_bound(0, 100), 0.0295));
    }
}
