//! A model made without running anything: two programs and a few events.

use std::path::Path;

use orchestrator::model_file::format::Descriptions;
use orchestrator::model_file::header::Header;
use orchestrator::model_file::header::Workload;
use orchestrator::model_file::model::ModelFile;
use tsem::Cell;
use tsem::Coe;
use tsem::EventKind;
use tsem::File;
use tsem::Observation;
use tsem::ObservedCell;
use tsem::ObservedEvent;
use tsem::ObservedTask;
use tsem::Place;
use tsem::Platform;
use tsem::Rules;
use tsem::TaskIndex;
use tsem::Value;

/// `ext4`, as statfs(2) names it.
const EXT4: u32 = 0xef53;
/// `access=read` of a `file_open`.
const READ: u64 = 1;

/// A model of `/usr/bin/backup`, which reads these files.
pub(crate) fn model(serial: u64, reads: &[&str]) -> ModelFile {
    let header = Header {
        workload: Workload::parse("backup").unwrap(),
        serial,
        platform: Platform::NONE,
        source: "portable".into(),
        runs: 1,
        events: 1,
        losses: 0,
        created_by: "a test".into(),
        learned_on: "a test".into(),
        rules: Rules::default(),
    };
    ModelFile::learned(header, &[&observation(reads)]).unwrap()
}

/// Writes such a model.
pub(crate) fn write(path: &Path, serial: u64, reads: &[&str]) {
    model(serial, reads).write(path, Descriptions::Keep).unwrap();
}

/// What a run of it shows.
pub(crate) fn observation(reads: &[&str]) -> Observation {
    let exec =
        observed(EventKind::BprmCommittedCreds, vec![file("/usr/bin/backup"), Value::NoFile]);
    let task = ObservedTask { parent: TaskIndex::INITIAL, exec: Some(exec.clone()) };
    let mut observation = Observation::default();
    observation.tasks.push(task);
    observation.events.push(event(exec, 1));
    for path in reads {
        let open = observed(EventKind::FileOpen, vec![file(path), Value::Number(READ)]);
        let first = observation.events.len() as u64 + 1;
        observation.events.push(event(open, first));
    }
    observation
}

fn event(observed: ObservedCell, first: u64) -> ObservedEvent {
    ObservedEvent { task: TaskIndex(1), observed, count: 1, first }
}

fn observed(kind: EventKind, values: Vec<Value>) -> ObservedCell {
    let makers = values.iter().filter(|value| value.place().is_some()).map(|_| Vec::new());
    let makers = makers.collect();
    ObservedCell { coe: Coe::default(), cell: Cell { kind, values }, makers, targets: Vec::new() }
}

fn file(path: &str) -> Value {
    let place = Place::new(path, EXT4);
    Value::from(File::new(place, [0, 0, 0o100_644], tsem::Digest::ZERO))
}
