//! Median, quartiles, and a reproducible random order.

use anyhow::Context;
use anyhow::Result;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Median and quartiles of a set of figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// A quarter of the figures is at most this.
    pub(crate) lower: f64,
    /// Half of them.
    pub(crate) median: f64,
    /// Three quarters.
    pub(crate) upper: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(mut figures: Vec<f64>) -> Result<Self> {
        figures.sort_by(f64::total_cmp);
        let last = figures.len().checked_sub(1).context("no figures")?;
        let at = |share: f64| {
            let place = share * f64::from(last as u32);
            let (below, above) = (figures[place.floor() as usize], figures[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Ok(Self { lower: at(0.25), median: at(0.5), upper: at(0.75) })
    }
}

/// A random order that its seed gives again (xorshift64 and Fisher-Yates).
#[derive(Debug)]
pub(crate) struct Shuffle {
    state: u64,
}

impl Shuffle {
    /// From a seed; zero, which xorshift cannot leave, counts as one.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.max(1) }
    }

    /// A seed that differs from run to run.
    pub(crate) fn seed_from_clock() -> Result<u64> {
        Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64)
    }

    /// Shuffles in place.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = (self.next() % (end as u64 + 1)) as usize;
            items.swap(end, other);
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(spread, Spread { lower: 2.0, median: 3.0, upper: 4.0 });
        assert!(Spread::of(vec![]).is_err());
        assert!((Spread::of(vec![1.0, 2.0]).unwrap().median - 1.5).abs() < 1e-9);
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_follows_its_seed() {
        let order = |seed| {
            let mut items: Vec<u32> = (0..100).collect();
            Shuffle::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
        let mut sorted = order(7);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
    }
}
