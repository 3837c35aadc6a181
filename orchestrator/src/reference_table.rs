//! What the packages of this machine vouch for, under the reference rules of a model.
//!
//! `references` has verified the chains of signatures. Here a model's policy is applied to what holds:
//! which keys, which lowest version, what of expired keys. What passes becomes the engine's table; what does
//! not is kept with the reason, so that a denial can say why.

mod version;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use references::Package;
use references::Reference;
use references::ReferenceSet;
use tsem::Digest;
use tsem::ExpiredKeys;
use tsem::File;
use tsem::Observation;
use tsem::ReferenceRule;
use tsem::References;
use tsem::ReferencesFull;
use tsem::Value;
use tsem::Vouched;

pub use version::compare;

use crate::model_file::propose::Proposal;

/// Paths shown with a proposal.
const EXAMPLES_MAX: usize = 5;

/// Why a package does not vouch under a model's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Its statements are not signed, or its digests are too weak.
    NotSigned,
    /// Signed, but by no key that the rule names.
    Signer {
        /// The key.
        key: String,
        /// What it calls its owner.
        name: String,
    },
    /// Older than the rule accepts.
    Downgrade {
        /// The lowest version that is accepted.
        minimum: String,
    },
    /// The key has expired.
    Expired {
        /// The key.
        key: String,
        /// When, in seconds since 1970.
        at_s: u64,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSigned => f.write_str("no signature vouches for it"),
            Self::Signer { key, name } => {
                write!(f, "it is signed by {key} ({name}), a key that the model does not accept")
            }
            Self::Downgrade { minimum } => {
                write!(f, "it is older than {minimum}, the lowest version that the model accepts")
            }
            Self::Expired { key, at_s } => {
                write!(f, "its key {key} has expired ({at_s} s since 1970)")
            }
        }
    }
}

/// A package that does not vouch, by name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedPackage {
    /// `nginx 1.22.1-9 (amd64)`.
    pub package: String,
    /// Why.
    pub why: Refused,
}

/// The verified packages of a machine as one model sees them.
#[derive(Clone, Debug, Default)]
pub struct ReferenceTable {
    table: References,
    /// By path and content, why it does not count.
    refused: BTreeMap<(Vec<u8>, Digest), RefusedPackage>,
    /// By path, which package has the file, where it is one that a rule names.
    packages: BTreeMap<Vec<u8>, String>,
}

impl ReferenceTable {
    /// Judges every reference to a package that a rule names. `now_s`: seconds since 1970.
    ///
    /// # Errors
    ///
    /// There are more files than the engine's table holds.
    pub fn of(
        set: &ReferenceSet,
        rules: &[ReferenceRule],
        now_s: u64,
    ) -> Result<Self, ReferencesFull> {
        let mut by_package: BTreeMap<(&str, &str, &str), Vec<&ReferenceRule>> = BTreeMap::new();
        for rule in rules {
            let package = (rule.format(), rule.package(), rule.architecture());
            by_package.entry(package).or_default().push(rule);
        }
        let mut table = Self::default();
        for reference in set.iter() {
            let Package { format, name, arch, .. } = &*reference.package;
            if let Some(rules) = by_package.get(&(format.name(), name.as_str(), arch.as_str())) {
                table.judge(reference, rules, now_s)?;
            }
        }
        Ok(table)
    }

    fn judge(
        &mut self,
        reference: &Reference,
        rules: &[&ReferenceRule],
        now_s: u64,
    ) -> Result<(), ReferencesFull> {
        let Ok(content) = <[u8; 32]>::try_from(reference.digest.octets()).map(Digest) else {
            return Ok(());
        };
        if reference.digest.algorithm() != references::Algorithm::Sha256 {
            return Ok(());
        }
        let package = package_text(&reference.package);
        self.packages.insert(reference.path.to_vec(), package.clone());
        for rule in rules {
            match accepts(rule, reference, now_s) {
                Ok(()) => {
                    let vouched = Vouched::new(content, &reference.path, rule.identity());
                    self.table.insert(vouched)?;
                }
                Err(why) => {
                    let refused = RefusedPackage { package: package.clone(), why };
                    self.refused.insert((reference.path.to_vec(), content), refused);
                }
            }
        }
        Ok(())
    }

    /// What the engine is set up with.
    pub fn vouched(&self) -> &References {
        &self.table
    }

    /// Every package that a rule names and that does not vouch, once for each reason.
    pub fn refused(&self) -> Vec<&RefusedPackage> {
        let key = |refused: &RefusedPackage| (refused.package.clone(), refused.why.to_string());
        let once: BTreeMap<(String, String), &RefusedPackage> =
            self.refused.values().map(|refused| (key(refused), refused)).collect();
        once.into_values().collect()
    }

    /// Why a file is not named by a reference, in words; `None` where no rule is about it.
    pub fn why(&self, file: &File) -> Option<String> {
        let path = &file.place.path;
        if file.digest.is_zero() || !self.table.of(file.digest, path).is_zero() {
            return None;
        }
        if let Some(refused) = self.refused.get(&(path.clone(), file.digest)) {
            return Some(format!("it is of {}, and {}", refused.package, refused.why));
        }
        let package = self.packages.get(path)?;
        Some(format!(
            "{package} has another content there: the file was changed, or comes from elsewhere"
        ))
    }
}

