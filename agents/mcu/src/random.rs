//! Randomness: whatever the board has or was given, hashed on with every use.

use tsem::Digest;

/// A generator that never gives the same twice.
pub(crate) struct Random(Digest);

impl Random {
    pub(crate) fn new(first: [u8; 32]) -> Self {
        Self(Digest::of(&[b"mcu random\0", &first]))
    }

    /// 32 octets; `fresh` is what the board has by now.
    pub(crate) fn draw(&mut self, fresh: Option<[u8; 32]>) -> [u8; 32] {
        self.0 = Digest::of(&[b"next\0", &self.0.0, &fresh.unwrap_or_default()]);
        Digest::of(&[b"drawn\0", &self.0.0]).0
    }
}
