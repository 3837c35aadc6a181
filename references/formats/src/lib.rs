//! Bounded readers of package formats.
//!
//! They run in the isolated parser: octets in, statements out, nothing else. No file, clock, randomness
//! or hash table of std's is touched, because the process that runs them may only read and write. Every
//! length is checked before it is used, every count has a bound, and what is not understood is refused.

#![forbid(unsafe_code)]

pub mod apk;
pub mod arch;
pub mod armour;
pub mod bounds;
pub mod cursor;
pub mod deb;
pub mod decompress;
pub mod documents;
pub mod job;
pub mod list;
pub mod mtree;
pub mod oci;
pub mod paragraphs;
pub mod refusal;
pub mod rpm;
pub mod sigstore;
pub mod sqlite;
pub mod statement;
pub mod tar;
pub mod tree;

pub use job::Job;
pub use refusal::Refusal;
pub use statement::Sink;
pub use statement::Statement;
