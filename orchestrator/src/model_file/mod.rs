//! Models as files: written, read, reviewed, signed, trusted, and analysed while they are learned.
//!
//! What comes from a file is an allegation ([`trust::Unverified`]) until one constructor has
//! checked its signature, its state and its serial number ([`trust::Verified`]).

pub mod convergence;
pub mod format;
pub mod header;
pub mod keys;
pub mod model;
pub mod propose;
pub mod rebase;
pub mod review;
pub mod serials;
pub mod signing;
pub mod trust;
