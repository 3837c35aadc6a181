//! Changes of a process's own credentials and security options.
//!
//! The kernel carries them out. What decides stands in registers; where it stands in memory, only
//! if nobody else can exchange it.

use tsem::Coe;
use tsem::EventKind;
use tsem::Value;

use super::guards;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::credentials;

const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;
const LEAVE: u32 = u32::MAX;
const GROUPS_MAX: u64 = 65536;
const SET_PTRACER: u64 = 0x5961_6d61;

/// Which call, as `LSM_SETID_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetId {
    Id = 1,
    Re = 2,
    Res = 4,
    Fs = 8,
}

/// Real, effective, saved and file system id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    real: u32,
    effective: u32,
    saved: u32,
    file_system: u32,
}

impl Ids {
    /// What the kernel makes of a call (kernel/sys.c); nothing where it refuses, or where there is nothing to do.
    fn after(self, call: SetId, arguments: [u32; 3], privileged: bool) -> Option<Self> {
        let [first, second, third] = arguments;
        let one_of = |id: u32, own: &[u32]| privileged || own.contains(&id);
        let all = [self.real, self.effective, self.saved];
        let or = |id: u32, old: u32| if id == LEAVE { old } else { id };
        match call {
            SetId::Id if first == LEAVE => None,
            SetId::Id if privileged => {
                Some(Self { real: first, effective: first, saved: first, file_system: first })
            }
            SetId::Id if first == self.real || first == self.saved => {
                Some(Self { effective: first, file_system: first, ..self })
            }
            SetId::Id => None,
            SetId::Re => {
                let real_fits = first == LEAVE || one_of(first, &[self.real, self.effective]);
                let effective_fits = second == LEAVE || one_of(second, &all);
                let (real, effective) = (or(first, self.real), or(second, self.effective));
                let saves = first != LEAVE || second != LEAVE && second != self.real;
                let saved = if saves { effective } else { self.saved };
                let after = Self { real, effective, saved, file_system: effective };
                (real_fits && effective_fits).then_some(after)
            }
            SetId::Res => {
                let fits = arguments.iter().all(|id| *id == LEAVE || one_of(*id, &all));
                let effective = or(second, self.effective);
                let (real, saved) = (or(first, self.real), or(third, self.saved));
                let changes = real != self.real
                    || saved != self.saved
                    || second != LEAVE && [self.effective, self.file_system] != [second; 2];
                (fits && changes).then_some(Self { real, effective, saved, file_system: effective })
            }
            SetId::Fs => {
                let own = [self.real, self.effective, self.saved, self.file_system];
                let changes = first != LEAVE && first != self.file_system;
                (changes && one_of(first, &own)).then_some(Self { file_system: first, ..self })
            }
        }
    }

    fn of_user(coe: &Coe) -> Self {
        let Coe { uid, euid, suid, fsuid, .. } = *coe;
        Self { real: uid, effective: euid, saved: suid, file_system: fsuid }
    }

    fn of_group(coe: &Coe) -> Self {
        let Coe { gid, egid, sgid, fsgid, .. } = *coe;
        Self { real: gid, effective: egid, saved: sgid, file_system: fsgid }
    }
}

fn set_id(call: &Call, set: SetId, user: bool) -> Handled {
    let coe = call.credentials()?.coe;
    let (now, capability, kind) = if user {
        (Ids::of_user(&coe), CAP_SETUID, EventKind::TaskFixSetuid)
    } else {
        (Ids::of_group(&coe), CAP_SETGID, EventKind::TaskFixSetgid)
    };
    let arguments = [0, 1, 2].map(|index| call.argument(index) as u32);
    let privileged = coe.capabilities & capability != 0;
    // What the kernel refuses, and what it need not do, is no event.
    if let Some(after) = now.after(set, arguments, privileged) {
        let ids = [after.real, after.effective, after.saved, after.file_system];
        let ids = ids.into_iter().chain([set as u32]);
        call.judge(kind, ids.map(|id| Value::Number(id.into())).collect())?;
    }
    changes_credentials(call)
}

/// Lets a call go on after which the caller's credentials are to be read again.
fn changes_credentials(call: &Call) -> Handled {
    call.thread.forget_credentials();
    Ok(Outcome::Continue)
}

pub(crate) fn setuid(call: &Call) -> Handled {
    set_id(call, SetId::Id, true)
}

pub(crate) fn setreuid(call: &Call) -> Handled {
    set_id(call, SetId::Re, true)
}

pub(crate) fn setresuid(call: &Call) -> Handled {
    set_id(call, SetId::Res, true)
}

pub(crate) fn setfsuid(call: &Call) -> Handled {
    set_id(call, SetId::Fs, true)
}

pub(crate) fn setgid(call: &Call) -> Handled {
    set_id(call, SetId::Id, false)
}

pub(crate) fn setregid(call: &Call) -> Handled {
    set_id(call, SetId::Re, false)
}

pub(crate) fn setresgid(call: &Call) -> Handled {
    set_id(call, SetId::Res, false)
}

pub(crate) fn setfsgid(call: &Call) -> Handled {
    set_id(call, SetId::Fs, false)
}

