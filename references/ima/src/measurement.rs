//! Measurement lists: what a kernel measured, in its order, as text and as octets.
//!
//! A record says which PCR it was extended into, the SHA-1 of its template data, the template's name and
//! the data. Of the templates, `ima-ng` and `ima-sig` are taken apart; others are kept as octets, so that the
//! PCR can still be told. The kernel writes an underscore for a space in a name, so a name may stand for
//! several paths ([`Measurement::may_name`]).

use std::fmt::Write as _;

use crate::Algorithm;
use crate::from_hex;
use crate::hex;

/// The longest template data that is read, in octets: a path, a digest and a signature fit many times.
pub const DATA_MAX: usize = 1 << 16;
/// The most records that are read.
pub const RECORDS_MAX: usize = 1 << 22;
/// Octets of a template digest in a list: always SHA-1's.
const TEMPLATE_DIGEST: usize = 20;
const NAME_MAX: usize = 64;

/// A list of measurements, in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Its records.
    pub records: Vec<Measurement>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The PCR that it was extended into.
    pub pcr: u32,
    /// The kernel saw a file written while it was measured, or measured while it was written; such a record
    /// extends ones, and has a digest of zeros.
    pub violation: bool,
    /// What it holds.
    pub content: Content,
}

/// A record's template and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// `ima-ng` (without a signature) and `ima-sig` (with one, which may be empty).
    File {
        /// The file's digest: algorithm as the kernel names it, and octets.
        digest: (String, Vec<u8>),
        /// The file's name as the kernel wrote it.
        name: Vec<u8>,
        /// The value of `security.ima`; `None` in `ima-ng`.
        signature: Option<Vec<u8>>,
    },
    /// Another template: its name and data as they are.
    Other {
        /// The template's name.
        template: String,
        /// Its data.
        data: Vec<u8>,
    },
}

/// Why a list cannot be read. `record` is counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record} of the measurement list: {problem}")]
pub struct ListError {
    /// Which record.
    pub record: usize,
    /// What is wrong with it.
    pub problem: RecordProblem,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordProblem {
    /// It ends too early.
    #[error("it ends too early")]
    Truncated,
    /// A length beyond its bound.
    #[error("a length in it is beyond what this program reads")]
    TooLong,
    /// Not in the template's form.
    #[error("it is not in the form of its template")]
    Malformed,
    /// A template whose text form says less than its data.
    #[error("its template cannot be read from text; give the binary list")]
    Template,
    /// The record's own digest is not that of its data.
    #[error("its template digest is not that of its data: the list was changed")]
    Digest,
    /// More records than are read.
    #[error("there are more records than this program reads")]
    TooMany,
}

impl List {
    /// Reads a list as text or as octets, whichever it is: a binary list opens with a small number.
    ///
    /// # Errors
    ///
    /// It is neither, or was changed.
    pub fn read(octets: &[u8]) -> Result<Self, ListError> {
        let text = octets.first().is_none_or(|first| first.is_ascii_digit() || *first == b' ');
        if text { Self::from_text(octets) } else { Self::from_binary(octets) }
    }

    /// Reads `binary_runtime_measurements` of a little-endian machine.
    ///
    /// # Errors
    ///
    /// It is damaged; every template digest is computed again.
    pub fn from_binary(octets: &[u8]) -> Result<Self, ListError> {
        let mut records = Vec::new();
        let mut rest = octets;
        while !rest.is_empty() {
            let record = take_record(&mut rest);
            push(&mut records, record)?;
        }
        Ok(Self { records })
    }

    /// Reads `ascii_runtime_measurements`.
    ///
    /// # Errors
    ///
    /// As [`List::from_binary`].
    pub fn from_text(text: &[u8]) -> Result<Self, ListError> {
        let mut records = Vec::new();
        for line in text.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
            push(&mut records, parse_line(line))?;
        }
        Ok(Self { records })
    }

