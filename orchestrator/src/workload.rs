//! A namespace's life: prepared, running, finished.
//!
//! The source serves the workload's events to the agent; the agent's engine decides. What remains
//! is the record.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::TryLockError;
use std::sync::Weak;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use thiserror::Error;
use tsem::Bounds;
use tsem::Digest;
use tsem::Engine;
use tsem::EventKind;
use tsem::Mode;
use tsem::Observation;
use tsem::OnViolation;
use tsem::Platform;
use tsem::References;
use tsem::Rules;
use tsem::Setup;

use crate::agent::AgentError;
use crate::agent::NamespaceAgent;
use crate::agent::Observer;
use crate::agent::Snapshot;
use crate::control::Announced;
use crate::control::ControlError;
use crate::hooks;
use crate::hooks::Hooks;
use crate::kernel::KernelError;
use crate::learn::fresh_header;
use crate::local_agent::LocalAgent;
use crate::model_file::header::Header;
use crate::model_file::header::Workload as Name;
use crate::places;
use crate::places::PlaceError;
use crate::record::Exit;
use crate::record::RECORD_VERSION;
use crate::record::Record;
use crate::record::RecordError;
use crate::record::mode_name;
use crate::remote_agent::Orders;
use crate::remote_agent::RemoteAgent;
use crate::replacement::Replaceable;
use crate::replacement::Replacing;
use crate::source::RunningSource;
use crate::source::Source;
use crate::source::SourceCounts;
use crate::stored::StoredObservation;
use crate::tma::Tma;
use crate::tma::TmaError;
use crate::unfinished::News;
use crate::unfinished::Unfinished;

/// What is to be run, and how it is to be judged.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Whose credentials it has under the kernel source, `NAME|UID[:GID]`; the orchestrator's if
    /// `None`.
    pub user: Option<String>,
    /// The namespace's name; see [`crate::control::checked_name`].
    pub name: String,
    /// What an event outside the model means.
    pub mode: Mode,
    /// What a violation does besides.
    pub on_violation: OnViolation,
    /// The model's rules.
    pub rules: Rules,
    /// What the rules' packages vouch for on this machine.
    pub references: References,
    /// The model's coefficients; none for a new model.
    pub coefficients: Vec<Digest>,
    /// Those of them in which no rule has a part, sorted: the kernel source decides by them itself.
    pub exact: Vec<Digest>,
    /// The kinds of the events in which a rule has a part; none for a new model.
    pub ruled: BTreeSet<EventKind>,
    /// The model's file, for the record.
    pub model: Option<PathBuf>,
    /// Nonce and platform aggregate.
    pub platform: Platform,
    /// Where its events come from.
    pub source: Source,
    /// What becomes of it without its orchestrator.
    pub on_crash: OnCrash,
    /// Whether also root outside cannot reach its tasks: the kernel source, under a lockdown.
    pub shield: bool,
    /// Where the agent runs.
    pub tma: Tma,
    /// Whether what the agent has once found in the model need not be sent to it again.
    pub verdict_cache: bool,
    /// The canonical text of the model's header; none for a new model.
    pub header: Option<String>,
    /// The model's signature, for an agent that checks it itself.
    pub signature: Option<ModelSignature>,
    /// What is known of hooks that are not everywhere.
    pub hooks: Hooks,
}

/// What becomes of a namespace whose orchestrator was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCrash {
    /// What it would have to be asked for is denied. Under the kernel source what was allowed before, and what the kernel
    /// has the model for, goes on; under the portable source the first process ends.
    #[default]
    Deny,
    /// Under the kernel source every task also ends at its next event. Who makes none has to be killed by somebody else.
    Kill,
}

/// The signature of a model, as an agent can check it.
#[derive(Clone, Debug)]
pub struct ModelSignature {
    /// The signed statement and the Ed25519 signatures on it.
    pub signed: (Vec<u8>, Vec<[u8; 64]>),
    /// The pinned Ed25519 keys that may have made them.
    pub keys: Vec<[u8; 32]>,
}

