//! Files that packages vouch for: named by their reference, and by it alone, where the orchestrator said so.

use tma_protocol::Reply;
use tma_protocol::Request;
use tma_protocol::Table;
use tma_protocol::record;
use tsem::Bounds;
use tsem::Cell;
use tsem::Coe;
use tsem::Description;
use tsem::Digest;
use tsem::Engine;
use tsem::EventKind;
use tsem::ExecOutcome;
use tsem::ExpiredKeys;
use tsem::File;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Place;
use tsem::Platform;
use tsem::ProcessId;
use tsem::ReferenceRule;
use tsem::References;
use tsem::Rules;
use tsem::Setup;
use tsem::Value;
use tsem::Vouched;

use crate::Peer;
use crate::Subject;

const FIRST: ProcessId = ProcessId(1);
/// More than one message holds.
const FILES: u8 = 20;

/// Verdicts, identities and record are those of the engine of `core` with the same references; an
/// agent without room for them says so and does not judge.
pub(crate) fn hold(subject: &Subject<'_>) {
    let (rules, references) = vouched_for();
    let mut peer = Peer::connect(subject);
    if peer.hello.bounds.references < references.len() {
        return peer.refuses_references(references.len());
    }
    peer.load_with(Mode::Free, OnViolation::Deny, &rules, &references, &[]);
    let mut engine = Engine::new(
        Setup {
            mode: Mode::Free,
            on_violation: OnViolation::Deny,
            rules: rules.clone(),
            references: references.clone(),
            platform: Platform::NONE,
            bounds: Bounds::default(),
        },
        [],
    );
    peer.tell(&[Request::Started(FIRST)]);
    engine.started(FIRST);
    for event in events() {
        let (judged, expected) = (peer.judge(&event), engine.judge(&event));
        assert_eq!(judged, Some(expected), "{}", event.cell);
        if event.cell.kind == EventKind::BprmCommittedCreds {
            peer.tell(&[Request::ExecSettled(FIRST, ExecOutcome::Committed)]);
            engine.exec_settled(FIRST, ExecOutcome::Committed);
        }
    }
    assert_eq!(peer.summary().state, engine.state());
    let rows = peer.rows(Table::Events);
    let with_reference = |row: &Vec<u8>| {
        let mut event = record::read_event(row).expect("a row");
        references.refer(&mut event.observed.cell);
        event
    };
    // Agents with little memory keep no descriptions.
    if peer.hello.bounds.forensics > 0 {
        let kept: Vec<_> = rows.iter().map(with_reference).collect();
        assert_eq!(kept, engine.observation().events);
    }
}

impl Peer {
    fn refuses_references(&mut self, count: usize) {
        self.ask(&Request::Reset, |reply| assert!(matches!(reply, Reply::Done), "{reply:?}"));
        let load = crate::peer::announce(Mode::Free, OnViolation::Deny, (0, 1, count));
        self.ask(&Request::Load(load), |reply| {
            let full = tma_protocol::Failure::TooMuch;
            assert!(matches!(reply, Reply::Failed(failure) if failure == full), "{reply:?}");
        });
    }
}

fn vouched_for() -> (Rules, References) {
    let words = ["deb", "nginx", "amd64"];
    let rule = ReferenceRule::new(words, None, &["key"], ExpiredKeys::Refused).expect("a rule");
    let mut references = References::default();
    for number in 1..=FILES {
        let vouched = Vouched::new(Digest([number; 32]), b"/usr/bin/x", rule.identity());
        references.insert(vouched).expect("there is room");
    }
    (Rules { references: vec![rule], ..Rules::default() }, references)
}

/// An exec of what is vouched for, and files: vouched for, changed, elsewhere.
fn events() -> Vec<Description> {
    let exec = vec![file("/usr/bin/x", 1), Value::NoFile];
    let open =
        |path, content| event(EventKind::FileOpen, vec![file(path, content), Value::Number(1)]);
    vec![
        event(EventKind::BprmCommittedCreds, exec),
        open("/usr/bin/x", 2),
        open("/usr/bin/x", 3),
        open("/usr/bin/x", 100),
        open("/tmp/x", 2),
    ]
}

fn event(kind: EventKind, values: Vec<Value>) -> Description {
    let coe = Coe::default();
    Description { process: FIRST, pid: 1, coe, cell: Cell { kind, values }, targets: Vec::new() }
}

fn file(path: &str, content: u8) -> Value {
    let place = Place::new(path, 0xef53);
    File::new(place, [0, 0, 0o100_755], Digest([content; 32])).into()
}