    /// As `binary_runtime_measurements`.
    pub fn to_binary(&self) -> Vec<u8> {
        self.records.iter().flat_map(Measurement::to_binary).collect()
    }

    /// As `ascii_runtime_measurements`; a record of another template has its data as digits.
    pub fn to_text(&self) -> Vec<u8> {
        self.records.iter().flat_map(Measurement::to_line).collect()
    }
}

fn push(
    records: &mut Vec<Measurement>,
    record: Result<Measurement, RecordProblem>,
) -> Result<(), ListError> {
    let at = records.len() + 1;
    let located = |problem| ListError { record: at, problem };
    if records.len() >= RECORDS_MAX {
        return Err(located(RecordProblem::TooMany));
    }
    records.push(record.map_err(located)?);
    Ok(())
}

impl Measurement {
    /// What is expected for a file; a kernel of template `ima-sig` writes a signature field also where
    /// there is none. The name is the path as the kernel writes it.
    pub fn of_file(pcr: u32, digest: (Algorithm, &[u8]), path: &[u8], sig: bool) -> Self {
        let digest = (digest.0.name().to_owned(), digest.1.to_vec());
        let signature = sig.then(Vec::new);
        let name = as_written(path);
        Self { pcr, violation: false, content: Content::File { digest, name, signature } }
    }

    /// The template's name.
    pub fn template(&self) -> &str {
        match &self.content {
            Content::File { signature: None, .. } => "ima-ng",
            Content::File { .. } => "ima-sig",
            Content::Other { template, .. } => template,
        }
    }

    /// The octets that are hashed into a PCR.
    pub fn data(&self) -> Vec<u8> {
        let (digest, name, signature) = match &self.content {
            Content::Other { data, .. } => return data.clone(),
            Content::File { digest, name, signature } => (digest, name, signature),
        };
        let mut data = Vec::new();
        field(&mut data, &[digest.0.as_bytes(), b":\0", &digest.1]);
        field(&mut data, &[name, b"\0"]);
        if let Some(signature) = signature {
            field(&mut data, &[signature]);
        }
        data
    }

    /// The digest that stands in the list: SHA-1 of the data, or zeros for a violation.
    pub fn template_digest(&self) -> Vec<u8> {
        if self.violation {
            return vec![0; TEMPLATE_DIGEST];
        }
        match &self.content {
            // The template `ima` pads its name to a fixed length before it is hashed.
            Content::Other { template, data } if template == "ima" => {
                Algorithm::Sha1.digest(&[&data_of_ima(data)])
            }
            _ => Algorithm::Sha1.digest(&[&self.data()]),
        }
    }

    /// Whether the record may be of this path: in names the kernel writes spaces as underscores.
    pub fn may_name(&self, path: &[u8]) -> bool {
        matches!(&self.content, Content::File { name, .. } if *name == as_written(path))
    }

    fn to_binary(&self) -> Vec<u8> {
        let (template, data) = (self.template(), self.data());
        let mut out = self.pcr.to_le_bytes().to_vec();
        out.extend(self.template_digest());
        field(&mut out, &[template.as_bytes()]);
        field(&mut out, &[&data]);
        out
    }

    fn to_line(&self) -> Vec<u8> {
        let head = format!("{:>2} {} {} ", self.pcr, hex(&self.template_digest()), self.template());
        let mut line = head.into_bytes();
        match &self.content {
            Content::Other { data, .. } => line.extend(hex(data).into_bytes()),
            Content::File { digest, name, signature } => {
                let mut text = String::new();
                let _ = write!(text, "{}:{} ", digest.0, hex(&digest.1));
                line.extend(text.into_bytes());
                line.extend(name);
                if let Some(signature) = signature {
                    line.push(b' ');
                    line.extend(hex(signature).into_bytes());
                }
            }
        }
        line.push(b'\n');
        line
    }
}

/// A path as the kernel writes it into a record.
pub fn as_written(path: &[u8]) -> Vec<u8> {
    path.iter().map(|octet| if *octet == b' ' { b'_' } else { *octet }).collect()
}

