//! Models in words, for the person who says yes or no.

pub mod diff;
pub mod explain;
pub mod lint;
pub mod merge;
pub mod nearest;
mod phrase;

pub use phrase::Phrase;
pub use phrase::Topic;
pub use phrase::chain_text;
pub use phrase::phrase;

/// A number and what it counts: `1 run`, `2 runs`.
pub fn counted<N: std::fmt::Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {one}{plural}")
}
