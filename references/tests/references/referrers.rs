//! Images by signatures that lie in their own layout, as registries and cosign keep them.

use std::fs;
use std::path::Path;

use crate::fixture::FIXTURE;
use crate::images::BY_KEY;
use crate::images::digest;
use crate::images::envelope_stating;
use crate::images::make_key;
use crate::images::signature;
use crate::others::layout;
use crate::others::paths;
use crate::others::write;
use reference_formats::Refusal;
use references::Verified;
use references::oci::Layout;
use references::oci::Trust;
use references::openpgp::SignatureProblem;
use references::problem::Problem;
use references::readers::Isolation;
use references::readers::Readers;
use references::sigstore::BundleKey;
use references::sigstore::SignedBy;
use references::sigstore::keyless::KeylessProblem;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
const SCANNED: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

/// A layout in the making, whose image is signed by keys that are here.
pub(crate) struct Store {
    folder: tempfile::TempDir,
    /// Of the image's manifest.
    pub(crate) image: String,
}

impl Store {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = layout(folder.path());
        for name in ["cosign", "other"] {
            make_key(folder.path(), name);
        }
        Self { folder, image }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps a blob; its digest.
    pub(crate) fn blob(&self, text: &str) -> String {
        write(self.folder(), "blob", text);
        let hex = FIXTURE.run_in(self.folder(), "sha256sum", &["blob"])[..64].to_owned();
        write(self.folder(), &format!("layout/blobs/sha256/{hex}"), text);
        hex
    }

    /// A bundle by cosign's key, which states something of an image.
    fn bundle(&self, states: &str, of: &str) -> String {
        envelope_stating(self.folder(), of, BY_KEY, states);
        fs::read_to_string(self.folder().join("bundle.json")).unwrap()
    }

