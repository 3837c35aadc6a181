//! Real workloads, replayed: verdicts, state, measurement and record as `core` has them.
//!
//! A recording is a trajectory. Each of its tasks becomes a process that is forked and executes;
//! then its events happen in their order. They are learned by the agent in free mode, enforced
//! under what was learned, and enforced under a part of it, so that there are denials.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use tma_protocol::Request;
use tma_protocol::Table;
use tma_protocol::record;
use tsem::Description;
use tsem::Digest;
use tsem::Effect;
use tsem::Engine;
use tsem::EventKind;
use tsem::ExecOutcome;
use tsem::Mode;
use tsem::Observation;
use tsem::ObservedCell;
use tsem::ObservedEvent;
use tsem::OnViolation;
use tsem::ProcessId;
use tsem::Rules;
use tsem::TaskIndex;
use tsem::Verdict;

use crate::Peer;
use crate::Subject;
use crate::vectors::engine;

pub(crate) fn hold(subject: &Subject<'_>) {
    for path in recordings() {
        let runs = orchestrator::runs::read_runs(&path).unwrap();
        let run = runs.first().unwrap();
        let mut replay = Replay::new(subject, &path);
        let learned = replay.whole(Mode::Free, OnViolation::Deny, &[], &run.observation);
        assert!(learned.len() > 10, "{}", path.display());
        if learned.len() > replay.peer.hello.bounds.coefficients / 2 {
            continue;
        }
        let same = replay.whole(Mode::Enforcing, OnViolation::Kill, &learned, &run.observation);
        assert_eq!(same, learned);
        let part: Vec<Digest> = learned.iter().copied().step_by(2).collect();
        for on_violation in [OnViolation::Deny, OnViolation::Untrust] {
            replay.whole(Mode::Enforcing, on_violation, &part, &run.observation);
        }
        replay.whole(Mode::Sealed, OnViolation::Untrust, &part, &run.observation);
    }
}

fn recordings() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "runs")).collect();
    assert!(paths.len() >= 3, "the recordings are there");
    paths
}

/// The agent and the engine of `core`, side by side.
struct Replay {
    peer: Peer,
    engine: Engine,
    name: String,
}

impl Replay {
    fn new(subject: &Subject<'_>, path: &Path) -> Self {
        let peer = Peer::connect(subject);
        let engine = engine(Mode::Free, OnViolation::Deny, &Rules::default());
        Self { peer, engine, name: path.display().to_string() }
    }

    /// Replays all of it under a model; the good coefficients in the end.
    fn whole(
        &mut self,
        mode: Mode,
        on_violation: OnViolation,
        model: &[Digest],
        observation: &Observation,
    ) -> Vec<Digest> {
        let rules = Rules::default();
        self.peer.load(mode, on_violation, &rules, model);
        self.engine = engine(mode, on_violation, &rules);
        for coefficient in model {
            assert!(self.engine.load(*coefficient));
        }
        self.tell(&Request::Started(ProcessId(1)));
        self.engine.started(ProcessId(1));
        let processes = self.tasks(observation);
        for event in observation.events.iter().filter(|event| !is_exec(event)) {
            for _ in 0..event.count.min(2) {
                self.event(processes[&event.task], &event.observed, &processes);
            }
        }
        self.compare();
        self.engine.coefficients()
    }

    fn tell(&mut self, request: &Request<'_>) {
        self.peer.tell(std::slice::from_ref(request));
    }

    /// One process for each task, forked from its parent's.
    fn tasks(&mut self, observation: &Observation) -> HashMap<TaskIndex, ProcessId> {
        let mut processes = HashMap::from([(TaskIndex::INITIAL, ProcessId(1))]);
        for (row, task) in observation.tasks.iter().enumerate() {
            let Some(exec) = &task.exec else { continue };
            let (parent, child) = (processes[&task.parent], ProcessId(row as u64 + 1));
            self.tell(&Request::Forked { parent, child });
            self.engine.forked(parent, child);
            if self.event(child, exec, &processes) == Some(Verdict::Allow) {
                self.tell(&Request::ExecSettled(child, ExecOutcome::Committed));
                self.engine.exec_settled(child, ExecOutcome::Committed);
            }
            processes.insert(TaskIndex(row as u32), child);
        }
        processes
    }

    /// One event on both sides; `None` if it is longer than what the agent takes.
    fn event(
        &mut self,
        process: ProcessId,
        observed: &ObservedCell,
        processes: &HashMap<TaskIndex, ProcessId>,
    ) -> Option<Verdict> {
        let mut targets = observed.targets.iter();
        let target = |value: &tsem::Value| match value {
            tsem::Value::Task(tsem::Target::Task(_)) => {
                Some(targets.next().map(|task| processes[task]))
            }
            tsem::Value::Task(tsem::Target::Own) => Some(Some(process)),
            tsem::Value::Task(tsem::Target::Outside) => Some(None),
            _ => None,
        };
        let targets = observed.cell.values.iter().filter_map(target).collect();
        let cell = observed.cell.clone();
        let event = Description { process, pid: 4_000_000, coe: observed.coe, cell, targets };
        let judged = self.peer.judge(&event)?;
        let expected = self.engine.judge(&event);
        assert_eq!(judged, expected, "{}: {}", self.name, event.cell);
        if judged.verdict == Verdict::Allow && event.cell.kind == EventKind::InodeCreate {
            let place = event.places().next().unwrap();
            let made = Effect::Made(&place.path);
            self.engine.effect(process, &made);
            self.tell(&Request::Effect(process, made));
        }
        Some(judged.verdict)
    }

    fn compare(&mut self) {
        let (name, engine) = (&self.name, &self.engine);
        let summary = self.peer.summary();
        assert_eq!(summary.state, engine.state(), "{name}");
        assert_eq!(summary.measurement, engine.measurement(), "{name}");
        assert_eq!(summary.good, engine.good() as u64, "{name}");
        if self.peer.hello.bounds.forensics == 0 {
            // It keeps digests only, so its record has no rows.
            return;
        }
        assert_eq!(summary.counts, engine.counts(), "{name}");
        let rows = self.peer.rows(Table::Events);
        let events: Vec<ObservedEvent> =
            rows.iter().map(|row| record::read_event(row).unwrap()).collect();
        assert_eq!(events, engine.observation().events, "{name}");
        let tasks: Vec<_> = self.peer.rows(Table::Tasks);
        let tasks: Vec<_> = tasks.iter().map(|row| record::read_task(row).unwrap()).collect();
        assert_eq!(tasks, engine.observation().tasks, "{name}");
        assert_eq!(self.peer.rows(Table::Forensics).len(), engine.forensics().len(), "{name}");
        let rows = self.peer.rows(Table::Coefficients);
        let coefficients: Vec<Digest> =
            rows.iter().map(|row| record::read_coefficient(row).unwrap()).collect();
        assert_eq!(coefficients, engine.coefficients(), "{name}");
    }
}

fn is_exec(event: &ObservedEvent) -> bool {
    event.observed.cell.kind == EventKind::BprmCommittedCreds
}
