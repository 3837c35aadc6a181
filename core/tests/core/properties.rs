//! What holds for every event, every list of coefficients and every input.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::Platform;
use tsem::TaskIdentity;

use crate::strategies::cells;
use crate::strategies::coes;
use crate::strategies::digests;

const IDENTITY: TaskIdentity = TaskIdentity { parent: Digest([1; 32]), task: Digest([2; 32]) };

fn encoded(cell: &Cell) -> Vec<u8> {
    let mut out = Vec::new();
    tsem::encode_cell(cell, &mut out).unwrap();
    out
}

fn coefficient(identity: TaskIdentity, coe: &Coe, cell: &Cell) -> Digest {
    let cell_digest = tsem::cell_digest(cell, &mut Vec::new()).unwrap();
    tsem::coefficient(cell.kind, identity, tsem::coe_digest(coe), cell_digest)
}

fn flip(octets: &mut [u8], at: Index) {
    let bit = at.index(octets.len() * 8);
    octets[bit / 8] ^= 1 << (bit % 8);
}

fn state(mut list: Vec<Digest>, platform: &Platform) -> Digest {
    list.sort();
    tsem::state_of(&list, platform)
}

proptest! {
    #[test]
    fn a_cell_survives_every_form(cell in cells()) {
        prop_assert_eq!(tsem::decode_cell(&encoded(&cell)), Ok(cell.clone()));
        let line = cell.to_string();
        prop_assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{}", line);
        prop_assert_eq!(line.parse(), Ok(cell.clone()));
        let json = tsem::cell_to_json(&cell).to_string();
        let json = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(tsem::cell_from_json(&json), Ok(cell.clone()));
    }

    #[test]
    fn a_coe_survives_every_form(coe in coes()) {
        prop_assert_eq!(tsem::decode_coe(&tsem::encode_coe(&coe)), Ok(coe));
        prop_assert_eq!(coe.to_string().parse(), Ok(coe));
        prop_assert_eq!(tsem::coe_from_json(&tsem::coe_to_json(&coe)), Ok(coe));
    }

    /// Every bit of the encoding is a bit of a source value, a length, a tag, the code or the
    /// version: with any of them flipped it is no event at all, or another coefficient.
    #[test]
    fn one_flipped_bit_of_a_cell_is_another_coefficient(
        cell in cells(), coe in coes(), at in any::<Index>(),
    ) {
        let mut octets = encoded(&cell);
        flip(&mut octets, at);
        if let Ok(other) = tsem::decode_cell(&octets) {
            prop_assert_ne!(&other, &cell);
            let before = coefficient(IDENTITY, &coe, &cell);
            prop_assert_ne!(coefficient(IDENTITY, &coe, &other), before);
        }
    }

    #[test]
    fn one_flipped_bit_of_a_coe_or_an_identity_is_another_coefficient(
        cell in cells(), coe in coes(), at in any::<Index>(),
    ) {
        let before = coefficient(IDENTITY, &coe, &cell);
        let mut octets = tsem::encode_coe(&coe);
        flip(&mut octets[1..], at);
        let other = tsem::decode_coe(&octets).unwrap();
        prop_assert_ne!(coefficient(IDENTITY, &other, &cell), before);
        let mut parent = IDENTITY;
        flip(&mut parent.parent.0, at);
        prop_assert_ne!(coefficient(parent, &coe, &cell), before);
        let mut task = IDENTITY;
        flip(&mut task.task.0, at);
        prop_assert_ne!(coefficient(task, &coe, &cell), before);
    }

    #[test]
    fn a_state_knows_no_order_and_no_repetition(
        (list, shuffled) in vec(digests(), 0..40).prop_flat_map(|list| {
            let twice = [list.clone(), list.clone()].concat();
            (Just(list), Just(twice).prop_shuffle())
        }),
        base in digests(), aggregate in digests(),
    ) {
        let platform = Platform { base, aggregate };
        prop_assert_eq!(state(list, &platform), state(shuffled, &platform));
    }

    #[test]
    fn another_coefficient_is_another_state(list in vec(digests(), 0..20), new in digests()) {
        prop_assume!(!list.contains(&new));
        let more = [list.as_slice(), &[new]].concat();
        prop_assert_ne!(state(list, &Platform::NONE), state(more, &Platform::NONE));
    }

    #[test]
    fn what_decodes_is_canonical(octets in vec(any::<u8>(), 0..200), code in 0..110_u8) {
        let octets = [&[1, code, 0], octets.as_slice()].concat();
        if let Ok(cell) = tsem::decode_cell(&octets) {
            prop_assert_eq!(&encoded(&cell), &octets);
        }
        let _ = tsem::decode_coe(&octets);
    }

    #[test]
    fn a_damaged_encoding_is_refused_or_canonical(cell in cells(), at in any::<Index>(), octet: u8) {
        let mut octets = encoded(&cell);
        let at = at.index(octets.len());
        octets[at] = octet;
        if let Ok(cell) = tsem::decode_cell(&octets) {
            prop_assert_eq!(&encoded(&cell), &octets);
        }
    }

    #[test]
    fn no_line_panics(line in any::<String>()) {
        let _ = line.parse::<Cell>();
        let _ = line.parse::<Coe>();
    }

    #[test]
    fn a_damaged_line_is_refused_or_reads_as_it_prints(
        cell in cells(), at in any::<Index>(), with in "\\PC|[ \"{}=,|/:@x0-9]",
    ) {
        let mut line = cell.to_string();
        let at = at.index(line.len());
        line.replace_range(at..=at, &with);
        if let Ok(other) = line.parse::<Cell>() {
            prop_assert_eq!(other.to_string().parse(), Ok(other.clone()));
            prop_assert_eq!(tsem::decode_cell(&encoded(&other)), Ok(other.clone()));
        }
    }

    #[test]
    fn no_json_panics_and_what_is_read_has_an_encoding(
        cell in cells(), at in any::<Index>(), with in "[0-9a-z\\[\\]{}\":,]",
    ) {
        let mut text = tsem::cell_to_json(&cell).to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = with.as_bytes()[0];
        let Ok(json) = serde_json::from_slice(&text) else { return Ok(()) };
        if let Ok(other) = tsem::cell_from_json(&json) {
            prop_assert_eq!(tsem::decode_cell(&encoded(&other)), Ok(other.clone()));
        }
        let _ = tsem::coe_from_json(&json);
    }
}