    /// A manifest with one layer, and what it is about.
    fn manifest(&self, about: Option<&str>, kind: &str, layer: &str, annotations: &str) -> String {
        let config = self.blob("{}");
        let layer = self.blob(layer);
        let subject = about.map(|hex| format!("\"subject\":{{\"digest\":\"sha256:{hex}\"}},"));
        self.blob(&format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"artifactType\":\"{kind}\",\
             \"config\":{{\"mediaType\":\"application/vnd.oci.empty.v1+json\",\"digest\":\"sha256:{config}\",\"size\":2}},\
             {}\"layers\":[{{\"mediaType\":\"{kind}\",\"digest\":\"sha256:{layer}\",\"annotations\":{{{annotations}}}}}]}}",
            subject.unwrap_or_default()
        ))
    }

    pub(crate) fn referrer(&self, about: &str, bundle: &str) -> String {
        self.manifest(Some(about), BUNDLE, bundle, "")
    }

    /// The layout's index: the image, and what else it names, with their annotations.
    pub(crate) fn index(&self, others: &[(&str, &str)]) {
        write(self.folder(), "layout/index.json", &self.index_of(others));
    }

    fn index_of(&self, others: &[(&str, &str)]) -> String {
        let image = (self.image.as_str(), "\"org.opencontainers.image.ref.name\":\"latest\"");
        let all = std::iter::once(&image).chain(others).map(|(hex, annotations)| {
            format!("{{\"digest\":\"sha256:{hex}\",\"annotations\":{{{annotations}}}}}")
        });
        format!("{{\"manifests\":[{}]}}", all.collect::<Vec<_>>().join(","))
    }

    /// Under a tag that cosign's older form, or the specification of registries, has for an image.
    fn tagged(hex: &str, suffix: &str) -> String {
        format!("\"org.opencontainers.image.ref.name\":\"sha256-{hex}{suffix}\"")
    }

    pub(crate) fn open(&self) -> Layout {
        Layout::open(&self.folder().join("layout")).unwrap()
    }

    fn by(&self, names: &[&str]) -> SignedBy {
        let key = |name: &&str| BundleKey::read(&self.folder().join(name)).unwrap();
        SignedBy::Keys(names.iter().map(key).collect())
    }

    fn signed(&self) -> Result<Trust, Problem> {
        let readers = &mut Readers::new(Isolation::None);
        self.open().signed(None, &self.by(&["cosign.pub"]), readers)
    }

    /// Why none of the signatures counts.
    fn refused(&self) -> Vec<Problem> {
        match self.signed() {
            Err(Problem::NoneCounts(all)) => all.into_iter().map(|not| not.why).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// It is the image, by cosign's key.
    fn holds(&self) {
        let Ok(Trust::Signed(found, signer)) = self.signed() else { panic!("{:?}", self.signed()) };
        assert_eq!(found, digest(&self.image));
        assert_eq!(signer.name, "cosign.pub");
    }
}

#[test]
fn an_image_vouches_by_a_bundle_that_refers_to_it() {
    let store = Store::make();
    let unsigned = store.signed();
    assert!(matches!(unsigned, Err(Problem::NoSignature)), "{unsigned:?}");
    let referrer = store.referrer(&store.image, &store.bundle(SIGNED, &store.image));
    store.index(&[(&referrer, "")]);
    FIXTURE.run_in(store.folder(), "tar", &["-C", "layout", "-cf", "image.tar", "."]);
    let by = store.by(&["other.pub", "cosign.pub"]);
    let mut readers = Readers::default();
    let archive = Layout::open_archive(&store.folder().join("image.tar"), &mut readers).unwrap();
    for (image, named) in
        [(store.open(), None), (store.open(), Some(digest(&store.image))), (archive, None)]
    {
        let trust = image.signed(named, &by, &mut readers).unwrap();
        let reading = image.image(&trust, "amd64", &mut readers).unwrap();
        assert_eq!(paths(&reading), ["/usr/bin/a"]);
        assert_eq!(reading.package.verified, Verified::Signature);
        assert_eq!(reading.package.name, format!("sha256:{}", store.image));
        assert!(reading.references[0].vouches());
    }
    // Without a key nobody vouches, and the signature is not taken for an image.
    let reading = store.open().image(&Trust::None, "amd64", &mut readers).unwrap();
    assert_eq!(paths(&reading), ["/usr/bin/a"]);
    assert!(!reading.references[0].vouches());
    let other = store.open().signed(None, &store.by(&["other.pub"]), &mut readers);
    let told = other.unwrap_err().to_string();
    let bundle = FIXTURE.run_in(store.folder(), "sha256sum", &["bundle.json"]);
    assert!(told.contains(&format!("sha256:{}", &bundle[..64])), "{told}");
    // Another image is not signed because this one is.
    let other = store.open().signed(Some([7; 32]), &by, &mut readers);
    assert!(matches!(other, Err(Problem::NoSignature)), "{other:?}");
}

#[test]
fn referrers_are_found_under_the_tag_of_registries_that_do_not_know_them() {
    let store = Store::make();
    let referrer = store.referrer(&store.image, &store.bundle(SIGNED, &store.image));
    let list = format!("{{\"manifests\":[{{\"digest\":\"sha256:{referrer}\"}}]}}");
    let list = store.blob(&list);
    store.index(&[(&list, &Store::tagged(&store.image, ""))]);
    store.holds();
    store.index(&[(&list, &Store::tagged(&"0".repeat(64), ""))]);
    store.holds();
    // It lies under the image's tag, and is about another.
    let referrer = store.referrer(&"0".repeat(64), &store.bundle(SIGNED, &store.image));
    let list = store.blob(&format!("{{\"manifests\":[{{\"digest\":\"sha256:{referrer}\"}}]}}"));
    store.index(&[(&list, &Store::tagged(&store.image, ""))]);
    assert!(matches!(store.refused()[..], [Problem::OtherImage("the manifest that it lies in")]));
}

#[test]
fn a_signature_that_is_about_another_image_is_refused() {
    let store = Store::make();
    let other = "0".repeat(64);
    let bundle = store.bundle(SIGNED, &store.image);
    store.index(&[(&store.referrer(&other, &bundle), "")]);
    assert!(matches!(store.signed(), Err(Problem::NoSignature)), "{:?}", store.signed());
    store.index(&[(&store.referrer(&store.image, &store.bundle(SIGNED, &other)), "")]);
    assert!(matches!(store.refused()[..], [Problem::OtherImage("what is signed")]));
}

#[test]
fn a_changed_signature_or_one_by_another_key_is_refused() {
    let store = Store::make();
    let bundle = store.bundle(SIGNED, &store.image);
    let referrer = store.referrer(&store.image, &bundle);
    store.index(&[(&referrer, "")]);
    store.holds();
    let blob = |text: &str| {
        write(store.folder(), "blob", text);
        let hex = FIXTURE.run_in(store.folder(), "sha256sum", &["blob"])[..64].to_owned();
        store.folder().join("layout/blobs/sha256").join(hex)
    };
    // Under its old digest.
    let path = blob(&bundle);
    fs::write(&path, bundle.replace("hint", "hant")).unwrap();
    assert!(matches!(store.refused()[..], [Problem::Changed(_)]));
    fs::remove_file(&path).unwrap();
    assert!(matches!(store.refused()[..], [Problem::File { .. }]));
    // Under a digest of its own.
    let (head, payload) = bundle.split_once("\"payload\":\"").unwrap();
    let changed = format!("{head}\"payload\":\"f{}", &payload[1..]);
    store.index(&[(&store.referrer(&store.image, &changed), "")]);
    assert!(matches!(store.refused()[..], [Problem::Signature(SignatureProblem::Bad)]));
    store.index(&[(&store.referrer(&store.image, "{}"), "")]);
    assert!(matches!(store.refused()[..], [Problem::Refused(Refusal::Magic)]));
    // Another's signature beside it changes nothing.
    fs::rename(store.folder().join("cosign.key"), store.folder().join("mine")).unwrap();
    fs::copy(store.folder().join("other.key"), store.folder().join("cosign.key")).unwrap();
    let others = store.referrer(&store.image, &store.bundle(SIGNED, &store.image));
    store.index(&[(&others, "")]);
    assert!(matches!(store.refused()[..], [Problem::Signature(SignatureProblem::Bad)]));
    let _ = store.blob(&bundle);
    store.index(&[(&others, ""), (&referrer, "")]);
    store.holds();
    // The manifest that it lies in cannot be read.
    fs::write(store.folder().join("layout/blobs/sha256").join(&referrer), "{}").unwrap();
    let readers = &mut Readers::new(Isolation::None);
    let named = Some(digest(&store.image));
    let told = store.open().signed(named, &store.by(&["cosign.pub"]), readers);
    let Err(Problem::NoneCounts(told)) = told else { panic!("{told:?}") };
    assert!(matches!(told[1].why, Problem::Changed(_)), "{told:?}");
    assert_eq!(told[1].what, referrer);
}

#[test]
fn a_statement_about_an_image_is_no_signature_of_it() {
    let store = Store::make();
    store.index(&[(&store.referrer(&store.image, &store.bundle(SCANNED, &store.image)), "")]);
    let told = store.refused();
    assert!(matches!(&told[..], [Problem::States(states)] if states == SCANNED), "{told:?}");
    store.index(&[(&store.referrer(&store.image, &store.bundle(PROVENANCE, &store.image)), "")]);
    store.holds();
}

/// What cosign's older form signs.
fn payload(hex: &str) -> String {
    format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"example.invalid/a\"}},\"image\":{{\"docker-manifest-digest\":\
         \"sha256:{hex}\"}},\"type\":\"cosign container image signature\"}},\"optional\":null}}"
    )
}

