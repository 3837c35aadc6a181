//! Names of numbers: flag bits and enumerations, as they are written in text, JSON and docs.
//!
//! A name is presentation; the number is what is hashed. A number without a name is written as a
//! number and survives every round trip.

/// Names for bits (in a flag field) or values (in a choice field).
#[derive(Debug)]
pub struct Names(pub &'static [(&'static str, u64)]);

impl Names {
    /// The name of a number.
    pub fn name(&self, number: u64) -> Option<&'static str> {
        self.0.iter().find(|(_, n)| *n == number).map(|(name, _)| *name)
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, number)| *number)
    }
}

/// What an open is for; the canonical form of open flags.
pub static OPEN_INTENT: Names = Names(&[
    ("read", 1),
    ("write", 2),
    ("append", 4),
    ("create", 8),
    ("truncate", 16),
    ("exclusive", 32),
    ("directory", 64),
    ("path", 128),
    ("exec", 256),
]);

/// `PROT_*`, mmap(2).
pub static PROTECTION: Names = Names(&[("read", 1), ("write", 2), ("exec", 4)]);

/// How a mapping is shared.
pub static SHARING: Names = Names(&[("shared", 1), ("private", 2)]);

/// `PTRACE_MODE_READ` and `PTRACE_MODE_ATTACH`, include/linux/ptrace.h.
pub static PTRACE_MODE: Names = Names(&[("read", 1), ("attach", 2)]);

/// `RENAME_*`, renameat2(2).
pub static RENAME: Names = Names(&[("noreplace", 1), ("exchange", 2), ("whiteout", 4)]);

/// `ATTR_*` as they reach `inode_setattr`, include/linux/fs.h, reduced to what was asked for.
pub static ATTRIBUTES: Names = Names(&[
    ("mode", 1),
    ("uid", 2),
    ("gid", 4),
    ("size", 8),
    ("atime", 16),
    ("mtime", 32),
    ("times_now", 64),
]);

/// `MS_*`, mount(2).
pub static MOUNT: Names = Names(&[
    ("rdonly", 1),
    ("nosuid", 2),
    ("nodev", 4),
    ("noexec", 8),
    ("synchronous", 16),
    ("remount", 32),
    ("mandlock", 64),
    ("dirsync", 128),
    ("nosymfollow", 256),
    ("noatime", 1024),
    ("nodiratime", 2048),
    ("bind", 4096),
    ("move", 8192),
    ("rec", 16384),
    ("silent", 32768),
    ("unbindable", 1 << 17),
    ("private", 1 << 18),
    ("slave", 1 << 19),
    ("shared", 1 << 20),
    ("relatime", 1 << 21),
    ("strictatime", 1 << 24),
    ("lazytime", 1 << 25),
]);

/// `LSM_SETID_*`, include/linux/security.h.
pub static SETID: Names = Names(&[("id", 1), ("re", 2), ("res", 4), ("fs", 8)]);

/// `PRLIMIT` access, `LSM_PRLIMIT_*`, include/linux/security.h.
pub static PRLIMIT: Names = Names(&[("read", 1), ("write", 2)]);

/// `enum kernel_read_file_id`, `include/linux/kernel_read_file.h`.
pub static KERNEL_READ: Names = Names(&[
    ("unknown", 0),
    ("firmware", 1),
    ("kernel_module", 2),
    ("kexec_image", 3),
    ("kexec_initramfs", 4),
    ("policy", 5),
    ("x509_certificate", 6),
]);

/// `PR_*`, include/uapi/linux/prctl.h: the options that change what a process may do.
pub static PRCTL: Names = Names(&[
    ("set_pdeathsig", 1),
    ("set_dumpable", 4),
    ("set_keepcaps", 8),
    ("set_seccomp", 22),
    ("capbset_drop", 24),
    ("set_tsc", 26),
    ("set_securebits", 28),
    ("set_mm", 35),
    ("set_child_subreaper", 36),
    ("set_no_new_privs", 38),
    ("cap_ambient", 47),
    ("set_speculation_ctrl", 53),
    ("set_io_flusher", 57),
    ("set_syscall_user_dispatch", 59),
    ("sched_core", 62),
    ("set_mdwe", 65),
    ("set_vma", 0x5356_4d41),
    ("set_ptracer", 0x5961_6d61),
]);

/// `CLONE_NEW*`, clone(2).
pub static NAMESPACE: Names = Names(&[
    ("time", 0x80),
    ("mount", 0x0002_0000),
    ("cgroup", 0x0200_0000),
    ("uts", 0x0400_0000),
    ("ipc", 0x0800_0000),
    ("user", 0x1000_0000),
    ("pid", 0x2000_0000),
    ("net", 0x4000_0000),
]);