/// A namespace cannot be run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// Its name or control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Where records lie.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Its record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its agent cannot be had.
    #[error(transparent)]
    Tma(#[from] TmaError),
    /// Its agent was lost while it ran.
    #[error("the agent was lost, so everything was denied: {0}")]
    Agent(AgentError),
    /// Its source.
    #[error(transparent)]
    Source(#[from] portable_source::LaunchError),
    /// Its kernel source.
    #[cfg(feature = "kernel")]
    #[error(transparent)]
    KernelSource(#[from] kernel_source::LaunchError),
    /// Another user's credentials, under the portable source.
    #[error("the portable source runs a workload as whoever runs quixote")]
    UserIsOfTheKernel,
    /// The kernel source was asked for, and is not part of this program.
    #[error("this quixote was built without the kernel source")]
    NoKernelSource,
    /// A thread.
    #[error("cannot start a thread that serves the namespace: {0}")]
    Thread(std::io::Error),
    /// A model of the profile `full`, under the portable source.
    #[error(
        "the portable source does not see the events of the profile 'full', the kernel source does"
    )]
    FullIsOfTheKernel,
    /// What the model was learned with is not judged here.
    #[error(
        "the model was learned with hooks that this kernel lacks, whose events would go through \
         without being judged: {}", .0.join(", ")
    )]
    MissingHooks(Vec<String>),
    /// Which hooks there are.
    #[error("the kernel's hooks cannot be told: {0}")]
    Hooks(KernelError),
    /// The command itself is outside the model: it ended before it began.
    #[error("the model does not allow the command itself")]
    Refused(Box<Finished>),
}

/// What a shell ends with when it may not execute a command.
const NOT_EXECUTABLE: i32 = 126;

/// There is no such file, errno(3).
const ENOENT: i32 = rustix::io::Errno::NOENT.raw_os_error();

/// Why a command cannot be run, as env(1) tells it by exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandFault {
    /// It is not there.
    NotFound,
    /// It cannot be executed.
    NotExecutable,
}

impl RunError {
    /// What to do about it, if the kernel source is what is wrong.
    pub fn mend(&self) -> Option<&'static str> {
        match self {
            Self::Hooks(error) => error.mend(),
            #[cfg(feature = "kernel")]
            Self::KernelSource(kernel_source::LaunchError::Kernel(error)) => error.mend(),
            _ => None,
        }
    }

    /// What is wrong with the command, if that is what is wrong.
    pub fn command_fault(&self) -> Option<CommandFault> {
        match self {
            Self::Source(portable_source::LaunchError::NotFound(_)) => Some(CommandFault::NotFound),
            Self::Source(portable_source::LaunchError::Exec(errno)) => match errno.0 {
                ENOENT => Some(CommandFault::NotFound),
                _ => Some(CommandFault::NotExecutable),
            },
            #[cfg(feature = "kernel")]
            Self::KernelSource(kernel_source::LaunchError::Exec(error)) => match error.kind() {
                std::io::ErrorKind::NotFound => Some(CommandFault::NotFound),
                _ => Some(CommandFault::NotExecutable),
            },
            _ => None,
        }
    }
}

/// A namespace that runs.
pub struct Running {
    source: Arc<RunningSource>,
    ledger: Arc<Ledger>,
    begun: Begun,
}

/// What is there of a namespace as long as it runs, for others and for after a crash.
struct Begun {
    unfinished: Unfinished,
    /// Taken back when the namespace ends.
    announced: Announced,
}

impl Begun {
    /// The run has its own record.
    fn replaced(self) {
        self.announced.leave_off();
        self.unfinished.replaced();
    }

    /// Nothing of the workload has run.
    fn cancelled(self) {
        self.announced.leave_off();
        self.unfinished.cancelled();
    }
}

/// A namespace that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How its first process ended.
    pub exit: Exit,
    /// What it did.
    pub record: Record,
    /// Where the record lies.
    pub record_path: PathBuf,
    /// The trajectory.
    pub observation: Observation,
}

/// Starts a namespace, whose model can be replaced while it runs if `replaceable` is given.
///
/// # Errors
///
/// The name is taken, the command cannot be run, or the source cannot be set up. Nothing of the
/// workload has run then.
pub fn start(
    workload: &Workload,
    observer: Arc<dyn Observer>,
    replaceable: Option<Replaceable>,
) -> Result<Running, RunError> {
    let missing = hooks::missing(workload)?;
    let announced = Announced::new(&workload.name)?;
    let news = News::new(observer);
    let agent = agent_of(workload, news.clone())?;
    let record = record_of(workload, missing);
    let begun = Begun { unfinished: Unfinished::begin(&record)?, announced };
    let announced = &begun.announced;
    let ledger = Arc::new(Ledger::new(agent.clone(), record));
    serve(announced, &ledger)?;
    serve_attestations(announced, &agent)?;
    let offers = replaceable.map(|replaceable| Ok((replaceable, announced.take_offers()?)));
    let offers = offers.transpose().map_err(RunError::Control)?;
    if workload.tma == Tma::Orchestrator {
        let ledger = ledger.clone();
        announced.take_on(begun.unfinished.renewal(news.clone(), move || ledger.at_once()));
    }
    let source = match RunningSource::start(workload, &agent) {
        Ok(source) => Arc::new(source),
        Err(error) => return Err(not_started(error, &ledger, begun)),
    };
    ledger.is_fed_by(&source);
    if let Some((replaceable, offers)) = offers {
        let replacing =
            Replacing::new(replaceable, workload, agent, &source, ledger.record.clone(), news);
        let replace = move |offered| replacing.replace(offered).map_err(|error| error.to_string());
        announced.serve_offers(offers, replace);
    }
    Ok(Running { source, ledger, begun })
}

