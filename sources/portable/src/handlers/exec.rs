//! Executing programs: judged before, settled by what really runs.
//!
//! The kernel looks the path up again, so what was judged is compared with what runs before any
//! later event of the process is judged. A difference ends the namespace.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tsem::Cell;
use tsem::Coe;
use tsem::Description;
use tsem::Digest;
use tsem::EventKind;
use tsem::ExecOutcome;
use tsem::File;
use tsem::Loss;
use tsem::Value;
use tsem::Verdict;

use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::credentials;
use crate::digest::Digests;
use crate::digest::Version;
use crate::file;
use crate::handlers::mapping;
use crate::image::Format;
use crate::image::Program;
use crate::path::Walk;
use crate::process::Process;
use crate::supervisor::Supervisor;
use crate::sys;
use crate::sys::Errno;

const EXEC_INTENT: u64 = 256;
const READ_EXEC: u64 = 5;
const PRIVATE: u64 = 2;
const SCRIPT_DEPTH: usize = 5;

/// An exec that was let through and whose end is not known yet.
#[derive(Debug)]
pub(crate) struct PendingExec {
    tid: u32,
    runs: Version,
    digest: Digest,
    executable: HashSet<(u64, u64)>,
    /// The mappings that the kernel makes on the way, by the new program's identity.
    mapped: Vec<File>,
    script: Option<JudgedScript>,
    coe: Coe,
}

/// A script that was judged for execution and that its interpreter has not opened yet.
#[derive(Clone, Debug)]
pub(crate) struct JudgedScript {
    /// The name that the kernel gives the interpreter.
    told: Vec<u8>,
    /// Where it was.
    place: Vec<u8>,
    digest: Digest,
}

/// The kernel hands an interpreter the name of its script, not the file: what it opens first by that
/// name, or in that place, must be what was judged.
pub(crate) fn settle_script(
    call: &Call,
    told: &[u8],
    place: &[u8],
    opened: BorrowedFd<'_>,
    stat: &libc::stat,
) -> Result<(), Refusal> {
    let is_it = |script: &mut JudgedScript| script.told == told || script.place == place;
    let Some(script) = call.process().state().script.take_if(is_it) else { return Ok(()) };
    if call.supervisor.digests.of(opened, stat) == Ok(script.digest) {
        return Ok(());
    }
    tracing::warn!(target: "audit", pid = call.process().pid, "a script was exchanged during exec");
    Err(Refusal::Kill)
}

pub(crate) fn execve(call: &Call) -> Handled {
    let path = call.text(call.argument(0))?;
    let walk = Walk { follow: true, may_miss: false };
    let object = call.resolve(libc::AT_FDCWD, &path, walk)?.object()?;
    execute(call, object, path)
}

pub(crate) fn execveat(call: &Call) -> Handled {
    let flags = call.argument(4) as i32;
    let directory = call.argument(0) as i32;
    let path = call.text(call.argument(1))?;
    if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
        let object = call.start_directory(directory)?;
        return execute(call, object, format!("/dev/fd/{directory}").into());
    }
    let walk = Walk { follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0, may_miss: false };
    let object = call.resolve(directory, &path, walk)?.object()?;
    let told = match directory {
        libc::AT_FDCWD => path,
        _ if path.starts_with(b"/") => path,
        // As the kernel names it to the interpreter (fs/exec.c, alloc_bprm).
        _ => [format!("/dev/fd/{directory}/").as_bytes(), &path].concat(),
    };
    execute(call, object, told)
}

/// A file on the way to the new program.
struct Link {
    stat: libc::stat,
    file: File,
    program: Arc<Program>,
}

impl Link {
    /// Checks permissions as the kernel would and takes the digest; judges the open.
    fn judged(call: &Call, object: &OwnedFd) -> Result<Self, Refusal> {
        let stat = sys::fstat(object.as_fd())?;
        match file::kind(&stat) {
            libc::S_IFREG => {}
            libc::S_IFLNK => return Err(Refusal::Errno(libc::ELOOP)),
            _ => return Err(Refusal::Errno(libc::EACCES)),
        }
        call.as_caller(|| sys::may_access(object.as_fd(), libc::X_OK))?;
        let unreadable = |_| call.lost(Loss::Unreadable);
        let mut described = file::describe(object.as_fd(), &stat)?;
        let digests = &call.supervisor.digests;
        let program;
        (described.digest, program) =
            digests.of_program(object.as_fd(), &stat).map_err(unreadable)?;
        let values = vec![described.clone().into(), Value::Number(EXEC_INTENT)];
        call.judge(EventKind::FileOpen, values)?;
        Ok(Self { stat, file: described, program })
    }

    fn key(&self) -> (u64, u64) {
        (self.stat.st_dev, self.stat.st_ino)
    }
}