#[test]
fn the_older_form_of_cosign_counts_by_a_key() {
    let store = Store::make();
    let older = |about: Option<&str>, text: &str, signed: &str, more: &str| {
        write(store.folder(), "payload", signed);
        let signature = signature(store.folder(), "payload");
        let annotations = format!("\"dev.cosignproject.cosign/signature\":\"{signature}\"{more}");
        store.manifest(about, PAYLOAD, text, &annotations)
    };
    let right = payload(&store.image);
    let manifest = older(None, &right, &right, "");
    let tag = Store::tagged(&store.image, ".sig");
    store.index(&[(&manifest, &tag)]);
    store.holds();
    store.index(&[(&manifest, "\"kind\":\"dev.cosignproject.cosign/sigs\"")]);
    store.holds();
    store.index(&[(&older(Some(&store.image), &right, &right, ""), "")]);
    store.holds();
    // Attestations of the older form are neither images nor signatures.
    let attested = (manifest.as_str(), Store::tagged(&store.image, ".att"));
    store.index(&[(attested.0, &attested.1)]);
    assert!(matches!(store.signed(), Err(Problem::NoSignature)), "{:?}", store.signed());

    store.index(&[(&manifest, &Store::tagged(&"0".repeat(64), ".sig"))]);
    assert!(matches!(store.signed(), Err(Problem::NoSignature)), "{:?}", store.signed());
    let other = payload(&"0".repeat(64));
    store.index(&[(&older(None, &other, &other, ""), &tag)]);
    assert!(matches!(store.refused()[..], [Problem::OtherImage("what is signed")]));
    store.index(&[(&older(None, &right, &other, ""), &tag)]);
    assert!(matches!(store.refused()[..], [Problem::Signature(SignatureProblem::Bad)]));
    // A bundle's statement is signed in another form, and cannot be passed off as this one.
    store.index(&[(&older(None, "{\"critical\":{}}", "{\"critical\":{}}", ""), &tag)]);
    assert!(matches!(store.refused()[..], [Problem::Refused(Refusal::Missing)]));
    let keyless = ",\"dev.sigstore.cosign/certificate\":\"-----BEGIN CERTIFICATE-----\"";
    store.index(&[(&older(None, &right, &right, keyless), &tag)]);
    assert!(matches!(store.refused()[..], [Problem::Keyless(KeylessProblem::Older)]));
    store.index(&[(&store.manifest(None, PAYLOAD, &right, ""), &tag)]);
    assert!(matches!(store.refused()[..], [Problem::Missing(_)]));
}

