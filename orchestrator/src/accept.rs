//! Reviewed forensics become an addition to a model, under a new serial number.
//!
//! The events are formed anew from the record under the model's rules; no coefficient of a record
//! is taken on trust. What is added is for a reviewer to see before it is written.

use thiserror::Error;
use tsem::EncodeError;
use tsem::FormedEvent;
use tsem::ObservedEvent;

use crate::model_file::model::ModelFile;
use crate::model_file::review::nearest::Near;
use crate::model_file::review::nearest::nearest;
use crate::record::Record;
use crate::stored::StoredError;

/// Forensics cannot be added to a model.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The record is damaged.
    #[error("the record is damaged: {0}; run the workload again")]
    Stored(#[from] StoredError),
    /// An event of the record cannot be encoded.
    #[error("the record is damaged: {0}; run the workload again")]
    Encode(EncodeError),
    /// Nothing has that name.
    #[error("no event of the record is called {0}; 'quixote show NAME forensics' lists them")]
    NoSuchForensic(String),
    /// Several events have that name.
    #[error("{0} begins more than one coefficient of the record; give more digits")]
    Ambiguous(String),
    /// There is no higher serial.
    #[error(
        "the model has the highest serial number that there is, so no newer model can follow it"
    )]
    LastSerial,
}

/// Which of the forensics of a record are meant: their row numbers from 1, or leading digits of
/// their coefficients. Gives rows from 0, ascending, each once.
///
/// # Errors
///
/// A name that is nobody's, or of several.
pub fn choose(record: &Record, names: &[String]) -> Result<Vec<usize>, AcceptError> {
    let rows = names.iter().map(|name| row_of(record, name));
    let mut rows: Vec<usize> = rows.collect::<Result<_, _>>()?;
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

/// Digits of a coefficient shorter than this are a row number.
const COEFFICIENT_DIGITS_MIN: usize = 8;

fn row_of(record: &Record, name: &str) -> Result<usize, AcceptError> {
    let nobody = || AcceptError::NoSuchForensic(name.into());
    if name.len() < COEFFICIENT_DIGITS_MIN {
        let number: usize = name.parse().map_err(|_| nobody())?;
        let row = number.checked_sub(1).filter(|row| *row < record.forensics.len());
        return row.ok_or_else(nobody);
    }
    let rows = record.forensics.iter().enumerate();
    let mut called = rows.filter(|(_, forensic)| forensic.coefficient.starts_with(name));
    match (called.next(), called.next()) {
        (Some((row, _)), None) => Ok(row),
        (Some(_), Some(_)) => Err(AcceptError::Ambiguous(name.into())),
        (None, _) => Err(nobody()),
    }
}

/// What a model says to one of the forensics of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// It holds the event by now.
    pub held: bool,
    /// What it allows that is nearest, the most telling first.
    pub nearest: Vec<Near>,
}

/// What a model says to each of the forensics of a record, in their order.
///
/// # Errors
///
/// A damaged record.
pub fn answers(model: &ModelFile, record: &Record) -> Result<Vec<Answer>, AcceptError> {
    let observation = record.observation.read()?;
    let attempts = record.forensics.iter().enumerate();
    let attempts = attempts.map(|(row, kept)| kept.event.read(row, observation.tasks.len()));
    let attempts: Vec<ObservedEvent> = attempts.collect::<Result<_, _>>()?;
    let formed = observation.form_attempts(model.rules(), &attempts);
    let answer = |event: &FormedEvent| {
        let held = model.contains(&event.coefficient);
        Answer { held, nearest: if held { Vec::new() } else { nearest(model, event) } }
    };
    Ok(formed.map_err(AcceptError::Encode)?.iter().map(answer).collect())
}

/// The model with these forensics of the record added, under the next serial number; equal to
/// `model` if it holds all of them already.
///
/// # Errors
///
/// A damaged record, or a model that no serial number can follow.
pub fn accept(
    model: &ModelFile,
    record: &Record,
    rows: &[usize],
) -> Result<ModelFile, AcceptError> {
    let observation = record.observation.read()?;
    let chosen = rows.iter().filter_map(|row| Some((*row, record.forensics.get(*row)?)));
    let chosen = chosen.map(|(row, stored)| stored.event.read(row, observation.tasks.len()));
    let chosen: Vec<ObservedEvent> = chosen.collect::<Result<_, _>>()?;
    if model.header().serial == u64::MAX {
        return Err(AcceptError::LastSerial);
    }
    let mut extended = model.clone();
    extended.accept(&observation.tasks, &chosen).map_err(AcceptError::Encode)?;
    Ok(extended)
}
