//! The agent: whatever the wire brings goes to the endpoint, and its answers go back.

use alloc::boxed::Box;
use alloc::vec::Vec;

use tma_protocol::AgentEndpoint;
use tma_protocol::Host;
use tma_protocol::Identity;
use tma_protocol::Locality;
use tma_protocol::NotKept;
use tma_protocol::Pins;
use tsem::Bounds;
use tsem::CompactMemory;
use tsem::Engine;
use tsem::Judgement;
use tsem::Setup;

use crate::board;
use crate::board::Board;
use crate::board::Wire as _;
use crate::memory::in_arena;
use crate::memory::in_tables;
use crate::random::Random;

/// As much as is taken from the wire at once.
const READ_SIZE: usize = 64;

/// Serves for as long as the device has power.
///
/// # Panics
///
/// If the board has no secret or no randomness: then it can be no one.
pub(crate) fn serve(mut board: impl Board) -> ! {
    let mut wire = board.wire();
    let mut endpoint = begin(board);
    let mut octets = [0; READ_SIZE];
    // As much as the endpoint ever appends, so that it never grows.
    let mut out = Vec::with_capacity(endpoint.output_max() + 2 * READ_SIZE);
    // An empty frame is nothing to the protocol; to a starter it says that the device is up.
    wire.write(&[0]);
    loop {
        let count = wire.read(&mut octets);
        endpoint.receive(&octets[..count], &mut out);
        wire.write(&out);
        out.clear();
    }
}

/// A function of its own, so that what it needs of the stack is free again while the device serves.
#[inline(never)]
fn begin<B: Board>(mut board: B) -> Box<AgentEndpoint<Device<B>>> {
    let seed = board.secret().expect("the board has a secret");
    let random = Random::new(board.random().expect("the board has randomness"));
    let pins = board.pins();
    let device = Device { board, random };
    Box::new(AgentEndpoint::new(Identity::from_seed(&seed), pins, device))
}

struct Device<B> {
    board: B,
    random: Random,
}

impl<B: Board> Host for Device<B> {
    type Engine = Engine<CompactMemory>;

    fn locality(&self) -> Locality {
        Locality::Microcontroller
    }

    fn version(&self) -> &'static str {
        board::VERSION
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        let fresh = self.board.random();
        Some(self.random.draw(fresh))
    }

    fn bounds(&self) -> Bounds {
        board::BOUNDS
    }

    fn message_max(&self) -> usize {
        board::MESSAGE_MAX
    }

    fn engine(&mut self, setup: Setup) -> Engine<CompactMemory> {
        self.board.lamp(false);
        in_tables(|| Engine::compact(setup))
    }

    fn deciding<T>(&mut self, decide: impl FnOnce() -> T) -> T {
        in_arena(decide)
    }

    fn keep(&mut self, pins: &Pins) -> Result<(), NotKept> {
        self.board.keep(pins)
    }

    fn violated(&mut self, _: &Judgement) {
        self.board.lamp(true);
    }
}
