//! Sigstore bundles, verified offline: by a pinned key, as `cosign sign --key` and `cosign sign-blob --key` make them, or by a
//! short-lived certificate ([`keyless`]).
//!
//! With a key, its signature is what counts: over an envelope whose statement names digests, or over what has a digest. What
//! the bundle holds of a transparency log is not looked at then: nothing rests on it.

mod cryptography;
pub mod keyless;

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::pkcs8::DecodePublicKey as _;
use p256::pkcs8::EncodePublicKey as _;
use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::statement::Part;
use rsa::Pkcs1v15Sign;
use rsa::traits::PublicKeyParts as _;
use sha2::Sha256;
use std::path::Path;

use crate::deb::Sha256Digest;
use crate::deb::sha256;
use crate::digest::encode_hex;
use crate::openpgp::SignatureProblem;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Signer;
use crate::statements::text;
use keyless::Identity;
use keyless::KeylessProblem;

const LEAST_RSA_BITS: usize = 2048;
/// Of an envelope: an in-toto statement.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A pinned key.
#[derive(Clone, Debug)]
pub struct BundleKey {
    name: String,
    key: PublicKey,
}

#[derive(Clone, Debug)]
enum PublicKey {
    P256(p256::ecdsa::VerifyingKey),
    Rsa(rsa::RsaPublicKey),
}

impl BundleKey {
    /// Reads a public key in PEM, of ECDSA P-256 or of RSA (2048 bits or more). Its file's name is told for people.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(path).map_err(Problem::file(path))?;
        let p256 = p256::ecdsa::VerifyingKey::from_public_key_pem(&text).ok();
        let rsa = rsa::RsaPublicKey::from_public_key_pem(&text).ok();
        let rsa = rsa.filter(|key| key.n().bits() >= LEAST_RSA_BITS);
        let key = p256.map(PublicKey::P256).or(rsa.map(PublicKey::Rsa));
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        key.map(|key| Self { name, key }).ok_or(Problem::Signature(SignatureProblem::Weak))
    }

    fn holds(&self, digest: &Sha256Digest, signature: &[u8]) -> bool {
        match &self.key {
            PublicKey::P256(key) => {
                let signature = p256::ecdsa::DerSignature::from_bytes(signature);
                signature.is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
            }
            PublicKey::Rsa(key) => {
                key.verify(Pkcs1v15Sign::new::<Sha256>(), digest, signature).is_ok()
            }
        }
    }

    fn signer(&self) -> Signer {
        let (kind, der) = match &self.key {
            PublicKey::P256(key) => ("p256", key.to_public_key_der()),
            PublicKey::Rsa(key) => ("rsa", rsa::pkcs8::EncodePublicKey::to_public_key_der(key)),
        };
        let octets = der.map(|der| der.as_bytes().to_vec()).unwrap_or_default();
        Signer {
            key: format!("{kind}:{}", encode_hex(&sha256(&octets))),
            name: self.name.clone(),
            signed_at_s: None,
            expires_at_s: None,
        }
    }
}

/// What a bundle's signature vouches for.
#[derive(Clone, Debug)]
pub struct Signed {
    /// SHA-256 digests: of manifests, or of files.
    pub digests: Vec<Sha256Digest>,
    /// By whom.
    pub signer: Signer,
    /// What is stated of them: the type of a statement's predicate. None where the digest itself was signed.
    pub states: Option<String>,
}

/// By whom something has to be signed to count.
#[derive(Debug)]
pub enum SignedBy {
    /// By one of these keys.
    Keys(Vec<BundleKey>),
    /// By a certificate of this identity's.
    Identity(Box<Identity>),
}

impl SignedBy {
    /// Verifies a bundle, and says which digests it vouches for.
    pub fn verify(&self, octets: &[u8], readers: &mut Readers) -> Result<Signed, Problem> {
        match self {
            Self::Keys(keys) => verify(octets, keys, readers),
            Self::Identity(identity) => identity.verify(octets, readers),
        }
    }

    /// Verifies one of cosign's older payloads. By a key alone: of a certificate the older form keeps no proof that a
    /// log has the signature.
    pub fn verify_payload(
        &self,
        payload: &[u8],
        signature: &[u8],
        keyless: bool,
        readers: &mut Readers,
    ) -> Result<Signed, Problem> {
        match self {
            _ if keyless => Err(KeylessProblem::Older.into()),
            Self::Keys(keys) => verify_payload(payload, signature, keys, readers),
            Self::Identity(_) => Err(KeylessProblem::ByKey.into()),
        }
    }
}

