//! The verified references of a whole system: of its rpm database, or of what dpkg has installed.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use crate::deb;
use crate::deb::Indexes;
use crate::installed::Installed;
use crate::openpgp::Keyring;
use crate::pacman;
use crate::problem::NotVouched;
use crate::problem::Problem;
use crate::readers::Isolation;
use crate::readers::Readers;
use crate::record::FileFlags;
use crate::record::Reference;
use crate::rpm;
use crate::statements::PackageReading;
use crate::store::Store;

/// What to scan, and with what.
#[derive(Debug)]
pub struct Scan<'a> {
    /// The system's root directory.
    pub root: &'a Path,
    /// Pinned certificates.
    pub keys: &'a Keyring,
    /// The time, in seconds since 1970.
    pub now_s: u64,
    /// How parsers are kept apart.
    pub isolation: Isolation,
    /// Threads, each with parsers of its own.
    pub threads: usize,
    /// Where package files may lie, beside apt's own folder.
    pub folders: &'a [PathBuf],
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Found {
    /// What is vouched for, by package and in the order of the package's own list.
    pub references: Vec<Reference>,
    /// Packages that vouch.
    pub packages: usize,
    /// What does not vouch, and why.
    pub not: Vec<NotVouched>,
    /// Parser processes that were started.
    pub processes: u64,
}

/// Told as a scan goes on: what is done, and of how many that were found so far.
pub type Progress<'p> = &'p (dyn Fn(usize, usize) + Sync);

