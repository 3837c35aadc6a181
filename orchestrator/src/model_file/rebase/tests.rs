use std::sync::Arc;

use references::FileDigest;
use references::FileFlags;
use references::Format;
use references::Package;
use references::Signer;
use references::Verified;
use tsem::Observation;

use super::*;
use crate::model_file::header::tests::header;
use crate::model_file::model::tests::model;
use crate::model_file::model::tests::story;

const NGINX: &[u8] = b"/usr/sbin/nginx";

fn reference(version: &str, key: &str, content: Digest) -> Reference {
    let signer =
        Signer { key: key.into(), name: key.into(), signed_at_s: None, expires_at_s: None };
    Reference {
        path: NGINX.into(),
        digest: FileDigest::new(Algorithm::Sha256, &content.0).unwrap(),
        mode: None,
        size: None,
        ima_signature: None,
        flags: FileFlags::default(),
        package: Arc::new(Package {
            format: Format::Deb,
            name: "nginx".into(),
            version: version.into(),
            arch: "amd64".into(),
            signer: Some(signer),
            verified: Verified::Release,
        }),
    }
}

fn set(references: impl IntoIterator<Item = Reference>) -> ReferenceSet {
    let mut set = ReferenceSet::default();
    references.into_iter().for_each(|reference| set.insert(reference).unwrap());
    set
}

fn old_content() -> Digest {
    Digest::of(&[NGINX])
}

fn upgraded() -> Digest {
    Digest::of(&[b"nginx, upgraded"])
}

/// The runs of [`model`] as the upgraded nginx would have shown them.
fn upgraded_runs() -> [Observation; 2] {
    let mut runs = ["/tmp/cc123456.s", "/tmp/ccabcdef.s"].map(|name| story(name).observation);
    runs[1].events.pop();
    for run in &mut runs {
        let tasks = run.tasks.iter_mut().filter_map(|task| task.exec.as_mut());
        let events = run.events.iter_mut().map(|event| &mut event.observed);
        for value in tasks.chain(events).flat_map(|observed| &mut observed.cell.values) {
            if let Value::File(file) = value
                && file.place.path == NGINX
            {
                file.digest = upgraded();
            }
        }
    }
    runs
}

#[test]
fn a_rebased_model_is_the_one_that_the_upgrade_would_have_taught() {
    let from = set([reference("1.0", "k", old_content())]);
    let to = set([reference("1.1", "k", upgraded())]);
    let rebased = rebase(&model(), &from, &to).unwrap();
    let runs = upgraded_runs();
    let mut learned = ModelFile::learned(header(), &[&runs[0], &runs[1]]).unwrap();
    learned.header_mut().serial += 1;
    assert_eq!(rebased.model, learned);
    let step = Step { package: "nginx".into(), from: "1.0".into(), to: "1.1".into(), files: 1 };
    assert_eq!(rebased.steps, [step]);
    assert!(rebased.left.is_empty(), "{:?}", rebased.left);
    let text = rebased.model.to_text(crate::model_file::format::Descriptions::Keep);
    assert_eq!(ModelFile::parse(text.as_bytes()).unwrap(), rebased.model);
}

#[test]
fn what_no_package_explains_stays_and_is_told() {
    let right = reference("1.0", "k", old_content());
    for (from, to, why) in [
        (right.clone(), reference("0.9", "k", upgraded()), "lower version"),
        (right.clone(), reference("1.1", "other", upgraded()), "another key"),
        (reference("1.0", "k", upgraded()), reference("1.1", "k", upgraded()), "had the content"),
    ] {
        let rebased = rebase(&model(), &set([from]), &set([to])).unwrap();
        assert_eq!(rebased.model, model(), "{why}");
        assert_eq!(rebased.left.len(), 1);
        assert!(rebased.left[0].why.contains(why), "{:?}", rebased.left);
    }
    let gone = rebase(&model(), &set([right]), &ReferenceSet::default()).unwrap();
    assert_eq!(gone.left[0].why, "its package does not have it any more");
}

#[test]
fn a_model_without_descriptions_is_refused() {
    let text = model().to_text(crate::model_file::format::Descriptions::Omit);
    let bare = ModelFile::parse(text.as_bytes()).unwrap();
    let none = ReferenceSet::default();
    assert!(matches!(rebase(&bare, &none, &none), Err(RebaseError::Undescribed(5))));
}