pub(crate) fn setgroups(call: &Call) -> Handled {
    let count = call.argument(0) as u32 as u64;
    if call.credentials()?.coe.capabilities & CAP_SETGID == 0 || count > GROUPS_MAX {
        return Ok(Outcome::Continue);
    }
    let groups =
        if count == 0 { Vec::new() } else { call.bytes(call.argument(1), count as usize * 4)? };
    call.judge(EventKind::TaskFixSetgroups, vec![Value::Text(group_list(&groups))])?;
    call.thread.forget_credentials();
    // No groups stand nowhere.
    if count == 0 {
        return Ok(Outcome::Continue);
    }
    guards::with_memory(call, call.argument(1), count * 4)
}

/// Ascending decimal numbers with commas, each once: the kernel sorts them too. As many as fit.
fn group_list(octets: &[u8]) -> Vec<u8> {
    let numbers = octets.as_chunks::<4>().0.iter();
    let mut groups: Vec<u32> = numbers.map(|octets| u32::from_ne_bytes(*octets)).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut list = groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",").into_bytes();
    list.truncate(tsem::TEXT_MAX);
    list
}

pub(crate) fn capset(call: &Call) -> Handled {
    let data = call.bytes(call.argument(1), 24)?;
    let words = data.as_chunks::<4>().0;
    let word = |at: usize| words.get(at).map_or(0, |octets| u32::from_ne_bytes(*octets));
    let set = |at: usize| Value::Number(u64::from(word(at)) | u64::from(word(at + 3)) << 32);
    call.judge(EventKind::Capset, vec![set(0), set(1), set(2)])?;
    call.thread.forget_credentials();
    guards::with_memory(call, call.argument(1), 24)
}

pub(crate) fn prctl(call: &Call) -> Handled {
    let option = call.argument(0);
    let argument = match option {
        // A process id would differ from run to run.
        SET_PTRACER => u64::from(call.argument(1) != 0),
        _ if option == libc::PR_SET_MM as u64 || option == libc::PR_CAP_AMBIENT as u64 => {
            call.argument(1) & 0xffff_ffff
        }
        _ if option == libc::PR_SET_SECCOMP as u64 => call.argument(1) & 0xffff_ffff,
        _ => call.argument(1),
    };
    call.judge(EventKind::TaskPrctl, vec![Value::Number(option), Value::Number(argument)])?;
    if option == libc::PR_SET_DUMPABLE as u64 && !credentials::is_privileged() {
        return stay_dumpable(call.argument(1));
    }
    changes_credentials(call)
}

/// Without privileges we can only read the arguments of a process that may be dumped. Who else
/// could read it: processes of the same user outside the namespace.
fn stay_dumpable(value: u64) -> Handled {
    match value {
        0 | 1 => Ok(Outcome::Value(0)),
        _ => Err(Refusal::Errno(libc::EINVAL)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Ids = Ids { real: 0, effective: 0, saved: 0, file_system: 0 };
    const USER: Ids = Ids { real: 5, effective: 6, saved: 7, file_system: 6 };

    fn ids(real: u32, effective: u32, saved: u32, file_system: u32) -> Option<Ids> {
        Some(Ids { real, effective, saved, file_system })
    }

    #[test]
    fn ids_change_as_the_kernel_changes_them() {
        assert_eq!(ROOT.after(SetId::Id, [33, 0, 0], true), ids(33, 33, 33, 33));
        assert_eq!(USER.after(SetId::Id, [7, 0, 0], false), ids(5, 7, 7, 7));
        assert_eq!(USER.after(SetId::Id, [6, 0, 0], false), None);
        assert_eq!(USER.after(SetId::Re, [LEAVE, 7, 0], false), ids(5, 7, 7, 7));
        assert_eq!(USER.after(SetId::Re, [LEAVE, 5, 0], false), ids(5, 5, 7, 5));
        assert_eq!(USER.after(SetId::Res, [LEAVE, 7, LEAVE], false), ids(5, 7, 7, 7));
        assert_eq!(USER.after(SetId::Res, [8, LEAVE, LEAVE], false), None);
        assert_eq!(USER.after(SetId::Fs, [5, 0, 0], false), ids(5, 6, 7, 5));
        assert_eq!(USER.after(SetId::Fs, [8, 0, 0], false), None);
    }

    #[test]
    fn what_changes_no_id_is_no_event_where_the_kernel_looks_first() {
        assert_eq!(USER.after(SetId::Fs, [6, 0, 0], true), None);
        assert_eq!(USER.after(SetId::Fs, [LEAVE, 0, 0], true), None);
        assert_eq!(USER.after(SetId::Res, [5, 6, 7], true), None);
        assert_eq!(USER.after(SetId::Res, [LEAVE; 3], true), None);
        let apart = Ids { file_system: 5, ..USER };
        assert_eq!(apart.after(SetId::Res, [LEAVE; 3], true), None);
        assert_eq!(apart.after(SetId::Res, [LEAVE, 6, LEAVE], true), ids(5, 6, 7, 6));
        assert_eq!(ROOT.after(SetId::Re, [0, 0, 0], true), ids(0, 0, 0, 0));
        assert_eq!(ROOT.after(SetId::Id, [0, 0, 0], true), ids(0, 0, 0, 0));
    }

    #[test]
    fn groups_are_a_sorted_list() {
        let octets: Vec<u8> =
            [27_u32, 4, 27].iter().flat_map(|group| group.to_ne_bytes()).collect();
        assert_eq!(group_list(&octets), b"4,27");
        assert_eq!(group_list(&[]), b"");
    }
}
