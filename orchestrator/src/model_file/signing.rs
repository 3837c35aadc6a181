//! The signature of a model: a DSSE envelope over an in-toto statement, in a file beside the model.
//!
//! The statement binds the digest of the model's header and its *state*, not the text of the file:
//! a TMA that is streamed the coefficients checks them by computing the state, and a model without
//! its descriptions has the same signature. The signature of `nginx.model` is `nginx.model.sig`, so
//! that the model stays the text that was reviewed and tools that know DSSE read the signature as
//! it is.

use std::path::Path;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;
use serde::Serialize;
use tsem::Digest;

use super::keys::KeyError;
use super::keys::KeyId;
use super::keys::PublicKey;
use super::keys::SignatureCheck;
use super::keys::SigningKey;

/// The payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// `_type` of an in-toto statement, version 1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The kind of statement that this project makes about a model.
pub const PREDICATE_TYPE: &str = "urn:quixote:model:v1";
/// An envelope is about two kilobytes; what is larger than this is refused unread.
pub const ENVELOPE_MAX: u64 = 256 * 1024;
/// More signatures than this only cost time.
const SIGNATURES_MAX: usize = 32;

/// What a signature says about a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicate {
    /// The workload's name.
    pub workload: String,
    /// `core` or `full`.
    pub profile: String,
    /// Grows with every model of a workload.
    pub serial: u64,
    /// SHA-256 of the canonical header, in hexadecimal digits.
    pub header: String,
    /// The model's state, in hexadecimal digits.
    pub state: String,
    /// How many coefficients the state stands for.
    pub coefficients: u64,
}

/// An in-toto statement about one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The one model: its name and the digest of its header.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said.
    pub predicate: Predicate,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The workload's name.
    pub name: String,
    /// The digest of its canonical header.
    pub digest: SubjectDigest,
}

/// The digests of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectDigest {
    /// In hexadecimal digits.
    pub sha256: String,
}

/// A DSSE envelope, read but not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Base64 of what is signed.
    payload: String,
    /// What the payload is.
    #[serde(rename = "payloadType")]
    payload_type: String,
    /// By whom.
    signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EnvelopeSignature {
    /// A hint at the key, never the key.
    #[serde(default)]
    keyid: String,
    /// Base64 of the signature.
    sig: String,
}

/// Why a signature file is none, or does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// Not a DSSE envelope in JSON.
    #[error("the signature file is no DSSE envelope ({0}); sign the model again")]
    NotAnEnvelope(serde_json::Error),
    /// Not in-toto.
    #[error("the signature file holds a payload other than {PAYLOAD_TYPE}; sign the model again")]
    OtherPayload,
    /// Broken Base64.
    #[error(
        "the signature file is damaged: its payload or a signature is not Base64; sign the model \
         again"
    )]
    NotBase64,
    /// Too many signatures.
    #[error("the signature file has more than {SIGNATURES_MAX} signatures; sign the model again")]
    TooManySignatures,
    /// Signed, but not a statement about a model.
    #[error("the signed payload is no statement about a model ({0}); sign the model again")]
    NotAStatement(serde_json::Error),
    /// A statement of another kind or version.
    #[error(
        "the signed statement is not one of kind {PREDICATE_TYPE} about exactly one model, so \
         this version cannot use it"
    )]
    OtherStatement,
    /// No signature of a pinned key holds.
    #[error(
        "no pinned key made this signature; pin the signer's public key if you trust it, or sign \
         the model again"
    )]
    NoPinnedKey,
    /// The key could not be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The statement could not be written.
    #[error("the statement cannot be written as JSON ({0})")]
    Json(serde_json::Error),
}

