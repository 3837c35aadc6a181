use super::*;
use crate::File;
use crate::Place;

const FIRST: ProcessId = ProcessId(1);
const CHILD: ProcessId = ProcessId(2);

/// The same tests, once for each memory.
macro_rules! in_each_memory {
    ($($(#[$attribute:meta])* fn $name:ident<$memory:ident>() $body:block)*) => {
        mod whole {
            $(#[test] fn $name() { super::$name::<super::WholeMemory>(); })*
        }
        mod compact {
            $(#[test] fn $name() { super::$name::<super::CompactMemory>(); })*
        }
        $($(#[$attribute])* fn $name<$memory: Memory>() $body)*
    };
}

/// Room for what a test does, and small enough to be taken whole each time.
const BOUNDS: Bounds = Bounds {
    coefficients: 64,
    forensics: 64,
    tasks: 16,
    processes: 16,
    pending: 4,
    made: 64,
    made_octets: 1024,
    references: 0,
};

fn setup(mode: Mode) -> Setup {
    let (rules, platform, bounds) = (Rules::default(), Platform::NONE, BOUNDS);
    let references = References::default();
    Setup { mode, on_violation: OnViolation::Untrust, rules, references, platform, bounds }
}

fn engine<M: Memory>(mode: Mode, model: &[Digest]) -> Engine<M> {
    started(setup(mode), model)
}

fn started<M: Memory>(setup: Setup, model: &[Digest]) -> Engine<M> {
    let mut engine = Engine::empty(setup);
    assert!(model.iter().all(|coefficient| engine.load(*coefficient)));
    engine.started(FIRST);
    engine
}

fn made_rule(pattern: &str) -> Rules {
    let (pattern, maker) = (crate::Pattern::parse(pattern).unwrap(), crate::Maker::Namespace);
    Rules { names: [crate::NameRule { pattern, maker }].into(), ..Rules::default() }
}

fn file(path: &str) -> Value {
    let place = Place::new(path, 0xef53);
    File::new(place, [0, 0, 0o100_755], Digest::ZERO).into()
}

fn event(process: ProcessId, kind: EventKind, values: Vec<Value>) -> Description {
    let cell = Cell { kind, values };
    Description { process, pid: 7, coe: Coe::default(), cell, targets: Vec::new() }
}

fn open(process: ProcessId, path: &str) -> Description {
    event(process, EventKind::FileOpen, [file(path), Value::Number(1)].into())
}

fn exec<M: Memory>(engine: &mut Engine<M>, process: ProcessId, path: &str) -> Verdict {
    let values = [file(path), Value::NoFile].into();
    let verdict = engine.judge(&event(process, EventKind::BprmCommittedCreds, values)).verdict;
    engine.exec_settled(process, ExecOutcome::Committed);
    verdict
}

/// A run of `sh` that forks a child, which executes `cat` and reads a file.
fn run<M: Memory>(engine: &mut Engine<M>, path: &str) -> Verdict {
    let _ = exec(engine, FIRST, "/bin/sh");
    engine.forked(FIRST, CHILD);
    let _ = exec(engine, CHILD, "/bin/cat");
    engine.judge(&open(CHILD, path)).verdict
}

fn make_and_read<M: Memory>(engine: &mut Engine<M>, path: &str, made: bool) -> Digest {
    let _ = exec(engine, FIRST, "/bin/sh");
    if made {
        engine.effect(FIRST, &Effect::Made(path.as_bytes()));
    }
    engine.judge(&open(FIRST, path)).coefficient
}

in_each_memory! {
    fn what_was_learned_is_good_and_all_else_is_not<M>() {
        let mut free = engine::<M>(Mode::Free, &[]);
        assert_eq!(run(&mut free, "/etc/motd"), Verdict::Allow);
        let model = free.coefficients();
        assert_eq!(model.len(), 3);

        let mut same = engine::<M>(Mode::Enforcing, &model);
        assert_eq!(run(&mut same, "/etc/motd"), Verdict::Allow);
        assert_eq!((same.state(), same.measurement()), (free.state(), free.measurement()));
        assert_eq!(same.counts().violations, 0);

        let mut other = engine::<M>(Mode::Enforcing, &model);
        assert_eq!(run(&mut other, "/etc/shadow"), Verdict::Deny);
        assert_ne!(other.state(), free.state());
        assert_eq!(other.counts().violations, 1);
    }

    fn what_an_exec_leads_to_is_known_before_it_happens<M>() {
        let mut engine = engine::<M>(Mode::Free, &[]);
        assert_eq!(engine.executing(FIRST), None);
        let values = [file("/bin/sh"), Value::NoFile].into();
        let exec = event(FIRST, EventKind::BprmCommittedCreds, values);
        let judged = engine.judge(&exec);
        let leads_to = engine.executing(FIRST).unwrap();
        assert_eq!(engine.identity(FIRST), Some(TaskIdentity::INITIAL));
        engine.exec_settled(FIRST, ExecOutcome::Committed);
        assert_eq!((engine.identity(FIRST), engine.executing(FIRST)), (Some(leads_to), None));
        // As a source forms it from what it wrote down.
        let coe = crate::coe_digest(&exec.coe);
        let cell = crate::cell_digest(&exec.cell, &mut Vec::new()).unwrap();
        let formed = coefficient(EventKind::BprmCommittedCreds, leads_to, coe, cell);
        assert_eq!(judged.coefficient, formed);
    }

    fn an_untrusted_process_stays_so_and_so_do_its_children<M>() {
        let mut free = engine::<M>(Mode::Free, &[]);
        let _ = run(&mut free, "/etc/motd");
        let mut engine = engine::<M>(Mode::Enforcing, &free.coefficients());
        assert_eq!(run(&mut engine, "/etc/shadow"), Verdict::Deny);
        engine.forked(CHILD, ProcessId(3));
        for process in [CHILD, ProcessId(3)] {
            for _ in 0..3 {
                let judged = engine.judge(&open(process, "/etc/motd"));
                assert_eq!(judged.verdict, Verdict::Deny);
                assert_eq!(judged.violation, Some(Reason::Untrusted));
            }
        }
        assert_eq!(engine.is_trusted(FIRST), Some(true));
        assert_eq!(engine.counts().violations, 7);
    }

    fn a_sealed_model_lets_an_unknown_program_run_and_tells_it_apart<M>() {
        let mut free = engine::<M>(Mode::Free, &[]);
        let _ = exec(&mut free, FIRST, "/bin/sh");
        let mut sealed = engine::<M>(Mode::Sealed, &free.coefficients());
        let _ = exec(&mut sealed, FIRST, "/bin/sh");
        assert_eq!(exec(&mut sealed, FIRST, "/bin/nc"), Verdict::Allow);
        assert_eq!(sealed.is_trusted(FIRST), Some(false));
        assert_eq!(sealed.good(), 1);
        assert_ne!(sealed.state(), free.state());
    }

    fn a_failed_exec_leaves_no_trace<M>() {
        let mut free = engine::<M>(Mode::Free, &[]);
        let values = [file("/bin/sh"), Value::NoFile].into();
        let _ = free.judge(&event(FIRST, EventKind::BprmCommittedCreds, values));
        free.exec_settled(FIRST, ExecOutcome::Failed);
        assert_eq!((free.good(), free.measurement()), (0, Measurement::new(&Platform::NONE).value()));
        let before = free.judge(&open(FIRST, "/a")).coefficient;
        assert_eq!(before, engine::<M>(Mode::Free, &[]).judge(&open(FIRST, "/a")).coefficient);
    }

    fn a_name_rule_covers_what_the_namespace_made_only<M>() {
        let rules = made_rule("/tmp/x.{alnum:3}");
        let coefficient = |path: &str, made| {
            let mut engine = started::<M>(Setup { rules: rules.clone(), ..setup(Mode::Free) }, &[]);
            make_and_read(&mut engine, path, made)
        };
        assert_eq!(coefficient("/tmp/x.abc", true), coefficient("/tmp/x.xyz", true));
        assert_ne!(coefficient("/tmp/x.abc", false), coefficient("/tmp/x.xyz", false));
        assert_ne!(coefficient("/tmp/x.abc", true), coefficient("/tmp/x.abc", false));
    }

    fn bounds_are_counted_and_fail_closed<M>() {
        let bounds = Bounds { coefficients: 2, forensics: 0, ..BOUNDS };
        let mut engine = started::<M>(Setup { bounds, ..setup(Mode::Enforcing) }, &[]);
        for path in ["/a", "/b", "/c"] {
            assert_eq!(engine.judge(&open(FIRST, path)).verdict, Verdict::Deny);
        }
        assert_eq!(engine.counts().forensics_dropped, 3);
        assert_eq!(engine.counts().too_large, 1);
        assert_eq!(engine.judge(&open(ProcessId(99), "/a")).verdict, Verdict::Deny);
        assert_eq!(engine.counts().losses(), 2);
    }

    fn a_target_is_named_by_its_identity<M>() {
        let mut free = engine::<M>(Mode::Free, &[]);
        let _ = exec(&mut free, FIRST, "/bin/sh");
        free.forked(FIRST, CHILD);
        let mut kill = |target: Option<ProcessId>| {
            let values = [Value::Task(Target::Outside), Value::Number(15)].into();
            let mut event = event(FIRST, EventKind::TaskKill, values);
            event.targets = [target].into();
            free.judge(&event).coefficient
        };
        let own = kill(Some(FIRST));
        let child = kill(Some(CHILD));
        let outside = kill(None);
        assert!(own != child && child != outside && own != outside);
        assert_eq!(kill(Some(ProcessId(50))), Digest::ZERO, "an unknown target cannot be judged");
    }

    fn a_name_that_is_being_made_is_covered_by_a_rule_for_made_files<M>() {
        let rules = made_rule("/tmp/t{digits}");
        let mut engine = started::<M>(Setup { rules, ..setup(Mode::Free) }, &[]);
        let _ = exec(&mut engine, FIRST, "/bin/sh");
        let place = |path: &str| Value::Path(Place::new(path, 0xef53));
        let mut judge =
            |kind, values: Vec<Value>| engine.judge(&event(FIRST, kind, values)).coefficient;
        let create = |path| vec![place(path), Value::Number(0o100_600)];
        let one = judge(EventKind::InodeCreate, create("/tmp/t1"));
        assert_eq!(one, judge(EventKind::InodeCreate, create("/tmp/t22")));
        let foreign = |path| vec![place(path)];
        let unlinked = judge(EventKind::InodeUnlink, foreign("/tmp/t1"));
        assert_ne!(unlinked, judge(EventKind::InodeUnlink, foreign("/tmp/t2")));
        let rename = |from, to| vec![place(from), place(to), Value::Number(0)];
        let foreign = judge(EventKind::InodeRename, rename("/etc/a", "/tmp/t1"));
        assert_ne!(foreign, judge(EventKind::InodeRename, rename("/etc/a", "/tmp/t2")));
        engine.effect(FIRST, &Effect::Made(b"/etc/a"));
        let mut judge =
            |kind, values: Vec<Value>| engine.judge(&event(FIRST, kind, values)).coefficient;
        let own = judge(EventKind::InodeRename, rename("/etc/a", "/tmp/t1"));
        assert_eq!(own, judge(EventKind::InodeRename, rename("/etc/a", "/tmp/t2")));
    }

    fn an_open_that_creates_opens_a_file_of_the_namespaces_own<M>() {
        let rules = made_rule("/tmp/t{digits}");
        let mut engine = started::<M>(Setup { rules, ..setup(Mode::Free) }, &[]);
        let _ = exec(&mut engine, FIRST, "/bin/sh");
        let mut create_and_open = |path: &str| {
            let values = vec![Value::Path(Place::new(path, 0xef53)), Value::Number(0o100_600)];
            let _ = engine.judge(&event(FIRST, EventKind::InodeCreate, values));
            let opened = engine.judge(&open(FIRST, path)).coefficient;
            engine.effect(FIRST, &Effect::Made(path.as_bytes()));
            opened
        };
        let first = create_and_open("/tmp/t1");
        assert_eq!(first, create_and_open("/tmp/t22"));
        assert_eq!(first, engine.judge(&open(FIRST, "/tmp/t1")).coefficient);
        assert_ne!(first, engine.judge(&open(FIRST, "/tmp/t3")).coefficient);
    }

    fn execs_beyond_a_bound_do_not_happen<M>() {
        let bounds = Bounds { tasks: 3, ..BOUNDS };
        for mode in [Mode::Free, Mode::Sealed, Mode::Enforcing] {
            let mut engine = started::<M>(Setup { bounds, ..setup(mode) }, &[]);
            engine.setup.mode = Mode::Free;
            assert_eq!(exec(&mut engine, FIRST, "/bin/a"), Verdict::Allow);
            assert_eq!(exec(&mut engine, FIRST, "/bin/b"), Verdict::Allow);
            engine.setup.mode = mode;
            assert_eq!(exec(&mut engine, FIRST, "/bin/c"), Verdict::Deny);
            assert_eq!(engine.memory.process(FIRST).unwrap().task, TaskIndex(2));
        }
    }

    fn of_two_execs_that_wait_for_the_last_row_the_second_is_untrusted<M>() {
        let bounds = Bounds { tasks: 2, ..BOUNDS };
        let mut engine = started::<M>(Setup { bounds, ..setup(Mode::Free) }, &[]);
        engine.forked(FIRST, CHILD);
        for (process, path) in [(FIRST, "/bin/a"), (CHILD, "/bin/b")] {
            let values = [file(path), Value::NoFile].into();
            let judged = engine.judge(&event(process, EventKind::BprmCommittedCreds, values));
            assert_eq!(judged.verdict, Verdict::Allow);
        }
        engine.exec_settled(FIRST, ExecOutcome::Committed);
        engine.exec_settled(CHILD, ExecOutcome::Committed);
        assert_eq!((engine.is_trusted(FIRST), engine.is_trusted(CHILD)), (Some(true), Some(false)));
        assert_eq!(engine.counts().too_large, 1);
    }
}

#[test]
fn each_distinct_violation_is_described_once() {
    let mut engine = engine::<WholeMemory>(Mode::Enforcing, &[]);
    for path in ["/etc/shadow", "/etc/motd", "/etc/motd"] {
        let _ = engine.judge(&open(FIRST, path));
    }
    let told = engine.forensics().iter().map(|kept| (kept.reason, kept.event.count));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(Reason::NotInModel, 1), (Reason::Untrusted, 2)]);
}

#[test]
fn a_forensic_task_has_an_identity() {
    let mut sealed = engine::<WholeMemory>(Mode::Sealed, &[]);
    let _ = exec(&mut sealed, FIRST, "/bin/nc");
    assert_eq!(sealed.observation().tasks.len(), 2);
}

#[test]
fn what_was_seen_before_a_rule_has_the_same_coefficient_under_the_rule() {
    let rules = made_rule("/tmp/x.{alnum:3}");
    let mut before = engine::<WholeMemory>(Mode::Free, &[]);
    let _ = make_and_read(&mut before, "/tmp/x.abc", true);
    let mut under =
        started::<WholeMemory>(Setup { rules: rules.clone(), ..setup(Mode::Free) }, &[]);
    let formed = before.observation().form(&rules).unwrap();
    assert_eq!(formed[1].coefficient, make_and_read(&mut under, "/tmp/x.xyz", true));
}

#[test]
fn an_accepted_attempt_is_good_the_next_time() {
    let mut free = engine::<WholeMemory>(Mode::Free, &[]);
    let _ = exec(&mut free, FIRST, "/bin/sh");
    let mut model = free.coefficients();
    let mut denied = engine::<WholeMemory>(Mode::Enforcing, &model);
    let _ = exec(&mut denied, FIRST, "/bin/sh");
    let values: Vec<_> = [file("/bin/ls"), Value::NoFile].into();
    let attempt = event(FIRST, EventKind::BprmCommittedCreds, values);
    assert_eq!(denied.judge(&attempt).verdict, Verdict::Deny);

    let attempts = denied.forensics().iter().map(|forensic| &forensic.event);
    let formed = denied.observation().form_attempts(&Rules::default(), attempts).unwrap();
    assert_eq!(formed[0].coefficient, denied.forensics()[0].coefficient);
    model.push(formed[0].coefficient);
    let mut again = engine::<WholeMemory>(Mode::Enforcing, &model);
    let _ = exec(&mut again, FIRST, "/bin/sh");
    assert_eq!(again.judge(&attempt).verdict, Verdict::Allow);
}

fn rule(package: &str, minimum: &str) -> crate::ReferenceRule {
    let expired = crate::ExpiredKeys::Refused;
    crate::ReferenceRule::new(["deb", package, "amd64"], Some(minimum), &["k"], expired).unwrap()
}

/// An engine under rules for these packages, on a machine where a package vouches for a content of
/// `/bin/tool`.
fn with_references<M: Memory>(
    mode: Mode,
    model: &[Digest],
    rules: &[&str],
    vouched: (u8, &str),
) -> Engine<M> {
    let mut references = References::default();
    let entry =
        crate::Vouched::new(Digest([vouched.0; 32]), b"/bin/tool", rule(vouched.1, "1").identity());
    references.insert(entry).unwrap();
    let rules = Rules {
        references: rules.iter().map(|package| rule(package, "9")).collect(),
        ..Rules::default()
    };
    started(Setup { rules, references, ..setup(mode) }, model)
}

fn exec_content<M: Memory>(engine: &mut Engine<M>, path: &str, content: u8) -> Verdict {
    let Value::File(mut file) = file(path) else { unreachable!() };
    file.digest = Digest([content; 32]);
    // What a source claims counts for nothing.
    file.reference = rule("tool", "1").identity();
    let values = [Value::File(file), Value::NoFile].into();
    let verdict = engine.judge(&event(FIRST, EventKind::BprmCommittedCreds, values)).verdict;
    engine.exec_settled(FIRST, ExecOutcome::Committed);
    verdict
}

#[test]
fn an_upgrade_that_a_package_vouches_for_changes_no_coefficient() {
    upgrade::<WholeMemory>();
    upgrade::<CompactMemory>();
}

fn upgrade<M: Memory>() {
    let mut free = with_references::<M>(Mode::Free, &[], &["tool"], (1, "tool"));
    let _ = exec_content(&mut free, "/bin/tool", 1);
    let _ = free.judge(&open(FIRST, "/etc/motd"));
    let model = free.coefficients();

    let mut upgraded = with_references::<M>(Mode::Enforcing, &model, &["tool"], (2, "tool"));
    assert_eq!(exec_content(&mut upgraded, "/bin/tool", 2), Verdict::Allow);
    assert_eq!(upgraded.judge(&open(FIRST, "/etc/motd")).verdict, Verdict::Allow);
    assert_eq!(upgraded.state(), free.state());

    for (vouched, path, content, why) in [
        ((2, "tool"), "/bin/tool", 3, "a changed octet"),
        ((2, "tool"), "/bin/tool", 1, "a content of before, no longer vouched for"),
        ((2, "tool"), "/bin/other", 2, "the content at another path"),
        ((2, "other"), "/bin/tool", 2, "another package"),
    ] {
        let mut engine = with_references::<M>(Mode::Enforcing, &model, &["tool"], vouched);
        assert_eq!(exec_content(&mut engine, path, content), Verdict::Deny, "{why}");
    }
}

#[test]
fn what_no_rule_names_counts_by_its_digest() {
    let mut bare: Engine = engine(Mode::Free, &[]);
    let _ = exec_content(&mut bare, "/bin/tool", 1);
    let mut vouched: Engine = with_references(Mode::Free, &[], &["other"], (1, "tool"));
    let _ = exec_content(&mut vouched, "/bin/tool", 1);
    assert_eq!(vouched.state(), bare.state());

    // The observation keeps both names, so that a rule that is accepted later forms it anew.
    let rules = Rules { references: [rule("tool", "3")].into(), ..Rules::default() };
    let formed = vouched.observation().form(&rules).unwrap();
    let mut ruled: Engine = with_references(Mode::Free, &[], &["tool"], (1, "tool"));
    let _ = exec_content(&mut ruled, "/bin/tool", 1);
    assert_eq!(formed[0].coefficient, ruled.coefficients()[0]);
}