/// Digest and name of the template `ima`, the name padded as it is hashed.
fn data_of_ima(data: &[u8]) -> Vec<u8> {
    const NAME: usize = 256;
    let mut padded = data.to_vec();
    padded.resize(TEMPLATE_DIGEST + NAME, 0);
    padded
}

fn field(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend((length as u32).to_le_bytes());
    for part in parts {
        out.extend(*part);
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], RecordProblem> {
    let (taken, left) = rest.split_at_checked(count).ok_or(RecordProblem::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, RecordProblem> {
    let (taken, left) = rest.split_first_chunk().ok_or(RecordProblem::Truncated)?;
    *rest = left;
    Ok(u32::from_le_bytes(*taken))
}

fn take_field<'a>(rest: &mut &'a [u8], bound: usize) -> Result<&'a [u8], RecordProblem> {
    let length = take_u32(rest)? as usize;
    if length > bound {
        return Err(RecordProblem::TooLong);
    }
    take(rest, length)
}

fn take_record(rest: &mut &[u8]) -> Result<Measurement, RecordProblem> {
    let pcr = take_u32(rest)?;
    let stated = take(rest, TEMPLATE_DIGEST)?;
    let template = take_field(rest, NAME_MAX)?;
    let template = String::from_utf8(template.to_vec()).map_err(|_| RecordProblem::Malformed)?;
    let data = match template.as_str() {
        "ima" => take_ima(rest)?,
        _ => take_field(rest, DATA_MAX)?.to_vec(),
    };
    checked(pcr, stated, content(template, data)?)
}

/// The template `ima` has no length before its data: a SHA-1 and a name with its length.
fn take_ima(rest: &mut &[u8]) -> Result<Vec<u8>, RecordProblem> {
    let digest = take(rest, TEMPLATE_DIGEST)?;
    Ok([digest, take_field(rest, 255)?].concat())
}

fn content(template: String, data: Vec<u8>) -> Result<Content, RecordProblem> {
    let signed = match template.as_str() {
        "ima-ng" => false,
        "ima-sig" => true,
        _ => return Ok(Content::Other { template, data }),
    };
    let mut rest = data.as_slice();
    let digest = file_digest(take_field(&mut rest, DATA_MAX)?)?;
    let name = take_field(&mut rest, DATA_MAX)?;
    let name = name.strip_suffix(b"\0").filter(|name| !name.contains(&0));
    let name = name.ok_or(RecordProblem::Malformed)?.to_vec();
    let signature = if signed { Some(take_field(&mut rest, DATA_MAX)?.to_vec()) } else { None };
    if rest.is_empty() {
        Ok(Content::File { digest, name, signature })
    } else {
        Err(RecordProblem::Malformed)
    }
}

/// `sha256:`, a NUL, the octets.
fn file_digest(field: &[u8]) -> Result<(String, Vec<u8>), RecordProblem> {
    let end = field.windows(2).position(|pair| pair == b":\0").ok_or(RecordProblem::Malformed)?;
    let name = std::str::from_utf8(&field[..end]).map_err(|_| RecordProblem::Malformed)?;
    Ok((name.into(), field[end + 2..].to_vec()))
}

fn checked(pcr: u32, stated: &[u8], content: Content) -> Result<Measurement, RecordProblem> {
    let violation = stated.iter().all(|octet| *octet == 0);
    let measurement = Measurement { pcr, violation, content };
    let holds = measurement.template_digest() == stated;
    holds.then_some(measurement).ok_or(RecordProblem::Digest)
}

/// `10 TEMPLATE-DIGEST TEMPLATE ALGORITHM:DIGEST NAME[ SIGNATURE]`. A name holds no space.
fn parse_line(line: &[u8]) -> Result<Measurement, RecordProblem> {
    let line = line.trim_ascii_start();
    if line.len() > 2 * DATA_MAX {
        return Err(RecordProblem::TooLong);
    }
    let mut words = line.splitn(5, |octet| *octet == b' ');
    let mut word = || words.next().ok_or(RecordProblem::Truncated);
    let mut text = || std::str::from_utf8(word()?).map_err(|_| RecordProblem::Malformed);
    let pcr = text()?.parse().map_err(|_| RecordProblem::Malformed)?;
    let stated = from_hex(text()?).ok_or(RecordProblem::Malformed)?;
    let template = text()?;
    if !matches!(template, "ima-ng" | "ima-sig") {
        return Err(RecordProblem::Template);
    }
    let (algorithm, digits) = text()?.split_once(':').ok_or(RecordProblem::Malformed)?;
    let digest = (algorithm.to_owned(), from_hex(digits).ok_or(RecordProblem::Malformed)?);
    let (name, signature) = name_and_signature(word()?, template == "ima-sig")?;
    checked(pcr, &stated, Content::File { digest, name, signature })
}

fn name_and_signature(
    rest: &[u8],
    signed: bool,
) -> Result<(Vec<u8>, Option<Vec<u8>>), RecordProblem> {
    if !signed {
        return Ok((rest.to_vec(), None));
    }
    let end = rest.iter().position(|octet| *octet == b' ').unwrap_or(rest.len());
    let digits = std::str::from_utf8(rest[end..].trim_ascii());
    let signature = digits.ok().and_then(from_hex).ok_or(RecordProblem::Malformed)?;
    Ok((rest[..end].to_vec(), Some(signature)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(path: &str, signature: Option<&[u8]>) -> Measurement {
        let digest = Algorithm::Sha256.digest(&[path.as_bytes()]);
        let mut record =
            Measurement::of_file(10, (Algorithm::Sha256, &digest), path.as_bytes(), false);
        if let (Content::File { signature: slot, .. }, Some(given)) =
            (&mut record.content, signature)
        {
            *slot = Some(given.to_vec());
        }
        record
    }

    fn list() -> List {
        let violation = Measurement { violation: true, ..record("/var/log/x", None) };
        List {
            records: vec![
                record("boot_aggregate", None),
                record("/usr/bin/a b", Some(b"")),
                record("/usr/bin/c", Some(&[3, 2, 4])),
                violation,
            ],
        }
    }

    #[test]
    fn a_list_survives_both_forms() {
        let list = list();
        assert_eq!(List::read(&list.to_binary()).unwrap(), list);
        assert_eq!(List::read(&list.to_text()).unwrap(), list);
        let text = String::from_utf8(list.to_text()).unwrap();
        assert!(text.contains(" /usr/bin/a_b \n"), "{text}");
        assert!(list.records[1].may_name(b"/usr/bin/a b"));
    }

    #[test]
    fn a_change_of_any_octet_is_refused_or_read_as_it_is() {
        let octets = list().to_binary();
        for at in 0..octets.len() {
            let mut changed = octets.clone();
            changed[at] ^= 1;
            if let Ok(read) = List::from_binary(&changed) {
                assert_ne!(read, list(), "octet {at}");
            }
        }
        for end in 1..octets.len() {
            let cut = List::from_binary(&octets[..end]);
            assert!(cut.is_err() || cut.unwrap().records.len() < 4);
        }
    }

    #[test]
    fn a_template_that_text_does_not_hold_is_refused_there() {
        let line = b"10 0000000000000000000000000000000000000000 ima-buf sha256:00 x 00\n";
        assert_eq!(List::from_text(line).unwrap_err().problem, RecordProblem::Template);
        let other = Content::Other { template: "ima-buf".into(), data: vec![1, 2, 3] };
        let list =
            List { records: vec![Measurement { pcr: 10, violation: false, content: other }] };
        assert_eq!(List::from_binary(&list.to_binary()).unwrap(), list);
    }

    proptest! {
        #[test]
        fn readers_do_not_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = List::from_binary(&octets);
            let _ = List::from_text(&octets);
        }
    }
}
