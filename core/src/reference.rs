//! References: file contents that a signed package vouches for, named by the package and its signers.
//!
//! A digest names one content, so a signed upgrade would break every model that holds it. Under a
//! [`ReferenceRule`] the CELL names *this path, as package P signed by one of these keys has it*
//! instead. Which contents those are is no matter of the model: whoever sets the engine up has
//! verified the packages of this machine under the model's rules and hands over a [`References`]
//! table. The engine has no keys, no clock and no packages.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::Cell;
use crate::Digest;
use crate::Value;

/// Opens what a reference's identity is the digest of.
const IDENTITY_VERSION: u8 = 1;

/// The most keys that a rule may name.
pub const SIGNERS_MAX: usize = 64;
/// The longest word of a rule, in octets.
pub const REFERENCE_WORD_MAX: usize = 255;

/// What becomes of a signature whose key has expired since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpiredKeys {
    /// It vouches for nothing.
    Refused,
    /// It still vouches where the signature says that it was made before the key expired.
    Accepted,
}

impl ExpiredKeys {
    /// The word in a model.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "expired-refused",
            Self::Accepted => "expired-accepted",
        }
    }

    /// The policy of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Refused, Self::Accepted].into_iter().find(|policy| policy.name() == name)
    }
}

/// A package by whose signature the contents of its files count as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferenceRule {
    format: String,
    package: String,
    architecture: String,
    minimum: Option<String>,
    signers: Vec<String>,
    expired: ExpiredKeys,
    identity: Digest,
}

/// Why words are no reference rule. Whoever wrote them is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferenceRuleError {
    /// A word is empty, too long, or holds something else than printable ASCII without space and
    /// comma.
    Word,
    /// No key, too many, or one twice.
    Signers,
}

impl ReferenceRule {
    /// A rule about the package of this name and architecture in a format's own words. Versions below
    /// `minimum` are refused; `None` accepts every version, and so a downgrade. `signers` name the
    /// keys of which one must have signed; their order does not count.
    ///
    /// # Errors
    ///
    /// Words that could not stand in a model, or no key.
    pub fn new(
        [format, package, architecture]: [&str; 3],
        minimum: Option<&str>,
        signers: &[&str],
        expired: ExpiredKeys,
    ) -> Result<Self, ReferenceRuleError> {
        let words = [format, package, architecture].into_iter().chain(minimum);
        if !words.chain(signers.iter().copied()).all(is_word) || minimum == Some("*") {
            return Err(ReferenceRuleError::Word);
        }
        let mut keys: Vec<String> = signers.iter().map(|key| String::from(*key)).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() || keys.len() > SIGNERS_MAX || keys.len() != signers.len() {
            return Err(ReferenceRuleError::Signers);
        }
        let identity = identity([format, package, architecture], &keys);
        Ok(Self {
            format: format.into(),
            package: package.into(),
            architecture: architecture.into(),
            minimum: minimum.map(Into::into),
            signers: keys,
            expired,
            identity,
        })
    }

    /// The package's format: `deb`, `rpm`, ...
    pub fn format(&self) -> &str {
        &self.format
    }

    /// The package's name, without version.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// Its architecture.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The lowest version that is accepted.
    pub fn minimum(&self) -> Option<&str> {
        self.minimum.as_deref()
    }

    /// The keys of which one must have signed, ascending.
    pub fn signers(&self) -> &[String] {
        &self.signers
    }

    /// What becomes of expired keys.
    pub fn expired(&self) -> ExpiredKeys {
        self.expired
    }

    /// Whether the rule is about this package.
    pub fn is_about(&self, format: &str, package: &str, architecture: &str) -> bool {
        self.format == format && self.package == package && self.architecture == architecture
    }

    /// What stands in a CELL in place of a content's digest: package and signers. The version and
    /// the policies are left out, so that an upgrade changes no coefficient; the model's signature
    /// covers them.
    pub fn identity(&self) -> Digest {
        self.identity
    }

