//! A Sigstore of our own, made by openssl: an authority, a log of certificates and a log of signatures, all of whose keys are here. So
//! what is wrong can be signed rightly.

use std::fs;
use std::path::Path;

use crate::fixture::FIXTURE;
use crate::images::digest;
use crate::others::layout;
use crate::others::paths;
use crate::others::write;
use crate::referrers::Store;
use references::Verified;
use references::oci::Layout;
use references::oci::Trust;
use references::problem::Problem;
use references::readers::Isolation;
use references::readers::Readers;
use references::sigstore::Signed;
use references::sigstore::SignedBy;
use references::sigstore::keyless::Identity;
use references::sigstore::keyless::KeylessProblem;

const NAME: &str = "me@example.invalid";
const ISSUER: &str = "https://accounts.example.invalid";
/// 2026-01-01, the beginning of the certificate, which lives for ten minutes.
const START_S: u64 = 1_767_225_600;

/// What of a signing is not as it should be.
#[derive(Clone, Copy, Default)]
struct Odd {
    /// Seconds from the certificate's beginning to the log's promise; a minute, if not said.
    logged_after_s: Option<i64>,
    /// The certificate is for TLS servers.
    for_servers: bool,
    /// No log of certificates has the certificate.
    unlogged: bool,
    /// The log has the signature of another file.
    other_entry: bool,
}

struct Sigstore<'a> {
    folder: &'a Path,
}

impl<'a> Sigstore<'a> {
    fn make(folder: &'a Path) -> Self {
        let sigstore = Self { folder };
        for name in ["authority", "certificates", "log", "leaf"] {
            let key = format!("{name}.key");
            sigstore.openssl(&[
                "ecparam",
                "-name",
                "prime256v1",
                "-genkey",
                "-noout",
                "-out",
                &key,
            ]);
            let der = format!("{name}.spki");
            sigstore.openssl(&["ec", "-in", &key, "-pubout", "-outform", "DER", "-out", &der]);
        }
        let request = [
            "req",
            "-x509",
            "-key",
            "authority.key",
            "-subj",
            "/O=test/CN=authority",
            "-days",
            "36500",
        ];
        let extensions = [
            "-addext",
            "keyUsage=critical,keyCertSign",
            "-outform",
            "DER",
            "-out",
            "authority.der",
        ];
        sigstore.openssl(&[&request[..], &extensions].concat());
        sigstore.openssl(&[
            "x509",
            "-inform",
            "DER",
            "-in",
            "authority.der",
            "-out",
            "authority.pem",
        ]);
        let request = ["req", "-new", "-key", "leaf.key", "-subj", "/O=test", "-out", "leaf.csr"];
        sigstore.openssl(&request);
        sigstore
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        FIXTURE.run_in(self.folder, "openssl", arguments)
    }

    fn base64(&self, file: &str) -> String {
        FIXTURE.run_in(self.folder, "base64", &["-w0", file])
    }

    fn hex_digest(&self, file: &str) -> String {
        FIXTURE.run_in(self.folder, "sha256sum", &[file])[..64].to_owned()
    }

    fn octets_base64(&self, octets: &[u8]) -> String {
        fs::write(self.folder.join("octets"), octets).unwrap();
        self.base64("octets")
    }

    /// In DER.
    fn sign(&self, key: &str, octets: &[u8]) -> Vec<u8> {
        fs::write(self.folder.join("signed"), octets).unwrap();
        self.openssl(&[
            "dgst",
            "-sha256",
            "-sign",
            &format!("{key}.key"),
            "-out",
            "signature",
            "signed",
        ]);
        fs::read(self.folder.join("signature")).unwrap()
    }

