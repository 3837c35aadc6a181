//! Mounts and roots.
//!
//! Mounts are made by us, on held objects, where the caller lives in our mount and user namespaces
//! and under our root; then the result is the same. A bind mount's source is told by what it names.
//!
//! What changes the caller itself (chroot(2), `pivot_root`), and mounts in a namespace of its own, must
//! happen in its own context, where the kernel reads the path again. That is let through only if
//! nobody can change it: the path is absolute, without links, in memory that is the caller's alone,
//! and no name in the whole namespace is moved, removed or mounted over from before it is judged
//! until the caller has left the call. Anything else is refused and counted as
//! `unfilterable_call`. The calls of the new mount interface that keep state in descriptors
//! are answered with `ENOSYS`, upon which programs fall back on mount(2).

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLockWriteGuard;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tsem::EventKind;
use tsem::Value;

use super::held;
use super::held::CAP_SYS_ADMIN;
use super::held::CAP_SYS_CHROOT;
use super::held::FOLLOW;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::inode_calls;
use crate::inode_calls::Status;
use crate::sys;
use crate::sys::Errno;
use crate::sys::SysResult;

const PAGE: usize = 4096;
const MAGIC: u64 = 0xc0ed_0000;
const MAGIC_MASK: u64 = 0xffff_0000;
const UMOUNT_NOFOLLOW: i32 = 8;
const UMOUNT_FLAGS: i32 = 15;
/// A call that has not come back by then was let through on what is no longer held.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

/// What mount(2) was given.
struct MountRequest {
    source: Option<Vec<u8>>,
    target: Vec<u8>,
    kind: Option<Vec<u8>>,
    flags: u64,
    data: Option<Vec<u8>>,
}

pub(crate) fn mount(call: &Call) -> Handled {
    note(call);
    let text = |address: u64| if address == 0 { Ok(None) } else { call.text(address).map(Some) };
    let kind = text(call.argument(2))?;
    let source = text(call.argument(0))?;
    let data = read_page(call, call.argument(4))?;
    let target = call.text(call.argument(1))?;
    let flags = match call.argument(3) {
        flags if flags & MAGIC_MASK == MAGIC => flags & !MAGIC_MASK,
        flags => flags,
    };
    let request = MountRequest { source, target, kind, flags, data };
    let _standing = held::names_stand();
    let target = call.resolve(libc::AT_FDCWD, &request.target, FOLLOW)?.object()?;
    needs(call, CAP_SYS_ADMIN)?;
    if !shares_our_context(call)? {
        return refuse_unfilterable(call);
    }
    carry_out_mount(call, &request, &target)
}

/// Up to a page; the kernel too takes what there is.
fn read_page(call: &Call, address: u64) -> SysResult<Option<Vec<u8>>> {
    if address == 0 {
        return Ok(None);
    }
    let mut page = vec![0; PAGE];
    let read = sys::read_memory(call.thread.tid, address, &mut page)?;
    call.still_waiting()?;
    page[read.min(PAGE - 1)..].fill(0);
    Ok(Some(page))
}

fn carry_out_mount(call: &Call, request: &MountRequest, target: &OwnedFd) -> Handled {
    let held_source = request.names_source().then(|| held_source(call, request)).transpose()?;
    let told = match &held_source {
        Some(held) => file::name_of(held.as_fd())?,
        None => request.source.clone().unwrap_or_default(),
    };
    let place = Value::Path(file::place_of(target.as_fd())?);
    let kind = Value::Text(request.kind.clone().unwrap_or_default());
    let flags = Value::Number(request.flags);
    call.judge(EventKind::SbMount, vec![Value::Text(told), place, kind, flags])?;
    let text = |text: &Option<Vec<u8>>| text.as_deref().map(sys::c_path).transpose();
    let source = match &held_source {
        Some(held) => Some(inode_calls::link_to(held.as_fd())),
        None => text(&request.source)?,
    };
    let kind: Option<CString> = text(&request.kind)?;
    let data = request.data.as_deref();
    call.as_caller(|| {
        inode_calls::mount(source.as_ref(), target.as_fd(), kind.as_ref(), request.flags, data)
    })?;
    Ok(Outcome::Value(0))
}