/// A first exec that the model denies leaves a record as any other denial does.
fn not_started(error: RunError, ledger: &Ledger, begun: Begun) -> RunError {
    let agent = &ledger.agent;
    let error = match (agent.fault(), agent.snapshot()) {
        (Some(fault), _) | (None, Err(fault)) => RunError::Agent(fault),
        (None, Ok(snapshot)) if snapshot.counts.violations == 0 => error,
        (None, Ok(_)) => return refused(ledger, begun),
    };
    begun.cancelled();
    error
}

fn refused(ledger: &Ledger, begun: Begun) -> RunError {
    let refused = finish(ledger, begun, Exit::Code(NOT_EXECUTABLE));
    refused.map_or_else(|error| error, |finished| RunError::Refused(finished.into()))
}

/// Takes over what the agent holds at the end, and writes the record.
fn finish(ledger: &Ledger, begun: Begun, exit: Exit) -> Result<Finished, RunError> {
    let mut record = over(&ledger.record);
    let snapshot = ledger.write_into(&mut record);
    ledger.agent.close();
    record.exit = Some(exit);
    let record_path = write_record(&record)?;
    begun.replaced();
    let observation = snapshot.map_err(RunError::Agent)?.observation;
    Ok(Finished { exit, record, record_path, observation })
}

/// From now on no other model is put in force.
fn over(record: &Mutex<Record>) -> Record {
    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
    record.ended = Some(now());
    record.clone()
}

/// The agent that the workload asks for, with its model in force.
fn agent_of(
    workload: &Workload,
    observer: Arc<dyn Observer>,
) -> Result<Arc<dyn NamespaceAgent>, RunError> {
    if workload.tma == Tma::Orchestrator {
        return Ok(Arc::new(LocalAgent::new(engine_of(workload), observer)));
    }
    let unusable = |source| TmaError::Agent { tma: workload.tma.clone(), source };
    let signature = workload.signature.as_ref();
    let keys = signature.map_or(&[][..], |signature| &signature.keys);
    let session = workload.tma.connect(keys)?;
    let header = workload.header.clone().unwrap_or_else(|| new_header(workload));
    let orders = Orders {
        mode: workload.mode,
        on_violation: workload.on_violation,
        platform: workload.platform,
        rules: &workload.rules,
        references: &workload.references,
        header: &header,
        coefficients: &workload.coefficients,
        signed: signature.map(|signature| &signature.signed),
        cache: workload.verdict_cache,
        foretells: !workload.source.foretold(workload).is_empty(),
    };
    let agent = RemoteAgent::new(session, &orders, observer);
    Ok(Arc::new(agent.map_err(unusable)?))
}

/// A header for what has no model yet: an agent takes its rules from a header.
fn new_header(workload: &Workload) -> String {
    let name = Name::parse(&workload.name).or_else(|_| Name::parse("unnamed"));
    let rules = workload.rules.clone();
    name.map(|name| Header { rules, ..fresh_header(name) }.canonical()).unwrap_or_default()
}

fn engine_of(workload: &Workload) -> Engine {
    let setup = Setup {
        mode: workload.mode,
        on_violation: workload.on_violation,
        rules: workload.rules.clone(),
        references: workload.references.clone(),
        platform: workload.platform,
        bounds: Bounds::default(),
    };
    Engine::new(setup, workload.coefficients.iter().copied())
}

fn record_of(workload: &Workload, missing: Vec<String>) -> Record {
    let lossy = |word: &OsString| word.to_string_lossy().into_owned();
    Record {
        version: RECORD_VERSION,
        name: workload.name.clone(),
        mode: mode_name(workload.mode).into(),
        source: workload.source.name().into(),
        tma: workload.tma.to_string(),
        command: workload.command.iter().map(lossy).collect(),
        model: workload.model.clone(),
        orchestrator: std::process::id(),
        started: now(),
        ended: None,
        unfinished: None,
        exit: None,
        state: String::new(),
        measurement: String::new(),
        counts: crate::record::RecordedCounts::default(),
        notes: hooks::notes(workload, &missing),
        missing_hooks: missing,
        replaced: Vec::new(),
        observation: StoredObservation { tasks: Vec::new(), events: Vec::new() },
        forensics: Vec::new(),
        coefficients: Vec::new(),
    }
}

