//! The end of the machine, and its last words.
#![allow(unsafe_code, reason = "halting is an instruction")]

use core::arch::asm;
use core::fmt;
use core::fmt::Write as _;

use crate::ports;
use crate::xen::Xen;

/// QEMU's `isa-debug-exit`, where there is one: `-device isa-debug-exit,iobase=0xf4,iosize=0x04`.
const DEBUG_EXIT: u16 = 0xf4;
/// QEMU's debug console; nothing listens there in use.
const DEBUG_CONSOLE: u16 = 0xe9;
/// The keyboard controller, whose line 0 resets the machine.
const KEYBOARD: u16 = 0x64;

/// Says something to whoever debugs the image. Never on the agent's own console.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    // Writing to a port cannot fail.
    let _ = DebugConsole.write_fmt(text);
}

struct DebugConsole;

impl fmt::Write for DebugConsole {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|octet| ports::write(DEBUG_CONSOLE, octet));
        Ok(())
    }
}

/// Ends the machine by whichever way it has: exit device, reset, and in any case no more progress.
pub(crate) fn stop() -> ! {
    ports::write(DEBUG_EXIT, 1);
    ports::write(KEYBOARD, 0xfe);
    if let Some(xen) = Xen::find() {
        xen.stop();
    }
    loop {
        // SAFETY: stops this processor with interrupts off for good. No other one was started.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
