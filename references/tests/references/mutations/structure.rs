//! Our reader of headers beside rpm's, whatever the signatures say.

use super::Parts;
use super::rpmkeys::Verdict;
use reference_formats::Refusal;
use reference_formats::rpm::Header;
use reference_formats::rpm::Kind;
use std::collections::BTreeSet;

/// Names how the two meet: rpm gives a verdict on what it can read, whether it holds or not.
pub(super) fn beside_rpm(octets: &[u8], verdict: Verdict, original: &[u8]) -> &'static str {
    match (headers(octets), verdict != Verdict::Unreadable) {
        (Ok(()), true) => "structure: both read it",
        (Err(_), false) => "structure: both refuse it",
        (Err(refusal), true) => panic!("rpm reads what we refuse: {refusal:?}"),
        (Ok(()), false) => rpm_alone_refuses(octets, original),
    }
}

/// Reads both headers.
fn headers(octets: &[u8]) -> Result<(), Refusal> {
    let parts = Parts::of(octets).ok_or(Refusal::Truncated)?;
    Header::read(parts.signatures, Kind::Signature)?;
    Header::read(main_header(parts.signed).ok_or(Refusal::Truncated)?, Kind::Main)?;
    Ok(())
}

fn main_header(signed: &[u8]) -> Option<&[u8]> {
    let length = 16 + number(signed, 8)? * 16 + number(signed, 12)?;
    signed.get(..length)
}

fn number(octets: &[u8], at: usize) -> Option<usize> {
    let octets = octets.get(at..at + 4)?;
    Some(u32::from_be_bytes(octets.try_into().unwrap()) as usize)
}

/// rpm also reads the lead, which it has long called obsolete and which nothing covers, and knows the type of
/// every tag, where we know the types of those that we read.
fn rpm_alone_refuses(octets: &[u8], original: &[u8]) -> &'static str {
    let (parts, truth) = (Parts::of(octets).unwrap(), Parts::of(original).unwrap());
    if parts.lead != truth.lead {
        return "structure: rpm alone refuses the lead";
    }
    let of = |parts: &Parts<'_>| {
        let main = main_header(parts.signed).unwrap();
        types(parts.signatures).chain(types(main)).collect::<BTreeSet<_>>()
    };
    let strange = of(&parts).difference(&of(&truth)).count();
    assert!(strange > 0, "rpm refuses what we read, without a new pair of tag and type");
    "structure: rpm alone refuses a tag of another type than it should have"
}

fn types(header: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let entries = header[16..].chunks_exact(16).take(number(header, 8).unwrap());
    entries.map(|entry| (number(entry, 0).unwrap(), number(entry, 4).unwrap()))
}
