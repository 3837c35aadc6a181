use tsem::Cell;
use tsem::Coe;
use tsem::Description;
use tsem::Engine;
use tsem::EventKind;
use tsem::OnViolation;
use tsem::Place;
use tsem::Platform;
use tsem::ProcessId;
use tsem::Rules;
use tsem::Value;

use super::*;
use crate::Handshake;
use crate::PublicIdentity;
use crate::model_header::tests::header_text;

struct Bench {
    kept: Pins,
    drawn: u8,
}

impl Host for Bench {
    type Engine = Engine;

    fn locality(&self) -> Locality {
        Locality::Process
    }

    fn version(&self) -> &'static str {
        "quixote-tma test"
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        self.drawn += 1;
        Some([self.drawn; 32])
    }

    fn bounds(&self) -> Bounds {
        Bounds { coefficients: 100, references: 3, ..Bounds::default() }
    }

    fn engine(&mut self, setup: Setup) -> Engine {
        Engine::new(setup, [])
    }

    fn keep(&mut self, pins: &Pins) -> Result<(), NotKept> {
        self.kept = pins.clone();
        Ok(())
    }
}

fn orchestrator() -> Identity {
    Identity::from_seed(&[1; 32])
}

fn agent(pins: Pins) -> AgentEndpoint<Bench> {
    let bench = Bench { kept: Pins::default(), drawn: 0 };
    AgentEndpoint::new(Identity::from_seed(&[2; 32]), pins, bench)
}

fn pinned() -> Pins {
    Pins { orchestrator: Some(orchestrator().public().session), model_keys: Vec::new() }
}

/// Packets of a stream.
fn packets(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::new(PACKET_MAX);
    let mut found = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let (taken, packet) = deframer.take(rest);
        found.extend(packet.map(|packet| packet.unwrap().to_vec()));
        rest = &rest[taken..];
    }
    found
}

struct Peer {
    sealer: Sealer,
    opener: Opener,
    next: u32,
}

impl Peer {
    fn connect(
        agent: &mut AgentEndpoint<Bench>,
        identity: &Identity,
    ) -> Result<(Self, AgentHello, PublicIdentity), SessionError> {
        let (mut out, mut back) = (Vec::new(), Vec::new());
        let handshake = Handshake::begin(identity, [9; 32], &mut out)?;
        agent.receive(&out, &mut back);
        out.clear();
        let (sealer, opener, hello, public) = handshake.finish(&packets(&back)[0], &mut out)?;
        back.clear();
        agent.receive(&out, &mut back);
        assert!(back.is_empty() || back == refusal());
        if back == refusal() {
            return Err(SessionError::Refused);
        }
        Ok((Self { sealer, opener, next: 1 }, hello, public))
    }

