//! Digest lists in the kernel's TLV form, for kernels that take them instead of a signature on each file.
//!
//! The form is out of tree and has changed before, so it is named by the month of the patch set that it is
//! of. A list has no version in itself: who writes it has to know which kernel reads it. A digest is
//! revoked by loading a list without it and unloading the one that had it.

use crate::Algorithm;

/// Which form of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Version {
    /// Fields of a 16-bit number and a 32-bit length, big-endian; path in each entry.
    November2024,
}

/// The kernel takes no larger list.
pub const SIZE_MAX: usize = 64 << 20;

const ALGORITHM: u16 = 0;
const ENTRIES: u16 = 1;
const ENTRY: u16 = 2;
const ENTRY_DIGEST: u16 = 0;
const ENTRY_PATH: u16 = 1;

/// An entry: the digest of a file's content, and its path for the reader of a log.
pub type Entry<'a> = (&'a [u8], &'a [u8]);

/// Why a list cannot be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DigestListError {
    /// A digest that is not of the list's algorithm.
    #[error("a digest is not of the list's algorithm")]
    Digest,
    /// A path with a NUL in it.
    #[error("a path has a NUL in it")]
    Path,
    /// Too large for the kernel.
    #[error("the list is larger than the {SIZE_MAX} octets that a kernel takes; make several")]
    TooLarge,
    /// Not a list of this form.
    #[error("this is not a digest list of the form asked for")]
    Malformed,
}

/// Writes a list.
///
/// # Errors
///
/// An entry that the form cannot hold, or too many of them.
pub fn encode(
    version: Version,
    algorithm: Algorithm,
    entries: &[Entry<'_>],
) -> Result<Vec<u8>, DigestListError> {
    let Version::November2024 = version;
    let mut out = Vec::new();
    field(&mut out, ALGORITHM, &[&u16::from(algorithm.number()).to_be_bytes()]);
    let count = u32::try_from(entries.len()).map_err(|_| DigestListError::TooLarge)?;
    field(&mut out, ENTRIES, &[&count.to_be_bytes()]);
    for (digest, path) in entries {
        if digest.len() != algorithm.octets() {
            return Err(DigestListError::Digest);
        }
        if path.contains(&0) {
            return Err(DigestListError::Path);
        }
        let mut entry = Vec::new();
        field(&mut entry, ENTRY_DIGEST, &[digest]);
        field(&mut entry, ENTRY_PATH, &[path, b"\0"]);
        field(&mut out, ENTRY, &[&entry]);
        if out.len() > SIZE_MAX {
            return Err(DigestListError::TooLarge);
        }
    }
    Ok(out)
}

/// Reads a list back: algorithm, and digest and path of each entry.
///
/// # Errors
///
/// It is not exactly what [`encode`] writes.
pub fn decode(
    version: Version,
    octets: &[u8],
) -> Result<(Algorithm, Vec<Entry<'_>>), DigestListError> {
    let Version::November2024 = version;
    let mut rest = octets;
    let number = take(&mut rest, ALGORITHM)?.try_into().map(u16::from_be_bytes);
    let number = number.ok().and_then(|number| u8::try_from(number).ok());
    let algorithm = number.and_then(Algorithm::from_number).ok_or(DigestListError::Malformed)?;
    let count = take(&mut rest, ENTRIES)?.try_into().map(u32::from_be_bytes);
    let count = count.map_err(|_| DigestListError::Malformed)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let mut entry = take(&mut rest, ENTRY)?;
        let digest = take(&mut entry, ENTRY_DIGEST)?;
        let path = take(&mut entry, ENTRY_PATH)?.strip_suffix(b"\0");
        let path = path.filter(|path| entry.is_empty() && !path.contains(&0));
        let path = path.filter(|_| digest.len() == algorithm.octets());
        entries.push((digest, path.ok_or(DigestListError::Malformed)?));
    }
    if entries.len() == count as usize {
        Ok((algorithm, entries))
    } else {
        Err(DigestListError::Malformed)
    }
}

fn field(out: &mut Vec<u8>, number: u16, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend(number.to_be_bytes());
    out.extend((length as u32).to_be_bytes());
    for part in parts {
        out.extend(*part);
    }
}

fn take<'a>(rest: &mut &'a [u8], number: u16) -> Result<&'a [u8], DigestListError> {
    let malformed = DigestListError::Malformed;
    let (found, left) = rest.split_first_chunk().ok_or(malformed)?;
    let (length, left) = left.split_first_chunk().ok_or(malformed)?;
    if u16::from_be_bytes(*found) != number {
        return Err(malformed);
    }
    let length = u32::from_be_bytes(*length) as usize;
    let (data, left) = left.split_at_checked(length).ok_or(malformed)?;
    *rest = left;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: Version = Version::November2024;

    #[test]
    fn a_list_has_the_octets_of_the_patch_set() {
        let octets = encode(FORM, Algorithm::Sha256, &[(&[0xaa; 32], b"/x")]).unwrap();
        let mut expected = vec![0, 0, 0, 0, 0, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1];
        expected.extend([0, 2, 0, 0, 0, 47, 0, 0, 0, 0, 0, 32]);
        expected.extend([0xaa; 32]);
        expected.extend([0, 1, 0, 0, 0, 3, b'/', b'x', 0]);
        assert_eq!(octets, expected);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |entry: Entry<'_>| encode(FORM, Algorithm::Sha256, &[entry]).unwrap_err();
        assert_eq!(refused((&[0; 20], b"/x")), DigestListError::Digest);
        assert_eq!(refused((&[0; 32], b"/\0")), DigestListError::Path);
    }

    proptest! {
        #[test]
        fn lists_come_back(entries in proptest::collection::vec(
            (any::<[u8; 32]>(), "[a-z/ ]{0,20}"), 0..8)) {
            let given: Vec<Entry<'_>> =
                entries.iter().map(|(digest, path)| (&digest[..], path.as_bytes())).collect();
            let octets = encode(FORM, Algorithm::Sha256, &given).unwrap();
            prop_assert_eq!(decode(FORM, &octets).unwrap(), (Algorithm::Sha256, given));
            for end in 0..octets.len() {
                prop_assert!(decode(FORM, &octets[..end]).is_err());
            }
        }

        #[test]
        fn a_reader_does_not_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(FORM, &octets);
        }
    }
}
