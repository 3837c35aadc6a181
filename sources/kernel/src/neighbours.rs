//! What sets of programs know of each other: whose maps, and which processes, no namespace of any set reaches.
//!
//! Each set has a map of our maps and one of orchestrators. In both, its own entries are told apart from those that were
//! entered for other sets: so a set that comes later can be told of all of them, and one that goes is forgotten.

use std::ops::RangeInclusive;

use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use libbpf_rs::libbpf_sys::bpf_map_create_opts;

use crate::programs::KernelError;
use crate::sets::Set;
use crate::wire::OTHER_SET;

/// In `own_maps`: a map of this set's own.
const OWN: [u8; 1] = [1];
/// In `own_maps`: a map of another set.
const OTHER: [u8; 1] = [2];

/// A set that is loaded, as far as others deal with it.
#[derive(Debug)]
pub(crate) struct Neighbour {
    pub(crate) set: Set,
    own_maps: MapHandle,
    orchestrators: MapHandle,
}

impl Neighbour {
    /// # Errors
    ///
    /// The set is none that this program knows how to deal with.
    pub(crate) fn open(set: Set) -> Result<Self, KernelError> {
        let (own_maps, orchestrators) = (set.map("own_maps")?, set.map("orchestrators")?);
        let sizes = |map: &MapHandle| (map.key_size(), map.value_size());
        if sizes(&own_maps) != (4, 1) || sizes(&orchestrators) != (4, 4) {
            return Err(KernelError::UnknownSet(set.name()));
        }
        Ok(Self { set, own_maps, orchestrators })
    }

    /// Puts a process out of reach that is no orchestrator of this set. Whether it was within reach before.
    pub(crate) fn enter_process(&self, pid: u32) -> Result<bool, KernelError> {
        let known = self.orchestrators.update(&pid.to_ne_bytes(), &OTHER_SET, MapFlags::NO_EXIST);
        match known {
            Err(error) if error.kind() == libbpf_rs::ErrorKind::AlreadyExists => Ok(false),
            known => known.map(|()| true).map_err(failed("orchestrators")),
        }
    }

    /// Puts a process within reach again, if it is no orchestrator of this set.
    pub(crate) fn forget_process(&self, pid: u32) {
        let key = pid.to_ne_bytes();
        if self.orchestrators.lookup(&key, MapFlags::ANY).is_ok_and(|slot| is(slot, &OTHER_SET)) {
            let _ = self.orchestrators.delete(&key);
        }
    }

    pub(crate) fn forget_map(&self, id: u32) {
        // Most are there.
        let _ = self.own_maps.delete(&id.to_ne_bytes());
    }

    /// Enters a map of our own set.
    pub(crate) fn enter_map(&self, id: u32) -> Result<(), KernelError> {
        let whose = if self.set.is_own() { OWN } else { OTHER };
        self.own_maps.update(&id.to_ne_bytes(), &whose, MapFlags::ANY).map_err(failed("own_maps"))
    }

    fn reserve_map(&self, id: u32) -> Result<(), KernelError> {
        self.own_maps.update(&id.to_ne_bytes(), &OTHER, MapFlags::ANY).map_err(failed("own_maps"))
    }

    /// Enters what another set has, where this one is new: its programs are attached, and no namespace runs under them.
    pub(crate) fn learn_of(&self, other: &Self) -> Result<(), KernelError> {
        for id in other.maps_of_its_own() {
            self.reserve_map(id)?;
        }
        for pid in other.orchestrators_of_its_own() {
            self.enter_process(pid)?;
            // It may have ended meanwhile, and its end have passed our programs before it was entered.
            if !other.has_orchestrator(pid) {
                self.forget_process(pid);
            }
        }
        Ok(())
    }

    /// Forgets what no other set has.
    fn forget_all_but(&self, maps: &[u32], processes: &[u32]) {
        for (id, whose) in entries(&self.own_maps) {
            if whose == OTHER && !maps.contains(&id) {
                self.forget_map(id);
            }
        }
        for (pid, slot) in entries(&self.orchestrators) {
            if slot == OTHER_SET && !processes.contains(&pid) {
                self.forget_process(pid);
            }
        }
    }

