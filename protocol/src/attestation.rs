//! A signed answer to "what are you, and what have you seen": an Entity Attestation Token
//! (RFC 9711) as `COSE_Sign1` (RFC 9052), signed with Ed25519.
//!
//! Claims that are registered have their registered numbers; what only a modeling agent has to say
//! stands under numbers for private use (below -65536).

use alloc::string::String;
use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use coset::CoseSign1;
use coset::CoseSign1Builder;
use coset::HeaderBuilder;
use coset::RegisteredLabelWithPrivate;
use coset::TaggedCborSerializable as _;
use coset::cbor::value::Value;
use coset::iana::Algorithm;
use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use tsem::Counts;
use tsem::Digest;
use tsem::References;

use crate::Identity;
use crate::bound::NONCE;

/// `eat_profile`: what the claims below mean.
pub const PROFILE: &str = "urn:quixote:tma:1";
/// A statement is far shorter; what is longer is not read.
pub const STATEMENT_MAX: usize = 4096;

/// `eat_nonce`, `ueid`, `eat_profile`, `swname`, `swversion` of RFC 9711, section 4.
mod registered {
    pub(super) const NONCE: i64 = 10;
    pub(super) const UEID: i64 = 256;
    pub(super) const PROFILE: i64 = 265;
    pub(super) const SWNAME: i64 = 270;
    pub(super) const SWVERSION: i64 = 271;
}

/// Private use.
mod private {
    pub(super) const LOCALITY: i64 = -70_001;
    pub(super) const MODE: i64 = -70_002;
    pub(super) const HEADER: i64 = -70_003;
    pub(super) const MODEL_STATE: i64 = -70_004;
    pub(super) const STATE: i64 = -70_005;
    pub(super) const MEASUREMENT: i64 = -70_006;
    pub(super) const BASE: i64 = -70_007;
    pub(super) const AGGREGATE: i64 = -70_008;
    pub(super) const COUNTS: i64 = -70_009;
    pub(super) const COEFFICIENTS: i64 = -70_010;
    pub(super) const CACHED: i64 = -70_011;
    pub(super) const SIGNER: i64 = -70_012;
    pub(super) const IN_SESSION: i64 = -70_013;
    pub(super) const REFERENCES: i64 = -70_014;
}

/// The type octet of a UEID that is random: here a digest of the agent's key.
const UEID_RANDOM: u8 = 1;

/// What an agent states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The challenge.
    pub nonce: Vec<u8>,
    /// Digest of the key that signs.
    pub agent: Digest,
    /// Program and version.
    pub version: String,
    /// Where it runs.
    pub locality: String,
    /// `free`, `sealed` or `enforcing`.
    pub mode: String,
    /// Digest of the model's header.
    pub header: Digest,
    /// State of the model as it was loaded, with the platform of its header.
    pub model_state: Digest,
    /// State now.
    pub state: Digest,
    /// Measurement now.
    pub measurement: Digest,
    /// Nonce that state and measurement are taken with.
    pub base: Digest,
    /// The platform's aggregate.
    pub aggregate: Digest,
    /// What was counted.
    pub counts: Counts,
    /// Distinct good coefficients.
    pub coefficients: u64,
    /// Events that a cache in front of the agent answered; `None` where it is shown every event.
    pub cached: Option<u64>,
    /// What the orchestrator says that packages vouch for, and the agent names by them; `None` where
    /// every content counts by its digest.
    pub references: Option<VouchedFor>,
    /// The model key whose signature the agent has checked itself; `None` if it took the
    /// orchestrator's word.
    pub signer: Option<[u8; 32]>,
    /// The session that brought the model still holds.
    pub in_session: bool,
}

/// A table of references, by what two tables are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VouchedFor {
    /// Contents at paths.
    pub files: u64,
    /// [`References::digest`].
    pub digest: Digest,
}

impl VouchedFor {
    /// Of a table; `None` if nothing is vouched for.
    pub fn of(references: &References) -> Option<Self> {
        let files = references.len() as u64;
        (files > 0).then(|| Self { files, digest: references.digest() })
    }

    fn to_cbor(self) -> Value {
        Value::Array(vec![Value::from(self.files), Value::Bytes(self.digest.0.to_vec())])
    }

    fn from_cbor(value: &Value) -> Option<Self> {
        let [files, digest] = value.as_array()?.as_slice() else { return None };
        let digest = digest.as_bytes()?.as_slice().try_into().ok()?;
        Some(Self { files: number(files)?, digest: Digest(digest) })
    }
}

/// Why a statement does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttestationError {
    /// No `COSE_Sign1` with `EdDSA`.
    NotAStatement,
    /// The key given did not sign it.
    Signature,
    /// Signed, but not with the claims of this profile.
    Claims,
    /// It answers another challenge.
    Nonce,
}

