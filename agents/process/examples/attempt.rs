//! Enters the sandbox and attempts what it forbids; for `tests/sandbox.rs`. Ends with status 0 if
//! the attempt succeeded, with 1 if it was refused with an error.
#![allow(unsafe_code, reason = "system calls that have no safe form, to see them refused")]

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::ExitCode;

use process_agent::sandbox;
use process_agent::sandbox::Serves;

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    if sandbox::enter(Serves::One).is_err() {
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(!attempt(&what)))
}

fn attempt(what: &str) -> bool {
    match what {
        "nothing" => true,
        "memory" => !vec![1_u8; 8 << 20].is_empty(),
        "open" => File::open("/etc/passwd").is_ok(),
        "create" => File::create("/tmp/quixote-tma-attempt").is_ok(),
        "connect" => TcpStream::connect("127.0.0.1:9").is_ok(),
        "unix" => UnixStream::connect("/run/nobody").is_ok(),
        "execute" => Command::new("/bin/true").status().is_ok(),
        "thread" => std::thread::Builder::new().spawn(|| {}).is_ok(),
        _ => call(what),
    }
}

/// Calls without a safe form. None of them does harm if it goes through.
fn call(what: &str) -> bool {
    let null = std::ptr::null_mut();
    let (shared, exec) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_EXEC);
    // SAFETY: every call gets numbers, null pointers or memory of its own, and what it maps is
    // never used.
    unsafe {
        match what {
            "fork" => libc::fork() >= 0,
            "kill" => libc::kill(libc::getppid(), 0) == 0,
            "ptrace" => libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0,
            "dumpable" => libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) == 0,
            "executable" => {
                libc::mmap(null, 4096, libc::PROT_READ | exec, shared, -1, 0) != libc::MAP_FAILED
            }
            "make-executable" => {
                let page = libc::mmap(null, 4096, libc::PROT_READ, shared, -1, 0);
                libc::mprotect(page, 4096, libc::PROT_READ | exec) == 0
            }
            _ => false,
        }
    }
}
