//! The binary `quixote`, run as its users run it.
//!
//! What needs a workload to be judged says so by its name (`run_...`), and fails, not skips, where
//! it cannot run: the portable source needs no privileges.

mod attestations;
mod bundles;
mod crashes;
mod errors;
mod fixture;
mod help;
mod ima_lists;
mod model_files;
mod records;
mod replacing;
mod runs;
mod sandbox;
mod terminal;
