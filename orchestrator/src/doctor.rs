//! What this machine can do, what is missing, and the command that mends it.
//!
//! Each check tries the thing itself: configured is not active, and active is not permitted.

use std::fs;
use std::path::Path;

use portable_source::release;
use serde::Serialize;

use crate::places;

mod kernel_source;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It works.
    Good,
    /// Quixote works without it, with less.
    Limited,
    /// Quixote does not work without it.
    Missing,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if good.
    pub mend: String,
}

/// Looks at everything.
pub fn examine() -> Vec<Check> {
    let portable = [
        kernel(),
        user_notification(),
        killable_wait(),
        synchronous_wake_up(),
        process_memory(),
        privileges(),
        procfs(),
        foreign_abi(),
        directories(),
    ];
    portable.into_iter().chain(kernel_source::examine()).collect()
}

fn good(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, health: Health::Good, found: found.into(), mend: String::new() }
}

fn bad(name: &'static str, health: Health, found: &str, mend: &str) -> Check {
    Check { name, health, found: found.into(), mend: mend.into() }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel() -> Check {
    let (major, minor) = release::of_kernel();
    let found = format!("Linux {major}.{minor}");
    if (major, minor) >= (6, 1) {
        return good("kernel", found);
    }
    bad("kernel", Health::Missing, &found, "boot Linux 6.1 or newer (Debian 12 has it)")
}

fn user_notification() -> Check {
    const NAME: &str = "seccomp user notification";
    let actions = read("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    if actions.split(' ').any(|action| action == "user_notif") {
        return good(NAME, "available");
    }
    let mend = "boot a kernel with CONFIG_SECCOMP_FILTER=y; in a container, ask for a seccomp profile \
                that permits seccomp(2)";
    bad(NAME, Health::Missing, "not in actions_avail", mend)
}

fn killable_wait() -> Check {
    const NAME: &str = "killable wait (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)";
    if release::of_kernel() >= (5, 19) {
        return good(NAME, "since Linux 5.19");
    }
    bad(NAME, Health::Missing, "not there", "boot Linux 5.19 or newer")
}

fn synchronous_wake_up() -> Check {
    const NAME: &str = "synchronous wake-up (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)";
    if release::of_kernel() >= (6, 6) {
        return good(NAME, "since Linux 6.6");
    }
    let mend = "boot Linux 6.6 or newer (bookworm-backports has one) to make each judged call \
                several times cheaper";
    bad(NAME, Health::Limited, "not there: judged calls cost more", mend)
}

fn process_memory() -> Check {
    const NAME: &str = "reading a workload's arguments (Yama ptrace_scope)";
    match read("/proc/sys/kernel/yama/ptrace_scope").as_deref() {
        None => good(NAME, "Yama is not active"),
        Some(scope @ ("0" | "1")) => good(NAME, format!("ptrace_scope {scope}")),
        Some("2") if rustix::process::geteuid().is_root() => good(NAME, "ptrace_scope 2, as root"),
        Some(scope) => {
            let found = format!("ptrace_scope {scope}");
            let mend = "sysctl kernel.yama.ptrace_scope=1, or run quixote as root (scope 3 needs a reboot)";
            bad(NAME, Health::Missing, &found, mend)
        }
    }
}

fn privileges() -> Check {
    const NAME: &str = "privileges";
    if rustix::process::geteuid().is_root() {
        return good(NAME, "root: setuid programs in a workload keep working");
    }
    let found = "unprivileged: workloads run with no_new_privs";
    bad(NAME, Health::Limited, found, "run quixote as root if the workload needs setuid programs")
}

fn procfs() -> Check {
    const NAME: &str = "procfs";
    if Path::new("/proc/self/fd/0").exists() || Path::new("/proc/self/exe").exists() {
        return good(NAME, "mounted on /proc");
    }
    bad(NAME, Health::Missing, "not on /proc", "mount -t proc proc /proc")
}

fn foreign_abi() -> Check {
    good("foreign ABIs (i386, x32)", "their calls are denied unless the model holds them")
}

fn directories() -> Check {
    const NAME: &str = "directories";
    let tried = places::runtime_dir().and_then(|runtime| Ok((runtime, places::records_dir()?)));
    match tried {
        Ok((runtime, records)) => {
            good(NAME, format!("{}, {}", runtime.display(), records.display()))
        }
        Err(error) => bad(NAME, Health::Missing, &error.to_string(), "see the message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_good_says_how_to_mend_it() {
        for check in examine() {
            assert_eq!(check.health == Health::Good, check.mend.is_empty(), "{}", check.name);
            assert!(!check.found.is_empty());
        }
    }
}
