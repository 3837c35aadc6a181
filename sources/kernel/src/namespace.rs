//! A namespace in the kernel: a slot, its ring, its model; taken back when dropped.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
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
use crate::model::Known;
use crate::model::Model;
use crate::neighbours;
use crate::programs::KernelError;
use crate::sys;
use crate::sys::Errno;
use crate::wire;
use crate::wire::SLOTS;
use crate::wire::at;

/// Room for what is told without waiting: a thousand beginnings or ends of processes. In hooks that can wait, an
/// event waits for room.
const RING_SIZE: u32 = 64 * 1024;
/// The same where reading attributes and asking for capabilities are told as well.
const RING_SIZE_FULL: u32 = 1024 * 1024;

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
    /// Decided in the kernel: known exactly, or in hooks that cannot sleep.
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
    pub(crate) known: &'a [Known],
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
    /// Of its tasks; the number in `namespaces` is that of its cache, and grows.
    generation: u32,
    full: bool,
    /// In force, and those before it: who looked one up may still look into it.
    models: Mutex<Vec<Model>>,
    given_back: AtomicBool,
}

/// Whether nobody uses a slot: an orphan's is free when its last task is gone.
pub(crate) fn is_free(maps: &Maps, slot: u32) -> bool {
    let word = |at| maps.namespaces.word(slot, at).load(Ordering::Acquire);
    let live = maps.namespaces.long(slot, at::LIVE).load(Ordering::Acquire) as i64;
    wire::is_unused(word(at::MODE), word(at::FLAGS), live)
}

/// Removes what an orphan has left, whose orchestrator could not.
fn clear_out(maps: &Maps, slot: u32, locked: &Locked) {
    for map in [&maps.foretold, &maps.untrusted] {
        // All first: whoever looks for the one after a key that is gone begins anew.
        let left: Vec<_> = map.keys().filter(|key| wire::slot_of(key) == Some(slot)).collect();
        for key in left {
            let _ = map.delete(&key);
        }
    }
    // Seen from here, these maps of maps hold their ids.
    for map in [&maps.rings, &maps.models] {
        if let Ok(Some(id)) = map.lookup(&slot.to_ne_bytes(), MapFlags::ANY) {
            locked.forget_orphan(&id);
            let _ = map.delete(&slot.to_ne_bytes());
        }
    }
}