/// What a parser says of a bundle.
#[derive(Default)]
struct Said {
    payload: Option<(String, Vec<u8>)>,
    kind: Option<String>,
    message: Option<Sha256Digest>,
    signatures: Vec<Vec<u8>>,
    keyless: bool,
}

/// Verifies a bundle by one of `keys`, and says which digests it vouches for.
pub fn verify(octets: &[u8], keys: &[BundleKey], readers: &mut Readers) -> Result<Signed, Problem> {
    let bundle = Said::hear(octets, readers)?;
    if bundle.keyless {
        return Err(KeylessProblem::NotAsked.into());
    }
    let signed = match (&bundle.payload, &bundle.message) {
        (Some((kind, payload)), None) => sha256(&authentication_encoding(kind, payload)),
        (None, Some(digest)) => *digest,
        _ => return Err(Refusal::Inconsistent.into()),
    };
    let mut signatures = bundle.signatures.iter();
    let key = signatures.find_map(|one| keys.iter().find(|key| key.holds(&signed, one)));
    let missing =
        if keys.is_empty() { SignatureProblem::UnknownKey } else { SignatureProblem::Bad };
    let signer = key.ok_or(Problem::Signature(missing))?.signer();
    let (digests, states) = match &bundle.payload {
        Some((kind, payload)) => subjects(kind, payload, Domain::Signer(&signer.key), readers)?,
        None => (vec![signed], None),
    };
    Ok(Signed { digests, signer, states })
}

fn verify_payload(
    payload: &[u8],
    signature: &[u8],
    keys: &[BundleKey],
    readers: &mut Readers,
) -> Result<Signed, Problem> {
    let digest = sha256(payload);
    let key = keys.iter().find(|key| key.holds(&digest, signature));
    let signer = key.ok_or(Problem::Signature(SignatureProblem::Bad))?.signer();
    let mut digests = Vec::new();
    let domain = Domain::Signer(&signer.key);
    readers.ask(domain, Job::SimpleSigning, &mut &*payload, &mut |said| {
        digests.push(entry_digest(said)?);
        Ok(())
    })?;
    Ok(Signed { digests, signer, states: None })
}

/// The digest that an entry says.
fn entry_digest(said: &Statement<'_>) -> Result<Sha256Digest, Problem> {
    let Statement::Entry(entry) = said else { return Err(Refusal::Malformed.into()) };
    Ok(entry.digest.try_into().map_err(|_| Refusal::Malformed)?)
}

/// What an envelope's signature covers (DSSE, version 1).
fn authentication_encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// What an envelope's statement is about, and what it states.
fn subjects(
    kind: &str,
    payload: &[u8],
    domain: Domain<'_>,
    readers: &mut Readers,
) -> Result<(Vec<Sha256Digest>, Option<String>), Problem> {
    if kind != IN_TOTO {
        return Err(Refusal::Unsupported.into());
    }
    let (mut digests, mut states) = (Vec::new(), None);
    readers.ask(domain, Job::Subjects, &mut &*payload, &mut |said| {
        match said {
            Statement::Fact { name: b"predicate-type", value } => states = Some(text(value)?),
            said => digests.push(entry_digest(said)?),
        }
        Ok(())
    })?;
    Ok((digests, states))
}

impl Said {
    fn hear(octets: &[u8], readers: &mut Readers) -> Result<Self, Problem> {
        let mut bundle = Self::default();
        let mut hear = |said: &Statement<'_>| bundle.take(said);
        readers.ask(Domain::Unverified, Job::Bundle, &mut &*octets, &mut hear)?;
        Ok(bundle)
    }

    fn take(&mut self, said: &Statement<'_>) -> Result<(), Problem> {
        match said {
            Statement::Fact { name: b"certificate", .. } => self.keyless = true,
            Statement::Fact { name: b"payload-type", value } => self.kind = Some(text(value)?),
            Statement::Octets { part: Part::Signed, octets } => {
                let kind = self.kind.take().ok_or(Refusal::Malformed)?;
                self.payload = Some((kind, octets.to_vec()));
            }
            Statement::Octets { part: Part::Signature, octets } => {
                self.signatures.push(octets.to_vec());
            }
            said => self.message = Some(entry_digest(said)?),
        }
        Ok(())
    }
}
