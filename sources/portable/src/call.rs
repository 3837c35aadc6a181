//! A judged call: who makes it, with which arguments, and what becomes of it.
//!
//! Handlers see this and nothing of the machinery below it.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tsem::Cell;
use tsem::Coe;
use tsem::Description;
use tsem::Effect;
use tsem::EventKind;
use tsem::Loss;
use tsem::ProcessId;
use tsem::Value;
use tsem::Verdict;

use crate::credentials::Credentials;
use crate::listener::Notification;
use crate::path::Found;
use crate::path::Walk;
use crate::process::Process;
use crate::process::Thread;
use crate::supervisor::Supervisor;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;
use crate::umasks::Remembered;

/// What the caller gets.
pub(crate) enum Outcome {
    /// The kernel carries the call out; only where its arguments cannot change any more, or what
    /// happened is settled later.
    Continue,
    /// The call was carried out for it, with this result.
    Value(i64),
    /// The call was carried out for it, and this descriptor is the result.
    Fd {
        /// The descriptor.
        fd: OwnedFd,
        /// Whether the caller's copy closes on exec.
        cloexec: bool,
        /// Whether nobody can notice when its last copy is closed: a file that is only read.
        quiet: bool,
    },
    /// The rest may block: signals to the caller interrupt it (`EINTR` from here becomes a restart).
    Blocking(Box<dyn FnOnce() -> Handled + Send>),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continue => "Continue",
            Self::Value(_) => "Value",
            Self::Fd { .. } => "Fd",
            Self::Blocking(_) => "Blocking",
        })
    }
}

/// Why the call does not happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// It fails with this error.
    Errno(i32),
    /// The whole namespace ends.
    Kill,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno.0)
    }
}

/// What a handler returns; `?` refuses.
pub(crate) type Handled = Result<Outcome, Refusal>;

/// A notified call. Cheap to clone, so that what blocks can take it along.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) notification: Notification,
    pub(crate) thread: Arc<Thread>,
}

impl Call {
    pub(crate) fn argument(&self, index: usize) -> u64 {
        self.notification.arguments[index]
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.thread.process
    }

    /// The caller's credentials as they are for this call.
    pub(crate) fn credentials(&self) -> SysResult<Arc<Credentials>> {
        self.thread.credentials()
    }

    /// Proves that everything read by tid up to now came from the caller.
    pub(crate) fn still_waiting(&self) -> SysResult<()> {
        self.supervisor.listener.valid(self.notification.id)
    }

    /// Does something with the caller's file system credentials.
    pub(crate) fn as_caller<T>(&self, action: impl FnOnce() -> SysResult<T>) -> SysResult<T> {
        self.credentials()?.assume(action)
    }

    /// Does something as the caller, so that its peers and targets see its user and group too.
    pub(crate) fn as_identity<T>(&self, action: impl FnOnce() -> SysResult<T>) -> SysResult<T> {
        self.credentials()?.assume_identity(action)
    }

    /// The caller's umask.
    pub(crate) fn umask(&self) -> SysResult<u32> {
        let epoch = self.supervisor.processes.umasks.epoch();
        if let Some(umask) = epoch.and_then(|epoch| self.thread.umask_in(epoch)) {
            return Ok(umask);
        }
        let umask = Credentials::read(self.thread.tid)?.umask;
        self.still_waiting()?;
        if let Some(epoch) = epoch {
            self.thread.remember_umask(Remembered { epoch, umask });
        }
        Ok(umask)
    }

