//! Calls on the kernel itself.
//!
//! The kernel carries them out, after its own checks; what decides stands in registers.

use std::os::fd::AsFd;

use tsem::EventKind;
use tsem::Loss;
use tsem::Value;

use super::guards;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::file;
use crate::sys;

const KERNEL_MODULE: u64 = 2;
const KEXEC_IMAGE: u64 = 3;
const KEY_TYPE_MAX: u64 = 32;
const CLOCK_REALTIME: u64 = 0;

/// An event whose fields are 32-bit arguments.
fn numbers(call: &Call, kind: EventKind, arguments: &[usize]) -> Handled {
    let values = arguments.iter().map(|index| Value::Number(call.argument(*index) & 0xffff_ffff));
    call.judge(kind, values.collect())?;
    Ok(Outcome::Continue)
}

pub(crate) fn bpf(call: &Call) -> Handled {
    numbers(call, EventKind::Bpf, &[0])
}

/// The type stands in memory.
pub(crate) fn perf_event_open(call: &Call) -> Handled {
    let kind = call.bytes(call.argument(0), 4)?;
    let kind = kind.first_chunk().map_or(0, |kind| u32::from_ne_bytes(*kind));
    call.judge(EventKind::PerfEventOpen, vec![Value::Number(kind.into())])?;
    guards::with_memory(call, call.argument(0), 4)
}

pub(crate) fn init_module(call: &Call) -> Handled {
    call.judge(EventKind::KernelLoadData, vec![Value::Number(KERNEL_MODULE)])?;
    Ok(Outcome::Continue)
}

pub(crate) fn kexec_load(call: &Call) -> Handled {
    call.judge(EventKind::KernelLoadData, vec![Value::Number(KEXEC_IMAGE)])?;
    Ok(Outcome::Continue)
}

pub(crate) fn finit_module(call: &Call) -> Handled {
    read_file(call, KERNEL_MODULE)
}

pub(crate) fn kexec_file_load(call: &Call) -> Handled {
    read_file(call, KEXEC_IMAGE)
}

fn read_file(call: &Call, what: u64) -> Handled {
    let fd = call.descriptor(call.argument(0) as i32)?;
    let stat = sys::fstat(fd.as_fd())?;
    let mut described = file::describe(fd.as_fd(), &stat)?;
    let digest = call.supervisor.digests.of(fd.as_fd(), &stat);
    described.digest = digest.map_err(|_| call.lost(Loss::Unreadable))?;
    call.judge(EventKind::KernelReadFile, vec![described.into(), Value::Number(what)])?;
    if call.descriptors_are_private() { Ok(Outcome::Continue) } else { guards::unfilterable(call) }
}

pub(crate) fn add_key(call: &Call) -> Handled {
    let kind = call.text(call.argument(0))?;
    let length = (kind.len() as u64 + 1).min(KEY_TYPE_MAX);
    call.judge(EventKind::KeyAlloc, vec![Value::Text(kind)])?;
    guards::with_memory(call, call.argument(0), length)
}

/// Operations of keyctl(2) by their number; `request_key(2)` has none.
pub(crate) fn keyctl(call: &Call) -> Handled {
    numbers(call, EventKind::KeyPermission, &[0])
}

pub(crate) fn request_key(call: &Call) -> Handled {
    call.judge(EventKind::KeyPermission, vec![Value::Number(u32::MAX.into())])?;
    Ok(Outcome::Continue)
}

/// `QCMD(command, type)`: the type is the lowest octet.
pub(crate) fn quotactl(call: &Call) -> Handled {
    quota(call, call.argument(0))
}

pub(crate) fn quotactl_fd(call: &Call) -> Handled {
    quota(call, call.argument(1))
}

fn quota(call: &Call, command: u64) -> Handled {
    let (command, kind) = ((command & 0xffff_ffff) >> 8, command & 0xff);
    call.judge(EventKind::Quotactl, vec![Value::Number(command), Value::Number(kind)])?;
    Ok(Outcome::Continue)
}

pub(crate) fn syslog(call: &Call) -> Handled {
    numbers(call, EventKind::Syslog, &[0])
}

pub(crate) fn clock_settime(call: &Call) -> Handled {
    numbers(call, EventKind::Settime, &[0])
}

pub(crate) fn settimeofday(call: &Call) -> Handled {
    call.judge(EventKind::Settime, vec![Value::Number(CLOCK_REALTIME)])?;
    Ok(Outcome::Continue)
}

/// Reading the clock's parameters is no event.
pub(crate) fn adjtimex(call: &Call) -> Handled {
    adjust(call, CLOCK_REALTIME, call.argument(0))
}

pub(crate) fn clock_adjtime(call: &Call) -> Handled {
    adjust(call, call.argument(0) & 0xffff_ffff, call.argument(1))
}

fn adjust(call: &Call, clock: u64, at: u64) -> Handled {
    let modes = call.bytes(at, 4)?;
    if modes != [0; 4] {
        call.judge(EventKind::Settime, vec![Value::Number(clock)])?;
    }
    guards::with_memory(call, at, 4)
}

/// Memory that others write and this process executes.
pub(crate) fn shmat(call: &Call) -> Handled {
    const READ_EXEC: u64 = 5;
    const READ_WRITE_EXEC: u64 = 7;
    const SHARED: u64 = 1;
    let only_read = call.argument(2) as i32 & libc::SHM_RDONLY != 0;
    let protection = if only_read { READ_EXEC } else { READ_WRITE_EXEC };
    let values = [Value::NoFile, Value::Number(protection), Value::Number(SHARED)];
    call.judge(EventKind::MmapFile, values.into())?;
    Ok(Outcome::Continue)
}
