//! Xen: the hypercalls that the console needs, and the end of the domain.
//!
//! Numbers and structures are those of Xen's public headers (`xen/include/public`: `xen.h`,
//! `memory.h`, `event_channel.h`, `sched.h`, `hvm/hvm_op.h`, `hvm/params.h`, `arch-x86/cpuid.h`).
//! Events are polled for (`SCHEDOP_poll`), so no interrupt is ever needed.
#![allow(unsafe_code, reason = "hypercalls are jumps into a page that the hypervisor fills")]

use core::arch::asm;
use core::arch::global_asm;
use core::arch::x86_64::__cpuid;
use core::cell::UnsafeCell;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering;

const SIGNATURE: &[u8; 12] = b"XenVMMXenVMM";
/// Hypervisors present themselves at steps of 256 from here.
const LEAVES: core::ops::Range<u32> = 0x4000_0000..0x4001_0000;

const MEMORY_OP: usize = 12;
const SCHEDULER_OP: usize = 29;
const EVENT_CHANNEL_OP: usize = 32;
const HVM_OP: usize = 34;

const ADD_TO_PHYSMAP: u64 = 7;
const SHARED_INFO: u32 = 0;
const SHUTDOWN: u64 = 2;
const POLL: u64 = 3;
const CRASH: u32 = 3;
const SEND: u64 = 4;
const GET_PARAMETER: u64 = 1;
/// This domain.
const SELF: u16 = 0x7ff0;

const PAGE_SIZE: usize = 4096;
const ENTRY_SIZE: usize = 32;
/// Of the page that is shared with the hypervisor, in words: behind 32 blocks of 64 octets.
const PENDING: usize = 256;
const MASK: usize = PENDING + 64;
/// Event channels that the page has bits for.
const CHANNELS: u32 = 4096;

global_asm!(
    ".section .text.hypercalls, \"ax\", @progbits",
    ".balign 4096",
    ".global hypercall_page",
    "hypercall_page:",
    ".fill 4096, 1, 0xcc",
    ".text",
);

unsafe extern "C" {
    static hypercall_page: [u8; PAGE_SIZE];
}

#[repr(C, align(4096))]
struct Shared(UnsafeCell<[u64; PAGE_SIZE / 8]>);

// SAFETY: it is touched through atomics only, by one processor and the hypervisor.
unsafe impl Sync for Shared {}

static SHARED: Shared = Shared(UnsafeCell::new([0; PAGE_SIZE / 8]));

/// The hypervisor, once it is found to be Xen and its hypercalls are there.
#[derive(Clone, Copy)]
pub(crate) struct Xen(());

/// A parameter of the domain.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Parameter {
    /// The frame of the console's ring.
    ConsoleFrame = 17,
    /// The console's event channel.
    ConsoleChannel = 18,
}

/// An event channel that can be waited for.
pub(crate) struct Channel {
    port: u32,
}

impl Xen {
    /// Xen, if this is a domain of it.
    pub(crate) fn find() -> Option<Self> {
        let base = LEAVES.step_by(256).find(|leaf| signature(*leaf) == *SIGNATURE)?;
        let register = __cpuid(base + 2).ebx;
        let page = (&raw const hypercall_page).addr() as u64;
        // SAFETY: the hypervisor says that this register takes the address of a page that it fills
        // with its entries; the page is for nothing else.
        unsafe {
            asm!(
                "wrmsr",
                in("ecx") register,
                in("eax") page as u32,
                in("edx") (page >> 32) as u32,
                options(nostack, preserves_flags)
            );
        }
        Some(Self(()))
    }

    /// A parameter of this domain; `None` where the toolstack set none.
    pub(crate) fn parameter(self, parameter: Parameter) -> Option<u64> {
        #[repr(C)]
        struct Asked {
            domain: u16,
            index: u32,
            value: u64,
        }
        let mut asked = Asked { domain: SELF, index: parameter as u32, value: 0 };
        // SAFETY: the hypervisor writes the value of this structure and nothing else.
        let done = unsafe { call(HVM_OP, GET_PARAMETER, (&raw mut asked).addr() as u64) };
        // SAFETY: as above; it was written behind the compiler's back.
        let value = unsafe { (&raw const asked.value).read_volatile() };
        (done == 0 && value != 0).then_some(value)
    }

