//! `quixote model verify`: whether a pinned key signed this model, and it is not an old one.

use orchestrator::model_file::trust::Unverified;

use crate::arguments::model::VerifyArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;
use crate::output::GOOD;
use crate::run;

pub(crate) fn run(arguments: &VerifyArguments) -> Outcome<Status> {
    let unverified = Unverified::read(&arguments.model).or_fail(arguments.model.display())?;
    let verified = run::verify(unverified, &arguments.model, arguments.trust.as_deref())?;
    let finding = verified.finding();
    if arguments.json {
        output::print_json(&finding)?;
    } else {
        let signers: Vec<String> = finding.signers.iter().map(ToString::to_string).collect();
        output::print(&format!(
            "{} {} serial {} is signed by a pinned key\n  signer {}\n  state  {}\n",
            output::styled(GOOD, "good:"),
            finding.workload,
            finding.serial,
            signers.join("\n         "),
            finding.state
        ))?;
    }
    Ok(Status::SUCCESS)
}
