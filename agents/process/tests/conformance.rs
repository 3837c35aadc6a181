//! The suite of `conformance/agents`, passed by the process in its sandbox.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use agent_conformance::Line;
use agent_conformance::Subject;
use agent_conformance::conform;
use tma_protocol::Identity;

/// Longer than any machine under load needs for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

fn listening(directory: &std::path::Path) -> std::process::Child {
    let socket = directory.join("tma.sock");
    let record = tma_protocol::boot::write_boot(
        &[2; 32],
        &Identity::from_seed(&[1; 32]).public().session,
        &[],
    );
    std::fs::write(directory.join("agent.keys"), &record[..]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quixote-tma"));
    command.arg("--listen").arg(format!("unix:{}", socket.display()));
    let child = command.arg("--state").arg(directory).spawn().unwrap();
    while !socket.exists() {
        std::thread::yield_now();
    }
    child
}

#[test]
fn a_process_passes_the_suite() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = listening(directory.path());
    let socket = directory.path().join("tma.sock");
    let open = || -> Box<dyn Line> {
        let stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Box::new(stream)
    };
    conform(&Subject {
        open: &open,
        orchestrator: Identity::from_seed(&[1; 32]),
        agent: Identity::from_seed(&[2; 32]).public(),
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_no_boot_record_starts_no_agent() {
    use std::io::Write as _;
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quixote-tma"));
    let mut child = command.stdin(OwnedFd::from(theirs)).spawn().unwrap();
    ours.write_all(&[7; tma_protocol::boot::BOOT_SIZE]).unwrap();
    assert!(!child.wait().unwrap().success());
}
