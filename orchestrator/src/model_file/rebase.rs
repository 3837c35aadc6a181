//! A model of plain digests, carried over to what signed packages have now.
//!
//! A digest is exchanged only where packages explain it: on the old machine a signed package had exactly this content at
//! this path, and on the new one the same package has a content there, signed by the same key, of no lower
//! version. Everything else stays, and is told. All identities that hang from an exchanged content are
//! formed anew, so the model is another one: it has a new serial, and no signature yet.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use references::Algorithm;
use references::Reference;
use references::ReferenceSet;
use serde::Serialize;
use tsem::Cell;
use tsem::Digest;
use tsem::EncodeError;
use tsem::EventKind;
use tsem::File;
use tsem::Target;
use tsem::TaskIdentity;
use tsem::Value;
use tsem::cell_digest;
use tsem::coe_digest;
use tsem::coefficient;

use super::model::Described;
use super::model::ModelFile;
use super::model::Program;
use crate::reference_table::compare;

/// Why a model cannot be rebased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebaseError {
    /// Coefficients that nobody can form anew.
    #[error("{0} coefficients have no description, so they cannot be formed anew")]
    Undescribed(usize),
    /// A program refers to a later one.
    #[error("the model's programs refer to each other in a circle")]
    Circle,
    /// What came out has no encoding.
    #[error("an event cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// A package that explains exchanged contents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// Its name.
    pub package: String,
    /// Version that the model was learned on.
    pub from: String,
    /// Version that it is for now.
    pub to: String,
    /// Files whose content is exchanged.
    pub files: usize,
}

/// A content that was not exchanged although packages speak of its path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Left {
    /// The path.
    pub path: String,
    /// Why.
    pub why: &'static str,
}

/// A rebased model, and how it came about.
#[derive(Clone, Debug)]
pub struct Rebased {
    /// Under a new serial.
    pub model: ModelFile,
    /// What packages explain.
    pub steps: Vec<Step>,
    /// What nobody explains and a reviewer has to look at.
    pub left: Vec<Left>,
}

/// Exchanges what the packages explain.
///
/// # Errors
///
/// A model whose descriptions were left out.
pub fn rebase(
    model: &ModelFile,
    from: &ReferenceSet,
    to: &ReferenceSet,
) -> Result<Rebased, RebaseError> {
    let undescribed = model.entries().filter(|(_, described)| described.is_none()).count();
    if undescribed > 0 {
        return Err(RebaseError::Undescribed(undescribed));
    }
    let exchange = Exchange::of(model, from, to);
    let programs = programs(model, &exchange)?;
    let mut header = model.header().clone();
    header.serial += u64::from(!exchange.contents.is_empty());
    let mut rebased = ModelFile::new(header);
    for program in programs.values() {
        rebased.insert_program(program.clone());
    }
    for (_, described) in model.described() {
        let (coefficient, described) = formed(described, &programs, &exchange)?;
        rebased.insert(coefficient, Some(described));
    }
    Ok(Rebased { model: rebased, steps: exchange.steps, left: exchange.left })
}

/// Which content becomes which, by path.
#[derive(Default)]
struct Exchange {
    contents: BTreeMap<(Vec<u8>, Digest), Digest>,
    steps: Vec<Step>,
    left: Vec<Left>,
}

impl Exchange {
    fn of(model: &ModelFile, from: &ReferenceSet, to: &ReferenceSet) -> Self {
        let cells = model.described().map(|(_, described)| &described.cell);
        let cells = cells.chain(model.programs().map(|program| &program.cell));
        let mut files: BTreeSet<(Vec<u8>, Digest)> = BTreeSet::new();
        for value in cells.flat_map(|cell| &cell.values) {
            if let Value::File(file) = value
                && !file.digest.is_zero()
                && !file.place.generalised
            {
                files.insert((file.place.path.clone(), file.digest));
            }
        }
        let mut exchange = Self::default();
        let mut steps: BTreeMap<[String; 3], usize> = BTreeMap::new();
        for (path, content) in files {
            match successor(&path, content, from, to) {
                Ok(Some((old, new, content_now))) if content_now != content => {
                    let versions = [&old.package.name, &old.package.version, &new.package.version];
                    *steps.entry(versions.map(Clone::clone)).or_default() += 1;
                    exchange.contents.insert((path, content), content_now);
                }
                Ok(_) => {}
                Err(why) => {
                    let path = String::from_utf8_lossy(&path).into_owned();
                    exchange.left.push(Left { path, why });
                }
            }
        }
        let step =
            |([package, from, to], files): ([String; 3], usize)| Step { package, from, to, files };
        exchange.steps = steps.into_iter().map(step).collect();
        exchange
    }

    fn apply(&self, file: &mut File) {
        if file.place.generalised || file.digest.is_zero() {
            return;
        }
        if let Some(content) = self.contents.get(&(file.place.path.clone(), file.digest)) {
            file.digest = *content;
        }
    }
}

type Successor<'a> = Option<(&'a Reference, &'a Reference, Digest)>;

