//! A key as rPGP reads it, which verifies RSA by a newer version of the same library.
//!
//! rPGP 0.21 has `rsa` 0.9, whose arithmetic takes two to three times as long as that of 0.10, and verifying is most of what a
//! scan of an rpm database does. All else is rPGP's: what is hashed, which key is meant, the other algorithms.

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::errors::Result;
use pgp::packet::PublicKey;
use pgp::packet::PublicSubkey;
use pgp::types::Fingerprint;
use pgp::types::KeyDetails;
use pgp::types::KeyId;
use pgp::types::KeyVersion;
use pgp::types::Mpi;
use pgp::types::PublicParams;
use pgp::types::SignatureBytes;
use pgp::types::Timestamp;
use rsa::traits::PublicKeyParts as _;
use rsa_verify::BoxedUint;
use rsa_verify::PublicKey as RsaKey;
use rsa_verify::traits::PublicKeyParts as _;
use sha2_verify::Sha256;
use sha2_verify::Sha384;
use sha2_verify::Sha512;

/// A key of a certificate.
#[derive(Clone, Debug)]
pub(super) struct VerifyingKey {
    key: Key,
    /// What rPGP would hash the key for, each time.
    fingerprint: Fingerprint,
    key_id: KeyId,
    /// The same key, where it is RSA's.
    rsa: Option<RsaKey>,
}

/// As rPGP has it.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Primary(PublicKey),
    Sub(PublicSubkey),
}

impl VerifyingKey {
    pub(super) fn new(key: Key) -> Self {
        let details = key.details();
        let (fingerprint, key_id) = (details.fingerprint(), details.legacy_key_id());
        let rsa = rsa_key(details.public_params());
        Self { key, fingerprint, key_id, rsa }
    }
}

impl Key {
    fn details(&self) -> &dyn KeyDetails {
        match self {
            Self::Primary(key) => key,
            Self::Sub(key) => key,
        }
    }

    fn verify(&self, hash: HashAlgorithm, hashed: &[u8], signature: &SignatureBytes) -> Result<()> {
        match self {
            Self::Primary(key) => pgp::types::VerifyingKey::verify(key, hash, hashed, signature),
            Self::Sub(key) => pgp::types::VerifyingKey::verify(key, hash, hashed, signature),
        }
    }
}

fn rsa_key(parameters: &PublicParams) -> Option<RsaKey> {
    let PublicParams::RSA(parameters) = parameters else { return None };
    let number = |octets: Vec<u8>| {
        let bits = u32::try_from(octets.len() * 8).ok()?;
        BoxedUint::from_be_slice(&octets, bits).ok()
    };
    let modulus = number(parameters.key.n().to_bytes_be())?;
    RsaKey::new(modulus, number(parameters.key.e().to_bytes_be())?).ok()
}

fn verify_rsa(key: &RsaKey, hash: HashAlgorithm, hashed: &[u8], signature: &[u8]) -> Option<bool> {
    // OpenPGP leaves out leading zeros.
    let missing = key.size().checked_sub(signature.len())?;
    let whole = [&vec![0; missing], signature].concat();
    let verified = match hash {
        HashAlgorithm::Sha256 => key.pkcs1v15_verify_prehash::<Sha256>(hashed, &whole),
        HashAlgorithm::Sha384 => key.pkcs1v15_verify_prehash::<Sha384>(hashed, &whole),
        HashAlgorithm::Sha512 => key.pkcs1v15_verify_prehash::<Sha512>(hashed, &whole),
        _ => return None,
    };
    Some(verified.is_ok())
}

impl pgp::types::VerifyingKey for VerifyingKey {
    fn verify(&self, hash: HashAlgorithm, hashed: &[u8], signature: &SignatureBytes) -> Result<()> {
        let numbers: Option<&[Mpi]> = signature.try_into().ok();
        if let (Some(key), Some([number])) = (&self.rsa, numbers)
            && let Some(holds) = verify_rsa(key, hash, hashed, number.as_ref())
        {
            return if holds { Ok(()) } else { Err(rsa::Error::Verification.into()) };
        }
        self.key.verify(hash, hashed, signature)
    }
}

impl KeyDetails for VerifyingKey {
    fn version(&self) -> KeyVersion {
        self.key.details().version()
    }

    fn legacy_key_id(&self) -> KeyId {
        self.key_id
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.key.details().algorithm()
    }

    fn created_at(&self) -> Timestamp {
        self.key.details().created_at()
    }

    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        self.key.details().legacy_v3_expiration_days()
    }

    fn public_params(&self) -> &PublicParams {
        self.key.details().public_params()
    }
}
