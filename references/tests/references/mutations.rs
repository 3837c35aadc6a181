//! Mutated packages: what we say of them, beside what rpmkeys and the `rpm` crate say.
//!
//! Nothing that says anything else than the original may be vouched for, and where two readers disagree, the
//! disagreement is of a kind that is named here, with what has to hold for it. A usual run takes
//! a few hundred mutations; `QUIXOTE_MUTATIONS=100000` is the campaign.

mod rpm_crate;
mod rpmkeys;
mod structure;

use std::collections::BTreeMap;

use crate::fixture::FIXTURE;
use crate::fixture::NOW_S;
use crate::rpm::read;
use crate::rpm::rows;
use references::problem::Problem;
use references::readers::Readers;
use references::rpm;
use references::statements::PackageReading;
use rpm_crate::Opinion;
use rpm_crate::RpmCrate;
use rpmkeys::Rpmkeys;
use rpmkeys::Verdict;

const LEAD: usize = 96;
/// So many mutations in a usual run; the campaign asks for more.
const MUTATIONS: usize = 400;
/// So many files are handed to the others at a time.
const BATCH: usize = 250;

/// A generator of numbers, the same every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// Every third time all changes are within the signature header, whose reader nothing protects.
    fn mutate(&mut self, octets: &mut Vec<u8>) {
        let signatures = self.below(3) == 0;
        for _ in 0..=self.below(3) {
            let bound = if signatures { LEAD + 16 + 8 * 16 } else { octets.len() };
            let at = self.below(bound.min(octets.len()));
            match self.below(8) {
                0 if !signatures => octets.truncate(at.max(1)),
                1 => octets[at] = 0xff,
                2 => octets.insert(at, 0),
                3 if octets.len() > 1 => drop(octets.remove(at)),
                4 => {
                    let number = (self.below(1 << 20) as u32).to_be_bytes();
                    let end = (at + 4).min(octets.len());
                    octets[at..end].copy_from_slice(&number[..end - at]);
                }
                _ => octets[at] ^= 1 << self.below(8),
            }
        }
    }
}

/// One mutated package and what we make of it.
struct Mutant {
    octets: Vec<u8>,
    told: Result<PackageReading, Problem>,
}

/// The parts of a package file, by the lengths that it states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts<'a> {
    lead: &'a [u8],
    signatures: &'a [u8],
    /// The main header and the payload: what is signed, and what is installed.
    signed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(octets: &'a [u8]) -> Option<Self> {
        let number = |at: usize| {
            let octets = octets.get(at..at + 4)?;
            Some(u32::from_be_bytes(octets.try_into().unwrap()) as usize)
        };
        let length = 16 + number(LEAD + 8)?.checked_mul(16)? + number(LEAD + 12)?;
        let (lead, rest) = octets.split_at_checked(LEAD)?;
        let (signatures, rest) = rest.split_at_checked(length)?;
        let (_, signed) = rest.split_at_checked(length.next_multiple_of(8) - length)?;
        Some(Self { lead, signatures, signed })
    }
}

/// How often each kind of meeting of two opinions was seen.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(kind, count)| writeln!(f, "{count:>7}  {kind}"))
    }
}

#[test]
fn no_mutated_package_is_vouched_for_with_other_contents() {
    let asked = std::env::var("QUIXOTE_MUTATIONS").ok().and_then(|text| text.parse().ok());
    let count = asked.unwrap_or(MUTATIONS);
    let mut tally = Tally::default();
    let mut started = 0;
    for signer in ["rsa", "eddsa"] {
        started += mutate(signer, count / 2, &mut tally);
    }
    println!("{count} mutated packages, {started} parsers:\n{tally}");
    let seen = |kind: &str| tally.0.contains_key(kind);
    assert!(seen("rpmkeys: both accept") && seen("rpmkeys: both refuse"), "{tally}");
    assert!(seen("rpm crate: the same files"), "{tally}");
}

fn mutate(signer: &str, count: usize, tally: &mut Tally) -> u64 {
    let original = FIXTURE.read(&format!("{signer}.rpm"));
    let keys = FIXTURE.keys(&["rsa", "eddsa"]);
    let truth = read(&original, &keys).unwrap();
    let mut readers = Readers::default();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let rpmkeys = Rpmkeys::with_key(signer);
    let rpm_crate = RpmCrate::new();
    let mut batch = Vec::new();
    for number in 0..count {
        let mut octets = original.clone();
        numbers.mutate(&mut octets);
        let told = rpm::package(&mut &octets[..], &keys, NOW_S, &mut readers);
        if let Ok(reading) = &told {
            assert_eq!(rows(&reading.references), rows(&truth.references), "{number}");
            assert_eq!(reading.package, truth.package, "{number}");
            // Header and payload are the original's to the octet.
            let signed = |octets| Parts::of(octets).unwrap().signed;
            assert_eq!(signed(&octets), signed(&original), "{number}");
        }
        batch.push(Mutant { octets, told });
        if batch.len() == BATCH || number + 1 == count {
            let files = rpmkeys.write(&batch);
            for (mutant, verdict) in batch.iter().zip(rpmkeys.verdicts(&files)) {
                tally.count(beside_rpmkeys(mutant, verdict));
                tally.count(structure::beside_rpm(&mutant.octets, verdict, &original));
            }
            for (mutant, opinion) in batch.iter().zip(rpm_crate.opinions(&files)) {
                tally.count(beside_rpm_crate(mutant, &opinion, &rows(&truth.references)));
            }
            batch.clear();
        }
    }
    readers.started()
}

/// Names how our verdict and that of rpmkeys meet.
fn beside_rpmkeys(mutant: &Mutant, verdict: Verdict) -> &'static str {
    match (&mutant.told, verdict) {
        (Ok(_), Verdict::Good) => "rpmkeys: both accept",
        (Err(_), Verdict::Bad | Verdict::Unreadable) => "rpmkeys: both refuse",
        // rpm also checks what no signature covers: digests in the signature header, the lead.
        (Ok(_), Verdict::Bad | Verdict::Unreadable) => "rpmkeys alone refuses: unsigned parts",
        // Seen never: whatever we are stricter in, rpm's own signature check is not passed by it.
        (Err(problem), Verdict::Good) => panic!("rpm accepts what we refuse: {problem:?}"),
    }
}

/// Names how our reading and that of the `rpm` crate meet, which here checks digests and no signature, and keeps
/// no region and few bounds. That rpmkeys refuses with us where the crate does not is asserted beside this.
fn beside_rpm_crate(
    mutant: &Mutant,
    opinion: &Opinion,
    truth: &[(String, String)],
) -> &'static str {
    match (&mutant.told, opinion) {
        (Ok(_), Opinion::Files(files)) => {
            assert_eq!(files, truth);
            "rpm crate: the same files"
        }
        (Ok(_), Opinion::Refused) => "rpm crate alone refuses",
        (Err(_), Opinion::Refused) => "rpm crate: both refuse",
        (_, Opinion::Panicked) => "rpm crate panics",
        (_, Opinion::Aborted) => "rpm crate aborts",
        (Err(problem), Opinion::Files(_)) => match problem {
            Problem::Signature(_) => "we alone refuse: the signature does not hold",
            Problem::Refused(_) => "we alone refuse: a bound or region",
            _ => panic!("{problem:?}"),
        },
    }
}
