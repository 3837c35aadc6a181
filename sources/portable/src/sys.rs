//! The system calls that this crate makes, as safe functions.
//!
//! Every path is octets, every failure an [`Errno`] that can be handed to the workload as it is.
#![allow(unsafe_code, reason = "system calls that no safe crate offers with raw errnos")]

use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use libc::c_int;
use libc::c_long;

/// An error number of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", std::io::Error::from_raw_os_error(*.0))]
pub struct Errno(pub i32);

impl Errno {
    /// The calling thread's last error.
    pub(crate) fn last() -> Self {
        Self(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }
}

pub(crate) type SysResult<T> = Result<T, Errno>;

pub(crate) fn check(result: c_long) -> SysResult<c_long> {
    if result == -1 { Err(Errno::last()) } else { Ok(result) }
}

/// Raises the limit of descriptors to its hard bound; returns the limits that we were given.
pub(crate) fn raise_descriptor_limit() -> libc::rlimit {
    static GIVEN: OnceLock<libc::rlimit> = OnceLock::new();
    *GIVEN.get_or_init(|| {
        let mut given = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: both structures outlive their calls.
        unsafe {
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut given);
            let raised = libc::rlimit { rlim_cur: given.rlim_max, ..given };
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised);
        }
        given
    })
}

fn owned(result: c_long) -> SysResult<OwnedFd> {
    let fd = check(result)? as c_int;
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A path for the kernel; a NUL inside is `EINVAL`.
pub(crate) fn c_path(path: &[u8]) -> SysResult<CString> {
    CString::new(path).map_err(|_| Errno(libc::EINVAL))
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpenHow {
    pub(crate) flags: u64,
    pub(crate) mode: u64,
    pub(crate) resolve: u64,
}

pub(crate) fn openat(
    dir: BorrowedFd<'_>,
    path: &[u8],
    flags: i32,
    mode: u32,
) -> SysResult<OwnedFd> {
    let path = c_path(path)?;
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: the path is a NUL terminated string that outlives the call.
    owned(unsafe { libc::openat(dir.as_raw_fd(), path.as_ptr(), flags, mode) } as c_long)
}

pub(crate) fn open(path: &[u8], flags: i32) -> SysResult<OwnedFd> {
    // SAFETY: AT_FDCWD is not a descriptor that could be closed; it is only passed on.
    openat(unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }, path, flags, 0)
}

pub(crate) fn openat2(dir: BorrowedFd<'_>, path: &[u8], how: OpenHow) -> SysResult<OwnedFd> {
    let path = c_path(path)?;
    let how = OpenHow { flags: how.flags | libc::O_CLOEXEC as u64, ..how };
    // SAFETY: path and how outlive the call; the size is that of how.
    owned(unsafe {
        libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &how, size_of::<OpenHow>())
    })
}

/// `struct mq_attr`, as the caller wrote it.
pub(crate) type QueueAttributes = [u8; size_of::<[libc::c_long; 8]>()];

/// The system call, whose names have no leading slash.
pub(crate) fn mq_open(
    name: &[u8],
    flags: i32,
    mode: u32,
    attributes: Option<&QueueAttributes>,
) -> SysResult<OwnedFd> {
    let name = c_path(name)?;
    let attributes = attributes.map_or(std::ptr::null(), |attributes| attributes.as_ptr());
    // SAFETY: name and attributes outlive the call; the kernel reads a whole `mq_attr`.
    owned(unsafe { libc::syscall(libc::SYS_mq_open, name.as_ptr(), flags, mode, attributes) })
}

pub(crate) fn mq_unlink(name: &[u8]) -> SysResult<()> {
    let name = c_path(name)?;
    // SAFETY: the name is a NUL terminated string that outlives the call.
    check(unsafe { libc::syscall(libc::SYS_mq_unlink, name.as_ptr()) }).map(drop)
}

pub(crate) fn fstat(fd: BorrowedFd<'_>) -> SysResult<libc::stat> {
    // SAFETY: stat is plain data, for which zeros are valid.
    let mut stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure that it is given.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) } as c_long)?;
    Ok(stat)
}