#[test]
fn a_document_that_is_both_index_and_manifest_is_refused() {
    let store = Store::make();
    let manifest = fs::read_to_string(store.folder().join("manifest")).unwrap();
    let both = store.blob(&manifest.replacen('{', "{\"manifests\":[],", 1));
    let told = store.open().image(&Trust::Pinned(digest(&both)), "amd64", &mut Readers::default());
    assert!(matches!(told, Err(Problem::Refused(Refusal::Inconsistent))), "{told:?}");
}

#[test]
fn the_search_for_signatures_is_bounded() {
    let store = Store::make();
    let manifest = store.referrer(&"0".repeat(64), "{}");
    let many = vec![(manifest.as_str(), ""); 1100];
    store.index(&many);
    assert!(matches!(store.signed(), Err(Problem::Refused(Refusal::Bound))));
    let layer = store.blob("{}");
    let layer = format!("{{\"mediaType\":\"{BUNDLE}\",\"digest\":\"sha256:{layer}\"}}");
    let layers = vec![layer.as_str(); 300].join(",");
    let image = &store.image;
    let manifest = store.blob(&format!(
        "{{\"config\":{{\"digest\":\"sha256:{image}\"}},\"subject\":{{\"digest\":\"sha256:{image}\"}},\"layers\":[{layers}]}}"
    ));
    store.index(&[(&manifest, "")]);
    assert!(matches!(store.signed(), Err(Problem::Refused(Refusal::Bound))));
}

/// Whatever octet of the layout is another: refused, or the same image by the same signer.
#[test]
fn a_changed_layout_vouches_for_nothing_else() {
    let store = Store::make();
    let referrer = store.referrer(&store.image, &store.bundle(SIGNED, &store.image));
    store.index(&[(&referrer, "")]);
    FIXTURE.run_in(store.folder(), "tar", &["-C", "layout", "-cf", "image.tar", "."]);
    let path = store.folder().join("image.tar");
    let octets = fs::read(&path).unwrap();
    let by = store.by(&["cosign.pub"]);
    let mut readers = Readers::new(Isolation::None);
    let mut read = || {
        let image = Layout::open_archive(&path, &mut readers)?;
        let trust = image.signed(None, &by, &mut readers)?;
        image.image(&trust, "amd64", &mut readers)
    };
    let truth = read().unwrap();
    let mut refused = 0;
    for at in (0..octets.len()).step_by(211) {
        let mut changed = octets.clone();
        changed[at] ^= 0x81;
        fs::write(&path, &changed).unwrap();
        match read() {
            Ok(reading) => assert_eq!(reading.references, truth.references, "octet {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 10, "{refused} changes were refused");
}
