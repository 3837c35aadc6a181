//! The paths of all runs in one tree.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::iter::repeat;

use tsem::Cell;
use tsem::ObservedCell;
use tsem::Place;
use tsem::Rules;
use tsem::Token;
use tsem::Value;

/// A name in the file system, and what was seen of it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) children: BTreeMap<Vec<Token>, Node>,
    /// The runs in which it was seen.
    pub(super) runs: BTreeSet<usize>,
    /// Whether the namespace had made it itself whenever it was seen.
    pub(super) made: bool,
}

impl Default for Node {
    fn default() -> Self {
        Self { children: BTreeMap::new(), runs: BTreeSet::new(), made: true }
    }
}

impl Node {
    /// Lays the places of one event. Parts of a path that a rule of the model covers already stand
    /// in the tree as the rule's pattern.
    pub(super) fn lay(&mut self, run: usize, seen: &ObservedCell, formed: &Cell, rules: &Rules) {
        let raw = seen.cell.values.iter().filter_map(Value::place);
        let formed = formed.values.iter().filter_map(Value::place);
        let makers = seen.makers.iter().map(Vec::as_slice).chain(repeat(&[][..]));
        for ((raw, formed), makers) in raw.zip(formed).zip(makers) {
            let ends: BTreeSet<usize> = makers.iter().map(|(end, _)| usize::from(*end)).collect();
            self.lay_path(run, raw, &covering(raw, formed, rules), &ends);
        }
    }

    fn lay_path(
        &mut self,
        run: usize,
        place: &Place,
        covered: &[Vec<Token>],
        made: &BTreeSet<usize>,
    ) {
        let Some(path) = place.path.strip_prefix(b"/") else { return };
        let mut node = self;
        node.runs.insert(run);
        let mut end = 0;
        for (index, name) in path.split(|octet| *octet == b'/').enumerate() {
            end += 1 + name.len();
            let literal = || vec![Token::Literal(name.to_vec())];
            let component = covered.get(index).cloned().unwrap_or_else(literal);
            node = node.children.entry(component).or_default();
            node.runs.insert(run);
            node.made &= made.contains(&end);
        }
    }

    /// Lays another node of the same kind over this one.
    pub(super) fn merge(&mut self, other: &Self) {
        self.runs.extend(&other.runs);
        self.made &= other.made;
        for (component, child) in &other.children {
            self.children.entry(component.clone()).or_default().merge(child);
        }
    }
}

/// The components of the rule that was applied to a place.
fn covering(raw: &Place, formed: &Place, rules: &Rules) -> Vec<Vec<Token>> {
    if !formed.generalised {
        return Vec::new();
    }
    let applied = rules.names.iter().find(|rule| {
        let rest = formed.path.strip_prefix(rule.pattern.text().as_bytes());
        let covered = rule.pattern.match_prefix(&raw.path);
        covered.zip(rest).is_some_and(|(covered, rest)| raw.path[covered..] == *rest)
    });
    applied.map(|rule| rule.pattern.components().to_vec()).unwrap_or_default()
}
