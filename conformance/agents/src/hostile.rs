//! Peers that mean harm: none of them gets a verdict, and none of them keeps the right one out.

use tma_protocol::Deframer;
use tma_protocol::Handshake;
use tma_protocol::Identity;
use tma_protocol::Packet;
use tma_protocol::Reply;
use tma_protocol::Request;
use tma_protocol::attestation::Claims;
use tma_protocol::bound::PACKET_MAX;
use tma_protocol::frame;
use tsem::Mode;
use tsem::OnViolation;
use tsem::ProcessId;
use tsem::Rules;

use crate::Peer;
use crate::Subject;
use crate::peer::fresh;
use crate::peer::packet;

pub(crate) fn hold(subject: &Subject<'_>) {
    strangers(subject);
    broken_sessions(subject);
    garbage_before_a_handshake(subject);
    attested(subject);
}

/// Whoever is not the pinned orchestrator is refused.
fn strangers(subject: &Subject<'_>) {
    let mut line = (subject.open)();
    let mut out = Vec::new();
    let stranger = Identity::from_seed(&[0x5a; 32]);
    let handshake = Handshake::begin(&stranger, fresh(), &mut out).unwrap();
    line.write_all(&out).unwrap();
    let mut deframer = Deframer::new(PACKET_MAX);
    let answer = packet(&mut *line, &mut deframer).unwrap();
    out.clear();
    let _ = handshake.finish(&answer, &mut out).unwrap();
    line.write_all(&out).unwrap();
    let refused = packet(&mut *line, &mut deframer).unwrap();
    assert_eq!(Packet::read(&refused), Ok(Packet::Refused));
}

/// A session with a model in force.
fn running(subject: &Subject<'_>) -> Peer {
    let mut peer = Peer::connect(subject);
    peer.load(Mode::Free, OnViolation::Deny, &Rules::default(), &[]);
    peer.tell(&[Request::Started(ProcessId(1))]);
    peer
}

/// Garbage, replay, reordering, loss, oversize, wrong numbers: the session is over, the record
/// stays for the same orchestrator, and no event is judged before a new model.
fn broken_sessions(subject: &Subject<'_>) {
    type Harm = fn(&mut Peer) -> Vec<u8>;
    let harms: [(&str, Harm); 8] = [
        ("garbage", |_| {
            let mut out = Vec::new();
            frame(&[4, 1, 2, 3], &mut out);
            out
        }),
        ("an unknown kind", |_| {
            let mut out = Vec::new();
            frame(&[9], &mut out);
            out
        }),
        ("replay", |peer| peer.seal(&[Request::Exited(ProcessId(7))]).repeat(2)),
        ("reordering", |peer| {
            let first = peer.seal(&[Request::Exited(ProcessId(7))]);
            [peer.seal(&[Request::Exited(ProcessId(8))]), first].concat()
        }),
        ("loss", |peer| {
            let _lost = peer.seal(&[Request::Exited(ProcessId(7))]);
            peer.seal(&[Request::Exited(ProcessId(7))])
        }),
        ("oversize", |_| [vec![1; 2 * PACKET_MAX], vec![0]].concat()),
        ("a cache that was not announced", |peer| peer.seal(&[Request::Cached(1)])),
        ("a changed octet", |peer| {
            let mut sealed = peer.seal(&[Request::Exited(ProcessId(7))]);
            let middle = sealed.len() / 2;
            sealed[middle] = if sealed[middle] == 0xaa { 0xab } else { 0xaa };
            sealed
        }),
    ];
    for (name, harm) in harms {
        let mut peer = running(subject);
        let octets = harm(&mut peer);
        peer.send(&octets);
        assert!(peer.is_refused(), "{name}");
        drop(peer);
        let mut again = Peer::connect(subject);
        let known = again.summary();
        assert_eq!(known.counts.events, 0, "{name}");
        again.load(Mode::Free, OnViolation::Deny, &Rules::default(), &[]);
    }
}

fn garbage_before_a_handshake(subject: &Subject<'_>) {
    let mut line = (subject.open)();
    line.write_all(b"\r\nlogin: root\r\n\0\xff\xfe\0\0").unwrap();
    Peer::over(line, subject).load(Mode::Free, OnViolation::Deny, &Rules::default(), &[]);
}

/// The agent attests to what it holds, with the key that is pinned.
fn attested(subject: &Subject<'_>) {
    let mut peer = running(subject);
    let claims = peer.ask(&Request::Attest(b"conformance"), |reply| match reply {
        Reply::Statement(statement) => {
            Claims::verify(statement, &subject.agent.signing, b"conformance").unwrap()
        }
        other => panic!("no statement: {other:?}"),
    });
    let summary = peer.summary();
    assert_eq!((claims.state, claims.measurement), (summary.state, summary.measurement));
    assert_eq!(claims.locality, peer.hello.locality.name());
    assert!(claims.in_session);
}
