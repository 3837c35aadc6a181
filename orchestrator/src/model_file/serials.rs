//! The last accepted serial number of each workload and key, so that an old model is not taken
//! for a new one.
//!
//! One small file for each pair, replaced whole under one lock: two runs that accept models at the
//! same time cannot undo one another.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::format::read_bounded;
use super::format::write_atomically;
use super::header::Workload;
use super::keys::KeyId;

/// A decimal number and a newline.
const SERIAL_FILE_MAX: u64 = 32;

/// The accepted serial numbers, in a directory of their own.
#[derive(Clone, Debug)]
pub struct SerialStore {
    directory: PathBuf,
}

/// Why a serial number was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SerialError {
    /// The model is older than one that was accepted.
    #[error(
        "the model of {workload} has serial {offered}, but {accepted} was accepted from this key \
         before; use the newer model, or remove {} if you mean to go back",
        path.display()
    )]
    Rollback {
        /// Whose model.
        workload: Workload,
        /// What the model has.
        offered: u64,
        /// What was accepted before.
        accepted: u64,
        /// Where that is kept.
        path: PathBuf,
    },
    /// The store cannot be used.
    #[error(
        "cannot keep serial numbers in {}: {source}; without them an old model cannot be told \
         from a new one, so give a writable directory",
        path.display()
    )]
    Store {
        /// The directory or file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A stored number is none.
    #[error("{} holds no serial number; find out who changed it, then remove it", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
}

impl SerialStore {
    /// The store in `directory`, which is made when a serial is first accepted.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The last serial that was accepted; `None` when there was none.
    pub fn accepted(&self, workload: &Workload, key: KeyId) -> Result<Option<u64>, SerialError> {
        read_serial(&self.path(workload, key))
    }

    /// Refuses a serial lower than the accepted one; changes nothing.
    pub fn check(&self, workload: &Workload, key: KeyId, serial: u64) -> Result<(), SerialError> {
        let path = self.path(workload, key);
        match read_serial(&path)? {
            Some(accepted) if serial < accepted => {
                let workload = workload.clone();
                Err(SerialError::Rollback { workload, offered: serial, accepted, path })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a serial lower than the accepted one, and keeps a higher one.
    pub fn accept(&self, workload: &Workload, key: KeyId, serial: u64) -> Result<(), SerialError> {
        let _lock = self.lock()?;
        self.check(workload, key, serial)?;
        let path = self.path(workload, key);
        if read_serial(&path)? == Some(serial) {
            return Ok(());
        }
        write_atomically(&path, format!("{serial}\n").as_bytes())
            .map_err(|source| SerialError::Store { path, source })
    }

    /// The lock of the whole store, held until it is dropped.
    fn lock(&self) -> Result<fs::File, SerialError> {
        let failed = |source| SerialError::Store { path: self.directory.clone(), source };
        fs::create_dir_all(&self.directory).map_err(failed)?;
        let mut options = fs::OpenOptions::new();
        let file =
            options.create(true).truncate(false).write(true).open(self.directory.join("lock"));
        let file = file.map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// A workload's name has no `/` and does not begin with a dot.
    fn path(&self, workload: &Workload, key: KeyId) -> PathBuf {
        self.directory.join(format!("{workload}.{key}.serial"))
    }
}

fn read_serial(path: &Path) -> Result<Option<u64>, SerialError> {
    let damaged = || SerialError::Damaged { path: path.into() };
    let text = match read_bounded(path, SERIAL_FILE_MAX) {
        Ok(text) => text.ok_or_else(damaged)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SerialError::Store { path: path.into(), source }),
    };
    let number =
        std::str::from_utf8(&text).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
    number.map(Some).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsem::Digest;

    const KEY: KeyId = KeyId(Digest([5; 32]));

    fn workload(name: &str) -> Workload {
        Workload::parse(name).unwrap()
    }

    #[test]
    fn a_lower_serial_is_refused_for_the_same_workload_and_key_only() {
        let directory = tempfile::tempdir().unwrap();
        let store = SerialStore::new(directory.path().join("serials"));
        let nginx = workload("nginx");
        assert_eq!(store.accepted(&nginx, KEY).unwrap(), None);
        store.accept(&nginx, KEY, 5).unwrap();
        store.accept(&nginx, KEY, 5).unwrap();
        store.accept(&nginx, KEY, 7).unwrap();
        let refused = store.accept(&nginx, KEY, 6);
        assert!(matches!(refused, Err(SerialError::Rollback { offered: 6, accepted: 7, .. })));
        assert!(store.check(&nginx, KEY, 6).is_err());
        store.accept(&workload("redis"), KEY, 1).unwrap();
        store.accept(&nginx, KeyId(Digest([6; 32])), 1).unwrap();
        assert_eq!(store.accepted(&nginx, KEY).unwrap(), Some(7));
    }

    #[test]
    fn a_damaged_or_unusable_store_refuses() {
        let directory = tempfile::tempdir().unwrap();
        let store = SerialStore::new(directory.path());
        let nginx = workload("nginx");
        fs::write(store.path(&nginx, KEY), "").unwrap();
        assert!(matches!(store.accept(&nginx, KEY, 9), Err(SerialError::Damaged { .. })));
        let no_directory = directory.path().join("file");
        fs::write(&no_directory, "").unwrap();
        let store = SerialStore::new(no_directory);
        assert!(matches!(store.accept(&nginx, KEY, 9), Err(SerialError::Store { .. })));
    }

    #[test]
    fn the_highest_of_many_at_once_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = SerialStore::new(directory.path());
        let nginx = workload("nginx");
        std::thread::scope(|scope| {
            for serial in 0..16 {
                let (store, nginx) = (&store, &nginx);
                scope.spawn(move || drop(store.accept(nginx, KEY, serial)));
            }
        });
        assert_eq!(store.accepted(&nginx, KEY).unwrap(), Some(15));
    }
}
