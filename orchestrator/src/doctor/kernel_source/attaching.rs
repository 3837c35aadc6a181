//! Whether a program can be attached to a hook, by attaching one; and why not, in words.

use kernel_source::Errno;
use kernel_source::attach;
use kernel_source::attach::Part;
use kernel_source::attach::Refusal;
use kernel_source::attach::SharedHooks;
use kernel_source::attach::Step;
use kernel_source::lockdown;

use super::super::Check;
use super::super::Health;
use super::super::bad;
use super::super::good;
use super::super::read;
use super::Distribution;
use super::LOCKDOWN_MEND;
use super::is_confidential;
use super::with_bpf;

const NAME: &str = "kernel source: attaching a program";
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON_AND_BPF: u64 = 1 << 38 | 1 << 39;
/// ENOTSUPP, which is the kernel's own and in no header of the C library.
const NOT_SUPPORTED: i32 = 524;

pub(super) fn examine(distribution: Distribution) -> Check {
    // Then programs like this one are refused to everybody, also to us.
    if lockdown::is_on() {
        return good(
            NAME,
            "ours are loaded, under quixote's own lockdown: none can be added before the next boot",
        );
    }
    let facts = Facts::gather();
    let (found, mend) = match attach::try_out() {
        Ok(true) => return with_others(&facts, distribution),
        Ok(false) => not_called(&facts, distribution),
        Err(refusal) => why(&refusal, &facts, distribution),
    };
    bad(NAME, Health::Limited, &found, &mend)
}

/// Where programs are already: others' may fill a hook.
fn with_others(facts: &Facts, distribution: Distribution) -> Check {
    let mut shared = 0;
    for (part, works) in [(Part::Core, ""), (Part::Full, "all but the profile full works: ")] {
        let hooks = match SharedHooks::of(part) {
            Ok(hooks) => hooks,
            Err(error) => {
                let mend = error.mend().unwrap_or("use --source portable, which needs no BPF");
                return bad(NAME, Health::Limited, &error.to_string(), mend);
            }
        };
        match hooks.try_out() {
            Ok(count) => shared += count,
            Err(refusal) => {
                let (found, mend) = why(&refusal, facts, distribution);
                return bad(NAME, Health::Limited, &format!("{works}{found}"), &mend);
            }
        }
    }
    let also = match shared {
        0 => String::new(),
        _ => format!("; so were {shared} more where programs are already"),
    };
    good(NAME, format!("loaded, attached, called by the kernel, and detached{also}"))
}

/// What tells one refusal from another of the same number.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default)]
struct Facts {
    root: bool,
    effective: u64,
    in_user_namespace: bool,
    filtered: bool,
    confidential: bool,
    modules: String,
}

impl Facts {
    fn gather() -> Self {
        let status = read("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.unwrap_or_default().trim().to_owned()
        };
        let map = read("/proc/self/uid_map").unwrap_or_default();
        let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
        Self {
            root: rustix::process::geteuid().is_root(),
            effective: u64::from_str_radix(&field("CapEff:"), 16).unwrap_or(0),
            in_user_namespace: !whole,
            filtered: field("Seccomp:") == "2",
            confidential: is_confidential(),
            modules: read(super::LSM_LIST).unwrap_or_default(),
        }
    }

    fn may(&self) -> bool {
        self.effective & SYS_ADMIN != 0 || self.effective & PERFMON_AND_BPF == PERFMON_AND_BPF
    }
}

fn not_called(facts: &Facts, distribution: Distribution) -> (String, String) {
    let found = "attached, but the kernel does not call it: bpf is not among its active modules";
    (found.into(), distribution.add_to_command_line(&with_bpf(&facts.modules)))
}

/// What was found, and what to do about it.
fn why(refusal: &Refusal, facts: &Facts, distribution: Distribution) -> (String, String) {
    const TOO_BIG: i32 = rustix::io::Errno::TOOBIG.raw_os_error();
    const BUSY: i32 = rustix::io::Errno::BUSY.raw_os_error();
    const PERM: i32 = rustix::io::Errno::PERM.raw_os_error();
    const ACCESS: i32 = rustix::io::Errno::ACCESS.raw_os_error();
    const INVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();
    const NOSYS: i32 = rustix::io::Errno::NOSYS.raw_os_error();
    const OPNOTSUPP: i32 = rustix::io::Errno::OPNOTSUPP.raw_os_error();
    const NOMEM: i32 = rustix::io::Errno::NOMEM.raw_os_error();
    let &Refusal { step, errno: Errno(number), .. } = refusal;
    let told = told(refusal);
    let say = |what: &str, mend: &str| (format!("{told}: {what}"), mend.to_owned());
    match (step, number) {
        (Step::Types, _) => say(
            "the kernel's types do not have its hook: CONFIG_BPF_LSM or CONFIG_DEBUG_INFO_BTF is off",
            distribution.kernel(),
        ),
        (_, PERM | ACCESS) => not_permitted(&told, facts, distribution),
        (Step::Load, INVAL) if facts.confidential => {
            say("lockdown forbids BPF to read the kernel", LOCKDOWN_MEND)
        }
        (Step::Load | Step::Map, INVAL) => {
            say("the kernel does not know programs of this kind", distribution.kernel())
        }
        (_, NOSYS) => say("the kernel has no bpf(2)", distribution.kernel()),
        (Step::Attach, TOO_BIG) => {
            say("the hook has as many programs as it can hold", attach::MEND_OF_FULL)
        }
        (Step::Attach, BUSY) => say(
            "something else holds the hook's function",
            "see what: bpftool link list; /sys/kernel/tracing/enabled_functions; a live patch \
             (/sys/kernel/livepatch); end it",
        ),
        (Step::Attach, NOT_SUPPORTED | OPNOTSUPP) => say(
            "this kernel has no trampolines: its BPF compiler is off, or its architecture has none",
            "sysctl net.core.bpf_jit_enable=1; on arm64, boot Linux 6.4 or newer",
        ),
        (_, NOMEM) => {
            say("no memory for it", "raise the limit of locked memory (ulimit -l unlimited)")
        }
        _ => {
            say("for a reason that is not known here", "use --source portable, which needs no BPF")
        }
    }
}

