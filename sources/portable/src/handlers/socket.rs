//! Sockets: made, named, connected and accepted.
//!
//! What acts on a descriptor is done by us on our own copy of the socket that was judged, so that
//! nobody can exchange it; what stands in registers is left to the kernel.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use tsem::Address;
use tsem::Effect;
use tsem::EventKind;
use tsem::Loss;
use tsem::Socket;
use tsem::Value;

use super::address::HeldSocket;
use super::address::Named;
use super::address::RawAddress;
use super::held;
use crate::call::Call;
use crate::call::Handled;
use crate::call::Outcome;
use crate::call::Refusal;
use crate::file;
use crate::path::Found;
use crate::path::Walk;
use crate::socket_calls;
use crate::steady;
use crate::sys;
use crate::sys::Errno;

const TYPE_MASK: u64 = 0xf;

fn requested(call: &Call) -> Value {
    Value::Socket(Socket {
        family: call.argument(0) as u32,
        socket_type: (call.argument(1) & TYPE_MASK) as u32,
        protocol: call.argument(2) as u32,
    })
}

pub(crate) fn socket(call: &Call) -> Handled {
    call.judge(EventKind::SocketCreate, vec![requested(call)])?;
    Ok(Outcome::Continue)
}

/// The kernel makes two sockets, then connects them.
pub(crate) fn socketpair(call: &Call) -> Handled {
    call.judge(EventKind::SocketCreate, vec![requested(call)])?;
    call.judge(EventKind::SocketSocketpair, vec![requested(call)])?;
    Ok(Outcome::Continue)
}

/// The caller's socket: our copy, and what it is.
pub(crate) struct Held {
    pub(crate) fd: OwnedFd,
    pub(crate) socket: Socket,
}

impl Held {
    pub(crate) fn of(call: &Call, number: u64) -> Result<Self, Errno> {
        let fd = call.descriptor(number as i32)?;
        let socket = socket_calls::describe(fd.as_fd())?;
        Ok(Self { fd, socket })
    }

    pub(crate) fn value(&self) -> Value {
        Value::Socket(self.socket)
    }

    pub(crate) fn is_unix(&self) -> bool {
        self.socket.family == libc::AF_UNIX as u32
    }

    /// A datagram socket has no connection that a peer accepts.
    fn is_datagram(&self) -> bool {
        self.socket.socket_type == libc::SOCK_DGRAM as u32
    }
}

pub(crate) fn bind(call: &Call) -> Handled {
    let held = Held::of(call, call.argument(0))?;
    let raw = RawAddress::read(call, call.argument(1), call.argument(2))?;
    match raw.named() {
        Named::UnixPath(path) if held.is_unix() => bind_path(call, &held, &raw, &path),
        named => {
            let address = plain(named);
            call.judge(EventKind::SocketBind, vec![held.value(), Value::Address(address)])?;
            call.as_caller(|| socket_calls::bind(held.fd.as_fd(), raw.octets()))?;
            Ok(Outcome::Value(0))
        }
    }
}

/// A family that does not fit the socket is the kernel's to refuse.
fn plain(named: Named) -> Address {
    match named {
        Named::Plain(address) => address,
        Named::UnixPath(path) => Address::Other(libc::AF_UNIX as u16, path),
    }
}

