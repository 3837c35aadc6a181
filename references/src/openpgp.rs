//! `OpenPGP` signatures by pinned certificates, under a policy that is stated here and nowhere else.
//!
//! A certificate comes from the user, never from what it signs. A signature counts when
//!
//! - it is a version 4 or 6 signature over data (binary or text) with SHA-2 or SHA-3 of 256 bits or more,
//! - by RSA of 2048 bits or more, `EdDSA` or ECDSA; not by DSA,
//! - by a primary key or subkey that may sign, bound by self-signatures that hold (a subkey's bound back), not revoked,
//! - made while that key and its certificate were valid, not in the future, and itself not expired,
//! - without a critical subpacket that this policy does not know.
//!
//! That a key has expired since is no reason to refuse what it signed before; the record says when it expires.

mod verifying_key;

use std::io::Read as _;
use std::panic::AssertUnwindSafe;

use pgp::armor::Dearmor;
use pgp::composed::Deserializable as _;
use pgp::composed::SignedPublicKey;
use pgp::composed::SignedPublicSubKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::Packet;
use pgp::packet::PacketParser;
use pgp::packet::PublicKey;
use pgp::packet::Signature;
use pgp::packet::SignatureType;
use pgp::packet::SignatureVersion;
use pgp::packet::SubpacketType;
use pgp::types::KeyDetails;
use pgp::types::PublicParams;
use pgp::types::Tag;
use rsa::traits::PublicKeyParts as _;

use crate::record::Signer;
use verifying_key::Key;
use verifying_key::VerifyingKey;

/// The longest file of certificates.
const MAX_KEYRING: usize = 16 << 20;
/// The longest sequence of signature packets.
const MAX_SIGNATURES: usize = 64 << 10;
/// Most signatures over one thing.
const MAX_COUNT: usize = 32;
/// How far a signer's clock may be ahead of ours, in seconds.
const CLOCK_SKEW_S: u64 = 86_400;
const LEAST_RSA_BITS: usize = 2048;

/// Why no signature counts. Of several signatures the reason of the one that came furthest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureProblem {
    /// There is no signature at all.
    #[error("it is not signed")]
    Missing,
    /// Not signature packets, or too many of them.
    #[error("its signature cannot be read")]
    Malformed,
    /// None of the pinned keys made it.
    #[error("no pinned key signed it; give the signer's key with --key, if you trust it")]
    UnknownKey,
    /// A version, type, hash or public-key algorithm that the policy refuses.
    #[error("its signature is of a kind that the policy refuses")]
    Weak,
    /// The key was not valid when the signature was made, or is revoked.
    #[error("its signing key was expired or revoked, or not made yet")]
    KeyNotValid,
    /// The signature has expired or is from the future.
    #[error("its signature has expired, or is from the future")]
    Expired,
    /// A pinned key's name is on it, and it does not hold.
    #[error("its signature does not hold: it was changed after it was signed")]
    Bad,
}

/// Why a file of certificates cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringProblem {
    /// Too long, or no certificates.
    #[error("it holds no OpenPGP certificates that can be read")]
    Malformed,
    /// Certificates without a key that the policy lets sign.
    #[error("none of its certificates has a key that may sign")]
    NoSigningKey,
}

/// Pinned certificates.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Vec<SigningKey>,
}

#[derive(Clone, Debug)]
struct SigningKey {
    key: VerifyingKey,
    certificate: String,
    owner: String,
    created_s: u64,
    expires_s: Option<u64>,
}

impl Keyring {
    /// Reads certificates, armoured or not, and keeps the keys that the policy lets sign.
    pub fn read(octets: &[u8]) -> Result<Self, KeyringProblem> {
        if octets.len() > MAX_KEYRING {
            return Err(KeyringProblem::Malformed);
        }
        let certificates = guarded(|| certificates(octets)).ok_or(KeyringProblem::Malformed)?;
        if certificates.is_empty() {
            return Err(KeyringProblem::Malformed);
        }
        let keys = guarded(|| certificates.iter().flat_map(signing_keys).collect::<Vec<_>>());
        let keys = keys.unwrap_or_default();
        if keys.is_empty() { Err(KeyringProblem::NoSigningKey) } else { Ok(Self { keys }) }
    }