    /// What the rule gives away, in words for a reviewer.
    pub fn gives_away(&self) -> String {
        let versions = match &self.minimum {
            Some(version) => alloc::format!("{version} or later"),
            None => "any version, an old one with known holes too".into(),
        };
        alloc::format!(
            "whoever holds one of these keys may replace the files of {} ({versions})",
            self.package
        )
    }
}

fn identity(package: [&str; 3], keys: &[String]) -> Digest {
    let mut octets = alloc::vec![IDENTITY_VERSION];
    for word in package {
        append_word(word, &mut octets);
    }
    octets.extend_from_slice(&(keys.len() as u16).to_le_bytes());
    for key in keys {
        append_word(key, &mut octets);
    }
    Digest::of(&[&octets])
}

fn append_word(word: &str, octets: &mut Vec<u8>) {
    octets.extend_from_slice(&(word.len() as u16).to_le_bytes());
    octets.extend_from_slice(word.as_bytes());
}

fn is_word(word: &str) -> bool {
    let allowed = |octet: &u8| octet.is_ascii_graphic() && *octet != b',';
    (1..=REFERENCE_WORD_MAX).contains(&word.len()) && word.as_bytes().iter().all(allowed)
}

/// As it stands in a model, without the word `rule`.
impl fmt::Display for ReferenceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, package, architecture, minimum, signers, expired, .. } = self;
        let minimum = minimum.as_deref().unwrap_or("*");
        write!(f, "reference {format} {package} {architecture} {minimum} ")?;
        write!(f, "{} {}", signers.join(","), expired.name())
    }
}

impl fmt::Display for ReferenceRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word => write!(
                f,
                "a word of a reference rule is 1 to {REFERENCE_WORD_MAX} printable characters \
                 without space and comma"
            ),
            Self::Signers => {
                write!(f, "a reference rule names 1 to {SIGNERS_MAX} keys, each of them once")
            }
        }
    }
}

impl core::error::Error for ReferenceRuleError {}

/// One content at one path, and the reference that vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vouched {
    /// SHA-256 of the content.
    pub content: Digest,
    /// HF of the path, as the namespace sees it.
    pub path: Digest,
    /// [`ReferenceRule::identity`].
    pub reference: Digest,
}

impl Vouched {
    /// Octets of an entry where it is sent: content, path, reference.
    pub const SIZE: usize = 96;

    /// `content` at `path`, vouched for by `reference`.
    pub fn new(content: Digest, path: &[u8], reference: Digest) -> Self {
        Self { content, path: Digest::of(&[path]), reference }
    }

    /// The three digests, one after the other.
    pub fn to_octets(self) -> [u8; Self::SIZE] {
        let mut octets = [0; Self::SIZE];
        let parts = [self.content, self.path, self.reference];
        for (slot, part) in octets.chunks_exact_mut(32).zip(parts) {
            slot.copy_from_slice(&part.0);
        }
        octets
    }

    /// The inverse of [`Vouched::to_octets`].
    pub fn from_octets(octets: &[u8; Self::SIZE]) -> Self {
        let part = |index: usize| {
            let mut digest = [0; 32];
            digest.copy_from_slice(&octets[index * 32..][..32]);
            Digest(digest)
        };
        Self { content: part(0), path: part(1), reference: part(2) }
    }
}

/// The table is full; what was at hand was not taken, so a file of it would count by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferencesFull(pub usize);

impl fmt::Display for ReferencesFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the packages that the model names have more than {} files", self.0)
    }
}

impl core::error::Error for ReferencesFull {}

/// Which contents are vouched for, by content and path.
///
/// Where several references vouch for one content at one path, the lowest counts, so that the table
/// does not depend on the order in which it was filled.
#[derive(Clone, Debug)]
pub struct References {
    by_file: BTreeMap<(Digest, Digest), Digest>,
    bound: usize,
}

impl References {
    /// So many entries at most, unless set otherwise.
    pub const BOUND_DEFAULT: usize = 1 << 18;

