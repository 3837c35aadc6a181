//! The isolated parser: a process that can read its input and write its result, and nothing else.
//!
//! It is started with exactly two pipes and no environment, locks itself down before it reads a
//! octet ([`lock::down`]), and then serves jobs until its input ends. Memory comes from one arena that is
//! reserved before the lock ([`arena`]), because afterwards no call for memory exists.

pub mod arena;
pub mod lock;
pub mod serve;
mod system;