impl Claims {
    /// The signed statement.
    ///
    /// # Errors
    ///
    /// The claims have no encoding; this does not happen.
    pub fn sign(&self, identity: &Identity) -> Result<Vec<u8>, AttestationError> {
        let mut payload = Vec::new();
        coset::cbor::ser::into_writer(&self.to_cbor(), &mut payload)
            .map_err(|_| AttestationError::Claims)?;
        let protected =
            HeaderBuilder::new().algorithm(Algorithm::EdDSA).key_id(self.agent.0.to_vec()).build();
        let statement = CoseSign1Builder::new()
            .protected(protected)
            .payload(payload)
            .create_signature(&[], |message| identity.sign(message).to_vec())
            .build();
        statement.to_tagged_vec().map_err(|_| AttestationError::Claims)
    }

    /// The claims of a statement, if `key` signed it and it answers `nonce`.
    ///
    /// # Errors
    ///
    /// What does not hold.
    pub fn verify(
        statement: &[u8],
        key: &[u8; 32],
        nonce: &[u8],
    ) -> Result<Self, AttestationError> {
        if statement.len() > STATEMENT_MAX {
            return Err(AttestationError::NotAStatement);
        }
        let signed =
            CoseSign1::from_tagged_slice(statement).map_err(|_| AttestationError::NotAStatement)?;
        if signed.protected.header.alg
            != Some(RegisteredLabelWithPrivate::Assigned(Algorithm::EdDSA))
        {
            return Err(AttestationError::NotAStatement);
        }
        let verifying = VerifyingKey::from_bytes(key).map_err(|_| AttestationError::Signature)?;
        signed.verify_signature(&[], |signature, message| {
            let signature =
                Signature::from_slice(signature).map_err(|_| AttestationError::Signature)?;
            verifying.verify_strict(message, &signature).map_err(|_| AttestationError::Signature)
        })?;
        let payload = signed.payload.ok_or(AttestationError::NotAStatement)?;
        let claims = coset::cbor::de::from_reader(payload.as_slice())
            .ok()
            .and_then(|payload: Value| Self::from_cbor(&payload))
            .ok_or(AttestationError::Claims)?;
        if claims.agent != Digest::of(&[key]) {
            return Err(AttestationError::Claims);
        }
        if claims.nonce == nonce { Ok(claims) } else { Err(AttestationError::Nonce) }
    }

    fn to_cbor(&self) -> Value {
        let digest = |digest: &Digest| Value::Bytes(digest.0.to_vec());
        let ueid = [&[UEID_RANDOM][..], &self.agent.0].concat();
        let (name, version) = self.version.split_once(' ').unwrap_or((&self.version, ""));
        let version = vec![Value::Text(version.to_string())];
        let pairs = [
            (registered::NONCE, Value::Bytes(self.nonce.clone())),
            (registered::UEID, Value::Bytes(ueid)),
            (registered::PROFILE, Value::Text(PROFILE.to_string())),
            (registered::SWNAME, Value::Text(name.to_string())),
            (registered::SWVERSION, Value::Array(version)),
            (private::LOCALITY, Value::Text(self.locality.clone())),
            (private::MODE, Value::Text(self.mode.clone())),
            (private::HEADER, digest(&self.header)),
            (private::MODEL_STATE, digest(&self.model_state)),
            (private::STATE, digest(&self.state)),
            (private::MEASUREMENT, digest(&self.measurement)),
            (private::BASE, digest(&self.base)),
            (private::AGGREGATE, digest(&self.aggregate)),
            (private::COUNTS, counts_to_cbor(&self.counts)),
            (private::COEFFICIENTS, Value::from(self.coefficients)),
            (private::CACHED, self.cached.map_or(Value::Null, Value::from)),
            (private::SIGNER, self.signer.map_or(Value::Null, |key| Value::Bytes(key.to_vec()))),
            (private::IN_SESSION, Value::Bool(self.in_session)),
            (private::REFERENCES, self.references.map_or(Value::Null, VouchedFor::to_cbor)),
        ];
        Value::Map(pairs.into_iter().map(|(label, value)| (Value::from(label), value)).collect())
    }