/// One that no namespace of any set reaches.
fn make_ring(locked: &Locked, size: u32) -> Result<MapHandle, KernelError> {
    let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
        ..Default::default()
    };
    let name = Some("quixote_ring");
    locked.make_map(|| {
        MapHandle::create(MapType::RingBuf, name, 0, 0, size, &options).map_err(failed("ring"))
    })
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
        clear_tally(&maps, slot)?;
        let generation =
            maps.namespaces.word(slot, at::GENERATION).fetch_add(1, Ordering::AcqRel) + 1;
        let (full, models) = (plan.full, Mutex::new(vec![Model::make(plan.known, locked)?]));
        let given_back = AtomicBool::new(false);
        let namespace = Self { maps, ring, slot, generation, full, models, given_back };
        namespace.fill(plan)?;
        locked.stay_out_of_reach();
        Ok(namespace)
    }

    /// The mode is set last: before, the slot is nobody's.
    fn fill(&self, plan: &Plan<'_>) -> Result<(), KernelError> {
        let decides = self.models().last().is_some_and(|model| model.decides);
        self.models().iter().try_for_each(|model| model.enter(&self.maps, self.slot))?;
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
            | flag(decides, wire::NAMESPACE_DECIDES)
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

    /// Kills all processes, those that have made no event too: as long as a look finds one that no look found before.
    pub(crate) fn kill_processes(&self) {
        let mut killed = BTreeSet::new();
        loop {
            let ours = sys::processes().filter(|pid| self.kill_if_ours(*pid));
            if ours.filter(|pid| killed.insert(*pid)).count() == 0 {
                return;
            }
        }
    }

    fn kill_if_ours(&self, pid: u32) -> bool {
        let Ok(pidfd) = sys::pidfd_open(pid) else { return false };
        self.task_of(pidfd.as_fd()).is_some() && sys::pidfd_kill(pidfd.as_fd()).is_ok()
    }

    /// Tells a task what was decided, and what an exec leads to.
    pub(crate) fn answer(
        &self,
        sequence: u64,
        verdict: u32,
        flags: u32,
        leads_to: Option<&Digest>,
    ) {
        let key = wire::number_key(self.slot, sequence);
        let answer = wire::answer(verdict, flags, leads_to);
        // Without an answer the task is denied at its deadline.
        if let Err(error) = self.maps.answers.update(&key, &answer, MapFlags::ANY) {
            tracing::error!(target: "dev", %error, "an answer is lost");
        }
    }

    /// Lets a hook that cannot wait find a coefficient that a rule allows. Whether it was added: the
    /// model's own are there.
    pub(crate) fn foretell(&self, coefficient: &Digest) -> bool {
        if self.models().last().is_some_and(|model| model.has(coefficient)) {
            return false;
        }
        let key = wire::coefficient_key(self.slot, self.generation, coefficient);
        // Without it the hook refuses.
        self.maps.foretold.update(&key, &[1], MapFlags::ANY).is_ok()
    }

    /// Takes back what was foretold.
    pub(crate) fn forget(&self, coefficient: &Digest) {
        let key = wire::coefficient_key(self.slot, self.generation, coefficient);
        let _ = self.maps.foretold.delete(&key);
    }

    /// Puts another model in force, whole: an event is decided by the one or the other, and what the
    /// one has let through counts no more under the other.
    ///
    /// # Errors
    ///
    /// The kernel has no room for it; the one before stays in force.
    pub(crate) fn replace_model(&self, known: &[Known]) -> Result<(), KernelError> {
        // Other sets have to know its map.
        let model = Model::make(known, &Locked::wait()?)?;
        let mut models = self.models();
        model.enter(&self.maps, self.slot)?;
        let flags = self.maps.namespaces.word(self.slot, at::FLAGS);
        if model.decides {
            flags.fetch_or(wire::NAMESPACE_DECIDES, Ordering::AcqRel);
        } else {
            flags.fetch_and(!wire::NAMESPACE_DECIDES, Ordering::AcqRel);
        }
        // Whoever reads the new number looks into the new model.
        self.maps.namespaces.word(self.slot, at::GENERATION).fetch_add(1, Ordering::AcqRel);
        models.push(model);
        Ok(())
    }

    fn models(&self) -> MutexGuard<'_, Vec<Model>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the maps that are this namespace's own.
    fn map_ids(&self) -> impl Iterator<Item = u32> {
        let models: Vec<_> = self.models().iter().filter_map(Model::id).collect();
        self.ring.info().ok().map(|ring| ring.info.id).into_iter().chain(models)
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
            Err(_) => self.distrust_all(),
        }
    }

    /// It has ended.
    pub(crate) fn forget_process(&self, process: ProcessId) {
        let key = wire::process_key(self.slot, self.generation, process.0);
        // Most are not there.
        let _ = self.maps.untrusted.delete(&key);
    }

    fn distrust_all(&self) {
        let flags = self.maps.namespaces.word(self.slot, at::FLAGS);
        flags.fetch_or(wire::NAMESPACE_DISTRUSTED, Ordering::AcqRel);
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
        let tallies = self.maps.tallies.lookup_percpu(&self.slot.to_ne_bytes(), MapFlags::ANY);
        let (events, hits) = wire::tallied(&tallies.ok().flatten().unwrap_or_default());
        NamespaceCounts {
            events,
            hits,
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
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Namespace {
    /// Gives back, once, what it has of the kernel's. A slot with tasks in it stays taken, as an orphan's.
    pub(crate) fn give_back(&self) {
        if self.live() > 0 || self.given_back.swap(true, Ordering::AcqRel) {
            return;
        }
        let _ = self.maps.models.delete(&self.slot.to_ne_bytes());
        let _ = self.maps.rings.delete(&self.slot.to_ne_bytes());
        let ids: Vec<_> = self.map_ids().collect();
        for id in &ids {
            let _ = self.maps.protected.delete(&id.to_ne_bytes());
        }
        neighbours::forget_namespace(std::process::id(), &ids);
        // Whoever is killed before leaves an orphan's slot, which is taken again.
        let _ = self.maps.orchestrators.delete(&std::process::id().to_ne_bytes());
        self.set(at::MODE, 0);
    }
}

fn clear_tally(maps: &Maps, slot: u32) -> Result<(), KernelError> {
    let processors = libbpf_rs::num_possible_cpus().map_err(failed("tallies"))?;
    let zeros = vec![vec![0; maps.tallies.value_size() as usize]; processors];
    let cleared = maps.tallies.update_percpu(&slot.to_ne_bytes(), &zeros, MapFlags::ANY);
    cleared.map_err(failed("tallies"))
}

pub(crate) fn failed(name: &'static str) -> impl FnOnce(libbpf_rs::Error) -> KernelError {
    move |source| KernelError::Map { name: name.into(), source }
}

/// Holds a process; `None` where it is gone, and another one may have its number by now.
///
/// # Errors
///
/// It cannot be held, for want of descriptors.
pub(crate) fn hold_process(
    namespace: &Namespace,
    process: ProcessId,
    pid: u32,
) -> Result<Option<OwnedFd>, Errno> {
    match sys::pidfd_open(pid) {
        Ok(pidfd) => Ok((namespace.process_of(pidfd.as_fd()) == Some(process)).then_some(pidfd)),
        Err(Errno(libc::ESRCH)) => Ok(None),
        Err(error) => Err(error),
    }
}