/// Where the signature of a model lies: beside it, with `.sig` added to its name.
pub fn signature_path(model: &Path) -> PathBuf {
    let mut path = model.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

impl Statement {
    /// What is to be said of a model.
    pub fn new(predicate: Predicate) -> Self {
        let digest = SubjectDigest { sha256: predicate.header.clone() };
        Self {
            statement_type: STATEMENT_TYPE.into(),
            subject: vec![Subject { name: predicate.workload.clone(), digest }],
            predicate_type: PREDICATE_TYPE.into(),
            predicate,
        }
    }

    /// Whether the statement is one that this version understands, and speaks of one model only.
    fn is_coherent(&self) -> bool {
        let [subject] = self.subject.as_slice() else { return false };
        self.statement_type == STATEMENT_TYPE
            && self.predicate_type == PREDICATE_TYPE
            && subject.name == self.predicate.workload
            && subject.digest.sha256 == self.predicate.header
            && Digest::from_hex(&self.predicate.header).is_some()
            && Digest::from_hex(&self.predicate.state).is_some()
    }
}

impl Envelope {
    /// Signs a statement.
    pub fn sign(statement: &Statement, key: &SigningKey) -> Result<Self, SigningError> {
        let payload = serde_json::to_vec(statement).map_err(SigningError::Json)?;
        let mut envelope = Self {
            payload: STANDARD.encode(&payload),
            payload_type: PAYLOAD_TYPE.into(),
            signatures: Vec::new(),
        };
        envelope.push_signature(&payload, key)?;
        Ok(envelope)
    }

    /// Adds another key's signature over the same statement, replacing its earlier one.
    pub fn countersign(&mut self, key: &SigningKey) -> Result<(), SigningError> {
        let payload = decode(&self.payload)?;
        self.push_signature(&payload, key)
    }

    fn push_signature(&mut self, payload: &[u8], key: &SigningKey) -> Result<(), SigningError> {
        let keyid = key.public()?.id().to_string();
        self.signatures.retain(|signature| signature.keyid != keyid);
        let sig = key.sign(&pre_authentication_encoding(&self.payload_type, payload));
        self.signatures.push(EnvelopeSignature { keyid, sig: STANDARD.encode(sig) });
        Ok(())
    }

    /// Reads an envelope; nothing in it is believed yet.
    pub fn parse(json: &[u8]) -> Result<Self, SigningError> {
        let envelope: Self = serde_json::from_slice(json).map_err(SigningError::NotAnEnvelope)?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(SigningError::OtherPayload);
        }
        if envelope.signatures.len() > SIGNATURES_MAX {
            return Err(SigningError::TooManySignatures);
        }
        Ok(envelope)
    }

    /// The JSON of the file, ending in a newline.
    pub fn to_json(&self) -> Result<String, SigningError> {
        let mut json = serde_json::to_string_pretty(self).map_err(SigningError::Json)?;
        json.push('\n');
        Ok(json)
    }

    /// The names of the keys that the envelope claims to be signed with; hints, not facts.
    pub fn claimed_signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.keyid.as_str())
    }

    /// What is signed, and those signatures that have the size of an Ed25519 one; for an agent
    /// that checks them itself.
    pub fn for_agents(&self) -> Result<(Vec<u8>, Vec<[u8; 64]>), SigningError> {
        let signatures = self.signatures.iter().map(|signature| decode(&signature.sig));
        let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
        let sized = signatures.into_iter().filter_map(|signature| signature.try_into().ok());
        Ok((decode(&self.payload)?, sized.collect()))
    }

    /// The statement, and those of `keys` that signed it. The payload is looked into only when one
    /// of them did; a key id in the envelope never chooses a key.
    pub fn verify<'k>(
        &self,
        keys: impl Iterator<Item = &'k PublicKey> + Clone,
    ) -> Result<(Statement, Vec<KeyId>), SigningError> {
        let payload = decode(&self.payload)?;
        let message = pre_authentication_encoding(&self.payload_type, &payload);
        let signatures = self.signatures.iter().map(|signature| decode(&signature.sig));
        let signatures = signatures.collect::<Result<Vec<_>, _>>()?;
        let signed = |key: &&PublicKey| {
            signatures.iter().any(|sig| key.check(&message, sig) == SignatureCheck::Holds)
        };
        let signers: Vec<KeyId> = keys.filter(signed).map(PublicKey::id).collect();
        if signers.is_empty() {
            return Err(SigningError::NoPinnedKey);
        }
        let statement = serde_json::from_slice(&payload).map_err(SigningError::NotAStatement)?;
        Statement::is_coherent(&statement)
            .then_some((statement, signers))
            .ok_or(SigningError::OtherStatement)
    }
}

