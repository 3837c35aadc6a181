//! Sets of programs beside each other, each with its namespaces.
//!
//! A set belongs to the builds of Quixote that have the very same programs: its directory of pins is named by a digest
//! of them. So an upgrade never changes what a namespace runs under; new namespaces begin under the new set, and the old
//! one goes when its last namespace has ended. `docs/decisions/0017-upgrade.md` says what the sets know of each other.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;

use crate::programs::BPFFS;
use crate::programs::KernelError;
use crate::programs::io as cannot_use;
use crate::wire;

/// What the names of all their directories begin with, as `pins.bpf.h` has it.
const PREFIX: &str = "quixote-";
/// Of what sets know of each other; it goes before the digest.
const VERSION: u32 = 3;
/// The first digits of SHA-256 over the programs, by build.rs.
const DIGEST: &str = env!("QUIXOTE_PROGRAMS");

/// One set, which may be loaded or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set(PathBuf);

impl Set {
    /// The one of this program.
    pub(crate) fn own() -> Self {
        Self(Path::new(BPFFS).join(format!("{PREFIX}{VERSION}-{DIGEST}")))
    }

    /// All that have a directory, whole or not.
    pub(crate) fn all() -> Vec<Self> {
        let entries = fs::read_dir(BPFFS).into_iter().flatten().flatten();
        let mut sets: Vec<_> =
            entries.map(|entry| entry.path()).filter(|path| is_set(path)).collect();
        sets.sort();
        sets.into_iter().map(Self).collect()
    }

    /// Those that namespaces can run under.
    pub(crate) fn loaded() -> Vec<Self> {
        Self::all().into_iter().filter(Self::is_loaded).collect()
    }

    /// Links come last and go first.
    pub(crate) fn is_loaded(&self) -> bool {
        self.links().exists()
    }

    pub(crate) fn is_own(&self) -> bool {
        *self == Self::own()
    }

    /// Whether it is known what the sets of its version have in common.
    fn is_of_our_version(&self) -> bool {
        self.name().split_once('-').is_some_and(|(version, _)| version == VERSION.to_string())
    }

    /// As users are told.
    pub(crate) fn name(&self) -> String {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(PREFIX).unwrap_or_default().into()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn maps(&self) -> PathBuf {
        self.0.join("maps")
    }

    pub(crate) fn links(&self) -> PathBuf {
        self.0.join("links")
    }

    pub(crate) fn full_links(&self) -> PathBuf {
        self.0.join("full-links")
    }

    pub(crate) fn lockdown(&self) -> PathBuf {
        self.0.join("lockdown")
    }

    /// Those of the programs that are attached.
    pub(crate) fn programs(&self) -> Vec<String> {
        let directories = [self.links(), self.full_links()];
        let entries = directories.iter().flat_map(fs::read_dir).flatten().flatten();
        let mut programs: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        programs.sort();
        programs
    }

    pub(crate) fn map(&self, name: &str) -> Result<MapHandle, KernelError> {
        let map = MapHandle::from_pinned_path(self.maps().join(name));
        map.map_err(|source| KernelError::Map { name: name.into(), source })
    }

    /// Makes its directories; nobody but root writes to them.
    pub(crate) fn make_directories(&self) -> Result<(), KernelError> {
        let mut maker = fs::DirBuilder::new();
        maker.recursive(true).mode(0o755).create(self.maps()).map_err(cannot_use(&self.0))
    }

    /// How many namespaces run under it.
    ///
    /// # Errors
    ///
    /// Its map of namespaces cannot be read, or is none that this program knows how to read.
    pub(crate) fn namespaces(&self) -> Result<usize, KernelError> {
        if !self.maps().join("namespaces").exists() {
            return Ok(0);
        }
        let map = self.map("namespaces")?;
        if !self.is_of_our_version()
            || map.key_size() != 4
            || (map.value_size() as usize) < wire::KNOWN_TO_ALL
        {
            return Err(KernelError::UnknownSet(self.name()));
        }
        let mut running = 0;
        for slot in 0..map.max_entries() {
            let read = map.lookup(&slot.to_ne_bytes(), MapFlags::ANY);
            let read =
                read.map_err(|source| KernelError::Map { name: "namespaces".into(), source })?;
            running += usize::from(read.is_some_and(|octets| wire::is_used(&octets)));
        }
        Ok(running)
    }

    /// Detaches and removes it. Nobody may use it, and the lock has to be held.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        // From here on it is not loaded, whatever becomes of us.
        let detached = self.0.join("links-in-the-making");
        if self.is_loaded() {
            let _ = fs::remove_dir_all(&detached);
            fs::rename(self.links(), &detached).map_err(cannot_use(self.links()))?;
        }
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(cannot_use(&self.0)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Whoever may make directories here could make one that looks like a set: only root's counts.
fn is_set(path: &Path) -> bool {
    let named =
        path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with(PREFIX));
    let found = fs::symlink_metadata(path);
    named
        && found.is_ok_and(|found| found.is_dir() && found.uid() == 0 && found.mode() & 0o022 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_by_version_and_programs() {
        let name = Set::own().name();
        let (version, digest) = name.split_once('-').unwrap();
        assert_eq!(version, VERSION.to_string());
        assert!(digest.len() == 16 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let named = |name| Set(Path::new(BPFFS).join(name));
        assert!(Set::own().is_of_our_version() && named("quixote-3-0").is_of_our_version());
        assert!(
            !named("quixote-2").is_of_our_version() && !named("quixote-4-0").is_of_our_version()
        );
        assert!(Set::own().is_own() && !Set(Path::new(BPFFS).join("quixote-2")).is_own());
    }

    #[test]
    fn only_a_directory_of_this_name_that_others_cannot_write_to_is_a_set() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("quixote-sets-{}", std::process::id()));
        fs::create_dir_all(folder.join("other")).unwrap();
        let set = folder.join("quixote-3-0123456789abcdef");
        fs::create_dir_all(&set).unwrap();
        std::os::unix::fs::symlink(&set, folder.join("quixote-link")).unwrap();
        let own = fs::metadata(&set).unwrap().uid() == 0;
        let mode = |mode| fs::set_permissions(&set, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        assert_eq!(is_set(&set), own);
        assert!(!is_set(&folder.join("quixote-link")) && !is_set(&folder.join("other")));
        mode(0o777);
        assert!(!is_set(&set));
        fs::remove_dir_all(folder).unwrap();
    }
}
