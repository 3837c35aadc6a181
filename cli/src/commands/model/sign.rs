//! `quixote model sign`: says yes to a model, with a key.

use std::fs;
use std::path::PathBuf;

use orchestrator::model_file::format::write_atomically;
use orchestrator::model_file::keys::LooseMode;
use orchestrator::model_file::keys::SigningKey;
use orchestrator::model_file::signing::Envelope;
use orchestrator::model_file::signing::signature_path;
use orchestrator::model_file::trust;
use serde_json::json;

use crate::arguments::model::SignArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &SignArguments) -> Outcome<Status> {
    let key =
        SigningKey::read(&arguments.key, LooseMode::Refuse).or_fail(arguments.key.display())?;
    let signature = if arguments.add {
        countersign(arguments, &key)?
    } else {
        trust::sign_file(&arguments.model, &key).or_fail(arguments.model.display())?
    };
    let said = trust::predicate_of(&super::read(&arguments.model)?);
    let signer = key.public().or_fail(arguments.key.display())?.id().to_string();
    if arguments.json {
        output::print_json(&json!({ "signature": signature, "signer": signer, "signed": said }))?;
    } else {
        output::print(&format!(
            "signed {} serial {} ({}) with key {signer}\n  state {}\n  written to {}\n",
            said.workload,
            said.serial,
            output::counted(said.coefficients, "coefficient"),
            said.state,
            signature.display()
        ))?;
    }
    Ok(Status::SUCCESS)
}

/// Adds a signature, if the ones that are there are for this very model.
fn countersign(arguments: &SignArguments, key: &SigningKey) -> Outcome<PathBuf> {
    let path = signature_path(&arguments.model);
    let model = super::read(&arguments.model)?;
    // What may not be signed may not be countersigned either.
    trust::sign(&model, key).or_fail(arguments.model.display())?;
    let before = fs::read(&path).or_fail(path.display())?;
    let mut envelope = Envelope::parse(&before).or_fail(path.display())?;
    envelope.countersign(key).or_fail(path.display())?;
    let public = key.public().or_fail(arguments.key.display())?;
    let (statement, _) = envelope.verify([&public].into_iter()).or_fail(path.display())?;
    if statement.predicate != trust::predicate_of(&model) {
        let other = Failure::new("the signatures that are there are for another model");
        return Err(other.at(path.display()).next("sign without --add"));
    }
    let json = envelope.to_json().or_fail(path.display())?;
    write_atomically(&path, json.as_bytes()).or_fail(path.display())?;
    Ok(path)
}