impl Scan<'_> {
    /// Scans every package database that is there.
    pub fn run(&self, progress: Progress<'_>) -> Result<Found, Problem> {
        let mut found = Found::default();
        let rpm = rpm::DATABASES.iter().map(|path| self.root.join(path)).find(|path| path.exists());
        if let Some(path) = rpm {
            self.rpm(&path, progress, &mut found)?;
        }
        if self.root.join("var/lib/dpkg/status").exists() {
            self.deb(progress, &mut found)?;
        }
        if self.root.join(pacman::LOCAL).is_dir() {
            self.pacman(progress, &mut found)?;
        }
        if found.packages == 0 && found.not.is_empty() {
            return Err(Problem::Missing("package database"));
        }
        Ok(found)
    }

    /// Scans one rpm database.
    pub fn rpm(
        &self,
        path: &Path,
        progress: Progress<'_>,
        found: &mut Found,
    ) -> Result<(), Problem> {
        let mut readers = Readers::new(self.isolation);
        let mut refused = Vec::new();
        let headers = |send: &mut dyn FnMut(rpm::StoredHeader)| {
            refused = rpm::database(path, &mut readers, send)?;
            Ok(())
        };
        self.each(headers, progress, found, |header, readers| {
            header.read(self.keys, self.now_s, readers)
        })?;
        found.processes += readers.started();
        let refused = refused.into_iter();
        found.not.extend(refused.map(|(what, why)| NotVouched { what, why: why.into() }));
        Ok(())
    }

    fn deb(&self, progress: Progress<'_>, found: &mut Found) -> Result<(), Problem> {
        let mut readers = Readers::new(self.isolation);
        let installed = deb::installed(self.root, &mut readers)?;
        let (indexes, not) = Indexes::of_apt(self.root, self.keys, self.now_s, &mut readers);
        found.processes += readers.started();
        found.not.extend(not);
        let store = Store::open(&self.root.join(crate::store::STORE));
        let store = match store {
            Ok(store) => Some(Mutex::new(store)),
            Err(problem) => {
                let what = "kept evidence".to_owned();
                found.not.push(NotVouched { what, why: problem.into() });
                None
            }
        };
        let mut folders = self.folders.to_vec();
        folders.push(self.root.join(deb::ARCHIVES));
        let before = found.references.len();
        self.each(all_of(&installed), progress, found, |package, readers| {
            self.installed(package, store.as_ref(), &folders, &indexes, readers)
        })?;
        let placed = Placement::of(self.root);
        for reference in &mut found.references[before..] {
            placed.place(reference);
        }
        Ok(())
    }

    /// pacman keeps no digest that is signed; the packages in its cache are, each by a signature beside it.
    fn pacman(&self, progress: Progress<'_>, found: &mut Found) -> Result<(), Problem> {
        let mut readers = Readers::new(self.isolation);
        let (installed, not) = pacman::installed(self.root, &mut readers)?;
        found.processes += readers.started();
        found.not.extend(not);
        let mut folders = self.folders.to_vec();
        folders.push(self.root.join(pacman::CACHE));
        self.each(all_of(&installed), progress, found, |package, readers| {
            pacman::read(package, &folders, self.keys, self.now_s, readers).map(Some)
        })
    }

    /// From the package's file where there is one, otherwise from kept evidence.
    fn installed(
        &self,
        package: &Installed,
        store: Option<&Mutex<Store>>,
        folders: &[PathBuf],
        indexes: &Indexes,
        readers: &mut Readers,
    ) -> Result<Option<PackageReading>, NotVouched> {
        let not = |why| NotVouched { what: format!("{} {}", package.name, package.version), why };
        if let Some(store) = store {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            let recalled = store.recall(package, self.keys, self.now_s, readers);
            match recalled.map_err(|problem| not(problem.into()))? {
                Some(reading) => return Ok(Some(reading)),
                None => drop(store),
            }
        }
        let path = deb::find(package, folders).ok_or_else(|| not(Problem::NoEvidence))?;
        let deb = deb::package(&path, indexes, readers).map_err(not)?;
        if !package.is(deb.listed.identity.each_ref()) {
            return Err(not(Problem::Changed("name, version or architecture")));
        }
        Ok(Some(deb.reading))
    }

    /// Reads every item that `produce` sends, several at a time and while it goes on; the order of the result is that of
    /// the items. Nothing was found if `produce` fails.
    fn each<T: Send>(
        &self,
        produce: impl FnOnce(&mut dyn FnMut(T)) -> Result<(), Problem>,
        progress: Progress<'_>,
        found: &mut Found,
        read: impl Fn(&T, &mut Readers) -> Result<Option<PackageReading>, NotVouched> + Sync,
    ) -> Result<(), Problem> {
        let (sender, receiver) = mpsc::channel();
        let queue = Mutex::new(receiver.into_iter().enumerate());
        let (sent, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let one_thread = || {
            let mut readers = Readers::new(self.isolation);
            let mut results = Vec::new();
            while let Some((index, item)) = next() {
                results.push((index, read(&item, &mut readers)));
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                progress(done, sent.load(Ordering::Relaxed).max(done));
            }
            (results, readers.started())
        };
        let (mut results, mut processes) = (Vec::new(), 0);
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.threads.max(1)).map(|_| scope.spawn(one_thread)).collect();
            let produced = produce(&mut |item| {
                sent.fetch_add(1, Ordering::Relaxed);
                // The other end lives as long as this scope.
                let _ = sender.send(item);
            });
            drop(sender);
            for thread in threads {
                if let Ok((some, started)) = thread.join() {
                    results.extend(some);
                    processes += started;
                }
            }
            produced
        })?;
        found.processes += processes;
        found.add(results, sent.into_inner());
        Ok(())
    }
}

