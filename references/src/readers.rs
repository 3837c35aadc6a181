//! Which parser process reads what.
//!
//! Octets that no key vouches for are read by a parser whose word is never taken: what it hands over is verified
//! by us afterwards. Octets that a signer vouches for are read by a parser of that signer's own, after
//! the signature holds. So a parser that was taken over by its input could only say what its signer could have
//! signed anyway. `docs/decisions/0005-isolated-parser.md` says why that is enough.

use std::collections::BTreeMap;
use std::io::Read;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Sink;
use reference_formats::Statement;

use crate::problem::Problem;
use crate::worker::Bounds;
use crate::worker::Outcome;
use crate::worker::Worker;

/// Most parsers kept warm by one set of readers.
const MAX_WARM: usize = 16;

/// How parsers are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// One process for each signer, kept for all of that signer's packages.
    #[default]
    Signer,
    /// A new process for every question.
    Package,
    /// None: in this process. For measuring what isolation costs, and for fuzzing.
    None,
}

/// Whose octets they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain<'a> {
    /// Nobody's: what is said of them is verified afterwards, or only shown.
    Unverified,
    /// The machine's own records, which say what is installed and vouch for nothing.
    Local,
    /// The signer's with this key, whose signature over them holds.
    Signer(&'a str),
}

/// Parser processes, by whose octets they read. Each thread has its own.
#[derive(Debug, Default)]
pub struct Readers {
    isolation: Isolation,
    warm: BTreeMap<(String, u32), Worker>,
    /// Processes started so far.
    started: u64,
}

impl Readers {
    /// None started yet.
    pub fn new(isolation: Isolation) -> Self {
        Self { isolation, ..Self::default() }
    }

    /// How many processes were started.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Has `input` read, and tells each statement to `hear`. What was told counts only when this returns
    /// without an error.
    pub fn ask(
        &mut self,
        domain: Domain<'_>,
        job: Job,
        input: &mut dyn Read,
        hear: &mut dyn FnMut(&Statement<'_>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if self.isolation == Isolation::None {
            return in_process(job, input, hear);
        }
        let name = match domain {
            Domain::Unverified => String::new(),
            Domain::Local => "local".to_owned(),
            Domain::Signer(key) => key.to_owned(),
        };
        let memory = memory_mebioctets(job);
        let kept = self.warm.remove(&(name.clone(), memory));
        let mut worker = if let Some(worker) = kept {
            worker
        } else {
            self.started += 1;
            Worker::start(memory)?
        };
        let outcome = worker.run::<Problem>(job, input, Bounds::default(), hear)?;
        // A parser comes back only from here: one that failed is dropped, and so killed.
        if self.isolation == Isolation::Signer && self.warm.len() < MAX_WARM {
            self.warm.insert((name, memory), worker);
        }
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// What a parser may use, by what it has to hold.
fn memory_mebioctets(job: Job) -> u32 {
    match job {
        Job::RpmDatabase => 6144,
        _ => 1024,
    }
}

/// Hears statements without a process in between.
struct Here<'a> {
    hear: &'a mut dyn FnMut(&Statement<'_>) -> Result<(), Problem>,
    problem: Option<Problem>,
}

impl Sink for Here<'_> {
    fn say(&mut self, statement: &Statement<'_>) -> Result<(), Refusal> {
        (self.hear)(statement).map_err(|problem| {
            self.problem = Some(problem);
            Refusal::Output
        })
    }
}

fn in_process(
    job: Job,
    input: &mut dyn Read,
    hear: &mut dyn FnMut(&Statement<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut here = Here { hear, problem: None };
    let outcome = job.run(input, &mut here);
    match here.problem {
        Some(problem) => Err(problem),
        None => Ok(outcome?),
    }
}
