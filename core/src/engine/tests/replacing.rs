//! A model is replaced while its namespace runs.

use super::*;

/// The coefficient of a read by the first process before any exec.
fn read(path: &str) -> Digest {
    engine::<WholeMemory>(Mode::Free, &[]).judge(&open(FIRST, path)).coefficient
}

fn judged(engine: &mut Engine, process: ProcessId, path: &str) -> Verdict {
    engine.judge(&open(process, path)).verdict
}

/// The state of a model of these, beside what else the run has shown.
fn state(coefficients: &[Digest]) -> Digest {
    let mut sorted = coefficients.to_vec();
    sorted.sort_unstable();
    crate::state_of(&sorted, &Platform::NONE)
}

/// As [`engine`], where one violation has no consequence.
fn denying(model: &[Digest]) -> Engine {
    started(Setup { on_violation: OnViolation::Deny, ..setup(Mode::Enforcing) }, model)
}

#[test]
fn what_the_new_model_has_is_good_and_what_it_lacks_is_not() {
    let mut engine = denying(&[read("/a"), read("/b")]);
    assert_eq!(judged(&mut engine, FIRST, "/c"), Verdict::Deny);
    engine.replace_model([read("/b"), read("/c")]).unwrap();
    let verdicts = ["/a", "/b", "/c"].map(|path| judged(&mut engine, FIRST, path));
    assert_eq!(verdicts, [Verdict::Deny, Verdict::Allow, Verdict::Allow]);
    let mut good = [read("/b"), read("/c")];
    good.sort_unstable();
    assert_eq!((engine.good(), engine.coefficients()), (2, good.to_vec()));
}

#[test]
fn what_was_seen_as_good_stays_in_the_state_and_is_good_no_more() {
    let (a, b, c) = (read("/a"), read("/b"), read("/c"));
    let mut engine = denying(&[a, b]);
    assert_eq!(judged(&mut engine, FIRST, "/a"), Verdict::Allow);
    let measured = engine.measurement();
    engine.replace_model([c]).unwrap();
    assert_eq!(engine.state(), state(&[a, c]), "b was not seen: it goes");
    assert_eq!(engine.coefficients(), [c]);
    assert_eq!(engine.observation().events.len(), 1);
    assert_eq!(engine.measurement(), measured);

    assert_eq!(judged(&mut engine, FIRST, "/a"), Verdict::Deny);
    assert_eq!((engine.state(), engine.measurement()), (state(&[a, c]), measured));
    assert_eq!(engine.forensics().len(), 1);
    assert!(!engine.would_allow(&open(FIRST, "/a")));
}

#[test]
fn a_model_that_comes_back_goes_on_counting_where_it_was() {
    let (a, b) = (read("/a"), read("/b"));
    let mut engine = denying(&[a]);
    let _ = judged(&mut engine, FIRST, "/a");
    let measured = engine.measurement();
    engine.replace_model([b]).unwrap();
    engine.replace_model([a]).unwrap();
    assert_eq!(judged(&mut engine, FIRST, "/a"), Verdict::Allow);
    assert_eq!(engine.observation().events[0].count, 2);
    assert_eq!((engine.state(), engine.measurement()), (state(&[a]), measured));
}

#[test]
fn a_forensic_that_the_new_model_has_is_good_and_its_record_stays() {
    let (a, b) = (read("/a"), read("/b"));
    let mut engine = denying(&[a]);
    assert_eq!(judged(&mut engine, FIRST, "/b"), Verdict::Deny);
    let measured = engine.measurement();
    engine.replace_model([a, b]).unwrap();
    let again = engine.judge(&open(FIRST, "/b"));
    assert_eq!((again.verdict, again.violation, again.first), (Verdict::Allow, None, true));
    assert_eq!(engine.forensics().len(), 1);
    assert_eq!(engine.forensics()[0].coefficient, b);
    assert_eq!(engine.observation().events.len(), 1);
    assert_eq!(engine.measurement(), measured, "it was measured when it was denied");
    assert_eq!((engine.counts().violations, engine.good()), (1, 2));
}

#[test]
fn an_untrusted_process_stays_so_whatever_the_new_model_has() {
    let (a, b) = (read("/a"), read("/b"));
    let mut engine = engine::<WholeMemory>(Mode::Enforcing, &[a]);
    engine.forked(FIRST, CHILD);
    assert_eq!(judged(&mut engine, CHILD, "/b"), Verdict::Deny);
    engine.replace_model([a, b]).unwrap();
    assert_eq!(judged(&mut engine, FIRST, "/b"), Verdict::Allow);
    let denied = engine.judge(&open(CHILD, "/b"));
    assert_eq!((denied.verdict, denied.violation), (Verdict::Deny, Some(Reason::Untrusted)));
    assert_eq!(engine.is_trusted(CHILD), Some(false));
}

#[test]
fn beyond_the_bound_nothing_changes() {
    let many = |count: u8| (0..count).map(|octet| Digest([octet; 32]));
    let bounds = Bounds { coefficients: 4, ..BOUNDS };
    let model = [read("/a"), read("/b")];
    let mut engine: Engine = started(Setup { bounds, ..setup(Mode::Enforcing) }, &model);
    let _ = judged(&mut engine, FIRST, "/a");
    let before = (engine.state(), engine.coefficients(), engine.good());
    assert!(engine.has_room_for(many(3)) && !engine.has_room_for(many(4)));
    assert_eq!(engine.replace_model(many(4)), Err(Full));
    assert_eq!((engine.state(), engine.coefficients(), engine.good()), before);
    assert_eq!(judged(&mut engine, FIRST, "/b"), Verdict::Allow);
    // What was seen of the old model takes room, and what the new one has besides does not.
    assert_eq!(engine.replace_model(many(3)), Err(Full));
    engine.replace_model(many(2)).unwrap();
    engine.replace_model(many(2).chain(model)).unwrap();
    assert_eq!(engine.counts().losses(), 0);
}

#[test]
fn an_exec_that_waited_while_its_model_went_counts_as_shown_and_as_not_good() {
    let mut free: Engine = engine(Mode::Free, &[]);
    let _ = exec(&mut free, FIRST, "/bin/sh");
    let sh = free.coefficients()[0];
    let mut engine = denying(&[sh]);
    let values: Vec<_> = [file("/bin/sh"), Value::NoFile].into();
    let attempt = event(FIRST, EventKind::BprmCommittedCreds, values);
    assert_eq!(engine.judge(&attempt).verdict, Verdict::Allow);
    engine.replace_model([read("/a")]).unwrap();
    engine.exec_settled(FIRST, ExecOutcome::Committed);
    assert_eq!(engine.identity(FIRST), free.identity(FIRST), "it is what it executed");
    assert_eq!(engine.state(), state(&[sh, read("/a")]));
    assert_eq!(engine.measurement(), free.measurement());
    assert_eq!((engine.good(), engine.is_trusted(FIRST)), (1, Some(true)));
}
