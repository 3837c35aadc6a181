//! Many references, found by path and by digest.

use std::collections::HashMap;
use std::io::BufRead;

use crate::digest::FileDigest;
use crate::json_lines::LineProblem;
use crate::json_lines::MAX_LINE_OCTETS;
use crate::record::Reference;

/// So many references at most, unless the user says otherwise: about ten full desktops.
pub const DEFAULT_BOUND: usize = 4_000_000;

/// A set of references, bounded. Several packages, or versions of one, may vouch for one path, and one
/// digest may stand at many paths.
#[derive(Clone, Debug)]
pub struct ReferenceSet {
    bound: usize,
    references: Vec<Reference>,
    by_path: HashMap<Box<[u8]>, Vec<u32>>,
    by_digest: HashMap<FileDigest, Vec<u32>>,
}

/// The set holds as many references as it may; the one at hand was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {0} references; give fewer packages at a time")]
pub struct SetFull(pub usize);

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListProblem {
    /// The file itself.
    #[error("cannot read the list: {0}")]
    Read(#[from] std::io::Error),
    /// A line of it.
    #[error("line {number}: {problem}")]
    Line {
        /// Counted from one.
        number: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// More references than the bound.
    #[error(transparent)]
    Full(#[from] SetFull),
}

impl Default for ReferenceSet {
    fn default() -> Self {
        Self::with_bound(DEFAULT_BOUND)
    }
}

impl ReferenceSet {
    /// An empty set of at most `bound` references.
    pub fn with_bound(bound: usize) -> Self {
        let bound = bound.min(u32::MAX as usize);
        Self { bound, references: Vec::new(), by_path: HashMap::new(), by_digest: HashMap::new() }
    }

    /// Reads JSON lines, as [`Reference::to_json_line`] writes them. Empty lines are skipped.
    pub fn read_json_lines(mut input: impl BufRead) -> Result<Self, ListProblem> {
        let mut set = Self::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let limit = MAX_LINE_OCTETS as u64 + 1;
            if std::io::Read::take(&mut input, limit).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let reference = set.read_line(&line);
            let reference = reference.map_err(|problem| ListProblem::Line { number, problem })?;
            reference.map(|reference| set.insert(reference)).transpose()?;
        }
        Ok(set)
    }

    fn read_line(&self, line: &[u8]) -> Result<Option<Reference>, LineProblem> {
        if line.len() > MAX_LINE_OCTETS {
            return Err(LineProblem::TooLong);
        }
        let text = String::from_utf8_lossy(line.trim_ascii());
        if text.is_empty() {
            return Ok(None);
        }
        Reference::from_json_line(&text, self.references.last()).map(Some)
    }

    /// Adds one reference.
    pub fn insert(&mut self, reference: Reference) -> Result<(), SetFull> {
        if self.references.len() >= self.bound {
            return Err(SetFull(self.bound));
        }
        let index = self.references.len() as u32;
        match self.by_path.get_mut(&reference.path) {
            Some(indices) => indices.push(index),
            None => drop(self.by_path.insert(reference.path.clone(), vec![index])),
        }
        self.by_digest.entry(reference.digest).or_default().push(index);
        self.references.push(reference);
        Ok(())
    }

    /// What is stated for this absolute path, in the order of insertion.
    pub fn by_path(&self, path: &[u8]) -> impl Iterator<Item = &Reference> {
        self.at(self.by_path.get(path))
    }

    /// Where this digest is stated, in the order of insertion.
    pub fn by_digest(&self, digest: &FileDigest) -> impl Iterator<Item = &Reference> {
        self.at(self.by_digest.get(digest))
    }

    /// The reference that vouches for exactly these contents at this path, if one does.
    pub fn vouching(&self, path: &[u8], digest: &FileDigest) -> Option<&Reference> {
        self.by_path(path).find(|reference| reference.digest == *digest && reference.vouches())
    }

    fn at<'a>(&'a self, indices: Option<&'a Vec<u32>>) -> impl Iterator<Item = &'a Reference> {
        indices.into_iter().flatten().map(|index| &self.references[*index as usize])
    }

    /// All, in the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = &Reference> {
        self.references.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;
    use crate::record::FileFlags;
    use crate::record::Format;
    use crate::record::Package;
    use crate::record::Verified;
    use std::sync::Arc;

    fn record(path: &str, octet: u8, verified: Verified) -> Reference {
        Reference {
            path: path.as_bytes().into(),
            digest: FileDigest::new(Algorithm::Sha256, &[octet; 32]).unwrap(),
            mode: None,
            size: None,
            ima_signature: None,
            flags: FileFlags::default(),
            package: Arc::new(Package {
                format: Format::List,
                name: "p".into(),
                version: "1".into(),
                arch: "all".into(),
                signer: None,
                verified,
            }),
        }
    }

    #[test]
    fn a_path_may_have_several_and_a_digest_too() {
        let mut set = ReferenceSet::default();
        for (path, octet) in [("/a", 1), ("/a", 2), ("/b", 1)] {
            set.insert(record(path, octet, Verified::Pinned)).unwrap();
        }
        assert_eq!(set.by_path(b"/a").count(), 2);
        let one = FileDigest::new(Algorithm::Sha256, &[1; 32]).unwrap();
        assert_eq!(set.by_digest(&one).count(), 2);
        assert!(set.vouching(b"/a", &one).is_some());
        let three = FileDigest::new(Algorithm::Sha256, &[3; 32]).unwrap();
        assert!(set.vouching(b"/a", &three).is_none());
    }

    #[test]
    fn what_is_unsigned_or_weak_does_not_vouch() {
        assert!(!record("/a", 1, Verified::Unsigned).vouches());
        let mut weak = record("/a", 1, Verified::Pinned);
        weak.digest = FileDigest::new(Algorithm::Md5, &[1; 16]).unwrap();
        assert!(!weak.vouches());
    }

    #[test]
    fn the_bound_holds() {
        let mut set = ReferenceSet::with_bound(1);
        set.insert(record("/a", 1, Verified::Pinned)).unwrap();
        assert_eq!(set.insert(record("/b", 2, Verified::Pinned)), Err(SetFull(1)));
        assert_eq!(set.len(), 1);
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let records = [record("/a", 1, Verified::Pinned), record("/b", 2, Verified::Pinned)];
        let text: String = records.iter().map(|r| r.to_json_line() + "\n").collect();
        let set = ReferenceSet::read_json_lines(text.as_bytes()).unwrap();
        assert!(set.iter().eq(&records));
        let broken = format!("{text}{{}}\n");
        let problem = ReferenceSet::read_json_lines(broken.as_bytes()).unwrap_err();
        assert!(matches!(problem, ListProblem::Line { number: 3, .. }));
        let long = format!("\"{}\"", "x".repeat(MAX_LINE_OCTETS * 2));
        assert!(ReferenceSet::read_json_lines(long.as_bytes()).is_err());
    }
}
