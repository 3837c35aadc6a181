//! Whether this kernel lets a program be attached to a hook, and calls it there.
//!
//! Configured is not active, and active is not attachable: so a program of a few instructions is
//! loaded at the hook of syslog(2), attached, called by a call of our own, and detached. It counts its
//! calls and changes nothing. Then some like it where programs are already, since a hook can be full that
//! another is not. Each step tells the kernel's own error number.
#![allow(unsafe_code, reason = "raw calls of libbpf: its safe layer keeps no error numbers")]

use std::collections::HashSet;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types;
use libbpf_rs::libbpf_sys;
use libbpf_rs::libbpf_sys::bpf_insn;
use libbpf_rs::query::LinkInfoIter;
use libbpf_rs::query::LinkTypeInfo;

use crate::full_programs;
use crate::programs;
use crate::programs::KernelError;
use crate::sets::Set;
use crate::sys::Errno;

const TRACED: &str = "/sys/kernel/tracing/enabled_functions";
const NAME: &std::ffi::CStr = c"quixote_probe";
/// What to do where a hook has as many programs as it can hold.
pub const MEND_OF_FULL: &str =
    "see whose they are (bpftool link list), and end some: a hook holds 38";
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kernel's function at which the program was to be called.
    pub function: String,
    /// At what.
    pub step: Step,
    /// Its error.
    pub errno: Errno,
}

/// A function of the kernel at which a program can be attached, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    function: String,
    kind: u32,
    attach: u32,
}

impl Place {
    fn lsm(hook: &str) -> Self {
        Self {
            function: format!("bpf_lsm_{hook}"),
            kind: libbpf_sys::BPF_PROG_TYPE_LSM,
            attach: libbpf_sys::BPF_LSM_MAC,
        }
    }

    /// By the name of a program's section, as libbpf has them; `None` where any number fits.
    fn of_section(section: &str) -> Option<Self> {
        match section.split_once('/')? {
            ("lsm" | "lsm.s", hook) => Some(Self::lsm(hook)),
            ("fentry", function) => Some(Self {
                function: function.into(),
                kind: libbpf_sys::BPF_PROG_TYPE_TRACING,
                attach: libbpf_sys::BPF_TRACE_FENTRY,
            }),
            _ => None,
        }
    }

    fn refused(&self, step: Step) -> impl Fn(Errno) -> Refusal + use<> {
        let function = self.function.clone();
        move |errno| Refusal { function: function.clone(), step, errno }
    }

    /// A program that counts, attached as long as what is returned lives.
    fn attach(&self, kernel: &Btf<'_>, counter: &OwnedFd) -> Result<OwnedFd, Refusal> {
        let function = kernel.type_by_name::<types::Func<'_>>(self.function.as_str());
        let function = function.ok_or_else(|| self.refused(Step::Types)(Errno(libc::ENOENT)))?;
        let insns = program(counter.as_raw_fd());
        let program =
            load(&insns, self, function.type_id().into()).map_err(self.refused(Step::Load))?;
        attach(&program).map_err(self.refused(Step::Attach))
    }
}

/// Loads, attaches, calls and detaches a program. Whether it was called: attached programs are not
/// where `bpf` is not among the active security modules.
///
/// # Errors
///
/// The step at which the kernel refuses.
pub fn try_out() -> Result<bool, Refusal> {
    let place = Place::lsm("syslog");
    let kernel = kernel_types().ok_or_else(|| place.refused(Step::Types)(Errno(libc::ENOENT)))?;
    let counter = counter().map_err(place.refused(Step::Map))?;
    let link = place.attach(&kernel, &counter)?;
    // SAFETY: no pointers are passed.
    unsafe { libc::klogctl(SIZE_BUFFER, std::ptr::null_mut(), 0) };
    drop(link);
    Ok(count(&counter) > 0)
}

/// What of our programs has to find a place at a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What every namespace needs.
    Core,
    /// What those of the profile `full` need besides.
    Full,
}

/// Hooks where programs are attached already, and those of a part that are not loaded have to find a place.
///
/// Not all hooks: the kernel waits a tenth of a second for each program that is the last at its hook to go.
pub struct SharedHooks {
    places: Vec<Place>,
    kernel: Btf<'static>,
}

impl SharedHooks {
    /// Those of a part.
    ///
    /// # Errors
    ///
    /// Our programs or the kernel's types cannot be looked at.
    pub fn of(part: Part) -> Result<Self, KernelError> {
        let mut places = missing_places(part)?;
        let kernel = Btf::from_vmlinux().map_err(KernelError::Refused)?;
        let taken = Taken::look();
        places.retain(|place| taken.holds(&kernel, place));
        Ok(Self { places, kernel })
    }

    /// Attaches a program for each of ours, all at the same time, and detaches them. How many.
    ///
    /// # Errors
    ///
    /// The first hook that takes none.
    pub fn try_out(&self) -> Result<usize, Refusal> {
        let Some(first) = self.places.first() else { return Ok(0) };
        let counter = counter().map_err(first.refused(Step::Map))?;
        let attached = self.places.iter().map(|place| place.attach(&self.kernel, &counter));
        Ok(attached.collect::<Result<Vec<_>, _>>()?.len())
    }
}

/// The functions of the kernel that somebody is called at.
struct Taken {
    by_programs: HashSet<u32>,
    /// `function (count) ...`, ftrace's documentation; empty where it is not to be seen.
    by_tracing: String,
}

impl Taken {
    fn look() -> Self {
        let functions = LinkInfoIter::default().filter_map(|link| match link.info {
            LinkTypeInfo::Tracing(tracing) => Some(tracing.target_btf_id),
            _ => None,
        });
        Self {
            by_programs: functions.collect(),
            by_tracing: fs::read_to_string(TRACED).unwrap_or_default(),
        }
    }

    fn holds(&self, kernel: &Btf<'_>, place: &Place) -> bool {
        let traced = |line: &str| line.split(' ').next() == Some(&place.function);
        let function = kernel.type_by_name::<types::Func<'_>>(place.function.as_str());
        function.is_some_and(|found| self.by_programs.contains(&found.type_id().into()))
            || self.by_tracing.lines().any(traced)
    }
}

/// Where the programs of our set have to be attached yet.
fn missing_places(part: Part) -> Result<Vec<Place>, KernelError> {
    let own = Set::own();
    let sections = match part {
        Part::Core if !own.is_loaded() => programs::sections()?,
        Part::Full if !own.full_links().exists() => full_programs::sections()?,
        _ => Vec::new(),
    };
    Ok(sections.iter().filter_map(|section| Place::of_section(section)).collect())
}

fn kernel_types() -> Option<Btf<'static>> {
    let before = libbpf_rs::set_print(None);
    let kernel = Btf::from_vmlinux().ok();
    libbpf_rs::set_print(before);
    kernel
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

fn load(insns: &[bpf_insn], place: &Place, function: u32) -> Result<OwnedFd, Errno> {
    let mut options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        expected_attach_type: place.attach,
        attach_btf_id: function,
        ..Default::default()
    };
    let (kind, license) = (place.kind, c"GPL".as_ptr());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_names_the_kernels_function() {
        let function = |section| Place::of_section(section).map(|place| place.function);
        assert_eq!(function("lsm/file_open").unwrap(), "bpf_lsm_file_open");
        assert_eq!(function("lsm.s/inode_setattr").unwrap(), "bpf_lsm_inode_setattr");
        assert_eq!(function("fentry/__x64_sys_personality").unwrap(), "__x64_sys_personality");
        assert_eq!(function("tp_btf/task_newtask"), None);
        assert_eq!(function("syscall"), None);
    }
}
