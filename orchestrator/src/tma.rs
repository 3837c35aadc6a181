//! Where a trusted modeling agent runs, and how it is reached.
//!
//! An agent that the orchestrator starts gets its secret from it and is pinned by that; one that
//! runs elsewhere was provisioned once and must prove to be the one that was pinned then.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;
use std::time::Instant;

use rand_core::OsRng;
use rand_core::RngCore as _;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::termios::OptionalActions;
use thiserror::Error;
use tma_protocol::Deframer;
use tma_protocol::Handshake;
use tma_protocol::Identity;
use tma_protocol::Packet;
use tma_protocol::PublicIdentity;
use tma_protocol::boot::write_boot;
use tma_protocol::bound::PACKET_MAX;
use vsock::VsockStream;

use crate::agent::AgentError;
use crate::agent_keys;
use crate::agent_keys::KeysError;
use crate::kernel;
use crate::remote_agent::Session;
use crate::virtual_machine;
use crate::virtual_machine::MachineError;
use crate::wire::Wire;

/// The agent's program, beside our own or where packages put it.
const PROGRAM: &str = "quixote-tma";
const PACKAGED: &str = "/usr/libexec/quixote";
/// A process or a machine of ours answers at once; a device may be slow.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_ON_A_LINE: Duration = Duration::from_secs(60);

/// Where an agent runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tma {
    /// In the orchestrator.
    #[default]
    Orchestrator,
    /// In a sandboxed process that the orchestrator starts.
    Process,
    /// Behind a socket in the file system.
    Unix(PathBuf),
    /// Behind a port of a virtual machine, or of the host.
    Vsock {
        /// Context id.
        cid: u32,
        /// Port.
        port: u32,
    },
    /// On a serial line.
    Serial(PathBuf),
    /// Alone in a virtual machine that the orchestrator starts, with this image or the installed
    /// one.
    Vm(Option<PathBuf>),
}

/// A text that names no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a TMA is 'orchestrator', 'process', 'vm', 'vm:IMAGE', 'unix:PATH', \
     'vsock:CID:PORT' or 'serial:DEVICE'"
)]
pub struct NotATma;

impl FromStr for Tma {
    type Err = NotATma;

    fn from_str(text: &str) -> Result<Self, NotATma> {
        match text.split_once(':') {
            None if text == "orchestrator" => Ok(Self::Orchestrator),
            None if text == "process" => Ok(Self::Process),
            None if text == "vm" => Ok(Self::Vm(None)),
            Some(("vm", path)) if !path.is_empty() => Ok(Self::Vm(Some(path.into()))),
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("serial", path)) if !path.is_empty() => Ok(Self::Serial(path.into())),
            Some(("vsock", rest)) => {
                let (cid, port) = rest.split_once(':').ok_or(NotATma)?;
                let number = |text: &str| text.parse().map_err(|_| NotATma);
                Ok(Self::Vsock { cid: number(cid)?, port: number(port)? })
            }
            _ => Err(NotATma),
        }
    }
}

impl fmt::Display for Tma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orchestrator => f.write_str("orchestrator"),
            Self::Process => f.write_str("process"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Serial(path) => write!(f, "serial:{}", path.display()),
            Self::Vm(None) => f.write_str("vm"),
            Self::Vm(Some(image)) => write!(f, "vm:{}", image.display()),
        }
    }
}

/// An agent cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TmaError {
    /// Its program is not there.
    #[error("{PROGRAM} is neither beside this program nor in {PACKAGED}; install it there")]
    NoProgram,
    /// It cannot be started or reached.
    #[error("cannot reach the agent {tma}: {source}")]
    Unreachable {
        /// Which.
        tma: Tma,
        /// Why.
        source: io::Error,
    },
    /// The virtual machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// It has no pin.
    #[error("the agent {tma} is not known here; provision it with: quixote provision --tma {tma}")]
    NotPinned {
        /// Which.
        tma: Tma,
    },
    /// It is another than the one that was pinned.
    #[error(
        "the agent {tma} is not the one that was pinned; if it was exchanged on purpose, remove \
         {} and provision it again",
        pin.display()
    )]
    OtherAgent {
        /// Which.
        tma: Tma,
        /// The pin.
        pin: PathBuf,
    },
    /// The session.
    #[error("the agent {tma} cannot be used: {source}")]
    Agent {
        /// Which.
        tma: Tma,
        /// Why.
        source: AgentError,
    },
    /// There is nothing to provision.
    #[error(
        "the agent {tma} gets its keys from this orchestrator each time; it needs no provisioning"
    )]
    NothingToProvision {
        /// Which.
        tma: Tma,
    },
}

impl Tma {
    /// Whether the orchestrator starts the agent and hands it its keys.
    fn is_ours(&self) -> bool {
        matches!(self, Self::Orchestrator | Self::Process | Self::Vm(_))
    }

