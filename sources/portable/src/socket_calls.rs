//! System calls on sockets that we hold.
#![allow(unsafe_code, reason = "socket calls with raw addresses")]

use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use libc::c_int;
use libc::c_long;
use libc::socklen_t;
use tsem::Socket;

use crate::handlers::address::RawAddress;
use crate::sys;
use crate::sys::SysResult;
use crate::sys::check;

const ADDRESS_ROOM: usize = 128;

fn option(fd: BorrowedFd<'_>, name: c_int) -> SysResult<u32> {
    let mut value: c_int = 0;
    let mut length = size_of::<c_int>() as socklen_t;
    let (level, at) = (libc::SOL_SOCKET, (&raw mut value).cast());
    // SAFETY: value and length are ours and outlive the call.
    let done = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, at, &raw mut length) };
    check(done.into())?;
    Ok(value as u32)
}

/// What a socket is: its family, type and protocol.
///
/// # Errors
///
/// `ENOTSOCK` for anything else.
pub fn describe(fd: BorrowedFd<'_>) -> Result<Socket, sys::Errno> {
    Ok(Socket {
        family: option(fd, libc::SO_DOMAIN)?,
        socket_type: option(fd, libc::SO_TYPE)?,
        protocol: option(fd, libc::SO_PROTOCOL)?,
    })
}

/// The permission bits of a socket's own inode, which a node that is bound to it takes over.
pub(crate) fn mode_of(fd: BorrowedFd<'_>) -> SysResult<u32> {
    Ok(sys::fstat(fd)?.st_mode & 0o7777)
}

pub(crate) fn is_nonblocking(fd: BorrowedFd<'_>) -> SysResult<bool> {
    // SAFETY: no pointers are passed.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) } as c_long)?;
    Ok(flags as c_int & libc::O_NONBLOCK != 0)
}

pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut set = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    sys::poll(&mut set, 0) > 0
}

pub(crate) fn bind(fd: BorrowedFd<'_>, address: &[u8]) -> SysResult<()> {
    // SAFETY: the slice's length is passed with it.
    let done =
        unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr().cast(), address.len() as socklen_t) };
    check(done.into()).map(drop)
}

/// Binds to a path relative to a held directory. The calling thread has a working directory of its
/// own, which goes back to the root.
pub(crate) fn bind_in(
    directory: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    address: &[u8],
) -> SysResult<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::fchdir(directory.as_raw_fd()) }.into())?;
    let bound = bind(fd, address);
    // SAFETY: the path is a literal with a NUL. That it fails changes nothing for us.
    unsafe { libc::chdir(c"/".as_ptr()) };
    bound
}

pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: c_int) -> SysResult<()> {
    // SAFETY: no pointers are passed.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }.into()).map(drop)
}

pub(crate) fn connect(fd: BorrowedFd<'_>, address: &[u8]) -> SysResult<()> {
    // SAFETY: the slice's length is passed with it.
    let done = unsafe {
        libc::connect(fd.as_raw_fd(), address.as_ptr().cast(), address.len() as socklen_t)
    };
    check(done.into()).map(drop)
}

/// Takes a connection, with its peer's address.
pub(crate) fn accept(fd: BorrowedFd<'_>, flags: c_int) -> SysResult<(OwnedFd, RawAddress)> {
    let mut octets = [0_u8; ADDRESS_ROOM];
    let mut length = ADDRESS_ROOM as socklen_t;
    // SAFETY: the array and its length are ours and outlive the call.
    let accepted = unsafe {
        let at = octets.as_mut_ptr().cast();
        libc::accept4(fd.as_raw_fd(), at, &raw mut length, flags | libc::SOCK_CLOEXEC)
    };
    let accepted = check(accepted.into())? as c_int;
    // SAFETY: the descriptor has just been made for us.
    let accepted = unsafe { OwnedFd::from_raw_fd(accepted) };
    Ok((accepted, RawAddress::of_octets(&octets[..ADDRESS_ROOM.min(length as usize)])))
}

/// The socket's own address.
pub(crate) fn local(fd: BorrowedFd<'_>) -> SysResult<RawAddress> {
    let mut octets = [0_u8; ADDRESS_ROOM];
    let mut length = ADDRESS_ROOM as socklen_t;
    // SAFETY: the array and its length are ours and outlive the call.
    let done =
        unsafe { libc::getsockname(fd.as_raw_fd(), octets.as_mut_ptr().cast(), &raw mut length) };
    check(done.into())?;
    Ok(RawAddress::of_octets(&octets[..ADDRESS_ROOM.min(length as usize)]))
}

/// A message to send.
pub(crate) struct Message<'a> {
    pub(crate) address: &'a [u8],
    pub(crate) data: &'a [u8],
    pub(crate) control: &'a [u8],
    pub(crate) flags: c_int,
}

/// Sends; a broken pipe is an error here and no signal.
pub(crate) fn send(fd: BorrowedFd<'_>, message: &Message<'_>) -> SysResult<i64> {
    let data = libc::iovec {
        iov_base: message.data.as_ptr().cast_mut().cast(),
        iov_len: message.data.len(),
    };
    // SAFETY: a message header of zeros is an empty one.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = (&raw const data).cast_mut();
    header.msg_iovlen = 1;
    if !message.address.is_empty() {
        header.msg_name = message.address.as_ptr().cast_mut().cast();
        header.msg_namelen = message.address.len() as socklen_t;
    }
    if !message.control.is_empty() {
        header.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_controllen = message.control.len() as _;
    }
    let flags = message.flags | libc::MSG_NOSIGNAL;
    // SAFETY: the header points to slices that outlive the call; sendmsg writes to none of them.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const header, flags) };
    check(sent as c_long)
}
