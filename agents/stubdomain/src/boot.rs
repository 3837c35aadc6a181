//! What the loader left: `hvm_start_info` of the PVH boot protocol
//! (xen/include/public/arch-x86/hvm/start_info.h), copied before anything else uses memory.
//!
//! The loader is trusted, as whoever starts a machine can change all of it; lengths and counts are
//! bounded all the same, and what does not fit is left out.
#![allow(unsafe_code, reason = "the loader passes addresses")]

use core::arch::global_asm;
use core::ops::Range;

global_asm!(include_str!("boot.s"));

const MAGIC: u32 = 0x336e_c578;
const COMMAND_LINE_MAX: usize = 1024;
const MODULE_MAX: usize = 512;
const MEMORY_MAP_MAX: usize = 64;
/// All that the page tables map.
const MAPPED: u64 = 1 << 32;
/// The type of memory that is free to use.
const RAM: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_count: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Module {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct MemoryRange {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

unsafe extern "C" {
    static image_end: u8;
}

/// What the loader left, copied.
pub(crate) struct Loaded {
    command_line: ([u8; COMMAND_LINE_MAX], usize),
    module: ([u8; MODULE_MAX], usize),
    free: Range<u64>,
}

impl Loaded {
    /// Copies what the loader left at `address` and wipes the module, which may hold a secret.
    ///
    /// # Panics
    ///
    /// If that is no `hvm_start_info` of version 1 or later.
    pub(crate) fn read(address: u64) -> Self {
        // SAFETY: the boot protocol says that the address is that of the structure.
        let info: StartInfo = unsafe { read(address) };
        assert!(info.magic == MAGIC && info.version >= 1, "this is no PVH boot");
        let free = largest_free(&info);
        let mut loaded =
            Self { command_line: ([0; COMMAND_LINE_MAX], 0), module: ([0; MODULE_MAX], 0), free };
        loaded.copy_command_line(info.command_line);
        if info.module_count > 0 {
            // SAFETY: the structure says that there is a list of that many modules.
            let module: Module = unsafe { read(info.modules) };
            loaded.take_module(&module);
        }
        loaded
    }

    fn copy_command_line(&mut self, address: u64) {
        let (octets, length) = &mut self.command_line;
        while address != 0 && *length < octets.len() {
            // SAFETY: the structure says that there is a text; it is read no further than its NUL.
            let octet: u8 = unsafe { read(address + *length as u64) };
            if octet == 0 {
                break;
            }
            octets[*length] = octet;
            *length += 1;
        }
    }

    fn take_module(&mut self, module: &Module) {
        let (octets, length) = &mut self.module;
        let size = usize::try_from(module.size).unwrap_or(usize::MAX).min(octets.len());
        for (index, octet) in octets[..size].iter_mut().enumerate() {
            let place = module.address + index as u64;
            // SAFETY: the structure says that the module is there, and nobody else refers to it.
            unsafe {
                *octet = read(place);
                pointer::<u8>(place).write_volatile(0);
            }
        }
        *length = size;
    }

    /// What the loader was told to pass, without the NUL.
    pub(crate) fn command_line(&self) -> &str {
        core::str::from_utf8(&self.command_line.0[..self.command_line.1]).unwrap_or("")
    }

    /// The first module, as far as it is kept.
    pub(crate) fn module(&self) -> &[u8] {
        &self.module.0[..self.module.1]
    }

    /// The largest piece of memory that nothing uses, now that all is copied.
    pub(crate) fn free_memory(&self) -> Range<u64> {
        self.free.clone()
    }
}

fn largest_free(info: &StartInfo) -> Range<u64> {
    let image = (&raw const image_end).addr() as u64;
    let ranges = (0..(info.memory_map_count as usize).min(MEMORY_MAP_MAX)).map(|index| {
        let address = info.memory_map + (index * size_of::<MemoryRange>()) as u64;
        // SAFETY: the structure says that there is a map of that many ranges.
        unsafe { read::<MemoryRange>(address) }
    });
    let free = ranges.filter(|range| range.kind == RAM).map(|range| {
        let end = range.address.saturating_add(range.size).min(MAPPED);
        range.address.max(image).min(end)..end
    });
    free.max_by_key(|range| range.end - range.start).unwrap_or(0..0)
}

fn pointer<T>(address: u64) -> *mut T {
    assert!(address != 0 && address < MAPPED, "the loader names memory beyond 4 GiB");
    core::ptr::with_exposed_provenance_mut(address as usize)
}

/// # Safety
///
/// A `T` is at that address, and any octets are a `T`.
unsafe fn read<T: Copy>(address: u64) -> T {
    // SAFETY: the caller's.
    unsafe { pointer::<T>(address).read_unaligned() }
}
