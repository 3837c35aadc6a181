//! RPM: headers of package files and of the database.
//!
//! Bounded exactly as rpm itself bounds them. File tags are read from the immutable region alone: what
//! stands outside of it ("dribbles") is covered by no signature.

mod database;
mod header;
mod package;
mod signatures;
pub mod tag;

pub use database::database;
pub use header::Header;
pub use header::Kind;
pub(crate) use package::decode_hex;
pub use package::package;
pub(crate) use signatures::base64;
pub use signatures::signatures;

/// The longest main header: 65,535 entries and 256 MiB of data.
pub const MAX_HEADER: usize = 16 + 16 * 65_535 + (256 << 20);
/// The longest signature header: 32 entries and 64 MiB of data.
pub const MAX_SIGNATURE_HEADER: usize = 16 + 16 * 32 + (64 << 20);
