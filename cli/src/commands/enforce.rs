//! `quixote enforce`: what is outside the model is denied before it takes effect.

use tsem::Mode;

use crate::arguments::run::EnforceArguments;
use crate::exit::Status;
use crate::failure::Outcome;
use crate::run;
use crate::run::PreparedModel;

pub(crate) fn run(arguments: &EnforceArguments) -> Outcome<Status> {
    let model = PreparedModel::open(&arguments.model, arguments.run.quiet)?;
    let on_violation = arguments.on_violation.into();
    let mut workload = model.workload(&arguments.run, Mode::Enforcing, on_violation)?;
    workload.hooks.may_be_missing = arguments.allow_missing_hooks;
    run::under_model(&model, &workload, &arguments.model, &arguments.run)
}
