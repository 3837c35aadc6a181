//! Ports of the x86 machine.
#![allow(unsafe_code, reason = "in and out are instructions")]

use core::arch::asm;

/// Writes an octet.
///
/// Callers name ports of devices that cannot reach memory by themselves (serial line, interrupt
/// controller, exit device), so nothing that Rust relies on changes.
pub(crate) fn write(port: u16, octet: u8) {
    // SAFETY: the instruction touches no memory; see above for the device behind it.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") octet, options(nomem, nostack, preserves_flags));
    }
}

/// Reads an octet.
pub(crate) fn read(port: u16) -> u8 {
    let octet;
    // SAFETY: the instruction touches no memory; the ports are those of `write`.
    unsafe {
        asm!("in al, dx", out("al") octet, in("dx") port, options(nomem, nostack, preserves_flags));
    }
    octet
}
