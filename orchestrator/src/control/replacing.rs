//! Models that are offered to a running namespace, over a socket of their own.
//!
//! A peer sends the model's path, its octets and those of its signature if it has one, each after
//! its length as a u64, and the end of the stream. What is sent is bounded, and so is the time.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use serde::Deserialize;
use serde::Serialize;

use super::Announced;
use super::ControlError;
use super::PATIENCE;
use super::ask_if_running;
use super::is_nobody;
use super::socket;
use super::socket_of;
use crate::model_file::format::MODEL_MAX;
use crate::model_file::signing::ENVELOPE_MAX;
use crate::model_file::trust::Unverified;
use crate::replacement::Replaced;
use crate::replacement::recordable;

/// A peer that has not sent all of a model by then is dropped.
const OFFER_TIME: Duration = Duration::from_secs(60);
/// The largest model is read, hashed and put in force by then.
const ANSWER_TIME: Duration = Duration::from_secs(600);
const ANSWER_MAX: u64 = 1 << 16;
const LENGTH: usize = size_of::<u64>();
const OFFER_MAX: u64 = 3 * LENGTH as u64 + tsem::TEXT_MAX as u64 + MODEL_MAX + ENVELOPE_MAX;

/// Where models are offered. Who connects waits until they are looked at.
pub(crate) struct Offers(UnixListener);

/// What became of an offer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Replaced(Replaced),
    /// In words.
    Refused(String),
}

impl Announced {
    /// Takes offers from now on.
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub(crate) fn take_offers(&self) -> Result<Offers, ControlError> {
        let path = offers_of(&self.path);
        let _ = std::fs::remove_file(&path);
        match socket::bind(&path) {
            Ok(listener) => Ok(Offers(listener)),
            Err(source) => Err(ControlError::Io { path, source }),
        }
    }

    /// Answers every offer, one after the other, as long as this lives.
    pub(crate) fn serve_offers(
        &self,
        Offers(listener): Offers,
        replace: impl Fn(Unverified) -> Result<Replaced, String> + Send + 'static,
    ) {
        self.attendant.serve(listener, move |stream| {
            // A peer that hangs up is its own loss.
            let _ = answer_offer(stream, &replace);
        });
    }
}

/// Beside the socket of the record.
pub(super) fn offers_of(socket: &Path) -> PathBuf {
    socket.with_extension("replace")
}

fn answer_offer(
    mut stream: UnixStream,
    replace: impl Fn(Unverified) -> Result<Replaced, String>,
) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut octets = Vec::new();
    let until = Instant::now() + OFFER_TIME;
    Until { stream: &stream, until }.take(OFFER_MAX + 1).read_to_end(&mut octets)?;
    let offered = offered(&octets).ok_or_else(|| "what was sent is no offer of a model".to_owned());
    drop(octets);
    let answer = match offered.and_then(replace) {
        Ok(replaced) => Answer::Replaced(replaced),
        Err(why) => Answer::Refused(why),
    };
    stream.write_all(&serde_json::to_vec(&answer)?)
}

/// A stream that is read until a moment.
struct Until<'a> {
    stream: &'a UnixStream,
    until: Instant,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left.min(PATIENCE)))?;
        self.stream.read(buffer)
    }
}

/// What an offer consists of; none if it is no offer.
fn offered(octets: &[u8]) -> Option<Unverified> {
    let (path, rest) = part(octets)?;
    let (text, rest) = part(rest)?;
    let signature = if rest.is_empty() { None } else { Some(part(rest)?) };
    if signature.is_some_and(|(_, rest)| !rest.is_empty()) {
        return None;
    }
    let signature = signature.map(|(signature, _)| signature.to_vec());
    Unverified::of(recordable(path)?, text.to_vec(), signature).ok()
}

