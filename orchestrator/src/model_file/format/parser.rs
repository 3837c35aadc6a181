//! Reads a model's text and believes none of it: descriptions are hashed again.

use std::collections::BTreeMap;

use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::EncodeError;
use tsem::EventKind;
use tsem::ParseError;
use tsem::TaskIdentity;
use tsem::cell_digest;
use tsem::coe_digest;
use tsem::coefficient;

use super::COEFFICIENTS_MAX;
use super::LINE_MAX;
use super::PROGRAMS_MAX;
use super::printer::Labels;
use super::printer::START;
use crate::model_file::header::Header;
use crate::model_file::header::HeaderError;
use crate::model_file::model::Described;
use crate::model_file::model::ModelFile;
use crate::model_file::model::Program;
use crate::model_file::model::Seen;

/// What is wrong with a line of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatProblem {
    /// Octets that a terminal might not show as they are.
    #[error(
        "it holds something else than printable ASCII; a model is written so that nothing in it \
         can hide from a reviewer"
    )]
    NotPrintable,
    /// Too long.
    #[error("it is longer than {LINE_MAX} characters")]
    TooLong,
    /// The header.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// A line that is none of the format's.
    #[error("it is neither credentials, a program nor a coefficient")]
    NotALine,
    /// Words are missing.
    #[error("it has too few words")]
    TooFewWords,
    /// Not a digest.
    #[error("it needs 64 lower-case hexadecimal digits")]
    NotADigest,
    /// Not one of the words.
    #[error("how often it was seen is 'every', 'some', 'once' or 'accepted'")]
    NotSeen,
    /// A label that no earlier line gives.
    #[error("no earlier line gives the label '{0}'")]
    UnknownLabel(String),
    /// A label given twice.
    #[error("an earlier line has given the label '{0}'")]
    LabelTwice(String),
    /// A label that is not the one of what it stands for.
    #[error("its label must be '{0}': a label is made of what it names, so that it cannot mislead")]
    WrongLabel(String),
    /// A program or coefficient that stands twice.
    #[error("an earlier line has the same digest")]
    Twice,
    /// Too many.
    #[error("the model has more coefficients, programs or credentials than this version keeps")]
    TooMany,
    /// Not an event or credentials.
    #[error("its description is not one: {0}")]
    Description(ParseError),
    /// An event that has no encoding.
    #[error("its description cannot be hashed: {0}")]
    Encoding(EncodeError),
    /// A program that is not an exec.
    #[error("a program is described by its bprm_committed_creds")]
    NotAnExec,
    /// The description is of something else than the digest.
    #[error(
        "the description is not what the digest stands for: it hashes to {0}; do not trust this \
         file"
    )]
    LyingDescription(Digest),
}

/// One line's problem, the line counted from 1.
type Located = (usize, FormatProblem);

pub(super) fn parse(text: &[u8]) -> Result<ModelFile, Located> {
    let text = printable(text)?;
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let header: Vec<(usize, &str)> =
        lines.by_ref().take_while(|(_, line)| !line.is_empty()).collect();
    let mut parser = Parser {
        model: ModelFile::new(parse_header(&header)?),
        programs: BTreeMap::from([(START.to_owned(), (0, TaskIdentity::INITIAL))]),
        credentials: BTreeMap::new(),
        scratch: Vec::new(),
        at: 0,
    };
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        parser.at = index + 1;
        parser.line(line).map_err(|problem| (index + 1, problem))?;
    }
    parser.finish()
}

fn parse_header(lines: &[(usize, &str)]) -> Result<Header, Located> {
    let text: Vec<&str> = lines.iter().map(|(_, line)| *line).collect();
    Header::parse(&text).map_err(|(at, error)| {
        let line = lines.get(at).or(lines.last()).map_or(0, |(index, _)| *index);
        (line + 1, error.into())
    })
}

/// The text, if every line of it is printable and bounded.
fn printable(text: &[u8]) -> Result<&str, Located> {
    for (index, line) in text.split(|octet| *octet == b'\n').enumerate() {
        if line.len() > LINE_MAX {
            return Err((index + 1, FormatProblem::TooLong));
        }
        if !line.iter().all(|octet| matches!(octet, b' '..=b'~')) {
            return Err((index + 1, FormatProblem::NotPrintable));
        }
    }
    std::str::from_utf8(text).map_err(|_| (1, FormatProblem::NotPrintable))
}

