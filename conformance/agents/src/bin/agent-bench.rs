//! What a verdict costs in each locality, in one run: `cargo xtask bench agents`.
//!
//! One event, as most are: a known file is opened. Localities take turns in every round, so that
//! what else the machine does falls on all alike; a figure is the median of the rounds.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use agent_conformance::Peer;
use agent_conformance::Subject;
use agent_conformance::over;
use agent_conformance::over::processor_time;
use orchestrator::agent::Unobserved;
use orchestrator::agent_keys;
use orchestrator::local_agent::LocalAgent;
use orchestrator::remote_agent::Orders;
use orchestrator::remote_agent::RemoteAgent;
use orchestrator::tma::Tma;
use tma_protocol::Request;
use tsem::Agent;
use tsem::Bounds;
use tsem::Cell;
use tsem::Coe;
use tsem::Description;
use tsem::Digest;
use tsem::Engine;
use tsem::EventKind;
use tsem::File;
use tsem::Mode;
use tsem::OnViolation;
use tsem::Platform;
use tsem::ProcessId;
use tsem::References;
use tsem::Rules;
use tsem::Setup;
use tsem::Value;

const THREADS: usize = 16;
/// Packets of the pipeline on their way.
const WINDOW: usize = 16;
/// How long each figure is measured for, in each round.
const SPELL: Duration = Duration::from_millis(700);
/// Events in one packet of the pipeline; fewer where a message is short.
const PACKET: usize = 32;

const USAGE: &str =
    "Usage: agent-bench [--rounds N] [NAME=]WHERE...\n  WHERE  orchestrator, or as --tma";

/// A locality and what its row is called.
struct Place {
    name: String,
    tma: Tma,
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        let named = text.split_once('=').filter(|(name, _)| !name.contains(':'));
        let (name, tma) = named.unwrap_or((text, text));
        let tma: Tma = tma.parse().ok()?;
        let name = if matches!(tma, Tma::Vm(_)) { "vm" } else { name };
        Some(Self { name: name.into(), tma })
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The figures of one round.
#[derive(Clone, Copy, Default)]
struct Round {
    p50_us: f64,
    p99_us: f64,
    threads: f64,
    pipelined: f64,
    memory_mib: f64,
    start_ms: f64,
    start_processor_ms: f64,
}

fn main() -> Outcome<()> {
    let (rounds, places) = options(std::env::args().skip(1)).ok_or(USAGE)?;
    let mut figures = vec![Vec::new(); places.len()];
    for _ in 0..rounds {
        for (place, figures) in places.iter().zip(&mut figures) {
            figures.push(measure(&place.tma)?);
        }
    }
    print!("{}", table(&places, &figures)?);
    Ok(())
}

fn options(words: impl Iterator<Item = String>) -> Option<(usize, Vec<Place>)> {
    let (mut rounds, mut places, mut words) = (5, Vec::new(), words);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rounds" => rounds = words.next()?.parse().ok()?,
            place => places.push(Place::read(place)?),
        }
    }
    (rounds > 0 && !places.is_empty()).then_some((rounds, places))
}

fn measure(tma: &Tma) -> Outcome<Round> {
    let mut round = Round::default();
    let agent: Arc<dyn Agent> = if *tma == Tma::Orchestrator {
        Arc::new(LocalAgent::new(engine(), Arc::new(Unobserved)))
    } else {
        Arc::new(remote(tma, &mut round)?)
    };
    agent.started(ProcessId(1));
    round_trips(&*agent, &mut round);
    round.threads = threads(&agent);
    drop(agent);
    if *tma != Tma::Orchestrator {
        round.pipelined = pipeline(tma)?;
    }
    Ok(round)
}

/// An event as most are.
fn event() -> Description {
    let place = tsem::Place::new("/usr/lib/x86_64-linux-gnu/libc.so.6", 0xef53);
    let file = File::new(place, [0, 0, 0o100_755], Digest::ZERO);
    Description {
        process: ProcessId(1),
        pid: 1,
        coe: Coe::default(),
        cell: Cell { kind: EventKind::FileOpen, values: vec![file.into(), Value::Number(1)] },
        targets: Vec::new(),
    }
}

fn engine() -> Engine {
    let setup = Setup {
        mode: Mode::Free,
        on_violation: OnViolation::Deny,
        rules: Rules::default(),
        references: References::default(),
        platform: Platform::NONE,
        bounds: Bounds::default(),
    };
    Engine::new(setup, [])
}

