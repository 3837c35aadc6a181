//! `quixote verify-attestation`: whether a statement is of a pinned agent, answers the challenge,
//! and says that the workload has been within the model.

use std::fs;
use std::path::Path;

use orchestrator::agent_keys;
use orchestrator::attestation;
use orchestrator::attestation::Accepted;
use orchestrator::attestation::Agreement;
use orchestrator::model_file::trust::Unverified;
use serde::Serialize;
use tma_protocol::attestation::Claims;
use tma_protocol::attestation::STATEMENT_MAX;
use tma_protocol::attestation::VouchedFor;
use tsem::Digest;

use crate::arguments::attest::VerifyAttestationArguments;
use crate::arguments::attest::octets_of;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;
use crate::run;
use crate::run::machine_references;

/// What was found, as JSON.
#[derive(Serialize)]
struct Finding {
    agent: String,
    version: String,
    locality: String,
    mode: String,
    header: String,
    state: String,
    measurement: String,
    events: u64,
    violations: u64,
    denied: u64,
    losses: u64,
    cached: Option<u64>,
    references: Option<Vouching>,
    signature_checked_by_agent: bool,
    agreement: Option<Agreement>,
}

/// What the agent was told that packages vouch for.
#[derive(Serialize)]
struct Vouching {
    files: u64,
    digest: String,
}

pub(crate) fn run(arguments: &VerifyAttestationArguments) -> Outcome<Status> {
    let statement = read_statement(&arguments.statement)?;
    let keys = match &arguments.agent {
        Some(path) => vec![agent_keys::read_pin(path).or_fail("")?.signing],
        None => agent_keys::signing_keys().or_fail("")?,
    };
    let place = arguments.statement.display();
    let claims = attestation::verify(&statement, &keys, &arguments.nonce.0).or_fail(place)?;
    let agreement = agreement(arguments, &claims)?;
    if arguments.json {
        output::print_json(&Finding::of(&claims, agreement))?;
    } else {
        output::print(&text(&claims, agreement))?;
    }
    let accepted =
        Accepted { cache: arguments.allow_cache, references: arguments.allow_any_references };
    Ok(Status::yes_or_no(agreement.is_none_or(|agreement| agreement.holds(accepted))))
}

/// The octets of a statement: as they are, or in hexadecimal digits as `attest` prints them.
fn read_statement(path: &Path) -> Outcome<Vec<u8>> {
    let octets = fs::read(path).or_fail(path.display())?;
    if octets.len() > 3 * STATEMENT_MAX {
        return Err(Failure::new("this is too long for an attestation").at(path.display()));
    }
    let digits = std::str::from_utf8(&octets).ok().and_then(|text| octets_of(text.trim_end()));
    Ok(digits.unwrap_or(octets))
}

fn agreement(
    arguments: &VerifyAttestationArguments,
    claims: &Claims,
) -> Outcome<Option<Agreement>> {
    let Some(path) = &arguments.model else { return Ok(None) };
    let unverified = Unverified::read(path).or_fail(path.display())?;
    let model = if arguments.allow_unsigned && !unverified.claims_signature() {
        unverified.without_signature().or_fail(path.display())?
    } else {
        run::verify(unverified, path, arguments.trust.as_deref())?.into_inner()
    };
    let rules = &model.rules().references;
    let references = arguments.references.as_deref();
    let table = references.map(|path| machine_references::table(Some(path), rules, true));
    let table = table.transpose()?;
    Ok(Some(Agreement::of(claims, &model, table.as_ref().map(|table| table.vouched()))))
}

impl Finding {
    fn of(claims: &Claims, agreement: Option<Agreement>) -> Self {
        Self {
            agent: claims.agent.to_hex(),
            version: claims.version.clone(),
            locality: claims.locality.clone(),
            mode: claims.mode.clone(),
            header: claims.header.to_hex(),
            state: claims.state.to_hex(),
            measurement: claims.measurement.to_hex(),
            events: claims.counts.events,
            violations: claims.counts.violations,
            denied: claims.counts.denied,
            losses: claims.counts.losses(),
            cached: claims.cached,
            references: claims
                .references
                .map(|vouched| Vouching { files: vouched.files, digest: vouched.digest.to_hex() }),
            signature_checked_by_agent: claims.signer.is_some(),
            agreement,
        }
    }
}

fn text(claims: &Claims, agreement: Option<Agreement>) -> String {
    let counts = &claims.counts;
    let checked = match claims.signer {
        Some(key) => format!("checked by the agent, key {}", Digest(key)),
        None => "not checked by the agent, which took the orchestrator's word".into(),
    };
    let seen = match claims.cached {
        None => "every event".into(),
        Some(cached) => {
            format!("not {}, which a cache answered", output::counted(cached, "event"))
        }
    };
    let vouched = claims.references.map_or_else(
        || "every file by its digest".into(),
        |VouchedFor { files, digest }| {
            format!("{files} files by package, as the orchestrator says; table {digest}")
        },
    );
    let mut text = format!(
        "signed by  a pinned agent, {} in locality {}\n\
         agent      {}\n\
         mode       {}\n\
         model      header {}\n           signature {checked}\n           {vouched}\n\
         state      {}\n\
         measured   {}\n\
         events     {} judged, {} outside the model, {} denied, {} lost; shown {seen}\n",
        output::printable(&claims.version),
        output::printable(&claims.locality),
        claims.agent,
        output::printable(&claims.mode),
        claims.header,
        claims.state,
        claims.measurement,
        counts.events,
        counts.violations,
        counts.denied,
        counts.losses(),
    );
    match agreement {
        None => text += "no model was given to compare with\n",
        Some(agreement) => text += &agreement_text(agreement),
    }
    text
}

fn agreement_text(agreement: Agreement) -> String {
    let mut lines = vec![
        (agreement.header, "the agent holds the rules of this model", "ANOTHER HEADER"),
        (agreement.coefficients, "and its coefficients", "OTHER COEFFICIENTS"),
        (agreement.state, "nothing outside the model has happened", "SOMETHING ELSE HAPPENED"),
        (agreement.enforced, "what is outside is denied", "what is outside is only recorded"),
        (agreement.complete, "nothing was lost", "SOMETHING WAS LOST"),
        (
            agreement.every_event,
            "the agent saw every event",
            "a cache answered what it had allowed",
        ),
    ];
    match agreement.references {
        Some(same) => lines.push((
            same,
            "packages vouch for what the agent was told",
            "THE AGENT WAS TOLD THAT PACKAGES VOUCH FOR SOMETHING ELSE",
        )),
        None if agreement.by_package => lines.push((
            false,
            "",
            "what its packages vouch for was not compared; --references FILE does",
        )),
        None => {}
    }
    let line = |(holds, yes, no): (bool, &str, &str)| {
        format!("  {} {}\n", if holds { "+" } else { "-" }, if holds { yes } else { no })
    };
    lines.into_iter().map(line).collect()
}
