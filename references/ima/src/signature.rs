//! The value of `security.ima`: a signature of a file's digest, version 2, as `evmctl` makes it.
//!
//! `03 02`, the hash algorithm, the key's id (big-endian), the signature's length (big-endian), the
//! signature. The id is the end of the SHA-1 of the public key, which is also what openssl gives a
//! certificate as its subject key identifier. RPM keeps exactly this value for each file (`FILESIGNATURES`).

use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::pkcs8::DecodePrivateKey as _;
use p256::pkcs8::DecodePublicKey as _;
use rsa::Pkcs1v15Sign;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;

use crate::Algorithm;

/// The extended attribute that holds the value.
pub const ATTRIBUTE: &str = "security.ima";
/// The longest value that is read, in octets.
pub const VALUE_MAX: usize = 4096;
/// The shortest RSA key that signs here, in bits.
pub const RSA_BITS_MIN: usize = 2048;

const DIGSIG: u8 = 3;
const VERSION: u8 = 2;
const HEADER: usize = 9;

/// Why something is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not a key that can sign here.
    #[error(
        "not a private key of RSA (at least {RSA_BITS_MIN} bits) or ECDSA P-256 in PEM, without a password"
    )]
    PrivateKey,
    /// Not a public key.
    #[error("not a public key of RSA or ECDSA P-256 in PEM")]
    PublicKey,
    /// A digest that is not of the algorithm.
    #[error("the digest is not of the hash algorithm")]
    Digest,
    /// A hash algorithm that no new signature should rest on.
    #[error("SHA-1 is broken and signs nothing here")]
    Weak,
    /// Not a signature of this kind.
    #[error("not a signature of version 2")]
    Malformed,
    /// Made by another key.
    #[error("the signature was made by another key")]
    OtherKey,
    /// It does not hold.
    #[error("the signature does not hold")]
    Wrong,
    /// The signing itself failed.
    #[error("the key cannot sign")]
    Signing,
}

/// A key that signs files.
pub enum PrivateKey {
    /// RSA, PKCS#1 v1.5.
    Rsa(Box<rsa::RsaPrivateKey>),
    /// ECDSA P-256.
    P256(p256::ecdsa::SigningKey),
}

/// Its public half.
#[derive(Clone, Debug)]
pub enum PublicKey {
    /// RSA, PKCS#1 v1.5.
    Rsa(rsa::RsaPublicKey),
    /// ECDSA P-256.
    P256(p256::ecdsa::VerifyingKey),
}

/// A signature taken apart, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// The hash algorithm of the file's digest.
    pub algorithm: Algorithm,
    /// Whose.
    pub key_id: u32,
    signature: Vec<u8>,
}

impl PrivateKey {
    /// Reads PEM: PKCS#8, or RSA's own form.
    ///
    /// # Errors
    ///
    /// Another kind of key, a short one, or one with a password.
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        if let Ok(key) = p256::ecdsa::SigningKey::from_pkcs8_pem(text) {
            return Ok(Self::P256(key));
        }
        let key = rsa::RsaPrivateKey::from_pkcs8_pem(text).ok();
        let key = key.or_else(|| rsa::RsaPrivateKey::from_pkcs1_pem(text).ok());
        let key = key.filter(|key| key.size() * 8 >= RSA_BITS_MIN);
        key.map(|key| Self::Rsa(key.into())).ok_or(SignatureError::PrivateKey)
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Rsa(key) => PublicKey::Rsa(key.to_public_key()),
            Self::P256(key) => PublicKey::P256(*key.verifying_key()),
        }
    }

    /// The value of `security.ima` for a file with this digest.
    ///
    /// # Errors
    ///
    /// The digest is not of the algorithm, or the algorithm is too weak.
    pub fn sign(&self, algorithm: Algorithm, digest: &[u8]) -> Result<Vec<u8>, SignatureError> {
        if algorithm == Algorithm::Sha1 {
            return Err(SignatureError::Weak);
        }
        if digest.len() != algorithm.octets() {
            return Err(SignatureError::Digest);
        }
        let signature = match self {
            Self::Rsa(key) => key.sign(padding(algorithm), digest).ok(),
            Self::P256(key) => {
                let made: Option<p256::ecdsa::DerSignature> = key.sign_prehash(digest).ok();
                made.map(|made| made.as_bytes().to_vec())
            }
        };
        let signature = signature.ok_or(SignatureError::Signing)?;
        let mut value = vec![DIGSIG, VERSION, algorithm.number()];
        value.extend(self.public().key_id()?.to_be_bytes());
        value.extend((signature.len() as u16).to_be_bytes());
        value.extend(signature);
        Ok(value)
    }
}