/// Whether a reference counts under a rule.
///
/// # Errors
///
/// Why it does not.
pub fn accepts(rule: &ReferenceRule, reference: &Reference, now_s: u64) -> Result<(), Refused> {
    let package = &reference.package;
    let signer = package.signer.as_ref().filter(|_| reference.vouches());
    let signer = signer.ok_or(Refused::NotSigned)?;
    if !rule.signers().contains(&signer.key) {
        return Err(Refused::Signer { key: signer.key.clone(), name: signer.name.clone() });
    }
    if let Some(minimum) = rule.minimum()
        && compare(package.format, &package.version, minimum).is_none_or(std::cmp::Ordering::is_lt)
    {
        return Err(Refused::Downgrade { minimum: minimum.into() });
    }
    let Some(at_s) = signer.expires_at_s.filter(|at_s| *at_s <= now_s) else { return Ok(()) };
    let in_time = signer.signed_at_s.is_some_and(|signed_s| signed_s < at_s);
    match rule.expired() {
        ExpiredKeys::Accepted if in_time => Ok(()),
        _ => Err(Refused::Expired { key: signer.key.clone(), at_s }),
    }
}

fn package_text(package: &Package) -> String {
    let Package { name, version, arch, .. } = package;
    format!("{name} {version} ({arch})")
}

/// A rule for every package that vouches here and that no rule of `known` is about: its lowest version
/// of now, whoever signed it here or is in `signers` besides, expired keys refused.
pub fn candidates(
    set: &ReferenceSet,
    known: &[ReferenceRule],
    signers: &[String],
) -> Vec<ReferenceRule> {
    let mut seen: BTreeMap<(&str, &str, &str), Candidate<'_>> = BTreeMap::new();
    for reference in set.iter().filter(|reference| reference.vouches()) {
        let package = &*reference.package;
        let Some(signer) = &package.signer else { continue };
        let names = (package.format.name(), package.name.as_str(), package.arch.as_str());
        let candidate = seen.entry(names).or_insert_with(|| Candidate {
            minimum: package,
            signers: signers.iter().map(String::as_str).collect(),
        });
        candidate.signers.insert(&signer.key);
        let order = compare(package.format, &package.version, &candidate.minimum.version);
        if order.is_some_and(std::cmp::Ordering::is_lt) {
            candidate.minimum = package;
        }
    }
    let new = |names: &(&str, &str, &str)| {
        !known.iter().any(|rule| rule.is_about(names.0, names.1, names.2))
    };
    let fresh = seen.into_iter().filter(|(names, _)| new(names));
    // A package with a name that no rule can hold keeps its digests.
    fresh.filter_map(|(names, candidate)| candidate.rule(names)).collect()
}

struct Candidate<'a> {
    minimum: &'a Package,
    signers: BTreeSet<&'a str>,
}

impl Candidate<'_> {
    fn rule(&self, names: (&str, &str, &str)) -> Option<ReferenceRule> {
        let signers: Vec<&str> = self.signers.iter().copied().collect();
        let (minimum, names) = (self.minimum.version.as_str(), [names.0, names.1, names.2]);
        ReferenceRule::new(names, Some(minimum), &signers, ExpiredKeys::Refused).ok()
    }
}

/// The candidates by which what was observed could be named, as proposals.
pub fn propose(runs: &[&Observation], candidates: &[ReferenceRule]) -> Vec<Proposal> {
    let by_identity: BTreeMap<Digest, &ReferenceRule> =
        candidates.iter().map(|rule| (rule.identity(), rule)).collect();
    let mut found: BTreeMap<Digest, (BTreeSet<&[u8]>, BTreeSet<usize>)> = BTreeMap::new();
    for (run, observation) in runs.iter().enumerate() {
        let execs = observation.tasks.iter().filter_map(|task| task.exec.as_ref());
        let events = observation.events.iter().map(|event| &event.observed);
        for value in execs.chain(events).flat_map(|observed| &observed.cell.values) {
            let Value::File(file) = value else { continue };
            if by_identity.contains_key(&file.reference) {
                let (paths, runs) = found.entry(file.reference).or_default();
                paths.insert(&file.place.path);
                runs.insert(run);
            }
        }
    }
    let proposal = |(identity, (paths, runs)): (Digest, (BTreeSet<&[u8]>, BTreeSet<usize>))| {
        let rule = by_identity[&identity];
        let examples = paths.iter().take(EXAMPLES_MAX);
        Proposal {
            rule: rule.to_string(),
            examples: examples.map(|path| String::from_utf8_lossy(path).into_owned()).collect(),
            distinct: paths.len(),
            runs: runs.len(),
            gives_away: rule.gives_away(),
        }
    };
    let mut proposals: Vec<Proposal> = found.into_iter().map(proposal).collect();
    proposals.sort_by(|a, b| a.rule.cmp(&b.rule));
    proposals
}

#[cfg(test)]
mod tests;
