//! Static memory in three pieces.
//!
//! - The **tables** of the engine, taken whole when a model is loaded and given back whole. Nothing
//!   else is ever there, so whatever came and went before, they fit.
//! - The **store** holds what else lives long: the session, the buffers of the wire, the rules.
//! - The **arena** is for one event: everything that is allocated while a verdict is formed comes
//!   from it, in order, and all of it is given back when the verdict is there. It is empty between
//!   two events, always; were something left in it, the device would reset.
//!
//! So the decision path takes nothing from the store and cannot fragment or outgrow it.
#![allow(unsafe_code, reason = "this is where memory comes from")]

use core::alloc::GlobalAlloc;
use core::alloc::Layout;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use linked_list_allocator::Heap;

use crate::board::ARENA_SIZE;
use crate::board::STORE_SIZE;
use crate::board::TABLES_SIZE;

#[repr(C, align(8))]
struct Piece<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: there is one processor and no interrupt handler; the allocator alone uses the pieces.
unsafe impl<const N: usize> Sync for Piece<N> {}

static TABLES: Piece<TABLES_SIZE> = Piece(UnsafeCell::new([0; TABLES_SIZE]));
static STORE: Piece<STORE_SIZE> = Piece(UnsafeCell::new([0; STORE_SIZE]));
static ARENA: Piece<ARENA_SIZE> = Piece(UnsafeCell::new([0; ARENA_SIZE]));

/// Where what is allocated comes from.
#[derive(Clone, Copy)]
enum From {
    Store,
    Tables,
    Arena,
}

struct State {
    store: Heap,
    tables: Heap,
    from: From,
    /// Octets of the arena that are taken.
    top: usize,
    /// Pieces of the arena that are not given back yet.
    live: usize,
}

struct Allocator(UnsafeCell<State>);

// SAFETY: as for `Piece`.
unsafe impl Sync for Allocator {}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(State {
    store: Heap::empty(),
    tables: Heap::empty(),
    from: From::Store,
    top: 0,
    live: 0,
}));

/// Hands out the pieces. Called once, before anything allocates.
pub(crate) fn init() {
    // SAFETY: one processor, no handler, and no other reference to the state is alive here.
    let state = unsafe { &mut *ALLOCATOR.0.get() };
    // SAFETY: the pieces are used through the heaps only from here on, and this is called once.
    unsafe {
        state.store.init(STORE.0.get().cast(), STORE_SIZE);
        state.tables.init(TABLES.0.get().cast(), TABLES_SIZE);
    }
}

/// Does something with all its memory from the arena, which is empty before and after.
///
/// # Panics
///
/// If something that was allocated outlives `judge`.
pub(crate) fn in_arena<T>(judge: impl FnOnce() -> T) -> T {
    take_from(From::Arena);
    let judged = judge();
    take_from(From::Store);
    judged
}

/// Makes tables. There is room for one set of them at a time.
pub(crate) fn in_tables<T>(make: impl FnOnce() -> T) -> T {
    take_from(From::Tables);
    let made = make();
    take_from(From::Store);
    made
}

fn take_from(from: From) {
    // SAFETY: one processor, no handler, and no reference to the state is alive here.
    let state = unsafe { &mut *ALLOCATOR.0.get() };
    assert!(state.live == 0, "the arena is empty between two events");
    state.from = from;
    state.top = 0;
}

impl State {
    fn take(&mut self, layout: Layout) -> *mut u8 {
        let heap = match self.from {
            From::Store => &mut self.store,
            From::Tables => &mut self.tables,
            From::Arena => return self.take_from_arena(layout),
        };
        heap.allocate_first_fit(layout).map_or(core::ptr::null_mut(), NonNull::as_ptr)
    }

    fn take_from_arena(&mut self, layout: Layout) -> *mut u8 {
        let start = self.top.next_multiple_of(layout.align());
        let Some(end) = start.checked_add(layout.size()).filter(|end| *end <= ARENA_SIZE) else {
            return core::ptr::null_mut();
        };
        self.top = end;
        self.live += 1;
        ARENA.0.get().cast::<u8>().wrapping_add(start)
    }

    /// Where in the arena a piece begins.
    fn place(piece: *mut u8) -> Option<usize> {
        let place = piece.addr().checked_sub(ARENA.0.get().addr())?;
        (place < ARENA_SIZE).then_some(place)
    }

    /// # Safety
    ///
    /// `piece` came from `take` with this layout.
    unsafe fn give_back(&mut self, piece: *mut u8, layout: Layout) {
        match (Self::place(piece), NonNull::new(piece)) {
            (Some(place), _) => {
                self.live -= 1;
                if place + layout.size() == self.top {
                    self.top = place;
                }
            }
            (None, Some(piece)) => {
                let heap = if is_table(piece) { &mut self.tables } else { &mut self.store };
                // SAFETY: what is neither from the arena nor from the tables is from the store.
                unsafe { heap.deallocate(piece, layout) };
            }
            (None, None) => {}
        }
    }
}

fn is_table(piece: NonNull<u8>) -> bool {
    let place = piece.addr().get().checked_sub(TABLES.0.get().addr());
    place.is_some_and(|place| place < TABLES_SIZE)
}

// SAFETY: pieces of the arena do not overlap, because `top` only goes back to the start of the
// last of them; alignment is that of the arena at most, which is 8, as much as anything here asks
// for. The heaps keep the contract themselves.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 8 {
            return core::ptr::null_mut();
        }
        // SAFETY: one processor, no handler, and `take` calls nothing that allocates.
        unsafe { (*self.0.get()).take(layout) }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: the caller gives what `alloc` gave; otherwise as for `alloc`.
        unsafe { (*self.0.get()).give_back(piece, layout) };
    }

    /// The last piece of the arena grows where it is.
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for `alloc`; the reference ends before anything else allocates.
        let state = unsafe { &mut *self.0.get() };
        if let Some(place) = State::place(piece)
            && place + layout.size() == state.top
            && place + size <= ARENA_SIZE
        {
            state.top = place + size;
            return piece;
        }
        // SAFETY: the caller keeps the contract of `realloc`: the size is not zero and fits.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                piece.copy_to_nonoverlapping(new, layout.size().min(size));
                self.dealloc(piece, layout);
            }
            new
        }
    }
}
