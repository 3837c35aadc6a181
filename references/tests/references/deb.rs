use std::path::Path;
use std::path::PathBuf;

use crate::fixture::FIXTURE;
use crate::fixture::NOW_S;
use references::FileFlags;
use references::Verified;
use references::deb;
use references::deb::Indexes;
use references::openpgp::SignatureProblem;
use references::problem::Problem;
use references::readers::Isolation;
use references::readers::Readers;
use references::scan::Found;
use references::scan::Scan;
use references::store::STORE;
use references::store::Store;
use references::verify::Difference;

/// A system with one installed package, the repository's lists, and the package file.
struct System {
    folder: tempfile::TempDir,
    deb: PathBuf,
}

const LIST: &str = "repo.invalid_dists_stable_";

impl System {
    /// Compressed as said; the index as apt keeps it by some configurations.
    fn make(compression: &str, index_suffix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let build = folder.path().join("build");
        let write = |path: &str, text: &str| {
            let path = build.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("bin/tool", "tool\n");
        write("etc/tool.conf", "setting\n");
        write("usr/share/tool/data", "data\n");
        write("DEBIAN/conffiles", "/etc/tool.conf\n");
        let control = "Package: tool\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: M <m@example.invalid>\n\
                       Description: a tool\n";
        write("DEBIAN/control", control);
        std::fs::hard_link(build.join("bin/tool"), build.join("bin/again")).unwrap();
        let system = Self { deb: folder.path().join("tool_1%3a2.0-1_all.deb"), folder };
        let kind = format!("-Z{compression}");
        let deb = system.deb.to_str().unwrap();
        FIXTURE.run(
            "dpkg-deb",
            &["--root-owner-group", &kind, "--build", build.to_str().unwrap(), deb],
        );
        system.publish(control, index_suffix);
        system.install(control);
        system
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// An index that lists the package, and a signed release that lists the index.
    fn publish(&self, control: &str, suffix: &str) {
        let lists = self.root().join(deb::LISTS);
        std::fs::create_dir_all(&lists).unwrap();
        let sum = |path: &Path| {
            let text = FIXTURE.run("sha256sum", &[path.to_str().unwrap()]);
            let text = text.trim_start_matches('\\').to_owned();
            (text[..64].to_owned(), std::fs::metadata(path).unwrap().len())
        };
        let (digest, size) = sum(&self.deb);
        let index = lists.join(format!("{LIST}main_binary-all_Packages"));
        let filename = "pool/tool.deb";
        let stanza = format!("{control}Filename: {filename}\nSize: {size}\nSHA256: {digest}\n\n");
        std::fs::write(&index, stanza).unwrap();
        let (digest, size) = sum(&index);
        let release = format!(
            "Origin: Test\nSuite: stable\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n \
             {digest} {size} main/binary-all/Packages\n"
        );
        let plain = self.folder.path().join("Release");
        std::fs::write(&plain, release).unwrap();
        let signed = lists.join(format!("{LIST}InRelease"));
        let key = "rsa@example.invalid";
        let arguments = ["--batch", "--yes", "--local-user", key, "--output"];
        let files = [signed.to_str().unwrap(), "--clear-sign", plain.to_str().unwrap()];
        FIXTURE.run("gpg", &[&arguments[..], &files].concat());
        match suffix {
            ".xz" => drop(FIXTURE.run("xz", &[index.to_str().unwrap()])),
            ".zst" => drop(FIXTURE.run("zstd", &["-q", "--rm", index.to_str().unwrap()])),
            _ => {}
        }
    }

    /// `Release` and `Release.gpg` in place of `InRelease`.
    fn sign_apart(&self) {
        let lists = self.root().join(deb::LISTS);
        std::fs::remove_file(lists.join(format!("{LIST}InRelease"))).unwrap();
        let plain = lists.join(format!("{LIST}Release"));
        std::fs::copy(self.folder.path().join("Release"), &plain).unwrap();
        let sign = ["--batch", "--armor", "--local-user", "rsa@example.invalid", "--output"];
        let signature = lists.join(format!("{LIST}Release.gpg"));
        let files = [signature.to_str().unwrap(), "--detach-sign", plain.to_str().unwrap()];
        FIXTURE.run("gpg", &[&sign[..], &files].concat());
    }

    fn install(&self, control: &str) {
        let root = self.root();
        std::fs::create_dir_all(root.join("var/lib/dpkg")).unwrap();
        std::fs::create_dir_all(root.join("usr/bin")).unwrap();
        // A merged /usr, as every Debian has it now.
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        let status = control.replacen("Version", "Status: install ok installed\nVersion", 1);
        std::fs::write(root.join("var/lib/dpkg/status"), status).unwrap();
        let unpacked = FIXTURE.run("dpkg-deb", &["-c", self.deb.to_str().unwrap()]);
        assert!(unpacked.contains("tool.conf"));
        for path in ["etc/tool.conf", "usr/share/tool/data"] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::copy(self.folder.path().join("build").join(path), root.join(path)).unwrap();
        }
        for name in ["tool", "again"] {
            let from = self.folder.path().join("build/bin").join(name);
            std::fs::copy(from, root.join("usr/bin").join(name)).unwrap();
        }
    }

    fn scan(&self, signer: &str, with_file: bool) -> Found {
        let keys = FIXTURE.keys(&[signer]);
        let folders = if with_file { vec![self.folder.path().to_owned()] } else { Vec::new() };
        let (root, isolation) = (self.root(), Isolation::Signer);
        let scan = Scan {
            root: &root,
            keys: &keys,
            now_s: NOW_S,
            isolation,
            threads: 2,
            folders: &folders,
        };
        scan.run(&|_, _| {}).unwrap()
    }
}

fn paths(found: &Found) -> Vec<String> {
    let mut paths: Vec<_> = found
        .references
        .iter()
        .map(|one| String::from_utf8_lossy(&one.path).into_owned())
        .collect();
    paths.sort();
    paths
}

const PATHS: [&str; 4] =
    ["/etc/tool.conf", "/usr/bin/again", "/usr/bin/tool", "/usr/share/tool/data"];

#[test]
fn the_chain_holds_from_release_to_file_for_every_compression() {
    for (compression, suffix) in [("xz", ""), ("zstd", ".xz"), ("gzip", ".zst"), ("none", "")] {
        let system = System::make(compression, suffix);
        let found = system.scan("rsa", true);
        assert!(found.not.is_empty(), "{compression}: {:?}", found.not);
    }
}

#[test]
fn the_chain_holds_and_paths_are_where_files_really_lie() {
    let system = System::make("xz", "");
    let found = system.scan("rsa", true);
    assert!(found.not.is_empty(), "{:?}", found.not);
    assert_eq!(paths(&found), PATHS);
    let package = &found.references[0].package;
    assert_eq!((package.version.as_str(), package.verified), ("1:2.0-1", Verified::Release));
    let conf = found.references.iter().find(|one| &*one.path == b"/etc/tool.conf").unwrap();
    assert!(conf.flags.has(FileFlags::CONFIG));
    // Every file is as the package has it; then one octet is not.
    let root = system.root();
    let verify = || references::verify::verify(&root, &found.references, 2, &|_, _| {}).unwrap();
    assert_eq!(verify().same, 4);
    std::fs::write(root.join("usr/bin/tool"), "tooL\n").unwrap();
    std::fs::remove_file(root.join("usr/share/tool/data")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("usr/share/tool/data")).unwrap();
    let differences: Vec<_> = verify().differences.iter().map(|one| one.1).collect();
    assert_eq!(differences, [Difference::Contents, Difference::Kind]);
}

#[test]
fn a_break_anywhere_in_the_chain_vouches_for_nothing() {
    let broken = |change: &dyn Fn(&System)| {
        let system = System::make("gzip", "");
        change(&system);
        let found = system.scan("rsa", true);
        assert!(found.references.is_empty());
        found.not.into_iter().map(|not| not.why.to_string()).collect::<Vec<_>>().join("; ")
    };
    let rewrite = |path: PathBuf, from: &str, to: &str| {
        let octets = std::fs::read(&path).unwrap();
        let at = octets.windows(from.len()).position(|some| some == from.as_bytes()).unwrap();
        let octets = [&octets[..at], to.as_bytes(), &octets[at + from.len()..]].concat();
        std::fs::write(&path, octets).unwrap();
    };
    let list =
        |system: &System, name: &str| system.root().join(deb::LISTS).join(format!("{LIST}{name}"));
    let changed = broken(&|system| rewrite(list(system, "InRelease"), "stable", "unstab"));
    assert!(changed.contains("does not hold"), "{changed}");
    let index = broken(&|s| rewrite(list(s, "main_binary-all_Packages"), "a tool", "a fool"));
    assert!(index.contains("digest differs"), "{index}");
    let deb = broken(&|system| rewrite(system.deb.clone(), "debian-binary", "debian-binarY"));
    assert!(deb.contains("no signed index"), "{deb}");
    let other = broken(&|s| rewrite(s.root().join("var/lib/dpkg/status"), "1:2.0-1", "1:2.0-2"));
    assert!(other.contains("nothing is left"), "{other}");
    let text = "something that nobody signed\n";
    let before = broken(&|system| {
        let path = list(system, "InRelease");
        let octets = std::fs::read(&path).unwrap();
        std::fs::write(&path, [text.as_bytes(), &octets].concat()).unwrap();
    });
    assert!(before.contains("not of this format"), "{before}");
}

#[test]
fn a_release_with_its_signature_apart_counts_as_well() {
    let system = System::make("xz", "");
    system.sign_apart();
    assert_eq!(paths(&system.scan("rsa", true)), PATHS);
    assert!(system.scan("eddsa", true).references.is_empty());
    let keys = FIXTURE.keys(&["rsa"]);
    let mut readers = Readers::default();
    let (indexes, _) = Indexes::of_apt(&system.root(), &keys, NOW_S, &mut readers);
    let deb = deb::package(&system.deb, &indexes, &mut readers).unwrap();
    Store::open(&system.root().join(STORE)).unwrap().keep(&deb, &indexes).unwrap();
    let lists = system.root().join(deb::LISTS);
    let release = lists.join(format!("{LIST}Release"));
    let text = std::fs::read_to_string(&release).unwrap();
    std::fs::write(&release, text.replace("stable", "unstab")).unwrap();
    let (indexes, not) = Indexes::of_apt(&system.root(), &keys, NOW_S, &mut readers);
    assert!(indexes.is_empty());
    assert!(matches!(not[0].why, Problem::Signature(SignatureProblem::Bad)), "{not:?}");
    // The evidence has the release that was signed.
    std::fs::remove_dir_all(&lists).unwrap();
    let found = system.scan("rsa", false);
    assert_eq!(paths(&found), PATHS);
    assert_eq!(found.references[0].package.verified, Verified::Captured);
}

#[test]
fn another_signer_vouches_for_nothing() {
    let system = System::make("xz", "");
    let found = system.scan("eddsa", true);
    assert!(found.references.is_empty());
    let unknown = |not: &references::problem::NotVouched| {
        matches!(not.why, Problem::Signature(SignatureProblem::UnknownKey))
    };
    assert!(found.not.iter().any(unknown), "{:?}", found.not);
}

#[test]
fn captured_evidence_outlives_the_package_file_and_is_checked_again() {
    let system = System::make("xz", "");
    let keys = FIXTURE.keys(&["rsa"]);
    let mut readers = Readers::default();
    let (indexes, not) = Indexes::of_apt(&system.root(), &keys, NOW_S, &mut readers);
    assert!(not.is_empty() && indexes.len() == 1);
    let deb = deb::package(&system.deb, &indexes, &mut readers).unwrap();
    let folder = system.root().join(STORE);
    let record = Store::open(&folder).unwrap().keep(&deb, &indexes).unwrap();
    std::fs::remove_dir_all(system.root().join(deb::LISTS)).unwrap();
    let found = system.scan("rsa", false);
    assert!(found.not.is_empty(), "{:?}", found.not);
    assert_eq!(paths(&found), PATHS);
    assert_eq!(found.references[0].package.verified, Verified::Captured);
    // Evidence that the key of today does not confirm is none.
    assert!(system.scan("eddsa", false).references.is_empty());
    // Nor is a record that names another index, nor a store that others may write.
    let text = std::fs::read_to_string(&record).unwrap();
    let other = text.replacen("\"index_sha256\":\"", "\"index_sha256\":\"0", 1);
    std::fs::write(&record, other).unwrap();
    assert!(system.scan("rsa", false).references.is_empty());
    std::fs::write(&record, text).unwrap();
    assert_eq!(system.scan("rsa", false).packages, 1);
    FIXTURE.run("chmod", &["777", folder.join("packages").to_str().unwrap()]);
    assert!(system.scan("rsa", false).references.is_empty());
}
