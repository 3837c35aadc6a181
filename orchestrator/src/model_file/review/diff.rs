//! What one model allows and another does not, in words.
//!
//! An upgraded binary changes every coefficient of its program; a reviewer wants to hear "the
//! content of /usr/sbin/nginx changed", not that everything went and came. So behaviour is compared
//! by program chain and phrase, and what stays the same in words is only told where its details
//! differ.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use tsem::Digest;
use tsem::File;
use tsem::Value;

use super::counted;
use super::explain::actor;
use super::explain::lines;
use super::phrase::Phrase;
use super::phrase::chain_text;
use super::phrase::phrase;
use super::phrase::shown;
use crate::model_file::header::rule_lines;
use crate::model_file::model::ModelFile;

/// The difference between two models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Lines of the header that changed: name, old and new.
    pub header: Vec<(String, String, String)>,
    /// Rules that are new.
    pub rules_added: Vec<String>,
    /// Rules that are gone.
    pub rules_removed: Vec<String>,
    /// Files whose content, owner or mode is another.
    pub files_changed: Vec<String>,
    /// Behaviour that is new, by program chain.
    pub added: BTreeMap<String, Vec<String>>,
    /// Behaviour that is gone.
    pub removed: BTreeMap<String, Vec<String>>,
    /// Coefficients that are new, whether or not they say anything new in words.
    pub coefficients_added: usize,
    /// Coefficients that are gone.
    pub coefficients_removed: usize,
    /// Of these two, those without a description.
    pub undescribed: usize,
}

/// A model's behaviour: who does what, with which credentials.
type Behaviour = BTreeMap<(String, String), BTreeSet<Phrase>>;

/// Compares two models.
pub fn diff(old: &ModelFile, new: &ModelFile) -> Difference {
    let (before, after) = (behaviour(old), behaviour(new));
    let only = |one: &ModelFile, other: &ModelFile| -> (usize, usize) {
        let only = one.entries().filter(|(coefficient, _)| !other.contains(coefficient));
        only.fold((0, 0), |(all, bare), (_, entry)| (all + 1, bare + usize::from(entry.is_none())))
    };
    let ((added, bare_added), (removed, bare_removed)) = (only(new, old), only(old, new));
    let (old_rules, new_rules) = (rule_lines(old.rules()), rule_lines(new.rules()));
    let without = |some: &[String], others: &[String]| -> Vec<String> {
        some.iter().filter(|rule| !others.contains(rule)).cloned().collect()
    };
    Difference {
        header: header_lines(old, new),
        rules_added: without(&new_rules, &old_rules),
        rules_removed: without(&old_rules, &new_rules),
        files_changed: files_changed(old, new),
        added: beyond(&after, &before),
        removed: beyond(&before, &after),
        coefficients_added: added,
        coefficients_removed: removed,
        undescribed: bare_added + bare_removed,
    }
}

impl Difference {
    /// Whether the two models allow the same.
    pub fn is_empty(&self) -> bool {
        self.coefficients_added + self.coefficients_removed == 0
            && self.rules_added.is_empty()
            && self.rules_removed.is_empty()
    }
}

fn behaviour(model: &ModelFile) -> Behaviour {
    let mut behaviour = Behaviour::new();
    for (_, described) in model.described() {
        let who = (chain_text(model, &actor(described)), described.coe.to_string());
        behaviour.entry(who).or_default().insert(phrase(model, &described.cell));
    }
    behaviour
}

/// What `some` has and `others` have not, by program.
fn beyond(some: &Behaviour, others: &Behaviour) -> BTreeMap<String, Vec<String>> {
    let mut beyond: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (who, phrases) in some {
        let known = others.get(who);
        let new = phrases.iter().filter(|phrase| known.is_none_or(|known| !known.contains(phrase)));
        let new: BTreeSet<Phrase> = new.cloned().collect();
        if !new.is_empty() {
            let (chain, credentials) = who;
            beyond.entry(format!("{chain} as {credentials}")).or_default().extend(lines(&new));
        }
    }
    beyond
}

fn header_lines(old: &ModelFile, new: &ModelFile) -> Vec<(String, String, String)> {
    let (old, new) = (old.header().canonical(), new.header().canonical());
    let cut = |line: &str| line.split_once(' ').map(|(name, value)| (name.into(), value.into()));
    let fields = |text: &str| -> Vec<(String, String)> {
        text.lines().filter(|line| !line.starts_with("rule ")).filter_map(cut).collect()
    };
    let pairs = fields(&old).into_iter().zip(fields(&new));
    let changed = pairs.filter(|((_, old), (_, new))| old != new);
    changed.map(|((name, old), (_, new))| (name, old, new)).collect()
}

/// What is known of a path: contents, and owners with modes.
#[derive(Default, PartialEq, Eq)]
struct Known {
    contents: BTreeSet<Digest>,
    owners: BTreeSet<(u32, u32, u32)>,
}

