//! Why an input is refused. One word each: the parent makes a sentence of it.

use std::fmt;

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// Why an input is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Refusal {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl Refusal {
            /// By the code that crosses the pipe; unknown codes are [`Refusal::Malformed`].
            pub fn from_code(code: u8) -> Self {
                match code {
                    $($code => Self::$name,)+
                    _ => Self::Malformed,
                }
            }

            /// What is wrong with the input.
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

refusals! {
    /// It ends before it should.
    Truncated = 1, "it ends too early";
    /// A magic number is not there: another format.
    Magic = 2, "it is not of this format";
    /// A length, count or offset is beyond its bound.
    Bound = 3, "a length or count is beyond its bound";
    /// Two parts lie over one another, or out of order.
    Overlap = 4, "its parts overlap";
    /// The immutable region is missing, or does not cover what it must.
    Region = 5, "its immutable region does not hold";
    /// A field that must be there is not.
    Missing = 6, "a field is missing";
    /// Fields contradict one another.
    Inconsistent = 7, "its fields contradict one another";
    /// It is malformed in another way.
    Malformed = 8, "it is malformed";
    /// A path is relative where it may not be, has `..`, or is too long.
    Path = 9, "a path is not usable";
    /// The compressed data is damaged or expands beyond its bound.
    Compression = 10, "its compressed data is damaged or too large";
    /// A kind of compression, version or algorithm that is not read.
    Unsupported = 11, "a version or algorithm is not supported";
    /// Something is there twice.
    Twice = 12, "something is stated twice";
    /// The output cannot be written.
    Output = 13, "the result could not be handed over";
    /// There is something after the end.
    Trailing = 14, "something follows its end";
    /// The parts form a cycle.
    Cycle = 15, "its parts form a cycle";
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Refusal {}

impl From<std::io::Error> for Refusal {
    /// Readers of compressed data report in std's words.
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Compression,
        }
    }
}
