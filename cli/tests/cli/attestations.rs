//! Attestations: fetched from a running namespace, checked without it.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value as Json;

use crate::sandbox::Sandbox;
use crate::sandbox::binary;

const NONCE: &str = "00112233445566778899aabbccddeeff";
const OTHER: &str = "ffeeddccbbaa99887766554433221100";
/// Longer than a machine under load needs to start a namespace.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The agent's program lies beside ours; a build of this package alone has not made it.
pub(crate) fn agent_is_built() {
    let folder = binary().parent().unwrap();
    if !folder.join("quixote-tma").exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "process-agent", "--bin", "quixote-tma"]);
        assert!(cargo.status().unwrap().success());
    }
}

/// A namespace that runs until it is dropped.
struct Served {
    sandbox: Sandbox,
    quixote: Child,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = fs::write(self.sandbox.path("stop"), "");
        let _ = self.quixote.wait();
    }
}

/// A workload that ends when it may, and does `more` before it says that it runs.
fn script(more: &str) -> String {
    format!("{more}echo > ready; while ! [ -e stop ]; do :; done")
}

/// Learns the workload, and starts it under its model, where it does `more` than was learned.
fn served(options: &[&str], more: &str) -> Served {
    served_learned(options, "", more)
}

/// As [`served`], with a model of the workload that does `learned`.
fn served_learned(options: &[&str], learned: &str, more: &str) -> Served {
    agent_is_built();
    let sandbox = Sandbox::new();
    sandbox.write("stop", "");
    let learn = ["learn", "-o", "a.model", "--accept-rules", "none", "--", "/bin/sh", "-c"];
    sandbox.write("in", "");
    sandbox.good(&[&learn[..], &[&script(learned)]].concat());
    sandbox.write("b", "");
    let other = ["learn", "-o", "b.model", "--accept-rules", "none", "--", "/bin/cat", "b"];
    sandbox.good(&other);
    for name in ["stop", "ready"] {
        fs::remove_file(sandbox.path(name)).unwrap();
    }
    let run = ["--name", "a", "--allow-unsigned", "a.model", "--", "/bin/sh", "-c"];
    let script = script(more);
    let line = [options, &run[..], &[&script]].concat();
    let mut command = sandbox.command(&line);
    let quixote = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let served = Served { sandbox, quixote };
    let deadline = Instant::now() + START_LIMIT;
    while !served.sandbox.path("ready").exists() {
        assert!(Instant::now() < deadline, "the workload does not run");
        std::thread::sleep(Duration::from_millis(5));
    }
    served
}

fn verify(sandbox: &Sandbox, nonce: &str, model: &str, statement: &str) -> (i32, Json, String) {
    let line = ["verify-attestation", "--json", "--allow-unsigned", "--nonce", nonce];
    let told = sandbox.quixote(&[&line[..], &["--model", model, statement]].concat());
    let json = if told.stdout.is_empty() { Json::Null } else { told.json() };
    (told.status, json, told.stderr)
}

#[test]
fn run_an_attestation_holds_for_its_challenge_its_model_and_its_agent_alone() {
    let served = served(&["enforce", "--tma", "process"], "");
    let sandbox = &served.sandbox;
    sandbox.good(&["attest", "a", "--nonce", NONCE, "-o", "a.attestation"]);
    let (status, found, told) = verify(sandbox, NONCE, "a.model", "a.attestation");
    assert_eq!(status, 0, "{told} {found}");
    assert_eq!(found["locality"], "process");
    assert_eq!(found["mode"], "enforcing");
    assert_eq!(found["cached"], Json::Null);
    assert_eq!(found["violations"], 0);
    for part in ["header", "coefficients", "state", "enforced", "complete", "every_event"] {
        assert_eq!(found["agreement"][part], true, "{part}: {found}");
    }
    let text = ["verify-attestation", "--allow-unsigned", "--nonce", NONCE, "--model", "a.model"];
    let text = sandbox.good(&[&text[..], &["a.attestation"]].concat());
    assert!(text.contains("nothing outside the model has happened"), "{text}");

    let (status, _, told) = verify(sandbox, OTHER, "a.model", "a.attestation");
    assert_ne!(status, 0);
    assert!(told.contains("another challenge"), "{told}");
    let (status, found, _) = verify(sandbox, NONCE, "b.model", "a.attestation");
    assert_eq!(status, 1);
    assert_eq!(found["agreement"]["coefficients"], false, "{found}");
    every_changed_octet_is_refused(sandbox);
    another_agents_pin_does_not_do(sandbox);
}