/// `CAP_*`, capabilities(7), as bits.
pub static CAPABILITY: Names = Names(&[
    ("chown", 1),
    ("dac_override", 1 << 1),
    ("dac_read_search", 1 << 2),
    ("fowner", 1 << 3),
    ("fsetid", 1 << 4),
    ("kill", 1 << 5),
    ("setgid", 1 << 6),
    ("setuid", 1 << 7),
    ("setpcap", 1 << 8),
    ("linux_immutable", 1 << 9),
    ("net_bind_service", 1 << 10),
    ("net_broadcast", 1 << 11),
    ("net_admin", 1 << 12),
    ("net_raw", 1 << 13),
    ("ipc_lock", 1 << 14),
    ("ipc_owner", 1 << 15),
    ("sys_module", 1 << 16),
    ("sys_rawio", 1 << 17),
    ("sys_chroot", 1 << 18),
    ("sys_ptrace", 1 << 19),
    ("sys_pacct", 1 << 20),
    ("sys_admin", 1 << 21),
    ("sys_boot", 1 << 22),
    ("sys_nice", 1 << 23),
    ("sys_resource", 1 << 24),
    ("sys_time", 1 << 25),
    ("sys_tty_config", 1 << 26),
    ("mknod", 1 << 27),
    ("lease", 1 << 28),
    ("audit_write", 1 << 29),
    ("audit_control", 1 << 30),
    ("setfcap", 1 << 31),
    ("mac_override", 1 << 32),
    ("mac_admin", 1 << 33),
    ("syslog", 1 << 34),
    ("wake_alarm", 1 << 35),
    ("block_suspend", 1 << 36),
    ("audit_read", 1 << 37),
    ("perfmon", 1 << 38),
    ("bpf", 1 << 39),
    ("checkpoint_restore", 1 << 40),
]);

/// `AF_*`, include/linux/socket.h.
pub static FAMILY: Names = Names(&[
    ("unspec", 0),
    ("unix", 1),
    ("inet", 2),
    ("ax25", 3),
    ("inet6", 10),
    ("key", 15),
    ("netlink", 16),
    ("packet", 17),
    ("bluetooth", 31),
    ("alg", 38),
    ("vsock", 40),
    ("xdp", 44),
]);

/// `SOCK_*`, include/linux/net.h.
pub static SOCKET_TYPE: Names = Names(&[
    ("stream", 1),
    ("dgram", 2),
    ("raw", 3),
    ("rdm", 4),
    ("seqpacket", 5),
    ("dccp", 6),
    ("packet", 10),
]);

/// File system types by `statfs` magic number, include/uapi/linux/magic.h.
pub static FILE_SYSTEM: Names = Names(&[
    ("none", 0),
    ("ext4", 0xef53),
    ("xfs", 0x5846_5342),
    ("btrfs", 0x9123_683e),
    ("overlay", 0x794c_7630),
    ("tmpfs", 0x0102_1994),
    ("ramfs", 0x8584_58f6),
    ("proc", 0x9fa0),
    ("sysfs", 0x6265_6572),
    ("devpts", 0x1cd1),
    ("debugfs", 0x6462_6720),
    ("tracefs", 0x7472_6163),
    ("securityfs", 0x7363_6673),
    ("cgroup", 0x0027_e0eb),
    ("cgroup2", 0x6367_7270),
    ("bpf", 0xcafe_4a11),
    ("pipefs", 0x5049_5045),
    ("sockfs", 0x534f_434b),
    ("anon_inode", 0x0904_1934),
    ("nsfs", 0x6e73_6673),
    ("mqueue", 0x1980_0202),
    ("hugetlbfs", 0x9584_58f6),
    ("fuse", 0x6573_5546),
    ("nfs", 0x6969),
    ("squashfs", 0x7371_7368),
    ("isofs", 0x9660),
    ("vfat", 0x4d44),
    ("erofs", 0xe0f5_e1e2),
    ("f2fs", 0xf2f5_2010),
    ("zfs", 0x2fc1_2fc1),
    ("9p", 0x0102_1997),
    ("efivarfs", 0xde5e_81e4),
    ("pidfs", 0x5049_4446),
    ("binfmt_misc", 0x4249_4e4d),
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_one_to_one() {
        for table in [&OPEN_INTENT, &MOUNT, &CAPABILITY, &FILE_SYSTEM, &PRCTL, &FAMILY] {
            for (name, number) in table.0 {
                assert_eq!(table.number(name), Some(*number));
                assert_eq!(table.name(*number), Some(*name));
            }
        }
    }
}
