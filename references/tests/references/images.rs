//! Images in archives, and by a Sigstore bundle.

use std::fs;
use std::path::Path;

use crate::fixture::FIXTURE;
use crate::others::layout;
use crate::others::paths;
use crate::others::write;
use reference_formats::Refusal;
use references::Verified;
use references::oci::Layout;
use references::oci::Trust;
use references::openpgp::SignatureProblem;
use references::problem::Problem;
use references::readers::Readers;
use references::sigstore;
use references::sigstore::BundleKey;

pub(crate) fn digest(hex: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// The layout as an archive; the digest of its manifest.
fn archive(folder: &Path) -> [u8; 32] {
    let manifest = layout(folder);
    FIXTURE.run_in(folder, "tar", &["-C", "layout", "-cf", "image.tar", "."]);
    digest(&manifest)
}

#[test]
fn an_archive_of_a_layout_is_read_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let pin = Trust::Pinned(archive(folder.path()));
    let path = folder.path().join("image.tar");
    let mut readers = Readers::default();
    let image = Layout::open_archive(&path, &mut readers).unwrap();
    let reading = image.image(&pin, "amd64", &mut readers).unwrap();
    assert_eq!(paths(&reading), ["/usr/bin/a"]);
    assert!(reading.references[0].vouches());
    let other = image.image(&Trust::Pinned([0; 32]), "amd64", &mut readers);
    assert!(matches!(other, Err(Problem::Missing(_))), "{other:?}");
}

/// Whatever octet of the archive is another: refused, or the same files with the same digests.
#[test]
fn a_changed_archive_vouches_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let pin = Trust::Pinned(archive(folder.path()));
    let path = folder.path().join("image.tar");
    let octets = fs::read(&path).unwrap();
    let mut readers = Readers::default();
    let mut read = || {
        let image = Layout::open_archive(&path, &mut readers)?;
        image.image(&pin, "amd64", &mut readers)
    };
    let truth = read().unwrap();
    for at in (0..octets.len()).step_by(397) {
        let mut changed = octets.clone();
        changed[at] ^= 0x81;
        fs::write(&path, &changed).unwrap();
        if let Ok(reading) = read() {
            assert_eq!(reading.references, truth.references, "octet {at}");
        }
        fs::write(&path, &octets[..at]).unwrap();
        if let Ok(reading) = read() {
            assert_eq!(reading.references, truth.references, "cut at {at}");
        }
    }
}

#[test]
fn a_file_that_is_twice_in_an_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _ = archive(folder.path());
    let again = ["-C", "layout", "-rf", "image.tar", "./oci-layout"];
    FIXTURE.run_in(folder.path(), "tar", &again);
    let told = Layout::open_archive(&folder.path().join("image.tar"), &mut Readers::default());
    assert!(matches!(told, Err(Problem::Refused(Refusal::Twice))), "{told:?}");
}

/// A bundle as cosign writes it, over an in-toto statement that names the digest.
fn envelope(folder: &Path, hex: &str, material: &str) {
    envelope_stating(folder, hex, material, "https://sigstore.dev/cosign/sign/v1");
}

pub(crate) fn envelope_stating(folder: &Path, hex: &str, material: &str, predicate: &str) {
    let statement = format!(
        "{{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"{predicate}\",\
         \"subject\":[{{\"name\":\"image\",\"digest\":{{\"sha256\":\"{hex}\"}}}}],\"predicate\":{{}}}}"
    );
    let kind = "application/vnd.in-toto+json";
    let covered = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
    write(folder, "covered", &covered);
    write(folder, "statement", &statement);
    let (payload, signature) = (base64(folder, "statement"), signature(folder, "covered"));
    let bundle = format!(
        "{{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"verificationMaterial\":{{{material},\
         \"tlogEntries\":[]}},\"dsseEnvelope\":{{\"payloadType\":\"{kind}\",\"payload\":\"{payload}\",\
         \"signatures\":[{{\"sig\":\"{signature}\"}}]}}}}"
    );
    write(folder, "bundle.json", &bundle);
}

fn base64(folder: &Path, file: &str) -> String {
    FIXTURE.run_in(folder, "base64", &["-w0", file])
}

