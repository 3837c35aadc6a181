//! A workload under an agent that is a process: the same record as under one in the orchestrator,
//! and nothing at all once the agent is gone, wedged, or another.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use orchestrator::agent::AgentError;
use orchestrator::agent::Unobserved;
use orchestrator::agent_keys;
use orchestrator::attestation;
use orchestrator::attestation::NotAttested;
use orchestrator::control;
use orchestrator::record::Exit;
use orchestrator::tma::Tma;
use orchestrator::tma::TmaError;
use orchestrator::workload;
use orchestrator::workload::Finished;
use orchestrator::workload::OnCrash;
use orchestrator::workload::RunError;
use orchestrator::workload::Running;
use orchestrator::workload::Workload;
use rustix::process::Pid;
use rustix::process::Signal;
use tsem::Digest;
use tsem::ExpiredKeys;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ReferenceRule;
use tsem::References;
use tsem::Rules;
use tsem::Vouched;

/// One at a time: the agent is found as the one child that is an agent.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn workload_of(name: &str, tma: &Tma, mode: Mode, model: &[Digest], script: &str) -> Workload {
    Workload {
        command: ["/bin/sh", "-c", script].iter().map(OsString::from).collect(),
        user: None,
        name: format!("{name}-{}", std::process::id()),
        mode,
        on_violation: OnViolation::Deny,
        rules: Rules::default(),
        references: References::default(),
        coefficients: model.to_vec(),
        exact: Vec::new(),
        ruled: std::collections::BTreeSet::new(),
        model: None,
        platform: Platform::NONE,
        source: orchestrator::source::Source::Portable,
        on_crash: OnCrash::Deny,
        shield: false,
        tma: tma.clone(),
        verdict_cache: false,
        header: None,
        signature: None,
        hooks: orchestrator::hooks::Hooks::default(),
    }
}

fn start(name: &str, tma: &Tma, mode: Mode, model: &[Digest], script: &str) -> Running {
    let workload = workload_of(name, tma, mode, model, script);
    workload::start(&workload, Arc::new(Unobserved), None).unwrap()
}

fn run(name: &str, tma: &Tma, mode: Mode, model: &[Digest], script: &str) -> Finished {
    start(name, tma, mode, model, script).wait().unwrap()
}

fn coefficients(finished: &Finished) -> Vec<Digest> {
    let texts = finished.record.coefficients.iter();
    texts.map(|text| Digest::from_hex(text).unwrap()).collect()
}

/// The process of the agent of this test.
fn agent_pid() -> Pid {
    let children = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<String> = children.collect();
    let is_agent = |pid: &&str| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim_end() == "quixote-tma")
    };
    let mut found = children.iter().flat_map(|list| list.split_whitespace()).filter(is_agent);
    let agent = found.next().unwrap().parse().unwrap();
    assert!(found.next().is_none());
    Pid::from_raw(agent).unwrap()
}

/// A script that waits until `go` is there, then reads a file and leaves `done`.
fn waiting(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "echo > {directory}/ready; while ! [ -e {directory}/go ]; do :; done; \
         cat /etc/hostname && echo > {directory}/done"
    )
}

fn until_there(path: &Path) {
    while !path.exists() {
        std::thread::yield_now();
    }
}

#[test]
fn the_record_is_that_of_an_agent_in_the_orchestrator() {
    let _alone = alone();
    let script = "cat /etc/hostname; (cat /etc/passwd; kill -0 $$) | head -n 1";
    let local = run("local", &Tma::Orchestrator, Mode::Free, &[], script);
    let remote = run("remote", &Tma::Process, Mode::Free, &[], script);
    assert_eq!(remote.exit, Exit::Code(0));
    assert_eq!(remote.record.state, local.record.state);
    assert_eq!(coefficients(&remote), coefficients(&local));
    assert_eq!(remote.record.counts, local.record.counts);
    let other = "cat /etc/shadow";
    let local = run("deny", &Tma::Orchestrator, Mode::Enforcing, &coefficients(&local), other);
    let remote = run("denied", &Tma::Process, Mode::Enforcing, &coefficients(&remote), other);
    assert_ne!(remote.exit, Exit::Code(0));
    assert_eq!(remote.record.state, local.record.state);
    assert_eq!(remote.record.measurement, local.record.measurement);
    assert_eq!(remote.record.observation.events, local.record.observation.events);
    let kept = |finished: &Finished| {
        let forensics = finished.record.forensics.iter();
        forensics.map(|kept| (kept.coefficient.clone(), kept.chain.clone())).collect::<Vec<_>>()
    };
    assert_eq!(kept(&remote), kept(&local));
    assert!(!kept(&remote).is_empty());
}

