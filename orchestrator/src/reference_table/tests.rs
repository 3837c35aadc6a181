use std::sync::Arc;

use references::Algorithm;
use references::FileDigest;
use references::FileFlags;
use references::Format;
use references::Signer;
use references::Verified;
use tsem::Place;

use super::*;

const NOW_S: u64 = 1_000;

fn package(version: &str, key: Option<&str>, expires_at_s: Option<u64>) -> Package {
    let signer = key.map(|key| Signer {
        key: key.into(),
        name: "Someone".into(),
        signed_at_s: Some(500),
        expires_at_s,
    });
    Package {
        format: Format::Deb,
        name: "tool".into(),
        version: version.into(),
        arch: "amd64".into(),
        verified: if signer.is_some() { Verified::Release } else { Verified::Unsigned },
        signer,
    }
}

fn set(packages: impl IntoIterator<Item = (Package, u8)>) -> ReferenceSet {
    let mut set = ReferenceSet::default();
    for (package, content) in packages {
        let reference = Reference {
            path: b"/usr/bin/tool".as_slice().into(),
            digest: FileDigest::new(Algorithm::Sha256, &[content; 32]).unwrap(),
            mode: None,
            size: None,
            ima_signature: None,
            flags: FileFlags::default(),
            package: Arc::new(package),
        };
        set.insert(reference).unwrap();
    }
    set
}

fn rule(expired: ExpiredKeys) -> ReferenceRule {
    ReferenceRule::new(["deb", "tool", "amd64"], Some("1.1-1"), &["k"], expired).unwrap()
}

fn file(content: u8) -> File {
    let place = Place::new("/usr/bin/tool", 0xef53);
    File::new(place, [0, 0, 0o100_755], Digest([content; 32]))
}

/// Whether the file counts, and if not, why.
fn judged(package: Package, content: u8, expired: ExpiredKeys) -> Result<(), String> {
    let table = ReferenceTable::of(&set([(package, 1)]), &[rule(expired)], NOW_S).unwrap();
    let file = file(content);
    let reference = table.vouched().of(file.digest, &file.place.path);
    if reference == rule(expired).identity() {
        assert_eq!(table.why(&file), None);
        return Ok(());
    }
    assert!(reference.is_zero());
    Err(table.why(&file).unwrap())
}

#[test]
fn what_the_policy_accepts_counts() {
    let refused = ExpiredKeys::Refused;
    assert_eq!(judged(package("1.1-1", Some("k"), None), 1, refused), Ok(()));
    assert_eq!(judged(package("1.1-1+deb12u1", Some("k"), Some(1_001)), 1, refused), Ok(()));
    let expired = package("1.1-1", Some("k"), Some(900));
    assert_eq!(judged(expired, 1, ExpiredKeys::Accepted), Ok(()));
}

#[test]
fn what_it_does_not_accept_is_named() {
    let refused = ExpiredKeys::Refused;
    for (package, content, expired, why) in [
        (package("1.1-1", Some("k"), None), 2, refused, "the file was changed"),
        (package("1.1-1", None, None), 1, refused, "no signature vouches"),
        (package("1.1-1", Some("x"), None), 1, refused, "signed by x (Someone)"),
        (package("1.1~rc1-1", Some("k"), None), 1, refused, "older than 1.1-1"),
        (package("1.1-1", Some("k"), Some(1_000)), 1, refused, "k has expired"),
        (package("1.1-1", Some("k"), Some(400)), 1, ExpiredKeys::Accepted, "k has expired"),
    ] {
        let said = judged(package, content, expired).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_candidate_has_the_lowest_version_and_every_signer() {
    let unsigned = package("0.9-1", None, None);
    let set = set([
        (package("1.10-1", Some("k"), None), 1),
        (package("1.9-1", Some("l"), None), 2),
        (unsigned, 3),
    ]);
    let rules = candidates(&set, &[], &["m".into()]);
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].to_string(), "reference deb tool amd64 1.9-1 k,l,m expired-refused");
    assert!(candidates(&set, &rules, &[]).is_empty(), "a rule that is there stays");
}

#[test]
fn what_was_executed_is_proposed() {
    let rule = rule(ExpiredKeys::Refused);
    let mut vouched = file(1);
    vouched.reference = rule.identity();
    let observed = tsem::ObservedCell {
        coe: tsem::Coe::default(),
        cell: tsem::Cell {
            kind: tsem::EventKind::BprmCommittedCreds,
            values: vec![vouched.into(), Value::NoFile],
        },
        makers: Vec::new(),
        targets: Vec::new(),
    };
    let mut run = Observation::default();
    let task = tsem::TaskIndex::INITIAL;
    run.events.push(tsem::ObservedEvent { task, observed, count: 1, first: 1 });
    let proposals = propose(&[&run], std::slice::from_ref(&rule));
    assert_eq!(proposals.len(), 1);
    assert_eq!(proposals[0].rule, rule.to_string());
    assert_eq!(proposals[0].examples, ["/usr/bin/tool"]);
    assert!(propose(&[&Observation::default()], &[rule]).is_empty());
}