fn execute(call: &Call, object: OwnedFd, told: Vec<u8>) -> Handled {
    let mut program = Link::judged(call, &object)?;
    let mut script = None;
    let mut depth = 0;
    while let Format::Script(interpreter) = &program.program.format {
        depth += 1;
        if depth > SCRIPT_DEPTH {
            return Err(Refusal::Errno(libc::ELOOP));
        }
        script.get_or_insert_with(|| program.file.clone());
        program = open_by_name(call, interpreter)?;
    }
    if program.program.format != Format::Elf {
        return Err(Refusal::Errno(libc::ENOEXEC));
    }
    let loader = program.program.loader.as_ref();
    let loader = loader.map(|path| open_by_name(call, path)).transpose()?;
    let coe = coe_after(call, &program)?;
    let judged_script = script.as_ref().map(|file: &File| JudgedScript {
        told,
        place: file.place.path.clone(),
        digest: file.digest,
    });
    let script = script.map_or(Value::NoFile, Value::from);
    let values = vec![program.file.clone().into(), script];
    call.supervisor.processes.introduce_children(call.process().pid);
    call.judge_as(coe, EventKind::BprmCommittedCreds, values, Vec::new())?;
    let links = || std::iter::once(&program).chain(&loader);
    let pending = PendingExec {
        tid: call.thread.tid,
        runs: Version::of(&program.stat),
        digest: program.file.digest,
        executable: links().map(Link::key).collect(),
        mapped: links().map(|link| link.file.clone()).collect(),
        script: judged_script,
        coe,
    };
    call.process().state().exec = Some(pending);
    call.process().unsettled.store(true, Ordering::Release);
    Ok(Outcome::Continue)
}

fn open_by_name(call: &Call, path: &[u8]) -> Result<Link, Refusal> {
    let walk = Walk { follow: true, may_miss: false };
    Link::judged(call, &call.resolve(libc::AT_FDCWD, path, walk)?.object()?)
}

/// The credentials that the new program will have.
fn coe_after(call: &Call, program: &Link) -> Result<Coe, Refusal> {
    let now = call.credentials()?;
    let mut coe = now.coe;
    if credentials::is_privileged() && !now.no_new_privileges {
        if program.stat.st_mode & libc::S_ISUID != 0 {
            coe.euid = program.stat.st_uid;
        }
        if program.stat.st_mode & libc::S_ISGID != 0 && program.stat.st_mode & 0o010 != 0 {
            coe.egid = program.stat.st_gid;
        }
    }
    (coe.suid, coe.fsuid) = (coe.euid, coe.euid);
    (coe.sgid, coe.fsgid) = (coe.egid, coe.egid);
    let root = credentials::is_privileged() && coe.euid == 0;
    coe.capabilities = if root { now.bounding } else { now.ambient };
    Ok(coe)
}

/// Settles what is pending of a process, before an event of it is judged.
pub(crate) fn settle(call: &Call) -> Result<(), Refusal> {
    if !call.process().unsettled.load(Ordering::Acquire) {
        return Ok(());
    }
    let process = call.process();
    settle_exec(call, process)?;
    if !process.state().mapping.is_empty() {
        mapping::settle(call)?;
    }
    let state = process.state();
    process.unsettled.store(state.exec.is_some() || !state.mapping.is_empty(), Ordering::Release);
    Ok(())
}

/// Settles the exec of a process that is acted on, so that it is judged as what it is now. One
/// that has ended meanwhile was what it had executed, as at its end.
pub(crate) fn settle_target(call: &Call, target: &Arc<Process>) -> Result<(), Refusal> {
    if !target.unsettled.load(Ordering::Acquire) {
        return Ok(());
    }
    match settle_exec(call, target) {
        Err(Refusal::Errno(libc::ESRCH)) if sys::has_ended(target.pidfd.as_fd()) => {
            call.still_waiting()?;
            settle_at_exit(&call.supervisor, target);
            Ok(())
        }
        settled => settled,
    }
}

/// Whoever comes second waits until it is settled: between the two there is an identity that is no
/// longer the process's.
fn settle_exec(call: &Call, process: &Arc<Process>) -> Result<(), Refusal> {
    wait_for_exec(call, process)?;
    let _one_at_a_time = process.settling();
    let Some(pending) = process.state().exec.take() else {
        return Ok(());
    };
    let renewed = match renewed(&call.supervisor.digests, process, &pending) {
        Ok(renewed) => renewed,
        Err(refusal) => {
            // Not settled: whoever meets the process next has to.
            process.state().exec = Some(pending);
            return Err(refusal);
        }
    };
    let Some(renewed) = renewed else {
        call.supervisor.agent.exec_settled(process.id, ExecOutcome::Failed);
        return Ok(());
    };
    {
        let mut state = process.state();
        state.image = call.supervisor.processes.image(renewed);
        state.executable.clone_from(&pending.executable);
        state.mapping.clear();
        state.script.clone_from(&pending.script);
    }
    call.supervisor.processes.forget_threads(process);
    call.thread.forget_credentials();
    committed(&call.supervisor, process, &pending)
}

