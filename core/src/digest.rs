//! The hash function HF and its values.
//!
//! HF is SHA-256 (FIPS 180-4). The encoding that is hashed opens with a version octet, so that
//! another function may follow without two models ever being mistaken for one another.

use alloc::string::String;
use core::fmt;

use sha2::Digest as _;
use sha2::Sha256;

/// A SHA-256 value: 32 octets, compared and sorted bytewise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// 32 zero octets: `NULL_ID`, "no digest taken", and the default nonce and aggregate.
    pub const ZERO: Self = Self([0; 32]);

    /// HF over the concatenation of `parts`.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Whether this is [`Digest::ZERO`].
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        alloc::format!("{self}")
    }

    /// Reads exactly 64 hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
            let high = (pair[0] as char).to_digit(16)?;
            let low = (pair[1] as char).to_digit(16)?;
            *octet = (high * 16 + low) as u8;
        }
        Some(Self(octets))
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
