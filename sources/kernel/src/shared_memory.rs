//! The namespaces' memory, shared with the kernel: an array map, mapped.
//!
//! The programs count in it while we read, and we set what they read; every access is one atomic
//! word.
#![allow(unsafe_code, reason = "a map of the kernel, mapped")]

use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::sys::Errno;
use crate::wire::NAMESPACE_SIZE;
use crate::wire::SLOTS;

const LENGTH: usize = NAMESPACE_SIZE * SLOTS as usize;

/// All slots.
#[derive(Debug)]
pub(crate) struct SharedMemory(*mut u8);

// SAFETY: the memory is only accessed by atomic words.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    pub(crate) fn of(map: BorrowedFd<'_>) -> Result<Self, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (null, fd) = (std::ptr::null_mut(), map.as_raw_fd());
        // SAFETY: a new mapping is asked for, at no address.
        let at = unsafe { libc::mmap(null, LENGTH, protection, libc::MAP_SHARED, fd, 0) };
        if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self(at.cast())) }
    }

    /// A word of a slot; `at` is a multiple of its size and within the slot.
    pub(crate) fn word(&self, slot: u32, at: usize) -> &AtomicU32 {
        let offset = Self::offset(slot, at, 4);
        // SAFETY: `offset` lies in the mapping, which lives as long as we do, and is aligned.
        unsafe { AtomicU32::from_ptr(self.0.add(offset).cast()) }
    }

    /// A long word of a slot, as [`SharedMemory::word`].
    pub(crate) fn long(&self, slot: u32, at: usize) -> &AtomicU64 {
        let offset = Self::offset(slot, at, 8);
        // SAFETY: as in `word`; a slot is a multiple of 8 octets.
        unsafe { AtomicU64::from_ptr(self.0.add(offset).cast()) }
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
        assert!(slot < SLOTS && at + size <= NAMESPACE_SIZE && at.is_multiple_of(size));
        slot as usize * NAMESPACE_SIZE + at
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        unsafe { libc::munmap(self.0.cast(), LENGTH) };
    }
}

/// How far a ring has been written and read, as its first two pages say (`kernel/bpf/ringbuf.c`).
#[derive(Debug)]
pub(crate) struct RingPositions {
    at: *mut u8,
    page: usize,
}

// SAFETY: the memory is only accessed by atomic words.
unsafe impl Send for RingPositions {}
// SAFETY: as above.
unsafe impl Sync for RingPositions {}

impl RingPositions {
    pub(crate) fn of(ring: BorrowedFd<'_>) -> Result<Self, Errno> {
        // SAFETY: no pointers are passed.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let (null, fd) = (std::ptr::null_mut(), ring.as_raw_fd());
        // SAFETY: a new mapping is asked for, at no address.
        let at = unsafe { libc::mmap(null, 2 * page, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
        if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self { at: at.cast(), page }) }
    }

    /// Octets that were read and served.
    pub(crate) fn read(&self) -> u64 {
        self.position(0)
    }

    /// Octets that were written.
    pub(crate) fn written(&self) -> u64 {
        self.position(self.page)
    }

    fn position(&self, offset: usize) -> u64 {
        // SAFETY: each page of the mapping begins with an aligned position.
        unsafe { AtomicU64::from_ptr(self.at.add(offset).cast()) }.load(Ordering::Acquire)
    }
}

impl Drop for RingPositions {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        unsafe { libc::munmap(self.at.cast(), 2 * self.page) };
    }
}
