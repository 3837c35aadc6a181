//! The pipe by which signal handlers and other threads call the one that stays with a workload.
#![allow(unsafe_code, reason = "what a signal handler may do is write(2)")]

use std::fs::File;
use std::io;
use std::io::Read;
use std::mem;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;

/// Octets of a call; written whole, since that is less than `PIPE_BUF`.
const SIZE: usize = 12;

/// The writing end; set once, never closed.
static WRITER: AtomicI32 = AtomicI32::new(-1);
static READER: OnceLock<File> = OnceLock::new();
/// Whether [`call`] is in the pipe: once is enough.
static CALLED: AtomicBool = AtomicBool::new(false);

/// One signal, as the handler saw it; number 0 is a call without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) number: i32,
    pub(super) code: i32,
    pub(super) sender: i32,
}

/// Makes the pipe, if there is none yet.
pub(super) fn open() -> io::Result<()> {
    if READER.get().is_some() {
        return Ok(());
    }
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    for end in [&reader, &writer] {
        rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK)?;
    }
    if READER.set(File::from(reader)).is_ok() {
        WRITER.store(writer.as_raw_fd(), Ordering::SeqCst);
        // Handlers may run until the very end of the process: the descriptor is never closed.
        mem::forget(writer);
    }
    Ok(())
}

/// Has the one that stays with a workload look at what there is to tell.
pub(crate) fn call() {
    if !CALLED.swap(true, Ordering::AcqRel) && !write(Arrival { number: 0, code: 0, sender: 0 }) {
        // There is no pipe, or so much in it that it is read in any case.
        CALLED.store(false, Ordering::Release);
    }
}

/// Whether it is in the pipe. Calls write(2) alone, which is async-signal-safe.
pub(super) fn write(arrival: Arrival) -> bool {
    let octets = arrival.octets();
    let writer = WRITER.load(Ordering::SeqCst);
    // SAFETY: the array and its length are passed; without a pipe the number is none of a descriptor.
    let written = unsafe { libc::write(writer, octets.as_ptr().cast(), SIZE) };
    written == SIZE as isize
}

/// Readable when there is a call or a signal.
pub(super) fn reader() -> Option<BorrowedFd<'static>> {
    READER.get().map(File::as_fd)
}

/// The next signal that arrived, if any is left.
pub(super) fn next() -> Option<Arrival> {
    let mut reader = READER.get()?;
    loop {
        let arrival = Arrival::read(&mut reader).ok()?;
        if arrival.number != 0 {
            return Some(arrival);
        }
        // Who calls from now on is looked at after this.
        CALLED.swap(false, Ordering::AcqRel);
    }
}

impl Arrival {
    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut octets = [0; SIZE];
        from.read_exact(&mut octets)?;
        let word = |at: usize| {
            i32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
        };
        Ok(Self { number: word(0), code: word(4), sender: word(8) })
    }

    fn octets(self) -> [u8; SIZE] {
        let mut octets = [0; SIZE];
        octets[..4].copy_from_slice(&self.number.to_ne_bytes());
        octets[4..8].copy_from_slice(&self.code.to_ne_bytes());
        octets[8..].copy_from_slice(&self.sender.to_ne_bytes());
        octets
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::PollFd;
    use rustix::event::PollFlags;
    use rustix::event::Timespec;

    use super::*;

    #[test]
    fn calls_and_signals_come_out_of_the_pipe() {
        let called = || {
            let mut polled = [PollFd::from_borrowed_fd(reader().unwrap(), PollFlags::IN)];
            rustix::event::poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
        };
        call();
        assert_eq!(reader().map(|_| ()), None, "there is no pipe yet");
        open().unwrap();
        open().unwrap();
        assert_eq!(next(), None);
        let arrival = Arrival { number: 15, code: -6, sender: 4711 };
        call();
        assert!(write(arrival));
        call();
        assert!(called());
        assert_eq!((next(), next()), (Some(arrival), None));
        call();
        assert!(called(), "a call after the last look is a new one");
        assert_eq!(next(), None);
    }
}
