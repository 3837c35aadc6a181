//! Memory shared with the kernel: the namespaces', an array map, and the positions of a ring.
//!
//! The programs count in it while we read, and we set what they read; every access is one atomic
//! word.
#![allow(unsafe_code, reason = "maps of the kernel, mapped")]

use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::sys::Errno;
use crate::wire::NAMESPACE_SIZE;
use crate::wire::SLOTS;

/// Pages of a map, shared with the kernel; accessed by atomic words alone.
#[derive(Debug)]
struct Mapping {
    at: *mut u8,
    length: usize,
}

// SAFETY: the memory is only accessed by atomic words.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn of(map: BorrowedFd<'_>, length: usize, protection: i32) -> Result<Self, Errno> {
        let (null, fd) = (std::ptr::null_mut(), map.as_raw_fd());
        // SAFETY: a new mapping is asked for, at no address.
        let at = unsafe { libc::mmap(null, length, protection, libc::MAP_SHARED, fd, 0) };
        if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self { at: at.cast(), length }) }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        self.check(offset, size_of::<u32>());
        // SAFETY: the word lies in the mapping, which lives as long as we do, and is aligned.
        unsafe { AtomicU32::from_ptr(self.at.add(offset).cast()) }
    }

    fn long(&self, offset: usize) -> &AtomicU64 {
        self.check(offset, size_of::<u64>());
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.at.add(offset).cast()) }
    }

    fn check(&self, offset: usize, size: usize) {
        assert!(offset + size <= self.length && offset.is_multiple_of(size), "{offset}");
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        unsafe { libc::munmap(self.at.cast(), self.length) };
    }
}

/// All slots.
#[derive(Debug)]
pub(crate) struct SharedMemory(Mapping);

impl SharedMemory {
    pub(crate) fn of(map: BorrowedFd<'_>) -> Result<Self, Errno> {
        let length = NAMESPACE_SIZE * SLOTS as usize;
        Mapping::of(map, length, libc::PROT_READ | libc::PROT_WRITE).map(Self)
    }

    /// A word of a slot; `at` is a multiple of its size and within the slot.
    pub(crate) fn word(&self, slot: u32, at: usize) -> &AtomicU32 {
        self.0.word(Self::offset(slot, at, size_of::<u32>()))
    }

    /// A long word of a slot, as [`SharedMemory::word`].
    pub(crate) fn long(&self, slot: u32, at: usize) -> &AtomicU64 {
        self.0.long(Self::offset(slot, at, size_of::<u64>()))
    }

    /// All of a slot to zero, but for its generation and its sequence: an answer that nobody took, and what a task still
    /// remembers that is ending, must not be of any number that the next namespace comes to.
    pub(crate) fn clear(&self, slot: u32) {
        let kept = |at: &usize| *at != crate::wire::at::SEQUENCE;
        for at in (16..NAMESPACE_SIZE).step_by(8).filter(kept) {
            self.long(slot, at).store(0, Ordering::Release);
        }
        self.word(slot, crate::wire::at::FLAGS).store(0, Ordering::Release);
        self.word(slot, crate::wire::at::UNTRUSTED).store(0, Ordering::Release);
    }

    fn offset(slot: u32, at: usize, size: usize) -> usize {
        assert!(slot < SLOTS && at + size <= NAMESPACE_SIZE);
        slot as usize * NAMESPACE_SIZE + at
    }
}

/// How far a ring has been written and read, as its first two pages say (`kernel/bpf/ringbuf.c`).
#[derive(Debug)]
pub(crate) struct RingPositions {
    mapping: Mapping,
    page: usize,
}

impl RingPositions {
    pub(crate) fn of(ring: BorrowedFd<'_>) -> Result<Self, Errno> {
        // SAFETY: no pointers are passed.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let mapping = Mapping::of(ring, 2 * page, libc::PROT_READ)?;
        Ok(Self { mapping, page })
    }

    /// Octets that were read and served.
    pub(crate) fn read(&self) -> u64 {
        self.mapping.long(0).load(Ordering::Acquire)
    }

    /// Octets that were written.
    pub(crate) fn written(&self) -> u64 {
        self.mapping.long(self.page).load(Ordering::Acquire)
    }
}
