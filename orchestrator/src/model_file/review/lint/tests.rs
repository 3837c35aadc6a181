//! Each finding is found, and a plain model has none but the expected.

use tsem::Digest;
use tsem::EventKind;
use tsem::Socket;
use tsem::Target;
use tsem::TaskIndex;
use tsem::Value;

use super::*;
use crate::model_file::header::add_rule;
use crate::model_file::model::tests::Story;
use crate::model_file::model::tests::file;
use crate::model_file::model::tests::model;

const TASK: TaskIndex = TaskIndex(1);

fn codes(model: &ModelFile) -> Vec<&'static str> {
    lint(model, SignatureStatus::Verified).iter().map(|finding| finding.code).collect()
}

/// What is found of a service in addition to nothing.
fn found(tell: impl FnOnce(&mut Story), rules: &[&str]) -> Vec<&'static str> {
    let mut story = Story::new();
    story.exec(TaskIndex::INITIAL, "/usr/sbin/service");
    tell(&mut story);
    let mut header = model().header().clone();
    header.rules = tsem::Rules::default();
    for rule in rules {
        add_rule(&mut header.rules, rule).unwrap();
    }
    let runs = [&story.observation, &story.observation];
    let mut found = codes(&ModelFile::learned(header, &runs).unwrap());
    found.retain(|code| *code != "all-capabilities");
    found
}

fn event(kind: EventKind, values: Vec<Value>) -> Vec<&'static str> {
    found(|story| story.event(TASK, 33, kind, values), &[])
}

#[test]
fn a_plain_service_has_no_finding() {
    assert_eq!(found(|story| story.open(TASK, "/etc/service.conf", 1), &[]), [""; 0]);
}

#[test]
fn events_are_found_by_kind_and_detail() {
    let socket = |family, socket_type| Value::Socket(Socket { family, socket_type, protocol: 0 });
    let zero = || vec![Value::Number(0)];
    for (kind, values, code) in [
        (EventKind::UringAllowed, vec![], "kernel-door"),
        (EventKind::Bpf, zero(), "kernel-door"),
        (EventKind::UsernsCreate, vec![], "namespaces"),
        (EventKind::SocketCreate, vec![socket(17, 3)], "raw-socket"),
        (EventKind::SocketCreate, vec![socket(2, 3)], "raw-socket"),
        (EventKind::PtraceTraceme, vec![Value::Task(Target::Own)], "tracing"),
        (
            EventKind::TaskKill,
            vec![Value::Task(Target::Outside), Value::Number(9)],
            "signal-outside",
        ),
        (
            EventKind::MmapFile,
            vec![Value::NoFile, Value::Number(5), Value::Number(2)],
            "anonymous-code",
        ),
        (
            EventKind::MmapFile,
            vec![Value::NoFile, Value::Number(7), Value::Number(2)],
            "writable-executable",
        ),
        (
            EventKind::FileMprotect,
            vec![file("/lib/a.so", 0o644, b""), Value::Number(5)],
            "no-digest",
        ),
        (
            EventKind::FileMprotect,
            vec![file("/lib/a.so", 0o666, b"a"), Value::Number(5)],
            "loose-code",
        ),
        (
            EventKind::FileMprotect,
            vec![file("/tmp/a.so", 0o644, b"a"), Value::Number(5)],
            "open-code",
        ),
        (EventKind::FileOpen, vec![file("/etc/shadow", 0o600, b""), Value::Number(1)], "secrets"),
        (
            EventKind::FileOpen,
            vec![file("/root/.ssh/authorized_keys", 0o600, b""), Value::Number(4)],
            "foothold",
        ),
        (
            EventKind::SocketConnect,
            vec![socket(2, 1), Value::Address(tsem::Address::Any)],
            "network-any",
        ),
    ] {
        assert_eq!(event(kind, values), [code], "{kind:?}");
    }
    let setuid =
        [2, 0o104_755, 0, 0].map(|number| Value::Number(if number == 2 { 1 } else { number }));
    let values = [vec![file("/x", 0o644, b"")], setuid.to_vec()].concat();
    assert_eq!(event(EventKind::InodeSetattr, values), ["setuid-bit"]);
}

#[test]
fn programs_are_found_by_name_and_by_who_writes_them() {
    let exec = |path: &'static str| found(move |story| _ = story.exec(TASK, path), &[]);
    assert_eq!(exec("/bin/dash"), ["shell"]);
    assert_eq!(exec("/usr/bin/python3.11"), ["interpreter"]);
    assert_eq!(exec("/usr/bin/pythonista"), [""; 0]);
    let written = found(
        |story| {
            story.open(TASK, "/opt/plugin", 2);
            story.exec(TASK, "/opt/plugin");
        },
        &[],
    );
    assert_eq!(written, ["written-code"]);
}

#[test]
fn rules_are_found_by_what_they_cover() {
    for (rule, code) in [
        ("name /srv/{any} any", "broad-rule-any"),
        ("name /{hex:4}/x any", "broad-rule-any"),
        ("name /tmp/{any} made", "broad-rule-made"),
        ("address 0.0.0.0/0 *", "network-any"),
        ("address 10.0.0.0/8 443", "network-broad"),
        ("ephemeral 1024-60999", "ports-wide"),
    ] {
        assert_eq!(found(|_| (), &[rule]), [code], "{rule}");
    }
    for rule in ["name /tmp/x{alnum:6} made", "address 10.1.0.0/16 443", "name /s/{hex:8} any"] {
        assert_eq!(found(|_| (), &[rule]), [""; 0], "{rule}");
    }
    for (words, codes) in [
        ("1.0-1 ab expired-refused", &["references"][..]),
        ("* ab expired-refused", &["reference-downgrade", "references"]),
        ("1.0-1 ab expired-accepted", &["reference-expired-key", "references"]),
    ] {
        let rule = format!("reference deb nginx amd64 {words}");
        assert_eq!(found(|_| (), &[&rule]), codes, "{rule}");
    }
}

#[test]
fn the_model_as_a_whole_is_looked_at_and_the_worst_comes_first() {
    let mut weak = model();
    weak.header_mut().losses = 3;
    weak.header_mut().runs = 1;
    let findings = lint(&weak, SignatureStatus::Unsigned);
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    for code in ["losses", "unsigned", "one-run", "shell", "network-broad"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    assert!(findings.is_sorted_by_key(|finding| finding.severity));
    assert!(findings[0].to_string().starts_with("danger[losses]: "), "{}", findings[0]);
    let mut bare = model();
    bare.insert(Digest([8; 32]), None);
    assert!(self::codes(&bare).contains(&"undescribed"));
}

#[test]
fn entries_that_a_later_rule_replaced_are_found() {
    let mut model = model();
    add_rule(&mut model.header_mut().rules, "name /etc/nginx/{alnum}.conf any").unwrap();
    assert!(codes(&model).contains(&"superseded"));
}

#[test]
fn a_long_list_is_cut_and_counted() {
    let mut story = Story::new();
    let task = story.exec(TaskIndex::INITIAL, "/usr/sbin/service");
    for number in 0..PLACES_MAX + 5 {
        story.open(task, &format!("/home/u{number}/.ssh/id_rsa"), 1);
    }
    let model = ModelFile::learned(model().header().clone(), &[&story.observation]).unwrap();
    let findings = lint(&model, SignatureStatus::Verified);
    let secrets = findings.iter().find(|finding| finding.code == "secrets").unwrap();
    assert_eq!((secrets.count, secrets.places.len()), (PLACES_MAX + 5, PLACES_MAX));
    assert!(secrets.to_string().contains("and 5 more"));
}