fn held_source(call: &Call, request: &MountRequest) -> SysResult<OwnedFd> {
    let source = request.source.as_deref().filter(|source| !source.is_empty());
    let source = source.ok_or(Errno(libc::EINVAL))?;
    call.resolve(libc::AT_FDCWD, source, FOLLOW)?.object()
}

impl MountRequest {
    /// Whether the source is a path, not a device's or file system's own word.
    fn names_source(&self) -> bool {
        self.flags & libc::MS_REMOUNT == 0 && self.flags & (libc::MS_BIND | libc::MS_MOVE) != 0
    }
}

/// Holding what is mounted would keep it busy, so the name that it is mounted on is held instead.
pub(crate) fn umount(call: &Call) -> Handled {
    note(call);
    let flags = call.argument(1) as i32;
    if flags & !UMOUNT_FLAGS != 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let path = call.text(call.argument(0))?;
    let _standing = held::names_stand();
    let follow = if flags & UMOUNT_NOFOLLOW == 0 { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let target = held::object(call, libc::AT_FDCWD, &path, follow)?;
    needs(call, CAP_SYS_ADMIN)?;
    if !Status::of(target.as_fd())?.is_mount_root {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    if !shares_our_context(call)? {
        return refuse_unfilterable(call);
    }
    let place = file::place_of(target.as_fd())?;
    let (parent, name) = above(&target, &place.path)?;
    drop(target);
    call.judge(EventKind::SbUmount, vec![Value::Path(place), Value::Number(flags as u64)])?;
    call.as_caller(|| unmount(&parent, &name, flags))?;
    Ok(Outcome::Value(0))
}

/// A copy of ours of a descriptor just handed over may keep the mount busy for a moment.
fn unmount(parent: &OwnedFd, name: &[u8], flags: i32) -> SysResult<()> {
    for _ in 0..20 {
        match inode_calls::unmount(parent.as_fd(), name, flags) {
            Err(Errno(libc::EBUSY)) => std::thread::sleep(Duration::from_millis(1)),
            done => return done,
        }
    }
    inode_calls::unmount(parent.as_fd(), name, flags)
}

/// The directory of a mount point, and its name there.
fn above(target: &OwnedFd, path: &[u8]) -> SysResult<(OwnedFd, Vec<u8>)> {
    let name = inode_calls::last_name(target.as_fd())?;
    let parent = if file::kind(&sys::fstat(target.as_fd())?) == libc::S_IFDIR {
        sys::openat(target.as_fd(), b"..", libc::O_PATH, 0)?
    } else {
        sys::open(&path[..path.len() - name.len()], libc::O_PATH | libc::O_DIRECTORY)?
    };
    Ok((parent, name))
}

pub(crate) fn move_mount(call: &Call) -> Handled {
    const FLAGS: u32 = 0x377;
    note(call);
    let flags = call.argument(4) as u32;
    if flags & !FLAGS != 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    needs(call, CAP_SYS_ADMIN)?;
    let (from_fd, to_fd) = (call.argument(0) as i32, call.argument(2) as i32);
    let (from, to) = (call.text(call.argument(1))?, call.text(call.argument(3))?);
    let _standing = held::names_stand();
    let from = held::object(call, from_fd, &from, at_flags(flags))?;
    let to = held::object(call, to_fd, &to, at_flags(flags >> 4))?;
    if !shares_our_context(call)? {
        return refuse_unfilterable(call);
    }
    let places = [&from, &to].map(|fd| file::place_of(fd.as_fd()).map(Value::Path));
    let values = places.into_iter().collect::<SysResult<Vec<_>>>()?;
    call.judge(EventKind::MoveMount, values)?;
    call.as_caller(|| inode_calls::move_mount(from.as_fd(), to.as_fd(), flags & 0x300))?;
    Ok(Outcome::Value(0))
}

/// `MOVE_MOUNT_F_SYMLINKS` and `MOVE_MOUNT_F_EMPTY_PATH` as lookup flags.
fn at_flags(flags: u32) -> i32 {
    let follow = if flags & 1 == 0 { libc::AT_SYMLINK_NOFOLLOW } else { 0 };
    let empty = if flags & 4 == 0 { 0 } else { libc::AT_EMPTY_PATH };
    follow | empty
}

pub(crate) fn chroot(call: &Call) -> Handled {
    note(call);
    let address = call.argument(0);
    let path = call.text(address)?;
    let standing = held::names_stand();
    let root = directory(call, &path)?;
    call.as_caller(|| sys::may_access(root.as_fd(), libc::X_OK))?;
    needs(call, CAP_SYS_CHROOT)?;
    let stable = is_stable(call, address, &path, &root)?;
    if !stable {
        return refuse_unfilterable(call);
    }
    call.judge(EventKind::PathChroot, vec![Value::Path(file::place_of(root.as_fd())?)])?;
    let_through(call, &root, standing)
}

pub(crate) fn pivot_root(call: &Call) -> Handled {
    note(call);
    needs(call, CAP_SYS_ADMIN)?;
    let addresses = [call.argument(0), call.argument(1)];
    let [new_path, old_path] = [call.text(addresses[0])?, call.text(addresses[1])?];
    let standing = held::names_stand();
    let (new, old) = (directory(call, &new_path)?, directory(call, &old_path)?);
    let stable = is_stable(call, addresses[0], &new_path, &new)?
        && is_stable(call, addresses[1], &old_path, &old)?;
    if !stable {
        return refuse_unfilterable(call);
    }
    let places = [&new, &old].map(|fd| file::place_of(fd.as_fd()).map(Value::Path));
    let values = places.into_iter().collect::<SysResult<Vec<_>>>()?;
    call.judge(EventKind::SbPivotroot, values)?;
    drop(old);
    let_through(call, &new, standing)
}

/// Programs use mount(2) instead, whose arguments can be judged.
pub(crate) fn new_interface(call: &Call) -> Handled {
    match refuse_unfilterable(call) {
        Err(Refusal::Errno(_)) => Err(Refusal::Errno(libc::ENOSYS)),
        other => other,
    }
}

fn directory(call: &Call, path: &[u8]) -> SysResult<OwnedFd> {
    let found = call.resolve(libc::AT_FDCWD, path, FOLLOW)?.object()?;
    let is_directory = file::kind(&sys::fstat(found.as_fd())?) == libc::S_IFDIR;
    if is_directory { Ok(found) } else { Err(Errno(libc::ENOTDIR)) }
}

/// Whether the kernel will read this very path again, and find this very object.
fn is_stable(call: &Call, address: u64, path: &[u8], object: &OwnedFd) -> SysResult<bool> {
    if path == b"." {
        return Ok(call.memory_is_private(address, 2) && !shares_directory(call));
    }
    let root = file::name_of(call.root()?.as_fd())?;
    let mut seen = if root == b"/" { Vec::new() } else { root };
    if path != b"/" {
        seen.extend(path);
    }
    let named = file::name_of(object.as_fd())?;
    let canonical = seen == named || seen.is_empty() && named == b"/";
    Ok(canonical && call.memory_is_private(address, path.len() as u64 + 1))
}

/// Whether another process could change the caller's working directory.
fn shares_directory(call: &Call) -> bool {
    const KCMP_FS: i32 = 3;
    let own = call.process();
    call.supervisor.processes.processes().iter().any(|other| {
        let compared = || sys::kcmp(own.pid, other.pid, KCMP_FS);
        other.id != own.id && compared().map_or(other.is_alive(), |order| order == 0)
    })
}

/// Lets the call go on, and names stand still until the caller has its new root or has left it.
fn let_through(call: &Call, root: &OwnedFd, standing: RwLockWriteGuard<'static, ()>) -> Handled {
    let supervisor = &call.supervisor;
    let root = identity(root)?;
    supervisor.roots_vary.store(true, Ordering::Release);
    supervisor.listener.proceed(call.notification.id)?;
    let deadline = Instant::now() + LEAVES_WITHIN;
    while is_in_call(call) && !has_root(call, root) {
        if Instant::now() > deadline {
            return Err(Refusal::Kill);
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    drop(standing);
    // Answered already: this answer finds nobody.
    Ok(Outcome::Value(0))
}

fn identity(fd: &OwnedFd) -> SysResult<(u64, u64)> {
    let stat = sys::fstat(fd.as_fd())?;
    Ok((stat.st_dev, stat.st_ino))
}

fn has_root(call: &Call, root: (u64, u64)) -> bool {
    let path = format!("/proc/{}/root", call.notification.tid);
    let now = sys::open(path.as_bytes(), libc::O_PATH).and_then(|now| identity(&now));
    now.is_ok_and(|now| now == root)
}

/// Still the same call: not another one, and not a later one of the same number.
fn is_in_call(call: &Call) -> bool {
    let notification = &call.notification;
    if lock_latest().get(notification.tid) != Some(&notification.id) {
        return false;
    }
    let Ok(state) = sys::read_text(&format!("/proc/{}/syscall", notification.tid)) else {
        return false;
    };
    let number = state.split_ascii_whitespace().next().unwrap_or_default();
    // A thread that runs may run in the kernel: only one that waits tells where.
    number == "running" || number == notification.number.to_string()
}

/// Latest notification of each thread, so that a second call of the same kind is told apart.
static LATEST: Mutex<Option<HashMap<u32, u64>>> = Mutex::new(None);

struct Latest(MutexGuard<'static, Option<HashMap<u32, u64>>>);

impl Latest {
    fn get(&self, tid: u32) -> Option<&u64> {
        self.0.as_ref()?.get(&tid)
    }
}

fn lock_latest() -> Latest {
    Latest(LATEST.lock().unwrap_or_else(PoisonError::into_inner))
}

fn note(call: &Call) {
    let mut latest = lock_latest();
    let (tid, id) = (call.notification.tid, call.notification.id);
    latest.0.get_or_insert_default().insert(tid, id);
}

/// Whether a mount by us is one by the caller: same namespaces, same root.
fn shares_our_context(call: &Call) -> SysResult<bool> {
    Ok(shares(call, "ns/mnt")? && shares(call, "ns/user")? && shares(call, "root")?)
}

/// Whether a link of procfs leads to the same for the caller as for us.
pub(super) fn shares(call: &Call, link: &str) -> SysResult<bool> {
    let of = |process: &str| {
        let path = format!("/proc/{process}/{link}");
        identity(&sys::open(path.as_bytes(), libc::O_PATH)?)
    };
    let same = of("thread-self")? == of(&call.thread.tid.to_string())?;
    call.still_waiting()?;
    Ok(same)
}

fn needs(call: &Call, capability: u32) -> SysResult<()> {
    if held::has_capability(call, capability)? { Ok(()) } else { Err(Errno(libc::EPERM)) }
}

/// Reported whatever the agent says, refused whatever it says.
fn refuse_unfilterable(call: &Call) -> Handled {
    let number = Value::Number(u64::from(call.notification.number as u32));
    match call.judge(EventKind::UnfilterableCall, vec![number]) {
        Err(Refusal::Kill) => Err(Refusal::Kill),
        _ => Err(Refusal::Errno(libc::EPERM)),
    }
}
