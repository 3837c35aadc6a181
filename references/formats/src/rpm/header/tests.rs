use super::*;
use proptest::prelude::*;

/// A main header with these entries (tag, type, count, data), with its region.
pub(crate) fn built(entries: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, kind, count, value) in entries {
        while data.len() % alignment(*kind) != 0 {
            data.push(0);
        }
        row(&mut index, *tag, *kind, data.len() as i32, *count);
        data.extend_from_slice(value);
    }
    let all = entries.len() as i32 + 1;
    let mut region = Vec::new();
    row(&mut region, tag::HEADER_IMMUTABLE, BINARY, data.len() as i32, 16);
    row(&mut data, tag::HEADER_IMMUTABLE, BINARY, -16 * all, 16);
    let lengths = [(all as u32).to_be_bytes(), (data.len() as u32).to_be_bytes()].concat();
    [&MAGIC[..], &lengths, &region, &index, &data].concat()
}

fn row(octets: &mut Vec<u8>, tag: u32, kind: u32, offset: i32, count: u32) {
    for number in [tag, kind, offset as u32, count] {
        octets.extend_from_slice(&number.to_be_bytes());
    }
}

fn sample() -> Vec<u8> {
    built(&[
        (tag::NAME, STRING, 1, b"name\0"),
        (tag::EPOCH, 4, 1, &7u32.to_be_bytes()),
        (tag::BASE_NAMES, STRING_ARRAY, 2, b"a\0b\0"),
    ])
}

fn set(octets: &mut [u8], at: usize, number: u32) {
    octets[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

/// Where the index entry of this number begins.
const fn at(number: usize) -> usize {
    16 + 16 * number
}

#[test]
fn values_are_read() {
    let octets = sample();
    let header = Header::read(&octets, Kind::Main).unwrap();
    assert_eq!(header.string(tag::NAME).unwrap(), Some(&b"name"[..]));
    assert_eq!(header.int32s(tag::EPOCH).unwrap().unwrap().next(), Some(7));
    assert_eq!(header.strings(tag::BASE_NAMES).unwrap().unwrap().count(), 2);
    assert_eq!(header.int32s(tag::NAME).err(), Some(Refusal::Malformed));
    assert_eq!(header.immutable(), octets);
}

#[test]
fn every_bound_of_rpm_is_kept() {
    let refused = |change: &dyn Fn(&mut Vec<u8>), why| {
        let mut octets = sample();
        change(&mut octets);
        assert_eq!(Header::read(&octets, Kind::Main).err(), Some(why));
    };
    refused(&|o| o[0] = 0, Refusal::Magic);
    refused(&|o| set(o, 8, 65_536), Refusal::Bound);
    refused(&|o| set(o, 8, 0), Refusal::Bound);
    refused(&|o| set(o, 12, 256 << 20), Refusal::Bound);
    refused(&|o| set(o, 12, 1000), Refusal::Truncated);
    refused(&|o| o.push(0), Refusal::Trailing);
    refused(&|o| set(o, at(0), 62), Refusal::Region);
    refused(&|o| set(o, at(0) + 12, 15), Refusal::Region);
    refused(&|o| set(o, at(1), 99), Refusal::Malformed);
    refused(&|o| set(o, at(1), 1 << 31), Refusal::Malformed);
    refused(&|o| set(o, at(1) + 4, 10), Refusal::Malformed);
    refused(&|o| set(o, at(1) + 12, 2), Refusal::Malformed);
    refused(&|o| set(o, at(2) + 8, 6), Refusal::Overlap);
    refused(&|o| set(o, at(2) + 8, 4), Refusal::Overlap);
    refused(&|o| set(o, at(2) + 8, u32::MAX), Refusal::Bound);
    refused(&|o| set(o, at(2) + 12, 0x10_0000), Refusal::Bound);
    refused(&|o| set(o, at(2) + 12, 2), Refusal::Overlap);
    // The last entry reaches into the trailer of the region.
    refused(&|o| set(o, at(3) + 12, 3), Refusal::Overlap);
}

#[test]
fn a_signature_header_is_read_whatever_its_region_spans() {
    // Found by mutation: rpm takes a region that names fewer entries than there are, and their data inside it.
    let short = |region: u32| {
        let mut octets = sample();
        let trailer = octets.len() - ENTRY;
        set(&mut octets, at(0), region);
        set(&mut octets, trailer, region);
        set(&mut octets, trailer + 8, -(2 * ENTRY as i32) as u32);
        octets
    };
    let octets = short(tag::HEADER_SIGNATURES);
    let header = Header::read(&octets, Kind::Signature).unwrap();
    assert_eq!(header.string(tag::NAME).unwrap(), Some(&b"name"[..]));
    assert_eq!(header.int32s(tag::EPOCH).unwrap().unwrap().next(), Some(7));
    // In a header that is signed, nothing hides there.
    let octets = short(tag::HEADER_IMMUTABLE);
    assert_eq!(Header::read_bare(&octets[8..], Kind::Stored).err(), Some(Refusal::Overlap));
}

#[test]
fn what_stands_outside_the_region_is_no_value() {
    // In the database: the region as signed, and one more entry for a name that is not signed.
    let signed = built(&[(tag::VERSION, STRING, 1, b"1\0")]);
    let data = 32 + 16;
    let mut index = Vec::new();
    row(&mut index, tag::NAME, STRING, (signed.len() - data) as i32, 1);
    let lengths = [3u32.to_be_bytes(), ((signed.len() - data + 5) as u32).to_be_bytes()].concat();
    let stored = [&lengths, &signed[16..data], &index, &signed[data..], b"evil\0"].concat();
    let header = Header::read_bare(&stored, Kind::Stored).unwrap();
    assert_eq!(header.string(tag::NAME).unwrap(), None);
    assert_eq!(header.string(tag::VERSION).unwrap(), Some(&b"1"[..]));
    assert_eq!(header.immutable(), signed);
    // As a package file the same is refused.
    let file = [&MAGIC[..], &stored].concat();
    assert_eq!(Header::read(&file, Kind::Main).err(), Some(Refusal::Region));
}

#[test]
fn a_tag_that_is_there_twice_is_refused() {
    let octets = built(&[(tag::NAME, STRING, 1, b"a\0"), (tag::NAME, STRING, 1, b"b\0")]);
    let header = Header::read(&octets, Kind::Main).unwrap();
    assert_eq!(header.string(tag::NAME), Err(Refusal::Twice));
}

proptest! {
    #[test]
    fn no_header_panics(changes in proptest::collection::vec((0usize..150, any::<u8>()), 0..6)) {
        struct Nowhere;
        impl crate::Sink for Nowhere {
            fn say(&mut self, _: &crate::Statement<'_>) -> Result<(), Refusal> {
                Ok(())
            }
        }
        let mut octets = sample();
        for (at, octet) in changes {
            if let Some(place) = octets.get_mut(at) {
                *place = octet;
            }
        }
        let _ = crate::rpm::package(&octets, &mut Nowhere);
        let _ = Header::read(&octets, Kind::Stored).map(|header| header.immutable());
    }
}
