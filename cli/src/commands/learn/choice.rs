//! Which of the proposed rules join the model: shown one by one, refusable one by one.

use std::io;
use std::io::IsTerminal;

use orchestrator::model_file::propose::Proposal;
use orchestrator::model_file::propose::Proposals;
use serde::Serialize;

use crate::arguments::run::AcceptRules;
use crate::arguments::run::LearnArguments;
use crate::failure::Failure;
use crate::failure::Outcome;
use crate::output;
use crate::question;

/// The proposals, decided upon.
pub(super) struct Choice {
    pub(super) rules: Vec<Decided>,
    pub(super) unexplained: Vec<String>,
    pub(super) unexplained_total: usize,
}

/// A proposed rule, and whether it joins the model.
#[derive(Serialize)]
pub(super) struct Decided {
    pub(super) number: usize,
    #[serde(flatten)]
    pub(super) proposal: Proposal,
    pub(super) accepted: bool,
}

impl Choice {
    /// Decides as the command line says, or as the user answers.
    pub(super) fn make(proposals: Proposals, arguments: &LearnArguments) -> Outcome<Self> {
        let Proposals { proposals, unexplained, unexplained_total } = proposals;
        let way = arguments.accept_rules.unwrap_or_else(default_way);
        check_refusals(&arguments.reject_rule, &proposals)?;
        let mut rules = Vec::with_capacity(proposals.len());
        for (index, proposal) in proposals.into_iter().enumerate() {
            let number = index + 1;
            let refused = arguments.reject_rule.iter().any(|said| names(said, number, &proposal));
            let accepted = !refused && decide(way, number, &proposal)?;
            rules.push(Decided { number, proposal, accepted });
        }
        Ok(Self { rules, unexplained, unexplained_total })
    }

    /// The rules that join the model.
    pub(super) fn accepted(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| rule.accepted).map(|rule| rule.proposal.rule.as_str())
    }
}

fn default_way() -> AcceptRules {
    let asked = io::stdin().is_terminal() && io::stderr().is_terminal();
    if asked { AcceptRules::Ask } else { AcceptRules::All }
}

fn decide(way: AcceptRules, number: usize, proposal: &Proposal) -> Outcome<bool> {
    match way {
        AcceptRules::All => Ok(true),
        AcceptRules::None => Ok(false),
        AcceptRules::Ask => {
            output::note(&proposal_text(number, proposal));
            question::yes_or_no("Write this rule into the model?")
        }
    }
}

/// `--reject-rule` names a proposal by its number or its text.
fn names(said: &str, number: usize, proposal: &Proposal) -> bool {
    said.parse() == Ok(number) || said == proposal.rule
}

/// A number that is no proposal's is a slip; a text may be of a rule that only some runs propose.
fn check_refusals(refusals: &[String], proposals: &[Proposal]) -> Outcome<()> {
    let count = proposals.len();
    let slip =
        |said: &&String| said.parse().is_ok_and(|number: usize| number == 0 || number > count);
    match refusals.iter().find(slip) {
        Some(said) => Err(Failure::new(format_args!("there is no proposed rule number {said}"))
            .at(format_args!("--reject-rule {said}"))
            .next(format_args!(
                "proposed: {}; the run is kept, so learn again",
                output::counted(count, "rule")
            ))),
        None => Ok(()),
    }
}

/// A proposal, for people.
pub(super) fn proposal_text(number: usize, proposal: &Proposal) -> String {
    let Proposal { rule, examples, distinct, runs, gives_away } = proposal;
    format!(
        "  rule {number}: {}\n    from {} in {}, such as {}\n    gives away: {gives_away}\n",
        output::styled_for_stderr(output::STRONG, rule),
        output::counted(*distinct, "name"),
        output::counted(*runs, "run"),
        output::printable(&examples.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(rule: &str) -> Proposal {
        Proposal {
            rule: rule.into(),
            examples: Vec::new(),
            distinct: 2,
            runs: 2,
            gives_away: String::new(),
        }
    }

    #[test]
    fn a_rule_is_refused_by_number_or_text() {
        let rule = proposal("name /tmp/{any} made");
        assert!(names("2", 2, &rule));
        assert!(names("name /tmp/{any} made", 2, &rule));
        assert!(!names("1", 2, &rule));
        assert!(!names("name /tmp/{any} any", 2, &rule));
    }

    #[test]
    fn a_number_of_no_proposal_is_told() {
        let proposals = [proposal("a")];
        assert!(check_refusals(&["1".into(), "text".into()], &proposals).is_ok());
        assert!(check_refusals(&["0".into()], &proposals).is_err());
        assert!(check_refusals(&["2".into()], &proposals).is_err());
    }
}
