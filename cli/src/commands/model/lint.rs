//! `quixote model lint`: what a reviewer should look at first.

use orchestrator::model_file::review::lint::Finding;
use orchestrator::model_file::review::lint::Severity;
use orchestrator::model_file::review::lint::SignatureStatus;
use orchestrator::model_file::review::lint::lint;
use orchestrator::model_file::trust::Unverified;

use crate::arguments::model::LintArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;
use crate::output::BAD;
use crate::output::CAUTION;
use crate::output::FAINT;
use crate::output::GOOD;
use crate::run;

pub(crate) fn run(arguments: &LintArguments) -> Outcome<Status> {
    let model = super::read(&arguments.model)?;
    let findings = lint(&model, signature_status(arguments)?);
    if arguments.json {
        output::print_json(&findings)?;
    } else {
        output::print(&report(&findings))?;
    }
    let clean = findings.iter().all(|finding| finding.severity == Severity::Note);
    Ok(Status::yes_or_no(clean))
}

fn signature_status(arguments: &LintArguments) -> Outcome<SignatureStatus> {
    let unverified = Unverified::read(&arguments.model).or_fail(arguments.model.display())?;
    Ok(match run::verify(unverified, &arguments.model, arguments.trust.as_deref()) {
        Ok(_) => SignatureStatus::Verified,
        Err(_) => SignatureStatus::Unsigned,
    })
}

fn report(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return format!("{}\n", output::styled(GOOD, "nothing found"));
    }
    let coloured = |finding: &Finding| {
        let style = match finding.severity {
            Severity::Danger => BAD,
            Severity::Warning => CAUTION,
            Severity::Note => FAINT,
        };
        let text = finding.to_string();
        let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
        format!("{}\n{rest}", output::styled(style, head))
    };
    findings.iter().map(coloured).collect::<Vec<_>>().join("\n")
}
