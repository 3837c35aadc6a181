//! The machine of one boot: virtiofsd, swtpm where asked for, QEMU; and what comes back from it.
//!
//! All of them die with xtask, however it dies (`PR_SET_PDEATHSIG` through setpriv). The command's
//! outputs and its status have ports of their own, so that no kernel message can garble them.

use super::Accelerator;
use super::Options;
use super::VIRTIOFSD;
use super::clock;
use super::kernel::Kernel;
use super::session;
use super::session::Session;
use crate::process::Running;
use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

const START_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
const SHOWN_CONSOLE_LINES: usize = 25;
const STATUS_MAX: u64 = 16;
const KEPT_CONSOLE: usize = 65536;

/// How a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The command ended with this status.
    Status(u8),
    /// The command was not done in time.
    TimedOut,
}

/// Boots, runs the command, passes its outputs on.
pub(super) fn boot(repository: &Repository, kernel: &Kernel, options: &Options) -> Result<Ending> {
    let session = Session::create(repository, kernel, options)?;
    let ports = Ports::listen(&session, options.console)?;
    let _files = share_files(&session)?;
    let _tpm = options.tpm.then(|| start_tpm(&session)).transpose()?;
    let mut machine = Running::start(&mut machine(&session, kernel, options)?)?;
    let ended = machine.wait(options.time_limit());
    drop(machine);
    let left = ports.finish(&session);
    if ended.is_err() {
        show_last_messages(&left.console);
        return Ok(Ending::TimedOut);
    }
    let Some(status) = left.status else {
        show_last_messages(&left.console);
        bail!("vm: the machine ended without the command's status; its last messages are above");
    };
    Ok(Ending::Status(status))
}

/// A program that does not outlive xtask.
fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// The host's root, for the guest: read-only by a mount of its own, whatever the guest tries.
fn share_files(session: &Session) -> Result<Running> {
    const SCRIPT: &str = include_str!("share.sh");
    let socket = session.path("files");
    let mut command = bound("unshare");
    command
        .args(["--mount", "--propagation", "private", "--", "sh", "-c", SCRIPT, "share"])
        .args([OsStr::new(VIRTIOFSD), session.path("host").as_os_str(), socket.as_os_str()])
        .stdout(Stdio::null())
        .stderr(File::create(session.path("files.log"))?);
    let mut running = Running::start(&mut command)?;
    wait_for(&mut running, &socket).with_context(|| {
        let log = fs::read_to_string(session.path("files.log")).unwrap_or_default();
        format!("virtiofsd does not start: {}", log.trim())
    })?;
    Ok(running)
}

fn start_tpm(session: &Session) -> Result<Running> {
    let state = session.path("tpm-state");
    fs::create_dir(&state)?;
    let socket = session.path("tpm");
    let mut command = bound("swtpm");
    command
        .args(["socket", "--tpm2", "--flags", "startup-clear", "--terminate"])
        .arg(format!("--tpmstate=dir={}", state.display()))
        .arg(format!("--ctrl=type=unixio,path={}", socket.display()));
    let mut running = Running::start(&mut command)?;
    wait_for(&mut running, &socket).context("swtpm does not start")?;
    Ok(running)
}

