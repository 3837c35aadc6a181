//! Registers of devices, and what a Cortex-M has everywhere.
#![allow(unsafe_code, reason = "registers are at addresses, and sleeping is an instruction")]

use core::arch::asm;
use core::arch::global_asm;

const INTERRUPT_ENABLE: usize = 0xe000_e100;
const INTERRUPT_CLEAR: usize = 0xe000_e280;
const RESET_CONTROL: usize = 0xe000_ed0c;
const RESET_REQUEST: u32 = 0x05fa_0004;

// A fault resets the device. What faults may have no stack left, so the handler uses none.
global_asm!(
    ".section .HardFault.user, \"ax\"",
    ".global HardFault",
    ".thumb_func",
    "HardFault:",
    "ldr r0, =0xe000ed0c",
    "ldr r1, =0x05fa0004",
    "dsb",
    "str r1, [r0]",
    "b .",
    ".ltorg",
    ".text",
);

/// A register of a device. Made in the board's files only, from the maker's manual.
#[derive(Clone, Copy)]
pub(crate) struct Register(usize);

impl Register {
    pub(crate) const fn at(address: usize) -> Self {
        Self(address)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: the board's files name registers only, and those of devices that do not reach
        // into memory that Rust uses unless they are told to by their own module.
        unsafe { core::ptr::with_exposed_provenance::<u32>(self.0).read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for `read`.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(self.0).write_volatile(value) };
    }
}

/// Lets a device's interrupt end a sleep. No handler ever runs: interrupts stay off.
pub(crate) fn wake_by(interrupt: usize) {
    // SAFETY: masks all interrupts; a sleep still ends when one is pending.
    unsafe { asm!("cpsid i", options(nomem, nostack, preserves_flags)) };
    Register::at(INTERRUPT_ENABLE + interrupt / 32 * 4).write(1 << (interrupt % 32));
}

/// Sleeps until the interrupt is pending, and takes it back.
pub(crate) fn sleep_until(interrupt: usize) {
    // SAFETY: nothing runs meanwhile.
    unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) };
    Register::at(INTERRUPT_CLEAR + interrupt / 32 * 4).write(1 << (interrupt % 32));
}

/// Writes octets to a device, each once its state says that it is not full.
#[allow(dead_code, reason = "one board has no such device")]
pub(crate) fn write_unless_full(octets: &[u8], state: Register, full: u32, data: Register) {
    for octet in octets {
        while state.read() & full != 0 {
            core::hint::spin_loop();
        }
        data.write((*octet).into());
    }
}

/// Begins anew.
pub(crate) fn reset() -> ! {
    Register::at(RESET_CONTROL).write(RESET_REQUEST);
    loop {
        core::hint::spin_loop();
    }
}