    /// Octets of the caller's memory. Read each address once.
    pub(crate) fn bytes(&self, address: u64, length: usize) -> SysResult<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = sys::read_memory(self.thread.tid, address, &mut bytes)?;
        self.still_waiting()?;
        if read == length { Ok(bytes) } else { Err(Errno(libc::EFAULT)) }
    }

    /// A string of the caller's memory, at most `PATH_MAX` with its NUL.
    pub(crate) fn text(&self, address: u64) -> SysResult<Vec<u8>> {
        // Divides the page size, so that a read never needs the next page without cause.
        const STEP: u64 = 512;
        let mut text = Vec::new();
        let mut at = address;
        while text.len() < libc::PATH_MAX as usize {
            let room = (STEP - at % STEP).min(libc::PATH_MAX as u64 - text.len() as u64);
            let mut chunk = vec![0; room as usize];
            let read = sys::read_memory(self.thread.tid, at, &mut chunk)?;
            chunk.truncate(read);
            if let Some(end) = chunk.iter().position(|octet| *octet == 0) {
                text.extend(&chunk[..end]);
                self.still_waiting()?;
                return Ok(text);
            }
            if read < room as usize {
                return Err(Errno(libc::EFAULT));
            }
            text.append(&mut chunk);
            at += room;
        }
        Err(Errno(libc::ENAMETOOLONG))
    }

    /// Our copy of a descriptor of the caller.
    pub(crate) fn descriptor(&self, fd: i32) -> SysResult<OwnedFd> {
        let copy = sys::pidfd_getfd(self.thread.pidfd(), fd)?;
        self.still_waiting()?;
        Ok(copy)
    }

    /// Where a relative path starts: a directory descriptor, or the working directory.
    pub(crate) fn start_directory(&self, fd: i32) -> SysResult<OwnedFd> {
        if fd != libc::AT_FDCWD {
            return self.descriptor(fd);
        }
        // Threads may have directories of their own.
        if self.thread.tid == self.process().pid {
            return self.process().working_directory();
        }
        let path = format!("/proc/{}/cwd", self.thread.tid);
        let directory = sys::open(path.as_bytes(), libc::O_PATH | libc::O_DIRECTORY)?;
        self.still_waiting()?;
        Ok(directory)
    }

    /// The caller's root directory.
    pub(crate) fn root(&self) -> SysResult<OwnedFd> {
        let path = format!("/proc/{}/root", self.thread.tid);
        let directory = sys::open(path.as_bytes(), libc::O_PATH | libc::O_DIRECTORY)?;
        self.still_waiting()?;
        Ok(directory)
    }

    /// Walks a path as the kernel would for this caller; the object found is held.
    pub(crate) fn resolve(&self, fd: i32, path: &[u8], walk: Walk) -> Result<Found, Errno> {
        crate::path::resolve(self, fd, path, walk)
    }

    /// Asks the agent; anything but leave is a refusal.
    pub(crate) fn judge(&self, kind: EventKind, values: Vec<Value>) -> Result<(), Refusal> {
        self.judge_targets(kind, values, Vec::new())
    }

    /// As [`Call::judge`], with the process meant by each `Task` field.
    pub(crate) fn judge_targets(
        &self,
        kind: EventKind,
        values: Vec<Value>,
        targets: Vec<Option<ProcessId>>,
    ) -> Result<(), Refusal> {
        let coe = self.credentials()?.coe;
        self.judge_as(coe, kind, values, targets)
    }

    /// As [`Call::judge_targets`], with other credentials than the caller has now.
    pub(crate) fn judge_as(
        &self,
        coe: Coe,
        kind: EventKind,
        values: Vec<Value>,
        targets: Vec<Option<ProcessId>>,
    ) -> Result<(), Refusal> {
        let process = self.process();
        let cell = Cell { kind, values };
        let event = Description { process: process.id, pid: process.pid, coe, cell, targets };
        match self.supervisor.judge(&event) {
            Verdict::Allow => Ok(()),
            Verdict::Deny => Err(Refusal::Errno(libc::EPERM)),
            Verdict::Kill => Err(Refusal::Kill),
        }
    }

    /// Tells the agent what an allowed event has done.
    pub(crate) fn effect(&self, effect: &Effect<'_>) {
        self.supervisor.agent.effect(self.process().id, effect);
    }

    /// Tells the agent that an event could not be described, and refuses it.
    pub(crate) fn lost(&self, loss: Loss) -> Refusal {
        self.supervisor.lost(&self.notification, Some(self.process().id), loss);
        Refusal::Errno(libc::EPERM)
    }
}
