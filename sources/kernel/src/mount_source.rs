//! What a bind or moving mount names as its source: the hook is told the words only.
//!
//! The kernel reads them once more after its hook, so a link that is changed in between leads the mount
//! elsewhere than what was judged; `docs/known-holes.md` says so.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use tsem::Cell;
use tsem::Value;

use crate::sys;

/// Puts the place in for the words, where they name one for the thread that mounts.
pub(crate) fn resolve(cell: &mut Cell, tid: u32) {
    if let Some(Value::Text(text)) = cell.values.first_mut()
        && let Some(place) = place_of(text, tid)
    {
        *text = place;
    }
}

fn place_of(text: &[u8], tid: u32) -> Option<Vec<u8>> {
    let root = format!("/proc/{tid}/root");
    let seen = seen_from(text, &format!("/proc/{tid}/cwd"), &root)?;
    let root = File::open(root).ok()?;
    let path = CString::new(seen.into_os_string().into_vec()).ok()?;
    let held = sys::open_in_root(root.as_fd(), &path, 0).ok()?;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).ok()?;
    Some(link.into_os_string().into_vec())
}

/// The path from a thread's own root; a relative one goes on from `base`, a link of procfs as `root`
/// is.
pub(crate) fn seen_from(text: &[u8], base: &str, root: &str) -> Option<PathBuf> {
    let path = Path::new(std::ffi::OsStr::from_bytes(text));
    if path.as_os_str().is_empty() || path.is_absolute() {
        return path.is_absolute().then(|| path.to_path_buf());
    }
    let working = std::fs::read_link(base).ok()?;
    let root = std::fs::read_link(root).ok()?;
    let below = working.strip_prefix(root).ok()?;
    Some(Path::new("/").join(below).join(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsem::EventKind;

    #[test]
    fn what_a_link_names_stands_in_the_event() {
        let folder = std::env::temp_dir().join(format!("quixote-source-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("real")).unwrap();
        let folder = std::fs::canonicalize(folder).unwrap();
        let link = folder.join("link");
        std::os::unix::fs::symlink("real", &link).unwrap();
        let text = |path: &Path| Value::Text(path.as_os_str().as_bytes().to_vec());
        let mut cell = Cell { kind: EventKind::SbMount, values: vec![text(&link)] };
        resolve(&mut cell, std::process::id());
        assert_eq!(cell.values, [text(&folder.join("real"))]);
        let mut nothing = Cell { kind: EventKind::SbMount, values: vec![text(&folder.join("no"))] };
        resolve(&mut nothing, std::process::id());
        assert_eq!(nothing.values, [text(&folder.join("no"))]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
