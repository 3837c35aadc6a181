//! Starts a workload under the filter.
//!
//! The child installs the filter between fork and exec and then waits. The supervisor takes the
//! listener out of it by pidfd, so that the child makes no call that would be notified before its
//! exec, and the listener never reaches the workload.
#![allow(unsafe_code, reason = "fork, and what runs between fork and exec")]

use std::ffi::CString;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;

use tsem::Agent;

use crate::bpf;
use crate::credentials;
use crate::listener;
use crate::listener::Listener;
use crate::supervisor::DigestPaths;
use crate::supervisor::Supervisor;
use crate::sys;
use crate::sys::Errno;

/// Why a workload could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// There is no such command.
    #[error("{0}: command not found")]
    NotFound(PathBuf),
    /// An argument, variable or path holds a NUL.
    #[error("an argument or variable holds a NUL octet")]
    Nul,
    /// The child could not be made.
    #[error("the workload's process could not be made: {0}")]
    Fork(Errno),
    /// The filter was refused; `EBUSY` means that another supervisor has one already.
    #[error("the kernel refuses the seccomp filter: {0}")]
    Filter(Errno),
    /// The listener could not be taken over.
    #[error("the listener could not be taken over: {0}")]
    Listener(Errno),
    /// The workload could not be executed, or was not allowed to be.
    #[error("the command could not be executed: {0}")]
    Exec(Errno),
}

/// What to run.
#[derive(Clone)]
pub struct Launch {
    /// The program, looked up in `PATH` where it has no slash, and its arguments.
    pub command: Vec<OsString>,
    /// The whole environment; `None` for the orchestrator's own.
    pub environment: Option<Vec<(OsString, OsString)>>,
    /// Working directory; `None` for the orchestrator's own.
    pub directory: Option<PathBuf>,
    /// Which opened files are hashed, besides what is executed.
    pub digest_paths: DigestPaths,
}

impl Launch {
    /// A command in the orchestrator's own environment; no files hashed but executables.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            environment: None,
            directory: None,
            digest_paths: Arc::new(|_| false),
        }
    }

    /// Makes everything that must not fail or allocate after the fork.
    ///
    /// # Errors
    /// If the command cannot be found, or text holds a NUL.
    pub fn prepare(self) -> Result<Prepared, LaunchError> {
        let name = self.command.first().cloned().unwrap_or_default();
        let program = find(Path::new(&name)).ok_or_else(|| LaunchError::NotFound(name.into()))?;
        let text = |text: &[u8]| CString::new(text).map_err(|_| LaunchError::Nul);
        let variables = self.environment.unwrap_or_else(|| std::env::vars_os().collect());
        let join = |(name, value): &(OsString, OsString)| {
            text(&[name.as_bytes(), b"=", value.as_bytes()].concat())
        };
        Ok(Prepared {
            program: text(program.as_os_str().as_bytes())?,
            arguments: self.command.iter().map(|a| text(a.as_bytes())).collect::<Result<_, _>>()?,
            environment: variables.iter().map(join).collect::<Result<_, _>>()?,
            directory: self.directory.map(|d| text(d.as_os_str().as_bytes())).transpose()?,
            digest_paths: self.digest_paths,
        })
    }
}

fn find(name: &Path) -> Option<PathBuf> {
    if name.as_os_str().is_empty() {
        return None;
    }
    if name.as_os_str().as_bytes().contains(&b'/') {
        return Some(name.to_path_buf());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let is_executable = |path: &PathBuf| {
        sys::open(path.as_os_str().as_bytes(), libc::O_PATH)
            .is_ok_and(|fd| path.is_file() && sys::may_access(fd.as_fd(), libc::X_OK).is_ok())
    };
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(is_executable)
}

/// Ready to be started.
pub struct Prepared {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: Option<CString>,
    digest_paths: DigestPaths,
}

impl Prepared {
    /// Starts the workload; returns once its first exec has happened.
    ///
    /// Makes the calling process a child subreaper, and raises its limit of descriptors as far as
    /// it may: each process of the workload takes some. The workload's limit stays what it was.
    /// The first process is killed when the calling thread ends, so call this from one that lasts.
    ///
    /// # Errors
    /// If the child, the filter or the exec fails; a denied exec is `EPERM`.
    pub fn start(self, agent: Arc<dyn Agent>) -> Result<Running, LaunchError> {
        sys::install_interrupt_handler();
        let child = self.fork()?;
        let pidfd = sys::pidfd_open(child.pid, 0).map_err(LaunchError::Fork)?;
        let number = child.read_number().ok_or(LaunchError::Fork(Errno(libc::ECHILD)))?;
        if number < 0 {
            sys::reap(child.pid);
            return Err(LaunchError::Filter(Errno(-number)));
        }
        let started = sys::pidfd_getfd(pidfd.as_fd(), number).and_then(|fd| {
            Supervisor::start(agent, Listener::new(fd), self.digest_paths, child.pid)
        });
        let supervisor = started.map_err(|errno| {
            let _ = sys::pidfd_signal(pidfd.as_fd(), libc::SIGKILL);
            LaunchError::Listener(errno)
        })?;
        child.go();
        match child.read_number() {
            None => Ok(Running { supervisor, pid: child.pid, pidfd }),
            Some(errno) => {
                supervisor.wait_until(|progress| progress.all_ended);
                Err(LaunchError::Exec(Errno(-errno)))
            }
        }
    }

    fn fork(&self) -> Result<Child, LaunchError> {
        let pointers = |texts: &[CString]| {
            let all = texts.iter().map(|text| text.as_ptr());
            all.chain(std::iter::once(std::ptr::null())).collect::<Vec<_>>()
        };
        let plan = Plan {
            program: &self.program,
            arguments: pointers(&self.arguments),
            environment: pointers(&self.environment),
            directory: self.directory.as_ref(),
            filter: bpf::assemble(),
            unprivileged: !credentials::is_privileged(),
            descriptors: sys::raise_descriptor_limit(),
        };
        let (report_read, report_write) = pipe().map_err(LaunchError::Fork)?;
        let (go_read, go_write) = pipe().map_err(LaunchError::Fork)?;
        // SAFETY: prctl is passed no pointers. The child runs only `Plan::run`, which makes system
        // calls and nothing else, and does not return.
        let pid = unsafe {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
            let pid = libc::fork();
            if pid == 0 {
                plan.run(report_write.as_raw_fd(), go_read.as_raw_fd(), go_write.as_raw_fd());
            }
            pid
        };
        sys::check(pid as i64).map_err(LaunchError::Fork)?;
        Ok(Child { pid: pid as u32, report: report_read, go: go_write })
    }
}

/// What the child does; made before the fork.
struct Plan<'a> {
    program: &'a CString,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    directory: Option<&'a CString>,
    filter: Vec<libc::sock_filter>,
    unprivileged: bool,
    descriptors: libc::rlimit,
}

