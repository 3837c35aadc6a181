//! An orchestrator reduced to what the suite needs: it asks, one thing at a time.

use std::io::Read;
use std::io::Write;

use tma_protocol::AgentHello;
use tma_protocol::Deframer;
use tma_protocol::Handshake;
use tma_protocol::Load;
use tma_protocol::Observes;
use tma_protocol::Opener;
use tma_protocol::Packet;
use tma_protocol::Reply;
use tma_protocol::Request;
use tma_protocol::Sealer;
use tma_protocol::Summary;
use tma_protocol::Table;
use tma_protocol::bound::PACKET_MAX;
use tma_protocol::messages;
use tma_protocol::record::Rows;
use tsem::Description;
use tsem::Digest;
use tsem::Judgement;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::References;
use tsem::Rules;
use tsem::Vouched;

use crate::Subject;

/// A byte stream. Reading waits; a stream that stays silent for long must fail.
pub trait Line: Read + Write {}

impl<T: Read + Write> Line for T {}

/// A session with an agent.
pub struct Peer {
    line: Box<dyn Line>,
    deframer: Deframer,
    /// What was read, and how much of it was taken.
    read: Vec<u8>,
    taken: usize,
    sealer: Sealer,
    opener: Opener,
    next: u32,
    /// What the agent says of itself.
    pub hello: AgentHello,
}

/// Octets that came and what is left of them to be read.
pub(crate) fn packet(line: &mut dyn Line, deframer: &mut Deframer) -> Option<Vec<u8>> {
    let mut octet = [0; 1];
    loop {
        if line.read(&mut octet).ok()? == 0 {
            return None;
        }
        if let (_, Some(packet)) = deframer.take(&octet) {
            return packet.ok().map(<[u8]>::to_vec);
        }
    }
}

/// The second packet of a handshake. On a wire that outlives its sessions, what an agent still said
/// of the last one comes first.
pub(crate) fn handshake_answer(line: &mut dyn Line, deframer: &mut Deframer) -> Vec<u8> {
    loop {
        let answer = packet(line, deframer).expect("the agent answers the handshake");
        if !matches!(Packet::read(&answer), Ok(Packet::Refused | Packet::Sealed(_))) {
            return answer;
        }
    }
}

impl Peer {
    /// Opens a stream and a session.
    pub fn connect(subject: &Subject<'_>) -> Self {
        Self::over((subject.open)(), subject)
    }

    /// Opens a session over a stream.
    pub fn over(mut line: Box<dyn Line>, subject: &Subject<'_>) -> Self {
        let mut out = Vec::new();
        let handshake = Handshake::begin(&subject.orchestrator, fresh(), &mut out).unwrap();
        line.write_all(&out).unwrap();
        let mut deframer = Deframer::new(PACKET_MAX);
        let answer = handshake_answer(&mut *line, &mut deframer);
        out.clear();
        let shaken = handshake.finish(&answer, &mut out).expect("the handshake holds");
        let (sealer, opener, hello, agent) = shaken;
        assert_eq!(agent, subject.agent, "the agent is the pinned one");
        line.write_all(&out).unwrap();
        Self { line, deframer, read: Vec::new(), taken: 0, sealer, opener, next: 1, hello }
    }

    /// Seals messages without sending them.
    pub fn seal(&mut self, requests: &[Request<'_>]) -> Vec<u8> {
        let mut plain = Vec::new();
        for request in requests {
            assert!(request.write(self.next, self.hello.message_max, &mut plain), "{request:?}");
            self.next += 1;
        }
        self.sealed(&plain)
    }

    fn sealed(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.sealer.seal(plain, &mut out).unwrap();
        out
    }

    /// Sends octets as they are.
    pub fn send(&mut self, octets: &[u8]) {
        self.line.write_all(octets).unwrap();
    }

    /// Tells what is not answered.
    pub fn tell(&mut self, requests: &[Request<'_>]) {
        let sealed = self.seal(requests);
        self.send(&sealed);
    }

    /// Asks; `read` takes what is answered.
    pub fn ask<T>(&mut self, request: &Request<'_>, read: impl FnOnce(Reply<'_>) -> T) -> T {
        let sealed = self.seal(std::slice::from_ref(request));
        self.send(&sealed);
        self.answer(read)
    }

    /// Takes the next answer.
    ///
    /// # Panics
    ///
    /// There is none.
    pub fn answer<T>(&mut self, read: impl FnOnce(Reply<'_>) -> T) -> T {
        let packet = self.packet().expect("an answer comes");
        let Ok(Packet::Sealed(sealed)) = Packet::read(&packet) else {
            panic!("the session is over");
        };
        let mut plain = Vec::new();
        self.opener.open(sealed, &mut plain).unwrap();
        let message = messages(&plain).next().unwrap().unwrap();
        read(message.reply().unwrap())
    }

    /// Whether the agent says that the session is over; anything that it says else is a failure.
    pub fn is_refused(&mut self) -> bool {
        self.packet().is_some_and(|packet| Packet::read(&packet) == Ok(Packet::Refused))
    }

    /// Puts a model in force.
    pub fn load(
        &mut self,
        mode: Mode,
        on_violation: OnViolation,
        rules: &Rules,
        coefficients: &[Digest],
    ) {
        self.load_with(mode, on_violation, rules, &References::default(), coefficients);
    }

    /// Puts a model in force, with what packages vouch for.
    pub(crate) fn load_with(
        &mut self,
        mode: Mode,
        on_violation: OnViolation,
        rules: &Rules,
        references: &References,
        coefficients: &[Digest],
    ) {
        let header = header(rules);
        let counts = (coefficients.len(), header.len(), references.len());
        let load = announce(mode, on_violation, counts);
        self.ask(&Request::Reset, |reply| assert!(matches!(reply, Reply::Done), "{reply:?}"));
        self.ask(&Request::Load(load), |reply| assert!(matches!(reply, Reply::Done), "{reply:?}"));
        let vouched: Vec<_> = references.entries().map(Vouched::to_octets).collect();
        for part in vouched.chunks(9) {
            self.tell(&[Request::References(part)]);
        }
        for part in header.as_bytes().chunks(900) {
            self.tell(&[Request::Header(part)]);
        }
        for part in coefficients.chunks(28) {
            let octets: Vec<[u8; 32]> = part.iter().map(|coefficient| coefficient.0).collect();
            self.tell(&[Request::Coefficients(&octets)]);
        }
        let state = tsem::state_of(coefficients, &Platform::NONE);
        let expected = (Digest::of(&[header.as_bytes()]), state);
        self.ask(&Request::Seal, |reply| match reply {
            Reply::Sealed { header, state } => assert_eq!((header, state), expected),
            other => panic!("the model is not in force: {other:?}"),
        });
    }

    /// The next packet, from what was read already or from the stream.
    fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            while self.taken < self.read.len() {
                let (taken, packet) = self.deframer.take(&self.read[self.taken..]);
                self.taken += taken;
                if let Some(packet) = packet {
                    return packet.ok().map(<[u8]>::to_vec);
                }
            }
            self.read.resize(1 << 16, 0);
            let read = self.line.read(&mut self.read).ok()?;
            self.read.truncate(read);
            self.taken = 0;
            if read == 0 {
                return None;
            }
        }
    }

