//! An agent that runs on its own and is reached by a socket: its keys lie in a directory.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use rand_core::OsRng;
use rand_core::RngCore as _;
use thiserror::Error;
use tma_protocol::AgentEndpoint;
use tma_protocol::Identity;
use tma_protocol::Pins;
use tma_protocol::boot::BOOT_SIZE;
use tma_protocol::boot::read_boot;
use vsock::VMADDR_CID_ANY;
use vsock::VsockListener;

use crate::host::ProcessHost;
use crate::sandbox;
use crate::sandbox::Serves;
use crate::serve::serve;

/// Where an agent listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A port that virtual machines and their host reach.
    Vsock(u32),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("vsock", port)) => {
                port.parse().map(Self::Vsock).map_err(|_| "a vsock port is a number")
            }
            _ => Err("write unix:PATH or vsock:PORT"),
        }
    }
}

/// The agent cannot listen.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Its keys.
    #[error("cannot use {path}: {source}", path = path.display())]
    Keys {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its socket.
    #[error("cannot listen: {0}")]
    Socket(io::Error),
    /// Its sandbox.
    #[error(transparent)]
    Sandbox(#[from] sandbox::SandboxError),
}

enum Listener {
    Unix(UnixListener),
    Vsock(VsockListener),
}

/// Listens, enters the sandbox and serves one orchestrator after another, for ever.
///
/// # Errors
///
/// Keys, socket or sandbox cannot be had, or the socket failed later.
pub fn listen(place: &Place, state: &Path) -> Result<(), ListenError> {
    let (identity, pins, host) = keys(&state.join("agent.keys"))?;
    let listener = open(place).map_err(ListenError::Socket)?;
    sandbox::enter(Serves::Listener)?;
    let mut endpoint = AgentEndpoint::new(identity, pins, host);
    loop {
        // A connection that fails is over; the next one is served.
        let _ = match &listener {
            Listener::Unix(listener) => {
                serve(&mut endpoint, listener.accept().map_err(ListenError::Socket)?.0)
            }
            Listener::Vsock(listener) => {
                serve(&mut endpoint, listener.accept().map_err(ListenError::Socket)?.0)
            }
        };
        endpoint.disconnected();
    }
}

fn open(place: &Place) -> io::Result<Listener> {
    match place {
        Place::Unix(path) => listen_at(path).map(Listener::Unix),
        Place::Vsock(port) => {
            VsockListener::bind_with_cid_port(VMADDR_CID_ANY, *port).map(Listener::Vsock)
        }
    }
}

/// Listens first and takes the name then: whoever sees the socket can connect to it.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let unnamed = path.with_file_name(format!(".tma{}", std::process::id()));
    let listener = UnixListener::bind(&unnamed)?;
    std::fs::rename(&unnamed, path).inspect_err(|_| drop(std::fs::remove_file(&unnamed)))?;
    Ok(listener)
}

/// Reads seed and pins, or draws a seed. The file is open for pins to be written later.
fn keys(path: &Path) -> Result<(Identity, Pins, ProcessHost), ListenError> {
    let failed = |source| ListenError::Keys { path: path.into(), source };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(failed)?;
    let mut octets = Vec::new();
    (&mut file).take(BOOT_SIZE as u64 + 1).read_to_end(&mut octets).map_err(failed)?;
    match octets.len() {
        0 => draw(file).map_err(failed),
        32 => Ok(from_seed(octets.as_slice().try_into().unwrap_or(&[0; 32]), file)),
        _ => {
            let read = <&[u8; BOOT_SIZE]>::try_from(octets.as_slice()).ok();
            let (identity, pins) = read
                .and_then(read_boot)
                .ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidData)))?;
            Ok((identity, pins, ProcessHost::default()))
        }
    }
}

fn draw(mut file: File) -> io::Result<(Identity, Pins, ProcessHost)> {
    let mut seed = [0; 32];
    OsRng.try_fill_bytes(&mut seed).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
    file.write_all(&seed)?;
    file.sync_all()?;
    Ok(from_seed(&seed, file))
}

fn from_seed(seed: &[u8; 32], file: File) -> (Identity, Pins, ProcessHost) {
    (Identity::from_seed(seed), Pins::default(), ProcessHost::keeping(*seed, file))
}