/// No octet can be changed: what does not parse, does not verify.
fn every_changed_octet_is_refused(sandbox: &Sandbox) {
    let good = fs::read(sandbox.path("a.attestation")).unwrap();
    for place in (0..good.len()).step_by(good.len() / 8) {
        let mut changed = good.clone();
        changed[place] ^= 1;
        fs::write(sandbox.path("changed"), changed).unwrap();
        let (status, found, told) = verify(sandbox, NONCE, "a.model", "changed");
        assert!(status != 0 && found == Json::Null && !told.is_empty(), "octet {place}: {told}");
    }
    fs::write(sandbox.path("changed"), &good[..good.len() - 1]).unwrap();
    assert_ne!(verify(sandbox, NONCE, "a.model", "changed").0, 0);
}

/// A pin with another signing key.
fn another_agents_pin_does_not_do(sandbox: &Sandbox) {
    let keys = "1".repeat(64);
    sandbox.write("other.pin", &format!("agent x\nsession {keys}\nsigning {keys}\n"));
    let line = ["verify-attestation", "--nonce", NONCE, "--agent", "other.pin", "a.attestation"];
    let told = sandbox.quixote(&line);
    assert_ne!(told.status, 0);
    assert!(told.stderr.contains("no pinned agent signed this"), "{}", told.stderr);
    let pin = sandbox.work().join("../state/agents/process.pin");
    assert!(Path::new(&pin).exists());
    let own = pin.to_str().unwrap();
    sandbox.good(&["verify-attestation", "--nonce", NONCE, "--agent", own, "a.attestation"]);
}

#[test]
fn run_an_attestation_tells_of_what_was_outside_the_model() {
    let served = served(&["monitor", "--tma", "process"], "cat /etc/hostname; ");
    let sandbox = &served.sandbox;
    let printed = sandbox.good(&["attest", "a", "--nonce", NONCE, "--json"]);
    let printed: Json = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["nonce"], NONCE);
    sandbox.write("a.attestation", printed["statement"].as_str().unwrap());
    let (status, found, told) = verify(sandbox, NONCE, "a.model", "a.attestation");
    assert_eq!(status, 1, "{told}");
    assert_eq!(found["mode"], "sealed");
    assert_eq!(found["agreement"]["header"], true, "{found}");
    assert_eq!(found["agreement"]["state"], false, "{found}");
    assert!(found["violations"].as_u64() > Some(0), "{found}");
}

#[test]
fn run_a_verdict_cache_is_stated_and_must_be_accepted() {
    let again = "n=0; while [ $n -lt 50 ]; do : < in; n=$((n+1)); done; ";
    let served = served_learned(&["enforce", "--tma", "process", "--verdict-cache"], again, again);
    let sandbox = &served.sandbox;
    sandbox.good(&["attest", "a", "--nonce", NONCE, "-o", "a.attestation"]);
    let (status, found, told) = verify(sandbox, NONCE, "a.model", "a.attestation");
    assert_eq!(status, 1, "{told} {found}");
    assert!(found["cached"].as_u64() > Some(10), "{found}");
    assert_eq!(found["agreement"]["every_event"], false, "{found}");
    let line = ["verify-attestation", "--allow-unsigned", "--allow-cache", "--nonce", NONCE];
    let text = sandbox.good(&[&line[..], &["--model", "a.model", "a.attestation"]].concat());
    assert!(text.contains("which a cache answered"), "{text}");
}

#[test]
fn an_agent_in_the_orchestrator_has_no_verdict_cache() {
    let sandbox = Sandbox::new();
    crate::fixture::write(&sandbox.path("a.model"), 1, &["/etc/hostname"]);
    let line = ["enforce", "--allow-unsigned", "--verdict-cache", "a.model", "--", "true"];
    let told = sandbox.quixote(&line);
    assert_ne!(told.status, 0);
    assert!(told.stderr.contains("give a --tma"), "{}", told.stderr);
}

#[test]
fn run_an_agent_in_the_orchestrator_attests_to_nothing() {
    let served = served(&["enforce"], "");
    let told = served.sandbox.quixote(&["attest", "a", "--nonce", NONCE]);
    assert_ne!(told.status, 0);
    assert!(told.stderr.contains("--tma"), "{}", told.stderr);
}
