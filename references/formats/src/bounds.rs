//! The bounds that every reader keeps, in one place.

/// Longest path, in octets, as the kernel's `PATH_MAX`.
pub const PATH: usize = 4096;
/// Longest name, version or architecture of a package.
pub const WORD: usize = 1024;
/// Most files in one package.
pub const FILES: usize = 1_000_000;
/// Most octets that one package may expand to.
pub const EXPANDED: u64 = 16 << 30;
/// Longest document that is read as a whole: a control file, a JSON document.
pub const DOCUMENT: usize = 64 << 20;
/// Longest index or list that is read as a whole: Debian's main is about 50 MiB.
pub const INDEX: usize = 256 << 20;
/// Most entries of an index: Debian's main has about 65,000.
pub const ENTRIES: usize = 1_000_000;
/// Longest signature packet or armoured block.
pub const SIGNATURE: usize = 64 << 10;
/// Deepest nesting of directories in a path, of JSON, of B-trees.
pub const DEPTH: usize = 64;