    /// An empty table of at most `bound` entries.
    pub fn with_bound(bound: usize) -> Self {
        Self { by_file: BTreeMap::new(), bound }
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// There are as many entries as there may be.
    pub fn insert(&mut self, vouched: Vouched) -> Result<(), ReferencesFull> {
        let Vouched { content, path, reference } = vouched;
        if content.is_zero() || reference.is_zero() {
            return Ok(());
        }
        let full = self.by_file.len() >= self.bound;
        match self.by_file.get_mut(&(content, path)) {
            Some(known) => *known = reference.min(*known),
            None if full => return Err(ReferencesFull(self.bound)),
            None => {
                self.by_file.insert((content, path), reference);
            }
        }
        Ok(())
    }

    /// The reference of a content at a path; [`Digest::ZERO`] where none vouches.
    pub fn of(&self, content: Digest, path: &[u8]) -> Digest {
        if content.is_zero() || self.by_file.is_empty() {
            return Digest::ZERO;
        }
        let key = (content, Digest::of(&[path]));
        self.by_file.get(&key).copied().unwrap_or(Digest::ZERO)
    }

    /// Gives every file the reference that vouches for it; what the cell says of it is not believed.
    pub fn refer(&self, cell: &mut Cell) {
        for value in &mut cell.values {
            if let Value::File(file) = value {
                file.reference = self.of(file.digest, &file.place.path);
            }
        }
    }

    /// What two tables are compared by: D = HF(D || entry) over every entry, ascending, from zeros.
    pub fn digest(&self) -> Digest {
        self.entries()
            .fold(Digest::ZERO, |digest, entry| Digest::of(&[&digest.0, &entry.to_octets()]))
    }

    /// Whether nothing is vouched for.
    pub fn is_empty(&self) -> bool {
        self.by_file.is_empty()
    }

    /// How many contents at paths are vouched for.
    pub fn len(&self) -> usize {
        self.by_file.len()
    }

    /// Every entry, ascending by content and path.
    pub fn entries(&self) -> impl Iterator<Item = Vouched> {
        let entry = |((content, path), reference): (&(Digest, Digest), &Digest)| Vouched {
            content: *content,
            path: *path,
            reference: *reference,
        };
        self.by_file.iter().map(entry)
    }
}

impl Default for References {
    fn default() -> Self {
        Self::with_bound(Self::BOUND_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(minimum: Option<&str>, signers: &[&str]) -> ReferenceRule {
        let names = ["deb", "nginx", "amd64"];
        ReferenceRule::new(names, minimum, signers, ExpiredKeys::Refused).unwrap()
    }

    #[test]
    fn an_identity_knows_no_version_and_no_order_of_keys() {
        let identity = rule(Some("1.0"), &["a", "b"]).identity();
        assert_eq!(rule(Some("2.0"), &["b", "a"]).identity(), identity);
        assert_ne!(rule(Some("1.0"), &["a"]).identity(), identity);
        assert_ne!(rule(Some("1.0"), &["ab"]).identity(), identity);
    }

    #[test]
    fn what_could_break_out_of_a_line_is_refused() {
        let new = |package, signers: &[&str]| {
            ReferenceRule::new(["deb", package, "all"], None, signers, ExpiredKeys::Refused)
        };
        let long = "x".repeat(256);
        for package in ["", "a b", "a,b", "a\nb", "é", &long] {
            assert_eq!(new(package, &["k"]), Err(ReferenceRuleError::Word), "{package}");
        }
        assert_eq!(new("a", &[]), Err(ReferenceRuleError::Signers));
        assert_eq!(new("a", &["k", "k"]), Err(ReferenceRuleError::Signers));
    }

    #[test]
    fn a_table_is_bounded_and_knows_no_order() {
        let (content, high, low) = (Digest([1; 32]), Digest([9; 32]), Digest([2; 32]));
        for order in [[high, low], [low, high]] {
            let mut table = References::with_bound(1);
            for reference in order {
                table.insert(Vouched::new(content, b"/a", reference)).unwrap();
            }
            assert_eq!(table.of(content, b"/a"), low);
            assert!(table.of(content, b"/b").is_zero());
            let other = Vouched::new(content, b"/b", low);
            assert_eq!(table.insert(other), Err(ReferencesFull(1)));
            let sent: Vec<Vouched> = table.entries().collect();
            assert_eq!(Vouched::from_octets(&sent[0].to_octets()), sent[0]);
        }
    }
}
