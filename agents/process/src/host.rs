//! What is particular to an agent that is a process.

use std::fs::File;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;

use rand_core::OsRng;
use rand_core::RngCore as _;
use tma_protocol::Host;
use tma_protocol::Locality;
use tma_protocol::NotKept;
use tma_protocol::Pins;
use tma_protocol::boot::write_boot;
use tsem::Bounds;
use tsem::Engine;
use tsem::Setup;

/// The place of an agent that is a process.
#[derive(Debug, Default)]
pub struct ProcessHost {
    /// The seed and the open file that pins are kept in; none for an agent that is handed its pins.
    kept: Option<([u8; 32], File)>,
}

impl ProcessHost {
    /// An agent that keeps its pins beside its seed, in a file that was opened before the sandbox.
    pub fn keeping(seed: [u8; 32], file: File) -> Self {
        Self { kept: Some((seed, file)) }
    }
}

impl Host for ProcessHost {
    type Engine = Engine;

    fn locality(&self) -> Locality {
        Locality::Process
    }

    fn version(&self) -> &'static str {
        concat!("quixote-tma ", env!("CARGO_PKG_VERSION"))
    }

    fn random(&mut self) -> Option<[u8; 32]> {
        let mut drawn = [0; 32];
        OsRng.try_fill_bytes(&mut drawn).ok().map(|()| drawn)
    }

    fn bounds(&self) -> Bounds {
        Bounds::default()
    }

    fn engine(&mut self, setup: Setup) -> Engine {
        Engine::empty(setup)
    }

    fn keep(&mut self, pins: &Pins) -> Result<(), NotKept> {
        let ((seed, file), orchestrator) =
            self.kept.as_mut().zip(pins.orchestrator).ok_or(NotKept)?;
        let record = write_boot(seed, &orchestrator, &pins.model_keys);
        let written = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(&record));
        written.and_then(|()| file.sync_all()).map_err(|_| NotKept)
    }
}
