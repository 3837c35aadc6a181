//! What is said at the end of learning: what was seen, what varied, whether it is enough.

use std::fmt::Write as _;

use orchestrator::model_file::convergence::Convergence;
use orchestrator::model_file::convergence::Outlook;
use serde_json::Value;
use serde_json::json;

use super::Learned;
use super::choice::Choice;
use super::choice::proposal_text;
use crate::output;
use crate::output::CAUTION;
use crate::output::GOOD;
use crate::output::STRONG;

/// So many lines of a list are shown to people; the rest is counted.
const LINES_MAX: usize = 12;

impl Learned<'_> {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "model": self.path,
            "workload": self.model.header().workload,
            "serial": self.model.header().serial,
            "runs": self.model.header().runs,
            "coefficients": self.model.len(),
            "state": self.model.state().to_hex(),
            "convergence": self.convergence,
            "rules": self.choice.rules,
            "unexplained": self.choice.unexplained,
            "unexplained_total": self.choice.unexplained_total,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let header = self.model.header();
        let mut text = String::from("\n");
        text += &growth_text(&self.convergence);
        text += &rules_text(&self.choice);
        text += &varied_text(&self.convergence);
        text += &outlook_text(&self.convergence);
        if header.losses > 0 {
            let lost = format!(
                "{} lost: this model cannot be signed; learn anew",
                output::counted(header.losses, "event")
            );
            let _ = writeln!(text, "{}", output::styled_for_stderr(output::BAD, &lost));
        }
        let _ = writeln!(
            text,
            "{} {}: {} from {}, serial {}\n  state {}\n  next: quixote model explain {}\n",
            output::styled_for_stderr(STRONG, "model"),
            self.path.display(),
            output::counted(self.model.len(), "coefficient"),
            output::counted(header.runs, "run"),
            header.serial,
            self.model.state(),
            self.path.display(),
        );
        text
    }
}

fn growth_text(convergence: &Convergence) -> String {
    let mut text = String::new();
    for run in &convergence.runs {
        let _ = writeln!(
            text,
            "run {}: {}, {} distinct, {} new, {} in no other run",
            run.run,
            output::counted(run.events, "event"),
            run.distinct,
            run.new,
            run.alone
        );
    }
    text
}

fn rules_text(choice: &Choice) -> String {
    let mut text = String::new();
    for rule in &choice.rules {
        let word = if rule.accepted { "written into the model" } else { "refused" };
        text += &proposal_text(rule.number, &rule.proposal);
        let _ = writeln!(text, "    {word}");
    }
    if choice.rules.iter().any(|rule| rule.accepted) {
        text +=
            "  to refuse a rule: learn again with --anew --reject-rule N (or the rule's text)\n";
    }
    if choice.unexplained_total > 0 {
        let paths = output::counted(choice.unexplained_total, "varying path");
        let _ = writeln!(text, "no rule fits {paths}:");
        text +=
            &first_lines(choice.unexplained.iter().map(String::as_str), choice.unexplained_total);
    }
    text
}

fn varied_text(convergence: &Convergence) -> String {
    if convergence.varied_total == 0 {
        return String::new();
    }
    let varied = output::counted(convergence.varied_total, "event");
    let mut text = format!("not in every run: {varied}\n");
    let lines = convergence.varied.iter().map(|varied| varied.event.as_str());
    text += &first_lines(lines, convergence.varied_total);
    text
}

fn first_lines<'a>(lines: impl Iterator<Item = &'a str>, total: usize) -> String {
    let mut text = String::new();
    for line in lines.take(LINES_MAX) {
        let _ = writeln!(text, "  {}", output::printable(line));
    }
    if total > LINES_MAX {
        let _ = writeln!(text, "  and {} more; --json has them all", total - LINES_MAX);
    }
    text
}

fn outlook_text(convergence: &Convergence) -> String {
    let (style, words) = match convergence.outlook {
        Outlook::OneRun => (CAUTION, "not known yet: one run cannot show what varies; run again"),
        Outlook::Varying => {
            (CAUTION, "not converged: the last run showed something new; run again")
        }
        Outlook::Settled => (GOOD, "converged: the last run showed nothing new"),
        Outlook::Identical => (GOOD, "converged: every run showed the same"),
    };
    let mut text = format!("{}\n", output::styled_for_stderr(style, words));
    let _ = writeln!(
        text,
        "  chance that the next event is unseen: {} (at most {}; Good-Turing)",
        percent(convergence.unseen_event),
        percent(convergence.unseen_event_at_most)
    );
    if let (Some(chance), Some(bound)) = (convergence.unseen_run, convergence.unseen_run_at_most) {
        let _ = writeln!(
            text,
            "  chance that the next run shows something new: {} (at most {})",
            percent(chance),
            percent(bound)
        );
    }
    text
}

fn percent(chance: f64) -> String {
    format!("{:.2}%", chance * 100.0)
}
