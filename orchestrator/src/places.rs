//! Where things lie: running namespaces, records, pinned keys.
//!
//! Root uses the system's directories, everyone else the XDG base directories.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

/// A directory of ours cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// It cannot be made or looked at.
    #[error("cannot use {path}: {source}; set {variable} to a directory of yours")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What moves it elsewhere.
        variable: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Someone else could have put things there.
    #[error("{path} belongs to user {owner} or is open to others; remove it or set {variable}")]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// What moves it elsewhere.
        variable: &'static str,
    },
}

/// Sockets of running namespaces; private to the user, made if need be.
///
/// # Errors
///
/// The directory cannot be made, or is not private.
pub fn runtime_dir() -> Result<PathBuf, PlaceError> {
    let user = rustix::process::geteuid().as_raw();
    let path = match env::var_os("QUIXOTE_RUNTIME_DIR") {
        Some(path) => path.into(),
        None => match env::var_os("XDG_RUNTIME_DIR").filter(|path| Path::new(path).is_dir()) {
            Some(path) if user != 0 => Path::new(&path).join("quixote"),
            _ if user == 0 => "/run/quixote".into(),
            _ => env::temp_dir().join(format!("quixote-{user}")),
        },
    };
    private_dir(path, "QUIXOTE_RUNTIME_DIR")
}

/// Records of namespaces and accepted serials; private to the user, made if need be.
///
/// # Errors
///
/// As [`runtime_dir`].
pub fn state_dir() -> Result<PathBuf, PlaceError> {
    let path = match env::var_os("QUIXOTE_STATE_DIR") {
        Some(path) => path.into(),
        None if rustix::process::geteuid().is_root() => "/var/lib/quixote".into(),
        None => xdg("XDG_STATE_HOME", ".local/state").join("quixote"),
    };
    private_dir(path, "QUIXOTE_STATE_DIR")
}

/// Pinned public keys.
pub fn trust_dir() -> PathBuf {
    match env::var_os("QUIXOTE_TRUST_DIR") {
        Some(path) => path.into(),
        None if rustix::process::geteuid().is_root() => "/etc/quixote/trust".into(),
        None => xdg("XDG_CONFIG_HOME", ".config").join("quixote/trust"),
    }
}

/// Keys and pins of trusted modeling agents.
///
/// # Errors
///
/// As [`runtime_dir`].
pub fn agents_dir() -> Result<PathBuf, PlaceError> {
    private_dir(state_dir()?.join("agents"), "QUIXOTE_STATE_DIR")
}

/// Records of ended namespaces.
///
/// # Errors
///
/// As [`runtime_dir`].
pub fn records_dir() -> Result<PathBuf, PlaceError> {
    private_dir(state_dir()?.join("records"), "QUIXOTE_STATE_DIR")
}

/// Records of namespaces whose orchestrator has not said how they ended.
///
/// # Errors
///
/// As [`runtime_dir`].
pub fn unfinished_dir() -> Result<PathBuf, PlaceError> {
    private_dir(state_dir()?.join("unfinished"), "QUIXOTE_STATE_DIR")
}

fn xdg(variable: &str, default: &str) -> PathBuf {
    let home = || env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    env::var_os(variable).map_or_else(|| home().join(default), PathBuf::from)
}

fn private_dir(path: PathBuf, variable: &'static str) -> Result<PathBuf, PlaceError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
    let found = made.and_then(|()| fs::symlink_metadata(&path));
    match found {
        Err(source) => Err(PlaceError::Io { path, variable, source }),
        Ok(found) if is_private(&found) => Ok(path),
        Ok(found) => Err(PlaceError::NotPrivate { path, owner: found.uid(), variable }),
    }
}

fn is_private(found: &fs::Metadata) -> bool {
    found.is_dir()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = private_dir(path, "X");
        assert!(matches!(refused, Err(PlaceError::NotPrivate { .. })));
        assert!(private_dir(dir.path().join("fresh"), "X").is_ok());
    }
}
