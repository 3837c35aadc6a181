//! The maps that all namespaces share, as they are pinned.

use std::os::fd::AsFd;

use libbpf_rs::MapHandle;

use crate::programs;
use crate::programs::KernelError;
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
    /// If the programs are not loaded.
    pub(crate) fn open() -> Result<Self, KernelError> {
        let open = |name: &str| {
            let path = programs::maps_dir().join(name);
            MapHandle::from_pinned_path(&path)
                .map_err(|source| KernelError::Map { name: name.into(), source })
        };
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
