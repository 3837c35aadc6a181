//! From a file that anyone may have written to a model that is enforced.
//!
//! A model is [`Unverified`] until [`Unverified::verify`] has found that a pinned key signed it for
//! this workload, that header and state are what was signed, and that its serial is not older than
//! one accepted before. The signature is checked before the model is even parsed. Keys are pinned
//! by the user as files of a directory and never taken from the model or its signature.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

use super::format::FormatError;
use super::format::MODEL_MAX;
use super::format::read_bounded;
use super::format::write_atomically;
use super::header::Workload;
use super::header::WorkloadError;
use super::keys::KeyError;
use super::keys::KeyId;
use super::keys::PublicKey;
use super::keys::SigningKey;
use super::keys::read_key_file;
use super::model::ModelFile;
use super::serials::SerialError;
use super::serials::SerialStore;
use super::signing::ENVELOPE_MAX;
use super::signing::Envelope;
use super::signing::Predicate;
use super::signing::SigningError;
use super::signing::Statement;
use super::signing::signature_path;
use crate::workload::ModelSignature;

/// Begins the line of a pinned key's file that names the workloads it may sign for.
const RESTRICTION: &str = "workloads:";
const PEM_BEGIN: &str = "-----BEGIN";

/// The public keys that a user trusts.
#[derive(Clone, Debug, Default)]
pub struct TrustStore {
    keys: Vec<PinnedKey>,
}

/// A public key and what it may sign for.
#[derive(Clone, Debug)]
pub struct PinnedKey {
    /// The key.
    pub key: PublicKey,
    /// The only workloads whose models it may sign; `None` for all.
    pub workloads: Option<Vec<Workload>>,
    /// Where it is pinned.
    pub path: PathBuf,
}

/// A model and its signature as files, neither of them believed.
#[derive(Debug)]
pub struct Unverified {
    path: PathBuf,
    text: Vec<u8>,
    signature: Option<Vec<u8>>,
}

/// What has passed every check; nothing else makes one.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    inner: T,
    signers: Vec<KeyId>,
}

/// What a verification found, for the reader.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The workload.
    pub workload: Workload,
    /// Its serial.
    pub serial: u64,
    /// The state, in hexadecimal digits.
    pub state: String,
    /// The pinned keys that signed it.
    pub signers: Vec<KeyId>,
}

/// Why a model is not trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// There is no signature.
    #[error(
        "the model is not signed: there is no {}; sign it with: quixote model sign, or run with \
         --allow-unsigned",
        path.display()
    )]
    Unsigned {
        /// Where the signature should be.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The signature file is too large.
    #[error("{} is larger than any signature and was not read", path.display())]
    SignatureTooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// No key is pinned.
    #[error(
        "no key is pinned in {}; pin the signer's public key: quixote model pin KEY.pub",
        path.display()
    )]
    NoKeys {
        /// The trust store.
        path: PathBuf,
    },
    /// Someone else may write the trust store.
    #[error(
        "{} belongs to user {owner} and has mode {mode:04o}, so someone else could pin a key; it \
         must belong to root or you, and be writable by the owner alone",
        path.display()
    )]
    NotPrivate {
        /// Directory or file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// A pinned file is no key.
    #[error("the pinned key {}: {source}", path.display())]
    PinnedKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The restriction of a pinned key cannot be read.
    #[error(
        "the pinned key {}, line {line}: before the key may stand only comments and \
         '{RESTRICTION} NAME...'",
        path.display()
    )]
    Restriction {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The key may not sign for this workload.
    #[error(
        "the model of {workload} is signed by a pinned key that is restricted to other workloads; \
         have it signed by another key, or widen the '{RESTRICTION}' line of the key"
    )]
    NotForThisWorkload {
        /// Whose model.
        workload: Workload,
    },
    /// What was signed is another model.
    #[error(
        "the signature is for another model: the {what} differs; if you have changed the model, \
         review it and sign it again"
    )]
    OtherModel {
        /// What differs.
        what: &'static str,
    },
    /// A model of events that were lost.
    #[error(
        "the model was learned with {losses} lost events, so it may miss what is good and cannot \
         be signed; learn it again"
    )]
    Lossy {
        /// How many.
        losses: u64,
    },
    /// The name in a statement.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The signature.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The model's text.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The serial number.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// The signature could not be written.
    #[error("cannot write the signature {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl TrustStore {
    /// A store of these keys.
    pub fn new(keys: Vec<PinnedKey>) -> Self {
        Self { keys }
    }

    /// Every `*.pub` and `*.pem` of a directory that nobody else may write. One bad file makes the
    /// whole store unusable: a key that is silently left out would be a surprise later.
    ///
    /// # Errors
    ///
    /// A directory that is not there or holds no key, or a directory or file that others may write,
    /// that cannot be read, or that is no key.
    pub fn open(directory: &Path) -> Result<Self, TrustError> {
        if !directory.try_exists().unwrap_or(true) {
            return Err(TrustError::NoKeys { path: directory.into() });
        }
        check_private(directory)?;
        let failed = |source| TrustError::Read { path: directory.into(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        paths.retain(|path| path.extension().is_some_and(|kind| kind == "pub" || kind == "pem"));
        paths.sort();
        let keys = paths.iter().map(|path| PinnedKey::read(path)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(TrustError::NoKeys { path: directory.into() });
        }
        Ok(Self { keys })
    }

    /// The pinned keys.
    pub fn keys(&self) -> &[PinnedKey] {
        &self.keys
    }

    /// Those signers that may sign for a workload.
    fn entitled(&self, signers: &[KeyId], workload: &Workload) -> Vec<KeyId> {
        let entitled = |pinned: &&PinnedKey| {
            let free = pinned.workloads.as_ref().is_none_or(|names| names.contains(workload));
            free && signers.contains(&pinned.key.id())
        };
        self.keys.iter().filter(entitled).map(|pinned| pinned.key.id()).collect()
    }
}

impl PinnedKey {
    /// Reads a pinned key: SPKI PEM, with an optional line `workloads: NAME...` before it.
    ///
    /// # Errors
    ///
    /// As [`TrustStore::open`].
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        check_private(path)?;
        let wrong = |source| TrustError::PinnedKey { path: path.into(), source };
        let (text, _) = read_key_file(path).map_err(wrong)?;
        let begin = text.find(PEM_BEGIN).unwrap_or(0);
        let workloads = parse_restriction(&text[..begin])
            .map_err(|line| TrustError::Restriction { path: path.into(), line })?;
        let key = PublicKey::from_pem(&text[begin..]).map_err(wrong)?;
        Ok(Self { key, workloads, path: path.into() })
    }
}

