//! A virtio console on virtio-mmio, as QEMU's microvm has it.
//!
//! Where its registers are stands on the command line, in the form in which Linux is told:
//! `virtio_mmio.device=<size>@<address>:<interrupt line>`.
#![allow(unsafe_code, reason = "a device reads and writes memory")]

use alloc::alloc::alloc_zeroed;
use alloc::alloc::dealloc;
use core::alloc::Layout;
use core::ptr::NonNull;

use virtio_drivers::BufferDirection;
use virtio_drivers::Hal;
use virtio_drivers::PAGE_SIZE;
use virtio_drivers::PhysAddr;
use virtio_drivers::device::console::VirtIOConsole;
use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::Transport as _;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::mmio::VirtIOHeader;

use crate::boot::Loaded;
use crate::interrupts;

/// Only what the page tables map and what is no memory: devices live below 4 GiB.
const DEVICES: core::ops::Range<usize> = 0xc000_0000..0xffff_f000;
/// The lines of the interrupt controllers.
const LINES: u8 = 16;

/// A virtio console that was found and set up.
pub(crate) struct VirtioConsole(VirtIOConsole<Memory, MmioTransport<'static>>);

struct Place {
    size: usize,
    address: usize,
    line: u8,
}

impl VirtioConsole {
    /// The first virtio console that the command line leads to.
    pub(crate) fn find(loaded: &Loaded) -> Option<Self> {
        let words = loaded.command_line().split_ascii_whitespace();
        words.filter_map(Place::read).find_map(|place| Self::open(&place))
    }

    fn open(place: &Place) -> Option<Self> {
        let header = core::ptr::with_exposed_provenance_mut::<VirtIOHeader>(place.address);
        // SAFETY: whoever started the machine says that these are registers; they are mapped, lie
        // where no memory is, and are used by this driver alone.
        let transport = unsafe { MmioTransport::new(NonNull::new(header)?, place.size) }.ok()?;
        if transport.device_type() != DeviceType::Console {
            return None;
        }
        let console = VirtIOConsole::new(transport).ok()?;
        interrupts::unmask(place.line);
        Some(Self(console))
    }

    /// Reads at least one octet; sleeps until there is one.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            // A line that stays raised would never wake again: first acknowledge, then look.
            let _ = self.0.ack_interrupt().expect("the console works");
            let mut count = 0;
            while count < buffer.len()
                && let Some(octet) = self.0.recv(true).expect("the console works")
            {
                buffer[count] = octet;
                count += 1;
            }
            if count > 0 {
                return count;
            }
            let console = &mut self.0;
            interrupts::sleep_unless(|| console.recv(false).expect("the console works").is_some());
        }
    }

    /// Writes everything.
    pub(crate) fn write(&mut self, octets: &[u8]) {
        self.0.send_bytes(octets).expect("the console works");
    }
}

impl Place {
    fn read(word: &str) -> Option<Self> {
        let word = word.strip_prefix("virtio_mmio.device=")?;
        let (size, rest) = word.split_once('@')?;
        let (address, rest) = rest.split_once(':')?;
        let line = rest.split(':').next()?.parse().ok().filter(|line| *line < LINES)?;
        let address = usize::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
        let size = size_of_text(size)?;
        let fits = DEVICES.contains(&address) && size <= DEVICES.end - address;
        fits.then_some(Self { size, address, line })
    }
}

/// `512`, `4K` or `0x200`.
fn size_of_text(text: &str) -> Option<usize> {
    if let Some(kibibytes) = text.strip_suffix(['K', 'k']) {
        return kibibytes.parse::<usize>().ok()?.checked_mul(1024);
    }
    match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Memory is where it is: virtual addresses are physical ones.
struct Memory;

// SAFETY: pages come from the allocator, aligned and zeroed, and nobody else has them until they
// are given back; sharing is the identity, because the device sees all memory at its address.
unsafe impl Hal for Memory {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: the layout has a size: the driver never asks for no page.
        let pages = NonNull::new(unsafe { alloc_zeroed(layout(pages)) }).expect("there is memory");
        (pages.as_ptr().expose_provenance() as PhysAddr, pages)
    }

    unsafe fn dma_dealloc(_: PhysAddr, pointer: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: the caller gives what `dma_alloc` gave, with its number of pages.
        unsafe { dealloc(pointer.as_ptr(), layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("only PCI devices have regions to be mapped")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

fn layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).expect("a few pages are a layout")
}
