//! Whether anyone else could change what a caller points to while it waits.
//!
//! A call that must happen in the caller's own context, with an argument in memory, may only go on
//! if nobody can exchange that argument after it was judged: no other thread, no other process in
//! the same address space, no shared mapping. Privately mapped files count only if they were
//! judged for execution (literals of the program itself): to write one is an event of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::call::Call;
use crate::handlers::mapping::Mapping;
use crate::process;
use crate::process::Process;
use crate::sys;

const KCMP_VM: i32 = 1;
const KCMP_FILES: i32 = 2;

impl Call {
    /// Whether the caller alone can change these octets of its memory. Says no where it cannot
    /// be told.
    pub(crate) fn memory_is_private(&self, address: u64, length: u64) -> bool {
        let end = address.saturating_add(length.max(1));
        self.is_only_thread()
            && !self.shares_address_space()
            && self.mapped_privately(address, end)
            && self.still_waiting().is_ok()
    }

    /// Whether nobody else can exchange the caller's descriptors while it waits.
    pub(crate) fn descriptors_are_private(&self) -> bool {
        let shared = self.supervisor.descriptors_shared.load(Ordering::Acquire);
        self.is_only_thread()
            && !(shared && self.shares(KCMP_FILES))
            && self.still_waiting().is_ok()
    }

    /// Whether the process has no other thread.
    pub(crate) fn is_only_thread(&self) -> bool {
        self.process().is_alone()
    }

    /// Whether another process has the same address space.
    pub(crate) fn shares_address_space(&self) -> bool {
        self.shares(KCMP_VM)
    }

    fn shares(&self, what: i32) -> bool {
        let processes = &self.supervisor.processes;
        let own = self.process();
        processes.introduce_children(own.pid);
        if let Some(parent) = process::parent(own.pid) {
            processes.introduce_children(parent);
        }
        let others = processes.processes();
        let image = own.state().image.clone();
        // Only a fork that has not executed anything since can share anything.
        let may_share =
            |other: &Process| other.id != own.id && Arc::ptr_eq(&other.state().image, &image);
        others.iter().any(|other| may_share(other) && same(own, other, what))
    }

    fn mapped_privately(&self, address: u64, end: u64) -> bool {
        let Ok(mappings) = Mapping::all(self.process()) else { return false };
        let mut covered = address;
        for mapping in mappings {
            if mapping.end <= covered || covered >= end {
                continue;
            }
            if mapping.start > covered || !self.is_private(&mapping) {
                return false;
            }
            covered = mapping.end;
        }
        covered >= end
    }

    fn is_private(&self, mapping: &Mapping) -> bool {
        let process = self.process();
        let judged = || {
            let executable = process.state().executable.clone();
            mapping.is_of(process.pid, &executable)
        };
        mapping.private && (mapping.inode == 0 || judged())
    }
}

/// Processes that cannot be compared may share.
fn same(one: &Process, other: &Process, what: i32) -> bool {
    sys::kcmp(one.pid, other.pid, what).map_or_else(|_| other.is_alive(), |order| order == 0)
}