/// DSSE's PAE: no two pairs of type and payload share an encoding.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// DSSE allows both alphabets.
fn decode(text: &str) -> Result<Vec<u8>, SigningError> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).map_err(|_| SigningError::NotBase64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::keys::Algorithm;

    fn statement() -> Statement {
        Statement::new(Predicate {
            workload: "nginx".into(),
            profile: "core".into(),
            serial: 3,
            header: Digest::of(&[b"header"]).to_hex(),
            state: Digest::of(&[b"state"]).to_hex(),
            coefficients: 12,
        })
    }

    /// The example of the DSSE specification, protocol.md.
    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn only_pinned_keys_count_and_all_that_signed_are_named() {
        let first = SigningKey::generate(Algorithm::Ed25519);
        let second = SigningKey::generate(Algorithm::EcdsaP256);
        let stranger = SigningKey::generate(Algorithm::Ed25519).public().unwrap();
        let pinned = [first.public().unwrap(), stranger.clone(), second.public().unwrap()];
        let mut envelope = Envelope::sign(&statement(), &first).unwrap();
        envelope.countersign(&second).unwrap();
        envelope.countersign(&second).unwrap();
        let read = Envelope::parse(envelope.to_json().unwrap().as_bytes()).unwrap();
        let (said, signers) = read.verify(pinned.iter()).unwrap();
        assert_eq!(said, statement());
        assert_eq!(signers, [pinned[0].id(), pinned[2].id()]);
        assert_eq!(read.claimed_signers().count(), 2);
        assert!(matches!(read.verify([&stranger].into_iter()), Err(SigningError::NoPinnedKey)));
    }

    #[test]
    fn a_changed_payload_or_type_is_refused() {
        let key = SigningKey::generate(Algorithm::Ed25519);
        let pinned = [key.public().unwrap()];
        let envelope = Envelope::sign(&statement(), &key).unwrap();
        let mut other = statement();
        other.predicate.serial += 1;
        let mut changed = envelope.clone();
        changed.payload = STANDARD.encode(serde_json::to_vec(&other).unwrap());
        assert!(matches!(changed.verify(pinned.iter()), Err(SigningError::NoPinnedKey)));
        let mut retyped = envelope;
        retyped.payload_type = "text/plain".into();
        assert!(matches!(retyped.verify(pinned.iter()), Err(SigningError::NoPinnedKey)));
        let json = retyped.to_json().unwrap();
        assert!(matches!(Envelope::parse(json.as_bytes()), Err(SigningError::OtherPayload)));
    }

    #[test]
    fn a_signed_statement_of_another_kind_is_refused() {
        let key = SigningKey::generate(Algorithm::Ed25519);
        let pinned = [key.public().unwrap()];
        let mut other = statement();
        other.predicate_type = "https://slsa.dev/provenance/v1".into();
        let envelope = Envelope::sign(&other, &key).unwrap();
        assert!(matches!(envelope.verify(pinned.iter()), Err(SigningError::OtherStatement)));
        let mut split = statement();
        split.subject[0].digest.sha256 = Digest::ZERO.to_hex();
        let envelope = Envelope::sign(&split, &key).unwrap();
        assert!(matches!(envelope.verify(pinned.iter()), Err(SigningError::OtherStatement)));
    }
}
