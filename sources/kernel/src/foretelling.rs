//! The filter by which calls are told as they begin whose hooks cannot wait.
//!
//! It decides nothing: what it does not tell of, as calls of other architectures and of `io_uring`, is
//! left to the hook, which refuses what only a rule allows.

use std::mem::offset_of;

use tsem::EventKind;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The calls that come to an event; the old ones are not on every architecture.
fn calls(kind: EventKind) -> &'static [i64] {
    match kind {
        #[cfg(target_arch = "x86_64")]
        EventKind::InodeMkdir => &[libc::SYS_mkdirat, libc::SYS_mkdir],
        #[cfg(target_arch = "aarch64")]
        EventKind::InodeMkdir => &[libc::SYS_mkdirat],
        #[cfg(target_arch = "x86_64")]
        EventKind::InodeLink => &[libc::SYS_linkat, libc::SYS_link],
        #[cfg(target_arch = "aarch64")]
        EventKind::InodeLink => &[libc::SYS_linkat],
        EventKind::InodeRemovexattr => {
            &[libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr]
        }
        EventKind::PathChroot => &[libc::SYS_chroot],
        EventKind::UnixStreamConnect => &[libc::SYS_connect],
        EventKind::UnixMaySend => &[libc::SYS_connect, libc::SYS_sendmsg],
        _ => &[],
    }
}

/// Of sendto(2), which has none for a socket that is connected, or of no UNIX socket.
const ADDRESS_ARGUMENT: usize = 4;

/// Notifies of the calls that come to these events, and lets everything pass.
pub(crate) fn filter(kinds: &[EventKind]) -> Vec<libc::sock_filter> {
    let mut told: Vec<i64> = kinds.iter().flat_map(|kind| calls(*kind)).copied().collect();
    told.sort_unstable();
    told.dedup();
    let mut program = Program::default();
    program.load(offset_of!(libc::seccomp_data, arch));
    program.unless(ARCHITECTURE, Target::Allow);
    program.load(offset_of!(libc::seccomp_data, nr));
    for number in told {
        program.when(number as u32, Target::Notify);
    }
    if kinds.contains(&EventKind::UnixMaySend) {
        program.unless(libc::SYS_sendto as u32, Target::Allow);
        let address = offset_of!(libc::seccomp_data, args) + ADDRESS_ARGUMENT * size_of::<u64>();
        program.load(address);
        program.unless(0, Target::Notify);
        program.load(address + size_of::<u32>());
        program.unless(0, Target::Notify);
    }
    program.finished()
}

/// Where a comparison leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Next,
    Allow,
    Notify,
}

/// A program whose last two instructions are the answers.
#[derive(Debug, Default)]
struct Program(Vec<(u32, u32, [Target; 2])>);

impl Program {
    fn load(&mut self, offset: usize) {
        let code = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        self.0.push((code, offset as u32, [Target::Next; 2]));
    }

    fn compare(&mut self, with: u32, equal: Target, other: Target) {
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        self.0.push((code, with, [equal, other]));
    }

    fn when(&mut self, equal: u32, target: Target) {
        self.compare(equal, target, Target::Next);
    }

    fn unless(&mut self, equal: u32, target: Target) {
        self.compare(equal, Target::Next, target);
    }

    fn finished(self) -> Vec<libc::sock_filter> {
        let allow = self.0.len();
        let line = |index: usize, (code, k, [yes, no]): (u32, u32, [Target; 2])| {
            let over = |target| match target {
                Target::Next => 0,
                Target::Allow => (allow - index - 1) as u8,
                Target::Notify => (allow - index) as u8,
            };
            libc::sock_filter { code: code as u16, jt: over(yes), jf: over(no), k }
        };
        let answers = [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF]
            .map(|answer| (libc::BPF_RET | libc::BPF_K, answer, [Target::Next; 2]));
        self.0.into_iter().chain(answers).enumerate().map(|(at, each)| line(at, each)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter answers, computed here.
    fn answer(kinds: &[EventKind], architecture: u32, number: i64, address: u64) -> u32 {
        let program = filter(kinds);
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let line = program[at];
            at += 1;
            let code = u32::from(line.code);
            if code == libc::BPF_RET | libc::BPF_K {
                return line.k;
            } else if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K {
                at += usize::from(if accumulator == line.k { line.jt } else { line.jf });
            } else {
                accumulator = match line.k {
                    0 => number as u32,
                    4 => architecture,
                    48 => address as u32,
                    52 => (address >> 32) as u32,
                    other => panic!("nothing is at {other}"),
                };
            }
        }
    }

    #[test]
    fn only_calls_that_come_to_such_events_are_told() {
        let told = |kinds: &[EventKind], number, address| {
            answer(kinds, ARCHITECTURE, number, address) == libc::SECCOMP_RET_USER_NOTIF
        };
        let making = [EventKind::InodeMkdir, EventKind::InodeLink];
        assert!(told(&making, libc::SYS_mkdirat, 0) && told(&making, libc::SYS_linkat, 0));
        assert!(!told(&making, libc::SYS_connect, 0) && !told(&making, libc::SYS_sendto, 1));
        let connecting = [EventKind::UnixStreamConnect];
        assert!(told(&connecting, libc::SYS_connect, 0));
        assert!(
            !told(&connecting, libc::SYS_mkdirat, 0) && !told(&connecting, libc::SYS_sendto, 1)
        );
        let sending = [EventKind::InodeMkdir, EventKind::UnixMaySend];
        for address in [1, 1 << 32, u64::MAX] {
            assert!(told(&sending, libc::SYS_sendto, address), "{address}");
        }
        assert!(!told(&sending, libc::SYS_sendto, 0) && told(&sending, libc::SYS_sendmsg, 0));
        assert!(told(&sending, libc::SYS_mkdirat, 0) && !told(&sending, libc::SYS_chroot, 1));
        let foreign = answer(&sending, 0x4000_0003, libc::SYS_sendto, 1);
        assert_eq!(foreign, libc::SECCOMP_RET_ALLOW);
    }
}
