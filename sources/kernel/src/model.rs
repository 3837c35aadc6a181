//! A namespace's model in the kernel: a map of its own, made whole and then written by nobody.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use libbpf_rs::libbpf_sys;
use tsem::Digest;

use crate::lock::Locked;
use crate::maps::Maps;
use crate::namespace::failed;
use crate::programs::KernelError;
use crate::wire;

/// A coefficient of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// The coefficient.
    pub coefficient: Digest,
    /// Whether no rule has a part in its event, so that the kernel's own coefficient of an event
    /// decides whether it is in the model. The others count in hooks that cannot wait alone.
    pub exact: bool,
}

/// A model that is in force in a slot.
#[derive(Debug)]
pub(crate) struct Model {
    map: MapHandle,
    coefficients: Vec<Digest>,
    /// Whether any coefficient is exact.
    pub(crate) decides: bool,
}

impl Model {
    /// Makes the map; it is in force once [`Model::enter`] has been called.
    pub(crate) fn make(known: &[Known], locked: &Locked) -> Result<Self, KernelError> {
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as u64,
            map_flags: libbpf_sys::BPF_F_RDONLY_PROG,
            ..Default::default()
        };
        let room = known.len().max(1) as u32;
        let name = Some("quixote_model");
        let map = locked.make_map(|| {
            MapHandle::create(MapType::Hash, name, 32, 1, room, &options).map_err(failed("model"))
        })?;
        for each in known {
            let how = if each.exact { wire::KNOWN_EXACTLY } else { wire::KNOWN };
            let (key, value) = (&each.coefficient.0, &[how]);
            map.update(key, value, MapFlags::ANY).map_err(failed("model"))?;
        }
        map.freeze().map_err(failed("model"))?;
        let mut coefficients: Vec<_> = known.iter().map(|each| each.coefficient).collect();
        coefficients.sort_unstable();
        Ok(Self { map, coefficients, decides: known.iter().any(|each| each.exact) })
    }

    /// Puts it in the place of what the slot has.
    pub(crate) fn enter(&self, maps: &Maps, slot: u32) -> Result<(), KernelError> {
        let fd = self.map.as_fd().as_raw_fd().to_ne_bytes();
        maps.models.update(&slot.to_ne_bytes(), &fd, MapFlags::ANY).map_err(failed("models"))
    }

    /// The kernel's number of its map.
    pub(crate) fn id(&self) -> Option<u32> {
        self.map.info().ok().map(|map| map.info.id)
    }

    pub(crate) fn has(&self, coefficient: &Digest) -> bool {
        self.coefficients.binary_search(coefficient).is_ok()
    }
}