fn told(refusal: &Refusal) -> String {
    let Refusal { function, step, errno } = refusal;
    match step {
        Step::Types => format!("looking {function} up fails ({errno})"),
        Step::Map => format!("making a map fails ({errno})"),
        Step::Load => format!("loading a program for {function} fails ({errno})"),
        Step::Attach => format!("attaching to {function} fails ({errno})"),
    }
}

fn not_permitted(told: &str, facts: &Facts, distribution: Distribution) -> (String, String) {
    let say = |what: &str, mend: &str| (format!("{told}: {what}"), mend.to_owned());
    if !facts.may() && !facts.root {
        return say("only root may", "run quixote as root to use --source kernel");
    }
    if !facts.may() {
        return say(
            "root without CAP_BPF and CAP_PERFMON, as in a container",
            "run quixote outside the container, or give it these (--cap-add BPF --cap-add PERFMON)",
        );
    }
    if facts.in_user_namespace {
        return say(
            "root of a user namespace, which is nobody to BPF",
            "run quixote as root outside the user namespace (a rootless container is one)",
        );
    }
    if facts.filtered {
        return say(
            "a seccomp filter is upon this process, as containers have it",
            "permit bpf(2) in the container's seccomp profile, or run quixote outside",
        );
    }
    if facts.confidential {
        return say("lockdown forbids BPF to read the kernel", LOCKDOWN_MEND);
    }
    let whose = "root has every capability for it, so a policy of this machine forbids it";
    let selinux = facts.modules.split(',').any(|module| module == "selinux")
        || matches!(distribution, Distribution::Fedora | Distribution::Rhel);
    if selinux {
        return say(
            whose,
            "look for the denial (ausearch -m avc -ts recent) and let quixote's domain load programs, \
             or use --source portable",
        );
    }
    say(
        whose,
        "ask whoever runs the machine (its kernel or hypervisor refuses BPF LSM; nothing here can \
         change that), boot a kernel of the distribution's own, or use --source portable, which \
         needs no BPF",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = (1 << 41) - 1;

    fn root() -> Facts {
        Facts { root: true, effective: ALL, ..Facts::default() }
    }

    fn mend_of(step: Step, errno: i32, facts: &Facts) -> String {
        let refusal = Refusal { function: "bpf_lsm_syslog".into(), step, errno: Errno(errno) };
        let (found, mend) = why(&refusal, facts, Distribution::Debian);
        assert!(!found.is_empty() && !mend.is_empty());
        mend
    }

    #[test]
    fn one_number_has_many_reasons() {
        let load = |facts: &Facts| mend_of(Step::Load, 1, facts);
        assert!(load(&Facts::default()).contains("as root"));
        assert!(load(&Facts { effective: 0, ..root() }).contains("--cap-add BPF"));
        assert!(load(&Facts { in_user_namespace: true, ..root() }).contains("user namespace"));
        assert!(load(&Facts { filtered: true, ..root() }).contains("seccomp profile"));
        assert!(load(&Facts { confidential: true, ..root() }).contains("lockdown"));
        let selinux = Facts { modules: "capability,selinux,bpf".into(), ..root() };
        assert!(load(&selinux).contains("ausearch"));
        assert!(load(&root()).contains("--source portable"));
    }

    #[test]
    fn capabilities_may_stand_for_each_other() {
        assert!(Facts { effective: SYS_ADMIN, ..root() }.may());
        assert!(Facts { effective: PERFMON_AND_BPF, ..root() }.may());
        assert!(!Facts { effective: 1 << 39, ..root() }.may());
    }

    #[test]
    fn every_step_has_its_own_words() {
        assert!(mend_of(Step::Attach, 16, &root()).contains("enabled_functions"));
        assert!(mend_of(Step::Attach, 7, &root()).contains("bpftool link list"));
        assert!(mend_of(Step::Attach, NOT_SUPPORTED, &root()).contains("bpf_jit_enable"));
        assert!(mend_of(Step::Types, 2, &root()).contains("linux-image-amd64"));
        assert!(mend_of(Step::Load, 22, &root()).contains("linux-image-amd64"));
        let locked = Facts { confidential: true, ..root() };
        assert!(mend_of(Step::Load, 22, &locked).contains("lockdown=confidentiality"));
        let (found, mend) = not_called(&root(), Distribution::Arch);
        assert!(found.contains("does not call") && mend.contains("lsm=bpf"));
    }
}
