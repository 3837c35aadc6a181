//! Making memory executable.
//!
//! The kernel carries the call out. Where another thread could exchange the descriptor or the
//! mapping meanwhile, the call is an `unfilterable_call` besides; and every executable mapping of a
//! file is compared with the files that were judged for this address space, before the process's
//! next event.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use tsem::EventKind;
use tsem::Loss;
use tsem::Value;

use super::guards;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::process::Process;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

pub(crate) fn mmap(call: &Call) -> Handled {
    let flags = call.argument(3) as i32;
    let protection = Value::Number(call.argument(2) & 7);
    let shared = flags & libc::MAP_SHARED != 0;
    let sharing = Value::Number(if shared { 1 } else { 2 });
    let (file, inode) = match flags & libc::MAP_ANONYMOUS {
        0 => judged_file(call, &call.descriptor(call.argument(4) as i32)?)?,
        _ => (Value::NoFile, None),
    };
    call.judge(EventKind::MmapFile, vec![file, protection, sharing])?;
    if inode.is_some() {
        call.process().state().executable.extend(inode);
        return proceed(call);
    }
    Ok(Outcome::Continue)
}

pub(crate) fn mprotect(call: &Call) -> Handled {
    let (start, length) = (call.argument(0), call.argument(1));
    let end = start.saturating_add(length);
    let protection = call.argument(2) & 7;
    let mappings = Mapping::all(call.process())?;
    call.still_waiting()?;
    if mappings.is_empty() {
        return Err(call.lost(Loss::Unreadable));
    }
    let touched = mappings.into_iter().filter(|m| m.start < end && start < m.end);
    for mapping in touched {
        let file = mapping.open(call.process().pid).map_err(|_| call.lost(Loss::Unreadable))?;
        let (file, inode) =
            file.map_or(Ok((Value::NoFile, None)), |file| judged_file(call, &file))?;
        call.judge(EventKind::FileMprotect, vec![file, Value::Number(protection)])?;
        call.process().state().executable.extend(inode);
    }
    if call.shares_address_space() { settled_later(call) } else { proceed(call) }
}

/// A file as it is judged, and what its mappings are known by once it was allowed.
fn judged_file(call: &Call, fd: &OwnedFd) -> Result<(Value, Option<(u64, u64)>), Refusal> {
    let stat = sys::fstat(fd.as_fd())?;
    let mut described = file::describe(fd.as_fd(), &stat)?;
    if file::kind(&stat) == libc::S_IFREG {
        let digest = call.supervisor.digests.of(fd.as_fd(), &stat);
        described.digest = digest.map_err(|_| call.lost(Loss::Unreadable))?;
    }
    Ok((described.into(), Some((stat.st_dev, stat.st_ino))))
}

/// A thread alone with its descriptors and mappings cannot exchange anything while it is blocked.
/// Any other is a call that cannot be judged safely, which the model holds as such or not at all;
/// what it left mapped is settled before the process's next event all the same.
fn proceed(call: &Call) -> Handled {
    if call.descriptors_are_private() {
        return Ok(Outcome::Continue);
    }
    settled_later(call)
}

fn settled_later(call: &Call) -> Handled {
    let handled = guards::unfilterable(call)?;
    let process = call.process();
    process.state().mapping.push(call.thread.tid);
    process.unsettled.store(true, Ordering::Release);
    Ok(handled)
}

/// Compares what is mapped with what was judged.
pub(crate) fn settle(call: &Call) -> Result<(), Refusal> {
    let process = call.process();
    let executable = process.state().executable.clone();
    if !only_judged(process, &executable)? {
        tracing::warn!(target: "audit", pid = process.pid, "a mapped file was exchanged");
        return Err(Refusal::Kill);
    }
    let tid = call.thread.tid;
    let pid = process.pid;
    process.state().mapping.retain(|other| *other != tid && is_mapping(pid, *other));
    Ok(())
}

fn is_mapping(pid: u32, tid: u32) -> bool {
    let Ok(text) = sys::read_text(&format!("/proc/{pid}/task/{tid}/syscall")) else {
        return false;
    };
    let number = text.split(' ').next().unwrap_or_default().trim();
    let calls = [libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_pkey_mprotect];
    number == "running" || calls.iter().any(|call| call.to_string() == number)
}

/// Whether every executable mapping of a file is of one of these. A process that has no mappings
/// at all has ended: `ESRCH`.
pub(crate) fn only_judged(process: &Process, executable: &HashSet<(u64, u64)>) -> SysResult<bool> {
    let mappings = Mapping::all(process)?;
    if mappings.is_empty() {
        return Err(Errno(libc::ESRCH));
    }
    let mut mapped = mappings.iter().filter(|mapping| mapping.executable && mapping.is_of_a_file());
    Ok(mapped.all(|mapping| mapping.is_of(process.pid, executable)))
}

