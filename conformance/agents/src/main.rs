//! The suite against any locality: `agent-conformance --tma WHERE`.
//!
//! WHERE is as in `quixote enforce --tma WHERE`. An agent that runs elsewhere must have been
//! provisioned (`quixote provision`) under the same `QUIXOTE_STATE_DIR`; see the folder's README.

use std::process::ExitCode;
use std::time::Instant;

use agent_conformance::PARTS;
use agent_conformance::Subject;
use agent_conformance::over::Place;
use orchestrator::agent_keys;
use orchestrator::tma::Tma;

const USAGE: &str = "\
Usage: agent-conformance --tma WHERE [--one-wire] [--only PART]...

  --tma WHERE   the agent, as quixote has it: process, vm:IMAGE, unix:PATH, vsock:CID:PORT, serial:DEVICE
  --one-wire    keep one connection for all sessions: a socket that stands for a serial line
  --only PART   vectors, recordings, claims, vouched or hostile (may be given several times)";

/// What was asked for.
struct Options {
    tma: Tma,
    one_wire: bool,
    only: Vec<String>,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Some(options) => run(options).map_or_else(failed, |()| ExitCode::SUCCESS),
        None => failed(USAGE.into()),
    }
}

fn failed(why: String) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(2)
}

fn options(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options { tma: Tma::Orchestrator, one_wire: false, only: Vec::new() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--tma" => options.tma = words.next()?.parse().ok()?,
            "--one-wire" => options.one_wire = true,
            "--only" => options.only.push(words.next()?),
            _ => return None,
        }
    }
    let known = |only: &String| PARTS.iter().any(|(name, _)| name == only);
    (options.tma != Tma::Orchestrator && options.only.iter().all(known)).then_some(options)
}

fn run(Options { tma, one_wire, only }: Options) -> Result<(), String> {
    let orchestrator = || agent_keys::orchestrator().map_err(|error| error.to_string());
    let place = Place::new(tma.clone(), orchestrator()?, one_wire);
    let place = place.map_err(|error| error.to_string())?;
    if let Some(start) = place.start {
        let [elapsed, processor] = [start.elapsed, start.processor].map(|time| time.as_millis());
        println!("{tma}: started in {elapsed} ms, {processor} ms of it processor time");
    }
    let open = || place.line();
    let subject = Subject { open: &open, orchestrator: orchestrator()?, agent: place.agent };
    for (name, hold) in PARTS {
        if only.is_empty() || only.iter().any(|only| only == name) {
            let started = Instant::now();
            hold(&subject);
            println!("{tma}: {name} hold, {:.2} s", started.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
