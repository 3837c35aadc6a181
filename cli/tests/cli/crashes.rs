//! What becomes of a workload whose orchestrator is killed.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::sandbox::Sandbox;

const PATIENCE: Duration = Duration::from_secs(60);
/// What nobody waits for: in a session of its own, its parent has ended; and one whose first thread has ended.
const SCRIPT: &str = r#"
import ctypes, os, threading, time
def note():
    with open("all", "a") as file:
        file.write(f"{os.getpid()}\n")
def sleep():
    note()
    time.sleep(3600)
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    sleep()
if os.fork() == 0:
    threading.Thread(target=sleep).start()
    ctypes.CDLL(None).pthread_exit(None)
sleep()
"#;

/// Quixote and its workload of three processes that sleep, all known by number. Nothing of it outlives the test.
struct Started {
    quixote: Child,
    all: Vec<u32>,
}

impl Started {
    fn new(sandbox: &Sandbox, options: &[&str], script: &str, processes: usize) -> Self {
        let learn = ["learn", "--quiet", "-o", "s.model", "--name", "s"];
        let mut command = sandbox.command(&[&learn, options, &["--"]].concat());
        command.args(["python3", "-c", script]).stderr(Stdio::piped());
        let quixote = command.spawn().unwrap();
        let mut started = Self { quixote, all: Vec::new() };
        let numbers = || fs::read_to_string(sandbox.path("all")).unwrap_or_default();
        wait_until("all processes", || numbers().lines().count() == processes);
        started.all = numbers().lines().map(|number| number.parse().unwrap()).collect();
        started
    }

    /// How it ended, and what it said.
    fn end(&mut self) -> (ExitStatus, String) {
        let mut ended = None;
        wait_until("quixote ends", || {
            ended = self.quixote.try_wait().unwrap();
            ended.is_some()
        });
        let mut told = String::new();
        self.quixote.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (ended.unwrap(), told)
    }

    /// Without the orchestrator its guardian ends as it did; what it said.
    fn lose_orchestrator(&mut self) -> String {
        kill(only_child_of(self.quixote.id()));
        let (status, told) = self.end();
        assert_eq!(status.signal(), Some(9), "{told}");
        told
    }

    fn left(&self) -> Vec<u32> {
        self.all.iter().copied().filter(|process| lives(*process)).collect()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.quixote.kill();
        let _ = self.quixote.wait();
        self.left().into_iter().for_each(kill);
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether any thread of it does: of one whose first thread has ended that is a zombie.
fn lives(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let states = threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    states.into_iter().any(|status| !status.contains("State:\tZ") && !status.contains("State:\tX"))
}

fn kill(process: u32) {
    let status = Command::new("kill").args(["-KILL", &process.to_string()]).status();
    assert!(status.unwrap().success());
}

fn only_child_of(process: u32) -> u32 {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap();
    children.trim().parse().unwrap()
}

#[test]
fn run_nothing_of_a_workload_outlives_its_orchestrator_where_that_is_asked_for() {
    let sandbox = Sandbox::new();
    let mut started = Started::new(&sandbox, &[], SCRIPT, 3);
    started.quixote.kill().unwrap();
    started.quixote.wait().unwrap();
    thread::sleep(Duration::from_secs(1));
    assert!(!started.left().is_empty(), "all end by themselves, and this test says nothing");

    let sandbox = Sandbox::new();
    let mut started = Started::new(&sandbox, &["--on-crash", "kill"], SCRIPT, 3);
    let told = started.lose_orchestrator();
    assert!(told.contains("the orchestrator was killed by signal 9; what was left"), "{told}");
    assert!(started.left().is_empty(), "{:?} {told}", started.left());
    assert!(sandbox.good(&["ps", "--all"]).contains(" lost "));
}

#[test]
fn run_a_workload_ends_with_its_guardian() {
    let sandbox = Sandbox::new();
    let mut started = Started::new(&sandbox, &["--on-crash", "kill"], SCRIPT, 3);
    started.quixote.kill().unwrap();
    started.quixote.wait().unwrap();
    wait_until("nothing left", || started.left().is_empty());
    wait_until("a record", || {
        sandbox.good(&["ps", "--all", "--json"]).contains(r#""exit":{"signal":9}"#)
    });
}

/// One process at any time, never the same for long.
#[test]
fn run_what_goes_on_as_its_own_child_ends_with_its_orchestrator() {
    let hop = "import os\nopen('all', 'a').write(f'{os.getpid()}\\n')\nwhile os.fork(): os._exit(0)\n\
               while True:\n  if os.fork(): os._exit(0)\n";
    let sandbox = Sandbox::new();
    let mut started = Started::new(&sandbox, &["--on-crash", "kill"], hop, 1);
    let told = started.lose_orchestrator();
    assert!(told.contains("was ended"), "{told}");
}

/// Children survive an exec: `sidecar & exec quixote ...`.
#[test]
fn run_a_guardian_leaves_alone_what_is_not_the_workloads() {
    let sandbox = Sandbox::new();
    let mut shell = Command::new("sh");
    sandbox.settle(shell.args([
        "-c",
        "sleep 3600 > /dev/null 2>&1 & echo $! > all; exec quixote learn --quiet --on-crash kill -o t.model -- true",
    ]));
    let ended = shell.stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    let sidecar = fs::read_to_string(sandbox.path("all")).unwrap().trim().parse().unwrap();
    let lives = lives(sidecar);
    if lives {
        kill(sidecar);
    }
    assert!(lives && ended.status.success() && !told.contains("was ended"), "{told}");
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