/// What the package that had this content there has there now; nothing where no package speaks of it.
fn successor<'a>(
    path: &[u8],
    content: Digest,
    from: &'a ReferenceSet,
    to: &'a ReferenceSet,
) -> Result<Successor<'a>, &'static str> {
    let had = from.by_path(path).find(|had| had.vouches() && sha256(had) == Some(content));
    let Some(old) = had else {
        let spoken_of = from.by_path(path).chain(to.by_path(path)).any(Reference::vouches);
        let stays = to.by_path(path).any(|now| now.vouches() && sha256(now) == Some(content));
        return if spoken_of && !stays {
            Err("no signed package had the content that the model holds")
        } else {
            Ok(None)
        };
    };
    let same_package = |now: &&Reference| {
        let (was, is) = (&old.package, &now.package);
        is.format == was.format && is.name == was.name && is.arch == was.arch
    };
    let key = |one: &Reference| one.package.signer.as_ref().map(|signer| signer.key.clone());
    let mut why = "its package does not have it any more";
    let mut best: Successor<'a> = None;
    for now in to.by_path(path).filter(|now| now.vouches()).filter(same_package) {
        let order = |one: &Reference, other: &Reference| {
            compare(one.package.format, &one.package.version, &other.package.version)
        };
        if key(now) != key(old) {
            why = "another key signed its package now";
        } else if order(now, old).is_none_or(std::cmp::Ordering::is_lt) {
            why = "its package is of a lower version now";
        } else if let Some(content) = sha256(now)
            && best
                .is_none_or(|(_, than, _)| order(now, than).is_some_and(std::cmp::Ordering::is_gt))
        {
            best = Some((old, now, content));
        }
    }
    best.map(Some).ok_or(why)
}

fn sha256(reference: &Reference) -> Option<Digest> {
    let digest = &reference.digest;
    let octets = (digest.algorithm() == Algorithm::Sha256).then(|| digest.octets())?;
    octets.try_into().ok().map(Digest)
}

/// Every program by its old `TASK_ID`, formed anew in an order in which what a program refers to is
/// formed before it.
fn programs(
    model: &ModelFile,
    exchange: &Exchange,
) -> Result<BTreeMap<Digest, Program>, RebaseError> {
    let mut waiting: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for program in model.programs() {
        let needs: BTreeSet<Digest> =
            references_of(program).filter(|task| model.program(task).is_some()).collect();
        waiting.insert(program.identity.task, needs.len());
        for need in needs {
            dependents.entry(need).or_default().push(program.identity.task);
        }
    }
    let mut ready: Vec<Digest> =
        waiting.iter().filter(|(_, needs)| **needs == 0).map(|(task, _)| *task).collect();
    let mut formed: BTreeMap<Digest, Program> = BTreeMap::new();
    while let Some(task) = ready.pop() {
        let Some(program) = model.program(&task) else { continue };
        let parent = renamed(&formed, program.identity.parent);
        let cell = rewritten(&program.cell, &formed, exchange);
        let digest = cell_digest(&cell, &mut Vec::new())?;
        let before = TaskIdentity { parent: Digest::ZERO, task: parent };
        let identity = before.exec(coe_digest(&program.coe), digest);
        formed.insert(task, Program { identity, coe: program.coe, cell });
        for dependent in dependents.remove(&task).unwrap_or_default() {
            let needs = waiting.entry(dependent).or_default();
            *needs = needs.saturating_sub(1);
            if *needs == 0 {
                ready.push(dependent);
            }
        }
    }
    if formed.len() == model.programs().count() { Ok(formed) } else { Err(RebaseError::Circle) }
}

/// The tasks that a program's identity is made of.
fn references_of(program: &Program) -> impl Iterator<Item = Digest> {
    let makers = program.cell.values.iter().filter_map(Value::place).map(|place| place.maker);
    makers.chain([program.identity.parent])
}

fn renamed(programs: &BTreeMap<Digest, Program>, task: Digest) -> Digest {
    programs.get(&task).map_or(task, |program| program.identity.task)
}

fn rewritten(cell: &Cell, programs: &BTreeMap<Digest, Program>, exchange: &Exchange) -> Cell {
    let mut cell = cell.clone();
    for value in &mut cell.values {
        if let Value::File(file) = value {
            exchange.apply(file);
        }
        if let Some(place) = value.place_mut() {
            place.maker = renamed(programs, place.maker);
        }
        if let Value::Task(Target::Task(task)) = value {
            *task = renamed(programs, *task);
        }
    }
    cell
}

fn formed(
    described: &Described,
    programs: &BTreeMap<Digest, Program>,
    exchange: &Exchange,
) -> Result<(Digest, Described), EncodeError> {
    let cell = rewritten(&described.cell, programs, exchange);
    let digests = (coe_digest(&described.coe), cell_digest(&cell, &mut Vec::new())?);
    let identity = match described.cell.kind {
        EventKind::BprmCommittedCreds => {
            let parent = renamed(programs, described.identity.parent);
            TaskIdentity { parent: Digest::ZERO, task: parent }.exec(digests.0, digests.1)
        }
        _ => programs.get(&described.identity.task).map_or(described.identity, |p| p.identity),
    };
    let coefficient = coefficient(cell.kind, identity, digests.0, digests.1);
    Ok((coefficient, Described { identity, cell, ..described.clone() }))
}

#[cfg(test)]
mod tests;