/// The workloads named before a key; an error is the number of a line that is not understood.
fn parse_restriction(text: &str) -> Result<Option<Vec<Workload>>, usize> {
    let mut workloads: Option<Vec<Workload>> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(names) = line.strip_prefix(RESTRICTION) {
            let names = names.split_whitespace().map(Workload::parse);
            let names = names.collect::<Result<Vec<_>, _>>().map_err(|_| index + 1)?;
            workloads.get_or_insert_default().extend(names);
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(index + 1);
        }
    }
    Ok(workloads)
}

fn check_private(path: &Path) -> Result<(), TrustError> {
    let metadata = fs::metadata(path);
    let metadata = metadata.map_err(|source| TrustError::Read { path: path.into(), source })?;
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    let ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if ours && mode & 0o022 == 0 {
        Ok(())
    } else {
        Err(TrustError::NotPrivate { path: path.into(), owner, mode })
    }
}

impl Unverified {
    /// Reads a model and the signature beside it, if there is one. Neither is looked into.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is beyond its bound.
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        let text = ModelFile::read_text(path)?;
        let beside = signature_path(path);
        let signature = match read_bounded(&beside, ENVELOPE_MAX) {
            Ok(Some(signature)) => Some(signature),
            Ok(None) => return Err(TrustError::SignatureTooLarge { path: beside }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(TrustError::Read { path: beside, source }),
        };
        Ok(Self { path: path.into(), text, signature })
    }

    /// What came from elsewhere; `path` says where it lies there.
    ///
    /// # Errors
    ///
    /// One of them is beyond its bound.
    pub fn of(path: &Path, text: Vec<u8>, signature: Option<Vec<u8>>) -> Result<Self, TrustError> {
        if text.len() as u64 > MODEL_MAX {
            return Err(FormatError::TooLarge.into());
        }
        if signature.as_ref().is_some_and(|octets| octets.len() as u64 > ENVELOPE_MAX) {
            return Err(TrustError::SignatureTooLarge { path: signature_path(path) });
        }
        Ok(Self { path: path.into(), text, signature })
    }

    /// Where the model lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The octets of the model, and of its signature.
    pub fn parts(&self) -> (&[u8], Option<&[u8]>) {
        (&self.text, self.signature.as_deref())
    }

    /// Whether there is a signature at all; it may be anyone's.
    pub fn claims_signature(&self) -> bool {
        self.signature.is_some()
    }

    /// The signature as an agent can check it itself, if one of the Ed25519 keys pinned for the
    /// model's workload can have made it. Nothing is believed here: [`Unverified::verify`] decides.
    ///
    /// # Errors
    ///
    /// The signature is no envelope.
    pub fn signature_for_agents(
        &self,
        trust: &TrustStore,
    ) -> Result<Option<ModelSignature>, TrustError> {
        let Some(signature) = &self.signature else { return Ok(None) };
        let envelope = Envelope::parse(signature)?;
        let (_, signers) = envelope.verify(trust.keys.iter().map(|pinned| &pinned.key))?;
        let signing = trust.keys.iter().filter(|pinned| signers.contains(&pinned.key.id()));
        let keys: Vec<[u8; 32]> = signing.filter_map(|pinned| pinned.key.ed25519()).collect();
        let signed = envelope.for_agents()?;
        Ok((!keys.is_empty()).then_some(ModelSignature { signed, keys }))
    }

