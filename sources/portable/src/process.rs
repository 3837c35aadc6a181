//! The processes of the namespace, and which thread belongs to which.
//!
//! A thread id means something only while the thread that bore it is there, so every entry holds a
//! guard that proves it. Forks are not notified; a process is introduced when it is first met, and
//! its ancestry is proven by its address space: fork copies `/proc/PID/auxv`, exec renews it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tsem::Agent;
use tsem::ProcessId;

use crate::credentials::Credentials;
use crate::credentials::field;
use crate::handlers::exec::JudgedScript;
use crate::handlers::exec::PendingExec;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;
use crate::umasks::Remembered;
use crate::umasks::Umasks;

/// One address space between two execs; shared by all processes forked from it.
#[derive(Debug)]
pub(crate) struct Image {
    serial: u64,
    pub(crate) fingerprint: Vec<u8>,
}

/// A process of the namespace.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    /// Its directory in procfs: what is read there is about it, or fails.
    directory: OwnedFd,
    /// Whether `state` holds something that must be settled before the next event.
    pub(crate) unsettled: AtomicBool,
    state: Mutex<State>,
    settling: Mutex<()>,
}

/// What changes about a process.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) image: Arc<Image>,
    pub(crate) exec: Option<PendingExec>,
    /// Threads whose executable mapping was let through and may still be under way.
    pub(crate) mapping: Vec<u32>,
    /// Device and inode of every file that was judged for execution in this address space.
    pub(crate) executable: HashSet<(u64, u64)>,
    /// The script whose interpreter has not opened it yet.
    pub(crate) script: Option<JudgedScript>,
}

impl Process {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while its exec is settled; nothing waits for the workload meanwhile.
    pub(crate) fn settling(&self) -> MutexGuard<'_, ()> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its number still means it: it runs, or has ended and nobody has waited for it yet.
    pub(crate) fn is_alive(&self) -> bool {
        sys::pidfd_signal(self.pidfd.as_fd(), 0).is_ok()
    }

    /// The fingerprint of its address space.
    pub(crate) fn fingerprint(&self) -> SysResult<Vec<u8>> {
        fingerprint(self.directory.as_fd())
    }

    /// A file of its directory in procfs.
    pub(crate) fn read(&self, name: &[u8]) -> SysResult<Vec<u8>> {
        read_of_any_thread(self.directory.as_fd(), name)
    }

    /// The working directory of its first thread.
    pub(crate) fn working_directory(&self) -> SysResult<OwnedFd> {
        sys::openat(self.directory.as_fd(), b"cwd", libc::O_PATH | libc::O_DIRECTORY, 0)
    }

    /// Opens what a link in its directory leads to, for its name alone.
    pub(crate) fn open(&self, name: &[u8]) -> SysResult<OwnedFd> {
        sys::openat(self.directory.as_fd(), name, libc::O_PATH, 0)
    }

    /// The object that a link in its directory leads to.
    pub(crate) fn stat(&self, name: &[u8]) -> SysResult<libc::stat> {
        sys::stat_at(self.directory.as_fd(), name, 0)
    }

    /// Whether it has no other thread than its first.
    pub(crate) fn is_alone(&self) -> bool {
        has_one_thread(self.directory.as_fd())
    }

    pub(crate) fn kill(&self) {
        let _ = sys::pidfd_signal(self.pidfd.as_fd(), libc::SIGKILL);
    }
}

/// A thread that has made a call.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) tid: u32,
    pub(crate) process: Arc<Process>,
    guard: Guard,
    credentials: Mutex<Option<Arc<Credentials>>>,
    umask: Mutex<Option<Remembered>>,
}

/// What proves that a thread's number still means it.
#[derive(Debug)]
enum Guard {
    /// It is the first of its process, whose number it bears.
    Process,
    /// A pidfd of it alone; Linux 6.9.
    Pidfd(OwnedFd),
    /// Its directory in procfs.
    Directory(OwnedFd),
}

