//! The suite over a wire of the orchestrator: any locality that `--tma` names.
//!
//! A console and a serial line are one wire for the whole suite; its sessions follow one another on
//! it. A socket that listens is connected to anew for each session.

use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use orchestrator::tma::Tma;
use orchestrator::tma::TmaError;
use orchestrator::wire::Wire;
use tma_protocol::Identity;
use tma_protocol::PublicIdentity;

use crate::Line;

/// Longer than an emulated device under load needs for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent by its locality.
pub struct Place {
    tma: Tma,
    orchestrator: Identity,
    /// Kept where all sessions share one wire.
    wire: Option<Arc<Wire>>,
    /// Who the agent must prove to be.
    pub agent: PublicIdentity,
    /// What it took until the agent was there, where we started it.
    pub start: Option<Start>,
}

/// What starting an agent took: a process, or a machine and its emulator.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Until it could be spoken to.
    pub elapsed: Duration,
    /// Of its process until then; what else the machine does is not in it.
    pub processor: Duration,
}

impl Place {
    /// Starts or reaches the agent. `shared` keeps one wire for all sessions also where the locality
    /// is a socket: an emulated serial line, which loses what is said while nobody is connected.
    ///
    /// # Errors
    ///
    /// It cannot be started or reached, or is not provisioned for this orchestrator.
    pub fn new(tma: Tma, orchestrator: Identity, shared: bool) -> Result<Self, TmaError> {
        let begun = Instant::now();
        let (wire, agent) = tma.open(&orchestrator, &[])?;
        let elapsed = begun.elapsed();
        let processor = wire.carrier_pid().and_then(processor_time);
        let start = processor.map(|processor| Start { elapsed, processor });
        let listens = matches!(tma, Tma::Unix(_) | Tma::Vsock { .. });
        let wire = (shared || !listens).then(|| Arc::new(wire));
        Ok(Self { tma, orchestrator, wire, agent, start })
    }

    /// Opens a byte stream to it.
    ///
    /// # Panics
    ///
    /// It cannot be reached any more.
    pub fn line(&self) -> Box<dyn Line> {
        let again = || self.tma.open(&self.orchestrator, &[]).expect("the agent is reached").0;
        Box::new(WireLine(self.wire.clone().unwrap_or_else(|| Arc::new(again()))))
    }
}

/// Processor time that a process has used.
pub fn processor_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().ok());
    // A hundred a second for every program, whatever the kernel's own are.
    Some(Duration::from_millis(10 * ticks.sum::<Option<u64>>()?))
}

/// A wire as a byte stream.
struct WireLine(Arc<Wire>);

impl Read for WireLine {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.0.read(octets, PATIENCE).map_err(io::Error::other)
    }
}

impl Write for WireLine {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.0.write_all(octets, PATIENCE).map_err(io::Error::other);
        written.map(|()| octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
