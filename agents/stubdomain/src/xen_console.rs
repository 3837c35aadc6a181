//! The console of a Xen domain: two rings in a page that is shared with the console's backend
//! (`xen/include/public/io/console.h`), and an event channel.
#![allow(unsafe_code, reason = "the page is shared with another domain")]

use core::sync::atomic::AtomicU8;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering;

use crate::xen::Channel;
use crate::xen::Parameter;
use crate::xen::Xen;

const PAGE_SIZE: u64 = 4096;
/// All that the page tables map.
const MAPPED: u64 = 1 << 32;
const IN_SIZE: u32 = 1024;
const OUT_SIZE: u32 = 2048;

/// The page. Whoever is behind it may write anything there at any time.
#[repr(C)]
struct Rings {
    input: [AtomicU8; IN_SIZE as usize],
    output: [AtomicU8; OUT_SIZE as usize],
    input_consumed: AtomicU32,
    input_produced: AtomicU32,
    output_consumed: AtomicU32,
    output_produced: AtomicU32,
}

/// The console of this domain.
pub(crate) struct XenConsole {
    rings: &'static Rings,
    channel: Channel,
}

impl XenConsole {
    /// The console, if this is a domain of Xen's that has one.
    pub(crate) fn find() -> Option<Self> {
        let xen = Xen::find()?;
        let frame = xen.parameter(Parameter::ConsoleFrame)?;
        let channel = xen.channel(xen.parameter(Parameter::ConsoleChannel)?)?;
        let address = frame.checked_mul(PAGE_SIZE).filter(|address| *address < MAPPED)?;
        let rings = core::ptr::with_exposed_provenance::<Rings>(address as usize);
        // SAFETY: the hypervisor says that the console's page is there; it is mapped, stays, is not
        // in the memory map as free, and is only touched through atomics.
        Some(Self { rings: unsafe { &*rings }, channel })
    }

    /// Reads at least one octet; sleeps until there is one.
    ///
    /// # Panics
    ///
    /// If the backend claims to have written more than the ring holds.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            self.channel.clear();
            let count = self.take(buffer);
            if count > 0 {
                self.channel.notify();
                return count;
            }
            self.channel.wait();
        }
    }

    fn take(&self, buffer: &mut [u8]) -> usize {
        let consumed = self.rings.input_consumed.load(Ordering::Relaxed);
        let there = self.rings.input_produced.load(Ordering::Acquire).wrapping_sub(consumed);
        assert!(there <= IN_SIZE, "the console's backend broke its ring");
        let count = buffer.len().min(there as usize);
        let mut next = consumed;
        for octet in &mut buffer[..count] {
            *octet = self.rings.input[(next % IN_SIZE) as usize].load(Ordering::Relaxed);
            next = next.wrapping_add(1);
        }
        self.rings.input_consumed.store(next, Ordering::Release);
        count
    }

    /// Writes everything.
    ///
    /// # Panics
    ///
    /// If the backend claims to have read what was not written.
    pub(crate) fn write(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            self.channel.clear();
            let count = self.put(octets);
            octets = &octets[count..];
            if count > 0 {
                self.channel.notify();
            } else {
                self.channel.wait();
            }
        }
    }

    fn put(&self, octets: &[u8]) -> usize {
        let produced = self.rings.output_produced.load(Ordering::Relaxed);
        let unread = produced.wrapping_sub(self.rings.output_consumed.load(Ordering::Acquire));
        assert!(unread <= OUT_SIZE, "the console's backend broke its ring");
        let count = octets.len().min((OUT_SIZE - unread) as usize);
        let mut next = produced;
        for octet in &octets[..count] {
            self.rings.output[(next % OUT_SIZE) as usize].store(*octet, Ordering::Relaxed);
            next = next.wrapping_add(1);
        }
        self.rings.output_produced.store(next, Ordering::Release);
        count
    }
}
