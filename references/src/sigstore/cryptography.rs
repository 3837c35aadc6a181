//! The cryptography that Sigstore's library computes with: this project's own libraries, and no second stack.
//!
//! What is not here is refused: no algorithm weaker than SHA-256, RSA of less than 2048 bits (the library refuses it before
//! it asks), and none after quantum computers.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::Pkcs1v15Sign;
use rsa::Pss;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::SignatureScheme;
use sha2::Digest;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;
use sigstore_verify::crypto::CryptoProvider;
use sigstore_verify::crypto::Error;
use sigstore_verify::crypto::HashContext;
use sigstore_verify::crypto::SigningScheme;
use sigstore_verify::crypto::error::Result;
use sigstore_verify::types::HashAlgorithm;

/// Makes it the library's. Where a program that uses this crate has given the library another, that one stays.
pub(super) fn install() {
    let _ = sigstore_verify::crypto::install_default_provider(&RustCrypto);
}

#[derive(Debug)]
struct RustCrypto;

struct Hasher<D>(D);

impl<D: Digest + Send> HashContext for Hasher<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl CryptoProvider for RustCrypto {
    fn hash(&self, algorithm: HashAlgorithm) -> Result<Box<dyn HashContext>> {
        match algorithm {
            HashAlgorithm::Sha2256 => Ok(Box::new(Hasher(Sha256::new()))),
            HashAlgorithm::Sha2384 => Ok(Box::new(Hasher(Sha384::new()))),
            HashAlgorithm::Sha2512 => Ok(Box::new(Hasher(Sha512::new()))),
            other => Err(Error::UnsupportedAlgorithm(other.to_string())),
        }
    }

    fn verify_raw(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        data: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        if scheme == SigningScheme::Ed25519 {
            return judged(scheme, holds_ed25519(key, data, signature));
        }
        let algorithm = scheme.hash_algorithm().ok_or_else(|| unsupported(scheme))?;
        let mut hasher = self.hash(algorithm)?;
        hasher.update(data);
        self.verify_prehashed(scheme, key, &hasher.finalize(), signature)
    }

    fn verify_prehashed(
        &self,
        scheme: SigningScheme,
        key: &[u8],
        digest: &[u8],
        signature: &[u8],
    ) -> Result<()> {
        use SigningScheme as Scheme;
        let holds = match scheme {
            Scheme::EcdsaP256Sha256 | Scheme::EcdsaP256Sha384 => holds_p256(key, digest, signature),
            Scheme::EcdsaP384Sha256 | Scheme::EcdsaP384Sha384 => holds_p384(key, digest, signature),
            Scheme::RsaPkcs1Sha256 => {
                holds_rsa(Pkcs1v15Sign::new::<Sha256>(), key, digest, signature)
            }
            Scheme::RsaPkcs1Sha384 => {
                holds_rsa(Pkcs1v15Sign::new::<Sha384>(), key, digest, signature)
            }
            Scheme::RsaPkcs1Sha512 => {
                holds_rsa(Pkcs1v15Sign::new::<Sha512>(), key, digest, signature)
            }
            Scheme::RsaPssSha256 => holds_rsa(Pss::new::<Sha256>(), key, digest, signature),
            Scheme::RsaPssSha384 => holds_rsa(Pss::new::<Sha384>(), key, digest, signature),
            Scheme::RsaPssSha512 => holds_rsa(Pss::new::<Sha512>(), key, digest, signature),
            _ => return Err(unsupported(scheme)),
        };
        judged(scheme, holds)
    }
}

fn judged(scheme: SigningScheme, holds: Option<()>) -> Result<()> {
    holds.ok_or_else(|| Error::Verification(format!("{} signature invalid", scheme.name())))
}

fn unsupported(scheme: SigningScheme) -> Error {
    Error::UnsupportedAlgorithm(scheme.name().to_owned())
}

fn holds_ed25519(key: &[u8], data: &[u8], signature: &[u8]) -> Option<()> {
    let key = ed25519_dalek::VerifyingKey::try_from(key).ok()?;
    let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
    key.verify_strict(data, &signature).ok()
}

fn holds_p256(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p256::ecdsa::DerSignature::from_bytes(signature).ok()?;
    key.verify_prehash(digest, &signature).ok()
}

fn holds_p384(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p384::ecdsa::DerSignature::from_bytes(signature).ok()?;
    key.verify_prehash(digest, &signature).ok()
}

fn holds_rsa(
    scheme: impl SignatureScheme,
    key: &[u8],
    digest: &[u8],
    signature: &[u8],
) -> Option<()> {
    RsaPublicKey::from_pkcs1_der(key).ok()?.verify(scheme, digest, signature).ok()
}
