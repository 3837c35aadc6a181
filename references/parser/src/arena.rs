//! Memory without system calls: one range of addresses, reserved at the start.
//!
//! Strict seccomp has no call for memory, so all of it is mapped before. The kernel gives pages when they are
//! touched. Blocks are powers of two; freed ones are kept by size and used again. Running out ends the
//! process, which the parent takes as a refusal.

#![allow(unsafe_code, reason = "a global allocator is unsafe by its trait")]
#![allow(clippy::cast_ptr_alignment, reason = "every block is aligned to 16 octets at least")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::system;

/// Addresses reserved: no memory yet. Half as much is tried when the kernel refuses.
const RESERVED: usize = 8 << 30;
const LEAST_RESERVED: usize = 64 << 20;
/// The smallest block, in octets: a link of the list of free blocks and its alignment fit.
const SMALLEST: usize = 16;
const CLASSES: usize = usize::BITS as usize;

/// The allocator of a process with one thread.
#[derive(Debug)]
pub struct Arena {
    limit: AtomicUsize,
    state: UnsafeCell<State>,
}

#[derive(Debug)]
struct State {
    start: usize,
    used: usize,
    reserved: usize,
    free: [*mut u8; CLASSES],
}

// SAFETY: the program that has this allocator never starts a second thread; under the lock it cannot.
unsafe impl Sync for Arena {}

impl Arena {
    /// An arena that reserves its addresses at the first allocation.
    pub const fn new() -> Self {
        let state = State { start: 0, used: 0, reserved: 0, free: [null_mut(); CLASSES] };
        Self { limit: AtomicUsize::new(usize::MAX), state: UnsafeCell::new(state) }
    }

    /// From now on at most so many octets are used.
    pub fn limit(&self, octets: usize) {
        self.limit.store(octets, Ordering::Relaxed);
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn reserve(&mut self) {
        let mut octets = RESERVED;
        while octets >= LEAST_RESERVED {
            if let Some(start) = system::reserve(octets) {
                (self.start, self.reserved) = (start, octets);
                return;
            }
            octets /= 2;
        }
    }

    fn take(&mut self, class: usize, limit: usize) -> *mut u8 {
        let head = self.free[class];
        if !head.is_null() {
            // SAFETY: a block on the list is free, at least 16 octets long, aligned to its size, and
            // holds the next link, which `give` wrote.
            self.free[class] = unsafe { head.cast::<*mut u8>().read() };
            return head;
        }
        if self.start == 0 {
            self.reserve();
        }
        let size = 1 << class;
        // Blocks are aligned to their size up to a page; more than a page no type asks for.
        let from = self.used.next_multiple_of(size.min(4096));
        let end = from.saturating_add(size);
        if end > self.reserved.min(limit) {
            return null_mut();
        }
        self.used = end;
        (self.start + from) as *mut u8
    }

    fn give(&mut self, block: *mut u8, class: usize) {
        // SAFETY: the caller gives back a block of this class, which is ours alone from here on.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }

    /// Whether the block is the last one; then it can grow where it is.
    fn is_last(&self, block: *mut u8, class: usize) -> bool {
        block as usize + (1 << class) == self.start + self.used
    }
}

fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(SMALLEST).checked_next_power_of_two()?;
    (layout.align() <= 4096).then_some(size.trailing_zeros() as usize)
}

// SAFETY: blocks are disjoint (`take` moves on or takes from the list of free ones), as large as the power
// of two above the layout's size, aligned to that up to a page, and never moved.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else { return null_mut() };
        // SAFETY: one thread, and no reference to the state outlives a call.
        let state = unsafe { &mut *self.state.get() };
        state.take(class, self.limit.load(Ordering::Relaxed))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(class) = class(layout) {
            // SAFETY: one thread, and no reference to the state outlives a call.
            let state = unsafe { &mut *self.state.get() };
            state.give(block, class);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
        let (Some(old), Some(new)) = (class(layout), class(wanted)) else { return null_mut() };
        if old == new {
            return block;
        }
        // SAFETY: one thread, and no reference to the state outlives a call.
        let state = unsafe { &mut *self.state.get() };
        let limit = self.limit.load(Ordering::Relaxed).min(state.reserved);
        let grown = block as usize + (1 << new) - state.start;
        if new > old && state.is_last(block, old) && grown <= limit {
            state.used = grown;
            return block;
        }
        let moved = state.take(new, limit);
        if !moved.is_null() {
            let kept = layout.size().min(size);
            // SAFETY: both blocks are live, disjoint, and at least `kept` octets long.
            unsafe { std::ptr::copy_nonoverlapping(block, moved, kept) };
            state.give(block, old);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_disjoint_and_used_again() {
        let arena = Arena::new();
        let layout = Layout::from_size_align(100, 64).unwrap();
        // SAFETY: the layout has a size, and each block is given back once.
        unsafe {
            let first = arena.alloc(layout);
            let second = arena.alloc(layout);
            assert!(!first.is_null() && (first as usize).is_multiple_of(64));
            assert!((first as usize).abs_diff(second as usize) >= 100);
            arena.dealloc(first, layout);
            assert_eq!(arena.alloc(layout), first);
        }
    }

    #[test]
    fn the_last_block_grows_where_it_is_and_others_keep_their_octets() {
        let arena = Arena::new();
        let layout = Layout::from_size_align(32, 8).unwrap();
        // SAFETY: as above; what is read was written.
        unsafe {
            let first = arena.alloc(layout);
            let second = arena.alloc(layout);
            first.write_bytes(7, 32);
            assert_eq!(arena.realloc(second, layout, 4000), second);
            let moved = arena.realloc(first, layout, 64);
            assert_ne!(moved, first);
            assert_eq!(std::slice::from_raw_parts(moved, 32), [7; 32]);
        }
    }

    #[test]
    fn the_limit_holds() {
        let arena = Arena::new();
        arena.limit(1 << 20);
        let layout = Layout::from_size_align(2 << 20, 8).unwrap();
        // SAFETY: the layout has a size.
        assert!(unsafe { arena.alloc(layout) }.is_null());
    }
}
