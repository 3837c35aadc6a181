//! Starts the agent that is alone in a virtual machine.
//!
//! The image is read once, compared with the digest that was pinned, and handed to QEMU as a
//! sealed copy: what was checked is what boots. Its console is one end of a socket pair. The boot
//! record, which holds the agent's secret, goes the same way as the image, never over a command
//! line. QEMU uses KVM where there is one and emulates otherwise; it may start no programs and
//! gain no privileges.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use rand_core::OsRng;
use rand_core::RngCore as _;
use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use thiserror::Error;
use tsem::Digest;

use crate::kernel;
use crate::places;
use crate::places::PlaceError;

const QEMU: &str = "qemu-system-x86_64";
/// The machine ends with the thread that started it, however that ends: a machine nobody talks to
/// any more would sleep for ever.
const DIES_WITH_US: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];
/// The image, beside our own program or where packages put it.
const IMAGE: &str = "quixote-stubdomain";
const PACKAGED: &str = "/usr/libexec/quixote";
/// No image is longer.
const IMAGE_MAX: u64 = 2 << 20;

/// All that the machine has: one processor, memory, one console, nothing else. Image, boot record
/// and console are its standard error, output and input, which QEMU has no other use for.
const MACHINE: &[&str] = &[
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    "-display",
    "none",
    "-machine",
    "microvm,isa-serial=off,ioapic2=off,rtc=off,acpi=off",
    "-cpu",
    "max",
    "-m",
    "128",
    "-device",
    "virtio-serial-device,max_ports=1",
    "-device",
    "virtconsole,chardev=tma",
    "-chardev",
    "socket,id=tma,fd=0",
    "-initrd",
    "/dev/fd/1",
    "-kernel",
    "/dev/fd/2",
    "-append",
    "tma",
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
];

/// Who carries out the machine's instructions, and how long it may take to begin. There are hosts
/// on which KVM opens and then fails, hangs, or takes 10 ms for each exit (nested, without the
/// hardware's help), so it is believed when the machine is up in a time that emulation would keep.
const ACCELERATORS: &[(&str, Duration)] =
    &[("kvm", Duration::from_millis(400)), ("tcg", Duration::from_secs(30))];

/// The machine cannot be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MachineError {
    /// No image was named, and there is none where it is looked for.
    #[error(
        "{IMAGE} is neither beside this program nor in {PACKAGED}; build it with \
         agents/build.sh stubdomain, and name it: --tma vm:IMAGE"
    )]
    NoImage,
    /// It cannot be read.
    #[error("cannot read the image {}: {source}", path.display())]
    Image {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is another than the one that was pinned.
    #[error(
        "the image {} has the digest {found}, not the pinned one; if it was exchanged on purpose, \
         remove {}",
        path.display(),
        pin.display()
    )]
    OtherImage {
        /// Which.
        path: PathBuf,
        /// What it is now.
        found: Digest,
        /// Where its digest is pinned.
        pin: PathBuf,
    },
    /// Where the pin lies.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Starting programs at all.
    #[error("cannot start setpriv: {0}; install it: apt-get install util-linux")]
    Emulator(io::Error),
    /// It is not there, or what it runs says nothing.
    #[error(
        "{QEMU} does not boot {}; is it installed (apt-get install qemu-system-x86), and is this \
         a stub domain's image?",
        .0.display()
    )]
    Silent(PathBuf),
}

/// Starts the machine with `image`, or with the one that is installed, and hands it its boot
/// record; its console, and QEMU.
///
/// # Errors
///
/// The image is not there, or not the pinned one; QEMU is not there.
pub fn start(image: Option<&Path>, record: &[u8]) -> Result<(UnixStream, Child), MachineError> {
    let path = image.map(Path::to_owned).or_else(installed).ok_or(MachineError::NoImage)?;
    let image = checked(&path)?;
    let kvm = OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    for (accelerator, patience) in ACCELERATORS.iter().filter(|(name, _)| kvm || *name != "kvm") {
        let started = run(accelerator, &image, record);
        let (console, mut machine) = started.map_err(MachineError::Emulator)?;
        if is_up(&console, *patience) {
            return Ok((console, machine));
        }
        // It has ended already, or does now.
        let _ = machine.kill();
        let _ = machine.wait();
    }
    Err(MachineError::Silent(path))
}

/// The image begins with one octet that is an empty frame, nothing, to the protocol.
fn is_up(mut console: &UnixStream, patience: Duration) -> bool {
    let limited = console.set_read_timeout(Some(patience));
    limited.is_ok() && console.read_exact(&mut [0]).is_ok()
}

fn installed() -> Option<PathBuf> {
    let own = kernel::own_program().ok();
    let beside = own.iter().filter_map(|own| own.parent()).map(|folder| folder.join(IMAGE));
    let packaged = std::iter::once(PathBuf::from(PACKAGED).join(IMAGE));
    beside.chain(packaged).find(|path| path.is_file())
}

/// The image's octets, once they are what was pinned. The first image of a path is pinned.
fn checked(path: &Path) -> Result<Vec<u8>, MachineError> {
    let failed = |source| MachineError::Image { path: path.into(), source };
    if fs::metadata(path).map_err(failed)?.len() > IMAGE_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let octets = fs::read(path).map_err(failed)?;
    let found = Digest::of(&[&octets]);
    let name = fs::canonicalize(path).map_err(failed)?;
    let name = Digest::of(&[name.as_os_str().as_encoded_bytes()]).to_hex();
    let pin = places::agents_dir()?.join(format!("image-{}.sha256", &name[..16]));
    let kept = match fs::read_to_string(&pin) {
        Ok(kept) => kept,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = format!("{found}\n");
            crate::model_file::format::write_atomically(&pin, text.as_bytes()).map_err(failed)?;
            text
        }
        Err(error) => return Err(failed(error)),
    };
    if Digest::from_hex(kept.trim_end()) == Some(found) {
        Ok(octets)
    } else {
        Err(MachineError::OtherImage { path: path.into(), found, pin })
    }
}

fn run(accelerator: &str, image: &[u8], record: &[u8]) -> io::Result<(UnixStream, Child)> {
    let mut random = [0; 32];
    OsRng.try_fill_bytes(&mut random).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(DIES_WITH_US[0]);
    command
        .args(&DIES_WITH_US[1..])
        .arg(QEMU)
        .args(MACHINE)
        .args(["-accel", accelerator])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(sealed(&[&random, record])?)
        .stderr(sealed(&[image])?)
        // What the terminal sends to the foreground is not meant for the machine.
        .process_group(0);
    Ok((ours, command.spawn()?))
}

/// Octets in memory that nobody can change any more.
fn sealed(parts: &[&[u8]]) -> io::Result<Stdio> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("quixote-tma", flags)?);
    for part in parts {
        file.write_all(part)?;
    }
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, all)?;
    Ok(file.into())
}
