//! The learning runs beside a model: what each run showed, before rules.
//!
//! `MODEL.runs` holds one JSON line for each run. A coefficient cannot be turned back into an
//! event, so this is what later runs are merged with and rules are proposed from. It is no part of
//! the signed model.

use std::fs;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;
use tsem::Observation;

use crate::record::RecordedCounts;
use crate::stored::StoredError;
use crate::stored::StoredObservation;

/// Longer files are not read: a run of a large service is some megabytes.
const FILE_MAX: u64 = 1 << 30;

/// The learning runs cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunsError {
    /// The file cannot be read or written.
    #[error("cannot use the learning runs {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error("{path} has more than {FILE_MAX} octets; remove it to learn anew")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// A line is no run.
    #[error("{path} line {line} is no learning run: {source}; remove the file to learn anew")]
    NotARun {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A run is damaged.
    #[error("{path} line {line}: {source}; remove the file to learn anew")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What.
        source: StoredError,
    },
}

/// What a run was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredRun {
    command: Vec<String>,
    started: u64,
    counts: RecordedCounts,
    observation: StoredObservation,
}

/// A learning run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearningRun {
    /// The command line, lossily.
    pub command: Vec<String>,
    /// Seconds since the epoch.
    pub started: u64,
    /// What was counted.
    pub counts: RecordedCounts,
    /// What it showed.
    pub observation: Observation,
}

/// Where the learning runs of a model lie.
pub fn runs_path(model: &Path) -> PathBuf {
    let mut path = model.as_os_str().to_owned();
    path.push(".runs");
    path.into()
}

/// Reads all runs; none where the file is not there.
///
/// # Errors
///
/// The file cannot be read, or a line is no run.
pub fn read_runs(path: &Path) -> Result<Vec<LearningRun>, RunsError> {
    let failed = |source| RunsError::Io { path: path.into(), source };
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened.map_err(failed)?,
    };
    if file.metadata().map_err(failed)?.len() > FILE_MAX {
        return Err(RunsError::TooLarge { path: path.into() });
    }
    let lines = io::BufReader::new(file).lines().enumerate();
    lines.map(|(row, line)| read_run(path, row + 1, &line.map_err(failed)?)).collect()
}

fn read_run(path: &Path, line: usize, text: &str) -> Result<LearningRun, RunsError> {
    let stored: StoredRun = serde_json::from_str(text).map_err(|source| RunsError::NotARun {
        path: path.into(),
        line,
        source,
    })?;
    let observation = stored.observation.read();
    let observation =
        observation.map_err(|source| RunsError::Damaged { path: path.into(), line, source })?;
    let StoredRun { command, started, counts, .. } = stored;
    Ok(LearningRun { command, started, counts, observation })
}

/// Whether a run could be added: better to know before the workload has run for an hour.
///
/// # Errors
///
/// As [`append_run`].
pub fn check_appendable(path: &Path) -> Result<(), RunsError> {
    let tried = if path.exists() {
        fs::OpenOptions::new().append(true).open(path).map(drop)
    } else {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".new-{}", std::process::id()));
        let made = fs::OpenOptions::new().write(true).create_new(true).open(&beside);
        made.and_then(|_| fs::remove_file(&beside))
    };
    tried.map_err(|source| RunsError::Io { path: path.into(), source })
}

/// Adds a run.
///
/// # Errors
///
/// The file cannot be written.
pub fn append_run(path: &Path, run: &LearningRun) -> Result<(), RunsError> {
    let failed = |source| RunsError::Io { path: path.into(), source };
    let stored = StoredRun {
        command: run.command.clone(),
        started: run.started,
        counts: run.counts,
        observation: (&run.observation).into(),
    };
    let mut line = serde_json::to_vec(&stored).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    let opened = fs::OpenOptions::new().create(true).append(true).open(path);
    opened.and_then(|mut file| file.write_all(&line)).map_err(failed)
}
