//! A namespace in the kernel: a slot, its ring, its model; taken back when dropped.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libbpf_rs::MapCore;
use libbpf_rs::MapFlags;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use tsem::Digest;
use tsem::Mode;
use tsem::OnViolation;
use tsem::ProcessId;
use tsem::TaskIdentity;

use crate::launch::OnOrphaned;
use crate::lock::Locked;
use crate::maps::Maps;
use crate::neighbours;
use crate::programs::KernelError;
use crate::sys;
use crate::wire;
use crate::wire::SLOTS;
use crate::wire::at;

/// Room for what is told without waiting; who waits adds one message each.
const RING_SIZE: u32 = 128 * 1024;
/// The same where reading attributes and asking for capabilities are told as well.
const RING_SIZE_FULL: u32 = 1024 * 1024;

/// Maps that others may make while a ring is made.
const MAPS_AT_ONCE: u32 = 16;

/// The serial number of a namespace's first process.
pub(crate) const FIRST: ProcessId = ProcessId(1);

/// What the programs counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamespaceCounts {
    /// Events, however they were decided.
    pub events: u64,
    /// Allowed because the very same event was allowed before.
    pub hits: u64,
    /// Waited for the agent.
    pub waited: u64,
    /// Decided in the kernel, in hooks that cannot sleep.
    pub decided: u64,
    /// Refused.
    pub denied: u64,
    /// Messages that did not fit the ring.
    pub dropped: u64,
    /// Events that could not be described.
    pub unjudged: u64,
    /// Denied because no answer came in time.
    pub late: u64,
}

/// How a namespace is to be set up.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Plan<'a> {
    pub(crate) mode: Mode,
    pub(crate) on_violation: OnViolation,
    pub(crate) on_orphaned: OnOrphaned,
    pub(crate) coefficients: &'a [Digest],
    pub(crate) digests: bool,
    pub(crate) shield: bool,
    pub(crate) compare: bool,
    /// With the events of the profile `full`.
    pub(crate) full: bool,
    pub(crate) patience: Duration,
}

/// A slot that is ours.
#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) maps: Maps,
    pub(crate) ring: MapHandle,
    pub(crate) slot: u32,
    generation: u32,
    full: bool,
    coefficients: Vec<Digest>,
}

/// Whether nobody uses a slot: an orphan's is free when its last task is gone.
pub(crate) fn is_free(maps: &Maps, slot: u32) -> bool {
    let word = |at| maps.namespaces.word(slot, at).load(Ordering::Acquire);
    let live = maps.namespaces.long(slot, at::LIVE).load(Ordering::Acquire) as i64;
    wire::is_unused(word(at::MODE), word(at::FLAGS), live)
}

/// Removes what an orphan has left, whose orchestrator could not.
fn clear_out(maps: &Maps, slot: u32, locked: &Locked) {
    for map in [&maps.model, &maps.untrusted] {
        // All first: whoever looks for the one after a key that is gone begins anew.
        let left: Vec<_> = map.keys().filter(|key| wire::slot_of(key) == Some(slot)).collect();
        for key in left {
            let _ = map.delete(&key);
        }
    }
    // Seen from here, the map of rings holds their ids.
    if let Ok(Some(ring)) = maps.rings.lookup(&slot.to_ne_bytes(), MapFlags::ANY) {
        let _ = maps.protected.delete(&ring);
        locked.forget_orphan(&ring);
    }
}

/// One that no namespace of any set reaches.
fn make_ring(locked: &Locked, size: u32) -> Result<MapHandle, KernelError> {
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
        ..Default::default()
    };
    let mut ring = None;
    neighbours::make_maps(locked.neighbours(), MAPS_AT_ONCE, || {
        let name = Some("quixote_ring");
        let made = MapHandle::create(MapType::RingBuf, name, 0, 0, size, &options);
        let made = ring.insert(made.map_err(failed("ring"))?);
        Ok(vec![made.info().map_err(failed("ring"))?.info.id])
    })?;
    ring.ok_or(KernelError::Interfered)
}

