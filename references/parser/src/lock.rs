//! The lock-down, the same on every path.
//!
//! What the machine may not offer (an empty root, Landlock) is done where it can be and told to the parent,
//! who decides. Without seccomp's strict mode and the steps that need no kernel option the process ends.

use landlock::ABI;
use landlock::Access as _;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::Ruleset;
use landlock::RulesetAttr as _;
use landlock::RulesetStatus;
use landlock::Scope;
use libc::c_ulong;
use reference_formats::statement::lock;

use crate::system;

/// Processor time of a parser's whole life, in seconds; the parent's own deadline is far shorter.
const PROCESSOR_S: u64 = 3600;
/// A directory that only exists while a thread looks at it, and holds nothing that can be opened.
const EMPTY: &std::ffi::CStr = c"/proc/self/fdinfo";
const SUCCESS: i32 = 0;
/// What a parser that could not be locked ends with.
pub const NOT_LOCKED: i32 = 70;

/// Locks the process down for good and says what held, as bits of [`lock`]. Ends it when a step that every
/// kernel has does not hold.
pub fn down() -> u32 {
    let optional = [
        (system::change_root(EMPTY) || system::root_is_empty(), lock::EMPTY_ROOT),
        (landlock_all(), lock::LANDLOCK),
    ];
    let required = [
        (system::drop_capabilities(), lock::CAPABILITIES),
        (system::prctl(libc::PR_SET_NO_NEW_PRIVS, 1), lock::NO_NEW_PRIVILEGES),
        (system::prctl(libc::PR_SET_DUMPABLE, 0), lock::NOT_DUMPABLE),
        (system::close_from(2), lock::TWO_PIPES),
        (limits(), lock::LIMITS),
    ];
    let strict = strict();
    if strict == 0 || required.iter().any(|(held, _)| !held) {
        system::exit(NOT_LOCKED);
    }
    let held = optional.iter().chain(&required).filter(|(held, _)| *held);
    held.fold(strict, |all, (_, bit)| all | bit)
}

/// seccomp's strict mode, or where a filter stands in its way, a filter that is as strict; 0 if neither.
fn strict() -> u32 {
    if system::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT as c_ulong) {
        return lock::STRICT;
    }
    if system::filter_all_but_strict() { lock::STRICT | lock::FILTER } else { 0 }
}

/// Leaves without an error, the only way that is left.
pub fn leave() -> ! {
    system::exit(SUCCESS)
}

fn limits() -> bool {
    let none = [libc::RLIMIT_NOFILE, libc::RLIMIT_NPROC, libc::RLIMIT_CORE, libc::RLIMIT_FSIZE];
    none.into_iter().all(|resource| system::limit(resource, 0))
        && system::limit(libc::RLIMIT_MEMLOCK, 0)
        && system::limit(libc::RLIMIT_CPU, PROCESSOR_S)
}

/// Every right that Landlock knows, denied without a rule that allows.
fn landlock_all() -> bool {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create);
    let status = ruleset.and_then(landlock::RulesetCreated::restrict_self);
    status.is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
}
