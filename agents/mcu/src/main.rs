//! A trusted modeling agent that is a device on a wire.
//!
//! The board gives a serial line, a lamp, randomness and a place for its secret; everything else is
//! the same core and protocol as anywhere. Memory is static: see [`memory`]. Every fault and every
//! panic resets the device, which ends the session: then nobody allows anything any more.
#![no_std]
#![no_main]

extern crate alloc;

mod board;
mod firmware;
mod memory;
mod random;
mod registers;

use core::panic::PanicInfo;

use cortex_m_rt::entry;

#[entry]
fn start() -> ! {
    memory::init();
    firmware::serve(board::this())
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    registers::reset()
}