    /// Reaches the agent and checks that it is the pinned one. `model_keys` are what an agent that
    /// we start is to demand of models.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or is another.
    pub fn connect(&self, model_keys: &[[u8; 32]]) -> Result<Session, TmaError> {
        let orchestrator = agent_keys::orchestrator()?;
        let (wire, expected) = self.open(&orchestrator, model_keys)?;
        let session = self.shake_hands(wire, &orchestrator)?;
        if session.identity != expected {
            let pin = agent_keys::pin_path(self)?;
            return Err(TmaError::OtherAgent { tma: self.clone(), pin });
        }
        Ok(session)
    }

    /// A wire to the agent on which nothing has been said yet, and who must prove to be at its other
    /// end. An agent that we start is one of this orchestrator's and demands `model_keys`.
    ///
    /// # Errors
    ///
    /// It cannot be started or reached, or has no pin.
    pub fn open(
        &self,
        orchestrator: &Identity,
        model_keys: &[[u8; 32]],
    ) -> Result<(Wire, PublicIdentity), TmaError> {
        if self.is_ours() {
            return self.start(orchestrator, model_keys);
        }
        let wire = self.reach()?;
        let pin = agent_keys::pin(self)?;
        Ok((wire, pin.ok_or_else(|| TmaError::NotPinned { tma: self.clone() })?))
    }

    /// Makes an agent that belongs to nobody ours, and pins it; who it is, for people to compare.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or belongs to someone.
    pub fn provision(&self, model_keys: Vec<[u8; 32]>) -> Result<PublicIdentity, TmaError> {
        if self.is_ours() {
            return Err(TmaError::NothingToProvision { tma: self.clone() });
        }
        let session = self.shake_hands(self.reach()?, &agent_keys::orchestrator()?)?;
        let identity = session.identity;
        crate::remote_agent::provision(session, model_keys)
            .map_err(|source| TmaError::Agent { tma: self.clone(), source })?;
        agent_keys::keep_pin(self, &identity)?;
        Ok(identity)
    }

    fn patience(&self) -> Duration {
        if matches!(self, Self::Serial(_)) { PATIENCE_ON_A_LINE } else { PATIENCE }
    }

    fn unreachable(&self, source: impl Into<io::Error>) -> TmaError {
        TmaError::Unreachable { tma: self.clone(), source: source.into() }
    }

    /// Starts an agent and hands it its keys over the socket that it will serve.
    fn start(
        &self,
        orchestrator: &Identity,
        model_keys: &[[u8; 32]],
    ) -> Result<(Wire, PublicIdentity), TmaError> {
        let seed = agent_keys::seed_of(self)?;
        let public = Identity::from_seed(&seed).public();
        agent_keys::keep_pin(self, &public)?;
        let failed = |error: io::Error| self.unreachable(error);
        let record = write_boot(&seed, &orchestrator.public().session, model_keys);
        if let Self::Vm(image) = self {
            let (console, machine) = virtual_machine::start(image.as_deref(), &record)?;
            let wire = Wire::new(console.into(), Some(machine)).map_err(failed)?;
            return Ok((wire, public));
        }
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let child = spawn(theirs)?.map_err(failed)?;
        let wire = Wire::new(ours.into(), Some(child)).map_err(failed)?;
        let handed = wire.write_all(&record, self.patience());
        handed.map_err(|source| TmaError::Agent { tma: self.clone(), source })?;
        Ok((wire, public))
    }

    fn reach(&self) -> Result<Wire, TmaError> {
        let failed = |error: io::Error| self.unreachable(error);
        let fd: OwnedFd = match self {
            Self::Unix(path) => UnixStream::connect(path).map_err(failed)?.into(),
            Self::Vsock { cid, port } => {
                VsockStream::connect_with_cid_port(*cid, *port).map_err(failed)?.into()
            }
            Self::Serial(path) => open_line(path).map_err(failed)?,
            Self::Orchestrator | Self::Process | Self::Vm(_) => {
                return Err(self.unreachable(io::ErrorKind::Unsupported));
            }
        };
        Wire::new(fd, None).map_err(failed)
    }

    fn shake_hands(&self, wire: Wire, orchestrator: &Identity) -> Result<Session, TmaError> {
        let shaken = shake_hands(wire, orchestrator, self.patience());
        shaken.map_err(|source| TmaError::Agent { tma: self.clone(), source })
    }
}

fn spawn(socket: UnixStream) -> Result<io::Result<Child>, TmaError> {
    let program = program().ok_or(TmaError::NoProgram)?;
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").stdin(OwnedFd::from(socket)).stdout(Stdio::null());
    // What the terminal sends to the foreground is not meant for the agent.
    command.process_group(0);
    Ok(command.spawn())
}

