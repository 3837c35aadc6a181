//! What becomes of a workload whose orchestrator is killed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::sandbox::Sandbox;

const PATIENCE: Duration = Duration::from_secs(60);
/// A shell, its child, and what nobody waits for: in a session of its own, and its parent has ended.
const SCRIPT: &str = "sleep 3600 & echo $! >> all; \
                      sh -c 'setsid sh -c \"echo \\$\\$ >> all; exec sleep 3600\" & exit'; \
                      echo $$ >> all; wait";

/// A workload of three processes that sleep, all known by number.
fn start(sandbox: &Sandbox, options: &[&str]) -> (Child, Vec<u32>) {
    let learn = ["learn", "--quiet", "-o", "s.model", "--name", "s"];
    let workload = ["--", "sh", "-c", SCRIPT];
    let mut command = sandbox.command(&[&learn, options, &workload].concat());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let numbers = || fs::read_to_string(sandbox.path("all")).unwrap_or_default();
    wait_until("three processes", || {
        numbers().lines().count() == 3
            && numbers().lines().all(|number| {
                words_of(number).starts_with("sleep") || words_of(number).starts_with("sh")
            })
    });
    let all = numbers().lines().map(|number| number.parse().unwrap()).collect();
    (child, all)
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn words_of(process: impl std::fmt::Display) -> String {
    fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default()
}

/// A zombie has no words.
fn lives(process: u32) -> bool {
    !words_of(process).is_empty()
}

fn kill(process: u32) {
    let status = Command::new("kill").args(["-KILL", &process.to_string()]).status();
    assert!(status.unwrap().success());
}

fn only_child_of(process: u32) -> u32 {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(Path::new(&children)).unwrap();
    children.trim().parse().unwrap()
}

#[test]
fn run_nothing_of_a_workload_outlives_its_orchestrator_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let (mut orchestrator, all) = start(&sandbox, &[]);
    orchestrator.kill().unwrap();
    orchestrator.wait().unwrap();
    thread::sleep(Duration::from_secs(1));
    let left: Vec<_> = all.into_iter().filter(|process| lives(*process)).collect();
    assert!(!left.is_empty(), "all end by themselves, and this test says nothing");
    left.into_iter().for_each(kill);

    let sandbox = Sandbox::new();
    let (guardian, all) = start(&sandbox, &["--on-crash", "kill"]);
    kill(only_child_of(guardian.id()));
    let ended = guardian.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.signal(), Some(9), "{told}");
    assert!(told.contains("the orchestrator was killed by signal 9; what was left"), "{told}");
    assert!(all.iter().all(|process| !lives(*process)), "{all:?}");
    assert!(sandbox.good(&["ps", "--all"]).contains(" lost "));
}

#[test]
fn run_a_workload_ends_with_its_guardian() {
    let sandbox = Sandbox::new();
    let (mut guardian, all) = start(&sandbox, &["--on-crash", "kill"]);
    guardian.kill().unwrap();
    guardian.wait().unwrap();
    wait_until("nothing left", || all.iter().all(|process| !lives(*process)));
    wait_until("a record", || {
        sandbox.good(&["ps", "--all", "--json"]).contains(r#""exit":{"signal":9}"#)
    });
}

#[test]
fn run_a_guardian_passes_on_signals_and_statuses() {
    let sandbox = Sandbox::new();
    let learn = ["learn", "--quiet", "--on-crash", "kill", "-o", "t.model", "--"];
    let waits = ["sh", "-c", "echo > ready; exec sleep 3600"];
    let mut guardian = sandbox.command(&[&learn[..], &waits].concat()).spawn().unwrap();
    wait_until("the workload runs", || sandbox.path("ready").exists());
    let status = Command::new("kill").arg(guardian.id().to_string()).status();
    assert!(status.unwrap().success());
    assert_eq!(guardian.wait().unwrap().code(), Some(143));

    for status in [0, 7, 127] {
        let end = format!("exit {status}");
        assert_eq!(sandbox.quixote(&[&learn[..], &["sh", "-c", &end]].concat()).status, status);
    }
}

#[test]
fn run_how_a_workload_ended_is_known_though_we_were_told_not_to_wait_for_children() {
    let sandbox = Sandbox::new();
    for options in ["", "--on-crash kill"] {
        let learn = format!(
            "trap '' CHLD; exec quixote learn --quiet {options} -o t.model -- sh -c 'exit 3'"
        );
        let mut shell = Command::new("bash");
        sandbox.settle(shell.args(["-c", &learn]));
        assert_eq!(shell.status().unwrap().code(), Some(3), "{options}");
    }
}
