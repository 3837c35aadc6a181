//! Bundles by short-lived certificates: real ones, and what is refused when a part of them is another.

use references::problem::Problem;
use references::readers::Isolation;
use references::readers::Readers;
use references::sigstore;
use references::sigstore::Signed;
use references::sigstore::keyless::Identity;
use references::sigstore::keyless::KeylessProblem;

const ATTESTATION: &str = include_str!("../testdata/sigstore/attestation.sigstore.json");
const BLOB: &str = include_str!("../testdata/sigstore/blob.sigstore.json");
const REKOR_2: &str = include_str!("../testdata/sigstore/rekor2.sigstore.json");
const ROOT: &str = include_str!("../testdata/sigstore/trusted_root.json");
const STAGING: &str = include_str!("../testdata/sigstore/trusted_root_staging.json");

const WORKFLOW: &str =
    "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main";
const ACTIONS: &str = "https://token.actions.githubusercontent.com";
const GITHUB: &str = "https://github.com/login/oauth";

fn identity(root: &str, identity: &str, issuer: &str) -> Identity {
    Identity::new(root, identity, issuer).unwrap()
}

fn verify(bundle: &str, identity: &Identity) -> Result<Signed, Problem> {
    identity.verify(bundle.as_bytes(), &mut Readers::new(Isolation::None))
}

