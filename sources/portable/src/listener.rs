//! The seccomp listener: receiving, proving and answering notifications (`seccomp_unotify(2)`).
#![allow(unsafe_code, reason = "ioctls of the listener and the seccomp system call")]

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use crate::sys::Errno;
use crate::sys::SysResult;
use crate::sys::check;

const RECV: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;
const ID_VALID: u64 = 0x4008_2102;
const ADDFD: u64 = 0x4018_2103;
const SET_FLAGS: u64 = 0x4008_2104;
const SYNC_WAKE_UP: u64 = 1;
const CONTINUE: u32 = 1;
const ADDFD_SEND: u32 = 2;

/// A call that waits: the kernel's `struct seccomp_notif`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Notification {
    /// What answers name it by.
    pub id: u64,
    /// The calling thread, as our pid namespace knows it.
    pub tid: u32,
    flags: u32,
    /// The call's number.
    pub number: i32,
    /// Whose table the number is of: `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// Where the call was made.
    pub instruction: u64,
    /// The registers, never what they point to.
    pub arguments: [u64; 6],
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    source: u32,
    new: u32,
    new_flags: u32,
}

/// The supervisor's end.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Of the descriptor that the filter's installation gave.
    pub fn new(fd: OwnedFd) -> Self {
        // SAFETY: the flags are passed by value. Kernels before 6.6 refuse; wake-ups are slower.
        unsafe { libc::ioctl(fd.as_raw_fd(), SET_FLAGS as _, SYNC_WAKE_UP) };
        Self(fd)
    }

    /// Waits for a call.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the caller ended meanwhile, `EINTR` for a signal of ours.
    pub fn receive(&self) -> Result<Notification, Errno> {
        let mut notification = Notification::default();
        self.control(RECV, (&raw mut notification).cast())?;
        Ok(notification)
    }

    /// Whether the caller still waits, and so its tid was its own until now.
    pub(crate) fn valid(&self, id: u64) -> SysResult<()> {
        let mut id = id;
        self.control(ID_VALID, (&raw mut id).cast()).map(drop)
    }

    /// The kernel carries the call out as if nobody had been asked.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the caller does not wait any more.
    pub fn proceed(&self, id: u64) -> Result<(), Errno> {
        self.send(Response { id, value: 0, error: 0, flags: CONTINUE })
    }

    pub(crate) fn value(&self, id: u64, value: i64) -> SysResult<()> {
        self.send(Response { id, value, error: 0, flags: 0 })
    }

    pub(crate) fn error(&self, id: u64, errno: i32) -> SysResult<()> {
        self.send(Response { id, value: 0, error: -errno, flags: 0 })
    }

    /// Gives the caller a descriptor, which is also its result.
    ///
    /// Where its last close could be noticed, our copy is gone before the caller goes on: else a
    /// program that was just written is busy, and a pipe or connection that was closed stays open.
    /// Files that are only read (`quiet`) are handed over in one step, which costs a wake-up less.
    pub(crate) fn hand_over(
        &self,
        id: u64,
        fd: OwnedFd,
        cloexec: bool,
        quiet: bool,
    ) -> SysResult<()> {
        let new_flags = if cloexec { libc::O_CLOEXEC as u32 } else { 0 };
        let source = fd.as_raw_fd() as u32;
        let flags = if quiet { ADDFD_SEND } else { 0 };
        let mut request = AddFd { id, flags, source, new: 0, new_flags };
        let number = self.control(ADDFD, (&raw mut request).cast())?;
        if flags == ADDFD_SEND {
            return Ok(());
        }
        drop(fd);
        self.value(id, number.into())
    }

    fn send(&self, response: Response) -> SysResult<()> {
        let mut response = response;
        self.control(SEND, (&raw mut response).cast()).map(drop)
    }

    fn control(&self, request: u64, argument: *mut libc::c_void) -> SysResult<i32> {
        // SAFETY: each caller passes the structure that its request is defined with.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, argument) };
        check(done as i64).map(|value| value as i32)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Installs a filter on the calling thread and returns the listener's number.
///
/// Called between fork and exec: makes system calls only.
///
/// # Errors
///
/// `EACCES` without `CAP_SYS_ADMIN` or `no_new_privs`, `EBUSY` if a filter with a listener is there.
pub fn install(program: &[libc::sock_filter]) -> Result<i32, Errno> {
    const NEW_LISTENER: u64 = 1 << 3;
    const WAIT_KILLABLE_RECV: u64 = 1 << 5;
    let program =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    let flags = NEW_LISTENER | WAIT_KILLABLE_RECV;
    // SAFETY: the program outlives the call, which copies it.
    let fd = check(unsafe { libc::syscall(libc::SYS_seccomp, 1, flags, &raw const program) })?;
    Ok(fd as i32)
}
