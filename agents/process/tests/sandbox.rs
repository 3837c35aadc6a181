//! Everything that the sandbox forbids, one by one; and that what an agent needs is left.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;

/// The bad-system-call signal.
const SIGSYS: i32 = 31;

/// The example beside this test's own folder.
fn attempt(what: &str) -> ExitStatus {
    let own = std::env::current_exe().unwrap();
    let program: PathBuf = own.parent().unwrap().parent().unwrap().join("examples/attempt");
    Command::new(program).arg(what).status().unwrap()
}

#[test]
fn what_an_agent_needs_is_left() {
    for what in ["nothing", "memory"] {
        assert_eq!(attempt(what).code(), Some(0), "{what}");
    }
}

#[test]
fn everything_else_ends_the_process() {
    for what in [
        "open",
        "create",
        "connect",
        "unix",
        "execute",
        "thread",
        "fork",
        "kill",
        "ptrace",
        "dumpable",
        "executable",
        "make-executable",
    ] {
        let status = attempt(what);
        assert_eq!(status.signal(), Some(SIGSYS), "{what}: {status:?}");
    }
    assert!(!std::path::Path::new("/tmp/quixote-tma-attempt").exists());
}

#[test]
fn a_running_agent_is_not_dumpable_and_has_no_new_privileges() {
    use std::io::Write as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut agent = Command::new(env!("CARGO_BIN_EXE_quixote-tma"))
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    ours.write_all(&tma_protocol::boot::write_boot(&[1; 32], &[2; 32], &[])).unwrap();
    // An answer proves that the sandbox has been entered.
    ours.write_all(&[0, 2, 9, 0]).unwrap();
    let mut first = Vec::new();
    let orchestrator = tma_protocol::Identity::from_seed(&[3; 32]);
    tma_protocol::Handshake::begin(&orchestrator, [4; 32], &mut first).unwrap();
    ours.write_all(&first).unwrap();
    std::io::Read::read_exact(&mut ours, &mut [0; 1]).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(status.contains("Seccomp:\t2"), "{status}");
    let owner = std::fs::metadata(format!("/proc/{}/environ", agent.id())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owner), 0, "procfs gives it to root");
    // To its end, or the agent would write to nobody.
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    std::io::Read::read_to_end(&mut ours, &mut Vec::new()).unwrap();
    assert!(agent.wait().unwrap().success());
}
