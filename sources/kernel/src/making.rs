//! Makes the maps of a set of programs before the programs are loaded, which takes long.
#![allow(unsafe_code, reason = "libbpf's safe layer makes maps and loads programs in one step")]

use std::os::fd::BorrowedFd;

use libbpf_rs::AsRawLibbpf as _;
use libbpf_rs::MapInfo;
use libbpf_rs::OpenObject;
use libbpf_rs::libbpf_sys;

use crate::lock::Locked;
use crate::neighbours;
use crate::programs::KernelError;

/// More than a set has, with those that libbpf makes to try the kernel out.
const ROOM: u32 = 128;

/// The ids of those that are new, out of reach of all namespaces; others are shared.
pub(crate) fn make_maps(object: &OpenObject, locked: &Locked) -> Result<Vec<u32>, KernelError> {
    let shared = ids(object)?;
    neighbours::make_maps(locked.neighbours(), ROOM, || {
        // SAFETY: the object is open, and not prepared or loaded yet.
        let status = unsafe { libbpf_sys::bpf_object__prepare(object.as_libbpf_object().as_ptr()) };
        if status != 0 {
            return Err(KernelError::Refused(libbpf_rs::Error::from_raw_os_error(-status)));
        }
        Ok(ids(object)?.into_iter().filter(|id| !shared.contains(id)).collect())
    })
}

/// Of the maps that are made.
fn ids(object: &OpenObject) -> Result<Vec<u32>, KernelError> {
    let mut ids = Vec::new();
    for map in object.maps() {
        // SAFETY: the map is the object's, which outlives the call.
        let fd = unsafe { libbpf_sys::bpf_map__fd(map.as_libbpf_object().as_ptr()) };
        if fd >= 0 {
            // SAFETY: the descriptor is the map's, and stays open as long as the object lives.
            let info = MapInfo::new(unsafe { BorrowedFd::borrow_raw(fd) });
            ids.push(info.map_err(KernelError::Refused)?.info.id);
        }
    }
    Ok(ids)
}
