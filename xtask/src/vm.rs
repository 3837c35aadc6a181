//! `cargo xtask vm -- CMD`: a command as root on a stock Debian kernel, with this checkout inside.
//!
//! The kernel of the machine at hand may have no BPF LSM, refuse it, or belong to others. So what
//! needs a kernel of its own runs in a virtual machine: the host's root read-only below an overlay
//! in memory, loopback as the only network. The guest changes nothing on the host; what it found
//! out comes back through its two outputs and its status.

mod clock;
mod image;
mod initramfs;
mod kernel;
mod machine;
mod session;

use crate::repository::Repository;
use crate::repository::has_program;
use anyhow::Result;
use anyhow::bail;
use kernel::Series;
use machine::Ending;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The status of a command that was ended at its time limit, as in timeout(1).
const TIMED_OUT: u8 = 124;
const VIRTIOFSD: &str = "/usr/lib/qemu/virtiofsd";
const PROGRAMS: [&str; 7] =
    ["qemu-system-x86_64", "busybox", "setpriv", "unshare", "xz", "zstd", "dpkg-deb"];

/// What to boot, and what to run in it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    cargo xtask vm -- uname -r\n  \
    cargo xtask vm --kernel 6.1 --kernel 6.12 -- target/debug/quixote doctor\n  \
    cargo xtask vm --append lsm=lockdown,capability,bpf -- cat /sys/kernel/security/lsm\n  \
    cargo xtask vm -- sh -ec 'first; second; third'    # several commands in one boot\n\n\
    The host's root is read-only below an overlay in memory: what the command writes is gone when\n\
    it ends. /tmp and /run are tmpfs. The working folder is the one of the caller.")]
pub(crate) struct Options {
    /// The kernel's series (may be given several times: one boot each)
    #[arg(long, value_enum, default_value = "6.12")]
    kernel: Vec<Series>,
    /// More words for the kernel's command line, for example `lsm=capability,bpf`
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Processors
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Give the machine a TPM 2.0 (swtpm), new at each boot
    #[arg(long)]
    tpm: bool,
    /// What carries out the guest's instructions
    #[arg(long, value_enum, default_value = "tcg")]
    accel: Accelerator,
    /// The guest's clocks count instructions, a nanosecond each, and stand for as long as none is carried out: what is
    /// measured does not depend on how busy this machine is (emulation only, and slow)
    #[arg(long)]
    count_instructions: bool,
    /// End the machine after this many seconds; the status is then 124
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Show the kernel's messages on standard error
    #[arg(long)]
    console: bool,
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// What carries out the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Accelerator {
    /// Emulation; works everywhere.
    Tcg,
    /// The processor, through /dev/kvm.
    Kvm,
}

/// Boots each kernel that was asked for; the status is the first that is not 0.
pub(crate) fn run(repository: &Repository, options: &Options) -> Result<ExitCode> {
    what_is_needed(options)?;
    for series in &options.kernel {
        let kernel = kernel::obtain(*series)?;
        match machine::boot(repository, &kernel, options)? {
            Ending::Status(0) => {}
            Ending::Status(status) => return Ok(ExitCode::from(status)),
            Ending::TimedOut => {
                eprintln!("xtask vm: not done within {} s (--timeout)", options.timeout);
                return Ok(ExitCode::from(TIMED_OUT));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    fn time_limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn what_is_needed(options: &Options) -> Result<()> {
    if options.count_instructions && options.accel == Accelerator::Kvm {
        bail!("vm: --count-instructions counts what is emulated; leave --accel kvm out");
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("vm: sharing the host's files with the guest needs root; run it as root");
    }
    let tpm = options.tpm.then_some("swtpm");
    let missing = PROGRAMS.into_iter().chain(tpm).find(|name| !has_program(name));
    if let Some(name) = missing {
        bail!("vm: the program `{name}` is not here; `cargo xtask setup` installs it");
    }
    if !Path::new(VIRTIOFSD).exists() {
        bail!("vm: {VIRTIOFSD} is not here; `cargo xtask setup` installs it");
    }
    Ok(())
}
