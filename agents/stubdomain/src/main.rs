//! A trusted modeling agent that is alone in its virtual machine.
//!
//! The image boots by PVH (QEMU, Firecracker, Cloud Hypervisor, Xen), finds its console and
//! answers the protocol on it, one request after another. There is no operating system, no thread,
//! no file, no network. Every fault, every panic and a console that ends stop the machine: then
//! nobody allows anything any more.
#![no_std]
#![no_main]

extern crate alloc;

mod agent;
mod boot;
mod console;
mod interrupts;
mod machine;
mod memory;
mod ports;
mod random;
mod serial;
mod virtio_console;
mod xen;
mod xen_console;

use core::panic::PanicInfo;

/// Called by `boot.s` with the address that the loader passed.
#[allow(unsafe_code, reason = "the name that boot.s calls")]
#[unsafe(no_mangle)]
extern "C" fn start(start_info: u64) -> ! {
    let loaded = boot::Loaded::read(start_info);
    memory::init(&loaded);
    interrupts::init();
    agent::serve(&loaded, console::find(&loaded))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    machine::say(format_args!("stubdomain: {info}\n"));
    machine::stop()
}