impl Namespace {
    /// The set is loaded, and stays that: who removes it needs the lock as well.
    pub(crate) fn take(locked: &mut Locked, plan: &Plan<'_>) -> Result<Self, KernelError> {
        let maps = Maps::open()?;
        let slot = (0..SLOTS).find(|slot| is_free(&maps, *slot)).ok_or(KernelError::Full)?;
        if maps.namespaces.word(slot, at::MODE).load(Ordering::Acquire) != 0 {
            clear_out(&maps, slot, locked);
        }
        let ring = make_ring(locked, if plan.full { RING_SIZE_FULL } else { RING_SIZE })?;
        let fd = ring.as_fd().as_raw_fd().to_ne_bytes();
        maps.rings.update(&slot.to_ne_bytes(), &fd, MapFlags::ANY).map_err(failed("rings"))?;
        maps.namespaces.clear(slot);
        let generation =
            maps.namespaces.word(slot, at::GENERATION).fetch_add(1, Ordering::AcqRel) + 1;
        let mut coefficients = plan.coefficients.to_vec();
        coefficients.sort_unstable();
        let full = plan.full;
        let namespace = Self { maps, ring, slot, generation, full, coefficients };
        namespace.fill(plan)?;
        locked.stay_out_of_reach();
        Ok(namespace)
    }

    /// The mode is set last: before, the slot is nobody's.
    fn fill(&self, plan: &Plan<'_>) -> Result<(), KernelError> {
        for coefficient in &self.coefficients {
            let key = wire::coefficient_key(self.slot, self.generation, coefficient);
            self.maps.model.update(&key, &[1], MapFlags::ANY).map_err(failed("model"))?;
        }
        let pid = std::process::id().to_ne_bytes();
        let slot = self.slot.to_ne_bytes();
        let orchestrators = &self.maps.orchestrators;
        orchestrators.update(&pid, &slot, MapFlags::ANY).map_err(failed("orchestrators"))?;
        let flag = |set: bool, flag| if set { flag } else { 0 };
        let untrusts = plan.on_violation != OnViolation::Deny;
        let flags = flag(plan.digests, wire::NAMESPACE_DIGESTS)
            | flag(untrusts, wire::NAMESPACE_UNTRUSTS)
            | flag(plan.compare, wire::NAMESPACE_COEFFICIENTS)
            | flag(plan.shield, wire::NAMESPACE_SHIELDED)
            | flag(plan.on_orphaned == OnOrphaned::Kill, wire::NAMESPACE_KILL_ORPHANED);
        let mode = match plan.mode {
            Mode::Free => 1,
            Mode::Sealed => 2,
            Mode::Enforcing => 3,
        };
        self.set(at::FLAGS, flags);
        self.set(at::ORCHESTRATOR, std::process::id());
        self.long(at::PATIENCE).store(plan.patience.as_nanos() as u64, Ordering::Release);
        self.long(at::PROCESSES).store(FIRST.0, Ordering::Release);
        self.set(at::MODE, mode);
        Ok(())
    }

    fn set(&self, at: usize, value: u32) {
        self.maps.namespaces.word(self.slot, at).store(value, Ordering::Release);
    }

    fn long(&self, at: usize) -> &std::sync::atomic::AtomicU64 {
        self.maps.namespaces.long(self.slot, at)
    }

    /// Makes a process that waits for its exec the namespace's first.
    pub(crate) fn adopt(&self, pidfd: BorrowedFd<'_>) -> Result<(), KernelError> {
        let key = pidfd.as_raw_fd().to_ne_bytes();
        let memory = vec![0; self.maps.scratches.value_size() as usize];
        self.maps.scratches.update(&key, &memory, MapFlags::ANY).map_err(failed("scratches"))?;
        let flags = if self.full { wire::TASK_FULL } else { 0 };
        let task = wire::first_task(self.slot, self.generation, FIRST.0, flags);
        self.long(at::LIVE).store(1, Ordering::Release);
        self.maps.tasks.update(&key, &task, MapFlags::ANY).map_err(failed("tasks"))
    }

    /// Whether a process is one of ours, and which.
    pub(crate) fn process_of(&self, pidfd: BorrowedFd<'_>) -> Option<ProcessId> {
        self.task_of(pidfd).map(|(process, _)| process)
    }

    /// A process of ours, and its identity if the kernel knows it.
    pub(crate) fn task_of(
        &self,
        pidfd: BorrowedFd<'_>,
    ) -> Option<(ProcessId, Option<TaskIdentity>)> {
        let key = pidfd.as_raw_fd().to_ne_bytes();
        let task = self.maps.tasks.lookup(&key, MapFlags::ANY).ok()??;
        let (slot, process) = wire::owner_of(&task)?;
        (slot == self.slot).then(|| (ProcessId(process), wire::identity_of(&task)))
    }