impl Thread {
    fn new(
        tid: u32,
        process: Arc<Process>,
        credentials: Option<Arc<Credentials>>,
    ) -> SysResult<Self> {
        const PIDFD_THREAD: u32 = libc::O_EXCL as u32;
        let guard = if tid == process.pid {
            Guard::Process
        } else {
            match sys::pidfd_open(tid, PIDFD_THREAD) {
                Ok(pidfd) => {
                    // The number still means a thread of this process.
                    process.stat(format!("task/{tid}").as_bytes())?;
                    Guard::Pidfd(pidfd)
                }
                Err(Errno(libc::EINVAL)) => Guard::Directory(task_directory(process.pid, tid)?),
                Err(errno) => return Err(errno),
            }
        };
        Ok(Self {
            tid,
            process,
            guard,
            credentials: Mutex::new(credentials),
            umask: Mutex::default(),
        })
    }

    /// What its descriptors are asked of: threads may have tables of their own, and the first one has none
    /// any more once it has ended. Before Linux 6.9 there is only the process to ask.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        match &self.guard {
            Guard::Pidfd(pidfd) => pidfd.as_fd(),
            Guard::Process | Guard::Directory(_) => self.process.pidfd.as_fd(),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        match &self.guard {
            Guard::Process => self.process.is_alive(),
            Guard::Pidfd(pidfd) => sys::pidfd_signal(pidfd.as_fd(), 0).is_ok(),
            Guard::Directory(directory) => sys::stat_at(directory.as_fd(), b"comm", 0).is_ok(),
        }
    }

    pub(crate) fn credentials(&self) -> SysResult<Arc<Credentials>> {
        let mut cached = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(credentials) = &*cached {
            return Ok(credentials.clone());
        }
        let credentials = Arc::new(Credentials::read(self.tid)?);
        *cached = Some(credentials.clone());
        Ok(credentials)
    }

    /// Its umask as it was read in this epoch of [`Umasks`].
    pub(crate) fn umask_in(&self, epoch: u64) -> Option<u32> {
        let remembered = self.umask.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.filter(|remembered| remembered.epoch == epoch).map(|it| it.umask)
    }

    pub(crate) fn remember_umask(&self, remembered: Remembered) {
        *self.umask.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
    }

    /// Must be called by whatever lets a call through that changes credentials.
    pub(crate) fn forget_credentials(&self) {
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn task_directory(pid: u32, tid: u32) -> SysResult<OwnedFd> {
    sys::open(format!("/proc/{pid}/task/{tid}").as_bytes(), libc::O_PATH | libc::O_DIRECTORY)
}

/// The fingerprint of an address space: fork copies it, exec renews it.
///
/// `ESRCH` of one that has ended, `EAGAIN` while an exec fills it in.
fn fingerprint(directory: BorrowedFd<'_>) -> SysResult<Vec<u8>> {
    const WORD: usize = size_of::<usize>();
    let auxv = read_of_any_thread(directory, b"auxv")?;
    if auxv.is_empty() {
        return Err(Errno(libc::ESRCH));
    }
    // Among the last that the kernel writes.
    let name = (libc::AT_EXECFN as usize).to_ne_bytes();
    let is_whole = auxv.chunks_exact(2 * WORD).any(|entry| entry[..WORD] == name);
    if is_whole { Ok(auxv) } else { Err(Errno(libc::EAGAIN)) }
}

/// A file that is the same for all threads; of the first one it is empty once that has ended.
fn read_of_any_thread(directory: BorrowedFd<'_>, name: &[u8]) -> SysResult<Vec<u8>> {
    let of_first = sys::read_file(directory, name);
    if of_first.as_ref().is_ok_and(|octets| !octets.is_empty()) || has_one_thread(directory) {
        return of_first;
    }
    let path = format!("/proc/{}/fd/{}/task", std::process::id(), directory.as_raw_fd());
    let tasks = std::fs::read_dir(path).map_err(|_| Errno(libc::ESRCH))?;
    let of_thread = |tid: std::ffi::OsString| {
        let path = [b"task/", tid.as_bytes(), b"/", name].concat();
        sys::read_file(directory, &path).ok().filter(|octets| !octets.is_empty())
    };
    Ok(tasks.flatten().find_map(|task| of_thread(task.file_name())).unwrap_or_default())
}

/// The directory `task` has two links and one for each thread.
fn has_one_thread(directory: BorrowedFd<'_>) -> bool {
    sys::stat_at(directory, b"task", 0).is_ok_and(|stat| stat.st_nlink == 3)
}

/// Why a caller has no entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stranger {
    /// It ended meanwhile.
    Gone,
    /// Its ancestry cannot be proven.
    Ambiguous,
}

