//! Socket addresses: read from the caller once, described, and given to the kernel by us.
//!
//! The path of a UNIX socket is judged where the kernel has resolved it (`unix_stream_connect`,
//! `unix_may_send`, `inode_mknod`), as a resolved place; in the other socket events it is no
//! address.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use tsem::Address;
use tsem::Port;

use crate::call::Call;
use crate::file;
use crate::path::Walk;
use crate::sys::Errno;
use crate::sys::SysResult;

/// `struct sockaddr_storage`.
const LENGTH_MAX: usize = 128;
const FAMILY_LENGTH: usize = 2;

/// An address in the kernel's form.
#[derive(Clone, Debug)]
pub(crate) struct RawAddress(Vec<u8>);

/// What an address names.
#[derive(Debug)]
pub(crate) enum Named {
    /// Itself.
    Plain(Address),
    /// A UNIX socket in the file system, by its path.
    UnixPath(Vec<u8>),
}

impl RawAddress {
    /// Reads an address; the caller's memory is looked at once.
    pub(crate) fn read(call: &Call, address: u64, length: u64) -> SysResult<Self> {
        let length = length as u32 as usize;
        if length > LENGTH_MAX {
            return Err(Errno(libc::EINVAL));
        }
        Ok(Self(call.bytes(address, length)?))
    }

    /// The octets, for the kernel.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.0
    }

    /// `AF_*`; an address without one is `AF_UNSPEC`.
    pub(crate) fn family(&self) -> i32 {
        self.0.first_chunk().map_or(libc::AF_UNSPEC, |family| u16::from_ne_bytes(*family).into())
    }

    /// What it names.
    pub(crate) fn named(&self) -> Named {
        let rest = self.0.get(FAMILY_LENGTH..).unwrap_or_default();
        Named::Plain(match self.family() {
            libc::AF_UNSPEC => Address::None,
            libc::AF_INET => inet(rest),
            libc::AF_INET6 => inet6(rest),
            libc::AF_UNIX => return unix(rest),
            libc::AF_NETLINK => Address::Netlink(number(rest, 6)),
            family => Address::Other(family as u16, rest.to_vec()),
        })
    }
}

fn port(rest: &[u8]) -> Port {
    let octets = rest.first_chunk().copied().unwrap_or_default();
    Port::Exact(u16::from_be_bytes(octets))
}

fn inet(rest: &[u8]) -> Address {
    match rest.get(2..6).and_then(|host| host.try_into().ok()) {
        Some(host) => Address::Inet(host, port(rest)),
        None => Address::Other(libc::AF_INET as u16, rest.to_vec()),
    }
}

fn inet6(rest: &[u8]) -> Address {
    match rest.get(6..22).and_then(|host| host.try_into().ok()) {
        Some(host) => Address::Inet6(host, port(rest)),
        None => Address::Other(libc::AF_INET6 as u16, rest.to_vec()),
    }
}

fn unix(rest: &[u8]) -> Named {
    match rest.first() {
        // Autobind, or an unnamed peer.
        None => Named::Plain(Address::None),
        Some(0) => Named::Plain(Address::UnixAbstract(rest[1..].to_vec())),
        Some(_) => {
            let end = rest.iter().position(|octet| *octet == 0).unwrap_or(rest.len());
            Named::UnixPath(rest[..end].to_vec())
        }
    }
}

fn number(rest: &[u8], at: usize) -> u32 {
    let octets = rest.get(at..at + 4).and_then(|octets| octets.try_into().ok());
    octets.map_or(0, u32::from_ne_bytes)
}

/// A UNIX socket that is held, as its address and as the way to reach it.
pub(crate) struct HeldSocket {
    object: OwnedFd,
    /// Where it is.
    pub(crate) address: Address,
}

impl HeldSocket {
    /// Resolves a path as the caller would.
    pub(crate) fn find(call: &Call, path: &[u8]) -> SysResult<Self> {
        let walk = Walk { follow: true, may_miss: false };
        let object = call.resolve(libc::AT_FDCWD, path, walk)?.object()?;
        let place = file::place_of(object.as_fd())?;
        Ok(Self { object, address: Address::UnixPath(place) })
    }

    /// An address that reaches exactly this object, whatever its path names by now.
    pub(crate) fn raw(&self) -> RawAddress {
        let path = format!("/proc/self/fd/{}", self.object.as_raw_fd());
        RawAddress::of_unix_path(path.as_bytes())
    }
}

impl RawAddress {
    /// An address that the kernel gave us.
    pub(crate) fn of_octets(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }

    /// `struct sockaddr_un` of a short path.
    pub(crate) fn of_unix_path(path: &[u8]) -> Self {
        let family = (libc::AF_UNIX as u16).to_ne_bytes();
        Self([&family, path, &[0]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(octets: &[u8]) -> Address {
        match RawAddress(octets.to_vec()).named() {
            Named::Plain(address) => address,
            Named::UnixPath(path) => panic!("a path: {path:?}"),
        }
    }

    #[test]
    fn addresses_are_described() {
        let inet = [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(plain(&inet), Address::Inet([127, 0, 0, 1], Port::Exact(80)));
        assert_eq!(plain(&[]), Address::None);
        assert_eq!(plain(&[1, 0]), Address::None);
        assert_eq!(plain(&[1, 0, 0, b'x']), Address::UnixAbstract(b"x".to_vec()));
        assert_eq!(plain(&[2, 0, 0]), Address::Other(2, vec![0]), "short, but not lost");
        let named = RawAddress(b"\x01\0/run/x\0rest".to_vec()).named();
        assert!(matches!(named, Named::UnixPath(path) if path == b"/run/x"));
    }
}
