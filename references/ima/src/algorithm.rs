//! Hash algorithms by the kernel's names and numbers.

use sha1::Sha1;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;

/// A hash algorithm that IMA uses for files, and TPMs for banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// 20 octets; broken, and still the name of a record in every list.
    Sha1,
    /// 32 octets.
    Sha256,
    /// 48 octets.
    Sha384,
    /// 64 octets.
    Sha512,
}

/// Algorithm, name, length in octets, number in the kernel's `enum hash_algo` (`hash_info.h`).
const TABLE: [(Algorithm, &str, usize, u8); 4] = [
    (Algorithm::Sha1, "sha1", 20, 2),
    (Algorithm::Sha256, "sha256", 32, 4),
    (Algorithm::Sha384, "sha384", 48, 5),
    (Algorithm::Sha512, "sha512", 64, 6),
];

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    fn row(self) -> &'static (Self, &'static str, usize, u8) {
        &TABLE[self as usize]
    }

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// By the kernel's name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The length of a digest, in octets.
    pub fn octets(self) -> usize {
        self.row().2
    }

    /// The number in signatures and digest lists.
    pub fn number(self) -> u8 {
        self.row().3
    }

    /// By the number in signatures and digest lists.
    pub fn from_number(number: u8) -> Option<Self> {
        TABLE.iter().find(|row| row.3 == number).map(|row| row.0)
    }

    /// The digest of the parts, one after the other.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => digest::<Sha1>(parts),
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha384 => digest::<Sha384>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }
}

fn digest<H: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hasher = H::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_its_row() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.row().0, algorithm);
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(Algorithm::from_number(algorithm.number()), Some(algorithm));
            assert_eq!(algorithm.digest(&[b"a", b"b"]), algorithm.digest(&[b"ab"]));
            assert_eq!(algorithm.digest(&[]).len(), algorithm.octets());
        }
    }
}
