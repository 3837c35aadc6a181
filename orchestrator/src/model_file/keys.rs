//! Keys that sign models, and the public keys that are pinned for them.
//!
//! Ed25519 by default; ECDSA P-256 for keys that a token, a KMS or a TPM made. Private keys are
//! PKCS#8, public keys SPKI, both PEM, so that openssl reads and writes them. A key is named by the
//! SHA-256 of its SPKI: the same name whoever computes it.

use std::fmt;
use std::fs;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use p256::ecdsa::signature::Verifier as _;
use rand_core::OsRng;
use serde::Serialize;
use tsem::Digest;

/// A PEM key is a few hundred octets; what is larger is no key.
const KEY_FILE_MAX: u64 = 16 * 1024;

/// What makes a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// RFC 8032.
    Ed25519,
    /// FIPS 186-5 with SHA-256; signatures in ASN.1 DER.
    EcdsaP256,
}

impl Algorithm {
    /// The name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
        }
    }

    /// The algorithm of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Ed25519, Self::EcdsaP256].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// A key's name: SHA-256 of its SPKI in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether a private key file that others may read is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LooseMode {
    /// Refused: only its owner may have any access.
    Refuse,
    /// Used all the same.
    Accept,
}

/// Why a key could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file could not be opened or read.
    #[error("cannot read the key {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file could not be made.
    #[error(
        "cannot write the key {}: {source}; choose another name, keys are never overwritten",
        path.display()
    )]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Others than the owner have access to a private key.
    #[error(
        "the private key {} has mode {mode:04o}, so others may use it; run: chmod 600 {}",
        path.display(), path.display()
    )]
    LooseMode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file too large to be a key.
    #[error("{} is larger than {KEY_FILE_MAX} octets, so it is no key", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// Not a PKCS#8 PEM private key of a known algorithm.
    #[error(
        "this is no unencrypted PKCS#8 PEM private key for Ed25519 or ECDSA P-256; make one with: \
         quixote model keygen"
    )]
    NotPrivate,
    /// Not an SPKI PEM public key of a known algorithm.
    #[error(
        "this is no SPKI PEM public key for Ed25519 or ECDSA P-256; give the .pub file that \
         keygen wrote"
    )]
    NotPublic,
    /// The key could not be brought into its standard form.
    #[error("the key cannot be encoded")]
    Encoding,
}

/// A private key.
pub struct SigningKey(Private);

enum Private {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    EcdsaP256(p256::ecdsa::SigningKey),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm().name())
    }
}

impl SigningKey {
    /// A new key from the kernel's random numbers.
    pub fn generate(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Ed25519 => {
                Private::Ed25519(Box::new(ed25519_dalek::SigningKey::generate(&mut OsRng)))
            }
            Algorithm::EcdsaP256 => Private::EcdsaP256(p256::ecdsa::SigningKey::random(&mut OsRng)),
        })
    }

    /// Reads a PKCS#8 PEM file.
    pub fn read(path: &Path, loose: LooseMode) -> Result<Self, KeyError> {
        let (text, mode) = read_key_file(path)?;
        if mode & 0o077 != 0 && loose == LooseMode::Refuse {
            return Err(KeyError::LooseMode { path: path.into(), mode });
        }
        Self::from_pem(&text)
    }

    /// Reads PKCS#8 PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(text) {
            return Ok(Self(Private::Ed25519(Box::new(key))));
        }
        p256::ecdsa::SigningKey::from_pkcs8_pem(text)
            .map(|key| Self(Private::EcdsaP256(key)))
            .map_err(|_| KeyError::NotPrivate)
    }

    /// PKCS#8 PEM; wiped when dropped.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        match &self.0 {
            Private::Ed25519(key) => key.to_pkcs8_pem(LineEnding::LF),
            Private::EcdsaP256(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|_| KeyError::Encoding)
    }

    /// Writes the private key with mode 0600 to `path`, which must not exist, and its public key
    /// beside it as `path` + `.pub`.
    pub fn write_pair(&self, path: &Path) -> Result<PathBuf, KeyError> {
        let mut public_path = path.as_os_str().to_owned();
        public_path.push(".pub");
        let public_path = PathBuf::from(public_path);
        write_new(path, self.to_pem()?.as_bytes(), 0o600)?;
        write_new(&public_path, self.public()?.to_pem()?.as_bytes(), 0o644)?;
        Ok(public_path)
    }

    /// Which algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Private::Ed25519(_) => Algorithm::Ed25519,
            Private::EcdsaP256(_) => Algorithm::EcdsaP256,
        }
    }

    /// The public half.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        PublicKey::new(match &self.0 {
            Private::Ed25519(key) => Public::Ed25519(key.verifying_key()),
            Private::EcdsaP256(key) => Public::EcdsaP256(*key.verifying_key()),
        })
    }

    /// The signature over `message`: 64 octets for Ed25519, DER for ECDSA.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Private::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Private::EcdsaP256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
        }
    }
}

/// A public key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    key: Public,
    id: KeyId,
}

#[derive(Clone, Debug)]
enum Public {
    Ed25519(ed25519_dalek::VerifyingKey),
    EcdsaP256(p256::ecdsa::VerifyingKey),
}

