//! What each fuzz target does with an input.
//!
//! Apart from the targets, so that `cargo test` runs them over the corpus without a fuzzer: every
//! parser of foreign input either refuses, or reads what it writes back to the same.

mod protocol;

pub use protocol::agent;
pub use protocol::orchestrator;

use ima_format::digest_list;
use ima_format::measurement::List;
use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Sink;
use reference_formats::Statement;
use tsem::Cell;
use tsem::Coe;

/// The binary decoders: what they accept is canonical.
pub fn decode(input: &[u8]) {
    if let Ok(cell) = tsem::decode_cell(input) {
        assert_eq!(encoded(&cell), input);
        every_form(&cell);
    }
    if let Ok(coe) = tsem::decode_coe(input) {
        assert_eq!(tsem::encode_coe(&coe)[..], *input);
    }
}

/// The text parsers.
pub fn text(input: &[u8]) {
    let Ok(line) = core::str::from_utf8(input) else { return };
    if let Ok(cell) = line.parse() {
        every_form(&cell);
    }
    if let Ok(coe) = line.parse::<Coe>() {
        assert_eq!(coe.to_string().parse(), Ok(coe));
    }
}

/// The JSON readers.
pub fn json(input: &[u8]) {
    let Ok(json) = serde_json::from_slice(input) else { return };
    if let Ok(cell) = tsem::cell_from_json(&json) {
        every_form(&cell);
    }
    if let Ok(coe) = tsem::coe_from_json(&json) {
        assert_eq!(tsem::coe_from_json(&tsem::coe_to_json(&coe)), Ok(coe));
    }
}

/// The readers of package formats: the first octet is the job, the rest its input. What is said crosses the pipe
/// unchanged, whatever the input. No job is the other end of the pipe: what the parent accepts of a frame is what it is.
pub fn references(input: &[u8]) {
    struct Checked;
    impl Sink for Checked {
        fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
            let frame = encoded_frame(statement);
            assert_eq!(Statement::decode(&frame[4..]).as_ref(), Ok(statement));
            Ok(())
        }
    }
    let Some((code, mut input)) = input.split_first() else { return };
    if *code == 0 {
        // Refusals of unknown codes are read as one that is known.
        if let Ok(said) = Statement::decode(input).map(|said| (said, encoded_frame(&said))) {
            assert_eq!(Statement::decode(&said.1[4..]), Ok(said.0));
        }
    } else if let Some(job) = Job::from_code(*code) {
        let _ = job.run(&mut input, &mut Checked);
    }
}

/// IMA's readers: the first octet says which, the rest is its input. What a reader accepts is written back: the octets of
/// lists are canonical, and of text the records are.
pub fn ima(input: &[u8]) {
    let Some((which, input)) = input.split_first() else { return };
    match which {
        1 => {
            if let Ok(list) = List::from_binary(input) {
                assert_eq!(list.to_binary(), input);
            }
        }
        2 => {
            if let Ok(list) = List::from_text(input) {
                assert_eq!(List::from_text(&list.to_text()), Ok(list));
            }
        }
        3 => {
            let form = digest_list::Version::November2024;
            if let Ok((algorithm, entries)) = digest_list::decode(form, input) {
                assert_eq!(digest_list::encode(form, algorithm, &entries).as_deref(), Ok(input));
            }
        }
        4 => drop(ima_format::signature::Unverified::read(input)),
        _ => {}
    }
}

fn encoded_frame(said: &Statement<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    said.encode(&mut frame);
    frame
}

fn encoded(cell: &Cell) -> Vec<u8> {
    let mut out = Vec::new();
    tsem::encode_cell(cell, &mut out).expect("what a parser accepts has an encoding");
    out
}

fn every_form(cell: &Cell) {
    assert_eq!(tsem::decode_cell(&encoded(cell)).as_ref(), Ok(cell));
    assert_eq!(cell.to_string().parse().as_ref(), Ok(cell));
    assert_eq!(tsem::cell_from_json(&tsem::cell_to_json(cell)).as_ref(), Ok(cell));
}
