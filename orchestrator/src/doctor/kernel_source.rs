//! What the kernel source needs of a kernel, each looked at for itself.
//!
//! Configured is not active, and active is not attachable; so the last check attaches a program. The
//! mends name the commands of the distribution at hand.

use std::path::Path;

use super::Check;
use super::Health;
use super::bad;
use super::good;
use super::read;

#[cfg(feature = "kernel")]
mod attaching;

const LSM_LIST: &str = "/sys/kernel/security/lsm";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
const LOCKDOWN_MEND: &str = "remove lockdown=confidentiality from the kernel's command line and \
                             reboot; integrity is no hindrance";
const BTF: &str = "/sys/kernel/btf/vmlinux";

pub(super) fn examine() -> Vec<Check> {
    let distribution = Distribution::of(&read("/etc/os-release").unwrap_or_default());
    let by_looking = [bpf_lsm(distribution), types(distribution), lockdown(), compiler(), bpffs()];
    #[cfg(feature = "kernel")]
    return [&by_looking[..], &[preemption(distribution), attaching::examine(distribution)]]
        .concat();
    #[cfg(not(feature = "kernel"))]
    by_looking.into()
}

/// How a distribution changes the kernel's command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distribution {
    Debian,
    Ubuntu,
    Fedora,
    Rhel,
    Arch,
    Other,
}

impl Distribution {
    /// From /etc/os-release, os-release(5): `ID`, then what it is like.
    fn of(os_release: &str) -> Self {
        let value = |name: &str| {
            let line =
                os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
        };
        let names = format!("{} {}", value("ID"), value("ID_LIKE"));
        names.split_whitespace().find_map(Self::of_name).unwrap_or(Self::Other)
    }

    fn of_name(name: &str) -> Option<Self> {
        match name {
            "debian" => Some(Self::Debian),
            "ubuntu" => Some(Self::Ubuntu),
            "fedora" => Some(Self::Fedora),
            "rhel" | "centos" | "rocky" | "almalinux" => Some(Self::Rhel),
            "arch" => Some(Self::Arch),
            _ => None,
        }
    }

    /// What adds a word to the kernel's command line; in effect after the next boot.
    fn add_to_command_line(self, word: &str) -> String {
        match self {
            Self::Debian | Self::Ubuntu => format!(
                "add {word} to GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub, and reboot"
            ),
            Self::Fedora | Self::Rhel => {
                format!("run grubby --update-kernel=ALL --args={word}, and reboot")
            }
            Self::Arch => format!(
                "add {word} to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub and run grub-mkconfig \
                 -o /boot/grub/grub.cfg (with systemd-boot: to options in /boot/loader/entries), \
                 and reboot"
            ),
            Self::Other => format!("add {word} to the kernel's command line, and reboot"),
        }
    }

    /// A kernel of the distribution that has what is needed built in.
    fn kernel(self) -> &'static str {
        match self {
            Self::Debian => "install linux-image-amd64 (Debian 12 or newer), and reboot",
            Self::Ubuntu => "install linux-generic (24.04 or newer), and reboot",
            Self::Fedora => "run dnf upgrade kernel, and reboot",
            Self::Rhel => "run dnf upgrade kernel (RHEL 10 is built with 6.12), and reboot",
            Self::Arch => "run pacman -S linux, and reboot",
            Self::Other => "boot Linux 6.1 or newer with CONFIG_BPF_LSM and CONFIG_DEBUG_INFO_BTF",
        }
    }
}

fn bpf_lsm(distribution: Distribution) -> Check {
    const NAME: &str = "kernel source: BPF LSM";
    let Some(active) = read(LSM_LIST) else {
        let mend =
            "mount -t securityfs securityfs /sys/kernel/security, to see which LSMs are active";
        return bad(NAME, Health::Limited, "the active LSMs are not to be seen", mend);
    };
    if active.split(',').any(|lsm| lsm == "bpf") {
        return good(NAME, format!("active ({active})"));
    }
    if kernel_lacks("CONFIG_BPF_LSM") {
        return bad(NAME, Health::Limited, "not built into this kernel", distribution.kernel());
    }
    let found = format!("bpf is not in the LSM list ({active})");
    bad(NAME, Health::Limited, &found, &distribution.add_to_command_line(&with_bpf(&active)))
}