/// That a signature holds. Not a bool, so that no `!` can turn it round.
#[must_use = "a signature that is not looked at protects nothing"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// It was made with this key over this message.
    Holds,
    /// It was not.
    Fails,
}

impl PublicKey {
    fn new(key: Public) -> Result<Self, KeyError> {
        let der = match &key {
            Public::Ed25519(key) => key.to_public_key_der(),
            Public::EcdsaP256(key) => key.to_public_key_der(),
        };
        let der = der.map_err(|_| KeyError::Encoding)?;
        Ok(Self { key, id: KeyId(Digest::of(&[der.as_bytes()])) })
    }

    /// The raw octets of an Ed25519 key, which is what agents check models with.
    pub fn ed25519(&self) -> Option<[u8; 32]> {
        match &self.key {
            Public::Ed25519(key) => Some(key.to_bytes()),
            Public::EcdsaP256(_) => None,
        }
    }

    /// Reads an SPKI PEM file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        Self::from_pem(&read_key_file(path)?.0)
    }

    /// Reads SPKI PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(text) {
            return Self::new(Public::Ed25519(key));
        }
        let key = p256::ecdsa::VerifyingKey::from_public_key_pem(text);
        Self::new(Public::EcdsaP256(key.map_err(|_| KeyError::NotPublic)?))
    }

    /// SPKI PEM.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        match &self.key {
            Public::Ed25519(key) => key.to_public_key_pem(LineEnding::LF),
            Public::EcdsaP256(key) => key.to_public_key_pem(LineEnding::LF),
        }
        .map_err(|_| KeyError::Encoding)
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Which algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.key {
            Public::Ed25519(_) => Algorithm::Ed25519,
            Public::EcdsaP256(_) => Algorithm::EcdsaP256,
        }
    }

    /// Checks a signature; small-order points and malleable forms of Ed25519 are refused.
    pub fn check(&self, message: &[u8], signature: &[u8]) -> SignatureCheck {
        let holds = match &self.key {
            Public::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Public::EcdsaP256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        };
        if holds { SignatureCheck::Holds } else { SignatureCheck::Fails }
    }
}

/// The text and the permission bits of one open file.
pub(super) fn read_key_file(path: &Path) -> Result<(Zeroizing<String>, u32), KeyError> {
    let failed = |source| KeyError::Read { path: path.into(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_FILE_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > KEY_FILE_MAX {
        return Err(KeyError::TooLarge { path: path.into() });
    }
    Ok((text, mode))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), KeyError> {
    let failed = |source| KeyError::Write { path: path.into(), source };
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Ed25519, Algorithm::EcdsaP256];

    #[test]
    fn what_one_key_signs_no_other_key_confirms() {
        for algorithm in BOTH {
            let key = SigningKey::generate(algorithm);
            let other = SigningKey::generate(algorithm).public().unwrap();
            let signature = key.sign(b"message");
            let public = key.public().unwrap();
            assert_eq!(public.check(b"message", &signature), SignatureCheck::Holds);
            assert_eq!(public.check(b"massage", &signature), SignatureCheck::Fails);
            assert_eq!(public.check(b"message", &signature[1..]), SignatureCheck::Fails);
            assert_eq!(other.check(b"message", &signature), SignatureCheck::Fails);
        }
    }

    #[test]
    fn keys_survive_their_files_and_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        for algorithm in BOTH {
            let path = directory.path().join(algorithm.name());
            let key = SigningKey::generate(algorithm);
            let public_path = key.write_pair(&path).unwrap();
            let again = SigningKey::read(&path, LooseMode::Refuse).unwrap();
            let public = PublicKey::read(&public_path).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(public.id(), key.public().unwrap().id());
            assert_eq!(public.check(b"m", &again.sign(b"m")), SignatureCheck::Holds);
            assert!(matches!(key.write_pair(&path), Err(KeyError::Write { .. })));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_private_key_that_others_may_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        SigningKey::generate(Algorithm::Ed25519).write_pair(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = SigningKey::read(&path, LooseMode::Refuse);
        assert!(matches!(refused, Err(KeyError::LooseMode { mode: 0o640, .. })));
        assert!(SigningKey::read(&path, LooseMode::Accept).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let public = SigningKey::generate(Algorithm::Ed25519).public().unwrap().to_pem().unwrap();
        assert!(matches!(SigningKey::from_pem(&public), Err(KeyError::NotPrivate)));
        let key = SigningKey::generate(Algorithm::EcdsaP256).to_pem().unwrap();
        assert!(matches!(PublicKey::from_pem(&key), Err(KeyError::NotPublic)));
    }

    /// The id that `openssl pkey -pubin -outform DER | sha256sum` gives for this key.
    #[test]
    fn a_key_is_named_by_the_digest_of_its_spki() {
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
                   -----END PUBLIC KEY-----\n";
        let id = PublicKey::from_pem(pem).unwrap().id();
        assert_eq!(id.to_string(), OPENSSL_ID);
    }

    const OPENSSL_ID: &str = "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9";
}