    /// Adds the keys of another.
    pub fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    /// Whether no key is pinned.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The fingerprints of the certificates, each once.
    pub fn certificates(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.keys.iter().map(|key| key.certificate.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Who signed `data`, as of the time `now_s` (seconds since 1970). `packets` holds one signature or
    /// several, without armour; one that counts is enough.
    pub fn verify(
        &self,
        packets: &[u8],
        data: &[u8],
        now_s: u64,
    ) -> Result<Signer, SignatureProblem> {
        if packets.is_empty() {
            return Err(SignatureProblem::Missing);
        }
        if packets.len() > MAX_SIGNATURES {
            return Err(SignatureProblem::Malformed);
        }
        let judged = guarded(|| self.judge(packets, data, now_s));
        judged.unwrap_or(Err(SignatureProblem::Malformed))
    }

    fn judge(&self, packets: &[u8], data: &[u8], now_s: u64) -> Result<Signer, SignatureProblem> {
        let mut furthest = SignatureProblem::Missing;
        for packet in PacketParser::new(packets).take(MAX_COUNT) {
            let Ok(Packet::Signature(signature)) = packet else {
                return Err(furthest.max(SignatureProblem::Malformed));
            };
            match self.judge_one(&signature, data, now_s) {
                Ok(signer) => return Ok(signer),
                Err(problem) => furthest = furthest.max(problem),
            }
        }
        Err(furthest)
    }

    fn judge_one(
        &self,
        signature: &Signature,
        data: &[u8],
        now_s: u64,
    ) -> Result<Signer, SignatureProblem> {
        let made_s = check_kind(signature)?;
        check_time(signature, made_s, now_s)?;
        let mut furthest = SignatureProblem::UnknownKey;
        for key in self.keys.iter().filter(|key| key.is_named_by(signature)) {
            let from_then = key.created_s <= made_s;
            if !from_then || key.expires_s.is_some_and(|expires_s| made_s >= expires_s) {
                furthest = furthest.max(SignatureProblem::KeyNotValid);
                continue;
            }
            if signature.verify(&key.key, data).is_ok() {
                return Ok(key.signer(made_s));
            }
            furthest = SignatureProblem::Bad;
        }
        Err(furthest)
    }
}

impl SigningKey {
    /// Whether the signature says to be this key's. One that names no key is nobody's.
    fn is_named_by(&self, signature: &Signature) -> bool {
        let (fingerprint, key_id) = (self.key.fingerprint(), self.key.legacy_key_id());
        signature.issuer_fingerprint().into_iter().any(|named| *named == fingerprint)
            || signature.issuer_key_id().into_iter().any(|named| *named == key_id)
    }

    fn signer(&self, made_s: u64) -> Signer {
        Signer {
            key: self.certificate.clone(),
            name: self.owner.clone(),
            signed_at_s: Some(made_s),
            expires_at_s: self.expires_s,
        }
    }
}

/// Runs a library's reader of foreign octets; a panic in it is a refusal, not our end.
fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(AssertUnwindSafe(read)).ok()
}

fn certificates(octets: &[u8]) -> Vec<SignedPublicKey> {
    // Several armoured blocks may follow one another; each is a keyring of its own.
    let marker = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let starts: Vec<usize> = (0..octets.len().saturating_sub(marker.len()))
        .filter(|at| octets[*at] == b'-' && octets[*at..].starts_with(marker))
        .collect();
    if starts.is_empty() {
        return SignedPublicKey::from_bytes_many(octets).into_iter().flatten().flatten().collect();
    }
    let blocks = starts.iter().map(|start| &octets[*start..]);
    let read = |block: &[u8]| {
        let mut plain = Vec::new();
        let limit = MAX_KEYRING as u64;
        Dearmor::new(block).take(limit).read_to_end(&mut plain).ok()?;
        Some(SignedPublicKey::from_bytes_many(&plain[..]).ok()?.flatten().collect::<Vec<_>>())
    };
    blocks.filter_map(read).flatten().collect()
}

/// The keys of a certificate that may sign.
fn signing_keys(certificate: &SignedPublicKey) -> Vec<SigningKey> {
    let primary = &certificate.primary_key;
    let details = &certificate.details;
    if details.revocation_signatures.iter().any(|revoked| revoked.verify_key(primary).is_ok()) {
        return Vec::new();
    }
    let Some(own) = newest_self_signature(certificate) else { return Vec::new() };
    let created_s = seconds(primary.created_at());
    let expires_s = expiry(created_s, &own);
    let owner = details.users.first().map(|user| String::from_utf8_lossy(user.id.id()).into());
    let signing_key = |key, created_s, expires_s| SigningKey {
        key,
        certificate: primary.fingerprint().to_string().to_lowercase(),
        owner: owner.clone().unwrap_or_default(),
        created_s,
        expires_s,
    };
    let mut keys = Vec::new();
    if own.key_flags().sign() && is_strong(primary.public_params()) {
        keys.push(signing_key(
            VerifyingKey::new(Key::Primary(primary.clone())),
            created_s,
            expires_s,
        ));
    }
    for subkey in &certificate.public_subkeys {
        if let Some(binding) = signing_binding(primary, subkey) {
            let made_s = seconds(subkey.key.created_at());
            let own_expiry = expiry(made_s, binding);
            let earlier = own_expiry.into_iter().chain(expires_s).min();
            keys.push(signing_key(
                VerifyingKey::new(Key::Sub(subkey.key.clone())),
                made_s.max(created_s),
                earlier,
            ));
        }
    }
    keys
}

/// The newest self-signature that holds: on the key directly or on a name.
fn newest_self_signature(certificate: &SignedPublicKey) -> Option<Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate.details.direct_signatures.iter();
    let direct = direct.filter(|signature| signature.verify_key(primary).is_ok());
    let names = certificate.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|signature| {
            signature.is_certification()
                && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    let sound = |signature: &&Signature| is_strong_hash(signature.hash_alg());
    direct.chain(names).filter(sound).max_by_key(|signature| made(signature)).cloned()
}

/// The newest binding of a subkey, if it lets it sign, holds in both directions and no revocation does.
fn signing_binding<'a>(
    primary: &PublicKey,
    subkey: &'a SignedPublicSubKey,
) -> Option<&'a Signature> {
    let holds = |signature: &&Signature| {
        is_strong_hash(signature.hash_alg())
            && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
    };
    let of_type = |wanted| {
        let all = subkey.signatures.iter();
        all.filter(move |signature| signature.typ() == Some(wanted)).filter(holds)
    };
    if of_type(SignatureType::SubkeyRevocation).next().is_some() {
        return None;
    }
    let binding = of_type(SignatureType::SubkeyBinding).max_by_key(|signature| made(signature))?;
    let back = binding.embedded_signature()?;
    let bound_back = back.verify_primary_key_binding(&subkey.key, primary).is_ok();
    let may_sign = binding.key_flags().sign() && is_strong(subkey.key.public_params());
    (bound_back && may_sign && is_strong_hash(back.hash_alg())).then_some(binding)
}

