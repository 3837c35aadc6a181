//! What a call that begins is going to be as an event, for hooks that cannot wait.
//!
//! Nothing is decided by it: the hook looks for the coefficient of what the kernel really does, and
//! finds it only if this is what was foretold. A name that means something else by then is refused.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

use tsem::Address;
use tsem::Cell;
use tsem::Digest;
use tsem::Effect;
use tsem::EventKind;
use tsem::Place;
use tsem::TEXT_MAX;
use tsem::Value;

use crate::mount_source::seen_from;
use crate::sys;

const AT_FDCWD: i32 = libc::AT_FDCWD;
/// What the kernel keeps of mkdir(2)'s mode.
const MODE_OF_DIRECTORY: u32 = 0o1777;

/// `struct sockaddr_storage`.
const ADDRESS_MAX: usize = 128;

/// A thread that waits at the beginning of a call.
pub(crate) struct Caller<'a> {
    pub(crate) tid: u32,
    pub(crate) umask: u32,
    /// Its process.
    pub(crate) pidfd: BorrowedFd<'a>,
}

pub(crate) fn status(tid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{tid}/status")).ok()
}

impl Caller<'_> {
    /// The event of a call, from its number and arguments.
    pub(crate) fn event(&self, number: i64, arguments: [u64; 6]) -> Option<Cell> {
        let [first, second, third, fourth, fifth, sixth] = arguments;
        match number {
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => self.makes_directory(AT_FDCWD, first, second),
            libc::SYS_mkdirat => self.makes_directory(first as i32, second, third),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_link => self.links((AT_FDCWD, first), (AT_FDCWD, second), 0),
            libc::SYS_linkat => {
                self.links((first as i32, second), (third as i32, fourth), fifth as i32)
            }
            libc::SYS_connect => self.reaches(first as i32, second, third),
            libc::SYS_sendto => self.reaches(first as i32, fifth, sixth),
            libc::SYS_sendmsg => self.sends(first as i32, second),
            libc::SYS_chroot => self.enters(first),
            libc::SYS_removexattr => self.strips(self.file(AT_FDCWD, first, 0), second),
            libc::SYS_lremovexattr => {
                self.strips(self.file(AT_FDCWD, first, libc::O_NOFOLLOW), second)
            }
            libc::SYS_fremovexattr => self.strips(file(self.held(first as i32)?), second),
            _ => None,
        }
    }

    fn makes_directory(&self, directory: i32, path: u64, mode: u64) -> Option<Cell> {
        let mode = mode as u32 & MODE_OF_DIRECTORY & !self.umask;
        let path = self.new_name(directory, path)?;
        let values = vec![Value::Path(path), Value::Number(u64::from(libc::S_IFDIR | mode))];
        Some(Cell { kind: EventKind::InodeMkdir, values })
    }

    fn links(&self, old: (i32, u64), new: (i32, u64), flags: i32) -> Option<Cell> {
        let text = self.text(old.1)?;
        let file = if text.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            file(self.held(old.0)?)?
        } else {
            let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
            self.file(old.0, old.1, if follow { 0 } else { libc::O_NOFOLLOW })?
        };
        let values = vec![file.into(), Value::Path(self.new_name(new.0, new.1)?)];
        Some(Cell { kind: EventKind::InodeLink, values })
    }

    /// The UNIX socket that is connected or sent to by its name.
    fn reaches(&self, number: i32, address: u64, length: u64) -> Option<Cell> {
        let length = usize::try_from(length).ok()?.min(ADDRESS_MAX);
        let (family, name) = self
            .octets(address, length)?
            .split_first_chunk()
            .map(|(family, name)| (i32::from(u16::from_ne_bytes(*family)), name.to_vec()))?;
        let end = name.iter().position(|octet| *octet == 0).unwrap_or(name.len());
        if family != libc::AF_UNIX || end == 0 {
            return None;
        }
        let socket = portable_source::describe_socket(self.held(number)?.as_fd()).ok()?;
        let kind = if socket.socket_type == libc::SOCK_DGRAM as u32 {
            EventKind::UnixMaySend
        } else {
            EventKind::UnixStreamConnect
        };
        let peer = place(&self.hold(AT_FDCWD, &name[..end], 0)?)?;
        let values = vec![Value::Socket(socket), Value::Address(Address::UnixPath(peer))];
        Some(Cell { kind, values })
    }

    /// By a `struct msghdr`.
    fn sends(&self, number: i32, message: u64) -> Option<Cell> {
        let header = self.octets(message, offset_of!(libc::msghdr, msg_iov))?;
        let name = header.first_chunk().map(|octets| u64::from_ne_bytes(*octets))?;
        let length = header.get(offset_of!(libc::msghdr, msg_namelen)..)?.first_chunk();
        self.reaches(number, name, u32::from_ne_bytes(*length?).into())
    }

    fn enters(&self, path: u64) -> Option<Cell> {
        let root = place(&self.hold(AT_FDCWD, &self.text(path)?, 0)?)?;
        Some(Cell { kind: EventKind::PathChroot, values: vec![Value::Path(root)] })
    }

    fn strips(&self, file: Option<tsem::File>, name: u64) -> Option<Cell> {
        let values = vec![file?.into(), Value::Text(self.text(name)?)];
        Some(Cell { kind: EventKind::InodeRemovexattr, values })
    }

    /// What is in its memory, up to `length` octets of it.
    fn octets(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let memory = File::open(format!("/proc/{}/mem", self.tid)).ok()?;
        let mut octets = vec![0; length];
        let read = memory.read_at(&mut octets, address).ok()?;
        octets.truncate(read);
        Some(octets)
    }

    /// A text in its memory.
    fn text(&self, address: u64) -> Option<Vec<u8>> {
        let mut octets = self.octets(address, TEXT_MAX + 1)?;
        octets.truncate(octets.iter().position(|octet| *octet == 0)?);
        Some(octets)
    }

    /// What is behind a descriptor of its own.
    fn held(&self, number: i32) -> Option<OwnedFd> {
        sys::pidfd_getfd(self.pidfd, number).ok()
    }

    fn hold(&self, directory: i32, text: &[u8], flags: i32) -> Option<OwnedFd> {
        let base = match directory {
            AT_FDCWD => format!("/proc/{}/cwd", self.tid),
            number => format!("/proc/{}/fd/{number}", self.tid),
        };
        let root = format!("/proc/{}/root", self.tid);
        let seen = seen_from(text, &base, &root)?;
        let root = File::open(root).ok()?;
        let path = CString::new(seen.into_os_string().into_vec()).ok()?;
        sys::open_in_root(root.as_fd(), &path, flags).ok()
    }

    /// A name that is not there yet: its directory is.
    fn new_name(&self, directory: i32, address: u64) -> Option<Place> {
        let text = self.text(address)?;
        let end = text.iter().rposition(|octet| *octet != b'/')? + 1;
        let start = text[..end].iter().rposition(|octet| *octet == b'/').map_or(0, |at| at + 1);
        let (parent, name) = (&text[..start], &text[start..end]);
        if name == b"." || name == b".." {
            return None;
        }
        let parent = if parent.is_empty() { b"." } else { parent };
        let mut place = place(&self.hold(directory, parent, 0)?)?;
        if place.path != b"/" {
            place.path.push(b'/');
        }
        place.path.extend(name);
        Some(place)
    }

    /// `flags` may hold `O_NOFOLLOW`.
    fn file(&self, directory: i32, address: u64, flags: i32) -> Option<tsem::File> {
        file(self.hold(directory, &self.text(address)?, flags)?)
    }
}

