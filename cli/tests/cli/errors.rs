//! What cannot be done is told in one sentence, with where and what next, and status 125.

use std::process::Command;

use crate::fixture;
use crate::sandbox::Sandbox;
use crate::sandbox::Told;

fn refused(told: &Told, status: i32, what: &str) {
    assert_eq!(told.status, status, "{}", told.stderr);
    assert!(told.stderr.contains(what), "{what}: {}", told.stderr);
    assert!(!told.stderr.contains("panicked"), "{}", told.stderr);
}

/// A program whose running would be seen.
const TELL_TALE: [&str; 3] = ["--", "touch", "ran"];

fn enforce(sandbox: &Sandbox, arguments: &[&str]) -> Told {
    let told = sandbox.quixote(&[&["enforce"], arguments, &TELL_TALE].concat());
    assert!(!sandbox.path("ran").exists(), "the workload was run: {}", told.stderr);
    told
}

#[test]
fn a_model_that_is_none_names_its_line() {
    let sandbox = Sandbox::new();
    sandbox.write("no.model", "hello\n");
    refused(&enforce(&sandbox, &["no.model", "--allow-unsigned"]), 125, "this is no model");
    fixture::write(&sandbox.path("b.model"), 1, &["/etc/hosts"]);
    let damaged = sandbox.read("b.model").replace("/etc/hosts", "/etc/shadow");
    let line = 1 + damaged.lines().position(|line| line.contains("/etc/shadow")).unwrap();
    sandbox.write("b.model", &damaged);
    let told = enforce(&sandbox, &["b.model", "--allow-unsigned"]);
    refused(&told, 125, &format!("line {line}"));
}

#[test]
fn a_model_that_is_not_there_is_told() {
    let told = enforce(&Sandbox::new(), &["none.model"]);
    refused(&told, 125, "none.model");
}

#[test]
fn an_unsigned_model_is_refused_unless_allowed() {
    let sandbox = Sandbox::new();
    fixture::write(&sandbox.path("b.model"), 1, &["/etc/hosts"]);
    let told = enforce(&sandbox, &["b.model"]);
    refused(&told, 125, "not signed");
    assert!(told.stderr.contains("next: sign it with"), "{}", told.stderr);
}

#[test]
fn a_signature_that_does_not_hold_is_refused_even_where_unsigned_is_allowed() {
    let sandbox = Sandbox::new();
    fixture::write(&sandbox.path("b.model"), 1, &["/etc/hosts"]);
    sandbox.good(&["model", "keygen", "-o", "me.key"]);
    sandbox.good(&["model", "sign", "--key", "me.key", "b.model"]);
    fixture::write(&sandbox.path("b.model"), 1, &["/etc/shadow"]);
    refused(&enforce(&sandbox, &["b.model"]), 125, "signature is for another model");
    let told = enforce(&sandbox, &["b.model", "--allow-unsigned"]);
    refused(&told, 125, "signature is for another model");
}

#[test]
fn an_older_model_is_a_rollback() {
    let sandbox = Sandbox::new();
    sandbox.good(&["model", "keygen", "-o", "me.key"]);
    for (name, serial) in [("new.model", 3), ("old.model", 2)] {
        fixture::write(&sandbox.path(name), serial, &["/etc/hosts"]);
        sandbox.good(&["model", "sign", "--key", "me.key", name]);
    }
    sandbox.good(&["model", "verify", "old.model"]);
    let ran = sandbox.quixote(&["enforce", "new.model", "--", "true"]);
    assert!(!ran.stderr.contains("signed"), "{}", ran.stderr);
    let told = enforce(&sandbox, &["old.model"]);
    refused(&told, 125, "serial 2, but 3 was accepted");
}

#[test]
fn a_trust_store_that_others_write_is_refused() {
    let sandbox = Sandbox::new();
    fixture::write(&sandbox.path("b.model"), 1, &["/etc/hosts"]);
    sandbox.good(&["model", "keygen", "-o", "me.key", "--trust", "open"]);
    sandbox.good(&["model", "sign", "--key", "me.key", "b.model"]);
    sandbox.good(&["model", "verify", "b.model", "--trust", "open"]);
    assert!(
        Command::new("chmod").args(["777"]).arg(sandbox.path("open")).status().unwrap().success()
    );
    let told = enforce(&sandbox, &["b.model", "--trust", "open"]);
    refused(&told, 125, "someone else could pin a key");
}

#[test]
fn arguments_that_make_no_sense_are_our_failure() {
    let sandbox = Sandbox::new();
    for line in [&["frobnicate"][..], &["learn", "--", "true"], &["enforce", "m.model"], &[]] {
        assert_eq!(sandbox.quixote(line).status, 125, "{line:?}");
    }
}

#[test]
fn rules_and_names_that_are_none_are_told() {
    let sandbox = Sandbox::new();
    let rule = ["learn", "-o", "x.model", "--rule", "nonsense", "--", "touch", "ran"];
    refused(&sandbox.quixote(&rule), 125, "--rule 'nonsense'");
    let name = ["learn", "-o", "x.model", "--name", "a/b", "--", "touch", "ran"];
    refused(&sandbox.quixote(&name), 125, "a/b");
    assert!(!sandbox.path("ran").exists());
}

#[test]
fn a_model_that_could_not_be_written_is_told_before_the_workload_runs() {
    let sandbox = Sandbox::new();
    let told = sandbox.quixote(&["learn", "-o", "nowhere/x.model", "--", "touch", "ran"]);
    refused(&told, 125, "nowhere/x.model.runs");
    assert!(!sandbox.path("ran").exists());
}

#[test]
fn where_no_key_is_pinned_the_next_step_is_told() {
    let sandbox = Sandbox::new();
    fixture::write(&sandbox.path("b.model"), 1, &["/etc/hosts"]);
    sandbox.good(&["model", "keygen", "-o", "me.key", "--no-pin"]);
    sandbox.good(&["model", "sign", "--key", "me.key", "b.model"]);
    let told = sandbox.quixote(&["model", "verify", "--trust", "none", "b.model"]);
    refused(&told, 125, "no key is pinned in none");
    assert!(told.stderr.contains("quixote model pin"), "{}", told.stderr);
}

#[test]
fn a_namespace_that_never_was_is_told() {
    let told = Sandbox::new().quixote(&["show", "nobody", "state"]);
    refused(&told, 125, "nobody");
    assert!(told.stderr.contains("quixote ps --all"), "{}", told.stderr);
}

#[test]
fn diagnostics_that_cannot_be_understood_are_told() {
    let sandbox = Sandbox::new();
    let output = sandbox.command(&["ps"]).env("QUIXOTE_LOG", "dev=loud").output().unwrap();
    let told = Told::of(&output);
    refused(&told, 125, "QUIXOTE_LOG");
    assert!(told.stderr.contains("dev=loud"), "{}", told.stderr);
    assert_eq!(told.stdout, "");
}
