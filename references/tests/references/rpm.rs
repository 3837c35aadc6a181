use crate::fixture::FIXTURE;
use crate::fixture::NOW_S;
use references::FileFlags;
use references::Reference;
use references::Verified;
use references::openpgp::Keyring;
use references::openpgp::SignatureProblem;
use references::problem::Problem;
use references::readers::Isolation;
use references::readers::Readers;
use references::rpm;
use references::scan::Scan;
use references::statements::PackageReading;

pub(crate) fn read(octets: &[u8], keys: &Keyring) -> Result<PackageReading, Problem> {
    rpm::package(&mut &*octets, keys, NOW_S, &mut Readers::default())
}

/// `path digest` of every regular file, as `rpm -qp --dump` has it.
pub(crate) fn dump(arguments: &[&str]) -> Vec<(String, String)> {
    let text = FIXTURE.run("rpm", arguments);
    let rows = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut rows: Vec<_> = rows
        .filter(|row| row[3].bytes().any(|digit| digit != b'0'))
        .map(|row| (row[0].to_owned(), row[3].to_owned()))
        .collect();
    rows.sort();
    rows
}

pub(crate) fn rows(references: &[Reference]) -> Vec<(String, String)> {
    let row =
        |one: &Reference| (String::from_utf8_lossy(&one.path).into_owned(), one.digest.to_hex());
    let mut rows: Vec<_> = references.iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn a_signed_package_vouches_for_what_rpm_lists() {
    for name in ["rsa", "eddsa"] {
        let file = format!("{name}.rpm");
        let reading = read(&FIXTURE.read(&file), &FIXTURE.keys(&["rsa", "eddsa"])).unwrap();
        let package = &reading.package;
        assert_eq!((package.name.as_str(), package.version.as_str()), ("sample", "2:1.0-1"));
        assert_eq!((package.arch.as_str(), package.verified), ("noarch", Verified::Header));
        assert!(package.signer.as_ref().unwrap().name.contains(name));
        assert_eq!(rows(&reading.references), dump(&["-qp", "--dump", "--nosignature", &file]));
        let flags = |path: &str| {
            let found = reading.references.iter().find(|one| &*one.path == path.as_bytes());
            found.unwrap().flags
        };
        assert!(flags("/etc/sample.conf").has(FileFlags::CONFIG));
        assert!(flags("/usr/share/doc/sample/README").has(FileFlags::DOC));
        assert!(flags("/usr/share/doc/sample/state").has(FileFlags::NO_VERIFY));
        assert!(flags("/usr/share/doc/sample/terms").has(FileFlags::LICENSE));
        assert_eq!(flags("/usr/bin/sample"), FileFlags::default());
        // Of a ghost nothing is known that could vouch.
        assert!(reading.references.iter().all(|one| &*one.path != b"/var/log/sample.log"));
        let alias = reading.others.iter().find(|other| &*other.0 == b"/usr/bin/alias");
        assert_eq!(&*alias.unwrap().1, b"sample");
    }
}

#[test]
fn without_a_pinned_signers_signature_nothing_is_vouched_for() {
    let refused = |file: &str, keys: &[&str]| match read(&FIXTURE.read(file), &FIXTURE.keys(keys)) {
        Err(Problem::Signature(problem)) => problem,
        other => panic!("{file}: {other:?}"),
    };
    assert_eq!(refused("unsigned.rpm", &["rsa", "eddsa"]), SignatureProblem::Missing);
    assert_eq!(refused("eddsa.rpm", &["rsa"]), SignatureProblem::UnknownKey);
    assert_eq!(refused("rsa.rpm", &["eddsa"]), SignatureProblem::UnknownKey);
}

#[test]
fn a_changed_payload_is_refused_although_no_signature_covers_it() {
    let mut octets = FIXTURE.read("rsa.rpm");
    let last = octets.len() - 1;
    octets[last] ^= 1;
    let told = read(&octets, &FIXTURE.keys(&["rsa"]));
    assert!(matches!(told, Err(Problem::Changed("payload"))), "{told:?}");
}

#[test]
fn the_database_vouches_for_what_was_installed_and_not_for_what_root_added() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("var/lib/rpm");
    let database = format!("_dbpath {}", place.display());
    for (key, file) in [("rsa", "rsa.rpm"), ("eddsa", "other.rpm")] {
        let key = FIXTURE.path(&format!("{key}.asc"));
        FIXTURE.run("rpmkeys", &["-D", &database, "--import", key.to_str().unwrap()]);
        let file = FIXTURE.path(file);
        let justdb = ["-i", "--justdb", "--nodeps", "--force", "--ignorearch", "--nosignature"];
        FIXTURE.run("rpm", &[&["-D", &database][..], &justdb, &[file.to_str().unwrap()]].concat());
    }
    for isolation in [Isolation::Signer, Isolation::Package, Isolation::None] {
        let keys = FIXTURE.keys(&["rsa", "eddsa"]);
        let root = root.path();
        let scan = Scan { root, keys: &keys, now_s: NOW_S, isolation, threads: 2, folders: &[] };
        let found = scan.run(&|_, _| {}).unwrap();
        assert_eq!(found.packages, 1, "{:?}", found.not);
        // The keys that rpm keeps as packages are not told; the unsigned package is.
        assert_eq!(found.not.len(), 1, "{:?}", found.not);
        assert_eq!(found.not[0].what, "other 2:1.0-1");
        let mut expected = dump(&["-qp", "--dump", "--nosignature", "rsa.rpm"]);
        expected.sort();
        assert_eq!(rows(&found.references), expected);
        assert_eq!(found.processes > 0, isolation != Isolation::None);
    }
}
