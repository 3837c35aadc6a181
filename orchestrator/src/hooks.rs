//! Hooks that not every kernel has: what a run misses by them, and when that is refused.
//!
//! A model says without which hooks it was learned. Under a kernel that lacks more, events that it
//! is about would not be judged: to enforce it there is refused, unless the user says so. A kernel
//! that has more refuses, in force, what the model could not learn.

use tsem::Mode;
use tsem::Profile;
use tsem::Rules;

use crate::kernel;
use crate::source::Source;
use crate::workload::RunError;
use crate::workload::Workload;

/// What is known of hooks, and allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// The events that the model could not hold: its kernel lacked their hooks.
    pub unlearned: Vec<String>,
    /// Whether a model may be enforced where hooks are missing that it was learned with.
    pub may_be_missing: bool,
}

/// The events of the workload's profile whose hook the kernel lacks.
///
/// # Errors
///
/// The model is to be enforced, and was learned with one of them.
pub(crate) fn missing(workload: &Workload) -> Result<Vec<String>, RunError> {
    if !wants_full(workload) {
        return Ok(Vec::new());
    }
    let missing = kernel::missing_hooks().map_err(RunError::Hooks)?;
    match refused(&missing, &workload.hooks, workload.mode) {
        none if none.is_empty() => Ok(missing),
        refused => Err(RunError::MissingHooks(refused)),
    }
}

/// The missing hooks for which a model is not enforced: it was learned with them.
fn refused(missing: &[String], hooks: &Hooks, mode: Mode) -> Vec<String> {
    if mode != Mode::Enforcing || hooks.may_be_missing {
        return Vec::new();
    }
    without(missing, &hooks.unlearned)
}

fn wants_full(workload: &Workload) -> bool {
    is_full(workload.source, workload.rules.profile)
}

fn is_full(source: Source, profile: Profile) -> bool {
    source == Source::Kernel && profile == Profile::Full
}

/// The hooks for which a model does not follow another while its workload runs: it was learned
/// without them and the other with them, or with them where they are missing.
pub(crate) fn in_the_way(
    missing: &[String],
    before: &Hooks,
    after: &Hooks,
    mode: Mode,
) -> Vec<String> {
    let mut names = without(&after.unlearned, &before.unlearned);
    names.extend(refused(missing, after, mode));
    names
}

/// What to know of a run before relying on it.
pub(crate) fn notes(workload: &Workload, missing: &[String]) -> Vec<String> {
    notes_of(workload.source, &workload.rules, &workload.hooks.unlearned, missing)
}

/// The same, of a model that was learned without these hooks.
pub(crate) fn notes_of(
    source: Source,
    rules: &Rules,
    unlearned: &[String],
    missing: &[String],
) -> Vec<String> {
    let caution = source.caution(rules).map(Into::into);
    let unlearned: &[String] = if is_full(source, rules.profile) { unlearned } else { &[] };
    caution.into_iter().chain(notes_of_hooks(missing, unlearned)).collect()
}

fn notes_of_hooks(missing: &[String], unlearned: &[String]) -> Vec<String> {
    let denied = without(unlearned, missing);
    let notes = [
        (missing, "degraded: this kernel lacks hooks, so their events are not judged"),
        (&denied, "the model was learned without these hooks, so their events are outside it"),
    ];
    let told = notes.into_iter().filter(|(names, _)| !names.is_empty());
    told.map(|(names, text)| format!("{text}: {}", names.join(", "))).collect()
}

fn without(names: &[String], others: &[String]) -> Vec<String> {
    names.iter().filter(|name| !others.contains(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsem::AddressRule;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(Into::into).collect()
    }

    fn hooks(unlearned: &str, may_be_missing: bool) -> Hooks {
        Hooks { unlearned: names(unlearned), may_be_missing }
    }

    #[test]
    fn only_rules_have_to_be_cautioned_about() {
        let exact = Rules::default();
        let ruled = Rules {
            addresses: vec![AddressRule { network: vec![127, 0, 0, 1], prefix: 32, port: None }],
            ..Rules::default()
        };
        assert!(notes_of(Source::Kernel, &exact, &[], &[]).is_empty());
        assert!(notes_of(Source::Kernel, &ruled, &[], &[])[0].contains("cannot wait"));
        assert!(notes_of(Source::Portable, &ruled, &[], &[]).is_empty());
    }

    #[test]
    fn a_model_is_not_enforced_without_the_hooks_it_was_learned_with() {
        let missing = names("file_truncate capget");
        assert_eq!(refused(&missing, &hooks("", false), Mode::Enforcing), missing);
        assert_eq!(refused(&missing, &hooks("capget", false), Mode::Enforcing), missing[..1]);
        assert!(
            refused(&missing, &hooks("capget file_truncate", false), Mode::Enforcing).is_empty()
        );
        assert!(refused(&missing, &hooks("", true), Mode::Enforcing).is_empty());
        assert!(refused(&missing, &hooks("", false), Mode::Free).is_empty());
    }

    #[test]
    fn a_model_is_followed_by_one_that_was_learned_with_no_fewer_hooks() {
        let in_the_way = |missing: &str, before: &str, after: &str, may_be_missing| {
            let (before, after) = (hooks(before, false), hooks(after, may_be_missing));
            super::in_the_way(&names(missing), &before, &after, Mode::Enforcing)
        };
        assert!(in_the_way("", "capget", "capget", false).is_empty());
        assert!(in_the_way("", "capget", "", false).is_empty());
        assert_eq!(in_the_way("", "", "capget", false), ["capget"]);
        assert_eq!(in_the_way("capget", "capget", "", false), ["capget"]);
        assert!(in_the_way("capget", "capget", "", true).is_empty());
    }

    #[test]
    fn what_is_missing_on_either_side_is_told() {
        assert!(notes_of_hooks(&[], &[]).is_empty());
        let both = notes_of_hooks(&names("file_truncate"), &names("file_truncate capget"));
        assert_eq!(both.len(), 2);
        assert!(both[0].starts_with("degraded: ") && both[0].ends_with(": file_truncate"));
        assert!(both[1].ends_with("outside it: capget"));
    }
}
