//! The rate of this processor's time stamp counter, which an emulated processor counts at as well.
//!
//! A guest measures it at boot against an emulated timer. On a busy host it measures wrong, and its
//! time then runs many times too fast or too slow. So it is told.

// Reason: the counter can be read by an intrinsic only.
#![allow(unsafe_code)]

use std::thread;
use std::time::Duration;
use std::time::Instant;

const SPAN: Duration = Duration::from_millis(40);
const ATTEMPTS: usize = 3;
/// How far the clock may move while the counter is read for the pair to count as one moment.
const MOMENT: Duration = Duration::from_micros(5);
const READINGS: usize = 1000;

/// In kHz; `None` where there is no such counter, or it cannot be measured now.
pub(super) fn counter_rate() -> Option<u64> {
    let mut rates: Vec<u64> = (0..ATTEMPTS).filter_map(|_| measure()).collect();
    rates.sort_unstable();
    rates.get(rates.len() / 2).copied()
}

fn measure() -> Option<u64> {
    let (start, first) = moment()?;
    thread::sleep(SPAN);
    let (end, last) = moment()?;
    let micros = end.duration_since(start).as_micros() as u64;
    last.checked_sub(first)?.checked_mul(1000)?.checked_div(micros)
}

/// The time and the counter at one moment.
fn moment() -> Option<(Instant, u64)> {
    (0..READINGS).find_map(|_| {
        let before = Instant::now();
        let counter = counter()?;
        (before.elapsed() < MOMENT).then_some((before, counter))
    })
}

#[cfg(target_arch = "x86_64")]
fn counter() -> Option<u64> {
    // SAFETY: RDTSC has no precondition; every x86-64 processor has it.
    Some(unsafe { core::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> Option<u64> {
    None
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_a_processor() {
        let rate = counter_rate().unwrap();
        assert!((200_000..20_000_000).contains(&rate), "{rate} kHz");
    }
}
