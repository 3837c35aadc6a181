//! The parent survives whatever a parser does: it is told, and can ask another one.
//!
//! The test's own program stands in for the parser: started with a kind of misbehaviour as its argument, it
//! shows that. Where it matters it pretends to be locked down, as a parser under an attacker's control would.

use std::io::Read as _;
use std::io::Write as _;
use std::time::Duration;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::statement::lock;
use references::confined::Program;
use references::worker::Bounds;
use references::worker::Outcome;
use references::worker::Worker;
use references::worker::WorkerProblem;

type Told = Result<Outcome, WorkerProblem>;
type Expected = fn(&Told) -> bool;

/// Each misbehaviour, and what the parent is to make of it.
const CASES: &[(&str, Expected)] = &[
    ("dies-before-ready", |told| matches!(told, Err(WorkerProblem::Died))),
    ("not-locked", |told| matches!(told, Err(WorkerProblem::NotLocked(0)))),
    ("garbage-instead-of-ready", |told| {
        matches!(told, Err(WorkerProblem::Garbage | WorkerProblem::Flooded))
    }),
    ("dies-in-the-job", |told| matches!(told, Err(WorkerProblem::Died))),
    ("closes-its-input", |told| matches!(told, Err(WorkerProblem::Died))),
    ("hangs", |told| matches!(told, Err(WorkerProblem::Hung))),
    ("never-reads", |told| matches!(told, Err(WorkerProblem::Hung))),
    ("floods-statements", |told| matches!(told, Err(WorkerProblem::Flooded))),
    ("floods-octets", |told| matches!(told, Err(WorkerProblem::Flooded))),
    ("endless-frame", |told| matches!(told, Err(WorkerProblem::Flooded))),
    ("half-a-frame", |told| matches!(told, Err(WorkerProblem::Died))),
    ("garbage", |told| matches!(told, Err(WorkerProblem::Garbage | WorkerProblem::Flooded))),
    ("unknown-statement", |told| matches!(told, Err(WorkerProblem::Garbage))),
    ("ready-again", |told| matches!(told, Err(WorkerProblem::Garbage))),
    ("done-before-the-input", |told| matches!(told, Err(WorkerProblem::Garbage))),
    ("goes-on-after-done", |told| matches!(told, Err(WorkerProblem::Garbage))),
];

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_default();
    match CASES.iter().find(|case| case.0 == argument) {
        // A parser is started as `reference-parser`; the harness passes options of its own.
        Some(_) if std::env::args().next().is_some_and(|name| name == "reference-parser") => {
            misbehave(&argument);
        }
        _ => the_parent_survives_a_parser_that(),
    }
}

/// Misbehaves, in each way.
fn the_parent_survives_a_parser_that() {
    the_real_one_reads_and_refuses();
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let program = Program::seal(&own).unwrap();
    for (name, expected) in CASES {
        let told = ask(&program, name);
        assert!(expected(&told), "{name}: {told:?}");
        println!("test the_parent_survives_a_parser_that/{name} ... ok");
    }
    the_real_one_reads_and_refuses();
    println!("\ntest result: ok. {} passed; 0 failed; 0 ignored", CASES.len() + 1);
}

/// Ask a misbehaving parser for something, with more input than a pipe holds.
fn ask(program: &Program, name: &str) -> Told {
    let bounds = Bounds { statements: 1000, octets: 1 << 20, deadline: deadline(name) };
    let mut worker = Worker::start_program(program, name)?;
    let input = vec![7; 4 << 20];
    worker.run(Job::RpmHeader, &mut &input[..], bounds, &mut |_| Ok(()))
}

/// Only those that hang are waited for in vain.
fn deadline(name: &str) -> Duration {
    let hangs = ["hangs", "never-reads"].contains(&name);
    if hangs { Duration::from_millis(300) } else { Duration::from_secs(60) }
}

fn the_real_one_reads_and_refuses() {
    let mut worker = Worker::start(64).unwrap();
    for input in [&b"no header"[..], &vec![0x8e; 100_000]] {
        let hear = &mut |_: &Statement<'_>| Ok::<(), WorkerProblem>(());
        let told = worker.run(Job::RpmHeader, &mut &*input, Bounds::default(), hear).unwrap();
        assert_eq!(told, Outcome::Refused(Refusal::Magic));
    }
    assert_ne!(worker.locks() & lock::STRICT, 0);
    println!("test the_real_parser_refuses_and_goes_on ... ok (locks {:#x})", worker.locks());
}

fn misbehave(how: &str) {
    // Whoever has an environment dies before ready, which only one kind is to do.
    if std::env::vars_os().next().is_some() {
        return;
    }
    match how {
        "dies-before-ready" => return,
        "not-locked" => ready(0),
        "garbage-instead-of-ready" => write(&[0xff; 4096]),
        _ => ready(u32::MAX),
    }
    let done = frame(&Statement::Done);
    match how {
        "dies-in-the-job" => take(1000),
        "closes-its-input" => {
            let _ = rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null").unwrap());
            take(1);
        }
        "hangs" => take(usize::MAX),
        "never-reads" => std::thread::sleep(Duration::from_secs(3600)),
        "floods-statements" => forever(&frame(&Statement::Opaque { path: b"/" })),
        "floods-octets" => {
            forever(&frame(&Statement::Fact { name: b"x", value: &vec![0; 60_000] }));
        }
        "endless-frame" => forever(&vec![0xfe; 65_536]),
        "half-a-frame" => write(&done[..4]),
        "garbage" => forever(b"\x10\0\0\0garbage"),
        "unknown-statement" => forever(&[1, 0, 0, 0, 99]),
        "ready-again" => forever(&frame(&Statement::Ready { locks: u32::MAX })),
        "done-before-the-input" => forever(&done),
        "goes-on-after-done" => {
            take((4 << 20) + 1 + 4 * 17);
            write(&[done.clone(), done].concat());
            std::thread::sleep(Duration::from_secs(3600));
        }
        _ => {}
    }
}

fn ready(locks: u32) {
    write(&frame(&Statement::Ready { locks }));
}

fn frame(statement: &Statement<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    statement.encode(&mut octets);
    octets
}

fn write(octets: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(octets).and_then(|()| out.flush());
}

fn forever(octets: &[u8]) {
    let mut out = std::io::stdout().lock();
    while out.write_all(octets).and_then(|()| out.flush()).is_ok() {}
}

/// Reads so much of the input, or waits for it.
fn take(octets: usize) {
    let mut left = octets;
    let mut buffer = vec![0; 65_536];
    while left > 0 {
        let length = left.min(buffer.len());
        match std::io::stdin().lock().read(&mut buffer[..length]) {
            Ok(1..) if octets == usize::MAX => {}
            Ok(count @ 1..) => left -= count,
            _ => return,
        }
    }
}