/// The orchestrator's own agent of this locality, with an empty model to learn into.
fn remote(tma: &Tma, round: &mut Round) -> Outcome<RemoteAgent> {
    let header = agent_conformance::header(&Rules::default());
    let orders = Orders {
        mode: Mode::Free,
        on_violation: OnViolation::Deny,
        platform: Platform::NONE,
        rules: &Rules::default(),
        references: &References::default(),
        header: &header,
        coefficients: &[],
        signed: None,
        cache: false,
        foretells: false,
    };
    let start = Instant::now();
    let session = tma.connect(&[])?;
    round.start_ms = start.elapsed().as_secs_f64() * 1000.0;
    if let Some(pid) = session.wire.carrier_pid() {
        let processor = processor_time(pid).ok_or("no processor time")?;
        round.start_processor_ms = processor.as_secs_f64() * 1000.0;
        round.memory_mib = resident_mib(pid)?;
    }
    Ok(RemoteAgent::new(session, &orders, Arc::new(Unobserved))?)
}

/// The most memory that a process has had.
fn resident_mib(pid: u32) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

fn round_trips(agent: &dyn Agent, round: &mut Round) {
    let (event, begun, mut times) = (event(), Instant::now(), Vec::new());
    while begun.elapsed() < SPELL {
        let start = Instant::now();
        let _verdict = agent.judge(&event);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_nanos() as f64 / 1000.0;
    (round.p50_us, round.p99_us) = (at(50), at(99));
}

/// Verdicts a second where many threads each wait for their own.
fn threads(agent: &Arc<dyn Agent>) -> f64 {
    let begun = Instant::now();
    let judge = || {
        let (event, mut count) = (event(), 0_u32);
        while begun.elapsed() < SPELL {
            let _verdict = agent.judge(&event);
            count += 1;
        }
        count
    };
    let counts: u32 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(judge)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
    });
    f64::from(counts) / begun.elapsed().as_secs_f64()
}

/// Verdicts a second of an agent with never less than a window of events before it.
fn pipeline(tma: &Tma) -> Outcome<f64> {
    let place = over::Place::new(tma.clone(), agent_keys::orchestrator()?, false)?;
    let open = || place.line();
    let orchestrator = agent_keys::orchestrator()?;
    let mut peer = Peer::connect(&Subject { open: &open, orchestrator, agent: place.agent });
    peer.load(Mode::Free, OnViolation::Deny, &Rules::default(), &[]);
    peer.tell(&[Request::Started(ProcessId(1))]);
    let event = event();
    let packet = PACKET.min(peer.hello.message_max / 256);
    (0..WINDOW).for_each(|_| peer.send_events(&event, packet));
    let (begun, mut verdicts) = (Instant::now(), 0_usize);
    while begun.elapsed() < SPELL {
        peer.take_verdicts(packet);
        peer.send_events(&event, packet);
        verdicts += packet;
    }
    Ok(verdicts as f64 / begun.elapsed().as_secs_f64())
}

fn table(places: &[Place], figures: &[Vec<Round>]) -> Outcome<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rounds = figures.first().map_or(0, Vec::len);
    let mut text = format!("kernel {}, {rounds} rounds, medians\n\n", kernel.trim());
    text += "| locality | p50 | p99 | 16 threads | pipelined | memory | started in | of it processor time |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for (Place { name, tma }, rounds) in places.iter().zip(figures) {
        let median = |of: fn(&Round) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(of).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        write!(text, "| `{name}` | {:.1} us ", median(|round| round.p50_us))?;
        write!(text, "| {:.1} us ", median(|round| round.p99_us))?;
        write!(text, "| {:.0}/s ", median(|round| round.threads))?;
        if *tma == Tma::Orchestrator {
            writeln!(text, "| | | | |")?;
            continue;
        }
        write!(text, "| {:.0}/s ", median(|round| round.pipelined))?;
        // What we did not start we cannot look into.
        if !matches!(tma, Tma::Process | Tma::Vm(_)) {
            writeln!(text, "| | | |")?;
            continue;
        }
        write!(text, "| {:.0} MiB ", median(|round| round.memory_mib))?;
        write!(text, "| {:.0} ms ", median(|round| round.start_ms))?;
        writeln!(text, "| {:.0} ms |", median(|round| round.start_processor_ms))?;
    }
    Ok(text)
}
