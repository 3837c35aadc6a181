//! Each forbidden thing is forbidden: a process that is locked down as the parser is, tries it, and dies.
//!
//! The test's own program is the one that is locked: with an argument it locks itself and makes the one
//! attempt of that name. Each attempt is first made without the lock, where it must leave the process alive:
//! what dies anyway would prove nothing.

#![allow(unsafe_code, reason = "forbidden calls are made as raw calls")]

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;

use libc::c_long;
use reference_formats::statement::lock as bits;
use reference_parser::arena::Arena;
use reference_parser::lock;

#[global_allocator]
static ARENA: Arena = Arena::new();

const PATH: &std::ffi::CStr = c"/etc/passwd";

type Attempt = (&'static str, fn() -> c_long);

/// What a parser has no business with. The result does not matter: who is locked does not come to it.
const ATTEMPTS: &[Attempt] = &[
    // SAFETY of each: the arguments are numbers, NUL-terminated constants, or null where the kernel
    // allows it; an error is as good as a success.
    ("open", || unsafe { libc::syscall(libc::SYS_open, PATH.as_ptr(), libc::O_RDONLY) }),
    ("openat", || unsafe { libc::syscall(libc::SYS_openat, -100, PATH.as_ptr(), 0) }),
    ("openat2", || unsafe { libc::syscall(libc::SYS_openat2, -100, PATH.as_ptr(), 0, 0) }),
    ("socket", || unsafe { libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0) }),
    ("unix-socket", || unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, 1, 0) }),
    ("exec", || unsafe { libc::syscall(libc::SYS_execve, c"/nowhere".as_ptr(), 0, 0) }),
    ("fork", || unsafe {
        let child = libc::syscall(libc::SYS_fork);
        if child == 0 {
            libc::_exit(0);
        }
        child
    }),
    ("ptrace", || unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_SEIZE, 1, 0, 0) }),
    ("kill", || unsafe { libc::syscall(libc::SYS_kill, libc::getppid(), 0) }),
    ("mmap-exec", || map(libc::PROT_READ | libc::PROT_EXEC)),
    ("mmap", || map(libc::PROT_READ)),
    ("mprotect", || unsafe { libc::syscall(libc::SYS_mprotect, 0, 0, libc::PROT_EXEC) }),
    ("brk", || unsafe { libc::syscall(libc::SYS_brk, 0) }),
    ("memfd", || unsafe { libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0) }),
    ("bpf", || unsafe { libc::syscall(libc::SYS_bpf, 0, 0, 0) }),
    ("io_uring", || unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, 0) }),
    ("process_vm_readv", || unsafe { libc::syscall(libc::SYS_process_vm_readv, 1, 0, 0, 0, 0, 0) }),
    ("prctl", || unsafe { libc::syscall(libc::SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0) }),
    ("dup", || unsafe { libc::syscall(libc::SYS_dup, 0) }),
    ("getrandom", || unsafe { libc::syscall(libc::SYS_getrandom, [0u8; 1].as_mut_ptr(), 1, 0) }),
    ("unlink", || unsafe { libc::syscall(libc::SYS_unlink, c"/nowhere/x".as_ptr()) }),
    ("mount", || unsafe { libc::syscall(libc::SYS_mount, 0, c"/nowhere".as_ptr(), 0, 0, 0) }),
    ("unshare", || unsafe { libc::syscall(libc::SYS_unshare, 0) }),
];

/// By the kernel's other table of calls: `int 0x80` reaches i386's numbers from 64 bits.
#[cfg(target_arch = "x86_64")]
fn open_by_i386() -> c_long {
    let result: c_long;
    // SAFETY: i386's getpid (20) takes nothing and writes only eax.
    unsafe { std::arch::asm!("int 0x80", inlateout("rax") 20i64 => result) };
    result
}

fn map(protection: i32) -> c_long {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice.
    unsafe { libc::syscall(libc::SYS_mmap, 0, 4096, protection, flags, -1, 0) }
}

fn attempts() -> Vec<Attempt> {
    let mut attempts = ATTEMPTS.to_vec();
    #[cfg(target_arch = "x86_64")]
    attempts.push(("i386", open_by_i386));
    attempts
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("child"), Some(how)) => child(&how, &arguments.next().unwrap_or_default()),
        _ => every_forbidden_call_ends_a_locked_process(),
    }
}

fn child(how: &str, what: &str) {
    let attempts = attempts();
    let attempt = attempts.iter().find(|attempt| attempt.0 == what).map(|attempt| attempt.1);
    if how == "contained" {
        allow_all_by_a_filter();
    }
    let locks = if how == "free" { 0 } else { lock::down() };
    if let Some(attempt) = attempt {
        attempt();
    }
    let octets = locks.to_le_bytes();
    // SAFETY: the buffer is ours; 1 is a pipe, and what is left to a locked process is to write and end.
    unsafe { libc::write(1, octets.as_ptr().cast(), octets.len()) };
    lock::leave()
}

/// As a container's filter is in force before the parser's lock.
fn allow_all_by_a_filter() {
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut allow = libc::sock_filter { code, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
    let program = libc::sock_fprog { len: 1, filter: &raw mut allow };
    // SAFETY: numbers, and a program that outlives the call.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0, 0)
    };
    assert_eq!(set, 0);
}

fn run(how: &str, what: &str) -> (ExitStatus, Vec<u8>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", how, what]).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.stdout(Stdio::piped()).output().unwrap();
    (output.status, output.stdout)
}

fn every_forbidden_call_ends_a_locked_process() {
    let locks = every_attempt_ends(("locked", libc::SIGKILL));
    assert_eq!(locks & bits::FILTER, 0, "strict mode, where it can be had");
    let locks = every_attempt_ends(("contained", libc::SIGSYS));
    assert_eq!(locks & bits::FILTER, bits::FILTER, "a filter as strict, where it cannot");
    let count = 2 * attempts().len();
    println!("\ntest result: ok. {count} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    std::io::stdout().flush().unwrap();
}

/// Makes every attempt in a process that is locked so, and expects that signal; what held.
fn every_attempt_ends((how, signal): (&str, i32)) -> u32 {
    let (status, octets) = run(how, "nothing");
    assert!(status.success(), "a locked process can write and end: {status:?}");
    let locks = u32::from_le_bytes(octets.try_into().unwrap());
    let required = bits::STRICT
        | bits::NO_NEW_PRIVILEGES
        | bits::NOT_DUMPABLE
        | bits::LIMITS
        | bits::TWO_PIPES;
    assert_eq!(locks & required, required, "{locks:#x}");
    for (name, _) in attempts() {
        let (free, _) = run("free", name);
        assert!(free.code().is_some(), "{name} kills also without the lock: {free:?}");
        let (locked, said) = run(how, name);
        assert_eq!(locked.signal(), Some(signal), "{name} is forbidden: {locked:?}");
        assert!(said.is_empty(), "{name}");
        println!("test {name}_is_forbidden_{how} ... ok");
    }
    locks
}
