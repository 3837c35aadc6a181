//! rpm's own verdict on package files.

use super::Mutant;
use crate::fixture::FIXTURE;
use std::path::PathBuf;

/// What rpmkeys says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Signatures and digests hold.
    Good,
    /// It was read, and one of them does not.
    Bad,
    /// It could not be read.
    Unreadable,
}

/// A database with one key, and a folder for files.
pub(super) struct Rpmkeys {
    folder: tempfile::TempDir,
    database: String,
}

impl Rpmkeys {
    pub(super) fn with_key(signer: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("_dbpath {}", folder.path().join("db").display());
        let key = FIXTURE.path(&format!("{signer}.asc"));
        FIXTURE.run("rpmkeys", &["-D", &database, "--import", key.to_str().unwrap()]);
        Self { folder, database }
    }

    /// Writes the files, each with a name that is no other's beginning.
    pub(super) fn write(&self, batch: &[Mutant]) -> Vec<PathBuf> {
        let write = |(number, mutant): (usize, &Mutant)| {
            let file = self.folder.path().join(format!("{number:04}.rpm"));
            std::fs::write(&file, &mutant.octets).unwrap();
            file
        };
        batch.iter().enumerate().map(write).collect()
    }

    /// The verdicts, in the order of the files.
    pub(super) fn verdicts(&self, files: &[PathBuf]) -> Vec<Verdict> {
        let mut rpmkeys = std::process::Command::new("rpmkeys");
        rpmkeys.args(["-D", &self.database, "-D", "_pkgverify_level all", "-K"]).env("LC_ALL", "C");
        let output = rpmkeys.args(files).output().unwrap();
        assert!(output.status.code().is_some(), "rpmkeys: {:?}", output.status);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        // A file that cannot be read has its name told and neither a verdict nor the end of the line: the next
        // file's name follows on the same line.
        let folder = format!("{}/", self.folder.path().display());
        let pieces: Vec<&str> = told.split(&folder).skip(1).collect();
        assert_eq!(pieces.len(), files.len(), "{told}");
        let verdict = |(number, piece): (usize, &&str)| {
            let said = piece.strip_prefix(&format!("{number:04}.rpm:")).expect("in order");
            match said.trim() {
                "" => Verdict::Unreadable,
                "digests signatures OK" => Verdict::Good,
                said if said.ends_with("NOT OK") => Verdict::Bad,
                said => panic!("not understood: {said}"),
            }
        };
        pieces.iter().enumerate().map(verdict).collect()
    }
}
