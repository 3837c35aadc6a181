//! What pacman has installed, and the packages of its cache, which vouch for it.
//!
//! pacman's local database has digests (`mtree`) that nobody signed. What was signed is the package file, which its cache keeps
//! with the signature beside it, until somebody cleans it.

use std::path::Path;
use std::path::PathBuf;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;

use crate::installed::Installed;
use crate::openpgp::Keyring;
use crate::problem::NotVouched;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::signed_file;
use crate::signed_file::Kind;
use crate::statements::PackageReading;

/// The database of what is installed, below a root.
pub const LOCAL: &str = "var/lib/pacman/local";
/// Where pacman keeps package files, below a root.
pub const CACHE: &str = "var/cache/pacman/pkg";
/// How packages are compressed.
const SUFFIXES: [&str; 4] = ["zst", "xz", "gz", "lz4"];
/// Most packages of one system.
const MAX_PACKAGES: usize = 100_000;

/// Reads an installed package's file, of the first of `folders` that has it, by the signature beside it.
pub fn read(
    installed: &Installed,
    folders: &[PathBuf],
    keys: &Keyring,
    now_s: u64,
    readers: &mut Readers,
) -> Result<PackageReading, NotVouched> {
    let Installed { name, version, arch } = installed;
    let not = |why| NotVouched { what: format!("{name} {version}"), why };
    let stem = format!("{name}-{version}-{arch}.pkg.tar");
    let names = SUFFIXES.map(|suffix| format!("{stem}.{suffix}"));
    let path = Installed::find_in(&names, folders).ok_or_else(|| not(Problem::NoPackageFile))?;
    let reading = signed_file::read(&path, Kind::Arch, keys, now_s, readers).map_err(not)?;
    let package = &reading.package;
    if !installed.is([&package.name, &package.version, &package.arch]) {
        return Err(not(Problem::Changed("name, version or architecture")));
    }
    Ok(reading)
}

/// What pacman has installed below `root`, sorted, and what of its database cannot be read.
pub fn installed(
    root: &Path,
    readers: &mut Readers,
) -> Result<(Vec<Installed>, Vec<NotVouched>), Problem> {
    let local = root.join(LOCAL);
    let (mut all, mut not) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&local).map_err(Problem::file(&local))? {
        let folder = entry.map_err(Problem::file(&local))?.path();
        if !folder.is_dir() {
            continue;
        }
        if all.len() + not.len() == MAX_PACKAGES {
            return Err(Problem::TooLarge("number of packages"));
        }
        match describe(&folder, readers) {
            Ok(package) => all.push(package),
            Err(why) => not.push(NotVouched { what: folder.display().to_string(), why }),
        }
    }
    all.sort();
    Ok((all, not))
}

fn describe(folder: &Path, readers: &mut Readers) -> Result<Installed, Problem> {
    let octets = crate::deb::read(&folder.join("desc"))?;
    let mut found = None;
    readers.ask(Domain::Local, Job::PacmanDesc, &mut &octets[..], &mut |said| {
        let Statement::Package { name, version, arch } = said else {
            return Err(Refusal::Malformed.into());
        };
        found = Some(Installed::said([name, version, arch])?);
        Ok(())
    })?;
    found.ok_or(Problem::Missing("name"))
}
