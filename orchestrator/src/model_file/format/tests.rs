//! Round trips, and files that lie.

use proptest::prelude::*;
use tsem::EventKind;
use tsem::TaskIndex;
use tsem::Value;

use super::*;
use crate::model_file::header::tests::header;
use crate::model_file::model::tests::Story;
use crate::model_file::model::tests::file;
use crate::model_file::model::tests::model;

fn refused(text: &str) -> (usize, FormatProblem) {
    match ModelFile::parse(text.as_bytes()) {
        Err(FormatError::Line { line, problem }) => (line, problem),
        other => panic!("{other:?}"),
    }
}

/// The first line, from 1, that is not as it was.
fn changed_line(before: &str, after: &str) -> usize {
    before.lines().zip(after.lines()).position(|(old, new)| old != new).unwrap() + 1
}

#[test]
fn a_model_survives_its_text() {
    let model = model();
    let text = model.to_text(Descriptions::Keep);
    let read = ModelFile::parse(text.as_bytes()).unwrap();
    assert_eq!(read, model);
    assert_eq!(read.to_text(Descriptions::Keep), text);
    let commented = text.replace("\n\n", "\n\n# reviewed\n");
    assert_eq!(ModelFile::parse(commented.as_bytes()).unwrap(), model);
}

#[test]
fn without_descriptions_state_and_header_are_the_same() {
    let model = model();
    let text = model.to_text(Descriptions::Omit);
    assert!(!text.contains("nginx.conf"), "{text}");
    let read = ModelFile::parse(text.as_bytes()).unwrap();
    assert_eq!(read.state(), model.state());
    assert_eq!(read.header().digest(), model.header().digest());
    assert_eq!(read.described().count(), 0);
    assert_eq!(read.to_text(Descriptions::Keep), text);
}

#[test]
fn a_lying_description_is_refused_with_its_line() {
    let text = model().to_text(Descriptions::Keep);
    for (truth, lie) in [
        ("access=read\n", "access=write\n"),
        ("10.0.0.0/9:443", "10.0.0.0/9:444"),
        (" once socket_connect", " once socket_bind"),
        ("uid33.074fdb every", "uid0.a5eecb every"),
    ] {
        let changed = text.replacen(truth, lie, 1);
        assert_ne!(changed, text, "{truth}");
        let (line, problem) = refused(&changed);
        assert_eq!(line, changed_line(&text, &changed));
        assert!(matches!(problem, FormatProblem::LyingDescription(_)), "{problem:?}");
    }
    let credentials = text.replacen("uid=33", "uid=34", 1);
    assert!(matches!(refused(&credentials).1, FormatProblem::LyingDescription(_)));
    let program = text.replacen("file=/bin/sh{", "file=/bin/ash{", 1);
    let (line, problem) = refused(&program);
    assert_eq!(line, changed_line(&text, &program));
    assert!(matches!(problem, FormatProblem::LyingDescription(_)));
}

#[test]
fn a_label_that_names_something_else_is_refused() {
    let text = model().to_text(Descriptions::Keep);
    for (truth, lie) in [("nginx.", "cat."), ("uid33.", "uid0.")] {
        let changed = text.replace(&format!(" {truth}"), &format!(" {lie}"));
        let (line, problem) = refused(&changed);
        assert_eq!(line, changed_line(&text, &changed));
        assert!(matches!(problem, FormatProblem::WrongLabel(_)), "{problem:?}");
    }
    let changed = text.replacen("program nginx.", "program cat.", 1);
    assert!(matches!(refused(&changed).1, FormatProblem::UnknownLabel(_)));
}

#[test]
fn what_could_hide_or_repeat_is_refused() {
    let text = model().to_text(Descriptions::Keep);
    let last = text.lines().last().unwrap();
    assert!(matches!(refused(&format!("{text}{last}\n")).1, FormatProblem::Twice));
    assert!(matches!(refused(&format!("{text}# \u{202e}\n")).1, FormatProblem::NotPrintable));
    assert!(matches!(refused(&text.replace('\n', "\r\n")).1, FormatProblem::NotPrintable));
    assert!(matches!(refused(&format!("{text}allow all\n")).1, FormatProblem::NotALine));
    let long = format!("{text}# {}\n", "x".repeat(LINE_MAX));
    assert!(matches!(refused(&long).1, FormatProblem::TooLong));
    let program = text.lines().find(|line| line.starts_with("program")).unwrap();
    assert!(matches!(refused(&format!("{text}{program}\n")).1, FormatProblem::LabelTwice(_)));
    let (line, problem) = refused(&text.replace("serial 7", "serial x"));
    assert_eq!(line, 5);
    assert!(matches!(problem, FormatProblem::Header(_)));
}

