//! What a board is, and which one this firmware is for.

use tma_protocol::NotKept;
use tma_protocol::Pins;
use tsem::Bounds;

#[cfg(any(feature = "lm3s6965evb", feature = "mps2-an385"))]
mod emulated;
#[cfg(feature = "lm3s6965evb")]
mod lm3s6965evb;
#[cfg(feature = "mps2-an385")]
mod mps2_an385;
#[cfg(feature = "nrf52840dk")]
mod nrf52840dk;

#[cfg(feature = "lm3s6965evb")]
use lm3s6965evb as chosen;
#[cfg(feature = "mps2-an385")]
use mps2_an385 as chosen;
#[cfg(feature = "nrf52840dk")]
use nrf52840dk as chosen;

/// A microcontroller with all that an agent needs around it.
pub(crate) trait Board {
    /// The wire.
    type Wire: Wire;

    /// The serial line, set up.
    fn wire(&mut self) -> Self::Wire;

    /// The agent's secret, made at its first start; `None` if there is none and none can be made.
    fn secret(&mut self) -> Option<[u8; 32]>;

    /// Fresh randomness; `None` where the board has no source of it (any more).
    fn random(&mut self) -> Option<[u8; 32]>;

    /// Whom it trusts.
    fn pins(&self) -> Pins;

    /// Keeps whom to trust, for good.
    fn keep(&mut self, pins: &Pins) -> Result<(), NotKept>;

    /// Lights the lamp, which says that there was a violation, or puts it out.
    fn lamp(&mut self, lit: bool);
}

/// A serial line that loses nothing: with flow control, or emulated.
pub(crate) trait Wire {
    /// Reads at least one octet; sleeps until there is one.
    fn read(&mut self, buffer: &mut [u8]) -> usize;

    /// Writes everything.
    fn write(&mut self, octets: &[u8]);
}

/// Program, version and board.
pub(crate) const VERSION: &str = chosen::VERSION;

/// How much the engine keeps.
pub(crate) const BOUNDS: Bounds = chosen::BUDGET.bounds;

/// The longest message.
pub(crate) const MESSAGE_MAX: usize = chosen::BUDGET.message_max;

/// Octets for the tables of the engine.
pub(crate) const TABLES_SIZE: usize = chosen::BUDGET.tables();

/// Octets for what lives long besides.
pub(crate) const STORE_SIZE: usize = chosen::BUDGET.store();

/// Octets for what is needed to judge one event.
pub(crate) const ARENA_SIZE: usize = chosen::BUDGET.arena();

/// The board.
pub(crate) fn this() -> impl Board {
    chosen::Chosen::new()
}

/// Octets of the store that do not grow with the messages: keys, ciphers, rules, a signed statement.
const STORE_BESIDES: usize = 3584;

/// What is spent on what.
pub(crate) struct Budget {
    bounds: Bounds,
    message_max: usize,
}

#[cfg(feature = "lm3s6965evb")]
const _: () = assert!(Budget::SMALL.holds(1000), "64 KiB are enough for 1,000 coefficients");
#[cfg(any(feature = "mps2-an385", feature = "nrf52840dk"))]
const _: () = assert!(Budget::LARGE.holds(5000), "256 KiB are enough for 5,000 coefficients");

impl Budget {
    /// With 64 KiB of RAM: at least 1,000 coefficients.
    #[cfg(feature = "lm3s6965evb")]
    const SMALL: Self = Self {
        bounds: Bounds {
            coefficients: 1008,
            forensics: 0,
            tasks: 32,
            processes: 32,
            pending: 4,
            made: 0,
            made_octets: 1024,
            references: 0,
        },
        message_max: 1024,
    };

    /// With 256 KiB of RAM: at least 5,000 coefficients.
    #[cfg(any(feature = "mps2-an385", feature = "nrf52840dk"))]
    const LARGE: Self = Self {
        bounds: Bounds {
            coefficients: 5120,
            forensics: 0,
            tasks: 128,
            processes: 128,
            pending: 16,
            made: 0,
            made_octets: 4096,
            references: 0,
        },
        message_max: 2048,
    };

    const fn holds(&self, coefficients: usize) -> bool {
        self.bounds.coefficients >= coefficients
    }

    /// The rows of `tsem::CompactMemory`, which says how large they are.
    const fn tables(&self) -> usize {
        let Bounds { coefficients, tasks, processes, pending, made_octets, .. } = self.bounds;
        let rows = coefficients * 33 + tasks * 34 + processes * 16 + pending * 112 + made_octets;
        // Each of five tables starts and ends at a multiple of eight.
        rows.next_multiple_of(8) + 5 * 8
    }

    /// Buffers of the wire and of the session, and what a handshake, a header, a signature and a
    /// statement need for a while.
    const fn store(&self) -> usize {
        (7 * self.message_max + STORE_BESIDES).next_multiple_of(8)
    }

    /// An event is decoded, copied, brought into canonical form, generalised and encoded, each
    /// time with its paths; besides, the moving of made names copies them.
    const fn arena(&self) -> usize {
        let names = 2 * self.bounds.made_octets;
        let event = 6 * self.message_max;
        (if names > event { names } else { event }).next_multiple_of(8)
    }
}
