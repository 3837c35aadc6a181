//! `quixote provision`: makes an agent that belongs to nobody this orchestrator's, once.

use orchestrator::model_file::keys::PublicKey;
use serde::Serialize;

use crate::arguments::attest::ProvisionArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

/// What was pinned.
#[derive(Serialize)]
struct Provisioned {
    tma: String,
    fingerprint: String,
    model_keys: usize,
}

pub(crate) fn run(arguments: &ProvisionArguments) -> Outcome<Status> {
    let mut keys = Vec::new();
    for path in &arguments.model_key {
        let key = PublicKey::read(path).or_fail(path.display())?;
        let other = || Failure::new("agents check Ed25519 signatures only").at(path.display());
        keys.push(key.ed25519().ok_or_else(other)?);
    }
    let model_keys = keys.len();
    let identity = arguments.tma.provision(keys).or_fail("")?;
    let tma = arguments.tma.to_string();
    let fingerprint = identity.fingerprint().to_hex();
    if arguments.json {
        output::print_json(&Provisioned { tma, fingerprint, model_keys })?;
    } else {
        output::print(&format!("{tma} is pinned, fingerprint {fingerprint}\n"))?;
    }
    Ok(Status::SUCCESS)
}
