//! `docs/spec/03-protocol.md` says the bounds that the code keeps.

use tma_protocol::bound;

#[test]
fn every_bound_stands_in_the_specification() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/03-protocol.md");
    let spec = std::fs::read_to_string(path).unwrap();
    for (name, number) in [
        ("packet", bound::PACKET_MAX),
        ("message", bound::MESSAGE_MAX),
        ("least message", bound::MESSAGE_LEAST),
        ("cell", bound::CELL_MAX),
        ("header", bound::HEADER_MAX),
        ("line of a header", bound::HEADER_LINE_MAX),
        ("rules", bound::RULES_MAX),
        ("statement", bound::STATEMENT_MAX),
        ("row", bound::ROW_MAX),
    ] {
        assert!(spec.contains(&grouped(number)), "{name}: {}", grouped(number));
    }
}

/// With a comma between thousands.
fn grouped(number: usize) -> String {
    let (thousands, rest) = (number / 1000, number % 1000);
    if thousands == 0 { rest.to_string() } else { format!("{thousands},{rest:03}") }
}
