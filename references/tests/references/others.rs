use std::fs;
use std::path::Path;

use crate::fixture::FIXTURE;
use crate::fixture::NOW_S;
use references::Verified;
use references::apk;
use references::apk::ApkKey;
use references::oci::Layout;
use references::oci::Trust;
use references::openpgp::SignatureProblem;
use references::problem::Problem;
use references::readers::Readers;
use references::signed_file;
use references::signed_file::Kind;
use references::statements::PackageReading;

pub(crate) fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub(crate) fn paths(reading: &PackageReading) -> Vec<String> {
    let path = |one: &references::Reference| String::from_utf8_lossy(&one.path).into_owned();
    let mut paths: Vec<_> = reading.references.iter().map(path).collect();
    paths.sort();
    paths
}

pub(crate) fn sign(folder: &Path, file: &str) {
    let user = "eddsa@example.invalid";
    FIXTURE.run_in(folder, "gpg", &["--batch", "--local-user", user, "--detach-sign", file]);
}

fn read(path: &Path, kind: Kind, signers: &[&str]) -> Result<PackageReading, Problem> {
    signed_file::read(path, kind, &FIXTURE.keys(signers), NOW_S, &mut Readers::default())
}

#[test]
fn an_arch_package_vouches_under_its_detached_signature_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(
        folder,
        ".PKGINFO",
        "pkgname = tool\npkgver = 1.0-1\narch = x86_64\nbackup = etc/tool.conf\n",
    );
    write(folder, "usr/bin/tool", "tool\n");
    write(folder, "etc/tool.conf", "setting\n");
    let name = "tool-1.0-1-x86_64.pkg.tar.zst";
    FIXTURE.run_in(folder, "tar", &["--zstd", "-cf", name, ".PKGINFO", "etc", "usr"]);
    let file = folder.join(name);
    let unsigned = read(&file, Kind::Arch, &["eddsa"]);
    assert!(matches!(unsigned, Err(Problem::Signature(SignatureProblem::Missing))));
    sign(folder, name);
    let reading = read(&file, Kind::Arch, &["eddsa"]).unwrap();
    assert_eq!(paths(&reading), ["/etc/tool.conf", "/usr/bin/tool"]);
    assert_eq!(reading.package.verified, Verified::Signature);
    assert!(read(&file, Kind::Arch, &["rsa"]).is_err());
    let mut octets = fs::read(&file).unwrap();
    octets.push(0);
    fs::write(&file, octets).unwrap();
    let changed = read(&file, Kind::Arch, &["eddsa"]);
    assert!(matches!(changed, Err(Problem::Signature(SignatureProblem::Bad))));
}

#[test]
fn signed_lists_and_documents_vouch() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let digest = "ab".repeat(32);
    let md5 = "ab".repeat(16);
    write(folder, "SHA256SUMS", &format!("{digest}  usr/bin/a\n{md5}  usr/bin/weak\n"));
    let spdx = format!(
        r#"{{"spdxVersion":"SPDX-2.3","name":"n","files":[{{"fileName":"./usr/bin/a",
        "checksums":[{{"algorithm":"SHA256","checksumValue":"{digest}"}}]}}]}}"#
    );
    write(folder, "a.spdx.json", &spdx);
    let mtree = format!("#mtree\n./usr/bin/a type=file mode=755 sha256digest={digest}\n");
    write(folder, "a.mtree", &mtree);
    for (file, kind) in
        [("SHA256SUMS", Kind::List), ("a.spdx.json", Kind::Spdx), ("a.mtree", Kind::Mtree)]
    {
        sign(folder, file);
        let reading = read(&folder.join(file), kind, &["eddsa"]).unwrap();
        assert!(paths(&reading).contains(&"/usr/bin/a".to_owned()), "{file}");
        let weak = reading.references.iter().filter(|one| !one.vouches()).count();
        assert_eq!(weak, usize::from(file == "SHA256SUMS"), "MD5 vouches for nothing");
    }
}

