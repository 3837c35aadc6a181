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

/// The event of a call: its kind and its arguments, as the program tells them.
pub(crate) fn event(octets: &[u8], tid: u32) -> Option<Cell> {
    let words = octets.chunks_exact(8).map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?)));
    let words: Option<Vec<u64>> = words.collect();
    let [kind, first, second, third, fourth, fifth] = words?.try_into().ok()?;
    let (kind, caller) = (EventKind::from_code(u16::try_from(kind).ok()?)?, Caller { tid });
    let values = match kind {
        EventKind::InodeMkdir => {
            let mode = third as u32 & MODE_OF_DIRECTORY & !caller.umask()?;
            let path = caller.new_name(first as i32, second)?;
            vec![Value::Path(path), Value::Number(u64::from(libc::S_IFDIR | mode))]
        }
        EventKind::InodeLink => {
            let file = caller.file(first as i32, second, fifth as i32)?;
            vec![file.into(), Value::Path(caller.new_name(third as i32, fourth)?)]
        }
        _ => return None,
    };
    Some(Cell { kind, values })
}

/// A thread that waits at the beginning of a call.
struct Caller {
    tid: u32,
}

impl Caller {
    /// A text in its memory.
    fn text(&self, address: u64) -> Option<Vec<u8>> {
        let memory = File::open(format!("/proc/{}/mem", self.tid)).ok()?;
        let mut octets = vec![0; TEXT_MAX + 1];
        let read = memory.read_at(&mut octets, address).ok()?;
        octets.truncate(octets[..read].iter().position(|octet| *octet == 0)?);
        Some(octets)
    }

    fn umask(&self) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.tid)).ok()?;
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
        u32::from_str_radix(umask.trim(), 8).ok()
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

/// The coefficients that were foretold, by the thread that waited.
#[derive(Debug, Default)]
pub(crate) struct Foretold(HashMap<u32, Expected>);

#[derive(Debug)]
struct Expected {
    coefficient: Digest,
    /// What is to be linked: whose it is, and so what the rules say of it, goes by this name.
    path: Option<Vec<u8>>,
}

impl Foretold {
    pub(crate) fn expect(&mut self, tid: u32, coefficient: Digest, cell: &Cell) {
        let path = match cell.values.first() {
            Some(Value::File(file)) => Some(file.place.path.clone()),
            _ => None,
        };
        self.0.insert(tid, Expected { coefficient, path });
    }

    /// The call is over. The coefficient that nobody expects any more.
    pub(crate) fn over(&mut self, tid: u32) -> Option<Digest> {
        let over = self.0.remove(&tid)?.coefficient;
        let wanted = self.0.values().any(|expected| expected.coefficient == over);
        (!wanted).then_some(over)
    }

    /// What an effect on names makes wrong; it has not happened yet.
    pub(crate) fn void(&mut self, effect: &Effect<'_>) -> Vec<Digest> {
        let names = match effect {
            Effect::Made(_) => return Vec::new(),
            Effect::Removed(path) => [path, path],
            Effect::Renamed { from, to } => [from, to],
        };
        let hit = |path: &[u8]| names.iter().any(|name| is_at_or_below(path, name));
        let hit: Vec<u32> = (self.0.iter())
            .filter(|(_, expected)| expected.path.as_deref().is_some_and(hit))
            .map(|(tid, _)| *tid)
            .collect();
        hit.into_iter().filter_map(|tid| self.over(tid)).collect()
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

    fn octets(words: [u64; 6]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("quixote-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::canonicalize(folder).unwrap()
    }

    #[test]
    fn a_directory_that_is_about_to_be_made_is_told_by_its_name() {
        let folder = folder("foretold-mkdir");
        let tid = std::process::id();
        let umask = Caller { tid }.umask().unwrap();
        let path = CString::new(folder.join("inner/../new//").into_os_string().into_vec()).unwrap();
        let call = octets([17, AT_FDCWD as u64, path.as_ptr() as u64, 0o7777, 0, 0]);
        assert!(event(&call, tid).is_none(), "its directory is not there");
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        let cell = event(&call, tid).unwrap();
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
            let call = octets([20, directory, old, directory, new, follow as u64]);
            let cell = event(&call, std::process::id()).unwrap();
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
        foretold.expect(1, one, &file("/a/b"));
        foretold.expect(2, one, &file("/a/b"));
        foretold.expect(3, two, &file("/ab"));
        assert_eq!(foretold.over(1), None, "the second thread expects it too");
        assert!(foretold.void(&Effect::Made(b"/a/b")).is_empty());
        assert_eq!(foretold.void(&Effect::Renamed { from: b"/a", to: b"/c" }), [one]);
        assert_eq!(foretold.over(2), None);
        assert_eq!(foretold.drain(), [two]);
    }
}
