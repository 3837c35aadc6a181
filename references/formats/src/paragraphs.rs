//! Debian's control files: paragraphs of fields (deb822), and the documents made of them.

use crate::bounds;
use crate::refusal::Refusal;
use crate::rpm::decode_hex;
use crate::statement::Entry;
use crate::statement::Sink;
use crate::statement::Statement;
use crate::tar::decimal;

/// SHA-256, by its number in `OpenPGP`.
const SHA256: u8 = 8;
/// Most fields of a paragraph.
const MAX_FIELDS: usize = 1024;

/// A paragraph: fields in their order, each with the octets of its value.
#[derive(Clone, Debug)]
pub struct Paragraph<'a> {
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, without spaces around it. Names know no case; one that is there twice is refused.
    pub fn field(&self, name: &[u8]) -> Result<Option<&'a [u8]>, Refusal> {
        let mut found = self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        let first = found.next().map(|field| field.1.trim_ascii());
        if found.next().is_some() { Err(Refusal::Twice) } else { Ok(first) }
    }
}

/// All paragraphs of a text.
pub fn all(text: &[u8]) -> impl Iterator<Item = Result<Paragraph<'_>, Refusal>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let blank = |octet: &u8| *octet == b'\n' || *octet == b'\r';
        let start = rest.iter().position(|octet| !blank(octet))?;
        rest = &rest[start..];
        Some(paragraph(&mut rest))
    })
}

fn paragraph<'a>(rest: &mut &'a [u8]) -> Result<Paragraph<'a>, Refusal> {
    let mut fields: Vec<(&[u8], &[u8])> = Vec::new();
    // Where the value of the field at hand begins, in the text from the paragraph's start.
    let whole = *rest;
    let (mut at, mut value_start) = (0, 0);
    while at < whole.len() {
        let length = whole[at..].iter().position(|octet| *octet == b'\n');
        let end = length.map_or(whole.len(), |length| at + length);
        let line = &whole[at..end];
        let next = (end + 1).min(whole.len());
        if line.trim_ascii().is_empty() {
            at = next;
            break;
        }
        if line[0] == b' ' || line[0] == b'\t' {
            let last = fields.last_mut().ok_or(Refusal::Malformed)?;
            last.1 = &whole[value_start..end];
        } else if line[0] != b'#' {
            let colon = line.iter().position(|octet| *octet == b':').ok_or(Refusal::Malformed)?;
            if fields.len() == MAX_FIELDS {
                return Err(Refusal::Bound);
            }
            value_start = at + colon + 1;
            fields.push((&line[..colon], &whole[value_start..end]));
        }
        at = next;
    }
    *rest = &whole[at..];
    Ok(Paragraph { fields })
}

/// A release: the digests of its indexes, and what it says of itself.
pub fn release(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut paragraphs = all(text);
    let release = paragraphs.next().ok_or(Refusal::Missing)??;
    if paragraphs.next().is_some() {
        return Err(Refusal::Trailing);
    }
    for name in ["Origin", "Suite", "Codename", "Date", "Valid-Until"] {
        if let Some(value) = release.field(name.as_bytes())? {
            sink.say(&Statement::Fact { name: name.as_bytes(), value })?;
        }
    }
    let digests = release.field(b"SHA256")?.ok_or(Refusal::Missing)?;
    let mut digest = Vec::new();
    for (count, line) in digests.split(|octet| *octet == b'\n').enumerate() {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (Some(hex), Some(size), Some(name)) = (words.next(), words.next(), words.next()) else {
            return Err(Refusal::Malformed);
        };
        if count > bounds::ENTRIES {
            return Err(Refusal::Bound);
        }
        decode_hex(hex, &mut digest)?;
        sink.say(&Statement::Entry(Entry {
            name: b"",
            version: b"",
            arch: b"",
            place: name,
            algorithm: SHA256,
            digest: &digest,
            size: Some(decimal(size)?),
        }))?;
    }
    Ok(())
}

/// Packages, as an index of a repository or dpkg's status lists them. What has no digest (a status) is said with
/// an empty one, and its status as its place.
pub fn packages(text: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut digest = Vec::new();
    for (count, paragraph) in all(text).enumerate() {
        if count > bounds::ENTRIES {
            return Err(Refusal::Bound);
        }
        let paragraph = paragraph?;
        let field = |name: &[u8]| paragraph.field(name);
        let Some(name) = field(b"Package")? else { continue };
        digest.clear();
        if let Some(hex) = field(b"SHA256")? {
            decode_hex(hex, &mut digest)?;
        }
        let size = field(b"Size")?.map(decimal).transpose()?;
        let place = field(b"Filename")?.or(field(b"Status")?).unwrap_or(b"");
        sink.say(&Statement::Entry(Entry {
            name,
            // A package that was removed has neither, and is of no interest.
            version: field(b"Version")?.unwrap_or(b""),
            arch: field(b"Architecture")?.unwrap_or(b""),
            place,
            algorithm: SHA256,
            digest: &digest,
            size,
        }))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_over_several_lines_and_paragraphs_end_at_blank_ones() {
        let text = b"\nA: 1\nB:\n x\n y\n# no field\nC: 3\n\n\nA: 2\n";
        let all: Vec<_> = all(text).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].field(b"a"), Ok(Some(&b"1"[..])));
        assert_eq!(all[0].field(b"B"), Ok(Some(&b"x\n y"[..])));
        assert_eq!(all[0].field(b"C"), Ok(Some(&b"3"[..])));
        assert_eq!(all[1].field(b"A"), Ok(Some(&b"2"[..])));
        assert_eq!(all[1].field(b"B"), Ok(None));
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let text = b"A: 1\na: 2\n";
        let paragraph = all(text).next().unwrap().unwrap();
        assert_eq!(paragraph.field(b"A"), Err(Refusal::Twice));
    }
}
