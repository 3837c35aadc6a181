//! The crate from outside: conformance vectors, properties, and the spec that follows the code.

mod memories;
mod properties;
mod spec;
mod strategies;
mod vectors;
