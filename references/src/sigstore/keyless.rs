//! Bundles by a short-lived certificate, verified offline: a root that the user pins, and an identity that the user states.
//!
//! The Sigstore project's own library does it (`docs/decisions/0012-keyless-bundles.md`): the certificate's chain at every time that a log or a
//! time stamp vouches for, its proof of transparency (SCT), the log's entry with its inclusion proof for this very
//! signature, and the identity and its issuer, letter by letter. Nothing of it can be left out here.

use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;

use reference_formats::Refusal;
use sigstore_verify::VerificationPolicy;
use sigstore_verify::VerificationResult;
use sigstore_verify::Verifier;
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::Bundle;
use sigstore_verify::types::Sha256Hash;
use sigstore_verify::types::SignatureContent;

use super::Said;
use super::Signed;
use super::cryptography;
use super::subjects;
use crate::deb::Sha256Digest;
use crate::deb::sha256;
use crate::digest::encode_hex;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Signer;

/// What a trusted root says that it is, up to the version.
const ROOT_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";

/// Whose certificate it has to be, and whom it is believed from.
pub struct Identity {
    verifier: Verifier,
    policy: VerificationPolicy,
    signer: Signer,
}

impl Identity {
    /// `identity` as the certificate names it (an address, or the URI of a workflow), on the word of `issuer`, by
    /// the authorities and logs in `root`: the text of a `trusted_root.json`.
    pub fn new(root: &str, identity: &str, issuer: &str) -> Result<Self, KeylessProblem> {
        cryptography::install();
        let root = TrustedRoot::from_json(root).map_err(KeylessProblem::root)?;
        if !root.media_type.starts_with(ROOT_TYPE) {
            return Err(KeylessProblem::Root("its media type is another's".into()));
        }
        let verifier = Verifier::new(&root).map_err(KeylessProblem::root)?;
        let policy = VerificationPolicy::new(identity, issuer);
        Ok(Self { verifier, policy, signer: signer(identity, issuer) })
    }

    /// [`Identity::new`], with the root in a file.
    pub fn read(root: &Path, identity: &str, issuer: &str) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(root).map_err(Problem::file(root))?;
        Ok(Self::new(&text, identity, issuer)?)
    }

    /// Verifies a bundle, and says which digests it vouches for.
    pub fn verify(&self, octets: &[u8], readers: &mut Readers) -> Result<Signed, Problem> {
        // A parser reads it first: what is no bundle within the bounds does not come to the library.
        let said = Said::hear(octets, readers)?;
        if !said.keyless {
            return Err(KeylessProblem::ByKey.into());
        }
        let text = std::str::from_utf8(octets).map_err(|_| Refusal::Malformed)?;
        let bundle = guarded(|| Bundle::from_json(text))?;
        let bundle = bundle.map_err(|why| KeylessProblem::Form(why.into()))?;
        proven(&bundle)?;
        let envelope = match &bundle.content {
            SignatureContent::DsseEnvelope(envelope) => {
                Some((envelope.payload_type.as_str(), envelope.payload.as_bytes()))
            }
            _ => None,
        };
        // Which digests, nobody has signed yet; that one of them is signed is what the library finds out.
        let alleged = match envelope {
            Some((kind, payload)) => subjects(kind, payload, Domain::Unverified, readers)?.0,
            None => said.message.into_iter().collect(),
        };
        let first = alleged.first().ok_or(Refusal::Missing)?;
        let result = self.hold(first, &bundle)?;
        let mut signer = self.signer.clone();
        let times = result.verified_timestamps().iter().map(|time| time.as_second());
        signer.signed_at_s = times.min().and_then(|at_s| at_s.try_into().ok());
        let (digests, states) = match envelope {
            Some((kind, payload)) => subjects(kind, payload, Domain::Signer(&signer.key), readers)?,
            None => (vec![*first], None),
        };
        Ok(Signed { digests, signer, states })
    }

    /// Everything, or an error.
    fn hold(
        &self,
        digest: &Sha256Digest,
        bundle: &Bundle,
    ) -> Result<VerificationResult, KeylessProblem> {
        let digest = Sha256Hash::new(*digest);
        let result = guarded(|| self.verifier.verify(digest, bundle, &self.policy))??;
        let whole = result.certificate_verified()
            && result.sct_verified()
            && result.tlog_verified()
            && result.identity_policy_checked();
        if whole { Ok(result) } else { Err(KeylessProblem::Fault) }
    }
}

/// A library that panics has decided nothing, and what it reads is not ours.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, KeylessProblem> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| KeylessProblem::Fault)
}

