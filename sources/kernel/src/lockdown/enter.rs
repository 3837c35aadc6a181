//! Under a lockdown a command goes on as the recorded copy of itself, which alone may reach the programs.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::copies;
use crate::sys;

const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";
/// What that variable was outside; the workload gets it back.
const OUTER_LIBRARY_PATH: &str = "QUIXOTE_OUTER_LIBRARY_PATH";
/// The program that went on as the copy.
const OUTER_PROGRAM: &str = "QUIXOTE_OUTER_PROGRAM";
static OUTER: OnceLock<PathBuf> = OnceLock::new();

/// Executes the copy in place of this program, where a lockdown is on with its set of programs and this is not the copy.
/// Otherwise returns.
///
/// To be called before there is a second thread: it changes the environment.
///
/// # Errors
///
/// If the copy cannot be executed.
pub fn enter() -> io::Result<()> {
    if std::fs::read_link("/proc/self/exe")? == Path::new(copies::PROGRAM) {
        settle_in();
        return Ok(());
    }
    if !super::is_own() || !sys::is_root() {
        return Ok(());
    }
    let mut words = std::env::args_os();
    let mut command = Command::new(copies::PROGRAM);
    command.arg0(words.next().unwrap_or_else(|| OsString::from("quixote")));
    command.args(words).env(LIBRARY_PATH, copies::DIRECTORY);
    command.env(OUTER_PROGRAM, std::env::current_exe()?);
    if let Some(outer) = std::env::var_os(LIBRARY_PATH) {
        command.env(OUTER_LIBRARY_PATH, outer);
    }
    Err(command.exec())
}

/// The program as the user knows it, also where the copy acts in its place.
///
/// It is the word of whoever started it.
///
/// # Errors
///
/// `/proc` does not tell.
pub fn outer_program() -> io::Result<PathBuf> {
    OUTER.get().cloned().map_or_else(std::env::current_exe, Ok)
}

/// Leaves no trace of the copy in what the workload inherits, and none of our memory in a core dump.
fn settle_in() {
    let outer = std::env::var_os(OUTER_LIBRARY_PATH);
    sys::set_variable(LIBRARY_PATH, outer.as_deref());
    sys::set_variable(OUTER_LIBRARY_PATH, None);
    if let Some(program) = std::env::var_os(OUTER_PROGRAM) {
        let _ = OUTER.set(program.into());
        sys::set_variable(OUTER_PROGRAM, None);
    }
    sys::forbid_dumps();
}
