//! `OpenPGP`'s text forms: armour, and texts signed in the clear (RFC 9580, sections 6 and 7).

use crate::bounds;
use crate::refusal::Refusal;
use crate::rpm::base64;
use crate::statement::Part;
use crate::statement::Sink;
use crate::statement::Statement;

const SIGNED: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";

/// Says the signatures of a detached signature, armoured or not.
pub fn detached(octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    if octets.len() > bounds::SIGNATURE {
        return Err(Refusal::Bound);
    }
    if !octets.starts_with(b"-----") {
        return sink.say(&Statement::Octets { part: Part::Signature, octets });
    }
    let mut lines = Lines { rest: octets };
    if lines.next() != Some(SIGNATURE) {
        return Err(Refusal::Malformed);
    }
    armoured(&mut lines, sink)
}

/// Says the text that was signed, in the form that is hashed (lines end in CR LF, without spaces before), and then the
/// signatures. Nothing may stand before or after: what is not signed is not to be mistaken for what is.
pub fn clear_signed(octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
    let mut lines = Lines { rest: octets };
    if lines.next() != Some(SIGNED) {
        return Err(Refusal::Magic);
    }
    // Headers, of which `Hash` alone is known, end at an empty line.
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        if !line.starts_with(b"Hash: ") {
            return Err(Refusal::Malformed);
        }
    }
    let mut text = Vec::with_capacity(octets.len());
    loop {
        let line = lines.next().ok_or(Refusal::Truncated)?;
        if line == SIGNATURE {
            break;
        }
        let line = match line.strip_prefix(b"- ") {
            Some(escaped) => escaped,
            None if line.starts_with(b"-") => return Err(Refusal::Malformed),
            None => line,
        };
        text.extend_from_slice(line);
        text.extend_from_slice(b"\r\n");
    }
    // The line end before the signature is not part of the text.
    text.truncate(text.len().saturating_sub(2));
    sink.say(&Statement::Octets { part: Part::Signed, octets: &text })?;
    armoured(&mut lines, sink)
}

fn armoured(lines: &mut Lines<'_>, sink: &mut dyn Sink) -> Result<(), Refusal> {
    // Headers end at an empty line; there may be none.
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let mut text = Vec::new();
    loop {
        match lines.next().ok_or(Refusal::Truncated)? {
            END => break,
            // A checksum against accidents; the signature itself is checked.
            line if line.starts_with(b"=") => {}
            line => text.extend_from_slice(line),
        }
        if text.len() > 2 * bounds::SIGNATURE {
            return Err(Refusal::Bound);
        }
    }
    if lines.any(|line| !line.is_empty()) {
        return Err(Refusal::Trailing);
    }
    sink.say(&Statement::Octets { part: Part::Signature, octets: &base64(&text)? })
}

/// Lines without their ends and the spaces before them.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|octet| *octet == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        let kept = line.iter().rposition(|octet| !b" \t\r".contains(octet));
        Some(&line[..kept.map_or(0, |last| last + 1)])
    }
}
