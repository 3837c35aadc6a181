//! Learning: several runs into one model, and what the runs tell about it.
//!
//! A run is only ever added; the model is formed anew from all runs under the rules that the user
//! accepted, so that a rule found late also covers what was seen early.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use thiserror::Error;
use tsem::EncodeError;
use tsem::Observation;
use tsem::Platform;
use tsem::Profile;
use tsem::Rules;

use crate::model_file::format::Descriptions;
use crate::model_file::format::FormatError;
use crate::model_file::header::Header;
use crate::model_file::header::Workload as WorkloadName;
use crate::model_file::header::WorkloadError;
use crate::model_file::model::ModelFile;
use crate::runs::LearningRun;
use crate::runs::RunsError;
use crate::runs::append_run;
use crate::runs::check_appendable;
use crate::runs::read_runs;
use crate::runs::runs_path;
use crate::workload::Finished;

/// Learning failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The runs beside the model.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// The model that is to be continued, or written.
    #[error("{path}: {source}")]
    Model {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: FormatError,
    },
    /// Its name.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// There is a model but none of the runs it was learned from.
    #[error(
        "{path} is there but {runs} is not, so it cannot be learned further: choose another -o, or \
         add to the model with 'quixote accept'"
    )]
    NoRuns {
        /// The model.
        path: PathBuf,
        /// Where its runs should be.
        runs: PathBuf,
    },
    /// It is about other events than those that are asked for.
    #[error(
        "{path} has runs of the profile '{}': learn --anew, or choose another -o", profile.name()
    )]
    OtherProfile {
        /// The model.
        path: PathBuf,
        /// What its runs are of.
        profile: Profile,
    },
    /// A run holds what cannot be encoded.
    #[error("a learning run is damaged ({0:?}); remove the .runs file to learn anew")]
    Encode(EncodeError),
}

/// A model that is being learned.
#[derive(Clone, Debug)]
pub struct Lesson {
    path: PathBuf,
    header: Header,
    runs: Vec<LearningRun>,
    /// Earlier runs are forgotten once there is a new one.
    forgets: bool,
}

impl Lesson {
    /// Begins a model, or continues one that lies at `path` with its runs beside it. The rules of
    /// a model that is continued stay, `rules` come on top.
    ///
    /// # Errors
    ///
    /// The files are damaged, the model is there without its runs, or no run could be kept.
    pub fn open(path: &Path, workload: &str, rules: &Rules) -> Result<Self, LearnError> {
        let runs = read_runs(&runs_path(path))?;
        check_appendable(&runs_path(path))?;
        let mut header = match existing_header(path)? {
            Some(_) if runs.is_empty() => {
                return Err(LearnError::NoRuns { path: path.into(), runs: runs_path(path) });
            }
            Some(header) => header,
            None => fresh_header(WorkloadName::parse(workload)?),
        };
        header.rules.unite(rules);
        header.rules.ephemeral = rules.ephemeral;
        Ok(Self { path: path.into(), header, runs, forgets: false })
    }

    /// Begins a model anew. What lies at `path` stays until the first run has ended; then its runs
    /// and rules are forgotten, not its serial: whoever accepted the old model would refuse a new
    /// one with a lower number.
    ///
    /// # Errors
    ///
    /// The name is none, or no run could be kept.
    pub fn anew(path: &Path, workload: &str, rules: &Rules) -> Result<Self, LearnError> {
        check_appendable(&runs_path(path))?;
        let mut header = fresh_header(WorkloadName::parse(workload)?);
        header.rules = rules.clone();
        if let Ok(Some(before)) = existing_header(path) {
            header.serial = before.serial;
        }
        Ok(Self { path: path.into(), header, runs: Vec::new(), forgets: true })
    }

    /// Says which events the model is to be about.
    ///
    /// # Errors
    ///
    /// It has runs of another profile.
    pub fn choose_profile(&mut self, profile: Profile) -> Result<(), LearnError> {
        let before = self.header.rules.profile;
        if before != profile && !self.runs.is_empty() {
            return Err(LearnError::OtherProfile { path: self.path.clone(), profile: before });
        }
        self.header.rules.profile = profile;
        Ok(())
    }

    /// The rules under which the next run is formed.
    pub fn rules(&self) -> &Rules {
        &self.header.rules
    }

    /// The rules, to add those that the user accepts.
    pub fn rules_mut(&mut self) -> &mut Rules {
        &mut self.header.rules
    }

    /// All runs, oldest first.
    pub fn runs(&self) -> &[LearningRun] {
        &self.runs
    }

