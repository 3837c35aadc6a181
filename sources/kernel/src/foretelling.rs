//! The filter by which calls are told as they begin whose hooks cannot wait.
//!
//! It decides nothing: what it does not tell of, as calls of other architectures and of `io_uring`, is
//! left to the hook, which refuses what only a rule allows.

use std::mem::offset_of;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

#[cfg(target_arch = "x86_64")]
const CALLS: [i64; 4] = [libc::SYS_mkdir, libc::SYS_mkdirat, libc::SYS_link, libc::SYS_linkat];
#[cfg(target_arch = "aarch64")]
const CALLS: [i64; 2] = [libc::SYS_mkdirat, libc::SYS_linkat];

/// Notifies of [`CALLS`], and lets everything pass.
pub(crate) fn filter() -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let line = |code: u32, yes: usize, no: usize, k: u32| libc::sock_filter {
        code: code as u16,
        jt: yes as u8,
        jf: no as u8,
        k,
    };
    let count = CALLS.len();
    let mut program = vec![
        line(LOAD, 0, 0, offset_of!(libc::seccomp_data, arch) as u32),
        line(IF_EQUAL, 0, count + 1, ARCHITECTURE),
        line(LOAD, 0, 0, offset_of!(libc::seccomp_data, nr) as u32),
    ];
    let compare = |(index, number): (usize, &i64)| line(IF_EQUAL, count - index, 0, *number as u32);
    program.extend(CALLS.iter().enumerate().map(compare));
    program.push(line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program.push(line(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    program
}