/// Makes a node in the file system. A socket is called what it was bound by: the caller's own text where that leads
/// steadily to the directory that was judged, else the name in that directory, which is held.
fn bind_path(call: &Call, held: &Held, raw: &RawAddress, path: &[u8]) -> Handled {
    let walk = Walk { follow: false, may_miss: true };
    let Found::Missing { parent, name, directory: false } =
        call.resolve(libc::AT_FDCWD, path, walk)?
    else {
        return Err(Refusal::Errno(libc::EADDRINUSE));
    };
    let place = file::place_in(parent.as_fd(), &name)?;
    call.as_caller(|| sys::may_access(parent.as_fd(), libc::W_OK | libc::X_OK))?;
    let umask = call.umask()?;
    let mode = libc::S_IFSOCK | socket_calls::mode_of(held.fd.as_fd())? & 0o777 & !umask;
    call.judge(EventKind::SocketBind, vec![held.value(), Value::Address(Address::None)])?;
    let values = [Value::Path(place.clone()), Value::Number(mode.into()), Value::Number(0)];
    call.judge(EventKind::InodeMknod, values.into())?;
    let _changing = call.supervisor.changes.begin(&place.path);
    // No name of the caller's path changes by us meanwhile, whatever else it is called.
    let standing = held::names_stand();
    let there = sys::stat_at(parent.as_fd(), &name, libc::AT_SYMLINK_NOFOLLOW).is_ok();
    let from = steady_start(call, path, parent.as_fd())?.filter(|_| !there);
    let by_name = RawAddress::of_unix_path(&name);
    call.as_caller(|| {
        sys::umask(umask);
        let bound = match &from {
            Some(Start::Root) => socket_calls::bind(held.fd.as_fd(), raw.octets()),
            Some(Start::Directory(from)) => {
                socket_calls::bind_in(from.as_fd(), held.fd.as_fd(), raw.octets())
            }
            None => socket_calls::bind_in(parent.as_fd(), held.fd.as_fd(), by_name.octets()),
        };
        sys::umask(0);
        bound
    })?;
    if from.is_some() && !is_socket(parent.as_fd(), &name) {
        call.lost(Loss::Unreadable);
        return Err(Refusal::Kill);
    }
    drop(standing);
    call.effect(&Effect::Made(&place.path));
    Ok(Outcome::Value(0))
}

/// Where a path starts.
enum Start {
    Root,
    Directory(OwnedFd),
}

/// Where the caller's path starts, if it leads to `parent` and nobody but root and the caller's user can change that.
fn steady_start(call: &Call, path: &[u8], parent: BorrowedFd<'_>) -> Result<Option<Start>, Errno> {
    // Our root is the caller's only as long as none has another.
    if call.supervisor.roots_vary.load(Ordering::Acquire) {
        return Ok(None);
    }
    let (above, ..) = held::split(path)?;
    let root = call.supervisor.root.as_fd();
    let user = call.credentials()?.coe.fsuid;
    if path.starts_with(b"/") {
        let steady = steady::Walk { root, from: root, user }.leads_to(above, parent);
        return Ok(steady.then_some(Start::Root));
    }
    let from = call.start_directory(libc::AT_FDCWD)?;
    let steady = steady::Walk { root, from: from.as_fd(), user }.leads_to(above, parent);
    Ok(steady.then_some(Start::Directory(from)))
}

fn is_socket(parent: BorrowedFd<'_>, name: &[u8]) -> bool {
    let made = sys::stat_at(parent, name, libc::AT_SYMLINK_NOFOLLOW);
    made.is_ok_and(|made| made.st_mode & libc::S_IFMT == libc::S_IFSOCK)
}

pub(crate) fn listen(call: &Call) -> Handled {
    let held = Held::of(call, call.argument(0))?;
    let local = local_address(&held)?;
    call.judge(EventKind::SocketListen, vec![held.value(), Value::Address(local)])?;
    // The peers of a UNIX socket see who listened: better the caller itself, if it is safe.
    if held.is_unix() && call.descriptors_are_private() {
        return Ok(Outcome::Continue);
    }
    let backlog = call.argument(1) as i32;
    call.as_identity(|| socket_calls::listen(held.fd.as_fd(), backlog))?;
    Ok(Outcome::Value(0))
}

/// The socket's own address as the model holds it.
pub(crate) fn local_address(held: &Held) -> Result<Address, Errno> {
    let raw = socket_calls::local(held.fd.as_fd())?;
    Ok(match raw.named() {
        Named::Plain(address) => address,
        // What it was bound by is a text; the place was judged as the node was made there.
        Named::UnixPath(_) => Address::None,
    })
}

