//! What the fields of an event hold.
//!
//! A source fills these with what it saw; [`crate::canonical`] turns them into the form that is
//! hashed. Nothing here interprets: a path is octets, an address is octets and a family.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::Digest;

/// A place in the file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Absolute, symbolic links resolved, as seen from the namespace's own root; at most
    /// [`crate::TEXT_MAX`] octets, without a NUL. Objects without a path carry the kernel's name
    /// for them (`pipe:[1]`, `memfd:name`).
    pub path: Vec<u8>,
    /// Which kind of file system: the `f_type` of statfs(2).
    pub file_system: u32,
    /// The path was rewritten by a generalisation rule; what was rewritten stands as the rule's
    /// pattern in `path`.
    pub generalised: bool,
    /// Task identity of the process that made the object, where the rule binds to it; else zero.
    pub maker: Digest,
}

impl Place {
    /// A place as a source saw it.
    pub fn new(path: impl Into<Vec<u8>>, file_system: u32) -> Self {
        Self { path: path.into(), file_system, generalised: false, maker: Digest::ZERO }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct File {
    /// Where it is.
    pub place: Place,
    /// Owner, as seen from the orchestrator's user namespace.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `st_mode`: type and permission bits.
    pub mode: u32,
    /// SHA-256 of its content, zero where none is taken.
    pub digest: Digest,
    /// The reference that vouches for this content at this place, else zero. Only the agent sets
    /// it; what is hashed has either this or the digest ([`crate::ReferenceRule`]).
    pub reference: Digest,
}

impl File {
    /// A file as a source saw it.
    pub fn new(place: Place, [uid, gid, mode]: [u32; 3], digest: Digest) -> Self {
        Self { place, uid, gid, mode, digest, reference: Digest::ZERO }
    }
}

/// A socket's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Socket {
    /// `AF_*`.
    pub family: u32,
    /// `SOCK_*` without `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
    pub socket_type: u32,
    /// Protocol number as given to socket(2).
    pub protocol: u32,
}

/// A port, or that it is one the kernel chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// Exactly this port, in host order.
    Exact(u16),
    /// One of the ephemeral range, or autobind.
    Ephemeral,
}

/// A socket address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// No address: `AF_UNSPEC`, an unnamed socket.
    None,
    /// IPv4.
    Inet([u8; 4], Port),
    /// IPv6.
    Inet6([u8; 16], Port),
    /// A UNIX socket in the file system.
    UnixPath(Place),
    /// A UNIX socket in the abstract name space, without the leading NUL.
    UnixAbstract(Vec<u8>),
    /// Netlink: multicast groups (the port id is chosen by the kernel and not kept).
    Netlink(u32),
    /// A range of addresses, `prefix` bits of `network`, by an address rule.
    Network {
        /// 4 or 16 octets, host bits zero.
        network: Vec<u8>,
        /// Significant bits.
        prefix: u8,
        /// The port.
        port: Port,
    },
    /// Any address, by an address rule or because the hook fires before it is known.
    Any,
    /// Any other family: `AF_*` and the address octets after it, at most 128.
    Other(u16, Vec<u8>),
}

/// Another process as the target of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A process outside the namespace; its identity is not known and not needed.
    Outside,
    /// A process of the namespace, by its `TASK_ID`.
    Task(Digest),
    /// The acting process itself.
    Own,
}

/// A System V IPC object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipc {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Creator.
    pub creator_uid: u32,
    /// Creator's group.
    pub creator_gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// `Number32`, `Number64`, `Mode`, `Flags`, `Flags64`, `Choice`.
    Number(u64),
    /// `Text`.
    Text(Vec<u8>),
    /// `Path`.
    Path(Place),
    /// `File`, `OptionalFile`.
    File(Box<File>),
    /// `OptionalFile` with nothing in it.
    NoFile,
    /// `Socket`.
    Socket(Socket),
    /// `Address`.
    Address(Address),
    /// `Task`.
    Task(Target),
    /// `Ipc`.
    Ipc(Ipc),
    /// `Digest`.
    Digest(Digest),
}

impl From<File> for Value {
    fn from(file: File) -> Self {
        Self::File(Box::new(file))
    }
}

impl Value {
    /// The place within, for values that have one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Path(place) | Self::Address(Address::UnixPath(place)) => Some(place),
            Self::File(file) => Some(&file.place),
            _ => None,
        }
    }

    /// The place within, to be rewritten.
    pub fn place_mut(&mut self) -> Option<&mut Place> {
        match self {
            Self::Path(place) | Self::Address(Address::UnixPath(place)) => Some(place),
            Self::File(file) => Some(&mut file.place),
            _ => None,
        }
    }
}
