//! Messages to explicit addresses.
//!
//! The address stands in memory, so the message is read once and sent by us. Descriptors that
//! travel along are fetched from the caller; credentials that travel along can only be given by
//! the caller itself.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use tsem::EventKind;

use super::address::RawAddress;
use super::socket::Held;
use super::socket::judge_peer;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::socket_calls;
use crate::socket_calls::Message;
use crate::sys;
use crate::sys::Errno;

/// A longer message on a stream is sent in part, as the kernel may always do.
const DATA_MAX: usize = 1 << 20;
const CONTROL_MAX: usize = 1 << 16;
const VECTORS_MAX: usize = 1024;
const HEADER_SIZE: usize = 56;
const MULTI_HEADER_SIZE: u64 = 64;
const MESSAGES_MAX: u64 = 1024;
const CONTROL_HEADER_SIZE: usize = 16;

/// A message as it was read from the caller.
struct Read {
    address: Option<RawAddress>,
    data: Vec<u8>,
    control: Vec<u8>,
    /// Kept until the message is sent: the control data names our copies.
    _descriptors: Vec<OwnedFd>,
}

/// What a message asks for that only the caller itself can give.
struct CarriesCredentials;

pub(crate) fn sendto(call: &Call) -> Handled {
    let held = Held::of(call, call.argument(0))?;
    let address = RawAddress::read(call, call.argument(4), call.argument(5))?;
    let length = (call.argument(2) as usize).min(DATA_MAX);
    let data = call.bytes(call.argument(1), length)?;
    let message =
        Read { address: Some(address), data, control: Vec::new(), _descriptors: Vec::new() };
    send(call, held, message, call.argument(3) as i32)
}

pub(crate) fn sendmsg(call: &Call) -> Handled {
    let held = Held::of(call, call.argument(0))?;
    match read_message(call, call.argument(1))? {
        Ok(message) => send(call, held, message, call.argument(2) as i32),
        Err(CarriesCredentials) => pass_on(call),
    }
}

/// Sends one message after the other; a failure after the first ends with those that were sent.
pub(crate) fn sendmmsg(call: &Call) -> Handled {
    let count = (call.argument(2) as u32 as u64).min(MESSAGES_MAX);
    let flags = call.argument(3) as i32;
    let mut sent = 0;
    while sent < count {
        let at = call.argument(1) + sent * MULTI_HEADER_SIZE;
        match send_one(call, at, flags) {
            Ok(length) => {
                let length = (length as u32).to_ne_bytes();
                sys::write_memory(call.thread.tid, at + HEADER_SIZE as u64, &length)?;
            }
            Err(refusal) if sent == 0 => return Err(refusal),
            Err(Refusal::Kill) => return Err(Refusal::Kill),
            Err(Refusal::Errno(_)) => break,
        }
        sent += 1;
    }
    Ok(Outcome::Value(sent as i64))
}

fn send_one(call: &Call, at: u64, flags: i32) -> Result<i64, Refusal> {
    let held = Held::of(call, call.argument(0))?;
    let Ok(message) = read_message(call, at)? else { return Err(unfilterable(call)) };
    let sending = Sending::judged(call, held, message, flags)?;
    // Several messages that block are not carried on elsewhere: the caller tries again.
    Ok(sending.try_now(call)?)
}

fn send(call: &Call, held: Held, message: Read, flags: i32) -> Handled {
    let may_block =
        flags & libc::MSG_DONTWAIT == 0 && !socket_calls::is_nonblocking(held.fd.as_fd())?;
    let sending = Sending::judged(call, held, message, flags)?;
    match sending.try_now(call) {
        Err(Errno(libc::EAGAIN)) if may_block => {
            let call = call.clone();
            Ok(Outcome::Blocking(Box::new(move || sending.wait(&call))))
        }
        Err(errno) => Err(errno.into()),
        Ok(sent) => Ok(Outcome::Value(sent)),
    }
}

/// A message that was judged.
struct Sending {
    held: Held,
    address: Vec<u8>,
    message: Read,
    flags: i32,
    _peer: Option<super::socket::Peer>,
}

impl Sending {
    fn judged(call: &Call, held: Held, mut message: Read, flags: i32) -> Result<Self, Refusal> {
        let address = message.address.take();
        let peer = address
            .map(|address| judge_peer(call, &held, address, EventKind::SocketSendmsg))
            .transpose()?;
        let address = peer.as_ref().map(|peer| peer.raw().octets().to_vec()).unwrap_or_default();
        Ok(Self { held, address, message, flags, _peer: peer })
    }

    fn try_now(&self, call: &Call) -> Result<i64, Errno> {
        self.attempt(call, self.flags | libc::MSG_DONTWAIT)
    }

    /// Until it is sent, or a signal interrupts.
    fn wait(&self, call: &Call) -> Handled {
        Ok(Outcome::Value(self.attempt(call, self.flags)?))
    }

