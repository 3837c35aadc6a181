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
