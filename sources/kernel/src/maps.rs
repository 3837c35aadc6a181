//! The maps that all namespaces share, as they are pinned.

use std::os::fd::AsFd;

use libbpf_rs::MapHandle;

use crate::programs::KernelError;
use crate::sets::Set;
use crate::shared_memory::SharedMemory;

/// Handles of the pinned maps.
#[derive(Debug)]
pub(crate) struct Maps {
    pub(crate) namespaces: SharedMemory,
    pub(crate) tasks: MapHandle,
    pub(crate) scratches: MapHandle,
    pub(crate) rings: MapHandle,
    pub(crate) models: MapHandle,
    pub(crate) foretold: MapHandle,
    pub(crate) tallies: MapHandle,
    pub(crate) untrusted: MapHandle,
    pub(crate) answers: MapHandle,
    pub(crate) orchestrators: MapHandle,
    pub(crate) contents: MapHandle,
    pub(crate) protected: MapHandle,
}

impl Maps {
    /// # Errors
    /// If this program's set is not loaded.
    pub(crate) fn open() -> Result<Self, KernelError> {
        let own = Set::own();
        let open = |name: &str| own.map(name);
        let namespaces = open("namespaces")?;
        Ok(Self {
            namespaces: SharedMemory::of(namespaces.as_fd()).map_err(KernelError::Memory)?,
            tasks: open("tasks")?,
            scratches: open("scratches")?,
            rings: open("rings")?,
            models: open("models")?,
            foretold: open("foretold")?,
            tallies: open("tallies")?,
            untrusted: open("untrusted")?,
            answers: open("answers")?,
            orchestrators: open("orchestrators")?,
            contents: open("contents")?,
            protected: open("own_maps")?,
        })
    }
}
