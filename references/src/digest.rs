//! Digests of file contents, as packages state them.

use std::fmt;

/// The longest digest, in octets: SHA-512.
pub const MAX_DIGEST_OCTETS: usize = 64;

/// A digest algorithm that a package may state. MD5 and SHA-1 are read, so that they can be named
/// as too weak; they never vouch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Algorithm {
    /// 16 octets; broken.
    Md5 = 1,
    /// 20 octets; broken.
    Sha1 = 2,
    /// 32 octets.
    Sha256 = 8,
    /// 48 octets.
    Sha384 = 9,
    /// 64 octets.
    Sha512 = 10,
    /// 28 octets.
    Sha224 = 11,
    /// 32 octets, SHA-3.
    Sha3_256 = 12,
    /// 64 octets, SHA-3.
    Sha3_512 = 14,
}

/// Every algorithm, with its name (the kernel's) and its digests' length in octets.
const TABLE: [(Algorithm, &str, usize); 8] = [
    (Algorithm::Md5, "md5", 16),
    (Algorithm::Sha1, "sha1", 20),
    (Algorithm::Sha256, "sha256", 32),
    (Algorithm::Sha384, "sha384", 48),
    (Algorithm::Sha512, "sha512", 64),
    (Algorithm::Sha224, "sha224", 28),
    (Algorithm::Sha3_256, "sha3-256", 32),
    (Algorithm::Sha3_512, "sha3-512", 64),
];

impl Algorithm {
    fn row(self) -> &'static (Algorithm, &'static str, usize) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[2])
    }

    /// The name, as the kernel's crypto API has it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The length of a digest, in octets.
    pub fn octets(self) -> usize {
        self.row().2
    }

    /// Whether nobody can make two files with one digest: all but MD5 and SHA-1.
    pub fn is_strong(self) -> bool {
        !matches!(self, Self::Md5 | Self::Sha1)
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// By the number that `OpenPGP` and RPM give it (RFC 9580, section 9.5).
    pub fn from_openpgp(number: u32) -> Option<Self> {
        TABLE.iter().find(|row| u32::from(row.0 as u8) == number).map(|row| row.0)
    }
}

/// A digest of a file's contents, of the length that its algorithm has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest {
    algorithm: Algorithm,
    octets: [u8; MAX_DIGEST_OCTETS],
}

impl FileDigest {
    /// From its octets; `None` unless they are as many as the algorithm has.
    pub fn new(algorithm: Algorithm, octets: &[u8]) -> Option<Self> {
        let mut whole = [0; MAX_DIGEST_OCTETS];
        let used = whole.get_mut(..algorithm.octets())?;
        (octets.len() == used.len()).then(|| used.copy_from_slice(octets))?;
        Some(Self { algorithm, octets: whole })
    }

    /// From hexadecimal digits of either case, exactly as many as the algorithm has.
    pub fn from_hex(algorithm: Algorithm, digits: &str) -> Option<Self> {
        Self::new(algorithm, &decode_hex(digits.as_bytes())?)
    }

    /// From `sha256:<hex>`, the form of [`fmt::Display`].
    pub fn parse(text: &str) -> Option<Self> {
        let (name, digits) = text.split_once(':')?;
        Self::from_hex(Algorithm::from_name(name)?, digits)
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The digest's octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.algorithm.octets()]
    }

    /// Lower-case hexadecimal digits, without the algorithm.
    pub fn to_hex(&self) -> String {
        encode_hex(self.octets())
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.to_hex())
    }
}

impl fmt::Debug for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Octets from pairs of hexadecimal digits.
pub(crate) fn decode_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let pair = |pair: &[u8]| Some(value(pair[0])? << 4 | value(pair[1])?);
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(pair).collect())?
}

/// Pairs of lower-case hexadecimal digits.
pub(crate) fn encode_hex(octets: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_the_length_of_its_algorithm() {
        assert!(FileDigest::new(Algorithm::Sha256, &[1; 31]).is_none());
        assert!(FileDigest::new(Algorithm::Sha256, &[1; 33]).is_none());
        let digest = FileDigest::new(Algorithm::Sha512, &[0xab; 64]).unwrap();
        assert_eq!(FileDigest::parse(&digest.to_string()), Some(digest));
    }

    #[test]
    fn every_algorithm_is_found_by_its_name_and_number() {
        for (algorithm, name, octets) in TABLE {
            assert_eq!(Algorithm::from_name(name), Some(algorithm));
            assert_eq!(Algorithm::from_openpgp(algorithm as u32), Some(algorithm));
            assert_eq!(algorithm.octets(), octets);
        }
        assert!(!Algorithm::Md5.is_strong() && !Algorithm::Sha1.is_strong());
    }
}
