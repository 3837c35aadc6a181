//! Two models of one workload as one: what either allows.

use std::collections::BTreeMap;

use tsem::Digest;

use crate::model_file::model::Described;
use crate::model_file::model::ModelFile;
use crate::model_file::model::Program;

/// Whether models that do not belong together are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Refused.
    Refuse,
    /// Merged all the same; what differs is taken from the first model.
    Force,
}

/// Why models were not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// They do not belong together.
    #[error(
        "the models differ in their {0}, so they are not of one kind; add --force to merge them all \
         the same"
    )]
    Differ(&'static str),
    /// There is no higher serial.
    #[error("a model has the highest serial number that there is, so no newer model can follow it")]
    LastSerial,
}

/// The union of coefficients and rules, under the next serial number. Coefficients stay as they
/// were formed: where the rules of the two differ, learning again gives a smaller model.
///
/// # Errors
///
/// Models of different workloads, profiles, platforms or port ranges, unless forced.
pub fn merge(
    first: &ModelFile,
    second: &ModelFile,
    mismatch: Mismatch,
) -> Result<ModelFile, MergeError> {
    if mismatch == Mismatch::Refuse {
        check_alike(first, second)?;
    }
    let mut header = first.header().clone();
    let other = second.header();
    header.serial = header.serial.max(other.serial).checked_add(1).ok_or(MergeError::LastSerial)?;
    header.runs = header.runs.saturating_add(other.runs);
    header.events = header.events.saturating_add(other.events);
    header.losses = header.losses.saturating_add(other.losses);
    header.rules.unite(&other.rules);
    let mut unlearned = header.unlearned_hooks();
    unlearned.retain(|name| other.unlearned_hooks().contains(name));
    header.set_unlearned_hooks(&unlearned);
    let mut merged = ModelFile::new(header);
    let programs = [first, second].into_iter().flat_map(ModelFile::programs);
    let programs: BTreeMap<Digest, &Program> =
        programs.map(|program| (program.identity.task, program)).collect();
    for program in programs.into_values() {
        merged.insert_program(program.clone());
    }
    let theirs: BTreeMap<&Digest, Option<&Described>> = second.entries().collect();
    for (coefficient, mine) in first.entries() {
        let described = both(mine, theirs.get(coefficient).copied().flatten());
        merged.insert(*coefficient, described);
    }
    for (coefficient, described) in theirs {
        if !first.contains(coefficient) {
            merged.insert(*coefficient, both(described, None));
        }
    }
    Ok(merged)
}

fn both(mine: Option<&Described>, theirs: Option<&Described>) -> Option<Described> {
    let described = mine.or(theirs)?;
    let other = mine.and(theirs).map(|described| described.seen);
    Some(Described { seen: described.seen.and(other), ..described.clone() })
}

fn check_alike(first: &ModelFile, second: &ModelFile) -> Result<(), MergeError> {
    let (one, two) = (first.header(), second.header());
    let checks = [
        ("workload", one.workload == two.workload),
        ("profile", one.rules.profile == two.rules.profile),
        ("platform aggregate or base", one.platform == two.platform),
        ("ephemeral port range", one.rules.ephemeral == two.rules.ephemeral),
    ];
    let differing = checks.iter().find(|(_, alike)| !alike);
    differing.map_or(Ok(()), |(what, _)| Err(MergeError::Differ(what)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::format::Descriptions;
    use crate::model_file::header::Workload;
    use crate::model_file::header::add_rule;
    use crate::model_file::model::Seen;
    use crate::model_file::model::tests::model;
    use crate::model_file::model::tests::story;

    fn other() -> ModelFile {
        let mut header = model().header().clone();
        header.serial = 11;
        add_rule(&mut header.rules, "digest /etc/other").unwrap();
        let mut story = story("/tmp/cc123456.s");
        story.open(tsem::TaskIndex(2), "/etc/other", 1);
        ModelFile::learned(header, &[&story.observation]).unwrap()
    }

    #[test]
    fn a_merged_model_allows_what_either_does_and_survives_its_text() {
        let (first, second) = (model(), other());
        let merged = merge(&first, &second, Mismatch::Refuse).unwrap();
        assert!(first.coefficients().chain(second.coefficients()).all(|c| merged.contains(c)));
        assert_eq!((merged.len(), merged.header().serial, merged.header().runs), (6, 12, 3));
        assert_eq!(merged.rules().digests.len(), 2);
        let text = merged.to_text(Descriptions::Keep);
        assert_eq!(ModelFile::parse(text.as_bytes()).unwrap(), merged);
        let back = merge(&second, &first, Mismatch::Refuse).unwrap();
        assert_eq!(back.state(), merged.state());
        let some = merged.described().filter(|(_, described)| described.seen == Seen::Some);
        assert_eq!(some.count(), 2);
    }

    #[test]
    fn models_that_do_not_belong_together_are_refused_unless_forced() {
        let first = model();
        let mut second = other();
        second.header_mut().workload = Workload::parse("redis").unwrap();
        let refused = merge(&first, &second, Mismatch::Refuse);
        assert_eq!(refused, Err(MergeError::Differ("workload")));
        let forced = merge(&first, &second, Mismatch::Force).unwrap();
        assert_eq!(forced.header().workload.as_str(), "nginx");
        second.header_mut().serial = u64::MAX;
        assert_eq!(merge(&first, &second, Mismatch::Force), Err(MergeError::LastSerial));
    }
}
