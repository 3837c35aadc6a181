//! The record of a namespace: what it was, what it did, what was outside its model.
//!
//! The same JSON is served while the namespace runs and written when it has ended.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;
use tsem::Mode;

use crate::agent::AgentError;
use crate::agent::Snapshot;
use crate::model_file::format::write_atomically;
use crate::model_file::format::write_atomically_unsynced;
use crate::stored::StoredForensic;
use crate::stored::StoredObservation;

/// The version of the JSON form.
pub const RECORD_VERSION: u32 = 1;

/// A record cannot be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be used.
    #[error("cannot use the record {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no record of this version.
    #[error("{path} is not a record of a namespace: {source}")]
    NotARecord {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// What was counted; see [`tsem::Counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCounts {
    /// Events judged.
    pub events: u64,
    /// Distinct good coefficients.
    pub coefficients: u64,
    /// Events outside the model.
    pub violations: u64,
    /// Events refused.
    pub denied: u64,
    /// Events that could not be judged.
    pub losses: u64,
    /// Of these, dropped by the source.
    pub dropped: u64,
    /// Of these, unreadable.
    pub unreadable: u64,
    /// Of these, beyond a bound.
    pub too_large: u64,
    /// Forensics whose description was not kept.
    pub forensics_dropped: u64,
    /// Made paths that were not kept.
    pub made_dropped: u64,
    /// Events besides that a verdict cache answered, the kernel's or the one before an agent elsewhere.
    #[serde(default)]
    pub cached: u64,
    /// Of the events judged, those that the kernel decided by the model before the agent was told.
    #[serde(default)]
    pub decided: u64,
}

/// How the first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// A namespace, running or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The namespace's name.
    pub name: String,
    /// `free`, `sealed` or `enforcing`.
    pub mode: String,
    /// `portable`.
    pub source: String,
    /// Where the agent runs.
    #[serde(default = "in_the_orchestrator")]
    pub tma: String,
    /// The workload's command line, lossily.
    pub command: Vec<String>,
    /// The file of the model in force, if one was given.
    pub model: Option<PathBuf>,
    /// The models that have replaced it while it ran, the one in force last; `model` is its file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replacement>,
    /// The orchestrator's process id.
    pub orchestrator: u32,
    /// Seconds since the epoch.
    pub started: u64,
    /// Seconds since the epoch; none while it runs.
    pub ended: Option<u64>,
    /// Seconds since the epoch at which this was taken, where the run may have gone on and nobody
    /// knows how: its orchestrator was lost. None of a run that goes on or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<u64>,
    /// None while it runs.
    pub exit: Option<Exit>,
    /// Events of the profile that were not judged, since the kernel lacks their hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_hooks: Vec<String>,
    /// 64 hexadecimal digits.
    pub state: String,
    /// 64 hexadecimal digits.
    pub measurement: String,
    /// What was counted.
    pub counts: RecordedCounts,
    /// Events the source denied because it could not judge them, by what they were.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The trajectory.
    pub observation: StoredObservation,
    /// Events outside the model.
    pub forensics: Vec<StoredForensic>,
    /// Good coefficients, sorted, 64 hexadecimal digits each.
    pub coefficients: Vec<String>,
}

/// A model that has replaced another while the namespace ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Its serial.
    pub serial: u64,
    /// Seconds since the epoch.
    pub when: u64,
    /// How many coefficients it has.
    pub coefficients: u64,
}

/// Records from before agents ran anywhere else.
fn in_the_orchestrator() -> String {
    crate::tma::Tma::Orchestrator.to_string()
}

/// The word for a mode.
pub const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Free => "free",
        Mode::Sealed => "sealed",
        Mode::Enforcing => "enforcing",
    }
}

impl RecordedCounts {
    /// The counts of an agent.
    pub fn of(snapshot: &Snapshot) -> Self {
        let counts = snapshot.counts;
        Self {
            events: counts.events,
            coefficients: snapshot.coefficients.len() as u64,
            violations: counts.violations,
            denied: counts.denied,
            losses: counts.losses(),
            dropped: counts.dropped,
            unreadable: counts.unreadable,
            too_large: counts.too_large,
            forensics_dropped: counts.forensics_dropped,
            made_dropped: counts.made_dropped,
            cached: snapshot.cached,
            decided: 0,
        }
    }
}

impl Record {
    /// Takes over what the agent holds now.
    pub fn update(&mut self, snapshot: &Snapshot) {
        let observation = &snapshot.observation;
        self.state = snapshot.state.to_hex();
        self.measurement = snapshot.measurement.to_hex();
        self.counts = RecordedCounts::of(snapshot);
        self.observation = observation.into();
        let forensics = snapshot.forensics.iter();
        self.forensics = forensics.map(|kept| StoredForensic::new(kept, observation)).collect();
        self.coefficients = snapshot.coefficients.iter().map(|digest| digest.to_hex()).collect();
    }

    /// Says that the agent was lost: what it held is not known, what was denied since is.
    pub fn agent_lost(&mut self, error: &AgentError, unasked: u64) {
        self.notes = vec![format!("the agent was lost ({error}); everything was denied since")];
        self.counts.denied += unasked;
        self.counts.dropped += unasked.max(1);
        self.counts.losses += unasked.max(1);
    }

    /// Whether the namespace still runs.
    pub fn is_running(&self) -> bool {
        self.ended.is_none() && self.unfinished.is_none()
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no record.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let text =
            fs::read(path).map_err(|source| RecordError::Io { path: path.into(), source })?;
        serde_json::from_slice(&text)
            .map_err(|source| RecordError::NotARecord { path: path.into(), source })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        self.write_by(write_atomically, path)
    }

    /// The same without waiting for the disk.
    pub(crate) fn write_unsynced(&self, path: &Path) -> Result<(), RecordError> {
        self.write_by(write_atomically_unsynced, path)
    }

    fn write_by(
        &self,
        write: fn(&Path, &[u8]) -> io::Result<()>,
        path: &Path,
    ) -> Result<(), RecordError> {
        let failed = |source| RecordError::Io { path: path.into(), source };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        write(path, &text).map_err(failed)
    }
}