impl Plan<'_> {
    /// # Safety
    /// Only in a child that has just been forked.
    unsafe fn run(&self, report: i32, go: i32, go_writer: i32) -> ! {
        // SAFETY: system calls only, on memory that was made before the fork.
        unsafe {
            libc::close(go_writer);
            let mut none = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::signal(sys::interrupt_signal(), libc::SIG_DFL);
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const self.descriptors);
            let number = self.confine();
            tell(report, number);
            let mut octet = 0_u8;
            if number < 0 || libc::read(go, (&raw mut octet).cast(), 1) != 1 {
                libc::_exit(127);
            }
            libc::close(number);
            let (arguments, environment) = (self.arguments.as_ptr(), self.environment.as_ptr());
            libc::execve(self.program.as_ptr(), arguments, environment);
            tell(report, -Errno::last().0);
            libc::_exit(127)
        }
    }

    /// The listener's number, or a negative error.
    unsafe fn confine(&self) -> i32 {
        // SAFETY: as in `run`.
        unsafe {
            if self.directory.is_some_and(|directory| libc::chdir(directory.as_ptr()) != 0) {
                return -Errno::last().0;
            }
            // Without us a sleeper would live on until its next judged call. Not inherited by forks,
            // and lost when credentials change: those fail closed at that call.
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) != 0 {
                return -Errno::last().0;
            }
            if self.unprivileged && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                return -Errno::last().0;
            }
        }
        listener::install(&self.filter).unwrap_or_else(|errno| -errno.0)
    }
}

fn tell(report: i32, number: i32) {
    let octets = number.to_ne_bytes();
    // SAFETY: the array's length is passed with it.
    unsafe { libc::write(report, octets.as_ptr().cast(), octets.len()) };
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both ends, which nobody else owns.
    unsafe {
        sys::check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) as i64)?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

struct Child {
    pid: u32,
    report: OwnedFd,
    go: OwnedFd,
}

impl Child {
    /// What the child tells; `None` when its exec has closed the pipe.
    fn read_number(&self) -> Option<i32> {
        let mut octets = [0; 4];
        loop {
            // SAFETY: the array's length is passed with it.
            let read =
                unsafe { libc::read(self.report.as_raw_fd(), octets.as_mut_ptr().cast(), 4) };
            match read {
                4 => return Some(i32::from_ne_bytes(octets)),
                -1 if Errno::last() == Errno(libc::EINTR) => {}
                _ => return None,
            }
        }
    }

    fn go(&self) {
        // SAFETY: one octet is written from a static.
        unsafe { libc::write(self.go.as_raw_fd(), b"g".as_ptr().cast(), 1) };
    }
}

/// A workload that runs. Dropping this does not end it.
pub struct Running {
    supervisor: Arc<Supervisor>,
    pid: u32,
    pidfd: OwnedFd,
}

impl Running {
    /// The first process's id, for job control and signals.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The first process as a descriptor, also when it has ended meanwhile: its number may by then
    /// be another's.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Readable once no process of the namespace is left.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.supervisor.ended.as_fd()
    }

    /// Waits for the first process.
    pub fn wait(&self) -> ExitStatus {
        let progress = self.supervisor.wait_until(|progress| progress.first_status.is_some());
        ExitStatus::from_raw(progress.first_status.unwrap_or(libc::SIGKILL))
    }

    /// Waits until no process of the namespace is left.
    pub fn wait_for_all(&self) {
        self.supervisor.wait_until(|progress| progress.all_ended);
    }

    /// Kills every process of the namespace.
    pub fn kill_all(&self) {
        self.supervisor.kill();
    }
}
