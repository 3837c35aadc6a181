//! A byte stream to an agent: a socket, a terminal line, the console of a virtual machine.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::fs::OFlags;

use crate::agent::AgentError;

/// A byte stream, and whoever must live as long as it does.
#[derive(Debug)]
pub struct Wire {
    file: File,
    /// Ended with the wire.
    carrier: Mutex<Option<Child>>,
    /// Whether the last answer was quick, so that the next one is looked for before sleeping.
    quick: AtomicBool,
}

/// An answer within this time was quick: sleeping and being woken costs a good part of it.
const QUICK: Duration = Duration::from_micros(60);
/// How long a quick answer is looked for; whoever else wants the processor has it meanwhile.
const LOOKED_FOR: Duration = Duration::from_micros(40);

impl Wire {
    /// A wire over a descriptor that is read and written. `carrier` is killed with it.
    ///
    /// # Errors
    ///
    /// The descriptor cannot be set to return at once.
    pub fn new(fd: OwnedFd, carrier: Option<Child>) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        Ok(Self { file: fd.into(), carrier: Mutex::new(carrier), quick: AtomicBool::new(false) })
    }

    /// The process id of the agent, where it is our child.
    pub fn carrier_pid(&self) -> Option<u32> {
        let carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        carrier.as_ref().map(Child::id)
    }

    /// Reads what is there, waiting at most so long for the first octet.
    ///
    /// # Errors
    ///
    /// Nothing came in time, or nothing ever will.
    pub fn read(&self, octets: &mut [u8], patience: Duration) -> Result<usize, AgentError> {
        let begun = Instant::now();
        loop {
            match (&self.file).read(octets) {
                Ok(0) => return Err(AgentError::Gone),
                Ok(read) => {
                    self.quick.store(begun.elapsed() < QUICK, Ordering::Relaxed);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.looks(begun) => {
                    std::thread::yield_now();
                }
                Err(error) => self.wait(error, PollFlags::IN, begun + patience, patience)?,
            }
        }
    }

    fn looks(&self, begun: Instant) -> bool {
        self.quick.load(Ordering::Relaxed) && begun.elapsed() < LOOKED_FOR
    }

    /// Writes all, waiting at most so long for room.
    ///
    /// # Errors
    ///
    /// There was no room in time, or nobody reads any more.
    pub fn write_all(&self, mut octets: &[u8], patience: Duration) -> Result<(), AgentError> {
        let deadline = Instant::now() + patience;
        while !octets.is_empty() {
            match (&self.file).write(octets) {
                Ok(written) => octets = &octets[written..],
                Err(error) => self.wait(error, PollFlags::OUT, deadline, patience)?,
            }
        }
        Ok(())
    }

    fn wait(
        &self,
        error: io::Error,
        flags: PollFlags,
        deadline: Instant,
        patience: Duration,
    ) -> Result<(), AgentError> {
        match error.kind() {
            io::ErrorKind::WouldBlock => {}
            io::ErrorKind::Interrupted => return Ok(()),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                return Err(AgentError::Gone);
            }
            kind => return Err(AgentError::Wire(kind)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AgentError::Silent(patience.as_secs()));
        }
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut set = [PollFd::from_borrowed_fd(self.file.as_fd(), flags)];
        match poll(&mut set, Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(AgentError::Wire(io::Error::from(errno).kind())),
        }
    }

    /// Ends the stream, so that whoever waits on it returns.
    pub(crate) fn shut_down(&self) {
        // What is no socket has no such call; its readers return at their deadline.
        let _ = rustix::net::shutdown(&self.file, rustix::net::Shutdown::Both);
        let mut carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut carrier) = carrier.take() {
            let _ = carrier.kill();
            let _ = carrier.wait();
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shut_down();
    }
}
