//! The suite that every locality of a trusted modeling agent passes by offering a byte stream.
//!
//! The same code for a process, a virtual machine and a microcontroller. What an agent answers is
//! held against the engine of `core`, run here over the same events.

#![allow(clippy::missing_panics_doc, reason = "it is a test: whatever does not hold panics")]

mod claims;
mod hostile;
pub mod over;
mod peer;
mod recordings;
mod vectors;
mod vouched;

pub use peer::Line;
pub use peer::Peer;
pub use peer::header;

use tma_protocol::Identity;
use tma_protocol::PublicIdentity;

/// An agent under test.
pub struct Subject<'a> {
    /// Opens a byte stream to the agent. The suite opens one after another, each when the one
    /// before is closed.
    pub open: &'a dyn Fn() -> Box<dyn Line>,
    /// The orchestrator that the agent is provisioned for.
    pub orchestrator: Identity,
    /// Who the agent is.
    pub agent: PublicIdentity,
}

/// A part of the suite; panics where something does not hold.
pub type Part = fn(&Subject<'_>);

/// The parts of the suite, by name.
pub const PARTS: &[(&str, Part)] = &[
    ("vectors", vectors::hold),
    ("recordings", recordings::hold),
    ("claims", claims::hold),
    ("vouched", vouched::hold),
    ("hostile", hostile::hold),
];

/// Runs the whole suite.
///
/// # Panics
///
/// Something does not hold; the message says what.
pub fn conform(subject: &Subject<'_>) {
    for (_, hold) in PARTS {
        hold(subject);
    }
}