    /// The certificate in DER: first without, then with what the log of certificates says of it.
    fn certificate(&self, odd: Odd) -> Vec<u8> {
        let usage = if odd.for_servers { "serverAuth" } else { "codeSigning" };
        let extensions = format!(
            "[e]\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\nsubjectAltName=critical,email:{NAME}\n\
             1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:{ISSUER}\n"
        );
        let plain = self.issue(&extensions);
        if odd.unlogged {
            return plain;
        }
        fs::write(self.folder.join("plain.der"), plain).unwrap();
        let part = [
            "asn1parse",
            "-inform",
            "DER",
            "-in",
            "plain.der",
            "-strparse",
            "4",
            "-out",
            "part",
            "-noout",
        ];
        self.openssl(&part);
        let scts = hex(&self.certificate_timestamps(&fs::read(self.folder.join("part")).unwrap()));
        self.issue(&format!(
            "{extensions}1.3.6.1.4.1.11129.2.4.2=ASN1:FORMAT:HEX,OCTETSTRING:{scts}\n"
        ))
    }

    fn issue(&self, extensions: &str) -> Vec<u8> {
        let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
             policy=p\nunique_subject=no\n[p]\norganizationName=supplied\n";
        write(self.folder, "settings", &format!("{settings}{extensions}"));
        write(self.folder, "index", "");
        write(self.folder, "serial", "01\n");
        let issue = [
            "ca",
            "-batch",
            "-config",
            "settings",
            "-extensions",
            "e",
            "-notext",
            "-in",
            "leaf.csr",
        ];
        let by = ["-cert", "authority.pem", "-keyfile", "authority.key", "-out", "leaf.pem"];
        let times = ["-startdate", "20260101000000Z", "-enddate", "20260101001000Z"];
        self.openssl(&[&issue[..], &by, &times].concat());
        self.openssl(&["x509", "-in", "leaf.pem", "-outform", "DER", "-out", "leaf.der"]);
        fs::read(self.folder.join("leaf.der")).unwrap()
    }

    /// A list of one timestamp (RFC 6962) over a certificate's inner part.
    fn certificate_timestamps(&self, part: &[u8]) -> Vec<u8> {
        let time = (START_S * 1000).to_be_bytes();
        let issuer = octets(&self.hex_digest("authority.spki"));
        let length = (part.len() as u32).to_be_bytes();
        let covered = [&[0, 0][..], &time, &[0, 1], &issuer, &length[1..], part, &[0, 0]].concat();
        let signature = self.sign("certificates", &covered);
        let log = octets(&self.hex_digest("certificates.spki"));
        let head = [&[0][..], &log, &time, &[0, 0, 4, 3]].concat();
        let timestamp = [&head[..], &with_length(&signature)].concat();
        with_length(&with_length(&timestamp))
    }

    /// Signs the file of a manifest, has the log note it, and says the bundle.
    fn bundle(&self, manifest: &[u8], odd: Odd) -> String {
        let certificate = self.certificate(odd);
        let pem = self.base64("leaf.pem");
        let signature = self.octets_base64(&self.sign("leaf", manifest));
        write(self.folder, "noted", if odd.other_entry { "another file" } else { "" });
        if !odd.other_entry {
            fs::write(self.folder.join("noted"), manifest).unwrap();
        }
        let body = format!(
            "{{\"apiVersion\":\"0.0.1\",\"kind\":\"hashedrekord\",\"spec\":{{\"data\":{{\"hash\":{{\"algorithm\":\"sha256\",\"value\":\"{}\"}}}},\
             \"signature\":{{\"content\":\"{signature}\",\"publicKey\":{{\"content\":\"{pem}\"}}}}}}}}",
            self.hex_digest("noted")
        );
        let time_s = START_S.checked_add_signed(odd.logged_after_s.unwrap_or(60)).unwrap();
        let entry = self.entry(&body, time_s);
        fs::write(self.folder.join("manifest-octets"), manifest).unwrap();
        let sum = self.octets_base64(&octets(&self.hex_digest("manifest-octets")));
        format!(
            "{{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",\"verificationMaterial\":{{\"certificate\":{{\"rawBytes\":\"{}\"}},\
             \"tlogEntries\":[{entry}]}},\"messageSignature\":{{\"messageDigest\":{{\"algorithm\":\"SHA2_256\",\"digest\":\"{sum}\"}},\
             \"signature\":\"{signature}\"}}}}",
            self.octets_base64(&certificate)
        )
    }