    /// An event channel, which from now on interrupts nobody and can be waited for.
    pub(crate) fn channel(self, port: u64) -> Option<Channel> {
        #[repr(C)]
        struct Mapping {
            domain: u16,
            size: u16,
            space: u32,
            index: u64,
            frame: u64,
        }
        let port = u32::try_from(port).ok().filter(|port| *port < CHANNELS)?;
        let frame = (SHARED.0.get().addr() / PAGE_SIZE) as u64;
        let mapping = Mapping { domain: SELF, size: 0, space: SHARED_INFO, index: 0, frame };
        // SAFETY: the frame is that of `SHARED`, which is for nothing else.
        let done = unsafe { call(MEMORY_OP, ADD_TO_PHYSMAP, (&raw const mapping).addr() as u64) };
        let channel = (done == 0).then_some(Channel { port })?;
        channel.word(MASK).fetch_or(channel.bit(), Ordering::SeqCst);
        Some(channel)
    }

    /// Ends the domain, as one that has crashed.
    pub(crate) fn stop(self) {
        let reason = CRASH;
        // SAFETY: the hypervisor reads the reason, and ends the domain.
        unsafe { call(SCHEDULER_OP, SHUTDOWN, (&raw const reason).addr() as u64) };
    }
}

impl Channel {
    /// Tells the other end.
    pub(crate) fn notify(&self) {
        let port = self.port;
        // SAFETY: the hypervisor reads the port.
        unsafe { call(EVENT_CHANNEL_OP, SEND, (&raw const port).addr() as u64) };
    }

    /// Takes note of what was told, so that only what is told from now on ends a wait.
    pub(crate) fn clear(&self) {
        self.word(PENDING).fetch_and(!self.bit(), Ordering::SeqCst);
    }

    /// Sleeps until the other end tells something, or has since `clear`.
    pub(crate) fn wait(&self) {
        #[repr(C)]
        struct Poll {
            ports: u64,
            count: u32,
            timeout: u64,
        }
        let port = self.port;
        let poll = Poll { ports: (&raw const port).addr() as u64, count: 1, timeout: 0 };
        // SAFETY: the hypervisor reads the structure and the port that it leads to.
        unsafe { call(SCHEDULER_OP, POLL, (&raw const poll).addr() as u64) };
    }

    fn bit(&self) -> u64 {
        1 << (self.port % 64)
    }

    fn word(&self, table: usize) -> &AtomicU64 {
        let place = SHARED.0.get().cast::<u64>().wrapping_add(table + self.port as usize / 64);
        // SAFETY: a port is below `CHANNELS`, so the word lies in `SHARED`, which lives for ever and
        // is touched through atomics only.
        unsafe { AtomicU64::from_ptr(place) }
    }
}

fn signature(leaf: u32) -> [u8; 12] {
    let said = __cpuid(leaf);
    let mut octets = [0; 12];
    for (part, word) in octets.chunks_exact_mut(4).zip([said.ebx, said.ecx, said.edx]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    octets
}

/// # Safety
///
/// The page of hypercalls is filled, and the hypervisor may do what it is asked to.
unsafe fn call(number: usize, first: u64, second: u64) -> i64 {
    let entry = (&raw const hypercall_page).addr() + number * ENTRY_SIZE;
    let result;
    // SAFETY: the caller's; registers that a hypercall may change are named.
    unsafe {
        asm!(
            "call {entry}",
            entry = in(reg) entry,
            lateout("rax") result,
            inlateout("rdi") first => _,
            inlateout("rsi") second => _,
            lateout("rdx") _, lateout("rcx") _,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    result
}
