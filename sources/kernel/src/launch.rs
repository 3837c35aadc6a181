//! Starts a workload as the first process of a namespace.
//!
//! The child waits between fork and exec. It is entered into the task map by its pidfd, so its
//! exec is the first event.
#![allow(unsafe_code, reason = "what runs between fork and exec")]

use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use portable_source::listener;
use portable_source::listener::Listener;
use tsem::Agent;
use tsem::Cell;
use tsem::EventKind;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Profile;

use crate::account::Account;
use crate::account::AccountError;
use crate::foretelling;
use crate::full_programs;
use crate::lockdown;
use crate::lockdown::LockdownError;
use crate::model::Known;
use crate::namespace::Namespace;
use crate::namespace::NamespaceCounts;
use crate::namespace::Plan;
use crate::programs;
use crate::programs::KernelError;
use crate::serve::DigestPaths;
use crate::serve::STACK;
use crate::serve::Server;
use crate::serve::Service;
use crate::serve::Unruled;
use crate::sys;
use crate::sys::Errno;

/// How long an event waits for the agent before it is denied.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a workload could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The kernel source cannot be used here.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The account that the workload is to have.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The child could not be made, or could not take the account's credentials.
    #[error("the workload's process could not be made: {0}")]
    Fork(io::Error),
    /// The workload could not be executed, or was not allowed to be.
    #[error("the command could not be executed: {0}")]
    Exec(io::Error),
}

/// What becomes of a namespace that has lost its orchestrator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOrphaned {
    /// What was allowed before, and what the kernel can decide by the model, goes on.
    #[default]
    Enforce,
    /// Every task ends at its next event.
    Kill,
}

/// What to run, and under what.
#[derive(Clone)]
pub struct Launch {
    /// The program, looked up in `PATH` where it has no slash, and its arguments.
    pub command: Vec<OsString>,
    /// Whose credentials the workload has, and no way to more of them; `None` for our own.
    pub account: Option<Account>,
    /// What an event outside the model means; the agent has the same.
    pub mode: Mode,
    /// What a violation does besides; the agent has the same.
    pub on_violation: OnViolation,
    /// What becomes of the namespace without us.
    pub on_orphaned: OnOrphaned,
    /// Which events are judged; the agent's model has the same.
    pub profile: Profile,
    /// The model, by which hooks that cannot wait are decided, and what it knows exactly in all
    /// others.
    pub known: Vec<Known>,
    /// Which opened files' content counts, besides what is executed; `None` for none.
    pub digest_paths: Option<DigestPaths>,
    /// Whether the model's rules leave an event as it is described.
    pub unruled: Arc<dyn Fn(&Cell) -> bool + Send + Sync>,
    /// The kinds of events that rules may allow and whose hooks cannot wait: each call that comes to
    /// one is told to the agent as it begins, by a seccomp filter, as far as that can be (decision
    /// 0016). Without it the hooks refuse what only a rule allows.
    pub foretold: Vec<EventKind>,
    /// Whether also root outside cannot reach its tasks; only under a lockdown.
    pub shield: bool,
    /// Computes every coefficient in the kernel too, and counts a difference as a loss.
    pub compare: bool,
}

impl Launch {
    /// A command under a new model without rules.
    pub fn new(command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            account: None,
            mode: Mode::Free,
            on_violation: OnViolation::Untrust,
            on_orphaned: OnOrphaned::default(),
            profile: Profile::Core,
            known: Vec::new(),
            digest_paths: None,
            unruled: Arc::new(|_| false),
            foretold: Vec::new(),
            shield: false,
            compare: false,
        }
    }

    /// Loads the programs where they are not, and takes a namespace.
    ///
    /// # Errors
    ///
    /// The kernel source cannot be used, no namespace is free, or there is no lockdown to shield it.
    pub fn prepare(self) -> Result<Prepared, LaunchError> {
        let mut locked = programs::lock()?;
        let full = self.profile == Profile::Full;
        if full {
            full_programs::load_under(&mut locked)?;
        } else {
            programs::load_under(&mut locked)?;
        }
        if self.shield && !lockdown::is_on() {
            return Err(KernelError::from(LockdownError::NotOn).into());
        }
        let plan = Plan {
            mode: self.mode,
            on_violation: self.on_violation,
            on_orphaned: self.on_orphaned,
            known: &self.known,
            digests: self.digest_paths.is_some(),
            shield: self.shield,
            compare: self.compare,
            full,
            patience: PATIENCE,
        };
        let namespace = Namespace::take(&mut locked, &plan)?;
        Ok(Prepared { launch: self, namespace })
    }
}

/// Ready to be started.
pub struct Prepared {
    launch: Launch,
    namespace: Namespace,
}

