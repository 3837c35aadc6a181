//! Checking what an agent attested to, without the agent: its key, the challenge, the model.

use serde::Serialize;
use thiserror::Error;
use tma_protocol::attestation::AttestationError;
use tma_protocol::attestation::Claims;
use tma_protocol::attestation::VouchedFor;
use tsem::Platform;
use tsem::References;

use crate::model_file::model::ModelFile;

/// An attestation does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotAttested {
    /// Not a statement at all.
    #[error("this is no attestation; it is what 'quixote attest' writes")]
    NotAStatement,
    /// Nobody that is pinned signed it.
    #[error(
        "no pinned agent signed this attestation; give the agent's pin with --agent, a file of the \
         machine that the agent belongs to"
    )]
    Signature,
    /// The claims are not of this profile.
    #[error("the attestation is signed, but does not say what this version understands")]
    Claims,
    /// An answer to another challenge.
    #[error("the attestation answers another challenge; it may be an old one")]
    Nonce,
}

impl From<AttestationError> for NotAttested {
    fn from(error: AttestationError) -> Self {
        match error {
            AttestationError::Signature => Self::Signature,
            AttestationError::Nonce => Self::Nonce,
            AttestationError::Claims => Self::Claims,
            _ => Self::NotAStatement,
        }
    }
}

/// The claims of a statement, if one of `keys` signed it in answer to `nonce`.
///
/// # Errors
///
/// What does not hold.
pub fn verify(statement: &[u8], keys: &[[u8; 32]], nonce: &[u8]) -> Result<Claims, NotAttested> {
    let mut found = Err(NotAttested::Signature);
    for key in keys {
        match Claims::verify(statement, key, nonce) {
            Err(AttestationError::Signature) => {}
            Ok(claims) => return Ok(claims),
            Err(error) => found = Err(error.into()),
        }
    }
    found
}

/// How the claims of an agent agree with a model.
#[allow(clippy::struct_excessive_bools, reason = "each is the answer to a question of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// The agent holds the model of this very header, so these very rules.
    pub header: bool,
    /// It holds these very coefficients.
    pub coefficients: bool,
    /// Nothing outside the model has happened: the state now is that of the model.
    pub state: bool,
    /// What is outside the model is denied.
    pub enforced: bool,
    /// Nothing was lost.
    pub complete: bool,
    /// The agent was shown every event; no verdict cache stood before it.
    pub every_event: bool,
    /// It was told what packages vouch for.
    pub by_package: bool,
    /// It was told these very references; `None` where none were given to compare with.
    pub references: Option<bool>,
}

/// What a verifier accepts besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// A verdict cache that answered what the agent had found in the model.
    pub cache: bool,
    /// The orchestrator's word for what packages vouch for.
    pub references: bool,
}

impl Agreement {
    /// Compares; `references` is what packages vouch for under this model, where that is known.
    pub fn of(claims: &Claims, model: &ModelFile, references: Option<&References>) -> Self {
        let platform = Platform { base: claims.base, aggregate: claims.aggregate };
        Self {
            header: claims.header == model.header().digest(),
            coefficients: claims.model_state == model.state(),
            state: claims.state == tsem::state_of(model.coefficients(), &platform),
            enforced: claims.mode == "enforcing",
            complete: claims.counts.losses() == 0,
            every_event: claims.cached.is_none(),
            by_package: claims.references.is_some(),
            references: references.map(|table| claims.references == VouchedFor::of(table)),
        }
    }

    /// Whether the workload has been within the model, by the agent's word.
    pub fn holds(&self, accepted: Accepted) -> bool {
        let seen = self.complete && (accepted.cache || self.every_event);
        let vouched = self.references.unwrap_or(accepted.references || !self.by_package);
        self.header && self.coefficients && self.state && seen && vouched
    }
}
