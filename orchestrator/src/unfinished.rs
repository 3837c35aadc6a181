//! What is left of a run whose orchestrator is killed: the record so far.
//!
//! It lies apart from the records of runs that ended, from before the workload's first exec, and is renewed while the
//! workload shows something new. Whoever finds it where nobody serves the name knows that a run was
//! lost. An agent outside the orchestrator is not asked meanwhile: its workload would wait.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tsem::Description;
use tsem::Forensic;
use tsem::Loss;
use tsem::TaskIdentity;

use crate::agent::AgentError;
use crate::agent::Observer;
use crate::control::Chore;
use crate::places;
use crate::record::Record;
use crate::record::RecordError;
use crate::workload::RunError;

/// No more often than this, and so seldom that writing takes a small part of the time.
const BETWEEN_MIN: Duration = Duration::from_secs(1);
const BETWEEN_COSTS: u32 = 20;

/// The record of a run that has not ended; it stays unless the run is said to have ended.
pub(crate) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Writes that a run has begun. What an earlier one left under the same name is put aside.
    ///
    /// # Errors
    ///
    /// The record cannot be written.
    pub(crate) fn begin(record: &Record) -> Result<Self, RunError> {
        let path = path_of(&record.name)?;
        let failed = |source| RecordError::Io { path: path.clone(), source };
        move_if_there(&path, &aside(&path)).map_err(failed)?;
        let begun = Self { path };
        begun.record_now(record)?;
        Ok(begun)
    }

    fn record_now(&self, record: &Record) -> Result<(), RecordError> {
        write_so_far(&self.path, record.clone())
    }

    /// Renews the record whenever `news` has counted something since the last time; to be left off before the run is
    /// said to have ended.
    pub(crate) fn renewal(
        &self,
        news: Arc<News>,
        record: impl Fn() -> Option<Record> + Send + 'static,
    ) -> Chore {
        let (path, mut written) = (self.path.clone(), 0);
        Box::new(move || {
            let counted = news.counted();
            if counted == written {
                return BETWEEN_MIN;
            }
            let began = Instant::now();
            // Who replaces the model has it: the next time.
            let Some(record) = record() else { return BETWEEN_MIN };
            if let Err(error) = write_so_far(&path, record) {
                tracing::warn!(target: "user", %error, "the record so far is not renewed");
            }
            written = counted;
            BETWEEN_MIN.max(began.elapsed() * BETWEEN_COSTS)
        })
    }

    /// The run has ended and has its own record.
    pub(crate) fn replaced(self) {
        // One that stays is older than the run's own record, and says what it is.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(aside(&self.path));
    }

    /// Nothing of the workload has run: what an earlier run left is put back.
    pub(crate) fn cancelled(self) {
        let _ = fs::remove_file(&self.path);
        let _ = move_if_there(&aside(&self.path), &self.path);
    }
}

fn write_so_far(path: &Path, mut record: Record) -> Result<(), RecordError> {
    record.unfinished = Some(crate::workload::now());
    record.write_unsynced(path)
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn path_of(name: &str) -> Result<PathBuf, RunError> {
    Ok(places::unfinished_dir()?.join(format!("{name}.json")))
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("json~")
}

/// Counts what an observer is told for the first time.
pub(crate) struct News {
    observer: Arc<dyn Observer>,
    counted: AtomicU64,
}

impl News {
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self { observer, counted: AtomicU64::new(0) })
    }

    fn counted(&self) -> u64 {
        self.counted.load(Ordering::Relaxed)
    }

    /// There is something that the record so far does not have.
    pub(crate) fn count(&self) {
        self.counted.fetch_add(1, Ordering::Relaxed);
    }
}

impl Observer for News {
    fn judged(&self, event: &Description, first: bool) {
        if first {
            self.count();
        }
        self.observer.judged(event, first);
    }

    fn violation(&self, forensic: &Forensic, chain: &[String], acting: TaskIdentity) {
        self.observer.violation(forensic, chain, acting);
    }

    fn lost(&self, loss: Loss) {
        self.count();
        self.observer.lost(loss);
    }

    fn agent_lost(&self, error: &AgentError) {
        self.count();
        self.observer.agent_lost(error);
    }
}