    /// Tells a task what was decided.
    pub(crate) fn answer(&self, sequence: u64, verdict: u32, flags: u32) {
        let (key, answer) = (wire::number_key(self.slot, sequence), wire::answer(verdict, flags));
        // Without an answer the task is denied at its deadline.
        if let Err(error) = self.maps.answers.update(&key, &answer, MapFlags::ANY) {
            tracing::error!(target: "dev", %error, "an answer is lost");
        }
    }

    /// Lets a hook that cannot wait find a coefficient that a rule allows. Whether it was added: the
    /// model's own are there.
    pub(crate) fn foretell(&self, coefficient: &Digest) -> bool {
        if self.coefficients.binary_search(coefficient).is_ok() {
            return false;
        }
        let key = wire::coefficient_key(self.slot, self.generation, coefficient);
        // Without it the hook refuses.
        self.maps.model.update(&key, &[1], MapFlags::ANY).is_ok()
    }

    /// Takes back what was foretold.
    pub(crate) fn forget(&self, coefficient: &Digest) {
        let key = wire::coefficient_key(self.slot, self.generation, coefficient);
        let _ = self.maps.model.delete(&key);
    }

    /// Nothing of this process is allowed without asking from now on.
    pub(crate) fn untrust(&self, process: ProcessId) {
        let key = wire::process_key(self.slot, self.generation, process.0);
        let known = self.maps.untrusted.update(&key, &[1], MapFlags::NO_EXIST);
        match known {
            Ok(()) => {
                let count = self.maps.namespaces.word(self.slot, at::UNTRUSTED);
                count.fetch_add(1, Ordering::AcqRel);
            }
            Err(error) if error.kind() == libbpf_rs::ErrorKind::AlreadyExists => {}
            // No room: nobody of the namespace is trusted without asking any more.
            Err(_) => self.forget_allowed(),
        }
    }

    /// It has ended.
    pub(crate) fn forget_process(&self, process: ProcessId) {
        let key = wire::process_key(self.slot, self.generation, process.0);
        // Most are not there.
        let _ = self.maps.untrusted.delete(&key);
    }

    fn forget_allowed(&self) {
        let generation = self.maps.namespaces.word(self.slot, at::GENERATION);
        generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Every task dies at its next event.
    pub(crate) fn kill(&self) {
        let flags = self.maps.namespaces.word(self.slot, at::FLAGS);
        flags.fetch_or(wire::NAMESPACE_KILLED, Ordering::AcqRel);
    }

    /// Threads that live.
    pub(crate) fn live(&self) -> i64 {
        self.long(at::LIVE).load(Ordering::Acquire) as i64
    }

    pub(crate) fn counts(&self) -> NamespaceCounts {
        let count = |at| self.long(at).load(Ordering::Acquire);
        NamespaceCounts {
            events: count(at::EVENTS),
            hits: count(at::HITS),
            waited: count(at::WAITED),
            decided: count(at::DECIDED),
            denied: count(at::DENIED),
            dropped: count(at::DROPPED),
            unjudged: count(at::UNJUDGED),
            late: count(at::LATE),
        }
    }
}

impl Drop for Namespace {
    /// A slot with tasks in it stays taken, as an orphan's.
    fn drop(&mut self) {
        if self.live() > 0 {
            return;
        }
        for coefficient in &self.coefficients {
            let key = wire::coefficient_key(self.slot, self.generation, coefficient);
            let _ = self.maps.model.delete(&key);
        }
        let _ = self.maps.orchestrators.delete(&std::process::id().to_ne_bytes());
        let _ = self.maps.rings.delete(&self.slot.to_ne_bytes());
        let ring = self.ring.info().ok().map(|ring| ring.info.id);
        if let Some(id) = ring {
            let _ = self.maps.protected.delete(&id.to_ne_bytes());
        }
        neighbours::forget_namespace(std::process::id(), ring);
        self.set(at::MODE, 0);
    }
}

fn failed(name: &'static str) -> impl FnOnce(libbpf_rs::Error) -> KernelError {
    move |source| KernelError::Map { name: name.into(), source }
}

/// Whether the process of this number, which may have ended, is still the one that we know by it.
pub(crate) fn is_process(namespace: &Namespace, process: ProcessId, pid: u32) -> bool {
    let Ok(pidfd) = sys::pidfd_open(pid) else { return false };
    namespace.process_of(pidfd.as_fd()) == Some(process)
}

pub(crate) fn kill_process(namespace: &Namespace, process: ProcessId, pid: u32) {
    let Ok(pidfd) = sys::pidfd_open(pid) else { return };
    if namespace.process_of(pidfd.as_fd()) == Some(process) {
        let _ = sys::pidfd_kill(pidfd.as_fd());
    }
}
