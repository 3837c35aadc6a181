//! The formats of Linux's Integrity Measurement Architecture (IMA), pure: octets in, octets out.
//!
//! With references that packages vouch for, they tell which measurements to expect, which PCR value they
//! lead to, which digests a kernel may be told to accept, and they sign files for systems whose packages
//! carry no file signatures. Nothing here reads a file or asks a TPM.

mod algorithm;
pub mod digest_list;
pub mod measurement;
pub mod pcr;
pub mod signature;

pub use algorithm::Algorithm;
pub use measurement::List;
pub use measurement::Measurement;
pub use pcr::Bank;

/// Pairs of lower-case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    octets.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 15)]).collect()
}

/// Octets from pairs of hexadecimal digits of either case.
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let pair = |pair: &[u8]| Some(value(pair[0])? << 4 | value(pair[1])?);
    let digits = digits.as_bytes();
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(pair).collect())?
}
