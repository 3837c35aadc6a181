//! Models learned from made-up runs.

use tsem::Address;
use tsem::File;
use tsem::ObservedCell;
use tsem::Place;
use tsem::Port;
use tsem::Socket;

use super::*;
use crate::model_file::header::tests::header;

/// A run that can be told step by step, as an engine would observe it.
pub(crate) struct Story {
    pub(crate) observation: Observation,
    made: Vec<String>,
}

pub(crate) fn coe(uid: u32) -> Coe {
    let capabilities = if uid == 0 { (1 << 41) - 1 } else { 0 };
    Coe {
        uid,
        euid: uid,
        suid: uid,
        fsuid: uid,
        gid: uid,
        egid: uid,
        sgid: uid,
        fsgid: uid,
        capabilities,
    }
}

pub(crate) fn file(path: &str, mode: u32, content: &[u8]) -> Value {
    let digest = if content.is_empty() { Digest::ZERO } else { Digest::of(&[content]) };
    File::new(Place::new(path, 0xef53), [0, 0, mode], digest).into()
}

impl Story {
    pub(crate) fn new() -> Self {
        Self { observation: Observation::default(), made: Vec::new() }
    }

    pub(crate) fn cell(kind: EventKind, uid: u32, values: Vec<Value>) -> ObservedCell {
        let makers = values.iter().filter_map(Value::place).map(|_| Vec::new()).collect();
        ObservedCell { coe: coe(uid), cell: Cell { kind, values }, makers, targets: Vec::new() }
    }

    pub(crate) fn exec(&mut self, parent: TaskIndex, path: &str) -> TaskIndex {
        let values = vec![file(path, 0o100_755, path.as_bytes()), Value::NoFile];
        let exec = Self::cell(EventKind::BprmCommittedCreds, 0, values);
        self.observation.tasks.push(ObservedTask { parent, exec: Some(exec.clone()) });
        let task = TaskIndex(self.observation.tasks.len() as u32 - 1);
        self.push(task, exec);
        task
    }

    pub(crate) fn push(&mut self, task: TaskIndex, observed: ObservedCell) {
        let first = self.observation.events.len() as u64 + 1;
        self.observation.events.push(ObservedEvent { task, observed, count: 1, first });
    }

    pub(crate) fn event(&mut self, task: TaskIndex, uid: u32, kind: EventKind, values: Vec<Value>) {
        self.push(task, Self::cell(kind, uid, values));
    }

    pub(crate) fn open(&mut self, task: TaskIndex, path: &str, access: u64) {
        let values = vec![file(path, 0o100_644, b""), Value::Number(access)];
        self.event(task, 33, EventKind::FileOpen, values);
    }

    /// A file that the task itself has made, which is opened to be written.
    pub(crate) fn make(&mut self, task: TaskIndex, path: &str) {
        let values = vec![file(path, 0o100_600, b""), Value::Number(2)];
        let mut observed = Self::cell(EventKind::FileOpen, 33, values);
        self.made.push(path.to_owned());
        let above = self.made.iter().filter(|made| path.starts_with(made.as_str()));
        observed.makers = vec![above.map(|made| (made.len() as u16, task)).collect()];
        self.push(task, observed);
    }

    pub(crate) fn connect(&mut self, task: TaskIndex, host: [u8; 4], port: u16) {
        let socket = Value::Socket(Socket { family: 2, socket_type: 1, protocol: 0 });
        let address = Value::Address(Address::Inet(host, Port::Exact(port)));
        self.event(task, 33, EventKind::SocketConnect, vec![socket, address]);
    }
}

/// A shell that starts nginx, which reads its configuration and talks to 10.1.2.3.
pub(crate) fn story(temporary: &str) -> Story {
    let mut story = Story::new();
    let shell = story.exec(TaskIndex::INITIAL, "/bin/sh");
    let nginx = story.exec(shell, "/usr/sbin/nginx");
    story.open(nginx, "/etc/nginx/nginx.conf", 1);
    story.make(nginx, temporary);
    story.connect(nginx, [10, 1, 2, 3], 443);
    story
}

pub(crate) fn model() -> ModelFile {
    let first = story("/tmp/cc123456.s").observation;
    let second = story("/tmp/ccabcdef.s").observation;
    let mut second = second;
    second.events.pop();
    ModelFile::learned(header(), &[&first, &second]).unwrap()
}

#[test]
fn rules_make_runs_one_and_classes_tell_what_varied() {
    let model = model();
    assert_eq!(model.header().runs, 2);
    assert_eq!(model.len(), 5, "{}", model.to_text(crate::model_file::format::Descriptions::Keep));
    let once = model.described().filter(|(_, described)| described.seen == Seen::Once);
    let kinds: Vec<EventKind> = once.map(|(_, described)| described.cell.kind).collect();
    assert_eq!(kinds, [EventKind::SocketConnect]);
    let nginx = model.programs().find(|program| program.name() == b"nginx").unwrap();
    let chain = model.chain(&nginx.identity.task);
    let names: Vec<&[u8]> = chain.iter().map(|program| program.name()).collect();
    assert_eq!(names, [b"sh".as_slice(), b"nginx"]);
}

#[test]
fn the_state_is_that_of_the_coefficients_with_the_aggregate() {
    let model = model();
    let coefficients: Vec<Digest> = model.coefficients().copied().collect();
    assert_eq!(model.state(), state_of(&coefficients, &model.header().platform));
    let mut other = model.clone();
    assert!(other.remove(&coefficients[0]));
    assert_ne!(other.state(), model.state());
}

#[test]
fn an_accepted_exec_has_the_coefficient_of_the_attempt() {
    let mut model = model();
    let serial = model.header().serial;
    let run = story("/tmp/cc123456.s").observation;
    let values = vec![file("/bin/ls", 0o100_755, b"ls"), Value::NoFile];
    let observed = Story::cell(EventKind::BprmCommittedCreds, 33, values);
    let attempt = ObservedEvent { task: TaskIndex(2), observed, count: 1, first: 9 };
    let formed = run.form_attempts(model.rules(), [&attempt]).unwrap();
    let new = model.accept(&run.tasks, [&attempt]).unwrap();
    assert_eq!(new, [formed[0].coefficient]);
    assert_eq!(model.header().serial, serial + 1);
    let described = model.described().find(|(digest, _)| **digest == new[0]).unwrap().1;
    assert_eq!(described.seen, Seen::Accepted);
    assert_eq!(model.chain(&described.identity.task).len(), 3);
    assert!(model.accept(&run.tasks, [&attempt]).unwrap().is_empty());
    assert_eq!(model.header().serial, serial + 1);
}

#[test]
fn classes_add_up() {
    assert_eq!(Seen::of(1, 1), Seen::Every);
    assert_eq!(Seen::of(1, 2), Seen::Once);
    assert_eq!(Seen::of(2, 3), Seen::Some);
    for (left, right, both) in [
        (Seen::Every, Some(Seen::Every), Seen::Every),
        (Seen::Every, None, Seen::Some),
        (Seen::Once, None, Seen::Once),
        (Seen::Once, Some(Seen::Once), Seen::Some),
        (Seen::Accepted, Some(Seen::Accepted), Seen::Accepted),
        (Seen::Accepted, Some(Seen::Once), Seen::Once),
        (Seen::Accepted, None, Seen::Accepted),
    ] {
        assert_eq!(left.and(right), both, "{left:?} {right:?}");
        if let Some(right) = right {
            assert_eq!(right.and(Some(left)), both, "{right:?} {left:?}");
        }
    }
}