impl From<Errno> for Stranger {
    fn from(_: Errno) -> Self {
        Self::Gone
    }
}

#[derive(Debug, Default)]
struct Entries {
    threads: HashMap<u32, Arc<Thread>>,
    processes: HashMap<u32, Arc<Process>>,
    /// Those that have ended and may still be signalled, as nobody has waited for them yet. A
    /// parent that signals its child does not know whether it has ended; nor may the event.
    ended: HashMap<u32, Arc<Process>>,
}

/// All of them.
pub(crate) struct ProcessTable {
    agent: Arc<dyn Agent>,
    entries: RwLock<Entries>,
    introducing: Mutex<()>,
    serial: AtomicU64,
    pub(crate) umasks: Umasks,
    /// Called with every process that is introduced, so that its end is seen.
    watch: Box<dyn Fn(&Process) + Send + Sync>,
}

impl ProcessTable {
    pub(crate) fn new(agent: Arc<dyn Agent>, watch: Box<dyn Fn(&Process) + Send + Sync>) -> Self {
        let entries = RwLock::default();
        let serial = AtomicU64::new(1);
        let (introducing, umasks) = (Mutex::default(), Umasks::default());
        Self { agent, entries, introducing, serial, umasks, watch }
    }

    /// Introduces the first process, which has not executed anything yet.
    pub(crate) fn start(&self, pid: u32) -> SysResult<Arc<Process>> {
        let first = Newcomer::meet(pid)?;
        let image = self.image(fingerprint(first.directory.as_fd())?);
        self.insert(first, image, HashSet::new(), |id| self.agent.started(id))
    }

    pub(crate) fn image(&self, fingerprint: Vec<u8>) -> Arc<Image> {
        Arc::new(Image { serial: self.next_serial(), fingerprint })
    }

    fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// The entry of a blocked caller.
    pub(crate) fn thread(&self, tid: u32) -> Result<Arc<Thread>, Stranger> {
        let known = self.read(|entries| entries.threads.get(&tid).cloned());
        if let Some(thread) = known.filter(|thread| thread.is_alive()) {
            return Ok(thread);
        }
        let _one_at_a_time = self.introducing.lock().unwrap_or_else(PoisonError::into_inner);
        // Introduced meanwhile: what is read now could be older than what that entry knows.
        let known = self.read(|entries| entries.threads.get(&tid).cloned());
        if let Some(thread) = known.filter(|thread| thread.is_alive()) {
            return Ok(thread);
        }
        let thread = Arc::new(self.new_thread(tid)?);
        self.write(|entries| entries.threads.insert(tid, thread.clone()));
        Ok(thread)
    }

    /// The process that a pid names now; `None` for one outside the namespace.
    pub(crate) fn process(&self, pid: u32) -> Option<Arc<Process>> {
        let named = |all: &HashMap<u32, Arc<Process>>| {
            all.get(&pid).filter(|process| process.is_alive()).cloned()
        };
        self.read(|entries| named(&entries.processes).or_else(|| named(&entries.ended)))
    }

    /// Those that run.
    pub(crate) fn processes(&self) -> Vec<Arc<Process>> {
        self.read(|entries| entries.processes.values().cloned().collect())
    }