/// The parameter that keeps the active modules and adds ours, last as in the kernel's own default.
///
/// `capability`, IMA and EVM are active whether they are named or not.
fn with_bpf(active: &str) -> String {
    const UNNAMED: [&str; 4] = ["", "capability", "ima", "evm"];
    let named = active.split(',').filter(|lsm| !UNNAMED.contains(lsm));
    let all: Vec<&str> = named.chain(["bpf"]).collect();
    format!("lsm={}", all.join(","))
}

/// Whether the kernel's configuration is to be seen, and an option is not in it.
fn kernel_lacks(option: &str) -> bool {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let configuration = read(&format!("/boot/config-{release}"));
    configuration.is_some_and(|text| !text.lines().any(|line| line == format!("{option}=y")))
}

fn types(distribution: Distribution) -> Check {
    const NAME: &str = "kernel source: types of the kernel (BTF)";
    if Path::new(BTF).exists() {
        return good(NAME, BTF);
    }
    let found = format!("{BTF} is not there: CONFIG_DEBUG_INFO_BTF is off");
    bad(NAME, Health::Limited, &found, distribution.kernel())
}

fn lockdown() -> Check {
    const NAME: &str = "kernel source: lockdown";
    if is_confidential() {
        let found = "confidentiality: BPF may not read the kernel";
        return bad(NAME, Health::Limited, found, LOCKDOWN_MEND);
    }
    good(NAME, read(LOCKDOWN).unwrap_or_else(|| "not active".into()))
}

fn is_confidential() -> bool {
    read(LOCKDOWN).is_some_and(|modes| modes.contains("[confidentiality]"))
}

/// Hooks are attached by trampolines, which only compiled programs have.
fn compiler() -> Check {
    const NAME: &str = "kernel source: BPF compiler (net.core.bpf_jit_enable)";
    match read("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Some("0") => bad(
            NAME,
            Health::Limited,
            "off",
            "sysctl net.core.bpf_jit_enable=1 (and in /etc/sysctl.d)",
        ),
        Some(_) => good(NAME, "on"),
        // Not shown outside the first network namespace, and where it is always on.
        None => good(NAME, "not to be seen here"),
    }
}

#[cfg(feature = "kernel")]
fn preemption(distribution: Distribution) -> Check {
    const NAME: &str = "kernel source: preemption";
    if !kernel_source::preemption::loses_tasks() {
        return good(NAME, "a task's memory is always found");
    }
    let found = "preempted everywhere, and older than 6.3: tasks may pass for others";
    let mend = format!(
        "boot Linux 6.3 or newer, or {}",
        distribution.add_to_command_line("preempt=voluntary")
    );
    bad(NAME, Health::Limited, found, &mend)
}

fn bpffs() -> Check {
    const NAME: &str = "kernel source: bpffs";
    let mounts = read("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some("/sys/fs/bpf") && words.next() == Some("bpf")
    });
    if mounted {
        return good(NAME, "mounted on /sys/fs/bpf");
    }
    bad(NAME, Health::Limited, "not mounted", "mount -t bpf bpf /sys/fs/bpf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_known_by_its_name_or_what_it_is_like() {
        let of = Distribution::of;
        assert_eq!(of("NAME=x\nID=debian\n"), Distribution::Debian);
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Distribution::Ubuntu);
        assert_eq!(of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Distribution::Rhel);
        assert_eq!(of("ID=fedora\n"), Distribution::Fedora);
        assert_eq!(of("ID=manjaro\nID_LIKE=arch\n"), Distribution::Arch);
        assert_eq!(of(""), Distribution::Other);
    }

    #[test]
    fn the_active_modules_stay_when_bpf_is_added() {
        assert_eq!(with_bpf("capability"), "lsm=bpf");
        assert_eq!(
            with_bpf("lockdown,capability,landlock,yama,apparmor"),
            "lsm=lockdown,landlock,yama,apparmor,bpf"
        );
        assert_eq!(with_bpf("lockdown,capability,apparmor,ima,evm"), "lsm=lockdown,apparmor,bpf");
    }

    #[test]
    fn every_distribution_has_a_mend() {
        for distribution in [
            Distribution::Debian,
            Distribution::Ubuntu,
            Distribution::Fedora,
            Distribution::Rhel,
            Distribution::Arch,
            Distribution::Other,
        ] {
            assert!(distribution.add_to_command_line("lsm=bpf").contains("lsm=bpf"));
            assert!(!distribution.kernel().is_empty());
        }
    }
}