/// The fingerprint of the new address space, in which what was judged runs; `None` if the exec
/// failed. All is read in the process's own directory, the mappings last: that it has some proves
/// that it was there until then, whatever becomes of the caller.
fn renewed(
    digests: &Digests,
    process: &Process,
    pending: &PendingExec,
) -> Result<Option<Vec<u8>>, Refusal> {
    let fingerprint = process.fingerprint()?;
    if fingerprint == process.state().image.fingerprint {
        return Ok(None);
    }
    let runs = runs_as_judged(digests, process, pending);
    // A zombie has no mappings any more.
    let maps = mapping::only_judged(process, &pending.executable)?;
    if !(runs && maps) {
        tracing::warn!(target: "audit", pid = process.pid, "a program was exchanged during exec");
        return Err(Refusal::Kill);
    }
    Ok(Some(fingerprint))
}

/// A file whose names alone have changed, as an upgrade changes them, is hashed again, and so is one
/// that this namespace may write: stores to a mapping leave no trace in its times.
fn runs_as_judged(digests: &Digests, process: &Process, pending: &PendingExec) -> bool {
    let Ok(stat) = process.stat(b"exe") else { return false };
    let runs = Version::of(&stat);
    let same_content = || {
        let digest = process.open(b"exe").and_then(|exe| digests.of(exe.as_fd(), &stat));
        digest == Ok(pending.digest)
    };
    if digests.may_be_written(&stat) {
        return runs == pending.runs && same_content();
    }
    runs == pending.runs || runs.same_but_for_names(&pending.runs) && same_content()
}

/// Another thread's exec ends this one, or fails; until then nothing here is judged.
fn wait_for_exec(call: &Call, process: &Process) -> Result<(), Refusal> {
    for _ in 0..2000 {
        let tid = match &process.state().exec {
            None => return Ok(()),
            Some(pending) => pending.tid,
        };
        let before = process.state().image.fingerprint.clone();
        let by_caller = process.id == call.process().id && tid == call.thread.tid;
        if by_caller || is_renewed(process, &before)? || !is_executing(call, process, tid) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
        call.still_waiting()?;
    }
    Err(Refusal::Kill)
}

/// The kernel writes the auxiliary vector last: one that is not whole, or that changes still, is of
/// an exec that is under way (`create_elf_tables`).
fn is_renewed(process: &Process, before: &[u8]) -> Result<bool, Refusal> {
    match process.fingerprint() {
        Ok(now) => Ok(now != before && process.fingerprint() == Ok(now)),
        Err(Errno(libc::EAGAIN)) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// A thread that is not the first takes the first one's number on the way (fs/exec.c, `de_thread`).
fn is_executing(call: &Call, process: &Process, tid: u32) -> bool {
    let as_first = tid != process.pid && call.thread.tid != process.pid;
    is_in_exec(process.pid, tid) || as_first && is_in_exec(process.pid, process.pid)
}

fn is_in_exec(pid: u32, tid: u32) -> bool {
    let Ok(text) = sys::read_text(&format!("/proc/{pid}/task/{tid}/syscall")) else {
        return false;
    };
    let number = text.split(' ').next().unwrap_or_default().trim();
    let calls = [libc::SYS_execve, libc::SYS_execveat].map(|call| call.to_string());
    number == "running" || calls.iter().any(|call| call == number)
}

/// The process has the new identity, under which the kernel's own mappings are judged; one that is
/// refused past the point of no return ends the process, as in the kernel.
fn committed(
    supervisor: &Supervisor,
    process: &Process,
    pending: &PendingExec,
) -> Result<(), Refusal> {
    supervisor.agent.exec_settled(process.id, ExecOutcome::Committed);
    for file in &pending.mapped {
        let values = vec![file.clone().into(), Value::Number(READ_EXEC), Value::Number(PRIVATE)];
        let cell = Cell { kind: EventKind::MmapFile, values };
        let (coe, pid) = (pending.coe, process.pid);
        let event = Description { process: process.id, pid, coe, cell, targets: Vec::new() };
        match supervisor.judge(&event) {
            Verdict::Allow => {}
            Verdict::Deny => {
                process.kill();
                return Err(Refusal::Errno(libc::EPERM));
            }
            Verdict::Kill => return Err(Refusal::Kill),
        }
    }
    Ok(())
}

/// A process ended before another event: its exec counts as committed.
pub(crate) fn settle_at_exit(supervisor: &Supervisor, process: &Process) {
    let _one_at_a_time = process.settling();
    let pending = process.state().exec.take();
    if let Some(pending) = pending
        && let Err(Refusal::Kill) = committed(supervisor, process, &pending)
    {
        supervisor.kill();
    }
}
