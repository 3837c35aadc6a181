//! Keys, signatures, and models as files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::fixture;
use crate::sandbox::Sandbox;

/// A sandbox with a signed model of serial 2.
fn signed() -> Sandbox {
    let sandbox = Sandbox::new();
    fixture::write(&sandbox.path("b.model"), 2, &["/etc/hosts", "/etc/passwd"]);
    sandbox.good(&["model", "keygen", "-o", "me.key"]);
    sandbox.good(&["model", "sign", "--key", "me.key", "b.model"]);
    sandbox
}

#[test]
fn a_key_is_made_pinned_and_never_written_over() {
    let sandbox = Sandbox::new();
    for algorithm in ["ed25519", "ecdsa-p256"] {
        let key = format!("{algorithm}.key");
        let line =
            sandbox.good(&["model", "keygen", "-o", &key, "--algorithm", algorithm, "--json"]);
        let key_made: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(key_made["algorithm"], algorithm);
        let mode = fs::metadata(sandbox.path(&key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let pinned = fs::read_to_string(key_made["pinned"].as_str().unwrap()).unwrap();
        assert_eq!(pinned, sandbox.read(&format!("{key}.pub")));
    }
    let again = sandbox.quixote(&["model", "keygen", "-o", "ed25519.key"]);
    assert_eq!(again.status, 125);
    assert!(again.stderr.contains("already there"), "{}", again.stderr);
}

#[test]
fn a_signed_model_verifies_and_a_changed_one_does_not() {
    let sandbox = signed();
    let finding = sandbox.good(&["model", "verify", "b.model", "--json"]);
    let finding: serde_json::Value = serde_json::from_str(&finding).unwrap();
    assert_eq!(finding["serial"], 2);
    assert_eq!(finding["workload"], "backup");
    fixture::write(&sandbox.path("b.model"), 2, &["/etc/hosts", "/etc/shadow"]);
    let refused = sandbox.quixote(&["model", "verify", "b.model"]);
    assert_eq!(refused.status, 125);
    assert!(refused.stderr.contains("signature is for another model"), "{}", refused.stderr);
    assert!(refused.stderr.contains("next:"), "{}", refused.stderr);
}

#[test]
fn a_key_that_is_not_pinned_is_not_trusted() {
    let sandbox = signed();
    sandbox.good(&["model", "keygen", "-o", "other.key", "--no-pin"]);
    sandbox.good(&["model", "sign", "--key", "other.key", "b.model"]);
    let refused = sandbox.quixote(&["model", "verify", "b.model"]);
    assert_eq!(refused.status, 125);
    assert!(refused.stderr.contains("no pinned key"), "{}", refused.stderr);
    sandbox.good(&["model", "pin", "other.key.pub", "--workload", "nginx"]);
    let restricted = sandbox.quixote(&["model", "verify", "b.model"]);
    assert!(restricted.stderr.contains("restricted to other workloads"), "{}", restricted.stderr);
}

#[test]
fn a_second_signature_is_added_to_the_first_and_to_no_other_models() {
    let sandbox = signed();
    sandbox.good(&["model", "keygen", "-o", "second.key"]);
    sandbox.good(&["model", "sign", "--add", "--key", "second.key", "b.model"]);
    let finding = sandbox.good(&["model", "verify", "b.model", "--json"]);
    let finding: serde_json::Value = serde_json::from_str(&finding).unwrap();
    assert_eq!(finding["signers"].as_array().unwrap().len(), 2);
    fixture::write(&sandbox.path("b.model"), 2, &["/etc/shadow"]);
    let refused = sandbox.quixote(&["model", "sign", "--add", "--key", "second.key", "b.model"]);
    assert_eq!(refused.status, 125);
    assert!(refused.stderr.contains("another model"), "{}", refused.stderr);
}

#[test]
fn a_model_is_shown_as_it_is() {
    let sandbox = signed();
    let text = sandbox.good(&["model", "show", "b.model"]);
    assert!(text.contains("/usr/bin/backup"), "{text}");
    assert!(text.contains("file_open file=/etc/hosts{ext4"), "{text}");
    let header = sandbox.good(&["model", "show", "b.model", "--header"]);
    assert!(!header.contains("file_open"), "{header}");
    let json = sandbox.good(&["model", "show", "b.model", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let model = fixture::model(2, &["/etc/hosts", "/etc/passwd"]);
    assert_eq!(json["state"], model.state().to_hex());
    assert_eq!(json["events"].as_array().unwrap().len(), 3);
}

#[test]
fn a_model_is_explained_in_words() {
    let sandbox = signed();
    let text = sandbox.good(&["model", "explain", "b.model"]);
    assert!(text.contains("/usr/bin/backup") && text.contains("read /etc/hosts"), "{text}");
    let json = sandbox.good(&["model", "explain", "b.model", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["coefficients"], 3);
}

#[test]
fn models_that_differ_are_compared_in_words_and_merged() {
    let sandbox = Sandbox::new();
    fixture::write(&sandbox.path("a.model"), 4, &["/etc/hosts"]);
    fixture::write(&sandbox.path("b.model"), 2, &["/etc/passwd"]);
    sandbox.good(&["model", "diff", "a.model", "a.model"]);
    let told = sandbox.quixote(&["model", "diff", "a.model", "b.model"]);
    assert_eq!(told.status, 1);
    assert!(told.stdout.contains("read /etc/passwd"), "{}", told.stdout);
    sandbox.good(&["model", "merge", "a.model", "b.model", "-o", "both.model"]);
    let both = sandbox.good(&["model", "show", "both.model", "--json"]);
    let both: serde_json::Value = serde_json::from_str(&both).unwrap();
    assert_eq!(both["coefficients"], 3);
    assert_eq!(both["header"]["serial"], 5);
    let json = sandbox.quixote(&["model", "diff", "a.model", "both.model", "--json"]).json();
    assert_eq!(json["coefficients_added"], 1);
    assert_eq!(json["coefficients_removed"], 0);
}