fn made(signature: &Signature) -> u64 {
    signature.created().map_or(0, seconds)
}

fn seconds(time: pgp::types::Timestamp) -> u64 {
    u64::from(time.as_secs())
}

fn expiry(created_s: u64, signature: &Signature) -> Option<u64> {
    let after = signature.key_expiration_time().map(|after| u64::from(after.as_secs()));
    after.filter(|after| *after > 0).map(|after| created_s + after)
}

fn is_strong(key: &PublicParams) -> bool {
    match key {
        PublicParams::RSA(key) => key.key.n().bits() >= LEAST_RSA_BITS,
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => true,
        _ => false,
    }
}

fn is_strong_hash(hash: Option<HashAlgorithm>) -> bool {
    matches!(
        hash,
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

/// When it was made, if it is a signature of a kind that may count.
fn check_kind(signature: &Signature) -> Result<u64, SignatureProblem> {
    let version = matches!(signature.version(), SignatureVersion::V4 | SignatureVersion::V6);
    let kind = matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text));
    if !version || !kind || !is_strong_hash(signature.hash_alg()) {
        return Err(SignatureProblem::Weak);
    }
    let config = signature.config().ok_or(SignatureProblem::Weak)?;
    let unknown = config.hashed_subpackets().any(|subpacket| {
        subpacket.is_critical
            && !matches!(
                subpacket.typ(),
                SubpacketType::SignatureCreationTime
                    | SubpacketType::SignatureExpirationTime
                    | SubpacketType::IssuerKeyId
                    | SubpacketType::IssuerFingerprint
                    | SubpacketType::SignersUserID
                    | SubpacketType::KeyFlags
            )
    });
    // A time that is not covered by the signature is anybody's.
    let dated = config
        .hashed_subpackets()
        .any(|subpacket| subpacket.typ() == SubpacketType::SignatureCreationTime);
    let made = signature.created().filter(|_| dated && !unknown);
    made.map(seconds).ok_or(SignatureProblem::Weak)
}

fn check_time(signature: &Signature, made_s: u64, now_s: u64) -> Result<(), SignatureProblem> {
    let lasts_s =
        signature.signature_expiration_time().map_or(0, |lasts| u64::from(lasts.as_secs()));
    let over = lasts_s > 0 && made_s + lasts_s <= now_s;
    if over || made_s > now_s + CLOCK_SKEW_S { Err(SignatureProblem::Expired) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
