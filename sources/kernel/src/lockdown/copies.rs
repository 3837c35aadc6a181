//! The copies of this program and its libraries that act under a lockdown.
//!
//! They lie in a file system of their own in memory (ramfs, which is never swapped), so that nobody changes them by way
//! of a disk; the programs of the lockdown keep them from being written to. The copy of the program names the copied
//! dynamic linker instead of the machine's.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use super::LockdownError;
use crate::sys;

/// Where they lie. Short, because the path of the dynamic linker has to fit where another was.
pub(super) const DIRECTORY: &str = "/run/quixote-own";
/// The copy of this program.
pub(super) const PROGRAM: &str = "/run/quixote-own/quixote";
const LINKER: &str = "/run/quixote-own/ld.so";

/// What a copy is for, as `keepers.bpf.h` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Program = 1,
    Library = 2,
}

/// A copy.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) path: PathBuf,
    pub(super) role: Role,
}

/// Mounts the directory and fills it.
pub(super) fn make() -> Result<Vec<Copy>, LockdownError> {
    remove();
    fs::create_dir_all(DIRECTORY)
        .and_then(|()| Ok(sys::mount_memory(DIRECTORY)?))
        .map_err(failed(Path::new(DIRECTORY)))?;
    fill().inspect_err(|_| remove())
}

/// Undoes what an earlier attempt has left.
pub(super) fn remove() {
    sys::unmount(DIRECTORY);
    let _ = fs::remove_dir(DIRECTORY);
}

fn fill() -> Result<Vec<Copy>, LockdownError> {
    let mut program = fs::read("/proc/self/exe").map_err(failed(Path::new(PROGRAM)))?;
    let mut copies = Vec::new();
    let linker = interpreter(&program)?;
    if let Some((at, name)) = &linker {
        name_linker(&mut program, *at, name.len())?;
        let octets = fs::read(name).map_err(failed(Path::new(LINKER)))?;
        copies.push(write(PathBuf::from(LINKER), &octets, Role::Library)?);
    }
    let linker = linker.map(|(_, name)| PathBuf::from(name));
    for library in sys::libraries().into_iter().filter(|path| Some(path) != linker.as_ref()) {
        let Some(name) = library.file_name() else { continue };
        let path = Path::new(DIRECTORY).join(name);
        let octets = fs::read(&library).map_err(failed(&path))?;
        copies.push(write(path, &octets, Role::Library)?);
    }
    copies.push(write(PathBuf::from(PROGRAM), &program, Role::Program)?);
    Ok(copies)
}

fn write(path: PathBuf, octets: &[u8], role: Role) -> Result<Copy, LockdownError> {
    let executable = fs::Permissions::from_mode(0o755);
    fs::write(&path, octets)
        .and_then(|()| fs::set_permissions(&path, executable))
        .map_err(failed(&path))?;
    Ok(Copy { path, role })
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> LockdownError {
    let path = path.to_path_buf();
    move |source| LockdownError::Copy { path, source }
}

/// Writes the path of the copied dynamic linker over the one that is there.
fn name_linker(program: &mut [u8], at: usize, length: usize) -> Result<(), LockdownError> {
    if LINKER.len() > length {
        return Err(LockdownError::Interpreter(length));
    }
    let place = program.get_mut(at..at + length).ok_or(LockdownError::NotElf)?;
    place.fill(0);
    place[..LINKER.len()].copy_from_slice(LINKER.as_bytes());
    Ok(())
}

/// Where a program names its dynamic linker, and as what; none where it is linked statically.
fn interpreter(program: &[u8]) -> Result<Option<(usize, String)>, LockdownError> {
    const PT_INTERP: u64 = 3;
    if !program.starts_with(b"\x7fELF\x02") {
        return Err(LockdownError::NotElf);
    }
    let number = |at: usize, size: usize| {
        let octets = program.get(at..at.checked_add(size)?)?;
        let mut all = [0; 8];
        all[..size].copy_from_slice(octets);
        usize::try_from(u64::from_le_bytes(all)).ok()
    };
    let header = |at, size| number(at, size).ok_or(LockdownError::NotElf);
    let (table, size, count) = (header(0x20, 8)?, header(0x36, 2)?, header(0x38, 2)?);
    let entries = (0..count).filter_map(|index| table.checked_add(index.checked_mul(size)?));
    let Some(entry) = entries.into_iter().find(|at| number(*at, 4) == Some(PT_INTERP as usize))
    else {
        return Ok(None);
    };
    let (at, length) = (header(entry + 8, 8)?, header(entry + 32, 8)?);
    let name = at.checked_add(length).and_then(|end| program.get(at..end));
    let name = name.and_then(|name| name.strip_suffix(b"\0")).ok_or(LockdownError::NotElf)?;
    let name = std::str::from_utf8(name).map_err(|_| LockdownError::NotElf)?;
    Ok(Some((at, name.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_names_the_copied_linker_and_nothing_else_changes() {
        let own = fs::read("/proc/self/exe").unwrap();
        let (at, name) = interpreter(&own).unwrap().unwrap();
        assert!(Path::new(&name).is_file());
        let mut copy = own.clone();
        name_linker(&mut copy, at, name.len()).unwrap();
        assert_eq!(copy[at..at + LINKER.len()], *LINKER.as_bytes());
        assert_eq!(copy[..at], own[..at]);
        assert_eq!(copy[at + name.len()..], own[at + name.len()..]);
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        let mut octets = vec![1; 40];
        assert!(matches!(name_linker(&mut octets, 0, 5), Err(LockdownError::Interpreter(5))));
        assert_eq!(octets, vec![1; 40]);
    }

    #[test]
    fn what_is_no_whole_program_is_refused() {
        assert!(matches!(interpreter(b"#!/bin/sh"), Err(LockdownError::NotElf)));
        assert!(matches!(interpreter(b"\x7fELF\x02"), Err(LockdownError::NotElf)));
        let mut own = fs::read("/proc/self/exe").unwrap();
        own.truncate(0x60);
        assert!(interpreter(&own).is_ok_and(|found| found.is_none()));
    }

    #[test]
    fn libraries_are_found_by_the_names_that_are_asked_for() {
        let names: Vec<_> = sys::libraries();
        assert!(names.iter().any(|path| path.ends_with("libc.so.6")), "{names:?}");
        assert!(names.iter().all(|path| path.is_file()), "{names:?}");
    }
}
