//! `quixote model merge`: several models of one workload as one, under a new serial number.

use orchestrator::model_file::format::Descriptions;
use orchestrator::model_file::model::ModelFile;
use orchestrator::model_file::review::merge::Mismatch;
use orchestrator::model_file::review::merge::merge;
use serde_json::json;

use crate::arguments::model::MergeArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &MergeArguments) -> Outcome<Status> {
    let mismatch = if arguments.force { Mismatch::Force } else { Mismatch::Refuse };
    let merged = merge_all(arguments, mismatch)?;
    let output = &arguments.output;
    merged.write(output, Descriptions::Keep).or_fail(output.display())?;
    let (header, state) = (merged.header(), merged.state().to_hex());
    if arguments.json {
        output::print_json(&json!({
            "model": output, "header": header, "state": state, "coefficients": merged.len(),
        }))?;
    } else {
        output::print(&format!(
            "merged {} of {} into {}: {}, serial {}\n  state {state}\n  \
             next: quixote model explain {}, then sign it\n",
            output::counted(arguments.models.len(), "model"),
            header.workload,
            output.display(),
            output::counted(merged.len(), "coefficient"),
            header.serial,
            output.display(),
        ))?;
    }
    Ok(Status::SUCCESS)
}

fn merge_all(arguments: &MergeArguments, mismatch: Mismatch) -> Outcome<ModelFile> {
    let mut merged: Option<ModelFile> = None;
    for path in &arguments.models {
        let model = super::read(path)?;
        merged = Some(match merged {
            None => model,
            Some(before) => merge(&before, &model, mismatch).or_fail(path.display())?,
        });
    }
    merged.ok_or_else(|| Failure::new("no model was given"))
}
