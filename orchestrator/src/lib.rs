//! The orchestrator: makes the namespace, runs the workload, binds the source to the agent and
//! holds the keys.
//!
//! The command line is presentation on top of this; everything it does is here to be called.

pub mod accept;
pub mod agent;
pub mod agent_keys;
pub mod attestation;
pub mod chain;
pub mod control;
pub mod doctor;
pub mod hooks;
pub mod kernel;
pub mod learn;
pub mod local_agent;
pub mod model_file;
pub mod places;
pub mod record;
pub mod reference_table;
pub mod remote_agent;
pub mod replacement;
pub mod runs;
pub mod source;
pub mod stored;
pub mod tma;
mod unfinished;
pub mod virtual_machine;
pub mod wire;
pub mod workload;