pub(crate) fn connect(call: &Call) -> Handled {
    let held = Held::of(call, call.argument(0))?;
    let raw = RawAddress::read(call, call.argument(1), call.argument(2))?;
    let raw = judge_peer(call, &held, raw, EventKind::SocketConnect)?;
    let blocks = !held.is_datagram() && !socket_calls::is_nonblocking(held.fd.as_fd())?;
    let (caller, fd) = (call.clone(), held.fd);
    let connect = move || {
        let raw = raw.raw();
        caller.as_identity(|| socket_calls::connect(fd.as_fd(), raw.octets()))?;
        Ok(Outcome::Value(0))
    };
    if blocks { Ok(Outcome::Blocking(Box::new(connect))) } else { connect() }
}

/// A peer that was judged.
pub(crate) enum Peer {
    Raw(RawAddress),
    Held(HeldSocket),
}

impl Peer {
    pub(crate) fn raw(&self) -> RawAddress {
        match self {
            Self::Raw(raw) => raw.clone(),
            Self::Held(held) => held.raw(),
        }
    }
}

/// Judges an address that a message goes to or a connection is made with.
pub(crate) fn judge_peer(
    call: &Call,
    held: &Held,
    raw: RawAddress,
    kind: EventKind,
) -> Result<Peer, Refusal> {
    let named = raw.named();
    if !held.is_unix() || raw.family() == libc::AF_UNSPEC {
        call.judge(kind, vec![held.value(), Value::Address(plain(named))])?;
        return Ok(Peer::Raw(raw));
    }
    call.judge(kind, vec![held.value(), Value::Address(Address::None)])?;
    let (peer, address) = match named {
        Named::Plain(address) => (Peer::Raw(raw), address),
        Named::UnixPath(path) => {
            let socket = HeldSocket::find(call, &path)?;
            let address = socket.address.clone();
            (Peer::Held(socket), address)
        }
    };
    let second =
        if held.is_datagram() { EventKind::UnixMaySend } else { EventKind::UnixStreamConnect };
    call.judge(second, vec![held.value(), Value::Address(address)])?;
    Ok(peer)
}

pub(crate) fn accept(call: &Call) -> Handled {
    accept_with(call, 0)
}

pub(crate) fn accept4(call: &Call) -> Handled {
    accept_with(call, call.argument(3) as i32)
}

fn accept_with(call: &Call, flags: i32) -> Handled {
    if flags & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) != 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let held = Held::of(call, call.argument(0))?;
    let local = local_address(&held)?;
    call.judge(EventKind::SocketAccept, vec![held.value(), Value::Address(local)])?;
    let blocks = !socket_calls::is_nonblocking(held.fd.as_fd())?
        && !socket_calls::is_readable(held.fd.as_fd());
    let (caller, fd) = (call.clone(), held.fd);
    let accept = move || {
        let (accepted, peer) = socket_calls::accept(fd.as_fd(), flags)?;
        write_address(&caller, &peer)?;
        let cloexec = flags & libc::SOCK_CLOEXEC != 0;
        Ok(Outcome::Fd { fd: accepted, cloexec, quiet: false })
    };
    if blocks { Ok(Outcome::Blocking(Box::new(accept))) } else { accept() }
}

/// Gives the caller the peer's address, as much of it as there is room for.
fn write_address(call: &Call, peer: &RawAddress) -> Result<(), Errno> {
    let (to, length_at) = (call.argument(1), call.argument(2));
    if to == 0 {
        return Ok(());
    }
    let room = call.bytes(length_at, 4)?;
    let room = room.first_chunk().map_or(0, |room| i32::from_ne_bytes(*room));
    let room = usize::try_from(room).map_err(|_| Errno(libc::EINVAL))?;
    let octets = peer.octets();
    let fits = &octets[..octets.len().min(room)];
    sys::write_memory(call.thread.tid, to, fits)?;
    sys::write_memory(call.thread.tid, length_at, &(octets.len() as u32).to_ne_bytes())
}
