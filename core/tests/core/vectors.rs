//! Every conformance vector, against `conformance/vectors`, which a script computed on its own.

use serde_json::Value as Json;
use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::EventKind;
use tsem::Measurement;
use tsem::Platform;
use tsem::TaskIdentity;

fn vectors(file: &str) -> Vec<Json> {
    let path = format!("{}/../conformance/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(vector: &'a Json, member: &str) -> &'a str {
    vector[member].as_str().unwrap()
}

fn digest(vector: &Json, member: &str) -> Digest {
    Digest::from_hex(text(vector, member)).unwrap()
}

fn octets(vector: &Json, member: &str) -> Vec<u8> {
    let digits = text(vector, member);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn identity(vector: &Json) -> TaskIdentity {
    TaskIdentity { parent: digest(vector, "ptask_id"), task: digest(vector, "task_id") }
}

/// Every form of the vector's COE and CELL says the same, and the digests are the vector's.
fn hold_event(vector: &Json) -> (Coe, Cell) {
    let name = text(vector, "name");
    let coe = tsem::coe_from_json(&vector["coe"]).unwrap_or_else(|e| panic!("{name}: {e}"));
    let cell = tsem::cell_from_json(&vector["event"]).unwrap_or_else(|e| panic!("{name}: {e}"));
    hold_coe(name, vector, &coe);
    hold_cell(name, vector, &cell);
    let digests = (digest(vector, "coe_digest"), digest(vector, "cell_digest"));
    let coefficient = tsem::coefficient(cell.kind, identity(vector), digests.0, digests.1);
    assert_eq!(coefficient, digest(vector, "coefficient"), "{name}");
    (coe, cell)
}

fn hold_coe(name: &str, vector: &Json, coe: &Coe) {
    let encoding = octets(vector, "coe_encoding");
    assert_eq!(tsem::encode_coe(coe)[..], encoding, "{name}");
    assert_eq!(tsem::decode_coe(&encoding), Ok(*coe), "{name}");
    assert_eq!(tsem::coe_digest(coe), digest(vector, "coe_digest"), "{name}");
    assert_eq!(coe.to_string(), text(vector, "coe_text"), "{name}");
    assert_eq!(text(vector, "coe_text").parse(), Ok(*coe), "{name}");
    assert_eq!(tsem::coe_to_json(coe), vector["coe"], "{name}");
}

fn hold_cell(name: &str, vector: &Json, cell: &Cell) {
    let encoding = octets(vector, "cell_encoding");
    let mut encoded = Vec::new();
    tsem::encode_cell(cell, &mut encoded).unwrap();
    assert_eq!(encoded, encoding, "{name}");
    assert_eq!(tsem::decode_cell(&encoding).as_ref(), Ok(cell), "{name}");
    assert_eq!(tsem::cell_digest(cell, &mut encoded), Ok(digest(vector, "cell_digest")), "{name}");
    assert_eq!(cell.to_string(), text(vector, "text"), "{name}");
    assert_eq!(text(vector, "text").parse().as_ref(), Ok(cell), "{name}");
    assert_eq!(tsem::cell_to_json(cell), vector["event"], "{name}");
}

#[test]
fn every_event_has_its_encodings_and_digests() {
    let vectors = vectors("events.jsonl");
    let mut kinds: Vec<EventKind> =
        vectors.iter().map(|vector| hold_event(vector).1.kind).collect();
    kinds.dedup();
    assert_eq!(kinds, EventKind::ALL, "there are vectors for every event");
}

#[test]
fn every_exec_chain_has_its_identities() {
    let vectors = vectors("chains.jsonl");
    assert!(!vectors.is_empty());
    let mut before = TaskIdentity::INITIAL;
    for vector in &vectors {
        if vector["link"] == 0 {
            before = TaskIdentity::INITIAL;
        }
        hold_event(vector);
        before = before.exec(digest(vector, "coe_digest"), digest(vector, "cell_digest"));
        assert_eq!(before, identity(vector), "{}", text(vector, "name"));
    }
}

#[test]
fn every_list_has_its_measurement_and_state() {
    let vectors = vectors("states.jsonl");
    assert!(!vectors.is_empty());
    for vector in &vectors {
        let platform =
            Platform { base: digest(vector, "base"), aggregate: digest(vector, "aggregate") };
        let hex = vector["coefficients"].as_array().unwrap().iter();
        let mut list: Vec<Digest> =
            hex.map(|hex| Digest::from_hex(hex.as_str().unwrap()).unwrap()).collect();
        let mut measurement = Measurement::new(&platform);
        for coefficient in &list {
            measurement.extend(*coefficient);
        }
        assert_eq!(measurement.value(), digest(vector, "measurement"), "{}", text(vector, "name"));
        list.sort();
        assert_eq!(
            tsem::state_of(&list, &platform),
            digest(vector, "state"),
            "{}",
            text(vector, "name")
        );
    }
}

#[test]
fn every_reference_rule_has_its_text_and_identity() {
    let vectors = vectors("references.jsonl");
    assert!(!vectors.is_empty());
    for vector in &vectors {
        let signers = vector["signers"].as_array().unwrap().iter();
        let signers: Vec<&str> = signers.map(|key| key.as_str().unwrap()).rev().collect();
        let package = ["format", "package", "architecture"].map(|name| text(vector, name));
        let expired = tsem::ExpiredKeys::from_name(text(vector, "expired")).unwrap();
        let minimum = vector["minimum"].as_str();
        let rule = tsem::ReferenceRule::new(package, minimum, &signers, expired).unwrap();
        assert_eq!(rule.to_string(), text(vector, "text"));
        assert_eq!(rule.identity(), digest(vector, "identity"));
    }
}
