//! Whose credentials a workload has, where they are not its orchestrator's.
//!
//! Only root can use this source; a workload that needs no root should not have it. With an account
//! it has what it would have if that account ran `quixote` by itself: its ids, its groups, no
//! capabilities, and no way to gain privileges by an exec. So its model is the same.
#![allow(unsafe_code, reason = "the account database, and raw system calls between fork and exec")]

use std::ffi::CStr;
use std::ffi::CString;
use std::io;

/// More than any entry of the account database.
const ENTRY_MAX: usize = 1 << 20;
const GROUPS_MAX: usize = 1 << 16;

/// An account cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// There is none of this name or number.
    #[error("there is no account {0:?}")]
    Unknown(String),
    /// A user id that nobody has comes with no group.
    #[error("no account has the user id {0}: say which group as well, {0}:GID")]
    NoGroup(u32),
    /// What stands after the colon is no group id.
    #[error("{0:?} is no group id")]
    NotAGroup(String),
    /// The account database cannot be read.
    #[error("the account database cannot be read: {0}")]
    Database(io::Error),
}

/// Ids and supplementary groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Real, effective, saved and file system user id.
    pub uid: u32,
    /// The same of the group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Account {
    /// Reads `NAME`, `UID`, `NAME:GID` or `UID:GID`. Without a group it is the account's own, with
    /// all groups that it is in; with one it is that group and no other.
    ///
    /// # Errors
    ///
    /// There is no such account, or the group is not known.
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let number = user.parse().ok();
        let entry = match number {
            Some(uid) => Entry::of_uid(uid)?,
            None => Entry::of_name(user)?,
        };
        let known = entry.as_ref().map(|entry| entry.uid);
        let uid = number.or(known).ok_or_else(|| AccountError::Unknown(user.into()))?;
        if let Some(group) = group {
            let gid = group.parse().map_err(|_| AccountError::NotAGroup(group.into()))?;
            return Ok(Self { uid, gid, groups: Vec::new() });
        }
        let entry = entry.ok_or(AccountError::NoGroup(uid))?;
        Ok(Self { uid, gid: entry.gid, groups: entry.groups()? })
    }

    /// Takes the credentials, for good; the calling process must have one thread.
    ///
    /// # Errors
    ///
    /// The kernel's; the credentials are then partly taken.
    pub(crate) fn assume(&self) -> io::Result<()> {
        let (uid, gid) = (self.uid, self.gid);
        // SAFETY: the list and its length belong together, and outlive the call; the other calls
        // are of numbers alone.
        unsafe {
            check(libc::syscall(libc::SYS_setgroups, self.groups.len(), self.groups.as_ptr()))?;
            check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
            check(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
            check(libc::syscall(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        }
    }
}

fn check(value: i64) -> io::Result<()> {
    if value < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What the account database has of a user.
struct Entry {
    name: CString,
    uid: u32,
    gid: u32,
}

impl Entry {
    fn of_name(name: &str) -> Result<Option<Self>, AccountError> {
        let name = CString::new(name).map_err(|_| AccountError::Unknown(name.into()))?;
        // SAFETY: the name ends with a NUL and outlives the call.
        look_up(|entry, octets, length, found| unsafe {
            libc::getpwnam_r(name.as_ptr(), entry, octets, length, found)
        })
    }

    fn of_uid(uid: u32) -> Result<Option<Self>, AccountError> {
        // SAFETY: the arguments are those of `look_up`.
        look_up(|entry, octets, length, found| unsafe {
            libc::getpwuid_r(uid, entry, octets, length, found)
        })
    }

    fn groups(&self) -> Result<Vec<u32>, AccountError> {
        let mut groups = vec![0; 64];
        loop {
            let mut count = groups.len() as libc::c_int;
            // SAFETY: the name ends with a NUL, and the array has room for `count` groups.
            let all = unsafe {
                libc::getgrouplist(
                    self.name.as_ptr(),
                    self.gid,
                    groups.as_mut_ptr(),
                    &raw mut count,
                )
            };
            if all >= 0 {
                groups.truncate(count as usize);
                return Ok(groups);
            }
            if groups.len() >= GROUPS_MAX {
                let error = io::Error::from_raw_os_error(libc::E2BIG);
                return Err(AccountError::Database(error));
            }
            groups.resize(groups.len() * 4, 0);
        }
    }
}

type Found = *mut *mut libc::passwd;

/// One of the `getpw*_r`: again with more memory where it does not suffice.
fn look_up(
    call: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, Found) -> libc::c_int,
) -> Result<Option<Entry>, AccountError> {
    let mut octets = vec![0; 4096];
    loop {
        // SAFETY: all zeros is a valid value of the structure, which the call fills in.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        match call(&raw mut entry, octets.as_mut_ptr(), octets.len(), &raw mut found) {
            libc::ERANGE if octets.len() < ENTRY_MAX => octets.resize(octets.len() * 4, 0),
            // What POSIX lets mean that there is none.
            0 | libc::ENOENT | libc::ESRCH if found.is_null() => return Ok(None),
            0 => {
                // SAFETY: the call has filled in the entry; its name ends with a NUL in `octets`.
                let name = unsafe { CStr::from_ptr(entry.pw_name) }.to_owned();
                return Ok(Some(Entry { name, uid: entry.pw_uid, gid: entry.pw_gid }));
            }
            errno => return Err(AccountError::Database(io::Error::from_raw_os_error(errno))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user id that no account of a test machine has.
    const NOBODYS: u32 = 4_000_000_001;

    #[test]
    fn an_account_comes_with_its_group_and_groups() {
        let root = Account::parse("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(Account::parse("0").unwrap(), root);
    }

    #[test]
    fn a_group_that_is_said_is_the_only_one() {
        let only = |uid, gid| Account { uid, gid, groups: Vec::new() };
        assert_eq!(Account::parse("root:7").unwrap(), only(0, 7));
        assert_eq!(Account::parse(&format!("{NOBODYS}:9")).unwrap(), only(NOBODYS, 9));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(matches!(
            Account::parse(&NOBODYS.to_string()),
            Err(AccountError::NoGroup(NOBODYS))
        ));
        for name in ["", "no such account", ":1", "a\0b"] {
            assert!(matches!(Account::parse(name), Err(AccountError::Unknown(_))), "{name:?}");
        }
        for text in ["root:", "root:wheel", "root:1:2", "root:-1"] {
            assert!(matches!(Account::parse(text), Err(AccountError::NotAGroup(_))), "{text:?}");
        }
    }
}