#[test]
fn what_packages_vouch_for_is_named_as_by_an_agent_in_the_orchestrator() {
    let _alone = alone();
    let words = ["deb", "coreutils", "amd64"];
    let rule = ReferenceRule::new(words, None, &["key"], ExpiredKeys::Refused).unwrap();
    let cat = std::fs::canonicalize("/bin/cat").unwrap();
    let content = Digest::of(&[&std::fs::read(&cat).unwrap()]);
    let mut references = References::default();
    let vouched = Vouched::new(content, cat.as_os_str().as_bytes(), rule.identity());
    references.insert(vouched).unwrap();
    let rules = Rules { references: vec![rule], ..Rules::default() };
    let run = |name, tma, model: &[Digest], references: &References| {
        let mode = if model.is_empty() { Mode::Free } else { Mode::Enforcing };
        let workload = workload_of(name, tma, mode, model, "cat /etc/hostname; :");
        let (rules, references) = (rules.clone(), references.clone());
        let workload = Workload { rules, references, ..workload };
        workload::start(&workload, Arc::new(Unobserved), None).unwrap().wait().unwrap()
    };
    let local = run("vouched-here", &Tma::Orchestrator, &[], &references);
    let remote = run("vouched", &Tma::Process, &[], &references);
    assert_eq!(remote.record.state, local.record.state);
    assert_eq!(coefficients(&remote), coefficients(&local));
    assert_eq!(remote.observation, local.observation);
    let bare = run("unvouched", &Tma::Process, &[], &References::default());
    assert_ne!(remote.record.state, bare.record.state);
    let model = coefficients(&remote);
    let enforced = run("vouched-enforced", &Tma::Process, &model, &references);
    assert_eq!((enforced.record.counts.denied, &enforced.record.state), (0, &local.record.state));
    // Who verified the packages no longer vouches.
    let denied = run("unvouched-enforced", &Tma::Process, &model, &References::default());
    assert!(denied.record.counts.denied > 0);
}

/// In free mode, where everything would be allowed: what fails, fails closed all the same.
fn nothing_is_allowed_after(signal: Signal) -> RunError {
    let directory = tempfile::tempdir().unwrap();
    let running = start("lost", &Tma::Process, Mode::Free, &[], &waiting(directory.path()));
    until_there(&directory.path().join("ready"));
    rustix::process::kill_process(agent_pid(), signal).unwrap();
    std::fs::write(directory.path().join("go"), "").unwrap();
    let ended = running.wait();
    assert!(!directory.path().join("done").exists());
    ended.err().unwrap()
}

#[test]
fn a_killed_agent_allows_nothing_and_the_run_says_so() {
    let _alone = alone();
    let error = nothing_is_allowed_after(Signal::KILL);
    assert!(matches!(error, RunError::Agent(AgentError::Gone)), "{error:?}");
}

#[test]
fn a_wedged_agent_allows_nothing_and_the_run_says_so() {
    let _alone = alone();
    let error = nothing_is_allowed_after(Signal::STOP);
    assert!(matches!(error, RunError::Agent(AgentError::Silent(_))), "{error:?}");
}

#[test]
fn an_attestation_is_of_this_agent_this_challenge_and_this_state() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let running = start("attest", &Tma::Process, Mode::Free, &[], &waiting(directory.path()));
    until_there(&directory.path().join("ready"));
    let name = format!("attest-{}", std::process::id());
    let attested = control::attest(&name, b"challenge").unwrap();
    assert!(control::attest(&name, b"short").is_err());
    let keys = agent_keys::signing_keys().unwrap();
    let claims = attestation::verify(&attested.statement, &keys, b"challenge").unwrap();
    assert_eq!((claims.mode.as_str(), claims.locality.as_str()), ("free", "process"));
    assert!(claims.counts.events > 0 && claims.in_session && claims.cached.is_none());
    let stale = attestation::verify(&attested.statement, &keys, b"another challenge");
    assert_eq!(stale.unwrap_err(), NotAttested::Nonce);
    let stranger = attestation::verify(&attested.statement, &[[7; 32]], b"challenge");
    assert_eq!(stranger.unwrap_err(), NotAttested::Signature);
    std::fs::write(directory.path().join("go"), "").unwrap();
    assert_eq!(running.wait().unwrap().exit, Exit::Code(0));
}

