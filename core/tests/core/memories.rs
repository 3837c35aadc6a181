//! Both memories decide alike, and the compact one never grows.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell as Counter;

use proptest::collection::vec;
use proptest::prelude::*;
use tsem::Bounds;
use tsem::Coe;
use tsem::CompactMemory;
use tsem::Counts;
use tsem::Description;
use tsem::Digest;
use tsem::Effect;
use tsem::Engine;
use tsem::ExecOutcome;
use tsem::Loss;
use tsem::Maker;
use tsem::Memory;
use tsem::Mode;
use tsem::NameRule;
use tsem::OnViolation;
use tsem::Pattern;
use tsem::Platform;
use tsem::ProcessId;
use tsem::Rules;
use tsem::Setup;
use tsem::WholeMemory;

const BOUNDS: Bounds = Bounds {
    coefficients: 4096,
    forensics: 4096,
    tasks: 256,
    processes: 64,
    pending: 64,
    made: 4096,
    made_octets: 1 << 16,
    references: 0,
};

/// What a source can tell an agent.
#[derive(Clone, Debug)]
enum Step {
    Fork(u64, u64),
    Exit(u64),
    Judge(u64, String),
    Settle(u64, ExecOutcome),
    Made(u64, String),
    Removed(String),
    Renamed(String, String),
    Lost,
}

fn paths() -> impl Strategy<Value = String> {
    "(/tmp|/run|/tmp/d[0-2])/([ab]|t[0-9]{1,2})(/x)?".prop_map(|path| path)
}

