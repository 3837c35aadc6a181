//! `quixote doctor`: what this machine can do, what is missing, the command that mends it.

use std::fmt::Write as _;

use orchestrator::doctor::Check;
use orchestrator::doctor::Health;

use crate::arguments::namespace::DoctorArguments;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::output;
use crate::output::BAD;
use crate::output::CAUTION;
use crate::output::GOOD;

pub(crate) fn run(arguments: &DoctorArguments) -> Outcome<Status> {
    let checks = orchestrator::doctor::examine();
    if arguments.json {
        output::print_json(&checks)?;
    } else {
        output::print(&report(&checks))?;
    }
    let missing = checks.iter().any(|check| check.health == Health::Missing);
    Ok(Status::yes_or_no(!missing))
}

fn report(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let (style, word) = match check.health {
            Health::Good => (GOOD, "good   "),
            Health::Limited => (CAUTION, "limited"),
            Health::Missing => (BAD, "missing"),
        };
        let _ = writeln!(text, "{}  {}: {}", output::styled(style, word), check.name, check.found);
        if !check.mend.is_empty() {
            let _ = writeln!(text, "         mend: {}", check.mend);
        }
    }
    let missing = checks.iter().filter(|check| check.health == Health::Missing).count();
    let verdict = match missing {
        0 => "quixote works on this machine".to_owned(),
        _ => format!("quixote does not work on this machine yet: {missing} missing"),
    };
    let _ = writeln!(text, "\n{verdict}");
    text
}
