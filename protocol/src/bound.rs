//! Every bound of the protocol, in octets unless it says otherwise.

/// The version of the protocol; it is part of the handshake, so that no two versions ever agree by
/// accident.
pub const VERSION: u8 = 1;

/// The longest encoded CELL: `sb_mount` with two texts and a path, each at its own bound.
pub const CELL_MAX: usize = 12_339;

/// The most targets of one event.
pub const TARGETS_MAX: usize = 4;

/// The longest message, with the length before it.
pub const MESSAGE_MAX: usize = 13 * 1024;

/// The least that an agent may announce as its longest message. What must pass in any case
/// (handshake, keys, statements, a page of a record) fits.
pub const MESSAGE_LEAST: usize = 1024;

/// The tag that authenticates a packet.
pub const TAG: usize = 16;

/// The longest packet before framing: kind, ciphertext, tag.
pub const PACKET_MAX: usize = 1 + MESSAGE_MAX + TAG;

/// The longest canonical header of a model.
pub const HEADER_MAX: usize = 512 * 1024;

/// The longest line of it: a rule of the longest path in which every octet is escaped.
pub const HEADER_LINE_MAX: usize = 17 * 1024;

/// The most rules of a model.
pub const RULES_MAX: usize = 4096;

/// The longest signed statement about a model.
pub const STATEMENT_MAX: usize = 768;

/// The most model keys that are pinned.
pub const MODEL_KEYS_MAX: usize = 8;

/// The shortest and the longest challenge of an attestation (RFC 9711, section 4.1).
pub const NONCE: core::ops::RangeInclusive<usize> = 8..=64;

/// The longest version text of an agent.
pub const AGENT_VERSION_MAX: usize = 64;

/// The longest packet of the handshake before framing.
pub const HANDSHAKE_MAX: usize = 256;

/// The longest row of a record: a cell, and for each of its paths a maker of every part.
pub const ROW_MAX: usize = 64 * 1024;

/// Octets of a packet of so many octets on the wire: COBS and the end mark.
pub const fn framed(packet: usize) -> usize {
    packet + packet / 254 + 2
}
