//! What a running namespace tells others: its record, over a socket in the runtime directory.
//!
//! Whoever connects gets the record as it is now, as JSON, and the end of the stream. The
//! directory is private to the user; nothing is read from the peer. Challenges and models, which
//! are, have sockets of their own.

mod attendant;
mod replacing;
mod socket;

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;
use tma_protocol::bound::NONCE;

use crate::agent::Attested;
use crate::places;
use crate::places::PlaceError;
use crate::record::Record;

use attendant::Attendant;
pub(crate) use attendant::Chore;
pub use replacing::replace;

/// A peer that does not read is dropped after this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running namespace cannot be reached or announced.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The runtime directory cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Another namespace runs under that name.
    #[error("a namespace named {0} is running; choose another --name")]
    NameTaken(String),
    /// The name would not be a file name.
    #[error("{0:?} is no name for a namespace: use letters, digits, '-', '_' and '.', at most 64")]
    BadName(String),
    /// The socket cannot be used.
    #[error("cannot use the control socket {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no attestation.
    #[error("there is no attestation: {0}")]
    NotAttested(String),
    /// Nobody runs under that name.
    #[error("no namespace named {0} runs; quixote ps lists what runs")]
    NotRunning(String),
    /// What runs has no model that could be replaced.
    #[error("{0} does not run under a model; only monitor and enforce do")]
    NoModel(String),
    /// It keeps the model that it has.
    #[error("the model was not replaced: {0}")]
    NotReplaced(String),
    /// What came back is no record.
    #[error("{path} did not answer with a record: {source}")]
    NotARecord {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// The socket of a namespace; gone when dropped.
#[derive(Debug)]
pub struct Announced {
    path: PathBuf,
    listener: UnixListener,
    attendant: Attendant,
}

impl Announced {
    /// Announces a namespace under a name that no other running one has.
    ///
    /// # Errors
    ///
    /// The name is taken or no name, or the socket cannot be made.
    pub fn new(name: &str) -> Result<Self, ControlError> {
        let path = socket_of(name)?;
        if socket::connect(&path).is_ok() {
            return Err(ControlError::NameTaken(name.into()));
        }
        // Nobody listens: what is left there is from an orchestrator that was killed.
        let _ = std::fs::remove_file(&path);
        let made = socket::bind(&path).and_then(|listener| Ok((listener, Attendant::start()?)));
        match made {
            Ok((listener, attendant)) => Ok(Self { path, listener, attendant }),
            Err(source) => Err(ControlError::Io { path, source }),
        }
    }

    /// Serves the record to whoever connects, as long as this lives.
    ///
    /// # Errors
    ///
    /// There is no descriptor.
    pub fn serve(&self, record: impl Fn() -> Record + Send + 'static) -> io::Result<()> {
        self.attendant.serve(self.listener.try_clone()?, move |stream| {
            // A peer that hangs up is its own loss.
            let _ = answer(stream, &record());
        });
        Ok(())
    }

    /// Does this again and again, as often as it says.
    pub(crate) fn take_on(&self, chore: Chore) {
        self.attendant.take_on(chore);
    }

    /// Serves in the stead of a thread, which ends: waits once, as [`Attendant::stand_in`] says.
    pub(crate) fn stand_in(
        &self,
        others: &[BorrowedFd<'_>],
        pause: Option<Duration>,
    ) -> io::Result<Vec<bool>> {
        self.attendant.stand_in(others, pause)
    }

    /// No more of what was taken on: what is being done of it is done when this returns.
    pub(crate) fn leave_off(&self) {
        self.attendant.leave_off();
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(attestations_of(&self.path));
        let _ = std::fs::remove_file(replacing::offers_of(&self.path));
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Announced {
    /// Signs for whoever connects and sends a challenge, as long as this lives.
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub fn serve_attestations(
        &self,
        attest: impl Fn(&[u8]) -> Result<Attested, String> + Send + 'static,
    ) -> Result<(), ControlError> {
        let path = attestations_of(&self.path);
        let _ = std::fs::remove_file(&path);
        let listener = socket::bind(&path).map_err(|source| ControlError::Io { path, source })?;
        self.attendant.serve(listener, move |stream| {
            // A peer that hangs up is its own loss.
            let _ = answer_challenge(stream, &attest);
        });
        Ok(())
    }
}

/// Beside the socket of the record.
fn attestations_of(socket: &Path) -> PathBuf {
    socket.with_extension("attest")
}

fn answer_challenge(
    mut stream: UnixStream,
    attest: impl Fn(&[u8]) -> Result<Attested, String>,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut nonce = Vec::new();
    (&mut stream).take(*NONCE.end() as u64 + 1).read_to_end(&mut nonce)?;
    let answer = if NONCE.contains(&nonce.len()) {
        attest(&nonce)
    } else {
        Err("a challenge has 8 to 64 octets".into())
    };
    stream.write_all(&serde_json::to_vec(&Answer::from(answer))?)
}

/// An attestation, or why there is none.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// In Base64: the statement and its key.
    Attested(String, String),
    /// In words.
    Refused(String),
}

impl From<Result<Attested, String>> for Answer {
    fn from(answer: Result<Attested, String>) -> Self {
        match answer {
            Ok(Attested { statement, key }) => {
                Self::Attested(STANDARD.encode(statement), STANDARD.encode(key))
            }
            Err(error) => Self::Refused(error),
        }
    }
}

/// What the agent of a running namespace signs for a challenge. Nothing of it is checked here.
///
/// # Errors
///
/// It does not run, does not answer, or its agent cannot sign.
pub fn attest(name: &str, nonce: &[u8]) -> Result<Attested, ControlError> {
    let path = attestations_of(&socket_of(name)?);
    let failed = |source| ControlError::Io { path: path.clone(), source };
    let mut stream = socket::connect(&path).map_err(failed)?;
    stream.set_read_timeout(Some(4 * PATIENCE)).map_err(failed)?;
    stream.write_all(nonce).map_err(failed)?;
    stream.shutdown(std::net::Shutdown::Write).map_err(failed)?;
    let mut text = Vec::new();
    (&mut stream).take(1 << 16).read_to_end(&mut text).map_err(failed)?;
    let answer: Answer = serde_json::from_slice(&text)
        .map_err(|source| ControlError::NotARecord { path: path.clone(), source })?;
    match answer {
        Answer::Refused(why) => Err(ControlError::NotAttested(why)),
        Answer::Attested(statement, key) => {
            let decoded = STANDARD.decode(statement).ok().zip(STANDARD.decode(key).ok());
            let read = decoded.and_then(|(statement, key)| {
                Some(Attested { statement, key: key.try_into().ok()? })
            });
            read.ok_or_else(|| ControlError::NotAttested("the answer is damaged".into()))
        }
    }
}

fn answer(mut stream: UnixStream, record: &Record) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&serde_json::to_vec(record)?)
}

/// The record of a running namespace.
///
/// # Errors
///
/// It does not run, or does not answer.
pub fn ask(name: &str) -> Result<Record, ControlError> {
    ask_socket(&socket_of(name)?)
}

/// The record of a namespace, if it runs.
///
/// # Errors
///
/// It runs and does not answer.
pub fn ask_if_running(name: &str) -> Result<Option<Record>, ControlError> {
    match ask(name) {
        Err(ControlError::Io { source, .. }) if is_nobody(&source) => Ok(None),
        answered => answered.map(Some),
    }
}

/// No socket, one that an orchestrator left that was killed, or one of a run that ends just now.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}

fn ask_socket(path: &Path) -> Result<Record, ControlError> {
    let failed = |source| ControlError::Io { path: path.into(), source };
    let mut stream = socket::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).map_err(failed)?;
    serde_json::from_slice(&text)
        .map_err(|source| ControlError::NotARecord { path: path.into(), source })
}

/// The records of all running namespaces of this user, by name. Sockets that nobody serves are
/// passed over.
///
/// # Errors
///
/// The runtime directory cannot be read.
pub fn running() -> Result<Vec<Record>, ControlError> {
    let dir = places::runtime_dir()?;
    let entries = std::fs::read_dir(&dir);
    let entries = entries.map_err(|source| ControlError::Io { path: dir, source })?;
    let sockets = entries.flatten().map(|entry| entry.path());
    let sockets = sockets.filter(|path| path.extension().is_some_and(|end| end == "sock"));
    let mut records: Vec<Record> = sockets.filter_map(|path| ask_socket(&path).ok()).collect();
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

fn socket_of(name: &str) -> Result<PathBuf, ControlError> {
    Ok(places::runtime_dir()?.join(format!("{}.sock", checked_name(name)?)))
}

/// A name that can stand in a file name.
///
/// # Errors
///
/// It has other characters than letters, digits, `-`, `_` and `.`, or none, or too many.
pub fn checked_name(name: &str) -> Result<&str, ControlError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=64).contains(&name.len()) && name.chars().all(fine) && !name.starts_with('.');
    if fits { Ok(name) } else { Err(ControlError::BadName(name.into())) }
}