    /// Those that a signal can be sent to: also those that have ended and were not waited for.
    pub(crate) fn with_ended(&self) -> Vec<Arc<Process>> {
        self.read(|entries| {
            entries.processes.values().chain(entries.ended.values()).cloned().collect()
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.read(|entries| entries.processes.is_empty())
    }

    /// What its status says holds while it waits, as no call of its own can change it.
    fn new_thread(&self, tid: u32) -> Result<Thread, Stranger> {
        if let Some(process) = self.process(tid) {
            return Ok(Thread::new(tid, process, None)?);
        }
        let epoch = self.umasks.epoch();
        let caller = Newcomer::meet(tid)?;
        let credentials = caller.credentials.clone();
        let process = match self.process(caller.pid) {
            Some(process) => process,
            None if caller.pid == tid => self.introduce(caller)?,
            None => self.introduce(Newcomer::meet(caller.pid)?)?,
        };
        let umask = credentials.as_ref().map(|credentials| credentials.umask);
        let thread = Thread::new(tid, process, credentials)?;
        if let (Some(epoch), Some(umask)) = (epoch, umask) {
            thread.remember_umask(Remembered { epoch, umask });
        }
        Ok(thread)
    }

    fn introduce(&self, child: Newcomer) -> Result<Arc<Process>, Stranger> {
        let Ok(child_image) = fingerprint(child.directory.as_fd()) else {
            return self.introduce_ended(child);
        };
        let parent = self.parent_of(&child, &child_image)?;
        let (image, executable) = {
            let state = parent.state();
            (state.image.clone(), state.executable.clone())
        };
        Ok(self.insert(child, image, executable, |id| self.agent.forked(parent.id, id))?)
    }

    /// A child that ended before it was met has no address space to prove its ancestry by, but it
    /// cannot have executed anything, and its parent has not waited for it.
    fn introduce_ended(&self, child: Newcomer) -> Result<Arc<Process>, Stranger> {
        let parent = self.process(child.parent).ok_or(Stranger::Gone)?;
        let pid = child.pid;
        let image = parent.state().image.clone();
        let process = self.new_process(child, image, HashSet::new())?;
        // The number meant this process all the while.
        if !sys::has_ended(process.pidfd.as_fd()) || !process.is_alive() {
            return Err(Stranger::Gone);
        }
        self.agent.forked(parent.id, process.id);
        self.replace(|entries| entries.ended.insert(pid, process.clone()));
        Ok(process)
    }

    /// A parent that is known and has the same address space; else whoever has.
    fn parent_of(&self, child: &Newcomer, image: &[u8]) -> Result<Arc<Process>, Stranger> {
        if child.parent != std::process::id() && child.parent > 1 {
            let parent = match self.process(child.parent) {
                Some(parent) => Ok(parent),
                None => Newcomer::meet(child.parent)
                    .map_err(Stranger::from)
                    .and_then(|parent| self.introduce(parent)),
            };
            if let Some(parent) = parent.ok().filter(|p| p.state().image.fingerprint == image) {
                return Ok(parent);
            }
        }
        self.by_image(image)
    }

    fn by_image(&self, image: &[u8]) -> Result<Arc<Process>, Stranger> {
        let mut found: Option<(u64, Arc<Process>)> = None;
        for process in self.processes() {
            let candidate = process.state().image.clone();
            if candidate.fingerprint != image {
                continue;
            }
            match &found {
                Some((serial, _)) if *serial != candidate.serial => {
                    return Err(Stranger::Ambiguous);
                }
                Some((_, other)) if other.id < process.id => {}
                _ => found = Some((candidate.serial, process)),
            }
        }
        found.map(|(_, process)| process).ok_or(Stranger::Ambiguous)
    }

    fn insert(
        &self,
        newcomer: Newcomer,
        image: Arc<Image>,
        executable: HashSet<(u64, u64)>,
        announce: impl FnOnce(ProcessId),
    ) -> SysResult<Arc<Process>> {
        let process = self.new_process(newcomer, image, executable)?;
        announce(process.id);
        self.replace(|entries| entries.processes.insert(process.pid, process.clone()));
        (self.watch)(&process);
        Ok(process)
    }

    fn new_process(
        &self,
        newcomer: Newcomer,
        image: Arc<Image>,
        executable: HashSet<(u64, u64)>,
    ) -> SysResult<Arc<Process>> {
        let state = State { image, exec: None, mapping: Vec::new(), executable, script: None };
        Ok(Arc::new(Process {
            id: ProcessId(self.next_serial()),
            pid: newcomer.pid,
            pidfd: newcomer.pidfd?,
            directory: newcomer.directory,
            unsettled: AtomicBool::new(false),
            state: Mutex::new(state),
            settling: Mutex::new(()),
        }))
    }

    /// Puts a process in the place of one that bore its number before.
    fn replace(&self, change: impl FnOnce(&mut Entries) -> Option<Arc<Process>>) {
        if let Some(old) = self.write(change) {
            self.agent.exited(old.id);
        }
    }

    /// Introduces whatever a process has forked silently; before its exec.
    pub(crate) fn introduce_children(&self, pid: u32) {
        let _one_at_a_time = self.introducing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parents = vec![pid];
        while let Some(parent) = parents.pop() {
            for child in children(parent) {
                if self.process(child).is_none() {
                    let _ = Newcomer::meet(child).map(|child| self.introduce(child));
                }
                parents.push(child);
            }
        }
    }

    /// A process has ended, and its orphans were taken in. It is gone when somebody has waited for
    /// it.
    pub(crate) fn ended(&self, process: &Arc<Process>) {
        self.replace(|entries| {
            entries.threads.retain(|_, thread| !Arc::ptr_eq(&thread.process, process));
            match entries.processes.get(&process.pid) {
                Some(entry) if Arc::ptr_eq(entry, process) => {
                    let ended = entries.processes.remove(&process.pid)?;
                    entries.ended.insert(ended.pid, ended)
                }
                _ => None,
            }
        });
    }

    /// Forgets those that have ended and that somebody has waited for; for orphans that is us.
    pub(crate) fn forget_reaped(&self) {
        let ended: Vec<_> = self.read(|entries| entries.ended.values().cloned().collect());
        for process in &ended {
            sys::reap_by_pidfd(process.pidfd.as_fd());
        }
        self.forget_ended(|process| !process.is_alive());
    }

    /// Forgets all that have ended: nobody is left who could name them.
    pub(crate) fn forget_all_ended(&self) {
        self.forget_ended(|_| true);
    }

    fn forget_ended(&self, is_gone: impl Fn(&Process) -> bool) {
        if self.read(|entries| entries.ended.is_empty()) {
            return;
        }
        let gone = self.write(|entries| {
            entries.ended.extract_if(|_, process| is_gone(process)).collect::<Vec<_>>()
        });
        for (_, process) in gone {
            self.agent.exited(process.id);
        }
    }

    /// Orphans become children of our first thread (kernel/exit.c, `find_new_reaper`); other
    /// children of ours have our address space.
    pub(crate) fn adopt_orphans(&self) {
        let unknown = |child: &u32| self.process(*child).is_none();
        let unknown: Vec<_> = adopted().into_iter().filter(unknown).collect();
        if unknown.is_empty() {
            return;
        }
        let _one_at_a_time = self.introducing.lock().unwrap_or_else(PoisonError::into_inner);
        for child in unknown {
            if self.process(child).is_some() {
                continue;
            }
            let Ok(child) = Newcomer::meet(child) else { continue };
            if fingerprint(child.directory.as_fd()).ok().as_ref() != own_fingerprint() {
                let _ = self.introduce(child);
            }
        }
    }

    /// After an exec: what was known about the threads is void.
    pub(crate) fn forget_threads(&self, process: &Arc<Process>) {
        self.read(|entries| {
            let of_it = |thread: &&Arc<Thread>| Arc::ptr_eq(&thread.process, process);
            entries.threads.values().filter(of_it).for_each(|thread| thread.forget_credentials());
        });
    }

    fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        change(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Orphans that ended before anybody met them: nobody else can wait for them.
///
/// They are our first thread's children as all orphans are, and they bear a filter more than we do.
#[derive(Debug)]
pub(crate) struct UnmetOrphans {
    /// Children of our own, which may bear filters too.
    own: HashSet<u32>,
    filters: u32,
}

impl UnmetOrphans {
    /// Before a workload is let go.
    pub(crate) fn new() -> Self {
        let filters = status_number(std::process::id(), "Seccomp_filters:").unwrap_or(u32::MAX);
        Self { own: adopted().into_iter().collect(), filters }
    }

    pub(crate) fn reap(&self, known: &ProcessTable) {
        let children = adopted().into_iter().filter(|child| !self.own.contains(child));
        for child in children.filter(|child| known.process(*child).is_none()) {
            if status_number(child, "Seccomp_filters:").is_some_and(|own| own > self.filters) {
                sys::reap(child);
            }
        }
    }
}

fn status_number(pid: u32, name: &str) -> Option<u32> {
    let status = sys::read_text(&format!("/proc/{pid}/status")).ok()?;
    field(&status, name)?.parse().ok()
}

/// The parent of a process now.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    status_number(pid, "PPid:")
}

/// The direct children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(directory) = process_directory(pid) else { return Vec::new() };
    let of_thread = |tid: &[u8]| {
        let list = [b"task/", tid, b"/children"].concat();
        numbers(&sys::read_file(directory.as_fd(), &list).unwrap_or_default())
    };
    if has_one_thread(directory.as_fd()) {
        return of_thread(pid.to_string().as_bytes());
    }
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks.flatten().flat_map(|task| of_thread(task.file_name().as_bytes())).collect()
}

/// The children of our first thread.
fn adopted() -> Vec<u32> {
    let own = std::process::id();
    numbers(
        sys::read_text(&format!("/proc/{own}/task/{own}/children")).unwrap_or_default().as_bytes(),
    )
}

fn numbers(list: &[u8]) -> Vec<u32> {
    String::from_utf8_lossy(list).split_whitespace().flat_map(str::parse).collect()
}

fn own_fingerprint() -> Option<&'static Vec<u8>> {
    static OWN: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let read = || fingerprint(process_directory(std::process::id()).ok()?.as_fd()).ok();
    OWN.get_or_init(read).as_ref()
}

fn process_directory(id: u32) -> SysResult<OwnedFd> {
    sys::open(format!("/proc/{id}").as_bytes(), libc::O_PATH | libc::O_DIRECTORY)
}

/// Somebody who is met for the first time. The directory was opened first and read last, so the
/// pidfd, taken between, is of the same process.
struct Newcomer {
    pid: u32,
    parent: u32,
    /// None of a thread that is not its process's first.
    pidfd: SysResult<OwnedFd>,
    directory: OwnedFd,
    /// Not of one that has ended: its status does not say all.
    credentials: Option<Arc<Credentials>>,
}

impl Newcomer {
    fn meet(id: u32) -> SysResult<Self> {
        let directory = process_directory(id).map_err(|_| Errno(libc::ESRCH))?;
        let pidfd = sys::pidfd_open(id, 0);
        let status = sys::read_file(directory.as_fd(), b"status")?;
        let status = String::from_utf8_lossy(&status);
        let number = |name| field(&status, name)?.parse().ok();
        let (Some(pid), Some(parent)) = (number("Tgid:"), number("PPid:")) else {
            return Err(Errno(libc::ESRCH));
        };
        let credentials = Credentials::parse(&status).map(Arc::new);
        Ok(Self { pid, parent, pidfd, directory, credentials })
    }
}
