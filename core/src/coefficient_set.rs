//! A hash map keyed by coefficients, and a set of them.
//!
//! A coefficient is a SHA-256 value, so any eight of its octets are as good a hash as another; the
//! cost of a look-up does not grow with the model.

use core::hash::BuildHasherDefault;
use core::hash::Hasher;

use hashbrown::HashMap;
use hashbrown::HashSet;

use crate::Digest;

pub(crate) type CoefficientMap<V> = HashMap<Digest, V, BuildHasherDefault<LeadingOctets>>;
pub(crate) type CoefficientSet = HashSet<Digest, BuildHasherDefault<LeadingOctets>>;

/// Takes the leading octets of what is hashed.
#[derive(Default)]
pub(crate) struct LeadingOctets(u64);

impl Hasher for LeadingOctets {
    fn write(&mut self, octets: &[u8]) {
        if let Some(leading) = octets.first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*leading);
        }
    }

    /// The length prefix of the array carries nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
