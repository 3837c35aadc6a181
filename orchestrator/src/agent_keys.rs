//! The keys between this orchestrator and its agents: its own, those of agents that it starts, and
//! the pins of those that it was introduced to.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use rand_core::OsRng;
use rand_core::RngCore as _;
use thiserror::Error;
use tma_protocol::Identity;
use tma_protocol::PublicIdentity;
use tsem::Digest;

use crate::places;
use crate::places::PlaceError;
use crate::tma::Tma;

/// Keys cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// Where they lie.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file.
    #[error("cannot use the key {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("{} holds no key; remove it if nothing depends on it", path.display())]
    NotAKey {
        /// Which.
        path: PathBuf,
    },
}

/// Who this orchestrator is; drawn when it is first needed.
///
/// # Errors
///
/// The key cannot be read or made.
pub fn orchestrator() -> Result<Identity, KeysError> {
    seed("orchestrator").map(|seed| Identity::from_seed(&seed))
}

/// The secret of an agent that this orchestrator starts.
///
/// # Errors
///
/// As [`orchestrator`].
pub fn seed_of(tma: &Tma) -> Result<[u8; 32], KeysError> {
    seed(&file_name(tma))
}

fn seed(name: &str) -> Result<[u8; 32], KeysError> {
    let path = places::agents_dir()?.join(format!("{name}.seed"));
    let failed = |source| KeysError::Io { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => digest(&text).map(|seed| seed.0).ok_or(KeysError::NotAKey { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => draw(&path).map_err(failed),
        Err(source) => Err(failed(source)),
    }
}

/// Draws a seed and keeps it, unless another orchestrator has done so at the same time.
fn draw(path: &Path) -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    OsRng.try_fill_bytes(&mut seed).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(Digest(seed).to_hex().as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match linked {
        Ok(()) => Ok(seed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let kept = digest(&fs::read_to_string(path)?).map(|seed| seed.0);
            kept.ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
        Err(error) => Err(error),
    }
}

/// Where the pin of an agent lies.
///
/// # Errors
///
/// The directory cannot be used.
pub fn pin_path(tma: &Tma) -> Result<PathBuf, KeysError> {
    Ok(places::agents_dir()?.join(format!("{}.pin", file_name(tma))))
}

/// The pin of an agent, if there is one.
///
/// # Errors
///
/// It cannot be read.
pub fn pin(tma: &Tma) -> Result<Option<PublicIdentity>, KeysError> {
    let path = pin_path(tma)?;
    match fs::read_to_string(&path) {
        Ok(text) => parse_pin(&text).map(Some).ok_or(KeysError::NotAKey { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeysError::Io { path, source }),
    }
}

/// Pins an agent.
///
/// # Errors
///
/// The pin cannot be written.
pub fn keep_pin(tma: &Tma, identity: &PublicIdentity) -> Result<(), KeysError> {
    let path = pin_path(tma)?;
    let text = format!(
        "agent {tma}\nsession {}\nsigning {}\n",
        Digest(identity.session),
        Digest(identity.signing)
    );
    if fs::read_to_string(&path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    crate::model_file::format::write_atomically(&path, text.as_bytes())
        .map_err(|source| KeysError::Io { path, source })
}

/// Every pinned agent's key of attestations.
///
/// # Errors
///
/// The directory or a pin cannot be read.
pub fn signing_keys() -> Result<Vec<[u8; 32]>, KeysError> {
    let directory = places::agents_dir()?;
    let failed = |source| KeysError::Io { path: directory.clone(), source };
    let mut keys = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|end| end == "pin") {
            keys.push(read_pin(&path)?.signing);
        }
    }
    Ok(keys)
}

/// A pin by its file.
///
/// # Errors
///
/// It cannot be read.
pub fn read_pin(path: &Path) -> Result<PublicIdentity, KeysError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| KeysError::Io { path: path.into(), source })?;
    parse_pin(&text).ok_or_else(|| KeysError::NotAKey { path: path.into() })
}

fn parse_pin(text: &str) -> Option<PublicIdentity> {
    let line = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(digest)
    };
    Some(PublicIdentity { session: line("session")?.0, signing: line("signing")?.0 })
}

fn digest(text: &str) -> Option<Digest> {
    Digest::from_hex(text.trim_end())
}

/// A name that no two agents share.
fn file_name(tma: &Tma) -> String {
    match tma {
        Tma::Orchestrator | Tma::Process => tma.to_string(),
        other => {
            let text = other.to_string();
            let kind = text.split(':').next().unwrap_or_default().to_owned();
            format!("{kind}-{}", &Digest::of(&[text.as_bytes()]).to_hex()[..16])
        }
    }
}
