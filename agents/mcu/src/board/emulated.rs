//! A board as an emulator has it: a secret and randomness are what its starter left in memory.
//!
//! An emulated board has no source of randomness and no flash that outlives it. Whoever starts the
//! emulator can read its memory at any time, so taking both from there trusts nobody more.
#![allow(unsafe_code, reason = "the place is an address")]

use tma_protocol::NotKept;
use tma_protocol::Pins;

use super::Board;
use super::Wire;

const MAGIC: &[u8; 16] = b"quixote-tma-seed";

unsafe extern "C" {
    static given: [u8; 80];
}

/// What differs between emulated boards.
pub(crate) trait Devices {
    /// The wire.
    type Wire: Wire;

    /// Sets up what is not the wire.
    fn new() -> Self;

    /// The serial line, set up.
    fn wire(&mut self) -> Self::Wire;

    /// Lights the lamp or puts it out.
    fn lamp(&mut self, lit: bool);
}

/// An emulated board.
pub(crate) struct Emulated<D> {
    devices: D,
    secret: Option<[u8; 32]>,
    random: Option<[u8; 32]>,
}

impl<D: Devices> Emulated<D> {
    pub(super) fn new() -> Self {
        let (secret, random) = read().unzip();
        Self { devices: D::new(), secret, random }
    }
}

impl<D: Devices> Board for Emulated<D> {
    type Wire = D::Wire;

    fn wire(&mut self) -> D::Wire {
        self.devices.wire()
    }

    fn secret(&mut self) -> Option<[u8; 32]> {
        self.secret
    }

    /// Once: there is no more.
    fn random(&mut self) -> Option<[u8; 32]> {
        self.random.take()
    }

    fn pins(&self) -> Pins {
        Pins::default()
    }

    /// The identity ends with the emulation, and so does whom it trusts.
    fn keep(&mut self, _: &Pins) -> Result<(), NotKept> {
        Ok(())
    }

    fn lamp(&mut self, lit: bool) {
        self.devices.lamp(lit);
    }
}

/// Secret and randomness, if there are any.
fn read() -> Option<([u8; 32], [u8; 32])> {
    // SAFETY: the linker keeps the place free of everything else; any octets are octets.
    let octets = unsafe { (&raw const given).read_volatile() };
    let rest = octets.strip_prefix(MAGIC)?;
    let (secret, rest) = rest.split_first_chunk()?;
    Some((*secret, *rest.first_chunk()?))
}
