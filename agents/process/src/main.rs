//! `quixote-tma`: a trusted modeling agent as a process of its own.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use process_agent::host::ProcessHost;
use process_agent::listen;
use process_agent::sandbox;
use process_agent::sandbox::Serves;
use process_agent::serve::serve;
use tma_protocol::AgentEndpoint;
use tma_protocol::boot::BOOT_SIZE;
use tma_protocol::boot::read_boot;

/// A trusted modeling agent: decides whether security events belong to a workload's model
///
/// Without arguments it serves the orchestrator that started it, on the socket that is its standard
/// input. Orchestrators start it so with: quixote enforce --tma process ...
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "\
Examples:
  quixote-tma --listen unix:/run/tma.sock --state /var/lib/tma   for --tma unix:/run/tma.sock
  quixote-tma --listen vsock:4000 --state /var/lib/tma           for --tma vsock:CID:4000

An agent that listens draws its keys once, and belongs to the first orchestrator that provisions it."
)]
struct Arguments {
    /// Listen here instead
    #[arg(long, value_name = "unix:PATH|vsock:PORT", requires = "state")]
    listen: Option<listen::Place>,
    /// Directory of the agent's keys
    #[arg(long, value_name = "DIR", requires = "listen")]
    state: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (arguments.listen, arguments.state) {
        (Some(place), Some(state)) => {
            listen::listen(&place, &state).map_err(|error| error.to_string())
        }
        _ => inherited(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quixote-tma: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves the socket that is standard input. Seed and pins come over it first; nobody else holds
/// its other end.
fn inherited() -> Result<(), String> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let mut socket = UnixStream::from(socket.map_err(|error| error.to_string())?);
    if socket.peer_addr().is_err() {
        return Err("standard input is no socket; see --help".into());
    }
    let mut record = [0; BOOT_SIZE];
    socket.read_exact(&mut record).map_err(|error| format!("no boot record came: {error}"))?;
    let (identity, pins) = read_boot(&record).ok_or("what came is no boot record")?;
    sandbox::enter(Serves::One).map_err(|error| error.to_string())?;
    let mut endpoint = AgentEndpoint::new(identity, pins, ProcessHost::default());
    serve(&mut endpoint, socket).map_err(|error| error.to_string())
}