fn file(held: OwnedFd) -> Option<tsem::File> {
    let place = place(&held)?;
    let status = File::from(held).metadata().ok()?;
    Some(tsem::File::new(place, [status.uid(), status.gid(), status.mode()], Digest::ZERO))
}

fn place(held: &OwnedFd) -> Option<Place> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).ok()?;
    Some(Place::new(path.into_os_string().into_vec(), sys::file_system(held.as_fd()).ok()?))
}

/// The coefficients that were foretold, by the thread that waited; [`FORETOLD_MAX`] at most.
#[derive(Debug, Default)]
pub(crate) struct Foretold(HashMap<u32, Expected>);

/// A call that fails before its hook leaves what was foretold of it until its thread makes another,
/// or its process ends.
const FORETOLD_MAX: usize = 1024;

#[derive(Debug)]
struct Expected {
    process: u32,
    coefficient: Digest,
    /// What is there already: whose it is, and so what the rules say of it, goes by this name.
    path: Option<Vec<u8>>,
}

impl Foretold {
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < FORETOLD_MAX
    }

    pub(crate) fn expect(&mut self, process: u32, tid: u32, coefficient: Digest, cell: &Cell) {
        let is_there = cell.kind != EventKind::InodeMkdir;
        let place = cell.values.iter().find_map(Value::place).filter(|_| is_there);
        let path = place.map(|place| place.path.clone());
        self.0.insert(tid, Expected { process, coefficient, path });
    }

    /// An event has come. The coefficient that nobody expects any more.
    pub(crate) fn came(&mut self, tid: u32, coefficient: &Digest) -> Option<Digest> {
        let expected = self.0.get(&tid)?;
        (expected.coefficient == *coefficient).then(|| self.over(tid))?
    }

    /// The call is over. The coefficient that nobody expects any more.
    pub(crate) fn over(&mut self, tid: u32) -> Option<Digest> {
        let over = self.0.remove(&tid)?.coefficient;
        let wanted = self.0.values().any(|expected| expected.coefficient == over);
        (!wanted).then_some(over)
    }

    /// A process has ended, and all calls of its threads.
    pub(crate) fn ended(&mut self, process: u32) -> Vec<Digest> {
        self.all_over(|_, expected| expected.process == process)
    }

    /// Forgets threads that are not there any more.
    pub(crate) fn sweep(&mut self, is_there: impl Fn(u32) -> bool) -> Vec<Digest> {
        self.all_over(|tid, _| !is_there(tid))
    }

    fn all_over(&mut self, which: impl Fn(u32, &Expected) -> bool) -> Vec<Digest> {
        let chosen = self.0.iter().filter(|(tid, expected)| which(**tid, expected));
        let tids: Vec<u32> = chosen.map(|(tid, _)| *tid).collect();
        tids.into_iter().filter_map(|tid| self.over(tid)).collect()
    }

    /// What an effect on names makes wrong; it has not happened yet.
    pub(crate) fn void(&mut self, effect: &Effect<'_>) -> Vec<Digest> {
        let names = match effect {
            Effect::Made(_) => return Vec::new(),
            Effect::Removed(path) => [path, path],
            Effect::Renamed { from, to } => [from, to],
        };
        let hit = |path: &[u8]| names.iter().any(|name| is_at_or_below(path, name));
        self.all_over(|_, expected| expected.path.as_deref().is_some_and(hit))
    }

    /// All that is left.
    pub(crate) fn drain(&mut self) -> Vec<Digest> {
        self.0.drain().map(|(_, expected)| expected.coefficient).collect()
    }
}

