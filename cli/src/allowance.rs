//! How many messages of one kind are told: what an attacker can trigger is limited in rate.

use std::time::Duration;
use std::time::Instant;

const BURST: u32 = 10;
const BETWEEN: Duration = Duration::from_secs(1);

/// So many messages are told at once, and then one more in each [`BETWEEN`].
pub(crate) struct Allowance {
    left: u32,
    filled: Instant,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    pub(crate) fn take(&mut self, now: Instant) -> bool {
        while self.left < BURST && now - self.filled >= BETWEEN {
            self.left += 1;
            self.filled += BETWEEN;
        }
        if self.left == BURST {
            self.filled = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_and_a_flood_is_not() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let told = (0..1000).filter(|_| allowance.take(start)).count();
        assert_eq!(told, BURST as usize);
        let later = start + BETWEEN * 3;
        assert_eq!((0..1000).filter(|_| allowance.take(later)).count(), 3);
        let much_later = start + BETWEEN * 1000;
        let told = (0..1000).filter(|_| allowance.take(much_later)).count();
        assert_eq!(told, BURST as usize);
    }
}
