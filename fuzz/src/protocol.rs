//! Both ends of the protocol of trusted modeling agents.

use std::sync::OnceLock;

use tma_protocol::AgentEndpoint;
use tma_protocol::Deframer;
use tma_protocol::Handshake;
use tma_protocol::Host;
use tma_protocol::Identity;
use tma_protocol::Locality;
use tma_protocol::NotKept;
use tma_protocol::Pins;
use tma_protocol::Sealer;
use tma_protocol::attestation::Claims;
use tma_protocol::bound::MESSAGE_MAX;
use tma_protocol::bound::PACKET_MAX;
use tma_protocol::messages;
use tma_protocol::record;
use tma_protocol::record::Rows;
use tsem::Bounds;
use tsem::Engine;
use tsem::Setup;

struct Bench;

impl Host for Bench {
    type Engine = Engine;

    fn locality(&self) -> Locality {
        Locality::Process
    }

    fn version(&self) -> &'static str {
        "fuzz"
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        Some([7; 32])
    }

    fn bounds(&self) -> Bounds {
        Bounds { coefficients: 64, forensics: 8, processes: 8, references: 8, ..Bounds::default() }
    }

    fn engine(&mut self, setup: Setup) -> Engine {
        Engine::empty(setup)
    }

    fn keep(&mut self, _: &Pins) -> Result<(), NotKept> {
        Ok(())
    }
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::from_seed(&[1; 32]))
}

fn endpoint() -> AgentEndpoint<Bench> {
    let pins = Pins { orchestrator: Some(identity().public().session), model_keys: Vec::new() };
    AgentEndpoint::new(Identity::from_seed(&[2; 32]), pins, Bench)
}

/// An agent: the input as octets of the wire, and as what an orchestrator that went mad seals, in as
/// few packets as hold it and each message in its own, so that a model comes in force and is judged
/// by. It never answers more than it may.
pub fn agent(input: &[u8]) {
    let mut out = Vec::new();
    let mut endpoint = endpoint();
    endpoint.receive(input, &mut out);
    assert!(out.len() <= 2 * input.len() + endpoint.output_max());
    tell(&mut endpoint, input.chunks(MESSAGE_MAX));
    tell(&mut endpoint, messages(input).map_while(Result::ok).map(|message| message.octets()));
}

/// Seals packets in a new session.
fn tell<'a>(endpoint: &mut AgentEndpoint<Bench>, packets: impl Iterator<Item = &'a [u8]>) {
    let mut sealer = session(endpoint);
    for messages in packets {
        let (mut packet, mut back) = (Vec::new(), Vec::new());
        sealer.seal(messages, &mut packet).expect("the messages fit a packet");
        endpoint.receive(&packet, &mut back);
        assert!(back.len() <= 2 * packet.len() + endpoint.output_max());
    }
}

/// A session of the pinned orchestrator.
fn session(endpoint: &mut AgentEndpoint<Bench>) -> Sealer {
    let (mut out, mut back) = (Vec::new(), Vec::new());
    let handshake = Handshake::begin(identity(), [9; 32], &mut out).expect("the keys are good");
    endpoint.receive(&out, &mut back);
    // What was half read before may be refused first.
    let mut deframer = Deframer::new(PACKET_MAX);
    let (mut rest, mut packet) = (back.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (taken, found) = deframer.take(rest);
        rest = &rest[taken..];
        packet = found.expect("an answer").expect("a frame").to_vec();
    }
    out.clear();
    let (sealer, ..) = handshake.finish(&packet, &mut out).expect("the handshake holds");
    endpoint.receive(&out, &mut Vec::new());
    sealer
}

/// An orchestrator: the input as what an agent that lies answers, in every place where it may.
pub fn orchestrator(input: &[u8]) {
    let mut out = Vec::new();
    if let Ok(handshake) = Handshake::begin(identity(), [9; 32], &mut out) {
        assert!(handshake.finish(input, &mut Vec::new()).is_err(), "nobody forges a handshake");
    }
    for message in messages(input).map_while(Result::ok) {
        let _ = message.reply();
        if let Ok(request) = message.request() {
            let mut again = Vec::new();
            assert!(request.write(message.sequence, MESSAGE_MAX, &mut again));
            assert_eq!(again, message.octets(), "a request has one encoding");
        }
    }
    let _ = Rows::default().take(1000, input, |row| record::read_event(row).map(drop));
    if let Ok(event) = record::read_event(input) {
        let mut again = Vec::new();
        record::write_event(&event, &mut again);
        assert_eq!(record::read_event(&again), Ok(event));
    }
    let _ = record::read_task(input).is_ok() | record::read_forensic(input).is_ok();
    let key = identity().public().signing;
    assert!(Claims::verify(input, &key, b"challenge").is_err(), "nobody forges a statement");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_of_the_corpus_are_judged() {
        for name in ["free", "enforcing", "vouched"] {
            let place = env!("CARGO_MANIFEST_DIR");
            let input = std::fs::read(format!("{place}/corpus/agent/session-{name}")).unwrap();
            let mut endpoint = endpoint();
            tell(&mut endpoint, messages(&input).map(|message| message.unwrap().octets()));
            let engine = endpoint.engine().expect("the model is in force");
            assert_eq!(engine.counts().events, 2, "{name}");
        }
    }
}
