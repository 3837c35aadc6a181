//! What the `rpm` crate reads in package files.
//!
//! It panics and runs out of memory on some mutated files, so it reads them in a process of its own: this very
//! program, started again with nothing to do but that.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

const FILES: &str = "QUIXOTE_TEST_RPM_CRATE_FILES";
const MEMORY_OCTETS: u64 = 2 << 30;

/// What the crate says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opinion {
    /// The digests hold, and it has these files, each path with its digest, sorted.
    Files(Vec<(String, String)>),
    /// It cannot be read, or a digest does not hold.
    Refused,
    /// It panicked.
    Panicked,
    /// Its process ended.
    Aborted,
}

/// The crate in processes of its own.
pub(super) struct RpmCrate {
    folder: tempfile::TempDir,
}

impl RpmCrate {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The opinions, in the order of the files. A process that ends is followed by another for the rest.
    pub(super) fn opinions(&self, files: &[PathBuf]) -> Vec<Opinion> {
        let mut all = Vec::new();
        while all.len() < files.len() {
            all.extend(self.read(&files[all.len()..]));
            if all.len() < files.len() {
                all.push(Opinion::Aborted);
            }
        }
        all
    }

    fn read(&self, files: &[PathBuf]) -> Vec<Opinion> {
        let (list, told) = (self.folder.path().join("files"), self.folder.path().join("told"));
        let lines: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
        std::fs::write(&list, lines.join("\n")).unwrap();
        std::fs::write(&told, "").unwrap();
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "mutations::rpm_crate::reads_files", "--ignored"]);
        again.env(FILES, self.folder.path()).output().unwrap();
        let told = std::fs::read_to_string(&told).unwrap();
        told.split_inclusive("\n\n").filter(|said| said.ends_with("\n\n")).map(opinion).collect()
    }
}

/// A word, then a line for each file, then an empty one.
fn opinion(said: &str) -> Opinion {
    let mut lines = said.trim_end().lines();
    match lines.next() {
        Some("files") => {
            let row = |line: &str| line.split_once(' ').map(|(a, b)| (b.to_owned(), a.to_owned()));
            Opinion::Files(lines.map(|line| row(line).unwrap()).collect())
        }
        Some("refused") => Opinion::Refused,
        Some("panicked") => Opinion::Panicked,
        other => panic!("{other:?}"),
    }
}

/// The process that reads. By itself it does nothing.
#[test]
#[ignore = "started by the tests of mutated packages"]
fn reads_files() {
    let Some(folder) = std::env::var_os(FILES) else { return };
    let limit =
        rustix::process::Rlimit { current: Some(MEMORY_OCTETS), maximum: Some(MEMORY_OCTETS) };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
    let folder = Path::new(&folder);
    let mut told = std::fs::File::options().append(true).open(folder.join("told")).unwrap();
    for file in std::fs::read_to_string(folder.join("files")).unwrap().lines() {
        let octets = std::fs::read(file).unwrap();
        let said = match std::panic::catch_unwind(|| files(&octets)) {
            Ok(Some(said)) => said,
            Ok(None) => "refused\n".to_owned(),
            Err(_) => "panicked\n".to_owned(),
        };
        told.write_all(format!("{said}\n").as_bytes()).unwrap();
    }
}

fn files(octets: &[u8]) -> Option<String> {
    let package = rpm::Package::parse(&mut &*octets).ok()?;
    package.verify_digests().ok()?;
    let entries = package.metadata.get_file_entries().ok()?;
    let mut rows: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((entry.path().to_str()?.to_owned(), entry.digest()?.to_string())))
        .collect();
    rows.sort();
    let mut said = "files\n".to_owned();
    for (path, digest) in rows {
        writeln!(said, "{digest} {path}").unwrap();
    }
    Some(said)
}
