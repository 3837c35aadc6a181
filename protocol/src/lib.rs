//! What an orchestrator and a trusted modeling agent say to each other, wherever the agent runs.
//!
//! One engine, many places: a process, a stub domain, a microcontroller. All of them run the
//! [`AgentEndpoint`] of this crate, so that all of them answer alike. The crate does no I/O, has no
//! clock and no randomness of its own: octets come in, octets go out, and the [`Host`] brings what
//! differs from place to place. `docs/spec/03-protocol.md` is the same in words.
//!
//! # How to embed an agent
//!
//! 1. Have 32 secret octets that are this agent's for good: [`Identity::from_seed`].
//! 2. Implement [`Host`]: randomness, where pins are kept, the bounds, which engine. `tsem::Engine`
//!    is an engine already; another one implements [`ModelEngine`].
//! 3. Make an [`AgentEndpoint`] and loop: read what the wire has, call
//!    [`AgentEndpoint::receive`] with it, write what that appended to the output, clear the output.
//!    Nothing is ever sent without being asked.
//!
//! ```text
//! let mut endpoint = AgentEndpoint::new(Identity::from_seed(seed), pins, host);
//! let mut out = Vec::with_capacity(endpoint.output_max());
//! loop {
//!     let octets = uart.read(&mut buffer);
//!     endpoint.receive(octets, &mut out);
//!     uart.write_all(&out);
//!     out.clear();
//! }
//! ```
//!
//! The wire must be a byte stream that neither loses octets nor overruns its receiver (a socket, a
//! virtio console, USB CDC, a UART with flow control). A loss is noticed and ends the session; then
//! nothing is allowed any more.
//!
//! Everything is bounded by [`bound`]; an agent with little memory announces a smaller
//! [`Host::message_max`], and an event that does not fit is a loss, denied when enforcing.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod attestation;
pub mod boot;
pub mod bound;
mod endpoint;
mod engine;
mod event_message;
mod frame;
mod hello;
mod identity;
mod message;
mod model_header;
mod model_signature;
mod orchestrator;
pub mod record;
mod session;
mod wire;

pub use endpoint::AgentEndpoint;
pub use endpoint::Host;
pub use endpoint::NotKept;
pub use engine::ModelEngine;
pub use engine::Rows;
pub use engine::Summary;
pub use event_message::EventMessage;
pub use event_message::Target;
pub use frame::Deframer;
pub use frame::FrameError;
pub use frame::frame;
pub use hello::AgentHello;
pub use hello::Locality;
pub use identity::Identity;
pub use identity::Pins;
pub use identity::PublicIdentity;
pub use message::Failure;
pub use message::Load;
pub use message::Message;
pub use message::MessageError;
pub use message::Observes;
pub use message::Reply;
pub use message::Request;
pub use message::Table;
pub use message::messages;
pub use model_header::HeaderFault;
pub use model_header::ModelHeader;
pub use orchestrator::Handshake;
pub use session::Opener;
pub use session::Packet;
pub use session::Sealer;
pub use session::SessionError;
