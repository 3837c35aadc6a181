//! `quixote monitor`: a sealed run; nothing is denied, what is outside the model is forensics.

use tsem::Mode;
use tsem::OnViolation;

use crate::arguments::run::MonitorArguments;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::run;
use crate::run::PreparedModel;

pub(crate) fn run(arguments: &MonitorArguments) -> Outcome<Status> {
    let model = PreparedModel::open(&arguments.model, arguments.run.quiet)?;
    let workload = model.workload(&arguments.run, Mode::Sealed, OnViolation::Untrust)?;
    run::under_model(&model, &workload, &arguments.model, &arguments.run)
}