/// A layout with an image of two layers; the digest of its manifest.
pub(crate) fn layout(folder: &Path) -> String {
    write(folder, "lower/usr/bin/a", "old\n");
    write(folder, "lower/usr/bin/gone", "gone\n");
    write(folder, "upper/usr/bin/a", "new\n");
    write(folder, "upper/usr/bin/.wh.gone", "");
    write(folder, "layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    let sum = |path: &Path| FIXTURE.run("sha256sum", &[path.to_str().unwrap()])[..64].to_owned();
    let keep = |path: &Path| {
        let digest = sum(path);
        let blobs = folder.join("layout/blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        fs::copy(path, blobs.join(&digest)).unwrap();
        digest
    };
    let (mut ids, mut layers) = (Vec::new(), Vec::new());
    for name in ["lower", "upper"] {
        let tar = format!("{name}.tar");
        FIXTURE.run_in(folder, "tar", &["-C", name, "-cf", &tar, "."]);
        ids.push(format!("\"sha256:{}\"", sum(&folder.join(&tar))));
        FIXTURE.run_in(folder, "gzip", &["-n", &tar]);
        layers
            .push(format!("{{\"digest\":\"sha256:{}\"}}", keep(&folder.join(format!("{tar}.gz")))));
    }
    let config = format!(
        "{{\"architecture\":\"amd64\",\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}",
        ids.join(",")
    );
    write(folder, "config", &config);
    let config = keep(&folder.join("config"));
    let layers = layers.join(",");
    write(
        folder,
        "manifest",
        &format!("{{\"config\":{{\"digest\":\"sha256:{config}\"}},\"layers\":[{layers}]}}"),
    );
    let manifest = keep(&folder.join("manifest"));
    let index = format!("{{\"manifests\":[{{\"digest\":\"sha256:{manifest}\"}}]}}");
    write(folder, "layout/index.json", &index);
    manifest
}

#[test]
fn an_image_pinned_by_digest_vouches_for_what_its_layers_come_to() {
    let folder = tempfile::tempdir().unwrap();
    let digest = layout(folder.path());
    let place = folder.path().join("layout");
    let layout = Layout::open(&place).unwrap();
    let mut readers = Readers::default();
    let octets = |at: usize| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap();
    let pin: [u8; 32] = std::array::from_fn(octets);
    let reading = layout.image(&Trust::Pinned(pin), "amd64", &mut readers).unwrap();
    assert_eq!(paths(&reading), ["/usr/bin/a"]);
    let new = FIXTURE.run("sha256sum", &[folder.path().join("upper/usr/bin/a").to_str().unwrap()]);
    assert_eq!(reading.references[0].digest.to_hex(), new[..64]);
    assert!(reading.references[0].vouches());
    // Nobody pinned it: the same files, vouched for by nobody.
    let unpinned = layout.image(&Trust::None, "amd64", &mut readers).unwrap();
    assert!(unpinned.references.iter().all(|one| !one.vouches()));
    // Another octet anywhere among the blobs is found.
    let blobs = fs::read_dir(place.join("blobs/sha256")).unwrap();
    for blob in blobs.map(|entry| entry.unwrap().path()) {
        let octets = fs::read(&blob).unwrap();
        let mut changed = octets.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        fs::write(&blob, changed).unwrap();
        let told = layout.image(&Trust::Pinned(pin), "amd64", &mut readers);
        assert!(matches!(told, Err(Problem::Changed(_))), "{told:?}");
        fs::write(&blob, octets).unwrap();
    }
}

#[test]
fn an_alpine_package_vouches_by_sha256_and_not_by_sha1() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    FIXTURE.run_in(folder, "openssl", &["genrsa", "-out", "key.pem", "2048"]);
    FIXTURE.run_in(folder, "openssl", &["rsa", "-in", "key.pem", "-pubout", "-out", "me.rsa.pub"]);
    write(folder, "data/usr/bin/tool", "tool\n");
    FIXTURE.run_in(folder, "tar", &["-C", "data", "-czf", "data.tar.gz", "usr"]);
    let sum = FIXTURE.run("sha256sum", &[folder.join("data.tar.gz").to_str().unwrap()]);
    let info =
        format!("pkgname = tool\npkgver = 1.0-r0\narch = x86_64\ndatahash = {}\n", &sum[..64]);
    write(folder, "control/.PKGINFO", &info);
    // Without the blocks that end an archive, as abuild cuts them.
    let cut = "tar -C control -cf - .PKGINFO | head -c 1024 | gzip -n > control.tar.gz";
    FIXTURE.run_in(folder, "sh", &["-c", cut]);
    let keys = [ApkKey::read(&folder.join("me.rsa.pub")).unwrap()];
    for (kind, hash) in [("RSA256", "-sha256"), ("RSA", "-sha1")] {
        let name = format!(".SIGN.{kind}.me.rsa.pub");
        let sign = ["dgst", hash, "-sign", "key.pem", "-out", &name, "control.tar.gz"];
        FIXTURE.run_in(folder, "openssl", &sign);
        let join = format!(
            "tar -cf - {name} | head -c 1024 | gzip -n | cat - control.tar.gz data.tar.gz > {kind}.apk"
        );
        FIXTURE.run_in(folder, "sh", &["-c", &join]);
    }
    let mut readers = Readers::default();
    let file = folder.join("RSA256.apk");
    let reading = apk::package(&file, &keys, &mut readers).unwrap();
    assert_eq!(paths(&reading), ["/usr/bin/tool"]);
    assert!(reading.references[0].vouches());
    let weak = apk::package(&folder.join("RSA.apk"), &keys, &mut readers);
    assert!(matches!(weak, Err(Problem::Signature(SignatureProblem::Weak))), "{weak:?}");
    let unknown = apk::package(&file, &[], &mut readers);
    assert!(matches!(unknown, Err(Problem::Signature(SignatureProblem::UnknownKey))));
    let mut octets = fs::read(&file).unwrap();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    fs::write(&file, octets).unwrap();
    assert!(matches!(apk::package(&file, &keys, &mut readers), Err(Problem::Changed("data"))));
}
