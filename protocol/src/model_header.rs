//! A model's header as it streams by: its digest, its platform, its rules.
//!
//! The agent takes the rules from the very text whose digest is signed, so nobody between signer
//! and agent can add, widen or drop one.

use alloc::string::String;
use alloc::vec::Vec;

use sha2::Digest as _;
use sha2::Sha256;
use tsem::Digest;
use tsem::Platform;
use tsem::Profile;
use tsem::Rules;

use crate::bound::HEADER_LINE_MAX;
use crate::bound::HEADER_MAX;
use crate::bound::RULES_MAX;

const WORKLOAD_MAX: usize = 64;

/// Why a text is no header that this agent can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderFault {
    /// Longer than its bound, a line longer than its own, or more rules than there may be.
    TooLong,
    /// The line of this number, from 0, is not what must stand there.
    Line(usize),
    /// It ends too early.
    Truncated,
}

/// What an agent takes from a model's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelHeader {
    /// HF of the canonical text.
    pub digest: Digest,
    /// What it is a model of.
    pub workload: String,
    /// Grows with every model of the workload.
    pub serial: u64,
    /// What the model's own state is taken with.
    pub platform: Platform,
    /// The rules, and within them the profile.
    pub rules: Rules,
}

/// The names of the lines before the rules, in order; `docs/spec/02-model.md`.
const LINES: [&str; 13] = [
    "quixote-model",
    "workload",
    "profile",
    "hash",
    "serial",
    "aggregate",
    "base",
    "source",
    "runs",
    "events",
    "losses",
    "created-by",
    "learned-on",
];

/// Reads a header in parts.
#[derive(Debug)]
pub(crate) struct HeaderReader {
    hash: Sha256,
    line: Vec<u8>,
    number: usize,
    length: usize,
    header: ModelHeader,
}

impl HeaderReader {
    pub(crate) fn new() -> Self {
        let header = ModelHeader {
            digest: Digest::ZERO,
            workload: String::new(),
            serial: 0,
            platform: Platform::NONE,
            rules: Rules::default(),
        };
        Self { hash: Sha256::new(), line: Vec::new(), number: 0, length: 0, header }
    }

    /// Octets read so far.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn take(&mut self, part: &[u8]) -> Result<(), HeaderFault> {
        self.length += part.len();
        if self.length > HEADER_MAX {
            return Err(HeaderFault::TooLong);
        }
        self.hash.update(part);
        for piece in part.split_inclusive(|octet| *octet == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            if self.line.len() + text.len() > HEADER_LINE_MAX {
                return Err(HeaderFault::TooLong);
            }
            self.line.extend_from_slice(text);
            if text.len() < piece.len() {
                self.line()?;
            }
        }
        Ok(())
    }

    fn line(&mut self) -> Result<(), HeaderFault> {
        let line = core::mem::take(&mut self.line);
        let number = self.number;
        self.number += 1;
        let text = core::str::from_utf8(&line).map_err(|_| HeaderFault::Line(number))?;
        if number >= LINES.len() + RULES_MAX {
            return Err(HeaderFault::TooLong);
        }
        let name = LINES.get(number).copied().unwrap_or("rule");
        let value = text.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        let taken = value.and_then(|value| self.value(name, value));
        taken.ok_or(HeaderFault::Line(number))
    }

    fn value(&mut self, name: &str, value: &str) -> Option<()> {
        let header = &mut self.header;
        match name {
            "quixote-model" => return (value == "1").then_some(()),
            "hash" => return (value == "sha256").then_some(()),
            "workload" if value.len() <= WORKLOAD_MAX => header.workload = value.into(),
            "workload" => return None,
            "profile" => header.rules.profile = Profile::from_name(value)?,
            "serial" => header.serial = value.parse().ok()?,
            "aggregate" => header.platform.aggregate = digest_or_none(value)?,
            "base" => header.platform.base = digest_or_none(value)?,
            "rule" => header.rules.add_line(value).ok()?,
            _ => {}
        }
        Some(())
    }

    pub(crate) fn finish(mut self) -> Result<ModelHeader, HeaderFault> {
        if self.number < LINES.len() || !self.line.is_empty() {
            return Err(HeaderFault::Truncated);
        }
        self.header.digest = Digest(self.hash.finalize().into());
        Ok(self.header)
    }
}

impl ModelHeader {
    /// Reads a whole header.
    ///
    /// # Errors
    ///
    /// The text is none.
    pub fn read(text: &[u8]) -> Result<Self, HeaderFault> {
        let mut reader = HeaderReader::new();
        reader.take(text)?;
        reader.finish()
    }
}

fn digest_or_none(text: &str) -> Option<Digest> {
    if text == "none" { Some(Digest::ZERO) } else { Digest::from_hex(text) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::string::ToString;

    pub(crate) fn header_text(rules: &Rules) -> String {
        let text = "quixote-model 1\nworkload x\nprofile core\nhash sha256\nserial 7\n\
             aggregate none\nbase none\nsource portable\nruns 1\nevents 2\nlosses 0\n\
             created-by quixote\nlearned-on Linux\n";
        let rules = rules.lines().into_iter().map(|line| alloc::format!("rule {line}\n"));
        [text.to_string()].into_iter().chain(rules).collect()
    }

    #[test]
    fn a_header_reads_the_same_however_it_is_cut() {
        let mut rules = Rules::default();
        rules.add_line("name /tmp/{alnum:6} made").unwrap();
        let text = header_text(&rules);
        let whole = ModelHeader::read(text.as_bytes()).unwrap();
        assert_eq!((whole.serial, &whole.rules), (7, &rules));
        assert_eq!(whole.digest, Digest::of(&[text.as_bytes()]));
        for step in [1, 5, 64] {
            let mut reader = HeaderReader::new();
            text.as_bytes().chunks(step).for_each(|part| reader.take(part).unwrap());
            assert_eq!(reader.finish().unwrap(), whole);
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_refused() {
        let text = header_text(&Rules::default());
        let changed = |from: &str, to: &str| ModelHeader::read(text.replace(from, to).as_bytes());
        assert_eq!(changed("rule eph", "rule new-kind eph"), Err(HeaderFault::Line(13)));
        assert_eq!(changed("quixote-model 1", "quixote-model 2"), Err(HeaderFault::Line(0)));
        assert_eq!(changed("serial 7\n", ""), Err(HeaderFault::Line(4)));
        let cut = text[..text.len() - 1].to_string();
        assert_eq!(ModelHeader::read(cut.as_bytes()), Err(HeaderFault::Truncated));
        let long = alloc::format!("{text}rule {}\n", "x".repeat(HEADER_LINE_MAX));
        assert_eq!(ModelHeader::read(long.as_bytes()), Err(HeaderFault::TooLong));
    }
}
