//! Whether this kernel lets a program be attached to a hook, and calls it there.
//!
//! Configured is not active, and active is not attachable: so a program of a few instructions is
//! loaded at the hook of syslog(2), attached, called by a call of our own, and detached. It counts its
//! calls and changes nothing. Each step tells the kernel's own error number.
#![allow(unsafe_code, reason = "raw calls of libbpf: its safe layer keeps no error numbers")]

use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types;
use libbpf_rs::libbpf_sys;
use libbpf_rs::libbpf_sys::bpf_insn;

use crate::sys::Errno;

const HOOK: &str = "bpf_lsm_syslog";
const NAME: &std::ffi::CStr = c"quixote_probe";
/// Asks for the size of the kernel's log.
const SIZE_BUFFER: i32 = 10;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The kernel's types, where the hook is looked up.
    Types,
    /// Making a map.
    Map,
    /// Loading the program.
    Load,
    /// Attaching it.
    Attach,
}

/// The kernel refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// At what.
    pub step: Step,
    /// Its error.
    pub errno: Errno,
}

/// Loads, attaches, calls and detaches a program. Whether it was called: attached programs are not
/// where `bpf` is not among the active security modules.
///
/// # Errors
///
/// The step at which the kernel refuses.
pub fn try_out() -> Result<bool, Refusal> {
    let refused = |step| move |errno| Refusal { step, errno };
    let hook = hook().ok_or(Refusal { step: Step::Types, errno: Errno(libc::ENOENT) })?;
    let counter = counter().map_err(refused(Step::Map))?;
    let program = load(&program(counter.as_raw_fd()), hook).map_err(refused(Step::Load))?;
    let link = attach(&program).map_err(refused(Step::Attach))?;
    // SAFETY: no pointers are passed.
    unsafe { libc::klogctl(SIZE_BUFFER, std::ptr::null_mut(), 0) };
    drop(link);
    Ok(count(&counter) > 0)
}

fn hook() -> Option<u32> {
    let before = libbpf_rs::set_print(None);
    let kernel = Btf::from_vmlinux().ok();
    libbpf_rs::set_print(before);
    let kernel = kernel?;
    let hook = kernel.type_by_name::<types::Func<'_>>(HOOK)?;
    Some(hook.type_id().into())
}

/// Counts in the map's one value, and looks at the kernel's memory, which lockdown may forbid.
fn program(counter: i32) -> Vec<bpf_insn> {
    const VALUE_OF_MAP: u8 = 2;
    const LOAD_64: u8 = 0x18;
    const MOVE: u8 = 0xb7;
    const MOVE_REGISTER: u8 = 0xbf;
    const ADD: u8 = 0x07;
    const ATOMIC_ADD_64: u8 = 0xdb;
    const CALL: u8 = 0x85;
    const EXIT: u8 = 0x95;
    const STACK: u8 = 10;
    const PROBE_READ_KERNEL: i32 = 113;
    let insn = |code, to, from, imm| bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(to, from),
        off: 0,
        imm,
    };
    vec![
        insn(LOAD_64, 1, VALUE_OF_MAP, counter),
        insn(0, 0, 0, 0),
        insn(MOVE, 2, 0, 1),
        insn(ATOMIC_ADD_64, 1, 2, 0),
        insn(MOVE_REGISTER, 1, STACK, 0),
        insn(ADD, 1, 0, -8),
        insn(MOVE, 2, 0, 8),
        insn(MOVE, 3, 0, 0),
        insn(CALL, 0, 0, PROBE_READ_KERNEL),
        insn(MOVE, 0, 0, 0),
        insn(EXIT, 0, 0, 0),
    ]
}

/// A new descriptor, or the negative error number that libbpf gives.
fn owned(fd: i32) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(Errno(-fd));
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn counter() -> Result<OwnedFd, Errno> {
    let kind = libbpf_sys::BPF_MAP_TYPE_ARRAY;
    // SAFETY: the name ends with a NUL; no options are passed.
    owned(unsafe { libbpf_sys::bpf_map_create(kind, NAME.as_ptr(), 4, 8, 1, std::ptr::null()) })
}

fn load(insns: &[bpf_insn], hook: u32) -> Result<OwnedFd, Errno> {
    let mut options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        expected_attach_type: libbpf_sys::BPF_LSM_MAC,
        attach_btf_id: hook,
        ..Default::default()
    };
    let (kind, license) = (libbpf_sys::BPF_PROG_TYPE_LSM, c"GPL".as_ptr());
    let (start, length) = (insns.as_ptr(), insns.len() as libbpf_sys::size_t);
    // SAFETY: the texts end with a NUL; instructions and options outlive the call.
    owned(unsafe {
        libbpf_sys::bpf_prog_load(kind, NAME.as_ptr(), license, start, length, &raw mut options)
    })
}

/// Attached as long as what is returned lives.
fn attach(program: &OwnedFd) -> Result<OwnedFd, Errno> {
    // SAFETY: a program of this type needs no name.
    owned(unsafe { libbpf_sys::bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) })
}

fn count(counter: &OwnedFd) -> u64 {
    let (key, mut value) = (0_u32, 0_u64);
    let (at, to) = ((&raw const key).cast(), (&raw mut value).cast());
    // SAFETY: key and value have the sizes that the map was made with.
    unsafe { libbpf_sys::bpf_map_lookup_elem(counter.as_raw_fd(), at, to) };
    value
}