/// Opens one file often, then waits as [`waiting`] does, opening it all the time.
fn repeating(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "n=0; while [ $n -lt 300 ]; do : < /etc/hostname; n=$((n+1)); done; \
         echo > {directory}/ready; while ! [ -e {directory}/go ]; do : < /etc/hostname; done; \
         cat /etc/passwd > /dev/null && echo > {directory}/done"
    )
}

/// A model of [`repeating`], and the same workload enforced with a verdict cache.
fn cached(directory: &Path, name: &str) -> (Finished, Running) {
    let script = repeating(directory);
    std::fs::write(directory.join("go"), "").unwrap();
    let learned = run(&format!("learned-{name}"), &Tma::Orchestrator, Mode::Free, &[], &script);
    for left in ["go", "ready", "done"] {
        std::fs::remove_file(directory.join(left)).unwrap();
    }
    let model = coefficients(&learned);
    let mut workload = workload_of(name, &Tma::Process, Mode::Enforcing, &model, &script);
    workload.verdict_cache = true;
    let running = workload::start(&workload, Arc::new(Unobserved), None).unwrap();
    until_there(&directory.join("ready"));
    (learned, running)
}

#[test]
fn a_verdict_cache_changes_what_the_agent_sees_and_nothing_else() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let (learned, running) = cached(directory.path(), "cached");
    let name = format!("cached-{}", std::process::id());
    let attested = control::attest(&name, b"challenge").unwrap();
    let keys = agent_keys::signing_keys().unwrap();
    let claims = attestation::verify(&attested.statement, &keys, b"challenge").unwrap();
    // The first of the openings is asked, and one in a tenth of a second.
    assert!(claims.cached > Some(100), "{:?}", claims.cached);
    std::fs::write(directory.path().join("go"), "").unwrap();
    let ended = running.wait().unwrap();
    assert_eq!(ended.exit, Exit::Code(0));
    assert!(directory.path().join("done").exists());
    assert_eq!(ended.record.state, learned.record.state);
    assert_eq!(ended.record.counts.violations, 0);
    assert_eq!(ended.record.counts.losses, 0);
    assert!(Some(ended.record.counts.cached) >= claims.cached);
}

#[test]
fn a_verdict_cache_knows_nothing_of_another_model() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let (learned, running) = cached(directory.path(), "first-model");
    std::fs::write(directory.path().join("go"), "").unwrap();
    assert_eq!(running.wait().unwrap().exit, Exit::Code(0));
    let opening = learned.record.observation.events.iter();
    assert!(opening.len() > 1);
    // The same workload under a model that lacks what the loop opens.
    let other = run("without", &Tma::Orchestrator, Mode::Free, &[], ": < /etc/passwd");
    let script = "for n in 1 2 3; do : < /etc/hostname && exit 7; done; exit 0";
    let model = coefficients(&other);
    let mut workload = workload_of("second-model", &Tma::Process, Mode::Enforcing, &model, script);
    workload.verdict_cache = true;
    let ended = workload::start(&workload, Arc::new(Unobserved), None).unwrap().wait().unwrap();
    assert_ne!(ended.exit, Exit::Code(7));
    assert!(ended.record.counts.denied > 0);
    assert_eq!(ended.record.coefficients.len(), model.len());
}

/// With a cache, and a workload that does nothing but what is in it.
fn nothing_is_cached_after(signal: Signal) -> RunError {
    let directory = tempfile::tempdir().unwrap();
    let (_, running) = cached(directory.path(), "cached-lost");
    rustix::process::kill_process(agent_pid(), signal).unwrap();
    // The loop's next opening that is asked fails; then so does all else, and the shell ends.
    let ended = running.wait();
    assert!(!directory.path().join("done").exists());
    ended.err().unwrap()
}

