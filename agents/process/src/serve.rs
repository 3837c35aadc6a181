//! The loop between a socket and the endpoint.

use std::io;
use std::io::Read;
use std::io::Write;

use tma_protocol::AgentEndpoint;

use crate::host::ProcessHost;

/// What is read at once; several packets when many threads ask.
const READ: usize = 64 * 1024;

/// Serves until the other end closes.
///
/// # Errors
///
/// The wire failed.
pub fn serve(
    endpoint: &mut AgentEndpoint<ProcessHost>,
    mut wire: impl Read + Write,
) -> io::Result<()> {
    let mut octets = vec![0; READ];
    let mut out = Vec::with_capacity(2 * READ);
    loop {
        let read = match wire.read(&mut octets) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        };
        endpoint.receive(&octets[..read], &mut out);
        wire.write_all(&out)?;
        out.clear();
    }
}