    /// The model, if a pinned key signed it for its workload and it is not older than one that was
    /// accepted. Nothing is recorded: see [`Verified::accept`].
    ///
    /// # Errors
    ///
    /// Whatever check did not pass.
    pub fn verify(
        self,
        trust: &TrustStore,
        serials: &SerialStore,
    ) -> Result<Verified<ModelFile>, TrustError> {
        let signature = self.signature.as_deref();
        let unsigned = || TrustError::Unsigned { path: signature_path(&self.path) };
        let envelope = Envelope::parse(signature.ok_or_else(unsigned)?)?;
        let keys = trust.keys.iter().map(|pinned| &pinned.key);
        let (statement, signers) = envelope.verify(keys)?;
        let signed = statement.predicate;
        let workload = Workload::parse(&signed.workload)?;
        let signers = trust.entitled(&signers, &workload);
        if signers.is_empty() {
            return Err(TrustError::NotForThisWorkload { workload });
        }
        for key in &signers {
            serials.check(&workload, *key, signed.serial)?;
        }
        let inner = ModelFile::parse(&self.text)?;
        check_same(&signed, &predicate_of(&inner))?;
        refuse_lossy(&inner)?;
        Ok(Verified { inner, signers })
    }

    /// The model without any check of who wrote it, for a user who asked for that in so many words
    /// (`--allow-unsigned`), and for commands that only show it.
    ///
    /// # Errors
    ///
    /// A text that is no model.
    pub fn without_signature(self) -> Result<ModelFile, TrustError> {
        Ok(ModelFile::parse(&self.text)?)
    }
}

impl<T> Verified<T> {
    /// What was verified.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// What was verified, for good.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// The pinned keys that signed it.
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }
}

impl Verified<ModelFile> {
    /// Keeps the serial as the lowest that is accepted from now on; call it before the model is
    /// put into force.
    ///
    /// # Errors
    ///
    /// Another run has accepted a newer model meanwhile, or the store cannot be written.
    pub fn accept(&self, serials: &SerialStore) -> Result<(), SerialError> {
        let header = self.inner.header();
        self.signers
            .iter()
            .try_for_each(|key| serials.accept(&header.workload, *key, header.serial))
    }

    /// What was found, for the reader.
    pub fn finding(&self) -> Finding {
        let header = self.inner.header();
        Finding {
            workload: header.workload.clone(),
            serial: header.serial,
            state: self.inner.state().to_hex(),
            signers: self.signers.clone(),
        }
    }
}

/// Signs a model.
///
/// # Errors
///
/// A model that was learned with lost events, or a key that cannot be used.
pub fn sign(model: &ModelFile, key: &SigningKey) -> Result<Envelope, TrustError> {
    refuse_lossy(model)?;
    Ok(Envelope::sign(&Statement::new(predicate_of(model)), key)?)
}

/// Signs the model in a file and writes the signature beside it; gives the signature's path.
///
/// # Errors
///
/// As [`sign`], and files that cannot be read or written.
pub fn sign_file(path: &Path, key: &SigningKey) -> Result<PathBuf, TrustError> {
    let model = ModelFile::parse(&ModelFile::read_text(path)?)?;
    let json = sign(&model, key)?.to_json()?;
    let beside = signature_path(path);
    write_atomically(&beside, json.as_bytes())
        .map_err(|source| TrustError::Write { path: beside.clone(), source })?;
    Ok(beside)
}

/// What a signature says of this model.
pub fn predicate_of(model: &ModelFile) -> Predicate {
    let header = model.header();
    Predicate {
        workload: header.workload.to_string(),
        profile: header.rules.profile.name().into(),
        serial: header.serial,
        header: header.digest().to_hex(),
        state: model.state().to_hex(),
        coefficients: model.len() as u64,
    }
}

fn check_same(signed: &Predicate, found: &Predicate) -> Result<(), TrustError> {
    let checks = [
        ("workload", signed.workload == found.workload),
        ("profile", signed.profile == found.profile),
        ("serial", signed.serial == found.serial),
        ("header", signed.header == found.header),
        ("number of coefficients", signed.coefficients == found.coefficients),
        ("state", signed.state == found.state),
    ];
    let differing = checks.iter().find(|(_, same)| !same);
    differing.map_or(Ok(()), |(what, _)| Err(TrustError::OtherModel { what }))
}

fn refuse_lossy(model: &ModelFile) -> Result<(), TrustError> {
    match model.header().losses {
        0 => Ok(()),
        losses => Err(TrustError::Lossy { losses }),
    }
}

#[cfg(test)]
mod tests;