    /// Has an event judged; `None` if it is longer than what the agent takes.
    pub fn judge(&mut self, event: &Description) -> Option<Judgement> {
        let mut plain = Vec::new();
        if !Request::write_event(event, None, self.next, self.hello.message_max, &mut plain) {
            return None;
        }
        self.next += 1;
        let sealed = self.sealed(&plain);
        self.send(&sealed);
        Some(self.answer(|reply| match reply {
            Reply::Verdict { verdict, first, violation, coefficient } => {
                Judgement { verdict, coefficient, violation, first }
            }
            other => panic!("no verdict: {other:?}"),
        }))
    }

    /// Sends an event with an identity that is claimed of its process.
    pub(crate) fn send_claimed(&mut self, event: &Description, claim: Digest) {
        let mut plain = Vec::new();
        let bound = self.hello.message_max;
        assert!(Request::write_event(event, Some(claim), self.next, bound, &mut plain));
        self.next += 1;
        let sealed = self.sealed(&plain);
        self.send(&sealed);
    }

    /// Sends so many events in one packet.
    pub fn send_events(&mut self, event: &Description, count: usize) {
        let mut plain = Vec::new();
        for _ in 0..count {
            let bound = self.hello.message_max;
            assert!(Request::write_event(event, None, self.next, bound, &mut plain));
            self.next += 1;
        }
        let sealed = self.sealed(&plain);
        self.send(&sealed);
    }

    /// Takes so many verdicts, which came in one packet.
    pub fn take_verdicts(&mut self, count: usize) {
        let packet = self.packet().expect("an answer comes");
        let Ok(Packet::Sealed(sealed)) = Packet::read(&packet) else {
            panic!("the session is over");
        };
        let mut plain = Vec::new();
        self.opener.open(sealed, &mut plain).unwrap();
        let replies = messages(&plain).map(|message| message.unwrap().reply().unwrap());
        assert_eq!(replies.filter(|reply| matches!(reply, Reply::Verdict { .. })).count(), count);
    }

    /// What the agent has come to.
    pub fn summary(&mut self) -> Summary {
        self.ask(&Request::Summary, |reply| match reply {
            Reply::Summary(summary) => summary,
            other => panic!("no summary: {other:?}"),
        })
    }

    /// The rows of a table.
    pub fn rows(&mut self, table: Table) -> Vec<Vec<u8>> {
        let (mut rows, mut found) = (Rows::default(), Vec::new());
        loop {
            let (row, offset) = rows.next();
            let total = self.ask(&Request::Page { table, row, offset }, |reply| match reply {
                Reply::Page { total, parts } => {
                    let keep = |row: &[u8]| {
                        found.push(row.to_vec());
                        Ok(())
                    };
                    rows.take(total, parts, keep).unwrap();
                    total
                }
                other => panic!("no page: {other:?}"),
            });
            if rows.next().0 >= total {
                return found;
            }
        }
    }
}

/// The announcement of a model: how many coefficients, octets of header and references follow.
pub(crate) fn announce(
    mode: Mode,
    on_violation: OnViolation,
    (coefficients, header, references): (usize, usize, usize),
) -> Load {
    Load {
        mode,
        on_violation,
        observes: Observes::Every,
        platform: Platform::NONE,
        coefficients: coefficients as u32,
        header: header as u32,
        references: references as u32,
    }
}

/// The canonical header of a model of these rules.
pub fn header(rules: &Rules) -> String {
    let lines = rules.lines().into_iter().map(|line| format!("rule {line}\n"));
    let head = format!(
        "quixote-model 1\nworkload conformance\nprofile {}\nhash sha256\nserial 1\naggregate none\n\
         base none\nsource portable\nruns 1\nevents 1\nlosses 0\ncreated-by conformance\n\
         learned-on conformance\n",
        rules.profile.name()
    );
    std::iter::once(head).chain(lines).collect()
}

/// Different octets for every handshake of this suite; that they can be guessed harms nobody here.
pub(crate) fn fresh() -> [u8; 32] {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    let number = DRAWN.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    Digest::of(&[&number, &std::process::id().to_le_bytes()]).0
}
