//! Opening files: done by us on the object that was judged, and handed over.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use tsem::Digest;
use tsem::Effect;
use tsem::EventKind;
use tsem::File;
use tsem::Place;
use tsem::Value;

use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::handlers::exec;
use crate::path;
use crate::path::Found;
use crate::path::Walk;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

const CREATE_ATTEMPTS: u32 = 40;
const TMPFILE: i32 = 0o20_000_000;

/// What was asked for.
#[derive(Clone, Debug)]
struct Request {
    directory: i32,
    path: Vec<u8>,
    flags: i32,
    mode: u32,
}

pub(crate) fn openat(call: &Call) -> Handled {
    let path = call.text(call.argument(1))?;
    let (flags, mode) = (call.argument(2) as i32, call.argument(3) as u32);
    open_file(call, Request { directory: call.argument(0) as i32, path, flags, mode })
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn open(call: &Call) -> Handled {
    let path = call.text(call.argument(0))?;
    let (flags, mode) = (call.argument(1) as i32, call.argument(2) as u32);
    open_file(call, Request { directory: libc::AT_FDCWD, path, flags, mode })
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn creat(call: &Call) -> Handled {
    let path = call.text(call.argument(0))?;
    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    let mode = call.argument(1) as u32;
    open_file(call, Request { directory: libc::AT_FDCWD, path, flags, mode })
}

/// Restricted resolution is not carried out here: programs that use it fall back on `ENOSYS`.
pub(crate) fn openat2(call: &Call) -> Handled {
    if call.argument(3) < 24 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let how = call.bytes(call.argument(2), 24)?;
    let word = |at: usize| how[at..at + 8].iter().rev().fold(0, |n, o| n << 8 | u64::from(*o));
    if call.argument(3) > 24 || word(16) != 0 {
        return Err(Refusal::Errno(libc::ENOSYS));
    }
    let path = call.text(call.argument(1))?;
    let (flags, mode) = (word(0) as i32, word(8) as u32);
    open_file(call, Request { directory: call.argument(0) as i32, path, flags, mode })
}

fn open_file(call: &Call, request: Request) -> Handled {
    if request.flags & TMPFILE == TMPFILE {
        return open_unnamed(call, &request);
    }
    let creates = request.flags & libc::O_CREAT != 0;
    let exclusive = creates && request.flags & libc::O_EXCL != 0;
    let follow = request.flags & libc::O_NOFOLLOW == 0 && !exclusive;
    let walk = Walk { follow, may_miss: creates };
    for _ in 0..CREATE_ATTEMPTS {
        match call.resolve(request.directory, &request.path, walk)? {
            Found::Object(_) if exclusive => return Err(Refusal::Errno(libc::EEXIST)),
            Found::Object(object) => return open_existing(call, &request, object),
            Found::Missing { directory: true, .. } => return Err(Refusal::Errno(libc::EISDIR)),
            Found::Missing { parent, name, .. } => match create(call, &request, &parent, &name) {
                Err(Refusal::Errno(libc::EEXIST)) if !exclusive => {}
                done => return done,
            },
        }
    }
    Err(Refusal::Errno(libc::EAGAIN))
}

fn open_existing(call: &Call, request: &Request, object: OwnedFd) -> Handled {
    let stat = sys::fstat(object.as_fd())?;
    if request.flags & libc::O_PATH != 0 {
        return Ok(handed(request, object));
    }
    match file::kind(&stat) {
        libc::S_IFLNK => Err(Refusal::Errno(libc::ELOOP)),
        libc::S_IFSOCK => Err(Refusal::Errno(libc::ENXIO)),
        libc::S_IFDIR if request.flags & libc::O_CREAT != 0 => Err(Refusal::Errno(libc::EISDIR)),
        libc::S_IFREG | libc::S_IFDIR => open_regular(call, request, &object, &stat),
        _ => open_special(call, request, object, &stat),
    }
}

/// Opening has no effect yet, so the open itself is the permission check that comes first.
fn open_regular(call: &Call, request: &Request, object: &OwnedFd, stat: &libc::stat) -> Handled {
    let flags = plain_flags(request);
    let reopen = |flags| call.as_caller(|| file::reopen(object.as_fd(), flags, 0));
    let truncates = request.flags & libc::O_TRUNC != 0 && file::kind(stat) == libc::S_IFREG;
    if truncates {
        call.as_caller(|| sys::may_access(object.as_fd(), libc::W_OK))?;
    }
    let mut opened = reopen(flags & !libc::O_TRUNC)?;
    let described = describe(call, object, stat)?;
    exec::settle_script(call, &request.path, &described.place.path, object.as_fd(), stat)?;
    judge_open(call, described, request.flags)?;
    if writes(request.flags) {
        call.supervisor.digests.opened_for_writing(stat);
    }
    if truncates {
        opened = reopen(flags)?;
    }
    Ok(Outcome::Fd { fd: opened, cloexec: closes(request), quiet: !writes(request.flags) })
}

/// Opening a device or FIFO does something, or waits: judged first, by its permissions.
fn open_special(call: &Call, request: &Request, object: OwnedFd, stat: &libc::stat) -> Handled {
    let wanted = match request.flags & libc::O_ACCMODE {
        libc::O_RDONLY => libc::R_OK,
        libc::O_WRONLY => libc::W_OK,
        _ => libc::R_OK | libc::W_OK,
    };
    if request.flags & libc::O_DIRECTORY != 0 {
        return Err(Refusal::Errno(libc::ENOTDIR));
    }
    call.as_caller(|| sys::may_access(object.as_fd(), wanted))?;
    judge_open(call, file::describe(object.as_fd(), stat)?, request.flags)?;
    let object = controlling_terminal(call, object, stat)?;
    let (call, request) = (call.clone(), request.clone());
    let waits = may_wait(stat, request.flags);
    let open = move || {
        let flags = plain_flags(&request);
        let opened = call.as_caller(|| file::reopen(object.as_fd(), flags, 0))?;
        Ok(handed(&request, opened))
    };
    if waits { Ok(Outcome::Blocking(Box::new(open))) } else { open() }
}

fn may_wait(stat: &libc::stat, flags: i32) -> bool {
    let quick = [1, 5, 136, 137, 138, 139, 140, 141, 142, 143];
    match file::kind(stat) {
        libc::S_IFIFO => flags & libc::O_NONBLOCK == 0 && flags & libc::O_ACCMODE != libc::O_RDWR,
        _ => !quick.contains(&libc::major(stat.st_rdev)),
    }
}

/// `/dev/tty` is judged by that name, as by the kernel's hook, whether there is a terminal or not.
/// It stands for the caller's terminal, which need not be ours.
fn controlling_terminal(call: &Call, object: OwnedFd, stat: &libc::stat) -> SysResult<OwnedFd> {
    let is_tty = file::kind(stat) == libc::S_IFCHR && stat.st_rdev == libc::makedev(5, 0);
    if !is_tty {
        return Ok(object);
    }
    let own = terminal_of(std::process::id())?;
    match terminal_of(call.process().pid)? {
        0 => Err(Errno(libc::ENXIO)),
        terminal if terminal == own => Ok(object),
        terminal => {
            let number = (terminal & 0xff) | (terminal >> 12 & 0xfff00);
            sys::open(format!("/dev/pts/{number}").as_bytes(), libc::O_PATH)
        }
    }
}

/// Field 7 of `/proc/PID/stat`; the name before it may hold anything.
fn terminal_of(pid: u32) -> SysResult<u32> {
    let stat = sys::read_text(&format!("/proc/{pid}/stat")).map_err(|_| Errno(libc::ENXIO))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name
        .split_whitespace()
        .nth(4)
        .and_then(|number| number.parse().ok())
        .ok_or(Errno(libc::ENXIO))
}

/// Creation and opening are both judged before either takes effect.
fn create(call: &Call, request: &Request, parent: &OwnedFd, name: &[u8]) -> Handled {
    if request.flags & libc::O_DIRECTORY != 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    call.as_caller(|| sys::may_access(parent.as_fd(), libc::W_OK | libc::X_OK))?;
    let place = file::place_in(parent.as_fd(), name)?;
    let umask = call.umask()?;
    let mode = libc::S_IFREG | (request.mode & 0o7777 & !umask);
    let inode = vec![Value::Path(place.clone()), Value::Number(u64::from(mode))];
    call.judge(EventKind::InodeCreate, inode)?;
    judge_open(call, new_file(call, parent, place.clone(), mode)?, request.flags)?;
    let flags = (request.flags & !libc::O_TRUNC)
        | libc::O_CREAT
        | libc::O_EXCL
        | libc::O_NOFOLLOW
        | libc::O_NOCTTY;
    sys::umask(umask);
    let _changing = call.supervisor.changes.begin(&place.path);
    let opened =
        call.as_caller(|| sys::openat(parent.as_fd(), name, flags, request.mode & 0o7777))?;
    call.effect(&Effect::Made(&place.path));
    call.supervisor.digests.opened_for_writing(&sys::fstat(opened.as_fd())?);
    Ok(handed(request, opened))
}

fn new_file(call: &Call, parent: &OwnedFd, place: Place, mode: u32) -> SysResult<File> {
    let coe = call.credentials()?.coe;
    let directory = sys::fstat(parent.as_fd())?;
    let inherits = directory.st_mode & libc::S_ISGID != 0;
    let gid = if inherits { directory.st_gid } else { coe.fsgid };
    Ok(File::new(place, [coe.fsuid, gid, mode], Digest::ZERO))
}

/// `O_TMPFILE`: a file without a name; it is nothing to anybody until it is handed over.
fn open_unnamed(call: &Call, request: &Request) -> Handled {
    let walk = Walk { follow: request.flags & libc::O_NOFOLLOW == 0, may_miss: false };
    let directory = call.resolve(request.directory, &request.path, walk)?.object()?;
    let umask = call.umask()?;
    sys::umask(umask);
    let flags = request.flags & !libc::O_NOFOLLOW;
    let opened =
        call.as_caller(|| file::reopen(directory.as_fd(), flags, request.mode & 0o7777))?;
    let stat = sys::fstat(opened.as_fd())?;
    let mut described = file::describe(opened.as_fd(), &stat)?;
    described.place = file::place_in(directory.as_fd(), b"#tmpfile")?;
    judge_open(call, described, request.flags)?;
    call.supervisor.digests.opened_for_writing(&stat);
    Ok(handed(request, opened))
}

fn describe(call: &Call, object: &OwnedFd, stat: &libc::stat) -> Result<File, Refusal> {
    let mut described = file::describe(object.as_fd(), stat)?;
    if described.place.file_system == path::PROC {
        path::refuse_supervisor(&described.place.path)?;
        judge_memory(call, &described.place.path)?;
    }
    let wanted =
        file::kind(stat) == libc::S_IFREG && (call.supervisor.digest_paths)(&described.place.path);
    if wanted {
        described.digest = call
            .supervisor
            .digests
            .of(object.as_fd(), stat)
            .map_err(|_| call.lost(tsem::Loss::Unreadable))?;
    }
    Ok(described)
}

/// `/proc/PID/mem` of another process is an attachment by another name.
fn judge_memory(call: &Call, place: &[u8]) -> Result<(), Refusal> {
    const ATTACH: u64 = 2;
    let Some(pid) = path::procfs_pid(place).filter(|pid| *pid != call.process().pid) else {
        return Ok(());
    };
    if !place.ends_with(b"/mem") {
        return Ok(());
    }
    let target = call.find_target(pid);
    if let Some(target) = &target {
        exec::settle_target(call, target)?;
    }
    let target = target.map(|target| target.id);
    let values = vec![Value::Task(tsem::Target::Outside), Value::Number(ATTACH)];
    call.judge_targets(EventKind::PtraceAccessCheck, values, vec![target])
}

pub(super) fn judge_open(call: &Call, file: File, flags: i32) -> Result<(), Refusal> {
    call.judge(EventKind::FileOpen, vec![file.into(), Value::Number(intent(flags))])
}

/// The canonical form of open flags, `tsem::names::OPEN_INTENT`.
fn intent(flags: i32) -> u64 {
    let access = match flags & libc::O_ACCMODE {
        libc::O_RDONLY => 1,
        libc::O_WRONLY => 2,
        _ => 3,
    };
    let bits = [
        (libc::O_APPEND, 4),
        (libc::O_CREAT, 8),
        (libc::O_TRUNC, 16),
        (libc::O_EXCL, 32),
        (libc::O_DIRECTORY, 64),
    ];
    bits.iter().filter(|(flag, _)| flags & flag != 0).fold(access, |all, (_, bit)| all | bit)
}

fn writes(flags: i32) -> bool {
    flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0
}

/// What is left to ask for once the object is held. We never take a terminal of our own.
fn plain_flags(request: &Request) -> i32 {
    (request.flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW)) | libc::O_NOCTTY
}

fn handed(request: &Request, fd: OwnedFd) -> Outcome {
    Outcome::Fd { fd, cloexec: closes(request), quiet: false }
}

fn closes(request: &Request) -> bool {
    request.flags & libc::O_CLOEXEC != 0
}