    fn maps_of_its_own(&self) -> Vec<u32> {
        let own = entries(&self.own_maps).into_iter().filter(|(_, whose)| *whose != OTHER);
        own.map(|(id, _)| id).collect()
    }

    fn orchestrators_of_its_own(&self) -> Vec<u32> {
        let own = entries(&self.orchestrators).into_iter().filter(|(_, slot)| *slot != OTHER_SET);
        own.map(|(pid, _)| pid).collect()
    }

    fn has_orchestrator(&self, pid: u32) -> bool {
        let slot = self.orchestrators.lookup(&pid.to_ne_bytes(), MapFlags::ANY);
        slot.is_ok_and(|slot| slot.is_some_and(|slot| slot != OTHER_SET))
    }
}

fn is(value: Option<Vec<u8>>, wanted: &[u8]) -> bool {
    value.is_some_and(|value| value == wanted)
}

/// All keys first: whoever looks for the one after a key that is gone begins anew.
fn entries(map: &MapHandle) -> Vec<(u32, Vec<u8>)> {
    let keys: Vec<_> = map.keys().collect();
    let entry = |key: Vec<u8>| {
        let value = map.lookup(&key, MapFlags::ANY).ok()??;
        Some((u32::from_ne_bytes(key.try_into().ok()?), value))
    };
    keys.into_iter().filter_map(entry).collect()
}

/// Lets sets forget what is gone. `process` is not, though it is no orchestrator: it holds the lock.
pub(crate) fn settle(neighbours: &[Neighbour], process: u32) {
    for neighbour in neighbours {
        let others = || neighbours.iter().filter(|other| other.set != neighbour.set);
        let maps: Vec<_> = others().flat_map(Neighbour::maps_of_its_own).collect();
        let mut processes: Vec<_> =
            others().flat_map(Neighbour::orchestrators_of_its_own).collect();
        processes.push(process);
        neighbour.forget_all_but(&maps, &processes);
    }
}

/// An orchestrator of our set, and its own maps, are gone. Needs no lock: [`Neighbour::learn_of`] looks twice.
pub(crate) fn forget_namespace(pid: u32, maps: &[u32]) {
    let others = Set::loaded().into_iter().filter(|set| !set.is_own());
    for other in others.filter_map(|set| Neighbour::open(set).ok()) {
        other.forget_process(pid);
        for id in maps {
            other.forget_map(*id);
        }
    }
}

/// Has maps made that no namespace can get hold of, not even between their making and their being entered.
///
/// `make` tells the ids of the maps, at most `room` of them. The kernel numbers maps one after another, so the next numbers are entered
/// before; where somebody else takes so many that ours are beyond them, ours are refused.
pub(crate) fn make_maps(
    neighbours: &[Neighbour],
    room: u32,
    make: impl FnOnce() -> Result<Vec<u32>, KernelError>,
) -> Result<Vec<u32>, KernelError> {
    let reserved = reserve(neighbours, room)?;
    let made = make();
    let ids = made.as_deref().unwrap_or_default();
    let interfered = ids.iter().any(|id| !reserved.contains(id));
    for id in reserved.filter(|id| interfered || !ids.contains(id)) {
        for neighbour in neighbours {
            neighbour.forget_map(id);
        }
    }
    if interfered {
        return Err(KernelError::Interfered);
    }
    for id in ids {
        neighbours.iter().try_for_each(|neighbour| neighbour.enter_map(*id))?;
    }
    made
}

fn reserve(neighbours: &[Neighbour], room: u32) -> Result<RangeInclusive<u32>, KernelError> {
    let options =
        bpf_map_create_opts { sz: size_of::<bpf_map_create_opts>() as u64, ..Default::default() };
    let last = MapHandle::create(MapType::Array, Some("quixote_last"), 4, 4, 1, &options)
        .and_then(|map| map.info())
        .map_err(KernelError::Refused)?;
    let reserved = last.info.id.saturating_add(1)..=last.info.id.saturating_add(room);
    for id in reserved.clone() {
        neighbours.iter().try_for_each(|neighbour| neighbour.reserve_map(id))?;
    }
    Ok(reserved)
}

fn failed(name: &'static str) -> impl FnOnce(libbpf_rs::Error) -> KernelError {
    move |source| KernelError::Map { name: name.into(), source }
}
