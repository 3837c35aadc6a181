//! The heap: the largest piece of memory that the loader says is there, behind the image.
#![allow(unsafe_code, reason = "this is where memory comes from")]

use core::alloc::GlobalAlloc;
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use linked_list_allocator::Heap;

use crate::boot::Loaded;

struct Single(UnsafeCell<Heap>);

// SAFETY: there is one processor, and interrupt handlers do not allocate.
unsafe impl Sync for Single {}

#[global_allocator]
static HEAP: Single = Single(UnsafeCell::new(Heap::empty()));

/// Hands the heap its memory. Called once, before anything allocates.
pub(crate) fn init(loaded: &Loaded) {
    let memory = loaded.free_memory();
    let size = usize::try_from(memory.end - memory.start).unwrap_or(0);
    // SAFETY: the loader says that this is memory; `free_memory` leaves out the image and all that
    // the loader put there, so it is used for nothing else, and it is mapped and writable.
    unsafe { (*HEAP.0.get()).init(memory.start as *mut u8, size) };
}

// SAFETY: `Heap` keeps the contract; `Single` says why there is never a second access at a time.
unsafe impl GlobalAlloc for Single {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let heap = unsafe { &mut *self.0.get() };
        heap.allocate_first_fit(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(pointer) = NonNull::new(pointer) else { return };
        // SAFETY: the caller passes what `alloc` gave, with its layout.
        unsafe { (*self.0.get()).deallocate(pointer, layout) };
    }
}