fn serve(announced: &Announced, ledger: &Arc<Ledger>) -> Result<(), RunError> {
    let ledger = ledger.clone();
    announced.serve(move || ledger.now()).map_err(RunError::Thread)
}

fn serve_attestations(
    announced: &Announced,
    agent: &Arc<dyn NamespaceAgent>,
) -> Result<(), RunError> {
    let agent = agent.clone();
    let attest = move |nonce: &[u8]| agent.attest(nonce).map_err(|error| error.to_string());
    announced.serve_attestations(attest).map_err(RunError::Control)
}

/// What a namespace's record is made of.
struct Ledger {
    agent: Arc<dyn NamespaceAgent>,
    record: Arc<Mutex<Record>>,
    /// Once it runs. What it takes from the kernel is given back when the run ends, and not later.
    source: OnceLock<Weak<RunningSource>>,
}

impl Ledger {
    fn new(agent: Arc<dyn NamespaceAgent>, record: Record) -> Self {
        Self { agent, record: Arc::new(Mutex::new(record)), source: OnceLock::new() }
    }

    fn is_fed_by(&self, source: &Arc<RunningSource>) {
        self.source.get_or_init(|| Arc::downgrade(source));
    }

    /// The record as it is now.
    fn now(&self) -> Record {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.completed(record)
    }

    /// The record, unless somebody is about to change it.
    fn at_once(&self) -> Option<Record> {
        let record = match self.record.try_lock() {
            Ok(record) => record.clone(),
            Err(TryLockError::Poisoned(record)) => record.into_inner().clone(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(self.completed(record))
    }

    fn completed(&self, mut record: Record) -> Record {
        // What cannot be had of an agent that was lost is said in the record itself.
        let _ = self.write_into(&mut record);
        record
    }

    fn write_into(&self, record: &mut Record) -> Result<Snapshot, AgentError> {
        let snapshot = match self.agent.snapshot() {
            Ok(snapshot) => snapshot,
            Err(error) => {
                record.agent_lost(&error, self.agent.unasked());
                return Err(error);
            }
        };
        record.update(&snapshot);
        if let Some(source) = self.source.get().and_then(Weak::upgrade) {
            let SourceCounts { repeated, decided } = source.counts();
            record.counts.cached += repeated;
            record.counts.decided = decided;
        }
        Ok(snapshot)
    }
}

impl Running {
    /// The first process's id. It is a child of this process.
    pub fn first_pid(&self) -> u32 {
        self.source.pid()
    }

    /// The first process as a descriptor, also when it has ended meanwhile.
    ///
    /// # Errors
    ///
    /// This process has no descriptor left.
    pub fn first_pidfd(&self) -> std::io::Result<OwnedFd> {
        self.source.pidfd()
    }

    /// Stays with the workload in the stead of a thread that answers whoever asks: waits once, until there is something
    /// to read from `calls`, no process is left, or at the latest until `pause` has passed; it may return before. Whether
    /// no process is left: [`Running::wait`] waits no more then.
    ///
    /// # Errors
    ///
    /// Nothing can be waited for.
    pub fn stay(
        &self,
        calls: Option<BorrowedFd<'_>>,
        pause: Option<Duration>,
    ) -> std::io::Result<bool> {
        let others: Vec<_> = [self.source.ended()].into_iter().chain(calls).collect();
        let ready = self.begun.announced.stand_in(&others, pause)?;
        Ok(ready.first() == Some(&true))
    }

    /// The record as it is now.
    pub fn record(&self) -> Record {
        self.ledger.now()
    }

    /// Ends every process of the namespace.
    pub fn kill_all(&self) {
        self.source.kill_all();
    }

    /// Waits until the namespace has ended, and writes its record.
    ///
    /// # Errors
    ///
    /// The source failed, or the record cannot be written.
    pub fn wait(self) -> Result<Finished, RunError> {
        let ended = self.source.wait();
        self.source.wait_for_all();
        let exit = match ended.signal() {
            Some(signal) => Exit::Signal(signal),
            None => Exit::Code(ended.code().unwrap_or_default()),
        };
        let finished = finish(&self.ledger, self.begun, exit);
        self.source.give_back();
        finished
    }
}

/// Keeps the last record of each name.
fn write_record(record: &Record) -> Result<PathBuf, RunError> {
    let path = places::records_dir()?.join(format!("{}.json", record.name));
    record.write(&path)?;
    Ok(path)
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
