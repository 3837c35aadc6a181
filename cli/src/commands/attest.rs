//! `quixote attest`: what the agent of a running namespace signs for a challenge.

use std::fs;

use orchestrator::control;
use serde::Serialize;
use tsem::Digest;

use crate::arguments::attest::AttestArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

/// The statement as JSON.
#[derive(Serialize)]
struct Attestation {
    nonce: String,
    statement: String,
    signing_key: String,
}

pub(crate) fn run(arguments: &AttestArguments) -> Outcome<Status> {
    let nonce = &arguments.nonce.0;
    let attested = control::attest(&arguments.namespace, nonce).or_fail("").map_err(|failure| {
        failure
            .next("quixote ps lists what runs; the agent must run outside the orchestrator: --tma")
    })?;
    if let Some(path) = &arguments.output {
        fs::write(path, &attested.statement).or_fail(path.display())?;
        return Ok(Status::SUCCESS);
    }
    let statement = output::hexadecimal(&attested.statement);
    if arguments.json {
        output::print_json(&Attestation {
            nonce: output::hexadecimal(nonce),
            statement,
            signing_key: Digest(attested.key).to_hex(),
        })?;
    } else {
        output::print(&format!("{statement}\n"))?;
    }
    Ok(Status::SUCCESS)
}
