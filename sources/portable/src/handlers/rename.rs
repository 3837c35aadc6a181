//! Renaming: both directories are held, both names are single components.
//!
//! An exchange calls the kernel's hook once for each direction, so it is two events here too, the
//! new name's first, as `security_inode_rename` does.

use std::os::fd::AsFd;

use tsem::Effect;
use tsem::EventKind;
use tsem::Place;
use tsem::Value;

use super::held;
use super::held::Entry;
use super::held::Last;
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

const NO_REPLACE: u32 = 1;
const EXCHANGE: u32 = 2;
const WHITEOUT: u32 = 4;

#[cfg(target_arch = "x86_64")]
pub(crate) fn rename(call: &Call) -> Handled {
    let cwd = libc::AT_FDCWD;
    rename_entry(call, (cwd, call.argument(0)), (cwd, call.argument(1)), 0)
}

pub(crate) fn renameat(call: &Call) -> Handled {
    let (from, to) = (call.argument(0) as i32, call.argument(2) as i32);
    rename_entry(call, (from, call.argument(1)), (to, call.argument(3)), 0)
}

pub(crate) fn renameat2(call: &Call) -> Handled {
    let (from, to) = (call.argument(0) as i32, call.argument(2) as i32);
    let flags = call.argument(4) as u32;
    rename_entry(call, (from, call.argument(1)), (to, call.argument(3)), flags)
}

/// Both ends as they were found.
struct Renaming {
    from: Entry,
    to: Entry,
    flags: u32,
    source: Status,
    target: Option<Status>,
    /// Where the names are.
    places: (Place, Place),
}

fn rename_entry(call: &Call, from: (i32, u64), to: (i32, u64), flags: u32) -> Handled {
    let (old, new) = (call.text(from.1)?, call.text(to.1)?);
    let replaces_not = flags & (NO_REPLACE | WHITEOUT) != 0;
    if flags & !(NO_REPLACE | EXCHANGE | WHITEOUT) != 0 || replaces_not && flags & EXCHANGE != 0 {
        return Err(Refusal::Errno(libc::EINVAL));
    }
    let from = Entry::of(call, from.0, &old)?;
    let to = Entry::of(call, to.0, &new)?;
    check_places(&from, &to, flags)?;
    let source = from.victim()?;
    let target = to.object.as_ref().map_err(|errno| *errno)?;
    let target = target.as_ref().map(|target| Status::of(target.as_fd())).transpose()?;
    let places = places(&from, &to)?;
    let renaming = Renaming { from, to, flags, source, target, places };
    renaming.check_kinds().map_err(|errno| renaming.from.unless_read_only(errno.0))?;
    renaming.check_loop()?;
    if renaming.is_same() {
        return Ok(Outcome::Value(0));
    }
    renaming.may_rename(call)?;
    renaming.carry_out(call)
}

fn places(from: &Entry, to: &Entry) -> SysResult<(Place, Place)> {
    let old = from.place()?;
    if from.above.identity != to.above.identity {
        return Ok((old, to.place()?));
    }
    let directory = &old.path[..old.path.len() - from.name.len()];
    let new = file::place_below(directory, &to.name, old.file_system)?;
    Ok((old, new))
}

fn check_places(from: &Entry, to: &Entry, flags: u32) -> SysResult<()> {
    if from.above.mount != to.above.mount {
        return Err(Errno(libc::EXDEV));
    }
    if from.last != Last::Name {
        return Err(Errno(libc::EBUSY));
    }
    if to.last != Last::Name {
        let errno = if flags & NO_REPLACE != 0 { libc::EEXIST } else { libc::EBUSY };
        return Err(Errno(errno));
    }
    Ok(())
}

impl Renaming {
    fn exchanges(&self) -> bool {
        self.flags & EXCHANGE != 0
    }

    /// What must be there, what must not, and what slashes demand.
    fn check_kinds(&self) -> SysResult<()> {
        match &self.target {
            Some(_) if self.flags & NO_REPLACE != 0 => return Err(Errno(libc::EEXIST)),
            None if self.exchanges() => return Err(Errno(libc::ENOENT)),
            Some(target) if self.exchanges() && self.to.slash && !target.is_directory() => {
                return Err(Errno(libc::ENOTDIR));
            }
            _ => {}
        }
        let slashes = self.from.slash || !self.exchanges() && self.to.slash;
        if slashes && !self.source.is_directory() {
            return Err(Errno(libc::ENOTDIR));
        }
        Ok(())
    }