struct Parser {
    model: ModelFile,
    /// By label, with the line that gave it.
    programs: BTreeMap<String, (usize, TaskIdentity)>,
    credentials: BTreeMap<String, (usize, Coe, Digest)>,
    scratch: Vec<u8>,
    at: usize,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), FormatProblem> {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "credentials" => self.credentials(rest),
            "program" => self.program(rest),
            _ if first.len() == 64 => self.coefficient(first, rest),
            _ => Err(FormatProblem::NotALine),
        }
    }

    fn credentials(&mut self, rest: &str) -> Result<(), FormatProblem> {
        let ([label], text) = words(rest)?;
        let coe: Coe = text.parse().map_err(FormatProblem::Description)?;
        bounded(self.credentials.len(), PROGRAMS_MAX)?;
        let earlier = self.credentials.insert(label.into(), (self.at, coe, coe_digest(&coe)));
        once(label, earlier.is_none())
    }

    fn program(&mut self, rest: &str) -> Result<(), FormatProblem> {
        let ([label, task, parent, credentials], text) = words(rest)?;
        let task = digest(task)?;
        let parent = self.identity(parent)?;
        let (coe, coe_digest) = self.coe(credentials)?;
        let (cell, cell_digest) = self.cell(text)?;
        if cell.kind != EventKind::BprmCommittedCreds {
            return Err(FormatProblem::NotAnExec);
        }
        let identity = parent.exec(coe_digest, cell_digest);
        told_truly(task, identity.task)?;
        bounded(self.programs.len(), PROGRAMS_MAX)?;
        let earlier = self.programs.insert(label.into(), (self.at, identity));
        once(label, earlier.is_none())?;
        let new = self.model.insert_program(Program { identity, coe, cell });
        new.then_some(()).ok_or(FormatProblem::Twice)
    }

    fn coefficient(&mut self, first: &str, rest: &str) -> Result<(), FormatProblem> {
        let claimed = digest(first)?;
        bounded(self.model.len(), COEFFICIENTS_MAX)?;
        let described = if rest.is_empty() { None } else { Some(self.described(claimed, rest)?) };
        let new = self.model.insert(claimed, described);
        new.then_some(()).ok_or(FormatProblem::Twice)
    }

    fn described(&mut self, claimed: Digest, rest: &str) -> Result<Described, FormatProblem> {
        let ([program, credentials, seen], text) = words(rest)?;
        let identity = self.identity(program)?;
        let (coe, coe_digest) = self.coe(credentials)?;
        let seen = Seen::from_name(seen).ok_or(FormatProblem::NotSeen)?;
        let (cell, cell_digest) = self.cell(text)?;
        told_truly(claimed, coefficient(cell.kind, identity, coe_digest, cell_digest))?;
        Ok(Described { identity, coe, cell, seen })
    }

    fn identity(&self, label: &str) -> Result<TaskIdentity, FormatProblem> {
        let known = self.programs.get(label).map(|(_, identity)| *identity);
        known.ok_or_else(|| FormatProblem::UnknownLabel(label.into()))
    }

    fn coe(&self, label: &str) -> Result<(Coe, Digest), FormatProblem> {
        let known = self.credentials.get(label).map(|(_, coe, digest)| (*coe, *digest));
        known.ok_or_else(|| FormatProblem::UnknownLabel(label.into()))
    }

    fn cell(&mut self, text: &str) -> Result<(Cell, Digest), FormatProblem> {
        let cell: Cell = text.parse().map_err(FormatProblem::Description)?;
        let digest = cell_digest(&cell, &mut self.scratch).map_err(FormatProblem::Encoding)?;
        Ok((cell, digest))
    }
}

impl Parser {
    /// The model, once every label in use is the one that it must be.
    fn finish(self) -> Result<ModelFile, Located> {
        let labels = Labels::of(&self.model);
        let programs = self
            .programs
            .iter()
            .map(|(label, (line, identity))| (*line, label, labels.program(&identity.task)));
        let credentials = self
            .credentials
            .iter()
            .filter_map(|(label, (line, coe, _))| Some((*line, label, labels.credentials(coe)?)));
        let wrong = programs.chain(credentials).filter(|(_, label, right)| label != right);
        match wrong.min() {
            Some((line, _, right)) => Err((line, FormatProblem::WrongLabel(right.into()))),
            None => Ok(self.model),
        }
    }
}

/// The first `N` words and what stands behind them.
fn words<const N: usize>(text: &str) -> Result<([&str; N], &str), FormatProblem> {
    let mut taken = [""; N];
    let mut rest = text;
    for word in &mut taken {
        (*word, rest) = rest.split_once(' ').ok_or(FormatProblem::TooFewWords)?;
    }
    Ok((taken, rest))
}

fn digest(text: &str) -> Result<Digest, FormatProblem> {
    let lower = !text.bytes().any(|octet| octet.is_ascii_uppercase());
    Digest::from_hex(text).filter(|_| lower).ok_or(FormatProblem::NotADigest)
}

fn told_truly(claimed: Digest, computed: Digest) -> Result<(), FormatProblem> {
    if claimed == computed { Ok(()) } else { Err(FormatProblem::LyingDescription(computed)) }
}

fn bounded(number: usize, bound: usize) -> Result<(), FormatProblem> {
    if number < bound { Ok(()) } else { Err(FormatProblem::TooMany) }
}

fn once(label: &str, new: bool) -> Result<(), FormatProblem> {
    if new { Ok(()) } else { Err(FormatProblem::LabelTwice(label.into())) }
}
