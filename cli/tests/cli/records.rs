//! Recorded namespaces: listed, shown.

use orchestrator::record::Exit;
use orchestrator::record::RECORD_VERSION;
use orchestrator::record::Record;
use orchestrator::record::RecordedCounts;
use orchestrator::stored::StoredObservation;

use crate::fixture;
use crate::sandbox::Sandbox;

fn record() -> Record {
    let observation = fixture::observation(&["/etc/hosts"]);
    Record {
        version: RECORD_VERSION,
        name: "backup".into(),
        mode: "sealed".into(),
        source: "portable".into(),
        tma: "orchestrator".into(),
        command: vec!["/usr/bin/backup".into(), "--all".into()],
        model: None,
        orchestrator: 1,
        started: 1_700_000_000,
        ended: Some(1_700_000_001),
        unfinished: None,
        missing_hooks: Vec::new(),
        replaced: Vec::new(),
        exit: Some(Exit::Code(0)),
        state: "ab".repeat(32),
        measurement: "cd".repeat(32),
        counts: RecordedCounts { events: 7, coefficients: 2, ..RecordedCounts::default() },
        notes: Vec::new(),
        observation: StoredObservation::from(&observation),
        forensics: Vec::new(),
        coefficients: vec!["12".repeat(32), "34".repeat(32)],
    }
}

fn recorded() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.good(&["ps", "--all"]);
    let records = sandbox.work().join("../state/records");
    record().write(&records.join("backup.json")).unwrap();
    sandbox
}

#[test]
fn a_record_is_listed_and_shown_by_name() {
    let sandbox = recorded();
    assert!(!sandbox.good(&["ps"]).contains("backup"));
    let table = sandbox.good(&["ps", "--all"]);
    assert!(table.contains("backup") && table.contains("/usr/bin/backup --all"), "{table}");
    assert_eq!(sandbox.good(&["show", "backup", "state"]).trim(), "ab".repeat(32));
    assert_eq!(sandbox.good(&["show", "backup", "measurement"]).trim(), "cd".repeat(32));
    let trajectory = sandbox.good(&["show", "backup", "trajectory"]);
    assert!(trajectory.contains("file_open file=/etc/hosts{ext4"), "{trajectory}");
    assert_eq!(sandbox.good(&["show", "backup", "coefficients"]).lines().count(), 2);
    assert!(sandbox.good(&["show", "backup", "forensics"]).contains("nothing in backup"));
}

#[test]
fn all_that_lists_is_also_json() {
    let sandbox = recorded();
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&sandbox.good(arguments)).unwrap()
    };
    let list = json(&["ps", "--all", "--json"]);
    assert_eq!(list[0]["name"], "backup");
    assert_eq!(list[0]["running"], false);
    assert_eq!(list[0]["counts"]["events"], 7);
    let steps = json(&["show", "backup", "trajectory", "--json"]);
    assert_eq!(steps[1]["chain"][0], "/usr/bin/backup");
    assert_eq!(json(&["show", "backup", "counts", "--json"])["coefficients"], 2);
    assert_eq!(json(&["show", "backup", "state", "--json"])["state"], "ab".repeat(32));
    assert_eq!(json(&["show", "backup", "forensics", "--json"]), serde_json::json!([]));
    assert_eq!(json(&["ps", "--json"]), serde_json::json!([]));
}

#[test]
fn a_record_is_shown_by_its_file() {
    let sandbox = Sandbox::new();
    record().write(&sandbox.path("r.json")).unwrap();
    assert_eq!(sandbox.good(&["show", "r.json", "state"]).trim(), "ab".repeat(32));
    sandbox.write("none.json", "{}");
    let told = sandbox.quixote(&["show", "none.json", "state"]);
    assert_eq!(told.status, 125);
    assert!(told.stderr.contains("is not a record"), "{}", told.stderr);
}

#[test]
fn the_doctor_says_what_to_do_about_everything_that_is_missing() {
    let sandbox = Sandbox::new();
    let told = sandbox.quixote(&["doctor", "--json"]);
    let json = told.json();
    let checks = json.as_array().unwrap();
    assert!(checks.len() > 5);
    for check in checks {
        let good = check["health"] == "good";
        assert_eq!(good, check["mend"] == "", "{check}");
    }
    let missing = checks.iter().any(|check| check["health"] == "missing");
    assert_eq!(told.status, i32::from(missing));
}
