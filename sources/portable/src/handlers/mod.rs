//! One handler for each family of calls; this table says which.
//!
//! A notified call without a handler is refused and reported: never silently let through.

mod attributes;
mod extended;
mod file_system;
mod guards;
pub(crate) mod held;
mod identity;
mod message;
mod mounts;
mod names;
mod namespace;
mod open;
mod other_process;
mod owner;
mod privileged;
mod queue;
mod rename;
mod signal;
mod socket;
mod terminal;

pub(crate) mod address;
pub(crate) mod exec;
pub(crate) mod mapping;

use tsem::EventKind;
use tsem::Value;

use crate::bpf;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Refusal;

/// Decides a call and, where that is ours to do, carries it out.
pub(crate) fn handle(call: &Call) -> Handled {
    if is_foreign(call) {
        return guards::foreign_abi(call);
    }
    match i64::from(call.notification.number) {
        libc::SYS_openat => open::openat(call),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => open::open(call),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_creat => open::creat(call),
        libc::SYS_openat2 => open::openat2(call),
        libc::SYS_execve => exec::execve(call),
        libc::SYS_execveat => exec::execveat(call),
        libc::SYS_mmap => mapping::mmap(call),
        libc::SYS_mprotect | libc::SYS_pkey_mprotect => mapping::mprotect(call),
        libc::SYS_io_uring_setup => guards::io_uring_setup(call),
        libc::SYS_personality => guards::personality(call),
        number => handle_network(call, number),
    }
}

/// Sockets and messages.
fn handle_network(call: &Call, number: i64) -> Handled {
    match number {
        libc::SYS_socket => socket::socket(call),
        libc::SYS_socketpair => socket::socketpair(call),
        libc::SYS_bind => socket::bind(call),
        libc::SYS_connect => socket::connect(call),
        libc::SYS_listen => socket::listen(call),
        libc::SYS_accept => socket::accept(call),
        libc::SYS_accept4 => socket::accept4(call),
        libc::SYS_sendto => message::sendto(call),
        libc::SYS_sendmsg => message::sendmsg(call),
        libc::SYS_sendmmsg => message::sendmmsg(call),
        number => handle_process(call, number),
    }
}

/// Other processes, and a process's own credentials.
fn handle_process(call: &Call, number: i64) -> Handled {
    match number {
        libc::SYS_kill => signal::kill(call),
        libc::SYS_tkill => signal::tkill(call),
        libc::SYS_tgkill => signal::tgkill(call),
        libc::SYS_rt_sigqueueinfo => signal::rt_sigqueueinfo(call),
        libc::SYS_rt_tgsigqueueinfo => signal::rt_tgsigqueueinfo(call),
        libc::SYS_pidfd_send_signal => signal::pidfd_send_signal(call),
        libc::SYS_ptrace => other_process::ptrace(call),
        libc::SYS_process_vm_readv | libc::SYS_process_vm_writev => {
            other_process::process_memory(call)
        }
        libc::SYS_fcntl => owner::fcntl(call),
        libc::SYS_ioctl => owner::ioctl(call),
        libc::SYS_kcmp => other_process::kcmp(call),
        libc::SYS_migrate_pages | libc::SYS_move_pages | libc::SYS_get_robust_list => {
            other_process::looked_into(call)
        }
        libc::SYS_process_madvise => other_process::process_madvise(call),
        libc::SYS_pidfd_getfd => other_process::pidfd_getfd(call),
        libc::SYS_prlimit64 => other_process::prlimit(call),
        libc::SYS_setuid => identity::setuid(call),
        libc::SYS_setreuid => identity::setreuid(call),
        libc::SYS_setresuid => identity::setresuid(call),
        libc::SYS_setfsuid => identity::setfsuid(call),
        libc::SYS_setgid => identity::setgid(call),
        libc::SYS_setregid => identity::setregid(call),
        libc::SYS_setresgid => identity::setresgid(call),
        libc::SYS_setfsgid => identity::setfsgid(call),
        libc::SYS_setgroups => identity::setgroups(call),
        libc::SYS_capset => identity::capset(call),
        libc::SYS_prctl => identity::prctl(call),
        libc::SYS_clone => namespace::clone(call),
        libc::SYS_unshare => namespace::unshare(call),
        libc::SYS_setns => namespace::setns(call),
        number => handle_kernel(call, number),
    }
}

/// The kernel itself.
fn handle_kernel(call: &Call, number: i64) -> Handled {
    match number {
        libc::SYS_bpf => privileged::bpf(call),
        libc::SYS_perf_event_open => privileged::perf_event_open(call),
        libc::SYS_init_module => privileged::init_module(call),
        libc::SYS_finit_module => privileged::finit_module(call),
        libc::SYS_kexec_load => privileged::kexec_load(call),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_kexec_file_load => privileged::kexec_file_load(call),
        libc::SYS_add_key => privileged::add_key(call),
        libc::SYS_request_key => privileged::request_key(call),
        libc::SYS_keyctl => privileged::keyctl(call),
        libc::SYS_quotactl => privileged::quotactl(call),
        libc::SYS_quotactl_fd => privileged::quotactl_fd(call),
        libc::SYS_syslog => privileged::syslog(call),
        libc::SYS_settimeofday => privileged::settimeofday(call),
        libc::SYS_clock_settime => privileged::clock_settime(call),
        libc::SYS_clock_adjtime => privileged::clock_adjtime(call),
        libc::SYS_adjtimex => privileged::adjtimex(call),
        libc::SYS_shmat => privileged::shmat(call),
        libc::SYS_mq_open => queue::mq_open(call),
        libc::SYS_mq_unlink => queue::mq_unlink(call),
        number if guards::IN_REGISTERS.contains(&number) => guards::unfilterable(call),
        _ => file_system::handle(call).unwrap_or_else(|| unhandled(call)),
    }
}

fn is_foreign(call: &Call) -> bool {
    #[cfg(target_arch = "x86_64")]
    if call.notification.number as u32 & bpf::X32_BIT != 0 {
        return true;
    }
    call.notification.architecture != bpf::AUDIT_ARCH
}

/// Reported whatever the agent says, refused whatever it says: nothing here could carry it out.
fn unhandled(call: &Call) -> Handled {
    let number = Value::Number(call.notification.number as u32 as u64);
    match call.judge(EventKind::UnfilterableCall, vec![number]) {
        Err(Refusal::Kill) => Err(Refusal::Kill),
        _ => Err(Refusal::Errno(libc::EPERM)),
    }
}