#[test]
fn adding_an_event_adds_lines_and_changes_none() {
    let before = model();
    let mut after = before.clone();
    let mut more = Story::new();
    let shell = more.exec(TaskIndex::INITIAL, "/bin/sh");
    let awk = more.exec(shell, "/usr/bin/awk");
    more.open(awk, "/etc/passwd", 1);
    after.add(&more.observation, crate::model_file::model::Seen::Accepted).unwrap();
    let (before, after) = (before.to_text(Descriptions::Keep), after.to_text(Descriptions::Keep));
    let kept: Vec<&str> =
        after.lines().filter(|line| before.lines().any(|old| old == *line)).collect();
    assert_eq!(kept, before.lines().collect::<Vec<_>>());
    assert_eq!(after.lines().count(), before.lines().count() + 3);
}

#[test]
fn a_file_is_written_whole_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nginx.model");
    let model = model();
    model.write(&path, Descriptions::Omit).unwrap();
    model.write(&path, Descriptions::Keep).unwrap();
    let text = ModelFile::read_text(&path).unwrap();
    assert_eq!(ModelFile::parse(&text).unwrap(), model);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// Paths with every octet that a file name may hold.
fn any_path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1_u8..=255, 0..40).prop_map(|name| [b"/", name.as_slice()].concat())
}

fn any_model() -> impl Strategy<Value = ModelFile> {
    let event = (0_u32..4, any_path(), 0_u32..3, any::<u64>());
    let programs = prop::collection::vec((any_path(), 0_u32..4), 1..4);
    (programs, prop::collection::vec(event, 0..30)).prop_map(|(programs, events)| {
        let mut story = Story::new();
        for (path, parent) in programs {
            let parent = TaskIndex(parent.min(story.observation.tasks.len() as u32 - 1));
            let mut values = vec![file("/", 0o755, b"x"), Value::NoFile];
            values[0].place_mut().unwrap().path = path;
            let exec = Story::cell(EventKind::BprmCommittedCreds, 0, values);
            let exec = tsem::ObservedTask { parent, exec: Some(exec) };
            story.observation.tasks.push(exec);
        }
        for (task, path, uid, number) in events {
            let task = TaskIndex(task.min(story.observation.tasks.len() as u32 - 1));
            let mut values = vec![file("/", 0o644, b""), Value::Number(number & 0xffff_ffff)];
            values[0].place_mut().unwrap().path = path;
            story.event(task, uid, EventKind::FileOpen, values);
        }
        ModelFile::learned(header(), &[&story.observation]).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_model_round_trips(model in any_model()) {
        let text = model.to_text(Descriptions::Keep);
        let read = ModelFile::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&read, &model);
        prop_assert_eq!(read.to_text(Descriptions::Keep), text);
        let bare = ModelFile::parse(model.to_text(Descriptions::Omit).as_bytes()).unwrap();
        prop_assert_eq!(bare.state(), model.state());
    }

    #[test]
    fn no_single_change_of_a_model_goes_unseen(
        at in any::<prop::sample::Index>(),
        to in b' '..=b'~',
    ) {
        let model = model();
        let mut text = model.to_text(Descriptions::Keep).into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        if let Ok(read) = ModelFile::parse(&text) {
            let same = |read: &ModelFile| {
                read.header().digest() == model.header().digest() && read.state() == model.state()
            };
            // Only the class of sight, a label, or a comment may differ when both digests hold.
            let cells = |model: &ModelFile| -> Vec<_> {
                model.described().map(|(c, d)| (*c, d.cell.clone(), d.coe)).collect()
            };
            let known = cells(&model);
            prop_assert!(!same(&read) || cells(&read).iter().all(|entry| known.contains(entry)));
        }
    }

    #[test]
    fn no_input_panics(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = ModelFile::parse(&text);
        let mut after_header = header().canonical().into_bytes();
        after_header.push(b'\n');
        after_header.extend(text);
        let _ = ModelFile::parse(&after_header);
    }
}
