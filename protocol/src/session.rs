//! The session: Noise `XX` with X25519, ChaCha20-Poly1305 and SHA-256; who comes is compared with
//! what was pinned.
//!
//! Nonces are counted, never sent: a packet that is lost, repeated, out of order or changed does
//! not open, and a session in which one packet did not open is over.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use snow::Builder;
use snow::HandshakeState;
use snow::StatelessTransportState;
use snow::params::CipherChoice;
use snow::params::DHChoice;
use snow::params::HashChoice;
use snow::resolvers::CryptoResolver;
use snow::resolvers::DefaultResolver;
use snow::types::Cipher;
use snow::types::Dh;
use snow::types::Hash;
use snow::types::Random;
use zeroize::Zeroizing;

use crate::Identity;
use crate::bound::HANDSHAKE_MAX;
use crate::bound::TAG;
use crate::bound::VERSION;
use crate::frame::frame;

const NOISE: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
const PROLOGUE: [u8; 13] = *b"quixote-tma\0\x01";

/// Why there is no session, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The other end speaks another version of the protocol.
    Version(u8),
    /// The handshake failed: damaged, or by someone without the keys.
    Handshake,
    /// A packet did not open: changed, lost, repeated, out of order.
    Broken,
    /// A packet of a kind that does not belong here.
    Unexpected,
    /// The other end says that it does not go on.
    Refused,
    /// A session holds 2^63 packets.
    Exhausted,
}

/// The kinds of packets, by their first octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// First message of the handshake; behind the version.
    First(&'a [u8]),
    /// Second message of the handshake.
    Second(&'a [u8]),
    /// Third message of the handshake.
    Third(&'a [u8]),
    /// Messages, sealed.
    Sealed(&'a [u8]),
    /// There is no session, or no longer. Not authenticated, so it only ends what could be ended
    /// by cutting the wire.
    Refused,
}

const FIRST: u8 = 1;
const SECOND: u8 = 2;
const THIRD: u8 = 3;
const SEALED: u8 = 4;
const REFUSED: u8 = 5;

impl<'a> Packet<'a> {
    /// Reads a packet's kind.
    ///
    /// # Errors
    ///
    /// Another version, or no kind of packet.
    pub fn read(octets: &'a [u8]) -> Result<Self, SessionError> {
        match octets {
            [FIRST, VERSION, rest @ ..] => Ok(Self::First(rest)),
            [FIRST, version, ..] => Err(SessionError::Version(*version)),
            [SECOND, rest @ ..] => Ok(Self::Second(rest)),
            [THIRD, rest @ ..] => Ok(Self::Third(rest)),
            [SEALED, rest @ ..] => Ok(Self::Sealed(rest)),
            [REFUSED] => Ok(Self::Refused),
            _ => Err(SessionError::Unexpected),
        }
    }
}

pub(crate) fn frame_refusal(out: &mut Vec<u8>) {
    frame(&[REFUSED], out);
}

/// Gives the octets that were drawn for this handshake, once.
struct Drawn(Zeroizing<[u8; 32]>, bool);

impl Random for Drawn {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        if core::mem::replace(&mut self.1, true) || out.len() > self.0.len() {
            return Err(snow::Error::Rng);
        }
        out.copy_from_slice(&self.0[..out.len()]);
        Ok(())
    }
}

/// The default primitives with randomness from outside.
struct Primitives([u8; 32]);

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(Zeroizing::new(self.0), false)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Either end of a handshake.
pub(crate) struct Noise(HandshakeState);

impl Noise {
    /// `random` must be fresh: it becomes the ephemeral key.
    pub(crate) fn new(
        identity: &Identity,
        random: [u8; 32],
        initiator: bool,
    ) -> Result<Self, SessionError> {
        let params = NOISE.parse().map_err(|_| SessionError::Handshake)?;
        let builder = Builder::with_resolver(params, Box::new(Primitives(random)))
            .prologue(&PROLOGUE)
            .and_then(|builder| builder.local_private_key(identity.session_key()));
        let state = builder.and_then(|builder| {
            if initiator { builder.build_initiator() } else { builder.build_responder() }
        });
        state.map(Self).map_err(|_| SessionError::Handshake)
    }

    /// Frames the next message of the handshake.
    pub(crate) fn write(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SessionError> {
        let mut packet = [0; HANDSHAKE_MAX];
        let kind = match (self.0.is_initiator(), payload.is_empty()) {
            (false, _) => SECOND,
            (true, true) => FIRST,
            (true, false) => THIRD,
        };
        packet[..2].copy_from_slice(&[kind, VERSION]);
        let start = if kind == FIRST { 2 } else { 1 };
        let written = self.0.write_message(payload, &mut packet[start..]);
        let length = start + written.map_err(|_| SessionError::Handshake)?;
        frame(&packet[..length], out);
        Ok(())
    }

    /// The payload of a message of the handshake.
    pub(crate) fn read(&mut self, message: &[u8]) -> Result<Vec<u8>, SessionError> {
        let mut payload = vec![0; HANDSHAKE_MAX];
        if message.len() > HANDSHAKE_MAX {
            return Err(SessionError::Handshake);
        }
        let read = self.0.read_message(message, &mut payload);
        payload.truncate(read.map_err(|_| SessionError::Handshake)?);
        Ok(payload)
    }

    /// The other end's static key, once it is known.
    pub(crate) fn remote(&self) -> Option<[u8; 32]> {
        self.0.get_remote_static()?.try_into().ok()
    }

    /// The session.
    pub(crate) fn finish(self) -> Result<(Sealer, Opener), SessionError> {
        let state = self.0.into_stateless_transport_mode().map_err(|_| SessionError::Handshake)?;
        let state = Arc::new(state);
        let sealer = Sealer { state: state.clone(), nonce: 0, packet: Vec::new() };
        Ok((sealer, Opener { state, nonce: 0 }))
    }
}

/// The sending half of a session.
pub struct Sealer {
    state: Arc<StatelessTransportState>,
    nonce: u64,
    packet: Vec<u8>,
}

impl Sealer {
    /// Takes now all the memory that packets of so many octets of messages need.
    pub(crate) fn with_room(mut self, messages: usize) -> Self {
        self.packet.reserve_exact(1 + messages + TAG);
        self
    }

    /// Appends `messages` as one sealed frame.
    ///
    /// # Errors
    ///
    /// Nothing can be sent in this session any more.
    pub fn seal(&mut self, messages: &[u8], out: &mut Vec<u8>) -> Result<(), SessionError> {
        if self.nonce >= u64::MAX >> 1 {
            return Err(SessionError::Exhausted);
        }
        self.packet.resize(1 + messages.len() + TAG, 0);
        self.packet[0] = SEALED;
        let sealed = self.state.write_message(self.nonce, messages, &mut self.packet[1..]);
        sealed.map_err(|_| SessionError::Broken)?;
        self.nonce += 1;
        frame(&self.packet, out);
        Ok(())
    }
}

/// The receiving half of a session.
pub struct Opener {
    state: Arc<StatelessTransportState>,
    nonce: u64,
}

impl Opener {
    /// Opens what [`Packet::Sealed`] holds into `messages`.
    ///
    /// # Errors
    ///
    /// The packet is not the next one of the other end: the session is over.
    pub fn open(&mut self, sealed: &[u8], messages: &mut Vec<u8>) -> Result<(), SessionError> {
        messages.resize(sealed.len(), 0);
        let opened = self.state.read_message(self.nonce, sealed, messages);
        messages.truncate(opened.map_err(|_| SessionError::Broken)?);
        self.nonce += 1;
        Ok(())
    }
}
