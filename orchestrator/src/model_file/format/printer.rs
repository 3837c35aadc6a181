//! Writes a model as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tsem::Coe;
use tsem::Digest;
use tsem::coe_digest;

use crate::model_file::model::Described;
use crate::model_file::model::ModelFile;
use crate::model_file::model::Program;

/// Hexadecimal digits of a digest in a label, unless two labels would be the same.
const LABEL_DIGITS: usize = 6;
/// The label of the namespace's beginning.
pub(super) const START: &str = "start";

/// Whether descriptions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descriptions {
    /// Every coefficient with what it stands for.
    Keep,
    /// Coefficients alone, for secrecy.
    Omit,
}

/// Names for programs and credentials, made of what they name.
pub struct Labels {
    programs: BTreeMap<Digest, String>,
    credentials: BTreeMap<Coe, String>,
}

impl Labels {
    /// The labels of all that a model names.
    pub fn of(model: &ModelFile) -> Self {
        let named = model.programs().map(|program| {
            let name: String =
                program.name().iter().map(|octet| label_char(*octet)).take(32).collect();
            (program.identity.task, name, program.identity.task)
        });
        let used = model.programs().map(|program| program.coe);
        let used = used.chain(model.described().map(|(_, described)| described.coe));
        let coes: std::collections::BTreeSet<Coe> = used.collect();
        let worn = coes.into_iter().map(|coe| (coe, format!("uid{}", coe.euid), coe_digest(&coe)));
        Self { programs: unique(named), credentials: unique(worn) }
    }

    /// The label of a `TASK_ID`.
    pub fn program(&self, task: &Digest) -> &str {
        self.programs.get(task).map_or(START, String::as_str)
    }

    /// The label of credentials that the model names.
    pub fn credentials(&self, coe: &Coe) -> Option<&str> {
        self.credentials.get(coe).map(String::as_str)
    }
}

fn label_char(octet: u8) -> char {
    let kept = octet.is_ascii_alphanumeric() || b"._+-".contains(&octet);
    if kept { octet.into() } else { '_' }
}

/// `name.digits`; the digits of labels that would be equal are all written.
fn unique<K: Ord>(named: impl Iterator<Item = (K, String, Digest)>) -> BTreeMap<K, String> {
    let short =
        |name: &str, digest: &Digest| format!("{name}.{}", &digest.to_hex()[..LABEL_DIGITS]);
    let named: Vec<_> = named.collect();
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for (_, name, digest) in &named {
        *uses.entry(short(name, digest)).or_default() += 1;
    }
    let label = |(key, name, digest): (K, String, Digest)| {
        let short = short(&name, &digest);
        let label = if uses[&short] == 1 { short } else { format!("{name}.{digest}") };
        (key, label)
    };
    named.into_iter().map(label).collect()
}

pub(super) fn print(model: &ModelFile, descriptions: Descriptions) -> String {
    let mut out = model.header().canonical();
    out.push('\n');
    match descriptions {
        Descriptions::Omit => print_coefficients(&mut out, model.coefficients()),
        Descriptions::Keep => print_described(&mut out, model),
    }
    out
}

fn print_coefficients<'a>(out: &mut String, coefficients: impl Iterator<Item = &'a Digest>) {
    for coefficient in coefficients {
        let _ = writeln!(out, "{coefficient}");
    }
}

fn print_described(out: &mut String, model: &ModelFile) {
    let labels = Labels::of(model);
    print_credentials(out, &labels);
    let order = print_programs(out, model, &labels);
    print_entries(out, model, &labels, &order);
    let bare = model.entries().filter(|(_, described)| described.is_none());
    print_coefficients(out, bare.map(|(coefficient, _)| coefficient));
}

fn print_credentials(out: &mut String, labels: &Labels) {
    let mut lines: Vec<_> = labels.credentials.iter().map(|(coe, label)| (label, coe)).collect();
    lines.sort();
    for (label, coe) in &lines {
        let _ = writeln!(out, "credentials {label} {coe}");
    }
    if !lines.is_empty() {
        out.push('\n');
    }
}

/// Writes the programs, parents before children, and gives each its place in that order.
fn print_programs(out: &mut String, model: &ModelFile, labels: &Labels) -> BTreeMap<Digest, usize> {
    let mut order = BTreeMap::from([(Digest::ZERO, 0)]);
    for program in in_chain_order(model, labels) {
        let identity = program.identity;
        order.insert(identity.task, order.len());
        let (label, parent) = (labels.program(&identity.task), labels.program(&identity.parent));
        let credentials = labels.credentials(&program.coe).unwrap_or_default();
        let _ = writeln!(
            out,
            "program {label} {} {parent} {credentials} {}",
            identity.task, program.cell
        );
    }
    if order.len() > 1 {
        out.push('\n');
    }
    order
}

fn in_chain_order<'a>(model: &'a ModelFile, labels: &Labels) -> Vec<&'a Program> {
    let mut children: BTreeMap<Digest, Vec<&Program>> = BTreeMap::new();
    for program in model.programs() {
        children.entry(program.identity.parent).or_default().push(program);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|program| std::cmp::Reverse(labels.program(&program.identity.task)));
    }
    let mut waiting = children.remove(&Digest::ZERO).unwrap_or_default();
    let mut ordered = Vec::new();
    while let Some(program) = waiting.pop() {
        ordered.push(program);
        waiting.extend(children.remove(&program.identity.task).unwrap_or_default());
    }
    ordered
}

fn print_entries(
    out: &mut String,
    model: &ModelFile,
    labels: &Labels,
    order: &BTreeMap<Digest, usize>,
) {
    let place = |described: &Described| order.get(&described.identity.task).copied();
    let mut lines: Vec<_> = model
        .described()
        .map(|(coefficient, described)| {
            let credentials = labels.credentials(&described.coe).unwrap_or_default();
            let cell = described.cell.to_string();
            (place(described), cell, credentials, coefficient, described)
        })
        .collect();
    lines.sort_by(|a, b| (a.0, &a.1, a.2, a.3).cmp(&(b.0, &b.1, b.2, b.3)));
    for (_, cell, credentials, coefficient, described) in lines {
        let program = labels.program(&described.identity.task);
        let seen = described.seen.name();
        let _ = writeln!(out, "{coefficient} {program} {credentials} {seen} {cell}");
    }
}
