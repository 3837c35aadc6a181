//! References: file digests that signed packages vouch for.
//!
//! Reads RPM, DEB, OCI and other package metadata, verifies the chain of signatures, and yields one
//! kind of record: path, digest, package and signer. Whatever comes from outside is parsed in a
//! process of its own that can do nothing but read its input and write its result; what it says is
//! checked against what was signed.

pub mod apk;
pub mod confined;
pub mod deb;
pub mod digest;
pub mod installed;
mod json_lines;
pub mod oci;
pub mod openpgp;
pub mod pacman;
pub mod problem;
pub mod readers;
pub mod record;
pub mod reference_set;
pub mod rpm;
pub mod scan;
pub mod signed_file;
pub mod sigstore;
pub mod statements;
pub mod store;
pub mod verify;
pub mod worker;

pub use reference_formats;

pub use digest::Algorithm;
pub use digest::FileDigest;
pub use json_lines::LineProblem;
pub use json_lines::MAX_LINE_OCTETS;
pub use record::FileFlags;
pub use record::Format;
pub use record::Package;
pub use record::Reference;
pub use record::Signer;
pub use record::Verified;
pub use reference_set::ListProblem;
pub use reference_set::ReferenceSet;
pub use reference_set::SetFull;
