//! `quixote references show --bundle`: by whose word an image counts.

use crate::sandbox::Sandbox;
use crate::sandbox::Told;

const MATERIAL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../references/tests/testdata/sigstore");
const WORKFLOW: &str =
    "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main";
const ACTIONS: &str = "https://token.actions.githubusercontent.com";
/// What the real bundle is about.
const DIGEST: &str = "54303491a8418fbed24344b513546182c29b43bf282ceb433af65e2299f9271f";

fn show(more: &[&str]) -> Told {
    let sandbox = Sandbox::new();
    sandbox.write("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    let bundle = format!("{MATERIAL}/attestation.sigstore.json");
    sandbox.quixote(&[&["references", "show", ".", "--bundle", &bundle], more].concat())
}

fn by(identity: &str, issuer: &str) -> Told {
    let root = format!("{MATERIAL}/trusted_root.json");
    let who = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer];
    show(&[&["--sigstore-root", &root], &who[..]].concat())
}

#[test]
fn a_keyless_bundle_counts_for_whom_it_is_said_to() {
    // It holds: what is missing is the image itself.
    let told = by(WORKFLOW, ACTIONS);
    assert_eq!(told.status, 125, "{}", told.stderr);
    assert!(told.stderr.contains(&format!("blobs/sha256/{DIGEST}")), "{}", told.stderr);
    let told = by("https://github.com/me", ACTIONS);
    let why = format!("its certificate is not for https://github.com/me, but for {WORKFLOW}");
    assert!(told.stderr.contains(&why), "{}", told.stderr);
    let told = by(WORKFLOW, "https://accounts.google.com");
    assert!(told.stderr.contains(&format!("but of {ACTIONS}")), "{}", told.stderr);
}

#[test]
fn whose_certificate_it_has_to_be_is_never_left_open() {
    let root = format!("{MATERIAL}/trusted_root.json");
    for more in [
        &["--sigstore-root", &root][..],
        &["--sigstore-root", &root, "--certificate-identity", WORKFLOW],
        &["--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", ACTIONS],
        &[],
    ] {
        let told = show(more);
        assert_eq!(told.status, 125, "{more:?}");
        assert!(told.stderr.contains("required"), "{more:?}: {}", told.stderr);
    }
}

/// What the layout itself holds is looked through when no bundle is given.
#[test]
fn without_a_bundle_the_layout_has_to_hold_one() {
    let sandbox = Sandbox::new();
    sandbox.write("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    let digest = "ab".repeat(32);
    sandbox.write("index.json", &format!("{{\"manifests\":[{{\"digest\":\"sha256:{digest}\"}}]}}"));
    let root = format!("{MATERIAL}/trusted_root.json");
    let who = ["--certificate-identity", WORKFLOW, "--certificate-oidc-issuer", ACTIONS];
    let show = ["references", "show", ".", "--sigstore-root", &root];
    let told = sandbox.quixote(&[&show[..], &who].concat());
    assert_eq!(told.status, 125, "{}", told.stderr);
    assert!(told.stderr.contains("holds no signature of the image"), "{}", told.stderr);
}