pub(crate) fn stat_at(dir: BorrowedFd<'_>, path: &[u8], flags: i32) -> SysResult<libc::stat> {
    let path = c_path(path)?;
    // SAFETY: stat is plain data, for which zeros are valid.
    let mut stat = unsafe { std::mem::zeroed() };
    // SAFETY: path and stat outlive the call.
    let done = unsafe { libc::fstatat(dir.as_raw_fd(), path.as_ptr(), &raw mut stat, flags) };
    check(done as c_long)?;
    Ok(stat)
}

/// The `f_type` of the file system that holds an object.
pub(crate) fn file_system_of(fd: BorrowedFd<'_>) -> SysResult<u32> {
    // SAFETY: statfs is plain data, for which zeros are valid.
    let mut statfs: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the structure that it is given.
    check(unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut statfs) } as c_long)?;
    Ok(statfs.f_type as u32)
}

pub(crate) fn readlink_at(dir: BorrowedFd<'_>, path: &[u8]) -> SysResult<Vec<u8>> {
    let path = c_path(path)?;
    let mut buffer = vec![0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer's length is passed with it.
    let length = unsafe {
        libc::readlinkat(dir.as_raw_fd(), path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    };
    buffer.truncate(check(length as c_long)? as usize);
    Ok(buffer)
}

/// faccessat2(2) on an object held, with the file system credentials of the calling thread.
pub(crate) fn may_access(fd: BorrowedFd<'_>, mode: i32) -> SysResult<()> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_EACCESS;
    // SAFETY: the path is a static empty string.
    check(unsafe { libc::syscall(libc::SYS_faccessat2, fd.as_raw_fd(), c"".as_ptr(), mode, flags) })
        .map(drop)
}

pub(crate) fn pread(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> SysResult<usize> {
    // SAFETY: the buffer's length is passed with it.
    let length = unsafe {
        libc::pread(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), offset as i64)
    };
    Ok(check(length as c_long)? as usize)
}

/// All of a file that its directory holds, in as few calls as procfs allows.
pub(crate) fn read_file(dir: BorrowedFd<'_>, name: &[u8]) -> SysResult<Vec<u8>> {
    const STEP: usize = 1 << 12;
    let file = openat(dir, name, libc::O_RDONLY, 0)?;
    let mut octets = Vec::new();
    loop {
        let filled = octets.len();
        octets.resize(filled + STEP, 0);
        let read = pread(file.as_fd(), &mut octets[filled..], filled as u64)?;
        octets.truncate(filled + read);
        if read == 0 {
            return Ok(octets);
        }
    }
}

/// An empty file without a name, on a file system that the kernel has mounted for itself.
pub(crate) fn memory_file(flags: u32) -> SysResult<OwnedFd> {
    // SAFETY: the name is a C string.
    owned(unsafe { libc::memfd_create(c"quixote".as_ptr(), flags) }.into())
}

/// As [`read_file`], of a text file and by its whole path. What is not UTF-8, as the name of a
/// process may be, is replaced.
pub(crate) fn read_text(path: &str) -> SysResult<String> {
    // SAFETY: AT_FDCWD is not a descriptor that could be closed; it is only passed on.
    let octets = read_file(unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }, path.as_bytes())?;
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// Reads another process's memory; fewer octets than asked for at an unmapped page.
pub(crate) fn read_memory(tid: u32, address: u64, buffer: &mut [u8]) -> SysResult<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: buffer.len() };
    // SAFETY: the local vector is the buffer; the remote one is checked by the kernel.
    let length =
        unsafe { libc::process_vm_readv(tid as i32, &raw const local, 1, &raw const remote, 1, 0) };
    Ok(check(length as c_long)? as usize)
}

pub(crate) fn pidfd_open(pid: u32, flags: u32) -> SysResult<OwnedFd> {
    // SAFETY: no pointers are passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, flags) })
}

pub(crate) fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: i32) -> SysResult<OwnedFd> {
    // SAFETY: no pointers are passed.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })
}

/// Signal 0 only asks whether the process is there.
pub(crate) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: i32) -> SysResult<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no information is passed.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, none, 0) })
        .map(drop)
}

/// Compares a resource of two processes, kcmp(2): 0 where they share it.
pub(crate) fn kcmp(one: u32, other: u32, what: i32) -> SysResult<c_long> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::syscall(libc::SYS_kcmp, one, other, what, 0, 0) })
}

