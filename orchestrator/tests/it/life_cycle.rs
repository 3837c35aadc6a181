//! Learn, then enforce: what was seen goes through, all else is refused before it happens.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use orchestrator::agent::Unobserved;
use orchestrator::record::Exit;
use orchestrator::tma::Tma;
use orchestrator::workload;
use orchestrator::workload::Finished;
use orchestrator::workload::OnCrash;
use orchestrator::workload::Workload;
use tsem::Digest;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::Rules;

fn run(name: &str, mode: Mode, model: &[Digest], command: &[&str]) -> Finished {
    let workload = Workload {
        command: command.iter().map(OsString::from).collect(),
        user: None,
        name: format!("{name}-{}", std::process::id()),
        mode,
        on_violation: OnViolation::Deny,
        rules: Rules::default(),
        references: tsem::References::default(),
        coefficients: model.to_vec(),
        exact: Vec::new(),
        ruled: BTreeSet::new(),
        model: None,
        platform: Platform::NONE,
        tma: Tma::Orchestrator,
        verdict_cache: false,
        header: None,
        signature: None,
        source: orchestrator::source::Source::Portable,
        on_crash: OnCrash::Deny,
        shield: false,
        hooks: orchestrator::hooks::Hooks::default(),
    };
    workload::start(&workload, Arc::new(Unobserved), None).unwrap().wait().unwrap()
}

fn coefficients(finished: &Finished) -> Vec<Digest> {
    let texts = finished.record.coefficients.iter();
    texts.map(|text| Digest::from_hex(text).unwrap()).collect()
}

#[test]
fn the_same_run_has_the_same_state_and_another_is_denied() {
    let learned = run("learn", Mode::Free, &[], &["/bin/sh", "-c", "cat /etc/hostname"]);
    assert_eq!(learned.exit, Exit::Code(0));
    assert_eq!(learned.record.counts.losses, 0);
    let model = coefficients(&learned);
    assert!(model.len() > 5, "{model:?}");

    let same = run("same", Mode::Enforcing, &model, &["/bin/sh", "-c", "cat /etc/hostname"]);
    assert_eq!(same.exit, Exit::Code(0), "{:?}", same.record.forensics);
    assert_eq!(same.record.state, learned.record.state);

    let other = run("other", Mode::Enforcing, &model, &["/bin/sh", "-c", "cat /etc/passwd"]);
    assert_ne!(other.exit, Exit::Code(0));
    assert_ne!(other.record.state, learned.record.state);
    let denied = other.record.forensics.iter().find(|kept| kept.name == "file_open").unwrap();
    assert!(denied.event.cell.event.contains("/etc/passwd"), "{denied:?}");
    assert!(denied.denied);
}

#[test]
fn a_denied_exec_makes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("made");
    let script = format!("touch {}", made.display());
    let learned = run("learn-exec", Mode::Free, &[], &["/bin/sh", "-c", "true"]);
    let model = coefficients(&learned);
    let denied = run("deny-exec", Mode::Enforcing, &model, &["/bin/sh", "-c", &script]);
    assert_ne!(denied.exit, Exit::Code(0));
    assert!(!Path::new(&made).exists());
}
