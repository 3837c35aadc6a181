//! Identities that are claimed of a process: the agent compares them with its own record.

use tma_protocol::Failure;
use tma_protocol::Reply;
use tma_protocol::Request;
use tsem::Cell;
use tsem::Coe;
use tsem::Description;
use tsem::Digest;
use tsem::EventKind;
use tsem::ExecOutcome;
use tsem::File;
use tsem::Mode;
use tsem::NULL_ID;
use tsem::OnViolation;
use tsem::Place;
use tsem::ProcessId;
use tsem::Rules;
use tsem::Value;
use tsem::Verdict;

use crate::Peer;
use crate::Subject;
use crate::vectors::engine;

/// Forks, execs, and the claims that follow from them and that do not.
pub(crate) fn hold(subject: &Subject<'_>) {
    let mut peer = Peer::connect(subject);
    peer.load(Mode::Free, OnViolation::Deny, &Rules::default(), &[]);
    let mut engine = engine(Mode::Free, OnViolation::Deny, &Rules::default());
    let (first, child) = (ProcessId(1), ProcessId(2));
    peer.tell(&[Request::Started(first), Request::Forked { parent: first, child }]);
    engine.started(first);
    engine.forked(first, child);
    let exec = event(child, EventKind::BprmCommittedCreds, vec![file("/bin/x"), Value::NoFile]);
    assert_eq!(peer.claimed(&exec, NULL_ID).map(|judged| judged.verdict), Ok(Verdict::Allow));
    assert_eq!(engine.judge(&exec).verdict, Verdict::Allow);
    peer.tell(&[Request::ExecSettled(child, ExecOutcome::Committed)]);
    engine.exec_settled(child, ExecOutcome::Committed);
    let own = engine.identity(child).unwrap().task;
    assert_ne!(own, NULL_ID);
    let open = |process| event(process, EventKind::FileOpen, vec![file("/a"), Value::Number(1)]);
    assert_eq!(peer.claimed(&open(child), own), Ok(engine.judge(&open(child))));
    assert_eq!(peer.claimed(&open(first), NULL_ID), Ok(engine.judge(&open(first))));
    for (process, claim) in [(child, NULL_ID), (first, own), (child, Digest([7; 32]))] {
        assert_eq!(peer.claimed(&open(process), claim), Err(Failure::Identity));
        engine.lost(tsem::Loss::Unreadable);
    }
    // A process that the agent does not know is none, whatever is claimed of it.
    assert_eq!(peer.claimed(&open(ProcessId(9)), NULL_ID), Err(Failure::Identity));
    engine.lost(tsem::Loss::Unreadable);
    let summary = peer.summary();
    assert_eq!(summary.counts.unreadable, engine.counts().unreadable);
    assert_eq!(summary.counts.events, engine.counts().events);
    assert_eq!((summary.state, summary.measurement), (engine.state(), engine.measurement()));
}

impl Peer {
    /// Has an event judged whose process is said to have this `TASK_ID`.
    fn claimed(&mut self, event: &Description, claim: Digest) -> Result<tsem::Judgement, Failure> {
        self.send_claimed(event, claim);
        self.answer(|reply| match reply {
            Reply::Verdict { verdict, first, violation, coefficient } => {
                Ok(tsem::Judgement { verdict, coefficient, violation, first })
            }
            Reply::Failed(failure) => Err(failure),
            other => panic!("no verdict: {other:?}"),
        })
    }
}

fn event(process: ProcessId, kind: EventKind, values: Vec<Value>) -> Description {
    let coe = Coe::default();
    Description { process, pid: 1, coe, cell: Cell { kind, values }, targets: Vec::new() }
}

fn file(path: &str) -> Value {
    File::new(Place::new(path, 0xef53), [0, 0, 0o100_755], Digest::ZERO).into()
}