    /// A directory cannot move below itself, nor onto what it is below.
    fn check_loop(&self) -> SysResult<()> {
        let (from, to) = (&self.places.0.path, &self.places.1.path);
        if is_below(to, from) {
            return Err(Errno(libc::EINVAL));
        }
        if is_below(from, to) {
            let errno = if self.exchanges() { libc::EINVAL } else { libc::ENOTEMPTY };
            return Err(Errno(errno));
        }
        Ok(())
    }

    /// Two names of one file: the kernel does nothing, and asks nobody.
    fn is_same(&self) -> bool {
        self.target.is_some_and(|target| target.identity == self.source.identity)
    }

    /// The kernel's checks in `vfs_rename`, up to its hook.
    fn may_rename(&self, call: &Call) -> SysResult<()> {
        let moves_directory = self.source.is_directory();
        self.from.may_delete(call, &self.source, moves_directory)?;
        match &self.target {
            None => self.to.may_create(call)?,
            Some(target) => {
                let as_directory =
                    if self.exchanges() { target.is_directory() } else { moves_directory };
                self.to.may_delete(call, target, as_directory)?;
            }
        }
        if self.from.above.identity == self.to.above.identity {
            return Ok(());
        }
        may_write_directory(call, &self.from, &self.source)?;
        match &self.target {
            Some(target) if self.exchanges() => may_write_directory(call, &self.to, target),
            _ => Ok(()),
        }
    }

    fn carry_out(self, call: &Call) -> Handled {
        let (from, to) = &self.places;
        if self.exchanges() {
            judge(call, to, from, self.flags)?;
        }
        judge(call, from, to, self.flags)?;
        if self.is_mount_point() {
            return Err(Refusal::Errno(libc::EBUSY));
        }
        let Self { from: old, to: new, flags, places: (from, to), .. } = self;
        let _changing = call.supervisor.changes.begin_both([&from.path, &to.path]);
        let names = held::names_change();
        call.as_caller(|| {
            let (from, to) = (old.parent.as_fd(), new.parent.as_fd());
            inode_calls::renameat2((from, &old.name), (to, &new.name), flags)
        })?;
        drop(names);
        tell(call, &from.path, &to.path, flags);
        Ok(Outcome::Value(0))
    }

    /// Looked at by the kernel after its hook.
    fn is_mount_point(&self) -> bool {
        self.from.is_mount_point(&self.source)
            || self.target.is_some_and(|target| self.to.is_mount_point(&target))
    }
}

fn is_below(path: &[u8], above: &[u8]) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// A directory that moves has its `..` rewritten.
fn may_write_directory(call: &Call, entry: &Entry, moved: &Status) -> SysResult<()> {
    match &entry.object {
        Ok(Some(object)) if moved.is_directory() => {
            call.as_caller(|| sys::may_access(object.as_fd(), libc::W_OK))
        }
        _ => Ok(()),
    }
}

fn judge(call: &Call, from: &Place, to: &Place, flags: u32) -> Result<(), Refusal> {
    let (from, to) = (Value::Path(from.clone()), Value::Path(to.clone()));
    call.judge(EventKind::InodeRename, vec![from, to, Value::Number(flags.into())])
}

/// An exchange goes through a name that no file can have.
fn tell(call: &Call, from: &[u8], to: &[u8], flags: u32) {
    if flags & EXCHANGE == 0 {
        return call.effect(&Effect::Renamed { from, to });
    }
    let between = format!("\0{}", call.notification.id).into_bytes();
    call.effect(&Effect::Renamed { from, to: &between });
    call.effect(&Effect::Renamed { from: to, to: from });
    call.effect(&Effect::Renamed { from: &between, to });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_means_by_whole_components() {
        assert!(is_below(b"/a/b", b"/a"));
        assert!(!is_below(b"/ab", b"/a"));
        assert!(!is_below(b"/a", b"/a"));
    }
}