/// Writes another process's memory.
pub(crate) fn write_memory(tid: u32, address: u64, bytes: &[u8]) -> SysResult<()> {
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: bytes.len() };
    // SAFETY: the local vector is the slice and is only read; the kernel checks the remote one.
    let length = unsafe {
        libc::process_vm_writev(tid as i32, &raw const local, 1, &raw const remote, 1, 0)
    };
    let written = check(length as c_long)? as usize;
    if written == bytes.len() { Ok(()) } else { Err(Errno(libc::EFAULT)) }
}

/// A pidfd of a thread; Linux 6.9. Before that, of the process if the thread leads it.
pub(crate) fn pidfd_open_thread(tid: u32) -> SysResult<OwnedFd> {
    const PIDFD_THREAD: u32 = libc::O_EXCL as u32;
    match pidfd_open(tid, PIDFD_THREAD) {
        Err(Errno(libc::EINVAL)) => {
            pidfd_open(process_of_thread(tid).ok_or(Errno(libc::ESRCH))?, 0)
        }
        opened => opened,
    }
}

/// Sends a signal with the caller's own information (128 octets).
pub(crate) fn pidfd_queue(pidfd: BorrowedFd<'_>, signal: i32, information: &[u8]) -> SysResult<()> {
    if information.len() < size_of::<libc::siginfo_t>() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: the information is as long as the kernel reads.
    check(unsafe {
        let (fd, at) = (pidfd.as_raw_fd(), information.as_ptr());
        libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, at, 0)
    })
    .map(drop)
}

/// Who is signalled for a descriptor, `struct f_owner_ex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    None,
    Thread(u32),
    Process(u32),
    Group(u32),
}

impl Owner {
    /// As `F_SETOWN` takes it: negative for a group.
    pub(crate) fn of_number(number: i32) -> Self {
        match number {
            0 => Self::None,
            1.. => Self::Process(number as u32),
            _ => Self::Group(number.unsigned_abs()),
        }
    }

    /// As `F_SETOWN_EX` takes it.
    pub(crate) fn of_words(words: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(words.get(at..at + 4)?.try_into().ok()?));
        match (word(0)?, word(4)?) {
            (_, 0) => Some(Self::None),
            (0, tid) => Some(Self::Thread(tid)),
            (1, pid) => Some(Self::Process(pid)),
            (2, group) => Some(Self::Group(group)),
            _ => None,
        }
    }

    fn words(self) -> [u32; 2] {
        match self {
            Self::None => [1, 0],
            Self::Thread(tid) => [0, tid],
            Self::Process(pid) => [1, pid],
            Self::Group(group) => [2, group],
        }
    }
}

pub(crate) fn set_owner(fd: BorrowedFd<'_>, owner: Owner) -> SysResult<()> {
    const F_SETOWN_EX: c_int = 15;
    let words = owner.words();
    // SAFETY: the structure outlives the call, which only reads it.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, words.as_ptr()) }.into()).map(drop)
}

/// The process that a pidfd is of, while it is there.
pub(crate) fn pid_of_pidfd(pidfd: BorrowedFd<'_>) -> Option<u32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    line.trim().parse().ok()
}

/// The process that a thread belongs to.
pub(crate) fn process_of_thread(tid: u32) -> Option<u32> {
    let status = read_text(&format!("/proc/{tid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

/// Whether all threads of a process have ended.
pub(crate) fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut set = [libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    poll(&mut set, 0) > 0
}

pub(crate) fn process_exists(pid: u32) -> bool {
    // SAFETY: no pointers are passed; signal 0 only asks.
    let asked = check(unsafe { libc::kill(pid as i32, 0) }.into());
    !matches!(asked, Err(Errno(libc::ESRCH)))
}

pub(crate) fn group_exists(group: u32) -> bool {
    // SAFETY: no pointers are passed; signal 0 only asks.
    let asked = check(unsafe { libc::kill(-(group as i32), 0) }.into());
    !matches!(asked, Err(Errno(libc::ESRCH)))
}

pub(crate) fn process_group(pid: u32) -> SysResult<u32> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::getpgid(pid as i32) }.into()).map(|group| group as u32)
}

/// include/uapi/asm-generic/ioctls.h.
pub(crate) const TIOCGPTPEER: u64 = 0x5441;

