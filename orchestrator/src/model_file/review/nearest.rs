//! What a model allows that is nearest to an event that it does not.
//!
//! A denial is understood by its neighbour: the same program may read another file of that
//! directory, or another program may do just this.

use std::collections::BTreeMap;

use serde::Serialize;
use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::FormedEvent;
use tsem::Value;

use super::phrase::chain_text;
use super::phrase::phrase;
use crate::model_file::model::Described;
use crate::model_file::model::ModelFile;
use crate::model_file::model::Program;

/// A field that differs weighs as much as so many path components: more than a neighbour in the
/// same directory, less than another directory.
const FIELD_WEIGHT: usize = 4;

/// In which way an allowed event is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nearness {
    /// The same program does the same with other credentials.
    OtherCredentials,
    /// The same program does the like to something else.
    OtherObject,
    /// The same file as a program, reached by another chain, does the same.
    OtherChain,
    /// Another program does the same.
    OtherProgram,
}

/// An allowed event that is near to the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Near {
    /// In which way.
    pub nearness: Nearness,
    /// The chain of programs that may.
    pub program: String,
    /// What it may.
    pub may: String,
    /// The fields in which the event differs.
    pub differs_in: Vec<String>,
    /// The allowed coefficient, in hexadecimal digits.
    pub coefficient: String,
}

/// The nearest allowed event of each kind of nearness, the most telling first.
pub fn nearest(model: &ModelFile, event: &FormedEvent) -> Vec<Near> {
    let mut best: BTreeMap<Nearness, (usize, Near)> = BTreeMap::new();
    for (coefficient, allowed) in model.described() {
        let Some((nearness, distance)) = nearness(model, event, allowed) else { continue };
        if best.get(&nearness).is_none_or(|(known, _)| distance < *known) {
            best.insert(nearness, (distance, near(model, nearness, event, coefficient, allowed)));
        }
    }
    best.into_values().map(|(_, near)| near).collect()
}

fn near(
    model: &ModelFile,
    nearness: Nearness,
    event: &FormedEvent,
    coefficient: &Digest,
    allowed: &Described,
) -> Near {
    Near {
        nearness,
        program: chain_text(model, &allowed.identity.task),
        may: phrase(model, &allowed.cell).to_string(),
        differs_in: differing_fields(event, allowed),
        coefficient: coefficient.to_hex(),
    }
}

/// How an allowed event is near, and how far away it is all the same.
fn nearness(
    model: &ModelFile,
    event: &FormedEvent,
    allowed: &Described,
) -> Option<(Nearness, usize)> {
    if allowed.cell.kind != event.cell.kind {
        return None;
    }
    // An exec belongs to the program that it makes: what counts is who tried it.
    let actor = |identity: &tsem::TaskIdentity| match event.cell.kind {
        tsem::EventKind::BprmCommittedCreds => identity.parent,
        _ => identity.task,
    };
    let (acting, other) = (actor(&event.identity), actor(&allowed.identity));
    let distance = cell_distance(&event.cell, &allowed.cell);
    let worn = coe_distance(&event.coe, &allowed.coe);
    let program = |task: &Digest| model.program(task).map(Program::path);
    match (acting == other, distance) {
        (true, 0) => Some((Nearness::OtherCredentials, worn)),
        (true, _) => Some((Nearness::OtherObject, distance + worn)),
        (false, 0) if program(&acting).is_some() && program(&acting) == program(&other) => {
            Some((Nearness::OtherChain, worn))
        }
        (false, 0) => Some((Nearness::OtherProgram, worn)),
        (false, _) => None,
    }
}

fn coe_distance(one: &Coe, other: &Coe) -> usize {
    usize::from(one != other)
}

fn cell_distance(one: &Cell, other: &Cell) -> usize {
    one.values.iter().zip(&other.values).map(|(one, other)| value_distance(one, other)).sum()
}

fn value_distance(one: &Value, other: &Value) -> usize {
    match (one.place(), other.place()) {
        _ if one == other => 0,
        (Some(left), Some(right)) if left.path != right.path => {
            1 + path_distance(&left.path, &right.path)
        }
        _ => FIELD_WEIGHT,
    }
}

