//! The system calls that are made before the lock, and the three that are left after it.

#![allow(unsafe_code, reason = "system calls without an allocating or caching library in between")]

use std::ffi::CStr;

use libc::c_int;
use libc::c_long;
use libc::c_ulong;

/// Reserves addresses; `None` when the kernel refuses.
pub(crate) fn reserve(octets: usize) -> Option<usize> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing that is there.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), octets, protection, flags, -1, 0) };
    (start != libc::MAP_FAILED).then_some(start as usize)
}

/// Reads from descriptor 0; 0 at its end, negative on an error.
pub(crate) fn read(buffer: &mut [u8]) -> isize {
    // SAFETY: the buffer is ours and as long as we say.
    unsafe { libc::read(0, buffer.as_mut_ptr().cast(), buffer.len()) }
}

/// Writes to descriptor 1; negative on an error.
pub(crate) fn write(buffer: &[u8]) -> isize {
    // SAFETY: the buffer is ours and as long as we say.
    unsafe { libc::write(1, buffer.as_ptr().cast(), buffer.len()) }
}

/// Ends the thread, and with it the process of one thread; the only way out under strict seccomp.
pub(crate) fn exit(status: c_int) -> ! {
    loop {
        // SAFETY: takes a number and does not return; `exit_group` of libc's would be a forbidden call.
        unsafe { libc::syscall(libc::SYS_exit, c_long::from(status)) };
    }
}

/// prctl with one argument.
pub(crate) fn prctl(option: c_int, argument: c_ulong) -> bool {
    const NONE: c_ulong = 0;
    // SAFETY: the options used here take numbers, no pointers.
    unsafe { libc::prctl(option, argument, NONE, NONE, NONE) == 0 }
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Installs a filter that lets read, write, exit and `rt_sigreturn` through, as strict mode does, and ends the process at
/// any other call. The filters that are there already go on to hold.
pub(crate) fn filter_all_but_strict() -> bool {
    // Of `struct seccomp_data`.
    const NUMBER_AT: u32 = 0;
    const ARCHITECTURE_AT: u32 = 4;
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let step = |code: u32, value: u32, if_equal: u8, if_not: u8| libc::sock_filter {
        code: code as u16,
        jt: if_equal,
        jf: if_not,
        k: value,
    };
    let mut steps = [
        step(LOAD, ARCHITECTURE_AT, 0, 0),
        step(EQUAL, ARCHITECTURE, 0, 5),
        step(LOAD, NUMBER_AT, 0, 0),
        step(EQUAL, libc::SYS_read as u32, 4, 0),
        step(EQUAL, libc::SYS_write as u32, 3, 0),
        step(EQUAL, libc::SYS_exit as u32, 2, 0),
        step(EQUAL, libc::SYS_rt_sigreturn as u32, 1, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    let mode = libc::SECCOMP_MODE_FILTER as c_ulong;
    // SAFETY: the program and its steps outlive the call, which copies them.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0, 0) == 0 }
}

/// Sets a resource's soft and hard limit.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, value: u64) -> bool {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the structure outlives the call.
    unsafe { libc::setrlimit(resource, &raw const limit) == 0 }
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> bool {
    // SAFETY: closing descriptors that nothing in this program uses any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) == 0 }
}

/// Makes `path` the root directory and the working directory.
pub(crate) fn change_root(path: &CStr) -> bool {
    // SAFETY: both paths are NUL-terminated and outlive the calls.
    unsafe { libc::chroot(path.as_ptr()) == 0 && libc::chdir(c"/".as_ptr()) == 0 }
}

/// Whether the root directory is one of procfs, as the parent may have set it: nothing in it can be opened.
pub(crate) fn root_is_empty() -> bool {
    // SAFETY: the structure is plain data that the call fills in.
    unsafe {
        let mut there: libc::statfs = std::mem::zeroed();
        let found = libc::statfs(c"/".as_ptr(), &raw mut there) == 0;
        found && there.f_type == libc::PROC_SUPER_MAGIC && libc::access(c"/self".as_ptr(), 0) != 0
    }
}

/// Gives up every capability.
pub(crate) fn drop_capabilities() -> bool {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [0u32; 6];
    // SAFETY: version 3 reads two structures of three 32-bit words each.
    unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) == 0 }
}