/// The first part, and what follows it.
fn part(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<LENGTH>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

fn send(mut stream: &UnixStream, model: &Unverified) -> io::Result<()> {
    let (text, signature) = model.parts();
    let parts = [model.path().as_os_str().as_bytes(), text];
    for part in parts.into_iter().chain(signature) {
        stream.write_all(&(part.len() as u64).to_le_bytes())?;
        stream.write_all(part)?;
    }
    stream.shutdown(Shutdown::Write)
}

/// Offers a model to a running namespace: what it was replaced by, or why it was not. Nothing of
/// the model is checked here.
///
/// # Errors
///
/// It does not run, runs without a model, or does not take this one.
pub fn replace(name: &str, model: &Unverified) -> Result<Replaced, ControlError> {
    let path = offers_of(&socket_of(name)?);
    let failed = |source| ControlError::Io { path: path.clone(), source };
    let stream = match socket::connect(&path) {
        Err(source) if is_nobody(&source) => return Err(not_taken(name)?),
        connected => connected.map_err(failed)?,
    };
    stream.set_write_timeout(Some(OFFER_TIME)).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_TIME)).map_err(failed)?;
    send(&stream, model).map_err(failed)?;
    let mut text = Vec::new();
    (&stream).take(ANSWER_MAX).read_to_end(&mut text).map_err(failed)?;
    match serde_json::from_slice(&text) {
        Ok(Answer::Replaced(replaced)) => Ok(replaced),
        Ok(Answer::Refused(why)) => Err(ControlError::NotReplaced(why)),
        Err(source) => Err(ControlError::NotARecord { path, source }),
    }
}

/// Why nobody takes offers.
fn not_taken(name: &str) -> Result<ControlError, ControlError> {
    Ok(match ask_if_running(name)? {
        None => ControlError::NotRunning(name.into()),
        Some(_) => ControlError::NoModel(name.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(parts: &[&[u8]]) -> Vec<u8> {
        let with_length = |part: &&[u8]| [&(part.len() as u64).to_le_bytes(), *part].concat();
        parts.iter().flat_map(with_length).collect()
    }

    /// Serves one peer that sends this; what it was answered.
    fn answer_to(sent: &[u8]) -> Answer {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let serving = std::thread::spawn(move || {
            answer_offer(theirs, |offered| {
                let (text, signature) = offered.parts();
                Err(format!("{:?} {text:?} {signature:?}", offered.path()))
            })
        });
        (&ours).write_all(sent).unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        let mut text = Vec::new();
        (&ours).read_to_end(&mut text).unwrap();
        serving.join().unwrap().unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn refusal(sent: &[u8]) -> String {
        match answer_to(sent) {
            Answer::Refused(why) => why,
            Answer::Replaced(replaced) => panic!("{replaced:?}"),
        }
    }

    #[test]
    fn an_offer_arrives_as_it_was_sent() {
        assert_eq!(refusal(&octets(&[b"/m", b"ab"])), "\"/m\" [97, 98] None");
        assert_eq!(refusal(&octets(&[b"/m", b"ab", b"c"])), "\"/m\" [97, 98] Some([99])");
        let (ours, theirs) = UnixStream::pair().unwrap();
        let model = Unverified::of(Path::new("/m"), b"ab".to_vec(), Some(b"c".to_vec())).unwrap();
        send(&ours, &model).unwrap();
        let mut sent = Vec::new();
        (&theirs).read_to_end(&mut sent).unwrap();
        assert_eq!(sent, octets(&[b"/m", b"ab", b"c"]));
    }

    #[test]
    fn what_is_no_offer_is_none() {
        let whole = octets(&[b"/m", b"ab", b"c"]);
        let mut damaged: Vec<Vec<u8>> = (0..whole.len()).map(|end| whole[..end].to_vec()).collect();
        // An offer may end after the model: it has no signature then.
        damaged.remove(octets(&[b"/m", b"ab"]).len());
        damaged.push([&whole[..], b"x"].concat());
        damaged.push(octets(&[b"m", b"ab"]));
        damaged.push(octets(&[b"/m", b"ab", &vec![0; ENVELOPE_MAX as usize + 1]]));
        damaged.push([[0xff; 8].as_slice(), b"/m"].concat());
        for sent in damaged {
            assert_eq!(refusal(&sent), "what was sent is no offer of a model", "{}", sent.len());
        }
    }

    #[test]
    fn a_peer_that_goes_on_too_long_is_dropped() {
        let (_ours, theirs) = UnixStream::pair().unwrap();
        let mut late = Until { stream: &theirs, until: Instant::now() };
        assert_eq!(late.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut soon = Until { until: Instant::now() + Duration::from_millis(20), ..late };
        let error = soon.read(&mut [0]).unwrap_err().kind();
        assert!(matches!(error, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error:?}");
    }
}