/// The devices of the file systems that the kernel has mounted for itself: `memfd_create` makes its files there, and
/// programs no others. One for each size of pages that this machine has.
fn kernels_own() -> &'static [u64] {
    static FOUND: OnceLock<Vec<u64>> = OnceLock::new();
    let find = || {
        let sizes = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
        let huge = sizes.filter_map(|entry| huge_pages(entry.file_name().to_str()?));
        let device = |flags| {
            let file = sys::memory_file(libc::MFD_CLOEXEC | flags)?;
            Ok(sys::fstat(file.as_fd())?.st_dev)
        };
        std::iter::once(0).chain(huge).map(device).collect::<SysResult<Vec<u64>>>()
    };
    if let Some(found) = FOUND.get() {
        return found;
    }
    // Without a descriptor for it such memory is a file that was not judged, this once.
    find().map_or(&[], |found| FOUND.get_or_init(|| found).as_slice())
}

/// How `memfd_create` is asked for pages of a size, as `hugepages-2048kB` in sysfs.
fn huge_pages(name: &str) -> Option<u32> {
    let size_kib: u32 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(libc::MFD_HUGETLB | (size_kib.ilog2() + 10) << libc::MFD_HUGE_SHIFT)
}

/// A line of `/proc/PID/maps`.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    executable: bool,
    pub(crate) private: bool,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    name: Vec<u8>,
}

impl Mapping {
    pub(crate) fn all(process: &Process) -> SysResult<Vec<Self>> {
        let maps = process.read(b"maps")?;
        let lines = maps.split(|octet| *octet == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| Self::parse(line).ok_or(Errno(libc::EIO))).collect()
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(6, |octet| *octet == b' ');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let (start, end) = text()?.split_once('-')?;
        let (permissions, _offset) = (text()?, text()?);
        let (major, minor) = text()?.split_once(':')?;
        let inode = text()?.parse().ok()?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        let device = libc::makedev(hex(major)? as u32, hex(minor)? as u32);
        let (start, end) = (hex(start)?, hex(end)?);
        let executable = permissions.as_bytes().get(2) == Some(&b'x');
        let private = permissions.ends_with('p');
        let name = fields.next().unwrap_or_default().trim_ascii_start().to_vec();
        Some(Self { start, end, executable, private, device, inode, name })
    }

    /// Anonymous memory that is shared, System V segments and huge pages lie in files of the kernel's own.
    fn is_of_a_file(&self) -> bool {
        let is_nameless =
            !self.name.starts_with(b"/memfd:") && kernels_own().contains(&self.device);
        self.inode != 0 && !is_nameless
    }

    /// Whether the file behind it is one of these. A file of an overlay may have another number here than its own.
    pub(crate) fn is_of(&self, pid: u32, files: &HashSet<(u64, u64)>) -> bool {
        files.contains(&(self.device, self.inode))
            || self.open(pid).ok().flatten().is_some_and(|file| {
                sys::fstat(file.as_fd()).is_ok_and(|s| files.contains(&(s.st_dev, s.st_ino)))
            })
    }

    /// The file behind a mapping; through `map_files` where we may, else by its name, when that
    /// still names the same inode.
    fn open(&self, pid: u32) -> SysResult<Option<OwnedFd>> {
        if !self.is_of_a_file() {
            return Ok(None);
        }
        let link = format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end);
        if let Ok(file) = sys::open(link.as_bytes(), libc::O_PATH) {
            return Ok(Some(file));
        }
        let file = sys::open(&self.name, libc::O_PATH | libc::O_NOFOLLOW)?;
        let same = sys::fstat(file.as_fd())?.st_ino == self.inode;
        if same { Ok(Some(file)) } else { Err(Errno(libc::ESTALE)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_of_a_file(device: u64, name: &str) -> bool {
        let (major, minor) = (libc::major(device), libc::minor(device));
        let line = format!("1000-2000 rwxs 00000000 {major:02x}:{minor:02x} 7   {name}");
        Mapping::parse(line.as_bytes()).unwrap().is_of_a_file()
    }

    #[test]
    fn sizes_of_pages_are_asked_for_by_their_logarithm() {
        assert_eq!(huge_pages("hugepages-2048kB"), Some(libc::MFD_HUGETLB | libc::MFD_HUGE_2MB));
        assert_eq!(huge_pages("hugepages-1048576kB"), Some(libc::MFD_HUGETLB | libc::MFD_HUGE_1GB));
        assert_eq!(huge_pages("other"), None);
    }

    #[test]
    fn memory_in_files_of_the_kernels_own_is_of_no_file() {
        let own = sys::fstat(sys::memory_file(libc::MFD_CLOEXEC).unwrap().as_fd()).unwrap().st_dev;
        assert!(!is_of_a_file(own, "/dev/zero (deleted)"));
        assert!(!is_of_a_file(own, "/SYSV00000000 (deleted)"));
        assert!(is_of_a_file(own, "/memfd:code (deleted)"), "whoever made it holds it");
        let other = sys::fstat(sys::open(b"/", libc::O_PATH).unwrap().as_fd()).unwrap().st_dev;
        assert!(is_of_a_file(other, "/dev/zero (deleted)"), "anybody can name a file so");
    }
}