#[test]
fn a_verdict_cache_does_not_stand_in_for_a_killed_agent() {
    let _alone = alone();
    let error = nothing_is_cached_after(Signal::KILL);
    assert!(matches!(error, RunError::Agent(AgentError::Gone)), "{error:?}");
}

#[test]
fn a_verdict_cache_does_not_stand_in_for_a_wedged_agent() {
    let _alone = alone();
    let error = nothing_is_cached_after(Signal::STOP);
    assert!(matches!(error, RunError::Agent(AgentError::Silent(_))), "{error:?}");
}

/// Carries octets between a terminal and an agent, as a serial line does.
fn line_to(agent: &Path) -> (PathBuf, std::fs::File) {
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
    let ours = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&ours).unwrap();
    rustix::pty::unlockpt(&ours).unwrap();
    let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
    let path = PathBuf::from(name.to_str().unwrap());
    // A line stays there while nobody has it open.
    let theirs = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut attributes = rustix::termios::tcgetattr(&theirs).unwrap();
    attributes.make_raw();
    let now = rustix::termios::OptionalActions::Now;
    rustix::termios::tcsetattr(&theirs, now, &attributes).unwrap();
    let ours = std::fs::File::from(ours);
    let socket = UnixStream::connect(agent).unwrap();
    let (mut from, mut to) = (ours.try_clone().unwrap(), socket.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let (mut from, mut to) = (socket, ours);
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    (path, theirs)
}

#[test]
fn an_agent_on_a_serial_line_decides_as_one_in_the_orchestrator() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let _listening = Listening::at(directory.path());
    let (path, _held) = line_to(&directory.path().join("tma.sock"));
    let tma = Tma::Serial(path);
    tma.provision(Vec::new()).unwrap();
    let script = "cat /etc/hostname";
    let local = run("line-local", &Tma::Orchestrator, Mode::Free, &[], script);
    // One run after another on a line that is never closed.
    for name in ["line-learned", "line-again"] {
        let remote = run(name, &tma, Mode::Free, &[], script);
        assert_eq!(remote.record.state, local.record.state);
    }
    let model = coefficients(&local);
    let refused = run("line-refused", &tma, Mode::Enforcing, &model, "cat /etc/shadow");
    assert_ne!(refused.exit, Exit::Code(0));
    assert!(refused.record.counts.denied > 0);
    std::fs::remove_file(agent_keys::pin_path(&tma).unwrap()).unwrap();
}

/// An agent that listens; ended with the test.
struct Listening(Child);

impl Listening {
    fn at(directory: &Path) -> Self {
        let socket = directory.join("tma.sock");
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new(env!("CARGO_BIN_EXE_quixote-tma"));
        command.arg("--listen").arg(format!("unix:{}", socket.display()));
        let child = command.arg("--state").arg(directory).spawn().unwrap();
        until_there(&socket);
        Self(child)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_agent_elsewhere_is_provisioned_once_and_must_be_the_same_ever_after() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let tma = Tma::Unix(directory.path().join("tma.sock"));
    let listening = Listening::at(directory.path());
    let unknown = workload_of("unknown", &tma, Mode::Free, &[], "true");
    let refused = workload::start(&unknown, Arc::new(Unobserved), None).err().unwrap();
    assert!(matches!(refused, RunError::Tma(TmaError::NotPinned { .. })), "{refused:?}");
    tma.provision(Vec::new()).unwrap();
    assert!(matches!(tma.provision(Vec::new()), Err(TmaError::Agent { .. })));
    for name in ["first", "second"] {
        assert_eq!(run(name, &tma, Mode::Free, &[], "true").exit, Exit::Code(0));
    }
    drop(listening);
    // The same keys from the same folder: the same agent.
    let listening = Listening::at(directory.path());
    assert_eq!(run("third", &tma, Mode::Free, &[], "true").exit, Exit::Code(0));
    drop(listening);
    std::fs::remove_file(directory.path().join("agent.keys")).unwrap();
    let _listening = Listening::at(directory.path());
    let other = workload::start(&unknown, Arc::new(Unobserved), None).err().unwrap();
    assert!(matches!(other, RunError::Tma(TmaError::OtherAgent { .. })), "{other:?}");
    std::fs::remove_file(agent_keys::pin_path(&tma).unwrap()).unwrap();
}