fn lines() -> impl Strategy<Value = String> {
    let file = || paths().prop_map(|path| format!("{path}{{ext4 0:0 100644}}"));
    let place = || paths().prop_map(|path| format!("{path}{{ext4}}"));
    prop_oneof![
        file().prop_map(|file| format!("bprm_committed_creds file={file} script=none")),
        file().prop_map(|file| format!("file_open file={file} access=read")),
        place().prop_map(|path| format!("inode_create path={path} mode=100600")),
        place().prop_map(|path| format!("inode_mkdir path={path} mode=40700")),
        place().prop_map(|path| format!("inode_unlink path={path}")),
        (place(), place())
            .prop_map(|(from, to)| format!("inode_rename from={from} to={to} flags=none")),
        Just("task_kill target=outside signal=15".to_owned()),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let process = || 1..5_u64;
    let outcome = prop_oneof![Just(ExecOutcome::Committed), Just(ExecOutcome::Failed)];
    let step = prop_oneof![
        1 => (process(), process()).prop_map(|(parent, child)| Step::Fork(parent, child)),
        1 => (2..5_u64).prop_map(Step::Exit),
        8 => (process(), lines()).prop_map(|(process, line)| Step::Judge(process, line)),
        3 => (process(), outcome).prop_map(|(process, outcome)| Step::Settle(process, outcome)),
        2 => (process(), paths()).prop_map(|(process, path)| Step::Made(process, path)),
        1 => paths().prop_map(Step::Removed),
        1 => (paths(), paths()).prop_map(|(from, to)| Step::Renamed(from, to)),
        1 => Just(Step::Lost),
    ];
    vec(step, 1..120)
}

fn description(process: u64, line: &str, targets: &[Option<ProcessId>]) -> Description {
    let cell: tsem::Cell = line.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
    let (process, coe) = (ProcessId(process), Coe::default());
    Description { process, pid: 7, coe, cell, targets: targets.to_vec() }
}

fn setup(mode: Mode, on_violation: OnViolation) -> Setup {
    let names = [("/tmp/t{digits}", Maker::Namespace), ("/run/t{digits}", Maker::Anyone)];
    let rule = |(pattern, maker)| NameRule { pattern: Pattern::parse(pattern).unwrap(), maker };
    let rules = Rules { names: names.map(rule).to_vec(), ..Rules::default() };
    let references = tsem::References::default();
    Setup { mode, on_violation, rules, references, platform: Platform::NONE, bounds: BOUNDS }
}

/// Everything by which a step can be told from outside.
#[derive(Debug, PartialEq)]
struct Seen {
    judged: Option<tsem::Judgement>,
    trusted: Vec<Option<bool>>,
    state: Digest,
    measurement: Digest,
    good: usize,
    counts: Counts,
}

fn take<M: Memory>(engine: &mut Engine<M>, step: &Step) -> Seen {
    let mut judged = None;
    match step {
        Step::Fork(parent, child) if parent == child => {}
        Step::Fork(parent, child) => engine.forked(ProcessId(*parent), ProcessId(*child)),
        Step::Exit(process) => engine.exited(ProcessId(*process)),
        Step::Judge(process, line) => {
            let target = (process % 2 == 0).then_some(ProcessId(process / 2));
            judged = Some(engine.judge(&description(*process, line, &[target])));
        }
        Step::Settle(process, outcome) => engine.exec_settled(ProcessId(*process), *outcome),
        Step::Made(process, path) => {
            engine.effect(ProcessId(*process), &Effect::Made(path.as_bytes()));
        }
        Step::Removed(path) => engine.effect(ProcessId(1), &Effect::Removed(path.as_bytes())),
        Step::Renamed(from, to) => {
            let (from, to) = (from.as_bytes(), to.as_bytes());
            engine.effect(ProcessId(1), &Effect::Renamed { from, to });
        }
        Step::Lost => engine.lost(Loss::Dropped),
    }
    Seen {
        judged,
        trusted: (1..5).map(|process| engine.is_trusted(ProcessId(process))).collect(),
        state: engine.state(),
        measurement: engine.measurement(),
        good: engine.good(),
        // Only one of the two keeps descriptions.
        counts: Counts { forensics_dropped: 0, ..engine.counts() },
    }
}

fn begun<M: Memory>(setup: Setup, model: &[Digest]) -> Engine<M> {
    let mut engine = Engine::empty(setup);
    assert!(model.iter().all(|coefficient| engine.load(*coefficient)));
    engine.started(ProcessId(1));
    engine
}

proptest! {
    // A case is hundreds of steps, each with its state.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn both_memories_decide_alike(
        learned in steps(), more in steps(), sealed: bool,
        on_violation in prop_oneof![Just(OnViolation::Deny), Just(OnViolation::Untrust)],
    ) {
        let free = setup(Mode::Free, on_violation);
        let (mut whole, mut compact) =
            (begun::<WholeMemory>(free.clone(), &[]), begun::<CompactMemory>(free, &[]));
        for step in &learned {
            prop_assert_eq!(take(&mut whole, step), take(&mut compact, step));
        }
        prop_assert_eq!(whole.coefficients(), compact.coefficients());
        let model = whole.coefficients();
        let mode = if sealed { Mode::Sealed } else { Mode::Enforcing };
        let setup = setup(mode, on_violation);
        let (mut whole, mut compact) =
            (begun::<WholeMemory>(setup.clone(), &model), begun::<CompactMemory>(setup, &model));
        for step in learned.iter().chain(&more) {
            prop_assert_eq!(take(&mut whole, step), take(&mut compact, step));
        }
    }

    #[test]
    fn a_compact_memory_never_grows(steps in steps(), mode in prop_oneof![Just(Mode::Free), Just(Mode::Sealed)]) {
        let mut engine = begun::<CompactMemory>(setup(mode, OnViolation::Untrust), &[]);
        let before = LIVE.get();
        for step in &steps {
            let _ = take(&mut engine, step);
            prop_assert_eq!(LIVE.get(), before, "{:?}", step);
        }
    }
}

thread_local! {
    /// Octets that this thread has taken and not given back.
    static LIVE: Counter<isize> = const { Counter::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call is handed to the system's allocator as it came; counting has no part in it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LIVE.try_with(|live| live.set(live.get() + layout.size() as isize));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = LIVE.try_with(|live| live.set(live.get() - layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
