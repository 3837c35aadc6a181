//! Every vector of `conformance/vectors`, judged by the agent and by the engine of `core`.

use serde_json::Value as Json;
use tma_protocol::Request;
use tsem::Bounds;
use tsem::Cell;
use tsem::Description;
use tsem::Digest;
use tsem::Engine;
use tsem::ExecOutcome;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ProcessId;
use tsem::References;
use tsem::Rules;
use tsem::Setup;
use tsem::Value;
use tsem::Verdict;

use crate::Peer;
use crate::Subject;

/// At least so many vectors must come out as they stand; the others are of other task identities.
const AS_THEY_STAND: usize = 50;
/// A fresh model after so many events, for agents that keep few.
const AT_ONCE: usize = 200;

pub(crate) fn hold(subject: &Subject<'_>) {
    hold_events(subject);
    hold_chains(subject);
}

fn vectors(file: &str) -> Vec<Json> {
    let path = format!("{}/../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn engine(mode: Mode, on_violation: OnViolation, rules: &Rules) -> Engine {
    let setup = Setup {
        mode,
        on_violation,
        rules: rules.clone(),
        references: References::default(),
        platform: Platform::NONE,
        bounds: Bounds::default(),
    };
    Engine::new(setup, [])
}

fn describe(vector: &Json) -> Description {
    let cell: Cell = tsem::cell_from_json(&vector["event"]).unwrap();
    let tasks = cell.values.iter().filter(|value| matches!(value, Value::Task(_)));
    let targets = vec![None; tasks.count()];
    let coe = tsem::coe_from_json(&vector["coe"]).unwrap();
    Description { process: ProcessId(1), pid: 4_000_000, coe, cell, targets }
}

fn digest(vector: &Json, member: &str) -> Digest {
    Digest::from_hex(vector[member].as_str().unwrap()).unwrap()
}

fn hold_events(subject: &Subject<'_>) {
    let mut peer = Peer::connect(subject);
    let mut as_they_stand = 0;
    for vectors in vectors("events.jsonl").chunks(AT_ONCE) {
        let mut engine = begin(&mut peer);
        for vector in vectors {
            let event = describe(vector);
            let Some(judged) = peer.judge(&event) else { continue };
            let expected = engine.judge(&event);
            assert_eq!(judged, expected, "{}", vector["name"]);
            as_they_stand += usize::from(judged.coefficient == digest(vector, "coefficient"));
            engine.exec_settled(ProcessId(1), ExecOutcome::Failed);
            peer.tell(&[Request::ExecSettled(ProcessId(1), ExecOutcome::Failed)]);
        }
    }
    assert!(as_they_stand >= AS_THEY_STAND, "{as_they_stand}");
}

/// A free model with one process, on both sides.
fn begin(peer: &mut Peer) -> Engine {
    let rules = Rules::default();
    peer.load(Mode::Free, OnViolation::Deny, &rules, &[]);
    peer.tell(&[Request::Started(ProcessId(1))]);
    let mut engine = engine(Mode::Free, OnViolation::Deny, &rules);
    engine.started(ProcessId(1));
    engine
}

/// Chains of execs: every link's coefficient is that of the vector, so the chain is kept.
fn hold_chains(subject: &Subject<'_>) {
    let mut peer = Peer::connect(subject);
    let mut chain = None;
    for vector in vectors("chains.jsonl") {
        if chain != vector["chain"].as_u64() {
            chain = vector["chain"].as_u64();
            begin(&mut peer);
        }
        let judged = peer.judge(&describe(&vector)).unwrap();
        assert_eq!(judged.verdict, Verdict::Allow);
        assert_eq!(judged.coefficient, digest(&vector, "coefficient"), "{}", vector["name"]);
        peer.tell(&[Request::ExecSettled(ProcessId(1), ExecOutcome::Committed)]);
    }
}
