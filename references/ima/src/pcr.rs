//! The value of a PCR that a list of measurements leads to, for each bank of a TPM.

use crate::Algorithm;
use crate::Measurement;

/// The name under which the kernel measures the state that it was booted in.
pub const BOOT_AGGREGATE: &[u8] = b"boot_aggregate";

/// One PCR in one bank: zeros, extended by one measurement after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    algorithm: Algorithm,
    padded: bool,
    value: Vec<u8>,
}

impl Bank {
    /// As a PCR is after the machine was reset.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, padded: false, value: vec![0; algorithm.octets()] }
    }

    /// A bank whose hash the kernel did not have when IMA started, such as a module not loaded yet: it extends the
    /// SHA-1 of the data, padded with zeros. Debian's 6.1 has SHA-384 and SHA-512 so.
    pub fn padded(algorithm: Algorithm) -> Self {
        Self { padded: algorithm != Algorithm::Sha1, ..Self::new(algorithm) }
    }

    /// Extends a measurement as the kernel does: the bank's own hash of the data, ones for a violation.
    pub fn extend(&mut self, measurement: &Measurement) {
        let digest = if measurement.violation {
            vec![0xff; self.algorithm.octets()]
        } else if self.padded {
            let mut digest = Algorithm::Sha1.digest(&[&measurement.data()]);
            digest.resize(self.algorithm.octets(), 0);
            digest
        } else {
            self.algorithm.digest(&[&measurement.data()])
        };
        self.value = self.algorithm.digest(&[&self.value, &digest]);
    }

    /// Whether the kernel pads it.
    pub fn is_padded(&self) -> bool {
        self.padded
    }

    /// The PCR's value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The bank's algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// The value of `pcr` after these measurements, those of other PCRs left out.
pub fn predict<'a>(
    algorithm: Algorithm,
    pcr: u32,
    measurements: impl IntoIterator<Item = &'a Measurement>,
) -> Vec<u8> {
    predict_in(Bank::new(algorithm), pcr, measurements)
}

/// As [`predict`], in a bank that is given.
pub fn predict_in<'a>(
    mut bank: Bank,
    pcr: u32,
    measurements: impl IntoIterator<Item = &'a Measurement>,
) -> Vec<u8> {
    let ours = measurements.into_iter().filter(|measurement| measurement.pcr == pcr);
    ours.for_each(|measurement| bank.extend(measurement));
    bank.value
}

/// The digest in the record `boot_aggregate`: over PCR 0 to 7 in the bank of SHA-1, 0 to 9 in others.
/// `None` unless there are so many values, each of the bank's length.
pub fn boot_aggregate(algorithm: Algorithm, pcrs: &[Vec<u8>]) -> Option<Vec<u8>> {
    let count = if algorithm == Algorithm::Sha1 { 8 } else { 10 };
    let counted = pcrs.get(..count)?;
    let fit = counted.iter().all(|value| value.len() == algorithm.octets());
    let parts: Vec<&[u8]> = counted.iter().map(Vec::as_slice).collect();
    fit.then(|| algorithm.digest(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pcr_is_the_chain_of_its_own_measurements() {
        let digest = Algorithm::Sha256.digest(&[b"x"]);
        let one = Measurement::of_file(10, (Algorithm::Sha256, &digest), b"/x", true);
        let other = Measurement { pcr: 11, ..one.clone() };
        let violation = Measurement { violation: true, ..one.clone() };
        for bank in Algorithm::ALL {
            let zeros = vec![0; bank.octets()];
            let first = bank.digest(&[&zeros, &bank.digest(&[&one.data()])]);
            let second = bank.digest(&[&first, &vec![0xff; bank.octets()]]);
            assert_eq!(predict(bank, 10, [&one, &other, &violation]), second);
            assert_eq!(predict(bank, 12, [&one]), zeros);
            let mut sha1 = Algorithm::Sha1.digest(&[&one.data()]);
            sha1.resize(bank.octets(), 0);
            assert_eq!(predict_in(Bank::padded(bank), 10, [&one]), bank.digest(&[&zeros, &sha1]));
        }
    }

    #[test]
    fn a_boot_aggregate_needs_every_pcr() {
        let pcrs = vec![vec![0; 32]; 10];
        let all: Vec<&[u8]> = pcrs.iter().map(Vec::as_slice).collect();
        let aggregate = boot_aggregate(Algorithm::Sha256, &pcrs).unwrap();
        assert_eq!(aggregate, Algorithm::Sha256.digest(&all));
        assert_eq!(boot_aggregate(Algorithm::Sha256, &pcrs[..9]), None);
        assert_eq!(boot_aggregate(Algorithm::Sha1, &pcrs), None);
    }
}
