//! `docs/spec/03-protocol.md` says the bounds and codes that the code keeps, and no others.

use tma_protocol::MessageError;
use tma_protocol::Reply;
use tma_protocol::bound;
use tma_protocol::messages;

fn spec() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/03-protocol.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_bound_stands_in_the_specification() {
    let spec = spec();
    for (name, number) in [
        ("packet", bound::PACKET_MAX),
        ("packet of a handshake", bound::HANDSHAKE_MAX),
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
    for (name, text) in [
        ("targets", format!("at most {}), each", bound::TARGETS_MAX)),
        ("model keys", format!("at most {}), keys", bound::MODEL_KEYS_MAX)),
        ("challenge", format!("{} to {} octets", bound::NONCE.start(), bound::NONCE.end())),
        ("version", format!("at most {})", bound::AGENT_VERSION_MAX)),
        ("tag", format!("{} octets of tag", bound::TAG)),
    ] {
        assert!(spec.contains(&text), "{name}: {text}");
    }
}

/// With a comma between thousands.
fn grouped(number: usize) -> String {
    let (thousands, rest) = (number / 1000, number % 1000);
    if thousands == 0 { rest.to_string() } else { format!("{thousands},{rest:03}") }
}

/// The first two columns of the table with this head.
fn rows(head: &str) -> Vec<(String, String)> {
    let spec = spec();
    let (_, table) = spec.split_once(head).expect("the table is there");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().to_string());
        (cells.next().unwrap(), cells.next().unwrap())
    };
    rows.map(cells).collect()
}

/// A message with this code and body, in one packet.
fn packet(code: u8, body: &[u8]) -> Vec<u8> {
    let length = 1 + 4 + body.len() as u16;
    [&length.to_le_bytes()[..], &[code], &1_u32.to_le_bytes(), body].concat()
}

#[test]
fn every_code_of_a_message_stands_in_the_specification() {
    for (head, is_request) in [("| code | request |", true), ("| code | answer |", false)] {
        let told: Vec<String> = rows(head).into_iter().map(|(code, _)| code).collect();
        let known = (0..=u8::MAX).filter(|code| {
            let octets = packet(*code, &[]);
            let message = messages(&octets).next().unwrap().unwrap();
            let read = message.request().map(drop);
            let read = if is_request { read } else { message.reply().map(drop) };
            read != Err(MessageError::Tag(*code))
        });
        assert_eq!(told, known.map(|code| format!("{code:02x}")).collect::<Vec<_>>());
    }
}

#[test]
fn every_failure_stands_in_the_specification() {
    let failures = (0..=u8::MAX).filter_map(|code| {
        let octets = packet(0x82, &[code]);
        let message = messages(&octets).next().unwrap().unwrap();
        match message.reply() {
            Ok(Reply::Failed(failure)) => Some((code.to_string(), format!("{failure:?}"))),
            _ => None,
        }
    });
    assert_eq!(rows("| code | failure |"), failures.collect::<Vec<_>>());
}