/// What is told of a bundle that is refused.
fn refused(bundle: &str, by: &Identity) -> KeylessProblem {
    match verify(bundle, by) {
        Err(Problem::Keyless(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

fn workflow() -> Identity {
    identity(ROOT, WORKFLOW, ACTIONS)
}

/// The JSON value, changed.
fn changed(bundle: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut value = serde_json::from_str(bundle).unwrap();
    change(&mut value);
    value.to_string()
}

/// The first letter of a text in base64, another.
fn other_letter(value: &mut serde_json::Value) {
    let text = value.as_str().unwrap();
    let first = if text.starts_with('A') { "B" } else { "A" };
    *value = format!("{first}{}", &text[1..]).into();
}

#[test]
fn real_bundles_vouch_for_whom_the_user_states() {
    for (bundle, root, name, issuer, digest, signed_at_s) in [
        (ATTESTATION, ROOT, WORKFLOW, ACTIONS, [0x54, 0x30, 0x34, 0x91], 1_756_728_839),
        (BLOB, ROOT, "w.vollprecht@gmail.com", GITHUB, [0xe1, 0x94, 0xb9, 0x9d], 1_764_787_002),
        (REKOR_2, STAGING, "jku@goto.fi", GITHUB, [0x54, 0x30, 0x34, 0x91], 1_779_781_336),
    ] {
        // By a parser of its own, as users have it.
        let identity = identity(root, name, issuer);
        let signed = identity.verify(bundle.as_bytes(), &mut Readers::default()).unwrap();
        assert_eq!(signed.digests.len(), 1);
        assert_eq!(signed.digests[0][..4], digest);
        assert_eq!(signed.signer.name, format!("{name} by {issuer}"));
        assert!(signed.signer.key.starts_with("sigstore:"), "{}", signed.signer.key);
        let at_s = signed.signer.signed_at_s.unwrap();
        assert!((signed_at_s..signed_at_s + 600).contains(&at_s), "{at_s}");
    }
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let name = |shown: &str| {
        KeylessProblem::to_string(&refused(ATTESTATION, &identity(ROOT, shown, ACTIONS)))
    };
    for other in ["https://github.com/prefix-dev/", &WORKFLOW[1..], &WORKFLOW.to_uppercase(), ""] {
        assert!(name(other).ends_with(&format!("but for {WORKFLOW}")), "{}", name(other));
    }
    let told = refused(ATTESTATION, &identity(ROOT, WORKFLOW, GITHUB));
    assert!(matches!(told, KeylessProblem::Issuer { .. }), "{told}");
    assert!(told.to_string().ends_with(&format!("but of {ACTIONS}")), "{told}");
}

#[test]
fn another_digest_than_was_signed_is_refused() {
    let other = changed(BLOB, |bundle| {
        other_letter(&mut bundle["messageSignature"]["messageDigest"]["digest"]);
    });
    let by = identity(ROOT, "w.vollprecht@gmail.com", GITHUB);
    let told = refused(&other, &by);
    assert!(matches!(told, KeylessProblem::Signature(_)), "{told}");
    // Another statement under the same signature.
    let other = changed(ATTESTATION, |bundle| {
        let payload = &mut bundle["dsseEnvelope"]["payload"];
        // Three digits of the digest.
        let text = payload.as_str().unwrap();
        assert_eq!(&text[164..168], "NDMw");
        *payload = format!("{}NDMx{}", &text[..164], &text[168..]).into();
    });
    let told = refused(&other, &workflow());
    assert!(matches!(told, KeylessProblem::Signature(_)), "{told}");
}

#[test]
fn a_bundle_without_its_entry_of_a_log_is_refused() {
    for part in ["tlogEntries", "inclusionProof"] {
        let other = changed(ATTESTATION, |bundle| {
            let material = &mut bundle["verificationMaterial"];
            match part {
                "tlogEntries" => material[part] = serde_json::json!([]),
                _ => drop(material["tlogEntries"][0].as_object_mut().unwrap().remove(part)),
            }
        });
        let told = refused(&other, &workflow());
        assert!(matches!(told, KeylessProblem::NoEntry(_)), "{part}: {told}");
    }
    // Nor in a bundle that says it is older: there the log's promise would do for the library.
    let other = changed(ATTESTATION, |bundle| {
        bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1".into();
    });
    assert!(verify(&other, &workflow()).is_ok());
    let other = changed(&other, |bundle| {
        let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
        entry.as_object_mut().unwrap().remove("inclusionProof");
    });
    let told = refused(&other, &workflow());
    assert!(matches!(told, KeylessProblem::NoEntry(_)), "{told}");
    // The log's promise alone says when: without it, nobody does.
    let other = changed(ATTESTATION, |bundle| {
        let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
        entry.as_object_mut().unwrap().remove("inclusionPromise");
    });
    let told = refused(&other, &workflow());
    assert!(matches!(told, KeylessProblem::Time(_)), "{told}");
}

#[test]
fn an_altered_entry_of_a_log_is_refused() {
    type Part = fn(&mut serde_json::Value) -> &mut serde_json::Value;
    let parts: [(&str, Part); 3] = [
        ("hash", |entry| &mut entry["inclusionProof"]["hashes"][3]),
        ("promise", |entry| &mut entry["inclusionPromise"]["signedEntryTimestamp"]),
        ("body", |entry| &mut entry["canonicalizedBody"]),
    ];
    for (name, part) in parts {
        let other = changed(ATTESTATION, |bundle| {
            other_letter(part(&mut bundle["verificationMaterial"]["tlogEntries"][0]));
        });
        let told = refused(&other, &workflow());
        assert!(matches!(told, KeylessProblem::Log(_)), "{name}: {told}");
    }
    let told = refused(&other_time(), &workflow());
    assert!(matches!(told, KeylessProblem::Log(_)), "{told}");
}

/// A second later than the log has promised.
fn other_time() -> String {
    changed(ATTESTATION, |bundle| {
        let time = &mut bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"];
        let at_s: u64 = time.as_str().unwrap().parse().unwrap();
        *time = (at_s + 1).to_string().into();
    })
}

#[test]
fn another_root_vouches_for_nothing() {
    let told = refused(ATTESTATION, &identity(STAGING, WORKFLOW, ACTIONS));
    assert!(matches!(told, KeylessProblem::Log(_)), "{told}");
    // The logs of the one, and the authorities of the other.
    let other = changed(ROOT, |root| {
        let staging: serde_json::Value = serde_json::from_str(STAGING).unwrap();
        root["certificateAuthorities"] = staging["certificateAuthorities"].clone();
    });
    let told = refused(ATTESTATION, &identity(&other, WORKFLOW, ACTIONS));
    assert!(matches!(told, KeylessProblem::Certificate(_)), "{told}");
    // An authority that was not one yet, or none any more.
    let other = ROOT.replace("2022-", "2031-").replace("2021-", "2031-");
    let told = refused(ATTESTATION, &identity(&other, WORKFLOW, ACTIONS));
    assert!(matches!(told, KeylessProblem::Log(_) | KeylessProblem::Certificate(_)), "{told}");
    for root in ["", "{}", &ROOT[..ROOT.len() / 2], ATTESTATION] {
        let told = Identity::new(root, WORKFLOW, ACTIONS).unwrap_err();
        assert!(matches!(told, KeylessProblem::Root(_)), "{told}");
    }
}

/// Neither stands in for the other.
#[test]
fn a_key_and_a_certificate_are_two_things() {
    let told = sigstore::verify(ATTESTATION.as_bytes(), &[], &mut Readers::default());
    assert!(matches!(told, Err(Problem::Keyless(KeylessProblem::NotAsked))), "{told:?}");
    let by_key = changed(ATTESTATION, |bundle| {
        let material = bundle["verificationMaterial"].as_object_mut().unwrap();
        material.remove("certificate");
        material.insert("publicKey".to_owned(), serde_json::json!({"hint": ""}));
    });
    assert!(matches!(refused(&by_key, &workflow()), KeylessProblem::ByKey));
}

/// Whatever octet is another: refused, or the same digest by the same signer.
#[test]
fn a_changed_bundle_vouches_for_nothing_else() {
    let by = workflow();
    let truth = verify(ATTESTATION, &by).unwrap();
    let mut readers = Readers::new(Isolation::None);
    let mut held = 0;
    for at in (0..ATTESTATION.len()).step_by(83) {
        for bit in [0x01, 0x20] {
            let mut octets = ATTESTATION.as_bytes().to_vec();
            octets[at] ^= bit;
            if let Ok(signed) = by.verify(&octets, &mut readers) {
                assert_eq!(signed.digests, truth.digests, "octet {at}");
                assert_eq!(signed.signer, truth.signer, "octet {at}");
                held += 1;
            }
        }
        assert!(by.verify(&ATTESTATION.as_bytes()[..at], &mut readers).is_err(), "cut at {at}");
    }
    assert!(held < 20, "{held} changes made no difference");
}
