//! Measurement and state: one number for all that a namespace has done.
//!
//! A measurement depends on the order of events, as a PCR does. A state does not: it is taken over
//! the distinct coefficients in bytewise order, so every good run has the same, whatever the
//! scheduler did. Both begin with the platform's aggregate, and `base` binds both to a challenge.

use crate::Digest;

/// What the platform and a verifier bring to a measurement and a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// A nonce against replay; zeros when unset.
    pub base: Digest,
    /// The TPM's aggregate of PCR 0 to 7; zeros without a TPM.
    pub aggregate: Digest,
}

impl Platform {
    /// No nonce and no TPM.
    pub const NONE: Self = Self { base: Digest::ZERO, aggregate: Digest::ZERO };

    /// The value before any coefficient: the aggregate, extended into zeros.
    fn start(&self) -> Digest {
        self.extended(Digest::ZERO, self.aggregate)
    }

    /// HF(value || HF(base || coefficient)).
    fn extended(&self, value: Digest, coefficient: Digest) -> Digest {
        let bound = Digest::of(&[&self.base.0, &coefficient.0]);
        Digest::of(&[&value.0, &bound.0])
    }
}

/// The linear extension of coefficients in the order of their events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    base: Digest,
    value: Digest,
}

impl Measurement {
    /// Of no event yet: the platform's aggregate alone.
    pub fn new(platform: &Platform) -> Self {
        Self { base: platform.base, value: platform.start() }
    }

    /// Adds the coefficient of the next event.
    pub fn extend(&mut self, coefficient: Digest) {
        let platform = Platform { base: self.base, ..Platform::NONE };
        self.value = platform.extended(self.value, coefficient);
    }

    /// The measurement so far.
    pub fn value(&self) -> Digest {
        self.value
    }
}

/// The state of a set of coefficients.
///
/// `sorted` yields them in ascending bytewise order. Repetitions are skipped, so that a list in
/// which a coefficient stands twice has the state of the set; an order that is not ascending is
/// the caller's mistake and gives another value.
pub fn state_of<'a>(sorted: impl IntoIterator<Item = &'a Digest>, platform: &Platform) -> Digest {
    let mut last = None;
    let mut state = platform.start();
    for coefficient in sorted {
        debug_assert!(last <= Some(coefficient), "coefficients are sorted");
        if last != Some(coefficient) {
            state = platform.extended(state, *coefficient);
        }
        last = Some(coefficient);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLATFORM: Platform = Platform { base: Digest([1; 32]), aggregate: Digest([2; 32]) };

    fn hash(left: &Digest, right: &Digest) -> Digest {
        Digest::of(&[&left.0, &right.0])
    }

    #[test]
    fn the_state_of_nothing_is_the_aggregate_extended_into_zeros() {
        let bound = hash(&PLATFORM.base, &PLATFORM.aggregate);
        assert_eq!(state_of([], &PLATFORM), hash(&Digest::ZERO, &bound));
        assert_eq!(Measurement::new(&PLATFORM).value(), state_of([], &PLATFORM));
    }

    #[test]
    fn base_and_aggregate_both_count() {
        let coefficients = [Digest([3; 32])];
        let plain = state_of(&coefficients, &Platform::NONE);
        let base = Platform { base: Digest([1; 32]), ..Platform::NONE };
        let aggregate = Platform { aggregate: Digest([1; 32]), ..Platform::NONE };
        assert_ne!(state_of(&coefficients, &base), plain);
        assert_ne!(state_of(&coefficients, &aggregate), plain);
        assert_ne!(state_of(&coefficients, &aggregate), state_of(&coefficients, &base));
    }

    #[test]
    fn a_measurement_depends_on_order_and_repetition() {
        let (a, b) = (Digest([3; 32]), Digest([4; 32]));
        let measure = |list: &[Digest]| {
            let mut measurement = Measurement::new(&PLATFORM);
            for coefficient in list {
                measurement.extend(*coefficient);
            }
            measurement.value()
        };
        assert_eq!(measure(&[a, b]), state_of(&[a, b], &PLATFORM));
        assert_ne!(measure(&[a, b]), measure(&[b, a]));
        assert_ne!(measure(&[a]), measure(&[a, a]));
    }
}
