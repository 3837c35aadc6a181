//! Starting a program that has two pipes and nothing else.
//!
//! It runs from a sealed memfd, so that neither its file nor its pages can be exchanged; in namespaces of its
//! own where the kernel allows; without environment. Everything else it locks itself
//! (`parser/src/lock.rs`), before it reads.

#![allow(unsafe_code, reason = "clone, and what may be called between it and exec")]

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::sync::OnceLock;

use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use rustix::pipe::PipeFlags;

/// The parser, as it was built with this library.
static PARSER: &[u8] = include_bytes!(env!("REFERENCE_PARSER"));

const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;
/// Descriptors 0 and 1 are the pipes; ours are moved out of the way.
const FIRST_FREE: RawFd = 3;
/// What a child ends with that could not execute the program.
const NOT_EXECUTED: i32 = 72;

/// A program in a sealed memfd.
#[derive(Debug)]
pub struct Program {
    file: OwnedFd,
    /// It needs no file to start: linked statically.
    is_static: bool,
}

impl Program {
    /// Seals a program: nobody can change it any more, we included.
    pub fn seal(octets: &[u8]) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not know MFD_EXEC, and make every memfd executable.
        let file = rustix::fs::memfd_create(c"reference-parser", flags | MemfdFlags::EXEC)
            .or_else(|_| rustix::fs::memfd_create(c"reference-parser", flags))?;
        let mut rest = octets;
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&file, rest)?..];
        }
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(Self { file, is_static: false })
    }

    /// The parser of this library, sealed once a process.
    pub fn parser() -> io::Result<&'static Self> {
        static SEALED: OnceLock<Program> = OnceLock::new();
        if let Some(program) = SEALED.get() {
            return Ok(program);
        }
        let program = Self { is_static: true, ..Self::seal(PARSER)? };
        Ok(SEALED.get_or_init(|| program))
    }
}

/// A running program, with the ends of its two pipes. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Confined {
    process: OwnedFd,
    /// Where its input is written; does not block.
    pub(crate) input: OwnedFd,
    /// Where its output is read; does not block.
    pub(crate) output: OwnedFd,
    /// Whether it runs in namespaces of its own.
    pub(crate) in_namespaces: bool,
}

impl Confined {
    /// Starts `program` with one argument.
    pub(crate) fn start(program: &Program, argument: &str) -> io::Result<Self> {
        let (their_input, input) = pipe()?;
        let (output, their_output) = pipe()?;
        let theirs = Theirs {
            program: program.file.as_raw_fd(),
            input: their_input.as_raw_fd(),
            output: their_output.as_raw_fd(),
            empty_root: program.is_static,
            arguments: [CString::from(c"reference-parser"), CString::new(argument)?],
        };
        let (process, in_namespaces) = match theirs.start(NAMESPACES) {
            Ok(process) => (process, true),
            Err(_) => (theirs.start(0)?, false),
        };
        for end in [&input, &output] {
            rustix::io::ioctl_fionbio(end, true)?;
            // As much as a user may have; the kernel's default is only slower.
            let _ = rustix::pipe::fcntl_setpipe_size(end, 1 << 20);
        }
        Ok(Self { process, input, output, in_namespaces })
    }

    /// Its process, for those who watch or test it.
    pub(crate) fn process(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.process)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ = rustix::process::pidfd_send_signal(&self.process, rustix::process::Signal::KILL);
        let id = rustix::process::WaitId::PidFd(self.process());
        let _ = rustix::process::waitid(id, rustix::process::WaitIdOptions::EXITED);
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((out_of_the_way(reader)?, out_of_the_way(writer)?))
}

fn out_of_the_way(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= FIRST_FREE {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, FIRST_FREE)?)
}

/// All that the child needs between clone and exec, where it must not allocate.
struct Theirs {
    program: RawFd,
    input: RawFd,
    output: RawFd,
    empty_root: bool,
    arguments: [CString; 2],
}

impl Theirs {
    fn start(&self, namespaces: i32) -> io::Result<OwnedFd> {
        const NONE: libc::c_long = 0;
        let arguments = self.arguments.each_ref().map(|argument| argument.as_ptr());
        let arguments = [arguments[0], arguments[1], std::ptr::null()];
        let mut pidfd: RawFd = -1;
        let flags = libc::c_long::from(libc::CLONE_PIDFD | namespaces | libc::SIGCHLD);
        // clone and not clone3: sandboxes around us that look at the flags of the one refuse the other.
        // SAFETY: as fork: without CLONE_VM and without a stack the child has a copy of everything; the
        // kernel writes the descriptor to where it is pointed.
        let child =
            unsafe { libc::syscall(libc::SYS_clone, flags, NONE, &raw mut pidfd, NONE, NONE) };
        match child {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: this is the child, with one thread; `become_program` allocates and locks nothing.
            0 => unsafe { self.become_program(&arguments) },
            // SAFETY: the kernel has just made this descriptor for us.
            _ => Ok(unsafe { OwnedFd::from_raw_fd(pidfd) }),
        }
    }

    /// # Safety
    ///
    /// Only in a new process, between clone and exec: it takes over descriptors 0 and 1.
    unsafe fn become_program(&self, arguments: &[*const libc::c_char; 3]) -> ! {
        const CLOSE_ON_EXEC: u32 = 4;
        let environment = [std::ptr::null::<libc::c_char>()];
        // SAFETY: plain system calls; all pointers are to memory that lives until exec replaces it.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            if self.empty_root {
                // The capability for it ends with the exec. The parser looks whether it held.
                libc::chroot(c"/proc/self/fdinfo".as_ptr());
                libc::chdir(c"/".as_ptr());
            }
            // A third, only until the lock: a runtime that misses its standard error opens a file.
            libc::dup2(self.output, 2);
            if libc::dup2(self.input, 0) == 0 && libc::dup2(self.output, 1) == 1 {
                libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOSE_ON_EXEC);
                libc::syscall(
                    libc::SYS_execveat,
                    self.program,
                    c"".as_ptr(),
                    arguments.as_ptr(),
                    environment.as_ptr(),
                    libc::AT_EMPTY_PATH,
                );
            }
            libc::_exit(NOT_EXECUTED)
        }
    }
}
