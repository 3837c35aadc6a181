//! Randomness: what the processor has and what whoever started the machine gave, hashed together.
//!
//! Either suffices: the result is as hard to guess as the better of the two. Trusted are therefore
//! RDRAND *or* the starter, who can read the machine's memory anyhow. With neither there is no
//! randomness and the machine stops.
#![allow(unsafe_code, reason = "RDRAND is an instruction")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::arch::x86_64::_rdtsc;

use tsem::Digest;

const RDRAND: u32 = 1 << 30;
const ATTEMPTS: usize = 32;

/// A generator: a hash of all that came in, hashed on with every use.
pub(crate) struct Random(Digest);

impl Random {
    /// From the starter's octets, if it gave any, and the processor's.
    ///
    /// # Panics
    ///
    /// If there are neither.
    pub(crate) fn new(given: Option<&[u8; 32]>) -> Self {
        let own = processor_random();
        assert!(given.is_some() || own.is_some(), "there is no randomness");
        let given = given.copied().unwrap_or_default();
        Self(Digest::of(&[b"stubdomain random\0", &given, &own.unwrap_or_default(), &clock()]))
    }

    /// 32 octets that were never given before.
    pub(crate) fn draw(&mut self) -> [u8; 32] {
        let fresh = processor_random().unwrap_or_default();
        self.0 = Digest::of(&[b"next\0", &self.0.0, &fresh, &clock()]);
        Digest::of(&[b"drawn\0", &self.0.0]).0
    }
}

/// Adds nothing that could be counted on.
fn clock() -> [u8; 8] {
    // SAFETY: every x86-64 processor has the instruction, and the machine runs at level 0.
    unsafe { _rdtsc() }.to_le_bytes()
}

fn processor_random() -> Option<[u8; 32]> {
    if __cpuid(1).ecx & RDRAND == 0 {
        return None;
    }
    let mut octets = [0; 32];
    for part in octets.chunks_exact_mut(8) {
        part.copy_from_slice(&word()?.to_le_bytes());
    }
    Some(octets)
}

fn word() -> Option<u64> {
    (0..ATTEMPTS).find_map(|_| {
        let (word, done): (u64, u8);
        // SAFETY: the processor has the instruction; it writes the two registers.
        unsafe {
            asm!("rdrand {}", "setc {}", out(reg) word, out(reg_byte) done, options(nomem, nostack))
        };
        (done != 0).then_some(word)
    })
}
