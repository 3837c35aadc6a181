//! What a call that begins is going to be as an event, for hooks that cannot wait.
//!
//! Nothing is decided by it: the hook looks for the coefficient of what the kernel really does, and
//! finds it only if this is what was foretold. A name that means something else by then is refused.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;

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

/// The event of a call, from its number and arguments, and the caller's umask.
pub(crate) fn event(number: i64, arguments: [u64; 6], tid: u32, umask: u32) -> Option<Cell> {
    let [first, second, third, fourth, fifth, _] = arguments;
    let caller = Caller { tid, umask };
    match number {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir => caller.makes_directory(AT_FDCWD, first, second),
        libc::SYS_mkdirat => caller.makes_directory(first as i32, second, third),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_link => caller.links((AT_FDCWD, first), (AT_FDCWD, second), 0),
        libc::SYS_linkat => {
            caller.links((first as i32, second), (third as i32, fourth), fifth as i32)
        }
        _ => None,
    }
}

pub(crate) fn status(tid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{tid}/status")).ok()
}

/// A thread that waits at the beginning of a call.
struct Caller {
    tid: u32,
    umask: u32,
}

impl Caller {
    fn makes_directory(&self, directory: i32, path: u64, mode: u64) -> Option<Cell> {
        let mode = mode as u32 & MODE_OF_DIRECTORY & !self.umask;
        let path = self.new_name(directory, path)?;
        let values = vec![Value::Path(path), Value::Number(u64::from(libc::S_IFDIR | mode))];
        Some(Cell { kind: EventKind::InodeMkdir, values })
    }

    fn links(&self, old: (i32, u64), new: (i32, u64), flags: i32) -> Option<Cell> {
        let file = self.file(old.0, old.1, flags)?;
        let values = vec![file.into(), Value::Path(self.new_name(new.0, new.1)?)];
        Some(Cell { kind: EventKind::InodeLink, values })
    }

    /// A text in its memory.
    fn text(&self, address: u64) -> Option<Vec<u8>> {
        let memory = File::open(format!("/proc/{}/mem", self.tid)).ok()?;
        let mut octets = vec![0; TEXT_MAX + 1];
        let read = memory.read_at(&mut octets, address).ok()?;
        octets.truncate(octets[..read].iter().position(|octet| *octet == 0)?);
        Some(octets)
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

    /// The file that gets a second name.
    fn file(&self, directory: i32, address: u64, flags: i32) -> Option<tsem::File> {
        let text = self.text(address)?;
        let held = if text.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            let link = CString::new(format!("/proc/{}/fd/{directory}", self.tid)).ok()?;
            sys::open_in_root(File::open("/").ok()?.as_fd(), &link, 0).ok()?
        } else {
            let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
            self.hold(directory, &text, if follow { 0 } else { libc::O_NOFOLLOW })?
        };
        let place = place(&held)?;
        let status = File::from(held).metadata().ok()?;
        Some(tsem::File::new(place, [status.uid(), status.gid(), status.mode()], Digest::ZERO))
    }
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
    /// What is to be linked: whose it is, and so what the rules say of it, goes by this name.
    path: Option<Vec<u8>>,
}

impl Foretold {
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < FORETOLD_MAX
    }

    pub(crate) fn expect(&mut self, process: u32, tid: u32, coefficient: Digest, cell: &Cell) {
        let path = match cell.values.first() {
            Some(Value::File(file)) => Some(file.place.path.clone()),
            _ => None,
        };
        self.0.insert(tid, Expected { process, coefficient, path });
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
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("quixote-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::canonicalize(folder).unwrap()
    }

    #[test]
    fn a_directory_that_is_about_to_be_made_is_told_by_its_name() {
        let folder = folder("foretold-mkdir");
        let tid = std::process::id();
        let umask = 0o027;
        let path = CString::new(folder.join("inner/../new//").into_os_string().into_vec()).unwrap();
        let call = [AT_FDCWD as u64, path.as_ptr() as u64, 0o7777, 0, 0, 0];
        let number = libc::SYS_mkdirat;
        assert!(event(number, call, tid, umask).is_none(), "its directory is not there");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        let cell = event(number, call, tid, umask).unwrap();
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
            let cell = event(libc::SYS_linkat, call, std::process::id(), 0).unwrap();
            let Some(Value::File(file)) = cell.values.first() else { panic!("{cell:?}") };
            (file.place.path.clone(), cell)
        };
        let (path, cell) = named(libc::AT_SYMLINK_FOLLOW);
        assert_eq!(path, folder.join("old").into_os_string().into_vec());
        assert_eq!(cell.values.len(), 2);
        assert!(named(0).0.ends_with(b"/symbolic"));
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