    /// The only entry of its log: promised, proven and signed for.
    fn entry(&self, body: &str, time_s: u64) -> String {
        let log = octets(&self.hex_digest("log.spki"));
        let body_base64 = self.octets_base64(body.as_bytes());
        let promise = format!(
            "{{\"body\":\"{body_base64}\",\"integratedTime\":{time_s},\"logID\":\"{}\",\"logIndex\":0}}",
            hex(&log)
        );
        let promise = self.octets_base64(&self.sign("log", promise.as_bytes()));
        fs::write(self.folder.join("entry"), [b"\0", body.as_bytes()].concat()).unwrap();
        let root = self.octets_base64(&octets(&self.hex_digest("entry")));
        let head = format!("log.example.invalid\n1\n{root}\n");
        let signed = [&log[..4], &self.sign("log", head.as_bytes())].concat();
        let head =
            format!("{head}\n\u{2014} log.example.invalid {}\n", self.octets_base64(&signed));
        format!(
            "{{\"logIndex\":\"0\",\"logId\":{{\"keyId\":\"{}\"}},\"kindVersion\":{{\"kind\":\"hashedrekord\",\"version\":\"0.0.1\"}},\
             \"integratedTime\":\"{time_s}\",\"inclusionPromise\":{{\"signedEntryTimestamp\":\"{promise}\"}},\
             \"inclusionProof\":{{\"logIndex\":\"0\",\"rootHash\":\"{root}\",\"treeSize\":\"1\",\"hashes\":[],\
             \"checkpoint\":{{\"envelope\":{}}}}},\"canonicalizedBody\":\"{body_base64}\"}}",
            self.octets_base64(&log),
            serde_json::Value::from(head)
        )
    }

    fn root(&self) -> String {
        let log = |name: &str| {
            let id = self.octets_base64(&octets(&self.hex_digest(&format!("{name}.spki"))));
            let key = self.base64(&format!("{name}.spki"));
            format!(
                "{{\"baseUrl\":\"https://{name}.example.invalid\",\"hashAlgorithm\":\"SHA2_256\",\"publicKey\":{{\"rawBytes\":\"{key}\",\
                 \"keyDetails\":\"PKIX_ECDSA_P256_SHA_256\",\"validFor\":{{\"start\":\"2020-01-01T00:00:00Z\"}}}},\
                 \"logId\":{{\"keyId\":\"{id}\"}}}}"
            )
        };
        format!(
            "{{\"mediaType\":\"application/vnd.dev.sigstore.trustedroot+json;version=0.1\",\"tlogs\":[{}],\"ctlogs\":[{}],\
             \"certificateAuthorities\":[{{\"subject\":{{\"organization\":\"test\",\"commonName\":\"authority\"}},\
             \"uri\":\"https://authority.example.invalid\",\"certChain\":{{\"certificates\":[{{\"rawBytes\":\"{}\"}}]}},\
             \"validFor\":{{\"start\":\"2020-01-01T00:00:00Z\"}}}}],\"timestampAuthorities\":[]}}",
            log("log"),
            log("certificates"),
            self.base64("authority.der")
        )
    }

    fn verify(&self, manifest: &[u8], odd: Odd) -> Result<Signed, Problem> {
        let identity = Identity::new(&self.root(), NAME, ISSUER).unwrap();
        identity.verify(self.bundle(manifest, odd).as_bytes(), &mut Readers::new(Isolation::None))
    }

    fn refused(&self, manifest: &[u8], odd: Odd) -> KeylessProblem {
        match self.verify(manifest, odd) {
            Err(Problem::Keyless(problem)) => problem,
            other => panic!("{other:?}"),
        }
    }
}