impl PublicKey {
    /// Reads PEM: a public key (not a certificate).
    ///
    /// # Errors
    ///
    /// Another kind of key.
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(text) {
            return Ok(Self::P256(key));
        }
        let key = rsa::RsaPublicKey::from_public_key_pem(text);
        key.map(Self::Rsa).map_err(|_| SignatureError::PublicKey)
    }

    /// The end of the SHA-1 of the public key's octets, as certificates have them.
    ///
    /// # Errors
    ///
    /// The key has no encoding.
    pub fn key_id(&self) -> Result<u32, SignatureError> {
        let octets = match self {
            Self::Rsa(key) => {
                let der = key.to_pkcs1_der().map_err(|_| SignatureError::PublicKey)?;
                der.as_bytes().to_vec()
            }
            Self::P256(key) => key.to_encoded_point(false).as_bytes().to_vec(),
        };
        let digest = Algorithm::Sha1.digest(&[&octets]);
        let end = digest.last_chunk().ok_or(SignatureError::PublicKey)?;
        Ok(u32::from_be_bytes(*end))
    }

    /// Whether the value of `security.ima` is this key's signature of the digest.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn verify(&self, value: &[u8], digest: &[u8]) -> Result<(), SignatureError> {
        let Unverified { algorithm, key_id, signature } = Unverified::read(value)?;
        if key_id != self.key_id()? {
            return Err(SignatureError::OtherKey);
        }
        if digest.len() != algorithm.octets() {
            return Err(SignatureError::Digest);
        }
        let holds = match self {
            Self::Rsa(key) => key.verify(padding(algorithm), digest, &signature).is_ok(),
            Self::P256(key) => {
                let signature = p256::ecdsa::DerSignature::from_bytes(&signature);
                signature.is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok())
            }
        };
        if holds { Ok(()) } else { Err(SignatureError::Wrong) }
    }
}

impl Unverified {
    /// Takes a value apart.
    ///
    /// # Errors
    ///
    /// It is no signature of version 2, or of an algorithm that is not known here.
    pub fn read(value: &[u8]) -> Result<Self, SignatureError> {
        let malformed = SignatureError::Malformed;
        let (header, signature) = value.split_first_chunk::<HEADER>().ok_or(malformed)?;
        let [kind, version, algorithm, a, b, c, d, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let algorithm = Algorithm::from_number(algorithm).ok_or(malformed)?;
        if kind != DIGSIG || version != VERSION || length != signature.len() {
            return Err(malformed);
        }
        let (key_id, signature) = (u32::from_be_bytes([a, b, c, d]), signature.to_vec());
        Ok(Self { algorithm, key_id, signature })
    }
}

fn padding(algorithm: Algorithm) -> Pkcs1v15Sign {
    match algorithm {
        // Only reached to verify: SHA-1's prefix, written out, since the crate has none for it.
        Algorithm::Sha1 => Pkcs1v15Sign { hash_len: Some(20), prefix: SHA1_PREFIX.into() },
        Algorithm::Sha256 => Pkcs1v15Sign::new::<sha2::Sha256>(),
        Algorithm::Sha384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
        Algorithm::Sha512 => Pkcs1v15Sign::new::<sha2::Sha512>(),
    }
}

const SHA1_PREFIX: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;

    fn keys() -> [PrivateKey; 2] {
        let rsa = PrivateKey::from_pem(include_str!("../testdata/rsa_test_key.pem")).unwrap();
        [rsa, PrivateKey::P256(p256::ecdsa::SigningKey::random(&mut OsRng))]
    }

    #[test]
    fn a_signature_holds_for_its_digest_and_key_alone() {
        let [rsa, p256] = keys();
        let digest = Algorithm::Sha256.digest(&[b"file"]);
        for (key, other) in [(&rsa, &p256), (&p256, &rsa)] {
            let value = key.sign(Algorithm::Sha256, &digest).unwrap();
            assert_eq!(value[..3], [3, 2, 4]);
            assert_eq!(key.public().verify(&value, &digest), Ok(()));
            let refused = other.public().verify(&value, &digest);
            assert_eq!(refused, Err(SignatureError::OtherKey));
            let changed = Algorithm::Sha256.digest(&[b"File"]);
            assert_eq!(key.public().verify(&value, &changed), Err(SignatureError::Wrong));
            for at in (0..HEADER).chain([HEADER + 3, value.len() - 1]) {
                let mut flipped = value.clone();
                flipped[at] ^= 1;
                assert!(key.public().verify(&flipped, &digest).is_err(), "octet {at}");
            }
            assert!(key.public().verify(&value[..value.len() - 1], &digest).is_err());
        }
    }

    #[test]
    fn what_is_too_weak_signs_nothing() {
        let [_, key] = keys();
        assert_eq!(key.sign(Algorithm::Sha1, &[0; 20]), Err(SignatureError::Weak));
        assert_eq!(key.sign(Algorithm::Sha256, &[0; 20]), Err(SignatureError::Digest));
        assert!(PrivateKey::from_pem("-----BEGIN PRIVATE KEY-----\n").is_err());
    }
}