    /// How long to wait before the next run, at most a second: it has to begin in a later second
    /// than the one in which the last was kept. Names that are made from the time would be the same
    /// in runs of one second, and no rule be proposed for them.
    pub fn pause(&self) -> Duration {
        let kept = std::fs::metadata(runs_path(&self.path)).and_then(|runs| runs.modified());
        kept.map_or(Duration::ZERO, |kept| until_a_later_second(kept, SystemTime::now()))
    }

    /// Keeps a run that has ended.
    ///
    /// # Errors
    ///
    /// The runs beside the model cannot be written.
    pub fn add(&mut self, finished: &Finished) -> Result<(), LearnError> {
        let run = LearningRun {
            command: finished.record.command.clone(),
            started: finished.record.started,
            counts: finished.record.counts,
            observation: finished.observation.clone(),
        };
        if std::mem::take(&mut self.forgets) {
            self.forget()?;
        }
        append_run(&runs_path(&self.path), &run)?;
        let mut unlearned = finished.record.missing_hooks.clone();
        if !self.runs.is_empty() {
            unlearned.retain(|name| self.header.unlearned_hooks().contains(name));
        }
        self.header.set_unlearned_hooks(&unlearned);
        self.header.source.clone_from(&finished.record.source);
        self.runs.push(run);
        Ok(())
    }

    /// Removes the earlier runs, and a model whose serial cannot be read.
    fn forget(&self) -> Result<(), LearnError> {
        remove(&runs_path(&self.path))?;
        if existing(&self.path).is_err() { remove(&self.path) } else { Ok(()) }
    }

    /// The model of all runs under the rules.
    ///
    /// # Errors
    ///
    /// A run is damaged.
    pub fn model(&self) -> Result<ModelFile, LearnError> {
        let mut header = self.header.clone();
        header.events = self.runs.iter().map(|run| run.counts.events).sum();
        header.losses = self.runs.iter().map(|run| run.counts.losses).sum();
        let observations: Vec<&Observation> =
            self.runs.iter().map(|run| &run.observation).collect();
        ModelFile::learned(header, &observations).map_err(LearnError::Encode)
    }

    /// Writes the model. One that was there and differs is replaced under a new serial.
    ///
    /// # Errors
    ///
    /// A run is damaged, or the file cannot be written.
    pub fn write(&mut self) -> Result<ModelFile, LearnError> {
        let mut model = self.model()?;
        let failed = |source| LearnError::Model { path: self.path.clone(), source };
        if let Some(before) = existing(&self.path)?
            && (before.state() != model.state() || before.rules() != model.rules())
        {
            self.header.serial = before.header().serial + 1;
            model.header_mut().serial = self.header.serial;
        }
        model.write(&self.path, Descriptions::Keep).map_err(failed)?;
        Ok(model)
    }
}

fn until_a_later_second(kept: SystemTime, now: SystemTime) -> Duration {
    let since_epoch = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH);
    match (since_epoch(kept), since_epoch(now)) {
        (Ok(kept), Ok(now)) if kept.as_secs() == now.as_secs() => {
            Duration::from_nanos(1_000_000_000 - u64::from(now.subsec_nanos()))
        }
        _ => Duration::ZERO,
    }
}

fn remove(path: &Path) -> Result<(), LearnError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RunsError::Io { path: path.into(), source }.into())
        }
        _ => Ok(()),
    }
}

fn existing(path: &Path) -> Result<Option<ModelFile>, LearnError> {
    let failed = |source| LearnError::Model { path: path.into(), source };
    if let Ok(false) = path.try_exists() {
        return Ok(None);
    }
    let text = ModelFile::read_text(path).map_err(failed)?;
    Ok(Some(ModelFile::parse(&text).map_err(failed)?))
}

fn existing_header(path: &Path) -> Result<Option<Header>, LearnError> {
    Ok(existing(path)?.map(|model| model.header().clone()))
}

pub(crate) fn fresh_header(workload: WorkloadName) -> Header {
    Header {
        workload,
        serial: 1,
        platform: Platform::NONE,
        source: "portable".into(),
        runs: 0,
        events: 0,
        losses: 0,
        created_by: concat!("quixote ", env!("CARGO_PKG_VERSION")).into(),
        learned_on: kernel_release().unwrap_or_else(|_| "unknown".into()),
        rules: Rules::default(),
    }
}

fn kernel_release() -> io::Result<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("Linux {} {}", release.trim(), std::env::consts::ARCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_begins_in_a_later_second() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(until_a_later_second(at(5_200), at(5_900)), Duration::from_millis(100));
        assert_eq!(until_a_later_second(at(5_000), at(5_000)), Duration::from_secs(1));
        assert_eq!(until_a_later_second(at(5_900), at(6_000)), Duration::ZERO);
        assert_eq!(until_a_later_second(at(9_000), at(6_000)), Duration::ZERO, "a clock set back");
    }
}
