//! pacman's own database, and the packages of its cache.

use std::fs;
use std::path::Path;

use crate::fixture::FIXTURE;
use crate::fixture::NOW_S;
use crate::others::sign;
use crate::others::write;
use references::Verified;
use references::problem::Problem;
use references::readers::Isolation;
use references::scan::Found;
use references::scan::Scan;

/// Installs a package in `root`, with its file in the cache.
fn install(root: &Path, name: &str, version_in_file: &str) {
    let desc = format!("%NAME%\n{name}\n\n%VERSION%\n1.0-1\n\n%ARCH%\nx86_64\n");
    write(root, &format!("var/lib/pacman/local/{name}-1.0-1/desc"), &desc);
    let info = format!("pkgname = {name}\npkgver = {version_in_file}\narch = x86_64\n");
    write(root, "build/.PKGINFO", &info);
    write(root, &format!("build/usr/bin/{name}"), name);
    let cache = root.join("var/cache/pacman/pkg");
    fs::create_dir_all(&cache).unwrap();
    let file = format!("{name}-1.0-1-x86_64.pkg.tar.zst");
    let place = cache.join(&file);
    let place = place.to_str().unwrap();
    FIXTURE.run_in(root, "tar", &["-C", "build", "--zstd", "-cf", place, ".PKGINFO", "usr"]);
    fs::remove_dir_all(root.join("build")).unwrap();
    sign(&cache, &file);
}

fn scan(root: &Path) -> Found {
    let (keys, isolation) = (FIXTURE.keys(&["eddsa"]), Isolation::Signer);
    let scan = Scan { root, keys: &keys, now_s: NOW_S, isolation, threads: 2, folders: &[] };
    scan.run(&|_, _| {}).unwrap()
}

#[test]
fn pacmans_packages_vouch_by_what_its_cache_keeps() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for (name, version_in_file) in [("kept", "1.0-1"), ("cleaned", "1.0-1"), ("liar", "0.9-1")] {
        install(root, name, version_in_file);
    }
    fs::remove_file(root.join("var/cache/pacman/pkg/cleaned-1.0-1-x86_64.pkg.tar.zst")).unwrap();
    write(root, "var/lib/pacman/local/ALPM_DB_VERSION", "9\n");
    write(root, "var/lib/pacman/local/damaged-1-1/desc", "%NAME%\n");
    let escape = "%NAME%\n../../../../kept\n\n%VERSION%\n1.0-1\n\n%ARCH%\nx86_64\n";
    write(root, "var/lib/pacman/local/escape-1-1/desc", escape);
    let found = scan(root);
    assert_eq!(found.packages, 1, "{:?}", found.not);
    assert_eq!(&*found.references[0].path, b"/usr/bin/kept");
    assert_eq!(found.references[0].package.verified, Verified::Signature);
    let why = |name: &str| {
        let found = found.not.iter().find(|not| not.what.contains(name));
        &found.unwrap_or_else(|| panic!("{name}: {found:?}")).why
    };
    assert!(matches!(why("cleaned"), Problem::NoPackageFile));
    assert!(matches!(why("liar"), Problem::Changed(_)));
    assert!(matches!(why("damaged"), Problem::Refused(_)));
    assert!(matches!(why("kept 1.0-1"), Problem::NoPackageFile), "a name that leads elsewhere");
    assert_eq!(found.not.len(), 4, "{:?}", found.not);
}