    fn pack(&mut self, requests: &[Request<'_>]) -> Vec<u8> {
        let mut plain = Vec::new();
        for request in requests {
            assert!(request.write(self.next, MESSAGE_MAX, &mut plain));
            self.next += 1;
        }
        let mut out = Vec::new();
        self.sealer.seal(&plain, &mut out).unwrap();
        out
    }

    /// The answers, each as text; `None` if the agent refused.
    fn open(&mut self, back: &[u8]) -> Option<Vec<String>> {
        let mut answers = Vec::new();
        for packet in packets(back) {
            let Ok(Packet::Sealed(sealed)) = Packet::read(&packet) else { return None };
            let mut plain = Vec::new();
            self.opener.open(sealed, &mut plain).unwrap();
            let found = messages(&plain).map(|message| message.unwrap().reply().unwrap());
            answers.extend(found.map(|reply| alloc::format!("{reply:?}")));
        }
        Some(answers)
    }

    fn ask(
        &mut self,
        agent: &mut AgentEndpoint<Bench>,
        requests: &[Request<'_>],
    ) -> Option<Vec<String>> {
        let mut back = Vec::new();
        agent.receive(&self.pack(requests), &mut back);
        assert!(back.len() <= agent.output_max());
        self.open(&back)
    }
}

fn refusal() -> Vec<u8> {
    let mut out = Vec::new();
    frame_refusal(&mut out);
    out
}

fn load(mode: Mode, header: &str, coefficients: u32) -> Load {
    Load {
        mode,
        on_violation: OnViolation::Untrust,
        observes: Observes::Every,
        platform: Platform::NONE,
        coefficients,
        header: header.len() as u32,
        references: 0,
    }
}

fn unlink(process: u64, path: &str) -> Description {
    Description {
        process: ProcessId(process),
        pid: 1,
        coe: Coe::default(),
        cell: Cell { kind: EventKind::InodeUnlink, values: vec![Value::Path(Place::new(path, 1))] },
        targets: Vec::new(),
    }
}

fn event_octets(event: &Description) -> Vec<u8> {
    let mut plain = Vec::new();
    assert!(Request::write_event(event, None, 1, MESSAGE_MAX, &mut plain));
    plain
}

fn event(octets: &[u8]) -> Request<'_> {
    messages(octets).next().unwrap().unwrap().request().unwrap()
}

/// A session in which a model without coefficients is in force.
fn running(mode: Mode) -> (AgentEndpoint<Bench>, Peer) {
    let mut agent = agent(pinned());
    let (mut peer, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
    let header = header_text(&Rules::default());
    let loaded = peer.ask(
        &mut agent,
        &[Request::Load(load(mode, &header, 0)), Request::Header(header.as_bytes())],
    );
    assert_eq!(loaded.unwrap(), ["Done"]);
    assert!(peer.ask(&mut agent, &[Request::Seal]).unwrap()[0].starts_with("Sealed"));
    let started = peer.ask(&mut agent, &[Request::Started(ProcessId(1))]);
    assert_eq!(started.unwrap(), [""; 0]);
    (agent, peer)
}

#[test]
fn an_agent_is_provisioned_once_and_by_whom_it_met_first() {
    let mut agent = agent(Pins::default());
    let (mut peer, hello, public) = Peer::connect(&mut agent, &orchestrator()).unwrap();
    assert!(!hello.provisioned);
    assert_eq!(public, Identity::from_seed(&[2; 32]).public());
    let refused = peer.ask(&mut agent, &[Request::Summary]).unwrap();
    assert_eq!(refused, ["Failed(NotProvisioned)"]);
    let keys = vec![[5; 32]];
    let provisioned = peer.ask(&mut agent, &[Request::Provision(keys.clone())]).unwrap();
    assert_eq!(provisioned, ["Done"]);
    let again = peer.ask(&mut agent, &[Request::Provision(keys.clone())]).unwrap();
    assert_eq!(again, ["Failed(AlreadyProvisioned)"]);
    let pins = Pins { orchestrator: Some(orchestrator().public().session), model_keys: keys };
    assert_eq!((&agent.host().kept, agent.pins()), (&pins, &pins));
    let stranger = Identity::from_seed(&[3; 32]);
    assert!(Peer::connect(&mut agent, &stranger).is_err());
    assert!(Peer::connect(&mut agent, &orchestrator()).is_ok());
}

#[test]
fn a_stranger_does_not_end_the_session_that_is_there() {
    let (mut agent, mut peer) = running(Mode::Free);
    let mut begun = Vec::new();
    let stranger = Identity::from_seed(&[3; 32]);
    Handshake::begin(&stranger, [4; 32], &mut begun).unwrap();
    let mut back = Vec::new();
    agent.receive(&begun, &mut back);
    let octets = event_octets(&unlink(1, "/x"));
    let judged = peer.ask(&mut agent, &[event(&octets)]).unwrap();
    assert!(judged[0].contains("Allow"), "{judged:?}");
}

#[test]
fn verdicts_are_those_of_the_engine() {
    let (mut agent, mut peer) = running(Mode::Enforcing);
    let octets = event_octets(&unlink(1, "/x"));
    let judged = peer.ask(&mut agent, &[event(&octets), event(&octets)]).unwrap();
    assert!(judged[0].contains("Deny") && judged[0].contains("NotInModel"), "{judged:?}");
    assert!(judged[1].contains("Deny") && judged[1].contains("Untrusted"), "{judged:?}");
    let engine = agent.engine().unwrap();
    assert_eq!((engine.counts().events, engine.counts().denied), (2, 2));
}

#[test]
fn a_claimed_identity_must_follow_from_the_record() {
    let (mut agent, mut peer) = running(Mode::Free);
    for (claim, answer) in [(Digest::ZERO, "Allow"), (Digest([1; 32]), "Failed(Identity)")] {
        let mut octets = Vec::new();
        let description = unlink(1, "/x");
        assert!(Request::write_event(&description, Some(claim), 1, MESSAGE_MAX, &mut octets));
        let judged = peer.ask(&mut agent, &[event(&octets)]).unwrap();
        assert!(judged[0].contains(answer), "{judged:?}");
    }
    assert_eq!(agent.engine().unwrap().counts().unreadable, 1);
}

/// Every way in which a packet can be wrong ends the session, and then nothing is judged.
#[test]
fn a_session_that_breaks_fails_closed() {
    type Damage = fn(&mut Peer) -> Vec<u8>;
    let damages: [(&str, Damage); 7] = [
        ("changed", |peer| {
            let mut packet = peer.pack(&[Request::Exited(ProcessId(7))]);
            packet[12] ^= 1;
            packet
        }),
        ("repeated", |peer| peer.pack(&[Request::Exited(ProcessId(7))]).repeat(2)),
        ("lost", |peer| {
            let _lost = peer.pack(&[Request::Exited(ProcessId(7))]);
            peer.pack(&[Request::Exited(ProcessId(7))])
        }),
        ("out of order", |peer| {
            let first = peer.pack(&[Request::Exited(ProcessId(7))]);
            [peer.pack(&[Request::Exited(ProcessId(8))]), first].concat()
        }),
        ("number skipped", |peer| {
            peer.next += 1;
            peer.pack(&[Request::Exited(ProcessId(7))])
        }),
        ("too long", |_| [vec![1; 2 * PACKET_MAX], vec![0]].concat()),
        ("not alone", |peer| peer.pack(&[Request::Summary, Request::Summary])),
    ];
    for (name, damage) in damages {
        let (mut agent, mut peer) = running(Mode::Free);
        let mut back = Vec::new();
        agent.receive(&damage(&mut peer), &mut back);
        assert!(back.ends_with(&refusal()), "{name}");
        back.clear();
        let octets = event_octets(&unlink(1, "/x"));
        let sent = peer.pack(&[event(&octets)]);
        agent.receive(&sent, &mut back);
        assert_eq!(back, refusal(), "{name}");
        let (mut again, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
        let refused = again.ask(&mut agent, &[event(&octets)]).unwrap();
        assert_eq!(refused, ["Failed(Phase)"], "{name}");
        assert!(again.ask(&mut agent, &[Request::Summary]).unwrap()[0].starts_with("Summary"));
    }
}

#[test]
fn garbage_on_an_idle_wire_is_not_answered() {
    let mut agent = agent(pinned());
    let mut back = Vec::new();
    agent.receive(b"login: \r\n\0\0\xff\xff\0", &mut back);
    assert!(back.is_empty(), "{back:?}");
    assert!(Peer::connect(&mut agent, &orchestrator()).is_ok());
}

#[test]
fn a_model_is_in_force_only_when_all_of_it_holds() {
    let header = header_text(&Rules::default());
    let text = header.as_bytes();
    let (low, high) = ([1; 32], [2; 32]);
    let whole = load(Mode::Enforcing, &header, 2);
    let cases: [(&[Request<'_>], &str); 6] = [
        (&[Request::Header(text), Request::Coefficients(&[low, high])], "Sealed"),
        (&[Request::Header(text), Request::Coefficients(&[high, low])], "Failed(Coefficients)"),
        (&[Request::Header(text), Request::Coefficients(&[low])], "Failed(Coefficients)"),
        (&[Request::Header(text), Request::Coefficients(&[low, low])], "Failed(Coefficients)"),
        (&[Request::Header(&text[1..]), Request::Coefficients(&[low, high])], "Failed(Header)"),
        (&[Request::Coefficients(&[low, high]), Request::Header(text)], "Failed(Header)"),
    ];
    for (parts, expected) in cases {
        let mut agent = agent(pinned());
        let (mut peer, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
        assert_eq!(peer.ask(&mut agent, &[Request::Load(whole)]).unwrap(), ["Done"]);
        assert_eq!(peer.ask(&mut agent, parts).unwrap(), [""; 0]);
        let sealed = peer.ask(&mut agent, &[Request::Seal]).unwrap();
        assert!(sealed[0].starts_with(expected), "{sealed:?}");
        assert_eq!(agent.engine().is_some(), expected == "Sealed");
    }
    let mut agent = agent(pinned());
    let (mut peer, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
    let beyond = Request::Load(load(Mode::Enforcing, &header, 101));
    assert_eq!(peer.ask(&mut agent, &[beyond]).unwrap(), ["Failed(TooMuch)"]);
}

#[test]
fn references_are_whole_sorted_and_before_the_header() {
    let header = header_text(&Rules::default());
    let text = header.as_bytes();
    let entry = |content, path: &[u8]| {
        Vouched::new(Digest([content; 32]), path, Digest([9; 32])).to_octets()
    };
    let (low, high) = (entry(1, b"/a"), entry(2, b"/a"));
    let announced = |references| Load { references, ..load(Mode::Free, &header, 0) };
    let cases: [(&[Request<'_>], &str); 6] = [
        (&[Request::References(&[low, high]), Request::Header(text)], "Sealed"),
        (&[Request::References(&[low]), Request::Header(text)], "Failed(References)"),
        (&[Request::References(&[high, low]), Request::Header(text)], "Failed(References)"),
        (&[Request::References(&[low, low]), Request::Header(text)], "Failed(References)"),
        (
            &[Request::References(&[entry(0, b"/a"), low]), Request::Header(text)],
            "Failed(References)",
        ),
        (
            &[
                Request::References(&[low, high]),
                Request::Header(text),
                Request::References(&[entry(3, b"/a")]),
            ],
            "Failed(References)",
        ),
    ];
    for (parts, expected) in cases {
        let mut agent = agent(pinned());
        let (mut peer, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
        peer.ask(&mut agent, &[Request::Load(announced(2))]).unwrap();
        assert_eq!(peer.ask(&mut agent, parts).unwrap(), [""; 0]);
        let sealed = peer.ask(&mut agent, &[Request::Seal]).unwrap();
        assert!(sealed[0].starts_with(expected), "{sealed:?}");
        assert_eq!(agent.engine().is_some(), expected == "Sealed");
        if expected == "Sealed" {
            let mut table = References::default();
            let vouched = [low, high].map(|entry| Vouched::from_octets(&entry));
            for vouched in vouched {
                table.insert(vouched).unwrap();
            }
            assert_eq!(claims(&mut agent, &mut peer).references, VouchedFor::of(&table));
        }
    }
    let mut agent = agent(pinned());
    let (mut peer, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
    let beyond = peer.ask(&mut agent, &[Request::Load(announced(4))]).unwrap();
    assert_eq!(beyond, ["Failed(TooMuch)"]);
}

#[test]
fn a_cache_is_announced_before_the_model_and_stated() {
    let header = header_text(&Rules::default());
    for (observes, stated) in [(Observes::Every, None), (Observes::Uncached, Some(7))] {
        let mut agent = agent(pinned());
        let (mut peer, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
        let load = Load { observes, ..load(Mode::Enforcing, &header, 0) };
        peer.ask(&mut agent, &[Request::Load(load), Request::Header(header.as_bytes())]);
        peer.ask(&mut agent, &[Request::Seal]).unwrap();
        if stated.is_some() {
            assert_eq!(claims(&mut agent, &mut peer).cached, Some(0));
        }
        // Where no cache was announced, who tells of one is not believed in anything any more.
        let told = peer.ask(&mut agent, &[Request::Cached(7)]);
        assert_eq!(told.is_some(), stated.is_some());
        let (mut again, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
        assert_eq!(claims(&mut agent, &mut again).cached, stated);
        // The next model begins without a cache.
        let header_is = Request::Header(header.as_bytes());
        let next = Load { observes: Observes::Every, ..load };
        again.ask(&mut agent, &[Request::Reset, Request::Load(next), header_is]).unwrap();
        again.ask(&mut agent, &[Request::Seal]).unwrap();
        assert_eq!(claims(&mut agent, &mut again).cached, None);
    }
}

#[test]
fn with_model_keys_only_what_they_signed_is_enforced() {
    use crate::model_signature::tests::signed;
    let key = ed25519_dalek::SigningKey::from_bytes(&[6; 32]);
    let header = header_text(&Rules::default());
    let coefficients = [[1; 32], [2; 32]];
    let state = tsem::state_of(&coefficients.map(Digest), &Platform::NONE);
    let of = |header: &str| Computed {
        header: Digest::of(&[header.as_bytes()]),
        state,
        coefficients: 2,
    };
    let (statement, signature) = signed(of(&header), &key);
    let pins = Pins { model_keys: vec![key.verifying_key().to_bytes()], ..pinned() };
    let other = header.replace("serial 7", "serial 8");
    for (text, sign, expected) in [
        (&header, true, "Sealed"),
        (&header, false, "Failed(Unsigned)"),
        (&other, true, "Failed(OtherModel)"),
    ] {
        let mut agent = agent(pins.clone());
        let (mut peer, ..) = Peer::connect(&mut agent, &orchestrator()).unwrap();
        peer.ask(&mut agent, &[Request::Load(load(Mode::Enforcing, text, 2))]).unwrap();
        if sign {
            peer.ask(&mut agent, &[Request::Signature { statement: &statement, signature }]);
        }
        let parts = [Request::Header(text.as_bytes()), Request::Coefficients(&coefficients)];
        peer.ask(&mut agent, &parts).unwrap();
        let sealed = peer.ask(&mut agent, &[Request::Seal]).unwrap();
        assert!(sealed[0].starts_with(expected), "{sealed:?}");
    }
}

#[test]
fn the_record_comes_back_row_by_row_through_short_messages() {
    let (mut agent, mut peer) = running(Mode::Free);
    for number in 0..40 {
        let octets = event_octets(&unlink(1, &alloc::format!("/{}", "x".repeat(number * 97))));
        peer.ask(&mut agent, &[event(&octets)]).unwrap();
    }
    agent.agent.message_max = MESSAGE_LEAST;
    let (mut rows, mut found) = (crate::record::Rows::default(), Vec::new());
    loop {
        let (row, offset) = rows.next();
        let mut back = Vec::new();
        let packet = peer.pack(&[Request::Page { table: Table::Events, row, offset }]);
        agent.receive(&packet, &mut back);
        let packets = packets(&back);
        let Ok(Packet::Sealed(sealed)) = Packet::read(&packets[0]) else { panic!() };
        let mut plain = Vec::new();
        peer.opener.open(sealed, &mut plain).unwrap();
        assert!(plain.len() <= MESSAGE_LEAST);
        let message = messages(&plain).next().unwrap().unwrap();
        let Reply::Page { total, parts } = message.reply().unwrap() else { panic!() };
        let keep = |row: &[u8]| {
            found.push(crate::record::read_event(row)?);
            Ok(())
        };
        rows.take(total, parts, keep).unwrap();
        if rows.next() == (total, 0) {
            break;
        }
    }
    assert_eq!(found, agent.engine().unwrap().observation().events);
}

/// What the agent states.
fn claims(agent: &mut AgentEndpoint<Bench>, peer: &mut Peer) -> Claims {
    let mut back = Vec::new();
    let packet = peer.pack(&[Request::Attest(b"challenge")]);
    agent.receive(&packet, &mut back);
    let packets = packets(&back);
    let Ok(Packet::Sealed(sealed)) = Packet::read(&packets[0]) else { panic!() };
    let mut plain = Vec::new();
    peer.opener.open(sealed, &mut plain).unwrap();
    let message = messages(&plain).next().unwrap().unwrap();
    let Reply::Statement(statement) = message.reply().unwrap() else { panic!() };
    let key = Identity::from_seed(&[2; 32]).public().signing;
    Claims::verify(statement, &key, b"challenge").unwrap()
}

#[test]
fn an_attestation_says_what_the_engine_holds() {
    let (mut agent, mut peer) = running(Mode::Sealed);
    let octets = event_octets(&unlink(1, "/x"));
    peer.ask(&mut agent, &[event(&octets)]).unwrap();
    let claims = claims(&mut agent, &mut peer);
    let engine = agent.engine().unwrap();
    assert_eq!((claims.state, claims.measurement), (engine.state(), engine.measurement()));
    assert_eq!(claims.counts, engine.counts());
    assert_eq!((claims.mode.as_str(), claims.cached), ("sealed", None));
    assert_eq!(claims.references, None);
    assert!(claims.in_session);
}
