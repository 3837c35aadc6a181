//! A trusted modeling agent as a process that can do nothing but answer on one socket.

pub mod host;
pub mod listen;
pub mod sandbox;
pub mod serve;