/// Which terminal a master is of, `TIOCGPTN`.
pub(crate) fn terminal_number(master: BorrowedFd<'_>) -> SysResult<u32> {
    let mut number = 0_u32;
    // SAFETY: the kernel fills the number, which outlives the call.
    let done = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN as _, &raw mut number) };
    check(done.into()).map(|_| number)
}

/// Opens the other end of a terminal by its master.
pub(crate) fn terminal_peer(master: BorrowedFd<'_>, flags: i32) -> SysResult<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: no pointers are passed; the descriptor is new and nobody else's.
    unsafe {
        let fd = check(libc::ioctl(master.as_raw_fd(), TIOCGPTPEER as _, flags).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// The `CLONE_NEW*` of a namespace descriptor, `ioctl_ns(2)`.
pub(crate) fn namespace_kind(fd: BorrowedFd<'_>) -> SysResult<u64> {
    const NS_GET_NSTYPE: u64 = 0xb703;
    // SAFETY: the request takes no argument.
    let kind = check(unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) }.into())?;
    Ok(kind as u64)
}

/// Sets the calling thread's umask; only in threads that do not share it.
pub(crate) fn umask(mask: u32) {
    thread_local! {
        static OWN: Cell<Option<u32>> = const { Cell::new(None) };
    }
    if OWN.replace(Some(mask)) != Some(mask) {
        // SAFETY: umask cannot fail and touches no memory.
        unsafe { libc::umask(mask) };
    }
}

/// Gives the calling thread a working directory, root and umask of its own.
pub(crate) fn unshare_file_system_context() -> SysResult<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::unshare(libc::CLONE_FS) } as c_long).map(drop)
}

pub(crate) fn thread_id() -> i32 {
    // SAFETY: gettid cannot fail.
    unsafe { libc::gettid() }
}

pub(crate) fn signal_thread(tid: i32, signal: i32) {
    // SAFETY: no pointers are passed; a thread that is gone is no harm.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}

/// Signals a thread of another process; one that is gone is no harm.
pub(crate) fn signal_foreign_thread(pid: u32, tid: u32, signal: i32) {
    // SAFETY: no pointers are passed.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) };
}

/// The signal that breaks a blocking call of one of our threads off.
pub(crate) fn interrupt_signal() -> i32 {
    libc::SIGRTMAX() - 3
}

extern "C" fn nothing(_signal: c_int) {}

/// Makes [`interrupt_signal`] interrupt calls and do nothing else.
pub(crate) fn install_interrupt_handler() {
    // SAFETY: the handler does nothing, so it is safe in any context; zeros are a valid action.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
        libc::sigaction(interrupt_signal(), &raw const action, std::ptr::null_mut());
    }
}

/// Blocks every signal in the calling thread, so that the embedding program's handlers run in its
/// own threads, and none interrupts an answer half-way.
pub(crate) fn leave_signals_to_others() {
    // SAFETY: the set is initialised before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Does something that [`interrupt_signal`] breaks off. One that comes too late stays pending, and
/// is handled before the next such action begins.
pub(crate) fn interruptible<T>(action: impl FnOnce() -> T) -> T {
    mask_interrupt(libc::SIG_UNBLOCK);
    let done = action();
    mask_interrupt(libc::SIG_BLOCK);
    done
}

fn mask_interrupt(how: c_int) {
    // SAFETY: the set is initialised before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, interrupt_signal());
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// Waits for one event of a poll set; `None` when the time has passed or a signal came.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout_ms: i32) -> usize {
    // SAFETY: the slice's length is passed with it.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as u64, timeout_ms) };
    ready.max(0) as usize
}

/// Reaps a process if it is a child of ours and has ended.
pub(crate) fn reap_by_pidfd(pidfd: BorrowedFd<'_>) {
    // SAFETY: siginfo is plain data, for which zeros are valid.
    let mut information: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOHANG | libc::__WALL;
    let id = pidfd.as_raw_fd() as libc::id_t;
    // SAFETY: the kernel fills the structure that it is given.
    unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut information, options) };
}

/// Reaps a child by its pidfd; its wait status if it was ours and has ended.
pub(crate) fn reap(pid: u32) -> Option<i32> {
    let mut status = 0;
    // SAFETY: the status is written where it is said.
    let reaped =
        unsafe { libc::waitpid(pid as i32, &raw mut status, libc::WNOHANG | libc::__WALL) };
    (reaped == pid as i32).then_some(status)
}
