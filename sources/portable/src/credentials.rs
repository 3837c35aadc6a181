//! Credentials of a calling thread: read once, assumed while we act for it.
//!
//! Unprivileged, workload and supervisor have the same ones and nothing needs to change. As root a
//! worker thread takes over what the kernel's permission checks look at: file system ids, groups
//! and effective capabilities. These are per thread in the kernel.
#![allow(unsafe_code, reason = "raw per-thread credential calls; libc's act on the whole process")]

use std::sync::OnceLock;

use tsem::Coe;

use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;
use crate::sys::check;

/// What `/proc/TID/status` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Ids and effective capabilities, as our user namespace sees them.
    pub coe: Coe,
    pub(crate) groups: Vec<u32>,
    pub(crate) bounding: u64,
    pub(crate) ambient: u64,
    pub(crate) no_new_privileges: bool,
    /// What is taken from the mode of a file that is made.
    pub umask: u32,
}

impl Credentials {
    pub(crate) fn read(tid: u32) -> SysResult<Self> {
        let status = sys::read_text(&format!("/proc/{tid}/status"))?;
        Self::parse(&status).ok_or(Errno(libc::ESRCH))
    }

    /// From the text of that file; `None` if something is missing.
    pub fn parse(status: &str) -> Option<Self> {
        let uids = numbers(status, "Uid:")?;
        let gids = numbers(status, "Gid:")?;
        let hex = |name| u64::from_str_radix(field(status, name)?, 16).ok();
        let coe = Coe {
            uid: *uids.first()?,
            euid: *uids.get(1)?,
            suid: *uids.get(2)?,
            fsuid: *uids.get(3)?,
            gid: *gids.first()?,
            egid: *gids.get(1)?,
            sgid: *gids.get(2)?,
            fsgid: *gids.get(3)?,
            capabilities: hex("CapEff:")?,
        };
        Some(Self {
            coe,
            groups: numbers(status, "Groups:")?,
            bounding: hex("CapBnd:")?,
            ambient: hex("CapAmb:")?,
            no_new_privileges: field(status, "NoNewPrivs:")? == "1",
            umask: u32::from_str_radix(field(status, "Umask:")?, 8).ok()?,
        })
    }

    /// Whether the kernel would let these do what it lets us do.
    fn same_access(&self, other: &Self) -> bool {
        let key = |c: &Self| (c.coe.fsuid, c.coe.fsgid, c.coe.capabilities);
        key(self) == key(other) && self.groups == other.groups
    }

    /// Does something with these credentials, and takes ours again.
    pub(crate) fn assume<T>(&self, action: impl FnOnce() -> SysResult<T>) -> SysResult<T> {
        let own = own();
        if !is_privileged() || self.same_access(own) {
            return action();
        }
        let result = self.take().and_then(|()| action());
        own.restore();
        result
    }

    /// As [`Credentials::assume`], with real and effective ids as well: what peers of a socket and
    /// targets of a signal are shown and checked against. The saved id keeps the way back.
    pub(crate) fn assume_identity<T>(&self, action: impl FnOnce() -> SysResult<T>) -> SysResult<T> {
        let own = own();
        if !is_privileged() || self.same_identity(own) {
            return action();
        }
        let result = self.take_identity().and_then(|()| action());
        own.restore_identity();
        result
    }

    fn same_identity(&self, other: &Self) -> bool {
        self.coe == other.coe && self.groups == other.groups
    }

    fn take_identity(&self) -> SysResult<()> {
        set_groups(&self.groups)?;
        set_group_ids(self.coe.gid, self.coe.egid)?;
        set_user_ids(self.coe.uid, self.coe.euid)?;
        set_file_system_ids(self.coe.fsuid, self.coe.fsgid);
        set_effective(self.coe.capabilities & own().coe.capabilities)
    }

    fn restore_identity(&self) {
        // Back to the saved user id first: it brings the capabilities for the rest.
        let back = set_user_ids(self.coe.uid, self.coe.euid)
            .and_then(|()| set_effective(self.coe.capabilities))
            .and_then(|()| set_group_ids(self.coe.gid, self.coe.egid));
        if back.is_err() {
            std::process::abort();
        }
        self.restore();
    }

    fn take(&self) -> SysResult<()> {
        set_groups(&self.groups)?;
        set_file_system_ids(self.coe.fsuid, self.coe.fsgid);
        set_effective(self.coe.capabilities & own().coe.capabilities)
    }

    /// A thread that could not come back would act with foreign credentials: that ends us all.
    fn restore(&self) {
        let back = set_effective(self.coe.capabilities).and_then(|()| {
            set_file_system_ids(self.coe.fsuid, self.coe.fsgid);
            set_effective(self.coe.capabilities)?;
            set_groups(&self.groups)
        });
        if back.is_err() {
            std::process::abort();
        }
    }
}

/// The field of a `/proc/TID/status` text.
pub fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn numbers(status: &str, name: &str) -> Option<Vec<u32>> {
    field(status, name)?.split_whitespace().map(|number| number.parse().ok()).collect()
}

/// The supervisor's own credentials when it started.
pub(crate) fn own() -> &'static Credentials {
    static OWN: OnceLock<Credentials> = OnceLock::new();
    OWN.get_or_init(|| Credentials::read(std::process::id()).expect("procfs shows the own process"))
}

/// Whether we may install a filter without `no_new_privs` and take other credentials.
pub(crate) fn is_privileged() -> bool {
    const NEEDED: u64 = 1 << 21 | 1 << 6 | 1 << 7;
    own().coe.capabilities & NEEDED == NEEDED
}

fn set_groups(groups: &[u32]) -> SysResult<()> {
    // SAFETY: the slice's length is passed with it.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

fn set_file_system_ids(uid: u32, gid: u32) {
    // SAFETY: no pointers are passed.
    unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
    }
}

/// The saved id is left alone.
fn set_user_ids(real: u32, effective: u32) -> SysResult<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::syscall(libc::SYS_setresuid, real, effective, u32::MAX) }).map(drop)
}

/// The saved id is left alone.
fn set_group_ids(real: u32, effective: u32) -> SysResult<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::syscall(libc::SYS_setresgid, real, effective, u32::MAX) }).map(drop)
}

fn set_effective(effective: u64) -> SysResult<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let mut sets = [0_u32; 6];
    // SAFETY: version 3 has two triples of effective, permitted, inheritable.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()) })?;
    sets[0] = effective as u32;
    sets[3] = (effective >> 32) as u32;
    // SAFETY: as above.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_the_kernel_shows_them() {
        let status = "Name:\tx\nUmask:\t0027\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n\
                      CapEff:\t000001ffffffffff\nCapBnd:\t0000000000000003\nCapAmb:\t0000000000000000\n\
                      NoNewPrivs:\t1\n";
        let read = Credentials::parse(status).unwrap();
        let coe = read.coe;
        assert_eq!((coe.uid, coe.euid, coe.suid, coe.fsuid), (1, 2, 3, 4));
        assert_eq!((coe.gid, coe.egid, coe.sgid, coe.fsgid), (5, 6, 7, 8));
        assert_eq!(coe.capabilities, 0x1ff_ffff_ffff);
        assert_eq!((read.umask, read.groups, read.no_new_privileges), (0o27, vec![9, 10], true));
        assert!(Credentials::parse("Uid:\t1\n").is_none());
    }
}