    fn attempt(&self, call: &Call, flags: i32) -> Result<i64, Errno> {
        let (data, control) = (&*self.message.data, &*self.message.control);
        let message = Message { address: &self.address, data, control, flags };
        let sent = call.as_identity(|| socket_calls::send(self.held.fd.as_fd(), &message));
        if let Err(Errno(libc::EPIPE)) = sent
            && self.flags & libc::MSG_NOSIGNAL == 0
        {
            sys::signal_foreign_thread(call.process().pid, call.thread.tid, libc::SIGPIPE);
        }
        sent
    }
}

/// Credentials in a message must be those of the process that sends it.
fn pass_on(call: &Call) -> Handled {
    let header = call.argument(1);
    if !call.memory_is_private(header, HEADER_SIZE as u64) || !call.descriptors_are_private() {
        return Err(unfilterable(call));
    }
    let words = Words(call.bytes(header, HEADER_SIZE)?);
    let (address, control) = ((words.at(0), words.at(1) as u32), (words.at(4), words.at(5)));
    if !call.memory_is_private(control.0, control.1) || address.0 != 0 {
        return Err(unfilterable(call));
    }
    Ok(Outcome::Continue)
}

fn unfilterable(call: &Call) -> Refusal {
    super::guards::refused(call)
}

/// Machine words of a structure that was read.
struct Words(Vec<u8>);

impl Words {
    fn at(&self, index: usize) -> u64 {
        let octets = self.0.get(index * 8..index * 8 + 8).and_then(|octets| octets.try_into().ok());
        octets.map_or(0, u64::from_ne_bytes)
    }
}

/// Reads `struct msghdr` and all it points to, each once.
fn read_message(call: &Call, at: u64) -> Result<Result<Read, CarriesCredentials>, Errno> {
    let header = Words(call.bytes(at, HEADER_SIZE)?);
    let (name, name_length) = (header.at(0), header.at(1) as u32);
    let address = match name {
        0 => None,
        _ if name_length == 0 => None,
        _ => Some(RawAddress::read(call, name, name_length.into())?),
    };
    let data = read_vectors(call, header.at(2), header.at(3))?;
    let length = header.at(5) as usize;
    if length > CONTROL_MAX {
        return Err(Errno(libc::ENOBUFS));
    }
    let mut control = if length == 0 { Vec::new() } else { call.bytes(header.at(4), length)? };
    match fetch_descriptors(call, &mut control)? {
        Some(descriptors) => Ok(Ok(Read { address, data, control, _descriptors: descriptors })),
        None => Ok(Err(CarriesCredentials)),
    }
}

fn read_vectors(call: &Call, at: u64, count: u64) -> Result<Vec<u8>, Errno> {
    let count = usize::try_from(count).ok().filter(|count| *count <= VECTORS_MAX);
    let count = count.ok_or(Errno(libc::EMSGSIZE))?;
    let vectors = Words(call.bytes(at, count * 16)?);
    let mut data = Vec::new();
    for index in 0..count {
        let (base, length) = (vectors.at(index * 2), vectors.at(index * 2 + 1));
        let room = DATA_MAX - data.len();
        let length = usize::try_from(length).map_err(|_| Errno(libc::EINVAL))?.min(room);
        if length > 0 {
            data.extend(call.bytes(base, length)?);
        }
    }
    Ok(data)
}

/// Replaces the caller's descriptor numbers by those of our copies; nothing if credentials are
/// carried.
fn fetch_descriptors(call: &Call, control: &mut [u8]) -> Result<Option<Vec<OwnedFd>>, Errno> {
    let mut descriptors = Vec::new();
    let mut at = 0;
    while let Some(header) = control.get(at..at + CONTROL_HEADER_SIZE) {
        let words = Words(header.to_vec());
        let length = words.at(0) as usize;
        let (level, kind) = (words.at(1) as u32 as i32, (words.at(1) >> 32) as i32);
        let end = at.checked_add(length).filter(|end| *end <= control.len());
        let (true, Some(end)) = (length >= CONTROL_HEADER_SIZE, end) else {
            return Err(Errno(libc::EINVAL));
        };
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => return Ok(None),
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for number in control[at + CONTROL_HEADER_SIZE..end].chunks_exact_mut(4) {
                    let theirs = number.first_chunk().map_or(-1, |n| i32::from_ne_bytes(*n));
                    let copy = call.descriptor(theirs)?;
                    number.copy_from_slice(&copy.as_raw_fd().to_ne_bytes());
                    descriptors.push(copy);
                }
            }
            _ => {}
        }
        at += length.next_multiple_of(8);
    }
    Ok(Some(descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beyond_the_end_are_zero() {
        let words = Words(vec![1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((words.at(0), words.at(1)), (1, 0));
    }
}