/// By `openssl`, in base64.
pub(crate) fn signature(folder: &Path, file: &str) -> String {
    let sign = ["dgst", "-sha256", "-sign", "cosign.key", "-out", "signature", file];
    FIXTURE.run_in(folder, "openssl", &sign);
    base64(folder, "signature")
}

pub(crate) fn make_key(folder: &Path, name: &str) {
    let private = format!("{name}.key");
    let make = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &private];
    FIXTURE.run_in(folder, "openssl", &make);
    let public = format!("{name}.pub");
    FIXTURE.run_in(folder, "openssl", &["ec", "-in", &private, "-pubout", "-out", &public]);
}

pub(crate) const BY_KEY: &str = "\"publicKey\":{\"hint\":\"\"}";

#[test]
fn an_image_vouches_by_the_key_that_signed_its_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hex = layout(folder);
    for name in ["cosign", "other"] {
        make_key(folder, name);
    }
    let key = |name: &str| BundleKey::read(&folder.join(name)).unwrap();
    let mut readers = Readers::default();
    let mut verify = |keys: &[BundleKey]| {
        let octets = fs::read(folder.join("bundle.json")).unwrap();
        sigstore::verify(&octets, keys, &mut readers)
    };
    envelope(folder, &hex, BY_KEY);
    let signed = verify(&[key("other.pub"), key("cosign.pub")]).unwrap();
    assert_eq!(signed.digests, [digest(&hex)]);
    let trust = Trust::Signed(signed.digests[0], signed.signer);
    let image = Layout::open(&folder.join("layout")).unwrap();
    let reading = image.image(&trust, "amd64", &mut Readers::default()).unwrap();
    assert_eq!(reading.package.verified, Verified::Signature);
    assert!(reading.package.signer.as_ref().unwrap().key.starts_with("p256:"));
    assert!(reading.references[0].vouches());

    let bad = |told| matches!(told, Err(Problem::Signature(SignatureProblem::Bad)));
    assert!(bad(verify(&[key("other.pub")])));
    assert!(matches!(verify(&[]), Err(Problem::Signature(SignatureProblem::UnknownKey))));
    let text = fs::read_to_string(folder.join("bundle.json")).unwrap();
    // Another payload under the same signature, and the same payload under another type.
    write(folder, "statement", &"{}".repeat(40));
    let payload = base64(folder, "statement");
    let (_, after) = text.split_once("\"payload\":\"").unwrap();
    let old = after.split('"').next().unwrap();
    for changed in [text.replace(old, &payload), text.replace("in-toto+json", "in-toto+JSON")] {
        write(folder, "bundle.json", &changed);
        assert!(bad(verify(&[key("cosign.pub")])));
    }
    envelope(folder, &hex, "\"certificate\":{\"rawBytes\":\"\"}");
    assert!(matches!(verify(&[key("cosign.pub")]), Err(Problem::Keyless(_))));
}

#[test]
fn a_signed_blob_vouches_for_its_own_digest() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    make_key(folder, "cosign");
    write(folder, "blob", "blob\n");
    let sum =
        FIXTURE.run_in(folder, "sh", &["-c", "openssl dgst -sha256 -binary blob | base64 -w0"]);
    let bundle = format!(
        "{{\"mediaType\":\"application/vnd.dev.sigstore.bundle+json;version=0.2\",\"verificationMaterial\":{{{BY_KEY}}},\
         \"messageSignature\":{{\"messageDigest\":{{\"algorithm\":\"SHA2_256\",\"digest\":\"{sum}\"}},\
         \"signature\":\"{}\"}}}}",
        signature(folder, "blob")
    );
    let keys = [BundleKey::read(&folder.join("cosign.pub")).unwrap()];
    let mut readers = Readers::default();
    let signed = sigstore::verify(bundle.as_bytes(), &keys, &mut readers).unwrap();
    let hex = FIXTURE.run_in(folder, "sha256sum", &["blob"]);
    assert_eq!(signed.digests, [digest(&hex)]);
    let other = bundle.replacen(&sum[..4], "AAAA", 1);
    assert!(sigstore::verify(other.as_bytes(), &keys, &mut readers).is_err());
}