fn is_at_or_below(path: &[u8], name: &[u8]) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
#[allow(unsafe_code, reason = "a structure of the kernel's")]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::UnixDatagram;
    use std::os::unix::net::UnixListener;
    use std::os::unix::net::UnixStream;

    use tsem::Socket;

    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("quixote-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::canonicalize(folder).unwrap()
    }

    /// Of a call of this process.
    fn event(number: i64, arguments: [u64; 6], umask: u32) -> Option<Cell> {
        let tid = std::process::id();
        let pidfd = sys::pidfd_open(tid).unwrap();
        Caller { tid, umask, pidfd: pidfd.as_fd() }.event(number, arguments)
    }

    #[test]
    fn a_directory_that_is_about_to_be_made_is_told_by_its_name() {
        let folder = folder("foretold-mkdir");
        let umask = 0o027;
        let path = CString::new(folder.join("inner/../new//").into_os_string().into_vec()).unwrap();
        let call = [AT_FDCWD as u64, path.as_ptr() as u64, 0o7777, 0, 0, 0];
        let number = libc::SYS_mkdirat;
        assert!(event(number, call, umask).is_none(), "its directory is not there");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        let cell = event(number, call, umask).unwrap();
        let Some(Value::Path(place)) = cell.values.first() else { panic!("{cell:?}") };
        assert_eq!(place.path, folder.join("new").into_os_string().into_vec());
        let mode = u64::from(0o40000 | 0o1777 & !umask);
        assert_eq!(cell.values[1], Value::Number(mode));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_link_is_told_by_both_names_and_the_files_owner() {
        let folder = folder("foretold-link");
        std::fs::write(folder.join("old"), "").unwrap();
        std::os::unix::fs::symlink("old", folder.join("symbolic")).unwrap();
        let held = File::open(&folder).unwrap();
        let directory = held.as_raw_fd() as u64;
        let (old, new) = (c"symbolic".as_ptr() as u64, c"new".as_ptr() as u64);
        let named = |follow: i32| {
            let call = [directory, old, directory, new, follow as u64, 0];
            let cell = event(libc::SYS_linkat, call, 0).unwrap();
            let Some(Value::File(file)) = cell.values.first() else { panic!("{cell:?}") };
            (file.place.path.clone(), cell)
        };
        let (path, cell) = named(libc::AT_SYMLINK_FOLLOW);
        assert_eq!(path, folder.join("old").into_os_string().into_vec());
        assert_eq!(cell.values.len(), 2);
        assert!(named(0).0.ends_with(b"/symbolic"));
        let file = File::open(folder.join("old")).unwrap();
        let call = [file.as_raw_fd() as u64, c"".as_ptr() as u64, directory, new];
        let flags = libc::AT_EMPTY_PATH as u64;
        let call = [call[0], call[1], call[2], call[3], flags, 0];
        let cell = event(libc::SYS_linkat, call, 0).unwrap();
        assert_eq!(cell.values[0].place().unwrap().path, path);
        std::fs::remove_dir_all(folder).unwrap();
    }

    /// `struct sockaddr_un`.
    fn address(path: &std::path::Path) -> Vec<u8> {
        let family = (libc::AF_UNIX as u16).to_ne_bytes();
        [&family, path.as_os_str().as_bytes(), &[0]].concat()
    }

    #[test]
    fn a_socket_that_is_about_to_be_reached_is_told_by_its_name() {
        let folder = folder("foretold-socket");
        let path = folder.join("socket");
        let (stream, datagram) = (UnixStream::pair().unwrap().0, UnixDatagram::unbound().unwrap());
        let raw = address(&path);
        let (at, length) = (raw.as_ptr() as u64, raw.len() as u64);
        let connected =
            |number: i32| event(libc::SYS_connect, [number as u64, at, length, 0, 0, 0], 0);
        assert_eq!(connected(stream.as_raw_fd()), None, "nothing is there");
        let _listener = UnixListener::bind(&path).unwrap();
        let cell = connected(stream.as_raw_fd()).unwrap();
        assert_eq!(cell.kind, EventKind::UnixStreamConnect);
        let socket = Socket { family: 1, socket_type: libc::SOCK_STREAM as u32, protocol: 0 };
        assert_eq!(cell.values[0], Value::Socket(socket));
        let place = cell.values[1].place().unwrap();
        assert_eq!(place.path, path.as_os_str().as_bytes());
        let sent = event(libc::SYS_sendto, [datagram.as_raw_fd() as u64, 0, 0, 0, at, length], 0);
        let sent = sent.unwrap();
        assert_eq!((sent.kind, sent.values[1].place()), (EventKind::UnixMaySend, Some(place)));
        // SAFETY: all zeros is a valid value of the structure: it has no name and no parts.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        let arguments = [datagram.as_raw_fd() as u64, &raw const header as u64, 0, 0, 0, 0];
        assert_eq!(event(libc::SYS_sendmsg, arguments, 0), None, "it has no address");
        header.msg_name = at as *mut libc::c_void;
        header.msg_namelen = length as u32;
        let arguments = [datagram.as_raw_fd() as u64, &raw const header as u64, 0, 0, 0, 0];
        assert_eq!(event(libc::SYS_sendmsg, arguments, 0), Some(sent));
        assert_eq!(connected(File::open(&folder).unwrap().as_raw_fd()), None, "it is no socket");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_attribute_and_a_root_are_told_by_the_names_of_their_files() {
        let folder = folder("foretold-attribute");
        std::os::unix::fs::symlink("/", folder.join("link")).unwrap();
        let link = CString::new(folder.join("link").into_os_string().into_vec()).unwrap();
        let directory = File::open(&folder).unwrap();
        let (at, name) = (link.as_ptr() as u64, c"user.name".as_ptr() as u64);
        let told = |number, first| {
            let cell = event(number, [first, name, 0, 0, 0, 0], 0).unwrap();
            assert_eq!(cell.values[1], Value::Text(b"user.name".to_vec()));
            cell.values[0].place().unwrap().path.clone()
        };
        assert_eq!(told(libc::SYS_removexattr, at), b"/");
        assert_eq!(told(libc::SYS_lremovexattr, at), link.as_bytes());
        let held = told(libc::SYS_fremovexattr, directory.as_raw_fd() as u64);
        assert_eq!(held, folder.as_os_str().as_bytes());
        let cell = event(libc::SYS_chroot, [at, 0, 0, 0, 0, 0], 0).unwrap();
        assert_eq!(cell.kind, EventKind::PathChroot);
        assert_eq!(cell.values[0].place().unwrap().path, b"/");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_was_foretold_of_a_name_ends_with_the_name() {
        let file = |path: &str| {
            let place = Place::new(path, 1);
            Cell {
                kind: EventKind::InodeLink,
                values: vec![tsem::File::new(place, [0; 3], Digest::ZERO).into()],
            }
        };
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        let mut foretold = Foretold::default();
        foretold.expect(1, 1, one, &file("/a/b"));
        foretold.expect(1, 2, one, &file("/a/b"));
        foretold.expect(3, 3, two, &file("/ab"));
        assert_eq!(foretold.over(1), None, "the second thread expects it too");
        assert!(foretold.void(&Effect::Made(b"/a/b")).is_empty());
        assert_eq!(foretold.void(&Effect::Renamed { from: b"/a", to: b"/c" }), [one]);
        assert_eq!(foretold.over(2), None);
        assert_eq!(foretold.drain(), [two]);
    }

    #[test]
    fn what_was_foretold_ends_when_its_event_comes_and_not_before() {
        let cell = Cell { kind: EventKind::InodeMkdir, values: Vec::new() };
        let [one, two] = [1, 2].map(|octet| Digest([octet; 32]));
        let mut foretold = Foretold::default();
        foretold.expect(1, 1, one, &cell);
        assert_eq!(foretold.came(1, &two), None);
        assert_eq!(foretold.came(2, &one), None);
        assert_eq!(foretold.came(1, &one), Some(one));
        assert_eq!(foretold.came(1, &one), None);
    }

    #[test]
    fn what_was_foretold_ends_with_who_made_the_call() {
        let cell = Cell { kind: EventKind::InodeMkdir, values: Vec::new() };
        let [one, two, three] = [1, 2, 3].map(|octet| Digest([octet; 32]));
        let mut foretold = Foretold::default();
        foretold.expect(1, 1, one, &cell);
        foretold.expect(1, 2, two, &cell);
        foretold.expect(4, 4, three, &cell);
        assert_eq!(foretold.sweep(|tid| tid != 2), [two]);
        assert_eq!(foretold.ended(1), [one]);
        assert_eq!(foretold.drain(), [three]);
    }
}