/// Every entry has a proof that it is in the log. In bundles that say to be of version 0.1 the library is content
/// with the log's promise, and which version it is nobody signs.
fn proven(bundle: &Bundle) -> Result<(), KeylessProblem> {
    let entries = &bundle.verification_material.tlog_entries;
    if !entries.is_empty() && entries.iter().all(|entry| entry.inclusion_proof.is_some()) {
        return Ok(());
    }
    Err(KeylessProblem::NoEntry("it has no entry with an inclusion proof, or one without".into()))
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// Known again by identity and issuer: the certificate's own key is used once.
fn signer(identity: &str, issuer: &str) -> Signer {
    let who = sha256(format!("{issuer}\n{identity}").as_bytes());
    Signer {
        key: format!("sigstore:{}", encode_hex(&who)),
        name: format!("{identity} by {issuer}"),
        signed_at_s: None,
        expires_at_s: None,
    }
}

/// Why a bundle by a certificate does not vouch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeylessProblem {
    /// Nobody said whose certificate it has to be.
    #[error(
        "a short-lived certificate signed it (keyless); say whose it has to be: --sigstore-root, --certificate-identity and \
         --certificate-oidc-issuer"
    )]
    NotAsked,
    /// A key signed it.
    #[error("a key signed it, and no certificate; give the key: --bundle-key")]
    ByKey,
    /// A certificate signed it in cosign's older form.
    #[error(
        "a short-lived certificate signed it in cosign's older form, which keeps no proof that a log has it; sign it again as a \
         bundle (`cosign sign --new-bundle-format`)"
    )]
    Older,
    /// The certificate is somebody else's.
    #[error("its certificate is not for {expected}, but for {}", told(actual.as_ref()))]
    Identity {
        /// Who was stated.
        expected: String,
        /// Whom it names.
        actual: Option<String>,
    },
    /// The certificate was issued on another's word.
    #[error("its certificate was not issued on the word of {expected}, but of {}", told(actual.as_ref()))]
    Issuer {
        /// Who was stated.
        expected: String,
        /// Whom it names.
        actual: Option<String>,
    },
    /// No log has it.
    #[error("no transparency log vouches for it: {0}")]
    NoEntry(Why),
    /// What it says of the log does not hold, or the log is none of the root's.
    #[error("its entry in the transparency log does not hold: {0}")]
    Log(Why),
    /// Its certificate does not come from the root's authorities, or not for this time.
    #[error("its certificate does not hold: {0}")]
    Certificate(Why),
    /// Nobody whom the root names says when it was signed.
    #[error("the time that it was signed at does not hold: {0}")]
    Time(Why),
    /// The certificate's key did not sign this.
    #[error("its signature does not hold: {0}")]
    Signature(Why),
    /// It signs another digest.
    #[error("what was signed is not what it names: {0}")]
    Digest(Why),
    /// Not a bundle that can be verified.
    #[error("it is no bundle that can be verified: {0}")]
    Form(Why),
    /// The trusted root is none.
    #[error("it is no trusted root of Sigstore's: {0}")]
    Root(Why),
    /// The library came to no result.
    #[error("it could not be verified; this is a fault of quixote's or of its library's")]
    Fault,
}

/// The library's own words.
pub type Why = Box<dyn Error + Send + Sync>;

/// Octets of a certificate, for people: what could move a terminal is written out.
fn told(name: Option<&String>) -> String {
    name.map_or_else(|| "nobody".to_owned(), |name| name.escape_debug().to_string())
}

impl KeylessProblem {
    fn root(why: impl Error + Send + Sync + 'static) -> Self {
        Self::Root(Box::new(why))
    }
}

impl From<sigstore_verify::Error> for KeylessProblem {
    fn from(error: sigstore_verify::Error) -> Self {
        use sigstore_verify::Error as Of;
        match error {
            Of::IdentityMismatch { expected, actual } => Self::Identity {
                expected: expected.to_string(),
                actual: actual.map(|name| name.to_string()),
            },
            Of::IssuerMismatch { expected, actual } => Self::Issuer { expected, actual },
            Of::Certificate(why) => Self::Certificate(why.into()),
            Of::TransparencyLog(why) => Self::Log(why.into()),
            Of::Timestamp(why) => Self::Time(why.into()),
            Of::Bundle(why) if lacks_entry(&why) => Self::NoEntry(why.into()),
            Of::SignatureInvalid(why) => Self::Signature(why.into()),
            Of::ArtifactMismatch(why) => Self::Digest(why.into()),
            other => Self::Form(other.into()),
        }
    }
}

fn lacks_entry(why: &sigstore_verify::bundle::Error) -> bool {
    use sigstore_verify::bundle::Error as Of;
    matches!(
        why,
        Of::MissingSigningTimeEvidence
            | Of::MissingInclusionProof(_)
            | Of::MissingInclusionPromise(_)
    )
}
