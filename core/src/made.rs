//! What the namespace itself made in the file system, and which task made it.
//!
//! Kept by path, fed by effects that have happened. Bounded: what does not fit is counted and is
//! not known to be the namespace's own, so a rule that binds to the maker will not cover it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Effect;
use crate::TaskIndex;

/// Paths made by the namespace.
#[derive(Debug)]
pub(crate) struct Made {
    by_path: BTreeMap<Vec<u8>, TaskIndex>,
    bound: usize,
    overflows: u64,
}

/// The leading parts of a path that the namespace made: covered octets and maker.
pub type Makers = Vec<(u16, TaskIndex)>;

impl Made {
    pub(crate) fn new(bound: usize) -> Self {
        Self { by_path: BTreeMap::new(), bound, overflows: 0 }
    }

    pub(crate) fn overflows(&self) -> u64 {
        self.overflows
    }

    pub(crate) fn note(&mut self, task: TaskIndex, effect: &Effect<'_>) {
        match effect {
            Effect::Made(path) => self.insert(path.to_vec(), task),
            Effect::Removed(path) => {
                self.by_path.remove(*path);
            }
            Effect::Renamed { from, to } => self.rename(from, to),
        }
    }

    /// A path is about to be made; what another task has made or is about to make there stays its.
    pub(crate) fn expect(&mut self, task: TaskIndex, path: &[u8]) {
        if !self.by_path.contains_key(path) {
            self.insert(path.to_vec(), task);
        }
    }

    /// Every leading part of `path`, and `path` itself, that was made here.
    pub(crate) fn makers(&self, path: &[u8]) -> Makers {
        if self.by_path.is_empty() || !path.starts_with(b"/") {
            return Makers::new();
        }
        let ends = (1..path.len()).filter(|end| path[*end] == b'/').chain([path.len()]);
        let made = ends.filter_map(|end| Some((end as u16, *self.by_path.get(&path[..end])?)));
        made.collect()
    }

    fn insert(&mut self, path: Vec<u8>, task: TaskIndex) {
        if self.by_path.len() >= self.bound && !self.by_path.contains_key(&path) {
            self.overflows += 1;
            return;
        }
        self.by_path.insert(path, task);
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) {
        self.by_path.remove(to);
        let below: Vec<u8> = [from, b"/"].concat();
        let moved: Vec<_> = self
            .by_path
            .range(from.to_vec()..)
            .take_while(|(path, _)| path.starts_with(from))
            .filter(|(path, _)| path.as_slice() == from || path.starts_with(&below))
            .map(|(path, task)| (path.clone(), *task))
            .collect();
        for (path, _) in &moved {
            self.by_path.remove(path);
        }
        for (path, task) in moved {
            self.by_path.insert([to, &path[from.len()..]].concat(), task);
        }
    }
}

/// As [`Made`], in one piece of memory that is taken once; for a place with little of it.
///
/// Records stand one behind another: u16 length of the path, u16 task, the path.
#[derive(Debug)]
pub(crate) struct MadeOctets {
    octets: Vec<u8>,
    bound: usize,
    overflows: u64,
}

/// Octets of a record before its path.
const RECORD_HEAD: usize = 4;

impl MadeOctets {
    pub(crate) fn new(bound: usize) -> Self {
        let mut octets = Vec::new();
        octets.reserve_exact(bound);
        Self { octets, bound, overflows: 0 }
    }

    pub(crate) fn overflows(&self) -> u64 {
        self.overflows
    }

    pub(crate) fn note(&mut self, task: TaskIndex, effect: &Effect<'_>) {
        match effect {
            Effect::Made(path) => self.insert(task, path),
            Effect::Removed(path) => self.remove(path),
            Effect::Renamed { from, to } => self.rename(from, to),
        }
    }

    pub(crate) fn expect(&mut self, task: TaskIndex, path: &[u8]) {
        if self.find(path).is_none() {
            self.insert(task, path);
        }
    }

    pub(crate) fn makers(&self, path: &[u8]) -> Makers {
        if !path.starts_with(b"/") {
            return Makers::new();
        }
        let leading = self.records().filter(|record| is_below(path, record.path));
        let mut makers: Makers =
            leading.map(|record| (record.path.len() as u16, record.task)).collect();
        makers.sort_unstable();
        makers
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let mut at = 0;
        core::iter::from_fn(move || {
            let record = Record::at(&self.octets, at)?;
            at += record.size();
            Some(record)
        })
    }

    fn find(&self, path: &[u8]) -> Option<usize> {
        self.records().find(|record| record.path == path).map(|record| record.at)
    }

