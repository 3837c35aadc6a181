//! The signature header, which nothing covers: only what verifies itself is taken from it.

use super::header::Header;
use super::header::Kind;
use super::header::Strings;
use super::tag;
use crate::bounds;
use crate::refusal::Refusal;
use crate::statement::Part;
use crate::statement::Sink;
use crate::statement::Statement;

/// The longest signature of a file, in hexadecimal digits.
const MAX_FILE_SIGNATURE: usize = 8192;
/// Most signatures of one package.
const MAX_SIGNATURES: usize = 16;

/// Says the signatures of the main header.
pub fn signatures(octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    say_signatures(&Header::read(octets, Kind::Signature)?, Part::Signature, sink)
}

/// Says every signature of the main header that stands in `header`.
pub(super) fn say_signatures(
    header: &Header<'_>,
    part: Part,
    sink: &mut dyn Sink,
) -> Result<(), Refusal> {
    for tag in [tag::RSA_HEADER, tag::DSA_HEADER] {
        if let Some(octets) = header.unsigned_binary(tag)? {
            say(octets, part, sink)?;
        }
    }
    for text in header.unsigned_strings(tag::OPENPGP)?.into_iter().flatten().take(MAX_SIGNATURES) {
        say(&base64(text)?, part, sink)?;
    }
    for tag in [tag::FILE_SIGNATURES, tag::STORED_FILE_SIGNATURES] {
        if let Some(strings) = header.unsigned_strings(tag)? {
            return say_file_signatures(strings, sink);
        }
    }
    Ok(())
}

/// IMA's signatures, one for each file in the order of the main header; empty for what has no contents.
fn say_file_signatures(strings: Strings<'_>, sink: &mut dyn Sink) -> Result<(), Refusal> {
    if strings.len() > bounds::FILES {
        return Err(Refusal::Bound);
    }
    for text in strings {
        if text.len() > MAX_FILE_SIGNATURE {
            return Err(Refusal::Bound);
        }
        sink.say(&Statement::Fact { name: b"file-signature", value: text })?;
    }
    Ok(())
}

fn say(octets: &[u8], part: Part, sink: &mut dyn Sink) -> Result<(), Refusal> {
    if octets.len() > bounds::SIGNATURE {
        return Err(Refusal::Bound);
    }
    sink.say(&Statement::Octets { part, octets })
}

/// Octets from base64 with padding; line ends are skipped.
pub(crate) fn base64(text: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (mut octets, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0u32, 0u32);
    let mut digits = text.iter().filter(|octet| !octet.is_ascii_whitespace());
    for digit in digits.by_ref().take_while(|octet| **octet != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(Refusal::Malformed),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push((bits >> held) as u8);
        }
    }
    if digits.all(|octet| *octet == b'=') { Ok(octets) } else { Err(Refusal::Malformed) }
}
