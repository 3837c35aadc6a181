//! The agent: whatever the console brings goes to the endpoint, and its answers go back.

use alloc::vec::Vec;

use tma_protocol::AgentEndpoint;
use tma_protocol::Host;
use tma_protocol::Identity;
use tma_protocol::Locality;
use tma_protocol::NotKept;
use tma_protocol::Pins;
use tma_protocol::boot::BOOT_SIZE;
use tma_protocol::boot::read_boot;
use tsem::Bounds;
use tsem::Engine;
use tsem::Setup;

use crate::boot::Loaded;
use crate::console::Console;
use crate::random::Random;

/// As much as the console hands over at once.
const READ_SIZE: usize = 4096;

/// For a machine with 128 MiB. What outgrows the memory itself stops the machine.
const BOUNDS: Bounds = Bounds {
    coefficients: 1 << 16,
    forensics: 1 << 12,
    tasks: 1 << 12,
    processes: 1 << 15,
    pending: 1 << 15,
    made: 1 << 15,
    made_octets: 0,
    references: 1 << 16,
};

/// Serves for as long as the machine runs.
pub(crate) fn serve(loaded: &Loaded, mut console: Console) -> ! {
    let given = Given::read(loaded.module());
    let mut random = Random::new(given.as_ref().map(|given| given.random));
    // Who is not handed a secret has one for as long as the machine runs, and belongs to whoever
    // provisions it first.
    let (identity, pins) = given
        .and_then(|given| given.identity)
        .unwrap_or_else(|| (Identity::from_seed(&random.draw()), Pins::default()));
    let host = Guest { random };
    let mut endpoint = AgentEndpoint::new(identity, pins, host);
    let mut octets = [0; READ_SIZE];
    let mut out = Vec::with_capacity(endpoint.output_max());
    // An empty frame is nothing to the protocol; to the starter it says that the machine is up.
    console.write(&[0]);
    loop {
        let count = console.read(&mut octets);
        endpoint.receive(&octets[..count], &mut out);
        console.write(&out);
        out.clear();
    }
}

/// The module that the starter passes: 32 octets of randomness and a boot record.
struct Given<'a> {
    random: &'a [u8; 32],
    identity: Option<(Identity, Pins)>,
}

impl<'a> Given<'a> {
    fn read(module: &'a [u8]) -> Option<Self> {
        let (random, rest) = module.split_first_chunk()?;
        let record = rest.first_chunk::<BOOT_SIZE>();
        Some(Self { random, identity: record.and_then(read_boot) })
    }
}

struct Guest {
    random: Random,
}

impl Host for Guest {
    type Engine = Engine;

    fn locality(&self) -> Locality {
        Locality::StubDomain
    }

    fn version(&self) -> &'static str {
        concat!("stubdomain ", env!("CARGO_PKG_VERSION"))
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        Some(self.random.draw())
    }

    fn bounds(&self) -> Bounds {
        BOUNDS
    }

    fn engine(&mut self, setup: Setup) -> Engine {
        Engine::empty(setup)
    }

    /// The agent's identity ends with its machine, and so does whom it trusts.
    fn keep(&mut self, _: &Pins) -> Result<(), NotKept> {
        Ok(())
    }
}
