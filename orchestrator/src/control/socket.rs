//! Sockets by paths of any length.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::Mode;
use rustix::fs::OFlags;

/// `sun_path` holds so many octets, and a NUL behind them (unix(7)).
const LONGEST: usize = 107;

/// Listens at a path.
///
/// # Errors
///
/// As of bind(2).
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    reach(path, |path| UnixListener::bind(path))
}

/// Connects to who listens at a path.
///
/// # Errors
///
/// As of connect(2).
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    reach(path, |path| UnixStream::connect(path))
}

/// A path that is too long is shortened to a descriptor of its folder.
fn reach<T>(path: &Path, act: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= LONGEST {
        return act(path);
    }
    let place = path.parent().zip(path.file_name());
    let (folder, name) = place.ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    act(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::io::Write as _;

    #[test]
    fn a_socket_is_reached_however_long_its_path_is() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a".repeat(100)).join("b".repeat(200));
        std::fs::create_dir_all(&deep).unwrap();
        for path in [folder.path().join("short.sock"), deep.join("long.sock")] {
            assert_eq!(connect(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
            let listener = bind(&path).unwrap();
            let mut ours = connect(&path).unwrap();
            ours.write_all(b"word").unwrap();
            drop(ours);
            let mut text = String::new();
            listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
            assert_eq!(text, "word");
            assert!(path.exists());
        }
    }
}
