//! The suite's program, as its users run it. That a locality passes is that locality's own test.

use std::process::Command;
use std::process::Output;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// Runs the program with a home that is nobody else's.
fn run(words: &[&str]) -> Output {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let home = format!("agent-conformance-{}-{run}", std::process::id());
    let home = std::env::temp_dir().join(home);
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-conformance"));
    command.args(words).env("QUIXOTE_STATE_DIR", &home);
    let output = command.output().unwrap();
    let _ = std::fs::remove_dir_all(home);
    output
}

#[test]
fn what_is_no_locality_and_no_part_is_refused() {
    for words in [
        &["--tma", "nowhere"][..],
        &["--tma", "orchestrator"],
        &["--tma", "process", "--only", "nothing"],
        &[],
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage:"), "{words:?}");
    }
}

#[test]
fn an_agent_that_is_not_there_passes_nothing() {
    let output = run(&["--tma", "unix:/nonexistent/tma.sock"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot reach the agent"));
    assert!(output.stdout.is_empty());
}