fn files(model: &ModelFile) -> BTreeMap<Vec<u8>, Known> {
    let mut files: BTreeMap<Vec<u8>, Known> = BTreeMap::new();
    let values = model.described().flat_map(|(_, described)| &described.cell.values);
    for value in values {
        let Value::File(file) = value else { continue };
        let File { place, uid, gid, mode, digest, reference } = &**file;
        let known = files.entry(place.path.clone()).or_default();
        known.owners.insert((*uid, *gid, *mode));
        let content = [digest, reference].into_iter().find(|name| !name.is_zero());
        known.contents.extend(content);
    }
    files
}

fn files_changed(old: &ModelFile, new: &ModelFile) -> Vec<String> {
    let old = files(old);
    let mut changed = Vec::new();
    for (path, now) in files(new) {
        let Some(before) = old.get(&path) else { continue };
        let both = !before.contents.is_empty() && !now.contents.is_empty();
        if both && before.contents != now.contents {
            changed.push(format!("{}: content", shown(&path)));
        }
        if before.owners != now.owners {
            changed.push(format!("{}: owner or mode", shown(&path)));
        }
    }
    changed
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, old, new) in &self.header {
            writeln!(f, "{name}: {old} -> {new}")?;
        }
        self.rules_removed.iter().try_for_each(|rule| writeln!(f, "- rule {rule}"))?;
        self.rules_added.iter().try_for_each(|rule| writeln!(f, "+ rule {rule}"))?;
        self.files_changed.iter().try_for_each(|file| writeln!(f, "~ {file} changed"))?;
        write_behaviour(f, '-', "no longer", &self.removed)?;
        write_behaviour(f, '+', "may now", &self.added)?;
        let (added, removed) = (self.coefficients_added, self.coefficients_removed);
        writeln!(f, "{} added, {removed} removed", counted(added, "coefficient"))?;
        if self.undescribed > 0 {
            let number = self.undescribed;
            writeln!(f, "without a description, so that they cannot be compared: {number}")?;
        }
        Ok(())
    }
}

fn write_behaviour(
    f: &mut fmt::Formatter<'_>,
    sign: char,
    word: &str,
    behaviour: &BTreeMap<String, Vec<String>>,
) -> fmt::Result {
    for (who, lines) in behaviour {
        writeln!(f, "{sign} {who} {word}:")?;
        lines.iter().try_for_each(|line| writeln!(f, "{sign}     {line}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::header::add_rule;
    use crate::model_file::model::tests::model;
    use crate::model_file::model::tests::story;
    use tsem::Observation;
    use tsem::TaskIndex;

    fn learned(observation: &Observation) -> ModelFile {
        ModelFile::learned(model().header().clone(), &[observation]).unwrap()
    }

    #[test]
    fn equal_models_do_not_differ() {
        let difference = diff(&model(), &model());
        assert!(difference.is_empty());
        assert_eq!(difference, Difference::default());
    }

    #[test]
    fn behaviour_is_told_in_words() {
        let mut more = story("/tmp/cc123456.s");
        more.open(TaskIndex(2), "/etc/shadow", 1);
        let (old, new) =
            (learned(&story("/tmp/cc123456.s").observation), learned(&more.observation));
        let text = diff(&old, &new).to_string();
        let who = "/bin/sh > /usr/sbin/nginx as uid=33 gid=33 caps=none";
        assert_eq!(
            text,
            format!("+ {who} may now:\n+     read /etc/shadow\n1 coefficient added, 0 removed\n")
        );
        let text = diff(&new, &old).to_string();
        assert!(
            text.starts_with(&format!("- {who} no longer:\n-     read /etc/shadow\n")),
            "{text}"
        );
    }

    #[test]
    fn an_upgraded_binary_is_one_line() {
        let old = story("/tmp/cc123456.s").observation;
        let mut new = old.clone();
        let upgrade = |cell: &mut tsem::ObservedCell| {
            if let Value::File(file) = &mut cell.cell.values[0]
                && file.place.path == b"/usr/sbin/nginx"
            {
                file.digest = Digest([1; 32]);
            }
        };
        new.tasks.iter_mut().filter_map(|task| task.exec.as_mut()).for_each(upgrade);
        new.events.iter_mut().for_each(|event| upgrade(&mut event.observed));
        let difference = diff(&learned(&old), &learned(&new));
        assert_eq!(difference.files_changed, ["/usr/sbin/nginx: content"]);
        assert!(difference.added.is_empty() && difference.removed.is_empty());
        assert_eq!((difference.coefficients_added, difference.coefficients_removed), (4, 4));
        assert!(!difference.is_empty());
    }

    #[test]
    fn rules_and_header_count_too() {
        let mut wider = model();
        add_rule(&mut wider.header_mut().rules, "name /{any} any").unwrap();
        wider.header_mut().serial = 9;
        let difference = diff(&model(), &wider);
        assert_eq!(difference.rules_added, ["name /{any} any"]);
        assert_eq!(difference.header, [("serial".into(), "7".into(), "9".into())]);
        assert!(!difference.is_empty());
    }
}