fn wait_for(running: &mut Running, socket: &Path) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    while !listens(socket) {
        if !running.is_running()? {
            bail!("it ended at once");
        }
        if Instant::now() >= deadline {
            bail!("not ready within {} s", START_LIMIT.as_secs());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// A socket has its name before it listens. Connecting to see would end swtpm, which serves one client.
fn listens(socket: &Path) -> bool {
    const ACCEPTS: &str = "00010000";
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    table.lines().any(|row| {
        let mut words = row.split_ascii_whitespace();
        let accepts = words.nth(3) == Some(ACCEPTS);
        accepts && words.last().is_some_and(|name| Path::new(name) == socket)
    })
}

fn machine(session: &Session, kernel: &Kernel, options: &Options) -> Result<Command> {
    let mut command = bound("qemu-system-x86_64");
    command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    command.args(match options.accel {
        Accelerator::Tcg if options.count_instructions => {
            ["-accel", "tcg,thread=single", "-cpu", "max"]
        }
        Accelerator::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        Accelerator::Kvm => ["-accel", "kvm", "-cpu", "host"],
    });
    if options.count_instructions {
        command.args(["-icount", "shift=0,sleep=on"]);
    }
    command.args(["-smp", &options.cpus.to_string(), "-m", &format!("{}M", options.memory)]);
    let memory = format!("memory-backend-memfd,id=ram,size={}M,share=on", options.memory);
    command.args(["-machine", "q35,memory-backend=ram", "-object", &memory]);
    command.arg("-kernel").arg(kernel.image()).arg("-initrd").arg(kernel.initramfs());
    command.args(["-append", &command_line(session, options)?]);
    add_files(&mut command, session);
    add_ports(&mut command, session);
    if options.tpm {
        command.arg("-chardev").arg(prefixed("socket,id=tpm,path=", &session.path("tpm")));
        command.args(["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"]);
    }
    Ok(command)
}

fn command_line(session: &Session, options: &Options) -> Result<String> {
    let folder = session::guest_folder(session)?;
    let own = "console=ttyS0 quiet panic=-1 oops=panic random.trust_cpu=on";
    let quiet = if options.console { "loglevel=7" } else { "loglevel=4" };
    // An emulated processor on a busy machine misses the ticks by which the timer is tested.
    let rate = if options.count_instructions { Some(1_000_000) } else { clock::counter_rate() };
    let clock = match (options.accel, rate) {
        (Accelerator::Tcg, Some(rate)) => {
            format!("no_timer_check tsc=reliable tsc_early_khz={rate}")
        }
        (Accelerator::Tcg, None) => "no_timer_check".to_owned(),
        _ => String::new(),
    };
    let append = options.append.join(" ");
    Ok(format!("{own} {quiet} {clock} quixote.session={folder} {append}"))
}

fn add_files(command: &mut Command, session: &Session) {
    command.arg("-chardev").arg(prefixed("socket,id=files,path=", &session.path("files")));
    command.args(["-device", "vhost-user-fs-pci,chardev=files,tag=host,queue-size=1024"]);
}

fn add_ports(command: &mut Command, session: &Session) {
    command.arg("-chardev").arg(prefixed("socket,id=console,path=", &session.path("console")));
    command.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
    for name in ["out", "err", "status"] {
        let option = format!("socket,id={name},path=");
        command.arg("-chardev").arg(prefixed(&option, &session.path(name)));
        command.args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
    }
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// What the guest writes: the command's two outputs, passed on as they come, its status, and the
/// kernel's messages.
struct Ports {
    outputs: Vec<JoinHandle<()>>,
    status: JoinHandle<Option<u8>>,
    console: JoinHandle<Vec<u8>>,
}

/// What a boot left.
struct Left {
    status: Option<u8>,
    console: Vec<u8>,
}

impl Ports {
    const NAMES: [&str; 4] = ["out", "err", "status", "console"];

    fn listen(session: &Session, show_console: bool) -> Result<Self> {
        let [out, err, status, console] =
            Self::NAMES.map(|name| UnixListener::bind(session.path(name)));
        let (out, err, status, console) = (out?, err?, status?, console?);
        let outputs = vec![
            thread::spawn(move || pass_on(&out, io::stdout())),
            thread::spawn(move || pass_on(&err, io::stderr())),
        ];
        let status = thread::spawn(move || read_status(&status));
        let console = thread::spawn(move || keep_last(&console, show_console));
        Ok(Self { outputs, status, console })
    }

    /// After the machine's end: the rest of what it wrote.
    fn finish(self, session: &Session) -> Left {
        for name in Self::NAMES {
            // A machine that never came up never connected; this ends the wait for it.
            let _ = UnixStream::connect(session.path(name));
        }
        for output in self.outputs {
            let _ = output.join();
        }
        Left {
            status: self.status.join().ok().flatten(),
            console: self.console.join().unwrap_or_default(),
        }
    }
}

fn pass_on(listener: &UnixListener, mut output: impl Write) {
    let Ok((mut stream, _)) = listener.accept() else {
        return;
    };
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        // Output that no one wants any more must not stop the guest.
        let _ = output.write_all(&buffer[..length]).and_then(|()| output.flush());
    }
}

fn read_status(listener: &UnixListener) -> Option<u8> {
    let (stream, _) = listener.accept().ok()?;
    let mut text = String::new();
    stream.take(STATUS_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn keep_last(listener: &UnixListener, show: bool) -> Vec<u8> {
    let mut kept = Vec::new();
    let Ok((mut stream, _)) = listener.accept() else {
        return kept;
    };
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..length]);
        kept.drain(..kept.len().saturating_sub(KEPT_CONSOLE));
        if show {
            let _ = io::stderr().write_all(&buffer[..length]);
        }
    }
    kept
}

fn show_last_messages(console: &[u8]) {
    let text = String::from_utf8_lossy(console).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN_CONSOLE_LINES)..] {
        eprintln!("guest: {line}");
    }
}
