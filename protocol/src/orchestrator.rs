//! The orchestrator's end of the handshake; the session after it is the same at both ends.

use alloc::vec::Vec;

use crate::AgentHello;
use crate::Identity;
use crate::Opener;
use crate::Packet;
use crate::PublicIdentity;
use crate::Sealer;
use crate::SessionError;
use crate::session::Noise;

/// A handshake that has been begun.
pub struct Handshake(Noise);

impl Handshake {
    /// Begins; appends what is to be sent. `random` must be fresh.
    ///
    /// # Errors
    ///
    /// The keys cannot be used.
    pub fn begin(
        identity: &Identity,
        random: [u8; 32],
        out: &mut Vec<u8>,
    ) -> Result<Self, SessionError> {
        let mut noise = Noise::new(identity, random, true)?;
        // Ends whatever the agent may have half read.
        out.push(0);
        noise.write(&[], out)?;
        Ok(Self(noise))
    }

    /// Takes the agent's answer; appends what is to be sent. Who answered stands in the result and
    /// must be compared with what is pinned before anything is said.
    ///
    /// # Errors
    ///
    /// What came is no answer to this handshake.
    pub fn finish(
        mut self,
        packet: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(Sealer, Opener, AgentHello, PublicIdentity), SessionError> {
        let message = match Packet::read(packet)? {
            Packet::Second(message) => message,
            Packet::Refused => return Err(SessionError::Refused),
            _ => return Err(SessionError::Unexpected),
        };
        let payload = self.0.read(message)?;
        let hello = AgentHello::read(&payload).map_err(|_| SessionError::Handshake)?;
        let session = self.0.remote().ok_or(SessionError::Handshake)?;
        self.0.write(&[crate::bound::VERSION], out)?;
        let (sealer, opener) = self.0.finish()?;
        let agent = PublicIdentity { session, signing: hello.signing };
        Ok((sealer, opener, hello, agent))
    }
}