impl Prepared {
    /// Starts the workload; returns once its first exec has happened.
    ///
    /// Makes the calling process a child subreaper.
    ///
    /// # Errors
    ///
    /// If the child or the exec fails; a denied exec is `EPERM`.
    pub fn start(self, agent: Arc<dyn Agent>) -> Result<Running, LaunchError> {
        sys::become_subreaper();
        let Self { launch, namespace } = self;
        let kinds = &launch.foretold;
        let filter = if kinds.is_empty() { Vec::new() } else { foretelling::filter(kinds) };
        let (mut child, spawned) = WaitingChild::spawn(&launch.command, launch.account, filter)?;
        let (pid, listener) = match child.report() {
            Ok(report) => report,
            Err(error) => return Err(LaunchError::Fork(why_not(spawned, error))),
        };
        let failed = |errno: Errno| LaunchError::Fork(errno.into());
        let pidfd = sys::pidfd_open(pid).map_err(failed)?;
        let listener = listener.map(|number| sys::pidfd_getfd(pidfd.as_fd(), number));
        let listener = listener.transpose().map_err(failed)?.map(Listener::new);
        namespace.adopt(pidfd.as_fd())?;
        let none: DigestPaths = Arc::new(|_| false);
        let service = Service {
            agent,
            mode: launch.mode,
            on_violation: launch.on_violation,
            unruled: launch.unruled as Unruled,
            digest_paths: launch.digest_paths.unwrap_or(none),
            listener,
        };
        let server = Server::start(namespace, service, pid).map_err(LaunchError::Fork)?;
        child.go()?;
        let spawned = spawned.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        match spawned {
            Ok(()) => Ok(Running { server, pid, pidfd }),
            Err(error) => {
                server.wait_until(|progress| progress.all_ended);
                Err(LaunchError::Exec(error))
            }
        }
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

const NO_LISTENER: i32 = -1;

/// A child that stands before its exec.
struct WaitingChild {
    reports: io::PipeReader,
    go: io::PipeWriter,
}

type Spawned = std::thread::JoinHandle<io::Result<()>>;

impl WaitingChild {
    /// The standard library returns from spawning when the exec has happened or failed, so that
    /// goes on in a thread of its own.
    fn spawn(
        words: &[OsString],
        account: Option<Account>,
        filter: Vec<libc::sock_filter>,
    ) -> Result<(Self, Spawned), LaunchError> {
        let (reports, report) = io::pipe().map_err(LaunchError::Fork)?;
        let (wait, go) = io::pipe().map_err(LaunchError::Fork)?;
        let mut command = Command::new(program(words));
        command.arg0(words.first().cloned().unwrap_or_default());
        command.args(words.iter().skip(1));
        let (told, waited, closed) = (report.as_raw_fd(), wait.as_raw_fd(), go.as_raw_fd());
        let prepare = move || -> io::Result<i32> {
            // First, since it takes a capability.
            let listener =
                if filter.is_empty() { Ok(NO_LISTENER) } else { listener::install(&filter) };
            let listener = listener.map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
            account.as_ref().map_or(Ok(()), Account::assume)?;
            Ok(listener)
        };
        // SAFETY: the closure makes system calls on numbers, on memory that was made before the
        // fork, and on its own stack, nothing else.
        unsafe {
            command.pre_exec(move || wait_for_go(prepare()?, told, waited, closed));
        }
        let thread = std::thread::Builder::new().stack_size(STACK);
        let spawned = thread.spawn(move || {
            let spawned = command.spawn().map(drop);
            drop((report, wait));
            spawned
        });
        let spawned = spawned.map_err(LaunchError::Fork)?;
        Ok((Self { reports, go }, spawned))
    }

    /// Its process id, and the number of its listener.
    fn report(&mut self) -> io::Result<(u32, Option<i32>)> {
        let (pid, listener) = (self.word()?, self.word()?);
        Ok((pid as u32, (listener != NO_LISTENER).then_some(listener)))
    }

    fn word(&mut self) -> io::Result<i32> {
        let mut octets = [0; 4];
        self.reports.read_exact(&mut octets)?;
        Ok(i32::from_ne_bytes(octets))
    }

    fn go(&mut self) -> Result<(), LaunchError> {
        self.go.write_all(b"g").map_err(LaunchError::Fork)
    }
}

/// What kept a child from telling its number: what spawning it came to, if anything.
fn why_not(spawned: Spawned, told: io::Error) -> io::Error {
    spawned.join().ok().and_then(Result::err).unwrap_or(told)
}

/// Looked up here: the search by exec(3) would be events of the workload.
fn program(words: &[OsString]) -> PathBuf {
    let name = PathBuf::from(words.first().cloned().unwrap_or_default());
    if name.components().count() != 1 || name.is_absolute() {
        return name;
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(&name));
    found.find(|path| path.is_file()).unwrap_or(name)
}

fn wait_for_go(listener: i32, told: i32, waited: i32, closed: i32) -> io::Result<()> {
    let mut octet = 0_u8;
    // SAFETY: system calls on numbers, and on memory of this function.
    unsafe {
        libc::close(closed);
        let report = [libc::getpid(), listener];
        if libc::write(told, report.as_ptr().cast(), 8) != 8
            || libc::read(waited, (&raw mut octet).cast(), 1) != 1
        {
            return Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
    }
    Ok(())
}

/// A workload that runs. Dropping this does not end it.
pub struct Running {
    server: Arc<Server>,
    pid: u32,
    pidfd: OwnedFd,
}

impl Running {
    /// The first process, also when it has ended meanwhile.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The first process's id, for job control and signals.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Readable once no process of the namespace is left.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.server.ended_all.as_fd()
    }

    /// Waits for the first process.
    pub fn wait(&self) -> ExitStatus {
        let progress = self.server.wait_until(|progress| progress.first_status.is_some());
        ExitStatus::from_raw(progress.first_status.unwrap_or(libc::SIGKILL))
    }

    /// Waits until no process of the namespace is left.
    pub fn wait_for_all(&self) {
        self.server.wait_until(|progress| progress.all_ended);
    }

    /// Gives back what the namespace has of the kernel's, now that no process is left and its counts were read. It is
    /// given back at the latest when the last of our threads lets go of this, which the end of the program does not
    /// wait for.
    pub fn give_back(&self) {
        self.server.namespace.give_back();
    }

    /// Kills every process of the namespace.
    pub fn kill_all(&self) {
        self.server.kill();
    }

    /// Another model is in force, of the same rules; the agent has it already.
    ///
    /// # Errors
    ///
    /// The kernel has no room for it: what was there is in force.
    pub fn replace_model(&self, known: &[Known]) -> Result<(), KernelError> {
        self.server.replace_model(known)
    }

    /// What the programs counted.
    pub fn counts(&self) -> NamespaceCounts {
        self.server.namespace.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foretold::Caller;

    fn status_of(pid: u32, name: &str) -> Vec<String> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn a_child_has_the_accounts_credentials_before_it_is_one_of_the_namespace() {
        assert!(
            status_of(std::process::id(), "Uid:")[1] == "0",
            "only root can start a workload here"
        );
        let account = Account { uid: 65534, gid: 65533, groups: vec![7, 9] };
        let words = ["/bin/sh".into(), "-c".into(), "exit 0".into()];
        let (mut child, spawned) = WaitingChild::spawn(&words, Some(account), Vec::new()).unwrap();
        let (pid, listener) = child.report().unwrap();
        assert_eq!(listener, None);
        assert_eq!(status_of(pid, "Uid:"), ["65534"; 4]);
        assert_eq!(status_of(pid, "Gid:"), ["65533"; 4]);
        assert_eq!(status_of(pid, "Groups:"), ["7", "9"]);
        assert_eq!(status_of(pid, "CapEff:"), ["0000000000000000"]);
        assert_eq!(status_of(pid, "CapPrm:"), ["0000000000000000"]);
        assert_eq!(status_of(pid, "NoNewPrivs:"), ["1"]);
        child.go().unwrap();
        spawned.join().unwrap().unwrap();
    }

    #[test]
    fn without_an_account_a_child_has_ours() {
        let words = ["/bin/true".into()];
        let (mut child, spawned) = WaitingChild::spawn(&words, None, Vec::new()).unwrap();
        let (pid, _) = child.report().unwrap();
        let own = std::process::id();
        for name in ["Uid:", "Gid:", "Groups:", "CapEff:", "NoNewPrivs:"] {
            assert_eq!(status_of(pid, name), status_of(own, name), "{name}");
        }
        child.go().unwrap();
        spawned.join().unwrap().unwrap();
    }

    #[test]
    fn calls_of_a_child_are_told_as_they_begin_and_go_on() {
        let folder = std::env::temp_dir().join(format!("quixote-told-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let script = "mkdir $0/d && : > $0/f && ln $0/f $0/g";
        let words = ["/bin/sh".into(), "-c".into(), script.into(), folder.clone().into()];
        let kinds = [EventKind::InodeMkdir, EventKind::InodeLink];
        let filter = foretelling::filter(&kinds);
        let (mut child, spawned) = WaitingChild::spawn(&words, None, filter).unwrap();
        let (pid, number) = child.report().unwrap();
        let pidfd = sys::pidfd_open(pid).unwrap();
        let listener = sys::pidfd_getfd(pidfd.as_fd(), number.unwrap()).map(Listener::new).unwrap();
        child.go().unwrap();
        spawned.join().unwrap().unwrap();
        let mut told = Vec::new();
        while sys::wait_to_read(listener.as_fd()) {
            let call = listener.receive().unwrap();
            let caller = Caller { tid: call.tid, umask: 0, pidfd: pidfd.as_fd() };
            let cell = caller.event(call.number.into(), call.arguments);
            told.extend(cell.map(|cell| (cell.kind, folder.join("d").exists())));
            listener.proceed(call.id).unwrap();
        }
        assert!(folder.join("g").exists());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(told, [(EventKind::InodeMkdir, false), (EventKind::InodeLink, true)]);
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let words = ["/no/such".into()];
        let (mut child, spawned) = WaitingChild::spawn(&words, None, Vec::new()).unwrap();
        child.report().unwrap();
        child.go().unwrap();
        let error = spawned.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
