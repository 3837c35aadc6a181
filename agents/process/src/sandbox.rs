//! Gives up everything that an agent does not need: it is what a workload's attacker would want.
//!
//! What is left: reading, writing and closing descriptors that are open already, memory that is never
//! executable, randomness, and the end. Everything else ends the process, and a process that has
//! ended allows nothing.

#![allow(
    unsafe_code,
    reason = "prctl has no safe form for PR_SET_DUMPABLE in the crates used here"
)]

use std::collections::BTreeMap;
use std::io;

use landlock::Access as _;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::CompatLevel;
use landlock::Compatible as _;
use landlock::Ruleset;
use landlock::RulesetAttr as _;
use landlock::Scope;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::setrlimit;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen;
use seccompiler::SeccompCmpOp;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;
use thiserror::Error;

/// What the agent serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// One socket that it was handed.
    One,
    /// One connection after another of a listening socket; pins are written to an open file.
    Listener,
}

/// The sandbox cannot be entered, so the agent does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A process option or limit.
    #[error("the process cannot be restricted: {0}")]
    Process(#[from] io::Error),
    /// The system call filter.
    #[error("the system call filter cannot be installed: {0}")]
    Filter(#[from] seccompiler::Error),
    /// The system call filter does not fit this machine.
    #[error("the system call filter cannot be made: {0}")]
    Backend(#[from] seccompiler::BackendError),
    /// Landlock.
    #[error("Landlock cannot be used: {0}")]
    Landlock(#[from] landlock::RulesetError),
}

/// Enters the sandbox, for good.
///
/// # Errors
///
/// A part of it is refused. Landlock is used as far as the kernel has it: the filter forbids the
/// same and more, so a kernel without it is no weaker than the filter.
pub fn enter(serves: Serves) -> Result<(), SandboxError> {
    not_dumpable()?;
    setrlimit(Resource::Core, none()).map_err(io::Error::from)?;
    setrlimit(Resource::Fsize, limit(1 << 12)).map_err(io::Error::from)?;
    landlock()?;
    let filter = filter(serves)?;
    seccompiler::apply_filter(&filter)?;
    Ok(())
}

fn none() -> Rlimit {
    limit(0)
}

fn limit(octets: u64) -> Rlimit {
    Rlimit { current: Some(octets), maximum: Some(octets) }
}

/// Nobody without privilege can attach to the process or read its memory, and it leaves no core.
fn not_dumpable() -> io::Result<()> {
    // SAFETY: PR_SET_DUMPABLE takes a number and no pointer.
    let done = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// No path, no port, no abstract socket and no signal to another process.
fn landlock() -> Result<(), landlock::RulesetError> {
    let abi = landlock::ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .restrict_self()?;
    Ok(())
}

/// The calls that are left. Any other kills the process.
fn filter(serves: Serves) -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in ALWAYS {
        rules.insert(*call, Vec::new());
    }
    if serves == Serves::Listener {
        for call in LISTENING {
            rules.insert(*call, Vec::new());
        }
    }
    // A build with debug assertions looks at a descriptor before it closes it.
    rules.insert(libc::SYS_fcntl, vec![only(1, libc::F_GETFD as u64)?]);
    rules.insert(libc::SYS_mmap, vec![never_executable(2)?]);
    rules.insert(libc::SYS_mprotect, vec![never_executable(2)?]);
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?;
    filter.try_into()
}

const ALWAYS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_getrandom,
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

const LISTENING: &[i64] = &[libc::SYS_accept4, libc::SYS_close, libc::SYS_lseek, libc::SYS_fsync];

fn only(argument: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let length = SeccompCmpArgLen::Dword;
    SeccompRule::new(vec![SeccompCondition::new(argument, length, SeccompCmpOp::Eq, value)?])
}

/// The protection in this argument must not hold `PROT_EXEC`.
fn never_executable(argument: u8) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64),
        0,
    )?])
}