    fn from_cbor(payload: &Value) -> Option<Self> {
        let map = payload.as_map()?;
        let claim = |label: i64| {
            let mut found = map.iter().filter(|(key, _)| *key == Value::from(label));
            // A claim that stands twice stands for nothing.
            found.next().filter(|_| found.next().is_none()).map(|(_, value)| value)
        };
        let text = |label: i64| claim(label)?.as_text().map(String::from);
        let octets = |label: i64| claim(label)?.as_bytes();
        let digest = |label: i64| octets(label)?.as_slice().try_into().ok().map(Digest);
        if text(registered::PROFILE)? != PROFILE {
            return None;
        }
        let ueid = octets(registered::UEID)?.strip_prefix(&[UEID_RANDOM])?;
        let version = claim(registered::SWVERSION)?.as_array()?.first()?.as_text()?;
        let signer = claim(private::SIGNER)?;
        let cached = claim(private::CACHED)?;
        let references = claim(private::REFERENCES)?;
        Some(Self {
            nonce: octets(registered::NONCE).filter(|nonce| NONCE.contains(&nonce.len()))?.clone(),
            agent: Digest(ueid.try_into().ok()?),
            version: alloc::format!("{} {version}", text(registered::SWNAME)?),
            locality: text(private::LOCALITY)?,
            mode: text(private::MODE)?,
            header: digest(private::HEADER)?,
            model_state: digest(private::MODEL_STATE)?,
            state: digest(private::STATE)?,
            measurement: digest(private::MEASUREMENT)?,
            base: digest(private::BASE)?,
            aggregate: digest(private::AGGREGATE)?,
            counts: counts_from_cbor(claim(private::COUNTS)?)?,
            coefficients: number(claim(private::COEFFICIENTS)?)?,
            cached: if cached.is_null() { None } else { Some(number(cached)?) },
            references: match references {
                Value::Null => None,
                references => Some(VouchedFor::from_cbor(references)?),
            },
            signer: match signer {
                Value::Null => None,
                signer => Some(signer.as_bytes()?.as_slice().try_into().ok()?),
            },
            in_session: claim(private::IN_SESSION)?.as_bool()?,
        })
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_integer()?.try_into().ok()
}

fn counts_to_cbor(counts: &Counts) -> Value {
    let all = [
        counts.events,
        counts.violations,
        counts.denied,
        counts.dropped,
        counts.unreadable,
        counts.too_large,
        counts.forensics_dropped,
        counts.made_dropped,
    ];
    Value::Array(all.into_iter().map(Value::from).collect())
}

fn counts_from_cbor(value: &Value) -> Option<Counts> {
    let all = value.as_array()?.iter().map(number).collect::<Option<Vec<u64>>>()?;
    let [
        events,
        violations,
        denied,
        dropped,
        unreadable,
        too_large,
        forensics_dropped,
        made_dropped,
    ] = all.try_into().ok()?;
    Some(Counts {
        events,
        violations,
        denied,
        dropped,
        unreadable,
        too_large,
        forensics_dropped,
        made_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::MESSAGE_LEAST;
    use crate::message::ENVELOPE;

    fn claims(identity: &Identity) -> Claims {
        Claims {
            nonce: vec![7; *NONCE.end()],
            agent: Digest::of(&[&identity.public().signing]),
            version: alloc::format!("quixote-tma {}", "9".repeat(52)),
            locality: "microcontroller".into(),
            mode: "enforcing".into(),
            header: Digest([1; 32]),
            model_state: Digest([2; 32]),
            state: Digest([3; 32]),
            measurement: Digest([4; 32]),
            base: Digest([5; 32]),
            aggregate: Digest([6; 32]),
            counts: Counts { events: u64::MAX, denied: 3, ..Counts::default() },
            coefficients: u64::MAX,
            cached: Some(u64::MAX),
            references: Some(VouchedFor { files: u64::MAX, digest: Digest([9; 32]) }),
            signer: Some([8; 32]),
            in_session: true,
        }
    }

    #[test]
    fn a_statement_holds_for_its_key_and_its_challenge_alone() {
        let identity = Identity::from_seed(&[1; 32]);
        let key = identity.public().signing;
        let claims = claims(&identity);
        let statement = claims.sign(&identity).unwrap();
        assert!(statement.len() + ENVELOPE <= MESSAGE_LEAST, "{}", statement.len());
        assert_eq!(Claims::verify(&statement, &key, &claims.nonce), Ok(claims.clone()));
        let other = Identity::from_seed(&[2; 32]).public().signing;
        let verify = |key, nonce| Claims::verify(&statement, key, nonce).unwrap_err();
        assert_eq!(verify(&other, &claims.nonce), AttestationError::Signature);
        assert_eq!(verify(&key, &[7; 63]), AttestationError::Nonce);
    }

    #[test]
    fn a_changed_statement_does_not_hold() {
        let identity = Identity::from_seed(&[1; 32]);
        let claims = claims(&identity);
        let statement = claims.sign(&identity).unwrap();
        for at in (0..statement.len()).step_by(3) {
            let mut changed = statement.clone();
            changed[at] ^= 1;
            let verified = Claims::verify(&changed, &identity.public().signing, &claims.nonce);
            assert!(verified.is_err(), "octet {at}");
        }
    }

    #[test]
    fn the_signature_of_another_agent_over_our_name_does_not_hold() {
        let (ours, theirs) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let claims = claims(&ours);
        let statement = claims.sign(&theirs).unwrap();
        let verified = Claims::verify(&statement, &theirs.public().signing, &claims.nonce);
        assert_eq!(verified, Err(AttestationError::Claims));
    }
}
