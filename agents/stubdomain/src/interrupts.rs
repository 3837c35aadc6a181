//! Interrupts: only to sleep until the console has something.
//!
//! They are off but for the moment of sleeping, so nothing ever runs beside the agent. Their
//! handlers acknowledge and return. An exception finds no handler: the machine resets, which ends
//! it, because it is started so that a reset is its end.
#![allow(unsafe_code, reason = "the interrupt table is known to the processor by its address")]

use core::arch::asm;
use core::arch::global_asm;
use core::cell::UnsafeCell;

use crate::ports;

/// Registers of the processor's own interrupt controller.
const LOCAL_SPURIOUS: usize = 0xfee0_00f0;
const LOCAL_LINE_0: usize = 0xfee0_0350;
/// On; spurious interrupts have the last vector, which is never raised here.
const ENABLED: u32 = 0x1ff;
/// Line 0 is that of the old interrupt controllers, which firmware may have masked.
const EXTERNAL: u32 = 0x700;

const FIRST: u8 = 32;
const LINES: usize = 16;
const CONTROLLER: [u16; 2] = [0x20, 0xa0];
const END_OF_INTERRUPT: u8 = 0x20;

global_asm!(
    ".global acknowledge_first, acknowledge_second",
    "acknowledge_second:",
    "push rax",
    "mov al, 0x20",
    "out 0xa0, al",
    "out 0x20, al",
    "pop rax",
    "iretq",
    "acknowledge_first:",
    "push rax",
    "mov al, 0x20",
    "out 0x20, al",
    "pop rax",
    "iretq",
);

unsafe extern "C" {
    safe fn acknowledge_first();
    safe fn acknowledge_second();
}

#[repr(C, align(16))]
struct Table(UnsafeCell<[[u64; 2]; FIRST as usize + LINES]>);

// SAFETY: there is one processor, and the table is written before interrupts are ever on.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([[0; 2]; FIRST as usize + LINES]));

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

/// Points the interrupt lines at handlers and masks them all.
pub(crate) fn init() {
    let mut rows = [[0; 2]; FIRST as usize + LINES];
    for (line, row) in rows[usize::from(FIRST)..].iter_mut().enumerate() {
        *row = gate(if line < 8 { acknowledge_first } else { acknowledge_second });
    }
    let pointer = Pointer { limit: size_of_val(&rows) as u16 - 1, base: TABLE.0.get() as u64 };
    // SAFETY: interrupts are off, there is one processor, and nothing else writes the table, which
    // lives as long as the machine.
    unsafe {
        *TABLE.0.get() = rows;
        asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags));
    }
    for (register, value) in [(LOCAL_SPURIOUS, ENABLED), (LOCAL_LINE_0, EXTERNAL)] {
        // SAFETY: every x86-64 machine has these registers there; they are no memory of Rust's.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<u32>(register).write_volatile(value);
        }
    }
    // Both interrupt controllers: vectors, cascade, mode; all lines masked.
    for (index, port) in CONTROLLER.into_iter().enumerate() {
        ports::write(port, 0x11);
        ports::write(port + 1, FIRST + 8 * index as u8);
        ports::write(port + 1, if index == 0 { 4 } else { 2 });
        ports::write(port + 1, 1);
        ports::write(port + 1, 0xff);
        ports::write(port, END_OF_INTERRUPT);
    }
}

/// An interrupt gate to a handler in the one code segment.
fn gate(handler: extern "C" fn()) -> [u64; 2] {
    let address = handler as usize as u64;
    let low = (address & 0xffff) | 8 << 16 | 0x8e00 << 32 | (address >> 16 & 0xffff) << 48;
    [low, address >> 32]
}

/// Lets a line wake the processor.
pub(crate) fn unmask(line: u8) {
    let (controller, bit) = if line < 8 { (0, line) } else { (1, line - 8) };
    let masks = CONTROLLER[controller] + 1;
    ports::write(masks, ports::read(masks) & !(1 << bit));
    if controller == 1 {
        unmask(2);
    }
}

/// Sleeps until an interrupt, unless `ready`; what becomes ready after the question still wakes.
pub(crate) fn sleep_unless(ready: impl FnOnce() -> bool) {
    if !ready() {
        // SAFETY: handlers save what they use. `sti` takes effect after `hlt` has begun, so that an
        // interrupt that is already pending wakes it.
        unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
    }
}
