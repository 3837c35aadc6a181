//! The lock of whoever loads or unloads programs, or takes a slot.
//!
//! One at a time, of whatever version: it is the directory of all pins. Meanwhile no namespace of any set reaches its
//! holder, which has descriptors for our maps.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use libbpf_rs::MapCore;
use libbpf_rs::MapHandle;

use crate::neighbours;
use crate::neighbours::Neighbour;
use crate::programs::BPFFS;
use crate::programs::KernelError;
use crate::programs::io as cannot_use;
use crate::sets::Set;
use crate::sys;

/// Maps that others may make while one is made.
const MAPS_AT_ONCE: u32 = 16;

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    neighbours: Vec<Neighbour>,
    /// Those that did not know this process before.
    entered: Vec<Set>,
    _file: File,
}

impl Locked {
    /// Waits until nobody holds it.
    ///
    /// # Errors
    ///
    /// A set is loaded that this process cannot deal with.
    pub(crate) fn wait() -> Result<Self, KernelError> {
        let file = File::open(BPFFS).map_err(cannot_use(BPFFS))?;
        let locked = sys::lock(file.as_fd());
        locked.map_err(|errno| cannot_use(BPFFS)(io::Error::from_raw_os_error(errno.0)))?;
        let mut held = Self { neighbours: Vec::new(), entered: Vec::new(), _file: file };
        for set in Set::loaded() {
            held.add(Neighbour::open(set)?)?;
        }
        Ok(held)
    }

    /// A set that was loaded before, or just now.
    pub(crate) fn add(&mut self, neighbour: Neighbour) -> Result<(), KernelError> {
        if neighbour.enter_process(std::process::id())? {
            self.entered.push(neighbour.set.clone());
        }
        self.neighbours.push(neighbour);
        Ok(())
    }

    /// All sets that are loaded.
    pub(crate) fn neighbours(&self) -> &[Neighbour] {
        &self.neighbours
    }

    /// Removes a set that nobody uses.
    pub(crate) fn remove(&mut self, set: &Set) -> Result<(), KernelError> {
        set.remove()?;
        self.neighbours.retain(|neighbour| neighbour.set != *set);
        neighbours::settle(&self.neighbours, std::process::id());
        Ok(())
    }

    /// Has a map made that no namespace can get hold of.
    pub(crate) fn make_map(
        &self,
        make: impl FnOnce() -> Result<MapHandle, KernelError>,
    ) -> Result<MapHandle, KernelError> {
        let mut map = None;
        neighbours::make_maps(&self.neighbours, MAPS_AT_ONCE, || {
            let made = map.insert(make()?).info().map_err(KernelError::Refused)?;
            Ok(vec![made.info.id])
        })?;
        map.ok_or(KernelError::Interfered)
    }

    /// A map of an orchestrator of our set that could not clear it away itself.
    pub(crate) fn forget_orphan(&self, map: &[u8]) {
        let Ok(id) = map.try_into().map(u32::from_ne_bytes) else { return };
        for neighbour in &self.neighbours {
            neighbour.forget_map(id);
        }
    }

    /// This process is an orchestrator now, and stays out of reach.
    pub(crate) fn stay_out_of_reach(&mut self) {
        self.entered.clear();
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        for neighbour in self.neighbours.iter().filter(|one| self.entered.contains(&one.set)) {
            neighbour.forget_process(std::process::id());
        }
    }
}
