//! Packages that other distributions' rpm made, from 4.8 to 4.15, as a dependency's crate carries them: signed here, since they
//! are not, and read as rpm reads them.

use std::path::Path;
use std::path::PathBuf;

use crate::fixture::FIXTURE;
use crate::rpm::dump;
use crate::rpm::read;
use crate::rpm::rows;

/// Where in the sources of `libbpf-sys` they are.
const FOLDER: &str = "elfutils/tests/debuginfod-rpms";
const DISTRIBUTIONS: [&str; 4] = ["rhel6", "rhel7", "fedora30", "fedora31"];

/// The sources of a crate that the workspace is built with.
fn sources(name: &str) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", &target];
    let text = FIXTURE.run_in(folder, &cargo, &arguments);
    let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == name).unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

/// What is installed: source packages have no paths.
fn packages(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| {
        let binary = !path.to_string_lossy().ends_with(".src.rpm");
        binary && path.extension().is_some_and(|end| end == "rpm")
    })
}

#[test]
fn packages_of_older_distributions_are_read_as_rpm_reads_them() {
    let folder = sources("libbpf-sys").join(FOLDER);
    let mut seen = 0;
    for distribution in DISTRIBUTIONS {
        for (number, package) in packages(&folder.join(distribution)).enumerate() {
            let name = format!("{distribution}-{number}");
            let file = format!("{name}.rpm");
            std::fs::copy(package, FIXTURE.path(&file)).unwrap();
            FIXTURE.sign_rpm_as(&name, "rsa");
            let reading = read(&FIXTURE.read(&file), &FIXTURE.keys(&["rsa"])).unwrap();
            let expected = dump(&["-qp", "--dump", "--nosignature", &file]);
            assert!(!expected.is_empty(), "{file}");
            assert_eq!(rows(&reading.references), expected, "{file}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen} packages");
}
