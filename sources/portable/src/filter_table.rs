//! Which system calls are notified, and on which arguments.
//!
//! What is not named here runs untouched, up to [`LAST_CALL`]; a later number is a call that nobody
//! has looked at, and is answered as an older kernel would. Conditions look at registers only, so they cannot be
//! raced. `O_PATH` opens give no access and are left to the kernel; every use of such a descriptor
//! is judged.

use libc::c_long;

/// What the filter answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// The supervisor decides.
    Notify,
    /// The call fails, without asking.
    Errno(i32),
}

/// When the action applies; in any other case the call runs. Arguments count from 0 and only their
/// low 32 bits are looked at, as the kernel's own `int` arguments are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    /// Always.
    Always,
    /// Any bit of the mask is set.
    AnyBit { argument: u8, mask: u32 },
    /// No bit of the mask is set.
    NoBit { argument: u8, mask: u32 },
    /// The masked argument has this value.
    MaskedIs { argument: u8, mask: u32, value: u32 },
    /// Any bit of `any` is set, or the masked argument has this value.
    AnyBitOrMaskedIs { argument: u8, any: u32, mask: u32, value: u32 },
    /// The argument, all 64 bits of it, is not zero.
    NotZero { argument: u8 },
    /// The argument is one of these.
    OneOf { argument: u8, values: &'static [u32] },
    /// The argument is none of these.
    NoneOf { argument: u8, values: &'static [u32] },
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilteredCall {
    pub(crate) number: c_long,
    pub(crate) condition: Condition,
    pub(crate) action: Action,
}

const NAMESPACES: u32 = 0x7e02_0080;
/// For clone the lowest octet is the signal at its end.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;
const PROT_EXEC: u32 = 4;
const SHM_EXEC: u32 = 0o100_000;
const PRCTL_OPTIONS: &[u32] =
    &[1, 4, 8, 22, 24, 26, 28, 35, 36, 38, 47, 53, 57, 59, 62, 65, 0x5961_6d61];
/// `TIOCSTI` and `TIOCLINUX` type into a terminal, `TIOCGPTPEER` opens one, `FIOSETOWN` and `SIOCSPGRP`
/// name whom to signal.
const IOCTLS: &[u32] = &[0x5412, 0x541c, 0x5441, 0x8901, 0x8902];
/// `F_SETOWN` and `F_SETOWN_EX`.
const OWNER_COMMANDS: &[u32] = &[8, 15];

const fn notify(number: c_long) -> FilteredCall {
    notify_if(number, Condition::Always)
}

const fn notify_if(number: c_long, condition: Condition) -> FilteredCall {
    FilteredCall { number, condition, action: Action::Notify }
}

const fn fail(number: c_long, errno: i32) -> FilteredCall {
    FilteredCall { number, condition: Condition::Always, action: Action::Errno(errno) }
}

const fn executable(number: c_long) -> FilteredCall {
    notify_if(number, Condition::AnyBit { argument: 2, mask: PROT_EXEC })
}

const fn not_path_only(number: c_long, argument: u8) -> FilteredCall {
    notify_if(number, Condition::NoBit { argument, mask: libc::O_PATH as u32 })
}

/// The frequent calls stand first: the filter is run for every call of the workload.
pub(crate) const CALLS: &[FilteredCall] = &[
    not_path_only(libc::SYS_openat, 2),
    executable(libc::SYS_mmap),
    executable(libc::SYS_mprotect),
    #[cfg(target_arch = "x86_64")]
    not_path_only(libc::SYS_open, 1),
    // Another process with the same descriptors could exchange what is judged.
    notify_if(
        libc::SYS_clone,
        Condition::AnyBitOrMaskedIs {
            argument: 0,
            any: CLONE_NAMESPACES,
            mask: (libc::CLONE_FILES | libc::CLONE_THREAD) as u32,
            value: libc::CLONE_FILES as u32,
        },
    ),
    fail(libc::SYS_clone3, libc::ENOSYS),
    notify(libc::SYS_execve),
    notify(libc::SYS_execveat),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_creat),
    notify(libc::SYS_openat2),
    executable(libc::SYS_pkey_mprotect),
    // Sockets.
    notify(libc::SYS_socket),
    notify(libc::SYS_socketpair),
    notify(libc::SYS_bind),
    notify(libc::SYS_connect),
    notify(libc::SYS_listen),
    notify(libc::SYS_accept),
    notify(libc::SYS_accept4),
    notify_if(libc::SYS_sendto, Condition::NotZero { argument: 4 }),
    notify(libc::SYS_sendmsg),
    notify(libc::SYS_sendmmsg),
    // Other processes.
    notify(libc::SYS_kill),
    notify(libc::SYS_tkill),
    notify(libc::SYS_tgkill),
    notify(libc::SYS_rt_sigqueueinfo),
    notify(libc::SYS_rt_tgsigqueueinfo),
    notify(libc::SYS_pidfd_send_signal),
    notify(libc::SYS_pidfd_getfd),
    notify(libc::SYS_ptrace),
    notify(libc::SYS_process_vm_readv),
    notify(libc::SYS_process_vm_writev),
    notify(libc::SYS_process_madvise),
    notify(libc::SYS_kcmp),
    notify_if(libc::SYS_migrate_pages, Condition::NotZero { argument: 0 }),
    notify_if(libc::SYS_move_pages, Condition::NotZero { argument: 0 }),
    notify_if(libc::SYS_get_robust_list, Condition::NotZero { argument: 0 }),
    notify_if(libc::SYS_prlimit64, Condition::NotZero { argument: 0 }),
    // Names and inodes.
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_mkdir),
    notify(libc::SYS_mkdirat),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_mknod),
    notify(libc::SYS_mknodat),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_symlink),
    notify(libc::SYS_symlinkat),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_link),
    notify(libc::SYS_linkat),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_unlink),
    notify(libc::SYS_unlinkat),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_rmdir),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_rename),
    notify(libc::SYS_renameat),
    notify(libc::SYS_renameat2),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_chmod),
    notify(libc::SYS_fchmod),
    notify(libc::SYS_fchmodat),
    notify(FCHMODAT2),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_chown),
    notify(libc::SYS_fchown),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_lchown),
    notify(libc::SYS_fchownat),
    notify(libc::SYS_truncate),
    notify(libc::SYS_ftruncate),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_utime),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_utimes),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_futimesat),
    notify(libc::SYS_utimensat),
    notify(libc::SYS_setxattr),
    notify(libc::SYS_lsetxattr),
    notify(libc::SYS_fsetxattr),
    notify(SETXATTRAT),
    notify(libc::SYS_removexattr),
    notify(libc::SYS_lremovexattr),
    notify(libc::SYS_fremovexattr),
    notify(REMOVEXATTRAT),
    notify(FILE_SETATTR),
    notify(libc::SYS_open_by_handle_at),
    notify(libc::SYS_mq_open),
    notify(libc::SYS_mq_unlink),
    notify(libc::SYS_umask),
    // Mounts and roots.
    notify(libc::SYS_mount),
    notify(libc::SYS_umount2),
    notify(libc::SYS_move_mount),
    notify(libc::SYS_open_tree),
    notify(OPEN_TREE_ATTR),
    notify(libc::SYS_fsopen),
    notify(libc::SYS_fsconfig),
    notify(libc::SYS_fsmount),
    notify(libc::SYS_fspick),
    notify(libc::SYS_mount_setattr),
    notify(libc::SYS_pivot_root),
    notify(libc::SYS_chroot),
    // Credentials.
    notify(libc::SYS_setuid),
    notify(libc::SYS_setreuid),
    notify(libc::SYS_setresuid),
    notify(libc::SYS_setfsuid),
    notify(libc::SYS_setgid),
    notify(libc::SYS_setregid),
    notify(libc::SYS_setresgid),
    notify(libc::SYS_setfsgid),
    notify(libc::SYS_setgroups),
    notify(libc::SYS_capset),
    notify_if(libc::SYS_prctl, Condition::OneOf { argument: 0, values: PRCTL_OPTIONS }),
    notify_if(libc::SYS_personality, Condition::NoneOf { argument: 0, values: &[0, 0xffff_ffff] }),
    // Namespaces; CLONE_FS and CLONE_FILES alone only take sharing away.
    notify_if(libc::SYS_unshare, Condition::AnyBit { argument: 0, mask: NAMESPACES }),
    notify(libc::SYS_setns),
    // The kernel itself.
    notify(libc::SYS_bpf),
    notify(libc::SYS_perf_event_open),
    notify(libc::SYS_init_module),
    notify(libc::SYS_finit_module),
    notify(libc::SYS_delete_module),
    notify(libc::SYS_kexec_load),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_kexec_file_load),
    notify(libc::SYS_add_key),
    notify(libc::SYS_request_key),
    notify(libc::SYS_keyctl),
    notify(libc::SYS_quotactl),
    notify(libc::SYS_quotactl_fd),
    notify(libc::SYS_syslog),
    notify(libc::SYS_settimeofday),
    notify(libc::SYS_clock_settime),
    notify(libc::SYS_clock_adjtime),
    notify(libc::SYS_adjtimex),
    notify(libc::SYS_swapon),
    notify(libc::SYS_swapoff),
    notify(libc::SYS_acct),
    notify(libc::SYS_reboot),
    notify(libc::SYS_sethostname),
    notify(libc::SYS_setdomainname),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_ioperm),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_iopl),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_modify_ldt),
    #[cfg(target_arch = "x86_64")]
    notify(libc::SYS_uselib),
    // What reaches objects past the filter.
    notify(libc::SYS_io_uring_setup),
    notify(libc::SYS_userfaultfd),
    notify(libc::SYS_fanotify_init),
    notify_if(
        libc::SYS_shmat,
        Condition::MaskedIs { argument: 2, mask: SHM_EXEC, value: SHM_EXEC },
    ),
    notify_if(libc::SYS_ioctl, Condition::OneOf { argument: 1, values: IOCTLS }),
    notify_if(libc::SYS_fcntl, Condition::OneOf { argument: 1, values: OWNER_COMMANDS }),
];

// Newer than the floor of our libc; the numbers are the same on every architecture.
pub(crate) const FCHMODAT2: c_long = 452;
pub(crate) const SETXATTRAT: c_long = 463;
pub(crate) const REMOVEXATTRAT: c_long = 466;
pub(crate) const OPEN_TREE_ATTR: c_long = 467;
pub(crate) const FILE_SETATTR: c_long = 469;

/// The last call of the kernel that this table was made from, Linux 6.19 (`listns`).
pub(crate) const LAST_CALL: u32 = 470;