/// Components that the two do not share, at the beginning or at the end.
fn path_distance(one: &[u8], other: &[u8]) -> usize {
    let one: Vec<&[u8]> = one.split(|octet| *octet == b'/').collect();
    let other: Vec<&[u8]> = other.split(|octet| *octet == b'/').collect();
    let least = one.len().min(other.len());
    let same = |pair: &(&&[u8], &&[u8])| pair.0 == pair.1;
    let front = one.iter().zip(&other).take_while(same).count();
    let back = one.iter().rev().zip(other.iter().rev()).take_while(same).count();
    one.len() + other.len() - 2 * (front + back).min(least)
}

fn differing_fields(event: &FormedEvent, allowed: &Described) -> Vec<String> {
    let fields = event.cell.kind.spec().fields.iter();
    let pairs = event.cell.values.iter().zip(&allowed.cell.values);
    let mut names: Vec<String> = fields
        .zip(pairs)
        .filter(|(_, (one, other))| one != other)
        .map(|(field, (one, other))| difference(field.name, one, other))
        .collect();
    if event.coe != allowed.coe {
        names.push("credentials".into());
    }
    names
}

/// The field, and for a file what of it differs.
fn difference(field: &str, one: &Value, other: &Value) -> String {
    let (Value::File(one), Value::File(other)) = (one, other) else { return field.into() };
    let what = if one.place.path != other.place.path {
        "path"
    } else if one.digest != other.digest {
        "content"
    } else if one.mode != other.mode {
        "mode"
    } else if (one.uid, one.gid) != (other.uid, other.gid) {
        "owner"
    } else {
        "file system or maker"
    };
    format!("{field}'s {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_file::model::tests::model;
    use crate::model_file::model::tests::story;
    use tsem::EventKind;
    use tsem::TaskIndex;

    fn asked(tell: impl FnOnce(&mut crate::model_file::model::tests::Story)) -> Vec<Near> {
        let model = model();
        let mut story = story("/tmp/cc123456.s");
        tell(&mut story);
        let formed = story.observation.form(model.rules()).unwrap();
        nearest(&model, formed.last().unwrap())
    }

    #[test]
    fn another_file_of_the_directory_is_nearest() {
        let found = asked(|story| story.open(TaskIndex(2), "/etc/nginx/shadow.conf", 1));
        assert_eq!(found[0].nearness, Nearness::OtherObject);
        assert_eq!(found[0].may, "read /etc/nginx/nginx.conf");
        assert_eq!(found[0].differs_in, ["file's path"]);
        assert!(found[0].program.ends_with("/bin/sh > /usr/sbin/nginx"), "{}", found[0].program);
    }

    #[test]
    fn the_same_file_otherwise_and_by_others_is_told() {
        let written = asked(|story| story.open(TaskIndex(2), "/etc/nginx/nginx.conf", 2));
        assert_eq!(written[0].differs_in, ["access"]);
        let by_shell = asked(|story| story.open(TaskIndex(1), "/etc/nginx/nginx.conf", 1));
        assert_eq!(by_shell[0].nearness, Nearness::OtherProgram);
    }

    #[test]
    fn a_changed_program_is_told_by_its_content() {
        let found = asked(|story| {
            let mut exec = story.observation.tasks[2].exec.clone().unwrap();
            let Value::File(file) = &mut exec.cell.values[0] else { panic!() };
            file.digest = Digest([1; 32]);
            let parent = TaskIndex(1);
            story.observation.tasks.push(tsem::ObservedTask { parent, exec: Some(exec.clone()) });
            story.push(TaskIndex(3), exec);
        });
        assert_eq!(found[0].nearness, Nearness::OtherObject);
        assert_eq!(found[0].differs_in, ["file's content"]);
    }

    #[test]
    fn nothing_is_near_to_what_the_model_knows_nothing_of() {
        let found = asked(|story| story.event(TaskIndex(2), 33, EventKind::UringAllowed, vec![]));
        assert_eq!(found, []);
    }
}
