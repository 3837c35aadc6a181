//! `cargo xtask setup`: what tests, demo and benches need from Debian.
//!
//! Idempotent: what dpkg knows as installed is left alone, so the usual run costs one query. One
//! who is not root is told the command instead. `demo` and `test` begin with it, so that a fresh
//! machine needs no step of its own.

use crate::process;
use crate::repository::Repository;
use crate::repository::has_program;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use std::process::Command;
use std::time::Duration;

/// Package and why it is needed.
const PACKAGES: &[(&str, &str)] = &[
    ("apparmor", "bench kernel: a peer"),
    ("bpftool", "kernel source: its border and what is left over, by another program than ours"),
    ("busybox-static", "vm: the guest's initramfs"),
    ("ca-certificates", "corpus"),
    ("clang-19", "kernel source: compiling the BPF programs"),
    ("crun", "kernel source: a container"),
    ("curl", "demo, corpus, attacks"),
    ("e2fsprogs", "kernel matrix: a file system with quotas"),
    ("debsums", "benches: the peer of references"),
    ("findutils", "corpus: backup script"),
    ("gcc", "corpus: compiling; helper programs of tests and benches"),
    ("git", "corpus"),
    ("gnupg", "references, upgrade, ima: keys and signatures of tests"),
    ("gzip", "corpus: backup script"),
    ("ima-evm-utils", "ima: evmctl, the oracle"),
    ("keyutils", "ima: the guest's keyring"),
    ("kmod", "vm: the guest's modules"),
    ("libc6-dev", "helper programs of tests and benches"),
    ("libelf-dev", "kernel source: libbpf"),
    ("lld-19", "agents/build.sh: the linker of images and firmware"),
    ("make", "corpus: compiling"),
    ("nginx", "demo, corpus, benches"),
    ("openssh-client", "corpus: login"),
    ("openssh-server", "corpus: login"),
    ("pkg-config", "kernel source: libbpf"),
    ("postgresql", "corpus"),
    ("procps", "corpus, attacks"),
    ("python3", "vectors, corpus: web service"),
    ("qemu-system-arm", "agents/mcu: the emulated board"),
    ("qemu-system-common", "vm: virtiofsd"),
    ("qemu-system-x86", "vm; agents/stubdomain: its machine"),
    ("redis-server", "corpus, benches"),
    ("redis-tools", "corpus, benches"),
    ("rpm", "references: packages to read, and rpm itself as the second opinion"),
    ("rsync", "corpus: backup script"),
    ("rust-web-src", "bare-metal build of core: sources of core and alloc"),
    ("rustc-web", "check of the portable source for aarch64: a rustc with a packaged std"),
    ("sqlite3", "corpus: web service"),
    ("strace", "benches: the peer"),
    ("swtpm", "vm: the guest's TPM"),
    ("tar", "corpus: backup script"),
    ("wrk", "corpus, benches"),
    ("xz-utils", "references: compressed indexes; vm: the guest's kernel and modules"),
    ("zlib1g-dev", "kernel source: libbpf"),
    ("zstd", "references: compressed indexes; vm: the guest's kernel"),
];

const LIMIT: Duration = Duration::from_secs(600);

/// Tools of `lint` that are no packages of Debian, and how to have them; it does without.
const OPTIONAL: &[(&str, &str)] = &[
    ("cargo-deny", "cargo install --locked cargo-deny (about 4 minutes on 2 cores)"),
    ("typos", "pip install typos"),
];

/// Installs what is missing, or says what to install.
pub(crate) fn ensure(repository: &Repository) -> Result<()> {
    for (_, how) in OPTIONAL.iter().filter(|(name, _)| !has_program(name)) {
        println!("setup: optional, for `cargo xtask lint`: {how}");
    }
    let missing = missing_packages()?;
    if missing.is_empty() {
        println!("setup: all {} packages are here", PACKAGES.len());
        return Ok(());
    }
    if !is_root()? {
        bail!("packages are missing; run: apt-get install {}", missing.join(" "));
    }
    apt_get(repository, &["update"])?;
    let options = ["install", "--yes", "--no-install-recommends"];
    apt_get(repository, &[&options[..], &missing[..]].concat())
}

fn missing_packages() -> Result<Vec<&'static str>> {
    let names = PACKAGES.iter().map(|(name, _)| *name);
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(names.clone())
        .output()
        .context("dpkg-query: setup knows Debian and its children only")?;
    let known = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed = |name: &&str| known.lines().any(|line| line == format!("{name} installed"));
    Ok(names.filter(|name| !installed(name)).collect())
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("id")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn apt_get(repository: &Repository, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    // Services are started by whoever needs one, never by their installation.
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=5"])
        .args(arguments)
        .current_dir(repository.root());
    process::run(&mut command, LIMIT)
}