fn program() -> Option<PathBuf> {
    let own = kernel::own_program().ok();
    let beside = own.iter().filter_map(|own| own.parent()).map(|dir| dir.join(PROGRAM));
    // Test programs lie one folder below.
    let above = own.iter().filter_map(|own| own.parent()?.parent()).map(|dir| dir.join(PROGRAM));
    let packaged = std::iter::once(PathBuf::from(PACKAGED).join(PROGRAM));
    beside.chain(above).chain(packaged).find(|path| path.is_file())
}

/// Opens a serial line as it is: no echo, no line editing, no character with a meaning.
fn open_line(path: &std::path::Path) -> io::Result<OwnedFd> {
    let line =
        rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut attributes = rustix::termios::tcgetattr(&line)?;
    attributes.make_raw();
    rustix::termios::tcsetattr(&line, OptionalActions::Flush, &attributes)?;
    Ok(line)
}

/// The handshake; who answered is for the caller to compare with the pin.
///
/// # Errors
///
/// Nothing, or something else, answered.
pub fn shake_hands(
    wire: Wire,
    orchestrator: &Identity,
    patience: Duration,
) -> Result<Session, AgentError> {
    let mut random = [0; 32];
    OsRng.try_fill_bytes(&mut random).map_err(|_| AgentError::Wire(io::ErrorKind::Unsupported))?;
    let mut out = Vec::new();
    let handshake = Handshake::begin(orchestrator, random, &mut out)?;
    wire.write_all(&out, patience)?;
    let answer = first_packet(&wire, patience)?;
    out.clear();
    let (sealer, opener, hello, identity) = handshake.finish(&answer, &mut out)?;
    wire.write_all(&out, patience)?;
    Ok(Session { wire, sealer, opener, hello, identity, patience })
}

/// The answer to a handshake. What a line still holds of an earlier session is passed over: octets,
/// sealed packets, and the refusal of what an orchestrator had half written when it died.
fn first_packet(wire: &Wire, patience: Duration) -> Result<Vec<u8>, AgentError> {
    let mut deadline = Instant::now() + patience;
    let mut deframer = Deframer::new(PACKET_MAX);
    let mut octet = [0; 1];
    let mut refusal = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return refusal.ok_or(AgentError::Silent(patience.as_secs()));
        }
        // Octet by octet: what follows the packet belongs to the session.
        match (wire.read(&mut octet, left), &refusal) {
            (Err(AgentError::Silent(_)), Some(_)) => continue,
            (Err(AgentError::Gone), Some(refused)) => return Ok(refused.clone()),
            (read, _) => read?,
        };
        let (_, Some(Ok(packet))) = deframer.take(&octet) else { continue };
        match Packet::read(packet) {
            Ok(Packet::Sealed(_)) => {}
            Ok(Packet::Refused) if refusal.is_none() => {
                refusal = Some(packet.to_vec());
                deadline = deadline.min(Instant::now() + patience / 10);
            }
            _ => return Ok(packet.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn places_read_as_they_are_written() {
        let places = ["orchestrator", "process", "vm", "vm:/a b", "unix:/a b", "vsock:3:4000"];
        for text in places.into_iter().chain(["serial:/dev/ttyACM0"]) {
            assert_eq!(text.parse::<Tma>().unwrap().to_string(), text);
        }
        for text in ["", "unix:", "vsock:1", "vsock:a:1", "serial:", "kernel", "process:1", "vm:"] {
            assert!(text.parse::<Tma>().is_err(), "{text}");
        }
    }
    /// What an agent's line holds, and the wire to it.
    fn line_with(packets: &[&[u8]]) -> (UnixStream, Wire) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut octets = b"rest of something\0".to_vec();
        for packet in packets {
            tma_protocol::frame(packet, &mut octets);
        }
        theirs.write_all(&octets).unwrap();
        (theirs, Wire::new(ours.into(), None).unwrap())
    }

    #[test]
    fn what_an_earlier_session_left_on_the_line_is_passed_over() {
        let (sealed, refused, second) = ([4, 1, 2, 3], [5], [2, 9]);
        let (_agent, wire) = line_with(&[&sealed, &sealed, &refused, &sealed, &second]);
        let answer = first_packet(&wire, Duration::from_secs(10));
        assert_eq!(answer.unwrap(), second);
    }

    #[test]
    fn a_refusal_that_nothing_follows_is_the_answer() {
        let (agent, wire) = line_with(&[&[5]]);
        let begun = Instant::now();
        assert_eq!(first_packet(&wire, Duration::from_secs(3)).unwrap(), [5]);
        assert!(begun.elapsed() < Duration::from_secs(2));
        drop(agent);
        let (agent, wire) = line_with(&[&[5]]);
        drop(agent);
        assert_eq!(first_packet(&wire, Duration::from_secs(3)).unwrap(), [5]);
    }

    #[test]
    fn an_agent_that_says_nothing_of_use_is_silent() {
        let (_agent, wire) = line_with(&[&[4, 1, 2]]);
        let answer = first_packet(&wire, Duration::from_millis(100));
        assert!(matches!(answer, Err(AgentError::Silent(_))), "{answer:?}");
    }
}
