//! The system calls that the standard library does not have.
#![allow(unsafe_code, reason = "raw system calls")]

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// An error number of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub(crate) fn last() -> Self {
        Self(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Errno {}

fn check(value: i64) -> Result<i64, Errno> {
    if value < 0 { Err(Errno::last()) } else { Ok(value) }
}

pub(crate) fn pidfd_open(pid: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers are passed; the descriptor is new and nobody else's.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

pub(crate) fn pidfd_kill(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no information is passed with the signal.
    check(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, none, 0)
    })
    .map(drop)
}

/// The numbers of all processes that procfs shows.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Our copy of a descriptor of another process.
pub(crate) fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers are passed; the descriptor is new and nobody else's.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Waits for something to read; false once nothing will come any more.
pub(crate) fn wait_to_read(fd: BorrowedFd<'_>) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        // SAFETY: one structure, which outlives the call.
        match unsafe { libc::poll(&raw mut poll, 1, -1) } {
            1.. => return poll.revents & libc::POLLIN != 0,
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return false,
        }
    }
}

/// The kind of file system that something is on.
pub(crate) fn file_system(held: BorrowedFd<'_>) -> Result<u32, Errno> {
    // SAFETY: all zeros is a valid value of the structure, which the call fills in.
    let mut status: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the structure outlives the call.
    check(unsafe { libc::fstatfs(held.as_raw_fd(), &raw mut status) } as i64)?;
    Ok(status.f_type as u32)
}

/// Opens what a path names below `root`, as for a process whose root that is; nothing happens to it.
/// `flags` may hold `O_NOFOLLOW`.
pub(crate) fn open_in_root(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: i32,
) -> Result<OwnedFd, Errno> {
    // SAFETY: all zeros is a valid value of the structure, and means no options.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | flags) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT;
    let size = size_of::<libc::open_how>();
    // SAFETY: path and structure outlive the call; the descriptor is new and nobody else's.
    unsafe {
        let number = libc::SYS_openat2;
        let how = &raw const how;
        let fd = check(libc::syscall(number, root.as_raw_fd(), path.as_ptr(), how, size))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Orphans of the namespace become our children.
pub(crate) fn become_subreaper() {
    // SAFETY: no pointers are passed.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Waits for a process, if it is a child of ours and has ended: its status, as wait(2) has it.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Option<i32> {
    // SAFETY: siginfo is plain data, for which zeros are valid.
    let mut information: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = pidfd.as_raw_fd() as libc::id_t;
    let options = libc::WEXITED | libc::WNOHANG;
    // SAFETY: the kernel fills the structure that it is given.
    if unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut information, options) } < 0 {
        return None;
    }
    // SAFETY: these fields are valid after waitid(2); without a child they are zeros.
    let (pid, status) = unsafe { (information.si_pid(), information.si_status()) };
    let status = match information.si_code {
        libc::CLD_EXITED => status << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    };
    (pid != 0).then_some(status)
}

/// Signals are for the threads that expect them.
pub(crate) fn leave_signals_to_others() {
    // SAFETY: the set is made here and outlives the calls.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Held until it is dropped: only one loads, unloads or takes a slot.
pub(crate) fn lock(file: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } as i64).map(drop)
}

pub(crate) fn is_root() -> bool {
    // SAFETY: no pointers are passed.
    unsafe { libc::geteuid() == 0 }
}

/// A new file system in memory that is never swapped.
pub(crate) fn mount_memory(path: &str) -> Result<(), Errno> {
    let path = CString::new(path).map_err(|_| Errno(libc::EINVAL))?;
    let (kind, options) = (c"ramfs".as_ptr(), c"mode=0755".as_ptr());
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: the texts outlive the call.
    let mounted =
        unsafe { libc::mount(c"quixote".as_ptr(), path.as_ptr(), kind, flags, options.cast()) };
    check(mounted.into()).map(drop)
}

/// That it is not mounted is no failure.
pub(crate) fn unmount(path: &str) {
    let Ok(path) = CString::new(path) else { return };
    // SAFETY: the text outlives the call.
    unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
}

/// Has all threads take memory from one place: one for each costs page tables.
pub fn share_memory() {
    // It is a matter of thrift: that it fails changes nothing.
    #[cfg(target_env = "gnu")]
    // SAFETY: two numbers are passed.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// Of a process that crashes, no memory is shown.
pub(crate) fn forbid_dumps() {
    // SAFETY: no pointers are passed.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// Sets or removes a variable of the environment. Only while there is one thread.
pub(crate) fn set_variable(name: &str, value: Option<&OsStr>) {
    // SAFETY: the caller is the only thread: nobody reads the environment meanwhile.
    match value {
        Some(value) => unsafe { std::env::set_var(name, value) },
        None => unsafe { std::env::remove_var(name) },
    }
}

/// The shared libraries of this process, by the paths they were found under.
pub(crate) fn libraries() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    // SAFETY: the callback gets the vector, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(note_library), (&raw mut found).cast()) };
    found
}

/// The program itself has no name here, and what the kernel maps no path.
unsafe extern "C" fn note_library(
    info: *mut libc::dl_phdr_info,
    _: usize,
    found: *mut libc::c_void,
) -> i32 {
    // SAFETY: the C library passes a valid structure whose name ends with a NUL, and what `libraries` gave it.
    let (name, found) =
        unsafe { (CStr::from_ptr((*info).dlpi_name), &mut *found.cast::<Vec<PathBuf>>()) };
    if name.to_bytes().contains(&b'/') {
        found.push(OsStr::from_bytes(name.to_bytes()).into());
    }
    0
}