    fn insert(&mut self, task: TaskIndex, path: &[u8]) {
        self.remove(path);
        let fits = self.octets.len() + RECORD_HEAD + path.len() <= self.bound;
        let (Ok(length), true) = (u16::try_from(path.len()), fits) else {
            self.overflows += 1;
            return;
        };
        self.octets.extend_from_slice(&length.to_le_bytes());
        self.octets.extend_from_slice(&(task.0 as u16).to_le_bytes());
        self.octets.extend_from_slice(path);
    }

    fn remove(&mut self, path: &[u8]) {
        if let Some(at) = self.find(path) {
            self.octets.drain(at..at + RECORD_HEAD + path.len());
        }
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) {
        self.remove(to);
        let moved: Vec<(TaskIndex, Vec<u8>)> = self
            .records()
            .filter(|record| is_below(record.path, from))
            .map(|record| (record.task, record.path[from.len()..].to_vec()))
            .collect();
        for (_, rest) in &moved {
            self.remove(&[from, rest].concat());
        }
        for (task, rest) in moved {
            self.insert(task, &[to, &rest].concat());
        }
    }
}

/// Whether `path` is `above` or lies below it.
fn is_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.first().is_none_or(|octet| *octet == b'/'))
}

struct Record<'a> {
    at: usize,
    task: TaskIndex,
    path: &'a [u8],
}

impl<'a> Record<'a> {
    fn at(octets: &'a [u8], at: usize) -> Option<Self> {
        let (head, rest) = octets.get(at..)?.split_first_chunk::<RECORD_HEAD>()?;
        let path = rest.get(..usize::from(u16::from_le_bytes([head[0], head[1]])))?;
        Some(Self { at, task: TaskIndex(u16::from_le_bytes([head[2], head[3]]).into()), path })
    }

    fn size(&self) -> usize {
        RECORD_HEAD + self.path.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_directory_takes_its_children_along() {
        let mut made = Made::new(3);
        let (a, b) = (TaskIndex(1), TaskIndex(2));
        made.note(a, &Effect::Made(b"/t/d"));
        made.note(b, &Effect::Made(b"/t/d/f"));
        made.note(b, &Effect::Made(b"/t/d-other"));
        made.note(b, &Effect::Made(b"/t/full"));
        assert_eq!(made.overflows(), 1);
        made.note(a, &Effect::Renamed { from: b"/t/d", to: b"/t/e" });
        assert_eq!(made.makers(b"/t/e/f"), [(4, a), (6, b)]);
        assert_eq!(made.makers(b"/t/d/f"), []);
        assert_eq!(made.makers(b"/t/d-other"), [(10, b)]);
        made.note(a, &Effect::Removed(b"/t/e/f"));
        assert_eq!(made.makers(b"/t/e/f"), [(4, a)]);
    }

    /// One effect of each kind in turn over few paths, so that they meet.
    #[test]
    fn both_forms_know_the_same_makers() {
        let paths: [&[u8]; 6] = [b"/t", b"/t/a", b"/t/a/f", b"/t/ab", b"/u", b"/u/f"];
        let fresh = || (Made::new(4096), MadeOctets::new(1 << 16));
        let (mut map, mut octets) = fresh();
        let mut number = 1_u32;
        for round in 0..20_000 {
            if round % 100 == 0 {
                (map, octets) = fresh();
            }
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pick = |shift: u32| paths[(number >> shift) as usize % paths.len()];
            let (from, to) = (pick(8), pick(14));
            let effect = match number >> 29 {
                0..=3 => Effect::Made(from),
                4 => Effect::Removed(from),
                _ if is_below(to, from) => continue,
                _ => Effect::Renamed { from, to },
            };
            map.note(TaskIndex(number % 7), &effect);
            octets.note(TaskIndex(number % 7), &effect);
            for path in paths {
                assert_eq!(map.makers(path), octets.makers(path), "{effect:?}");
            }
            assert_eq!((map.overflows(), octets.overflows()), (0, 0));
        }
    }

    #[test]
    fn octets_that_do_not_fit_are_counted_and_change_nothing() {
        let mut made = MadeOctets::new(2 * (RECORD_HEAD + 2));
        for path in [b"/a", b"/b", b"/c", b"/a"] {
            made.note(TaskIndex(1), &Effect::Made(path));
        }
        assert_eq!(made.overflows(), 1);
        assert_eq!(made.makers(b"/a/x"), [(2, TaskIndex(1))]);
        assert_eq!(made.makers(b"/c"), []);
        made.note(TaskIndex(1), &Effect::Renamed { from: b"/a", to: b"/abc" });
        assert_eq!(made.overflows(), 2);
    }
}
