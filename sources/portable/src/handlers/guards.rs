//! Calls that a filter cannot judge in detail: allowed as such, or not at all.
//!
//! All that decides stands in registers, so the kernel may go on with the call.

use tsem::EventKind;
use tsem::Value;

use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;

/// Calls that are events by their number alone. What they act on is privileged, or reaches past the
/// filter, so a model holds them as such or not at all.
pub(crate) const IN_REGISTERS: &[i64] = &[
    libc::SYS_delete_module,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// i386 and x32 calls reach the same kernel by other numbers.
pub(crate) fn foreign_abi(call: &Call) -> Handled {
    let architecture = Value::Number(call.notification.architecture as u64);
    let number = Value::Number(call.notification.number as u32 as u64);
    call.judge(EventKind::ForeignAbi, vec![architecture, number])?;
    Ok(Outcome::Continue)
}

/// An `io_uring` opens and connects past the filter.
pub(crate) fn io_uring_setup(call: &Call) -> Handled {
    call.judge(EventKind::UringAllowed, Vec::new())?;
    Ok(Outcome::Continue)
}

/// Turns off randomisation, or makes all that is readable executable.
pub(crate) fn personality(call: &Call) -> Handled {
    let persona = Value::Number(call.argument(0) as u32 as u64);
    call.judge(EventKind::Personality, vec![persona])?;
    Ok(Outcome::Continue)
}

/// A call that reaches objects past the filter, or whose arguments someone else could exchange.
pub(crate) fn unfilterable(call: &Call) -> Handled {
    let number = Value::Number(call.notification.number as u32 as u64);
    call.judge(EventKind::UnfilterableCall, vec![number])?;
    Ok(Outcome::Continue)
}

/// As [`unfilterable`], where it could not be let through even if the model held it.
pub(crate) fn refused(call: &Call) -> Refusal {
    match unfilterable(call) {
        Err(Refusal::Kill) => Refusal::Kill,
        _ => Refusal::Errno(libc::EPERM),
    }
}

/// Goes on if nobody can exchange what an argument points to; else it is unfilterable.
pub(crate) fn with_memory(call: &Call, address: u64, length: u64) -> Handled {
    if call.memory_is_private(address, length) {
        return Ok(Outcome::Continue);
    }
    unfilterable(call)
}
