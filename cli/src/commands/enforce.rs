//! `quixote enforce`: what is outside the model is denied before it takes effect.

use orchestrator::source::Source;
use tsem::Mode;

use crate::arguments::run::EnforceArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::Outcome;
use crate::run;
use crate::run::PreparedModel;

pub(crate) fn run(arguments: &EnforceArguments) -> Outcome<Status> {
    let model = PreparedModel::open(&arguments.model, arguments.run.quiet)?;
    let on_violation = arguments.on_violation.into();
    let mut workload = model.workload(&arguments.run, Mode::Enforcing, on_violation)?;
    workload.hooks.may_be_missing = arguments.allow_missing_hooks;
    workload.shield = arguments.shield;
    if workload.shield && workload.source != Source::Kernel {
        return Err(Failure::new("only the kernel source has a shield").next("add --source kernel"));
    }
    run::under_model(&model, &workload, &arguments.model, &arguments.run)
}