fn hex(octets: &[u8]) -> String {
    let digit = |octet: u8| char::from_digit(octet.into(), 16).unwrap();
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

fn octets(hex: &str) -> Vec<u8> {
    digest(hex).to_vec()
}

/// In two octets, in front.
fn with_length(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes()[..], octets].concat()
}

#[test]
fn an_image_vouches_by_whose_certificate_signed_its_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hex = layout(folder);
    let manifest = fs::read(folder.join("layout/blobs/sha256").join(&hex)).unwrap();
    let signed = Sigstore::make(folder).verify(&manifest, Odd::default()).unwrap();
    assert_eq!(signed.digests, [digest(&hex)]);
    assert_eq!(signed.signer.signed_at_s, Some(START_S + 60));
    let trust = Trust::Signed(signed.digests[0], signed.signer);
    let image = Layout::open(&folder.join("layout")).unwrap();
    let reading = image.image(&trust, "amd64", &mut Readers::default()).unwrap();
    assert_eq!(paths(&reading), ["/usr/bin/a"]);
    assert_eq!(reading.package.verified, Verified::Signature);
    assert_eq!(reading.package.signer.as_ref().unwrap().name, format!("{NAME} by {ISSUER}"));
    assert!(reading.references[0].vouches());
}

#[test]
fn an_image_vouches_by_whose_certificate_signed_it_within_its_layout() {
    let store = Store::make();
    let sigstore = Sigstore::make(store.folder());
    let path = store.folder().join("layout/blobs/sha256").join(&store.image);
    let bundle = sigstore.bundle(&fs::read(path).unwrap(), Odd::default());
    store.index(&[(&store.referrer(&store.image, &bundle), "")]);
    let by = |name: &str| Identity::new(&sigstore.root(), name, ISSUER).unwrap();
    let found = |by: Identity| {
        let readers = &mut Readers::new(Isolation::None);
        store.open().signed(None, &SignedBy::Identity(by.into()), readers)
    };
    let trust = found(by(NAME)).unwrap();
    let Trust::Signed(image, signer) = &trust else { panic!("{trust:?}") };
    assert_eq!((image, signer.signed_at_s), (&digest(&store.image), Some(START_S + 60)));
    let reading = store.open().image(&trust, "amd64", &mut Readers::default()).unwrap();
    assert!(reading.references[0].vouches());
    let told = found(by("you@example.invalid")).unwrap_err().to_string();
    assert!(told.contains("its certificate is not for you@example.invalid"), "{told}");
    // By the same certificate, and of something else.
    let bundle = sigstore.bundle(b"another manifest", Odd::default());
    store.index(&[(&store.referrer(&store.image, &bundle), "")]);
    let told = found(by(NAME)).unwrap_err().to_string();
    assert!(told.contains("what is signed is about another image"), "{told}");
}

#[test]
fn what_is_wrong_is_refused_however_well_it_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let sigstore = Sigstore::make(folder.path());
    let refused = |odd| sigstore.refused(b"manifest", odd);
    // A certificate counts for the ten minutes that it lived.
    for logged_after_s in [-1, 601, 86_400] {
        let told = refused(Odd { logged_after_s: Some(logged_after_s), ..Odd::default() });
        assert!(matches!(told, KeylessProblem::Certificate(_)), "{told}");
    }
    assert!(
        sigstore.verify(b"manifest", Odd { logged_after_s: Some(600), ..Odd::default() }).is_ok()
    );
    let told = refused(Odd { for_servers: true, ..Odd::default() });
    assert!(matches!(told, KeylessProblem::Certificate(_)), "{told}");
    let told = refused(Odd { unlogged: true, ..Odd::default() });
    assert!(matches!(told, KeylessProblem::Certificate(_)), "{told}");
    let told = refused(Odd { other_entry: true, ..Odd::default() });
    assert!(matches!(told, KeylessProblem::Digest(_)), "{told}");
    // The log's time is of the future.
    let told = refused(Odd { logged_after_s: Some(4_000_000_000), ..Odd::default() });
    assert!(matches!(told, KeylessProblem::Log(_)), "{told}");
}