/// Sends what is known already.
fn all_of<'a, T>(items: &'a [T]) -> impl FnOnce(&mut dyn FnMut(&'a T)) -> Result<(), Problem> {
    |send| {
        items.iter().for_each(send);
        Ok(())
    }
}

/// What became of an item, by its number.
type Finished = (usize, Result<Option<PackageReading>, NotVouched>);

impl Found {
    fn add(&mut self, mut results: Vec<Finished>, sent: usize) {
        results.sort_by_key(|(index, _)| *index);
        // A thread that panicked took its items with it: what has no result is not vouched for.
        let lost = sent - results.len();
        if lost > 0 {
            let what = format!("{lost} packages");
            self.not.push(NotVouched { what, why: Problem::Lost });
        }
        for (_, result) in results {
            match result {
                Ok(Some(reading)) => {
                    self.packages += 1;
                    self.references.extend(reading.references);
                }
                Ok(None) => {}
                Err(not) => self.not.push(not),
            }
        }
    }
}

/// Where dpkg's files really are, behind diversions and the aliases of a merged `/usr`; and with which permissions.
struct Placement {
    modes: std::collections::HashMap<Vec<u8>, u32>,
    diversions: std::collections::HashMap<Vec<u8>, (Vec<u8>, String)>,
    aliases: Vec<(Vec<u8>, Vec<u8>)>,
}

const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

impl Placement {
    fn of(root: &Path) -> Self {
        let alias = |name: &&str| {
            let usual = format!("usr/{name}");
            let target = std::fs::read_link(root.join(name)).ok()?;
            let plain = target == Path::new(&usual) || target == Path::new("/").join(&usual);
            plain.then(|| (format!("/{name}/").into_bytes(), format!("/{usual}/").into_bytes()))
        };
        Self {
            modes: deb::mode_overrides(root),
            diversions: deb::diversions(root),
            aliases: MERGED.iter().filter_map(alias).collect(),
        }
    }

    fn place(&self, reference: &mut Reference) {
        if let Some(mode) = self.modes.get(&*reference.path) {
            reference.mode = reference.mode.map(|stated| stated & !0o7777 | mode);
        }
        if let Some((to, owner)) = self.diversions.get(&*reference.path)
            && *owner != reference.package.name
        {
            reference.path = to.as_slice().into();
            reference.flags = reference.flags.with(FileFlags::DIVERTED);
        }
        let alias = self.aliases.iter().find(|alias| reference.path.starts_with(&alias.0));
        if let Some((from, to)) = alias {
            reference.path = [to, &reference.path[from.len()..]].concat().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Format;
    use crate::record::Package;
    use crate::record::Verified;
    use crate::statements::Stated;
    use std::sync::Arc;

    fn placed(placement: &Placement, path: &str, package: &str) -> (String, Option<u32>, bool) {
        let package = Arc::new(Package {
            format: Format::Deb,
            name: package.to_owned(),
            version: "1".to_owned(),
            arch: "amd64".to_owned(),
            signer: None,
            verified: Verified::Unsigned,
        });
        let stated = Stated::new(path.as_bytes(), crate::Algorithm::Sha256, &[0; 32]);
        let mut reference = Reference { mode: Some(0o104_755), ..stated.with(&package) };
        placement.place(&mut reference);
        let path = String::from_utf8_lossy(&reference.path).into_owned();
        (path, reference.mode, reference.flags.has(FileFlags::DIVERTED))
    }

    #[test]
    fn files_lie_and_are_permitted_as_dpkg_was_told() {
        let root = tempfile::tempdir().unwrap();
        let dpkg = root.path().join("var/lib/dpkg");
        std::fs::create_dir_all(&dpkg).unwrap();
        std::os::unix::fs::symlink("usr/bin", root.path().join("bin")).unwrap();
        std::fs::write(dpkg.join("diversions"), "/bin/a\n/bin/a.real\nother\n").unwrap();
        let overrides =
            "root root 0750 /bin/su\nroot root 99 /bin/b\nroot root 0700 relative\n\n0\n";
        std::fs::write(dpkg.join("statoverride"), overrides).unwrap();
        let placement = Placement::of(root.path());
        let stated = Some(0o104_755);
        for (path, package, expected) in [
            ("/bin/su", "p", ("/usr/bin/su", Some(0o100_750), false)),
            ("/bin/b", "p", ("/usr/bin/b", stated, false)),
            ("/bin/a", "p", ("/usr/bin/a.real", stated, true)),
            ("/bin/a", "other", ("/usr/bin/a", stated, false)),
            ("/binary", "p", ("/binary", stated, false)),
        ] {
            let (path, mode, diverted) = placed(&placement, path, package);
            assert_eq!((path.as_str(), mode, diverted), expected);
        }
    }
}
