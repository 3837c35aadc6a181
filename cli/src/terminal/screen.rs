//! Whether a message may be written to the terminal now, or would garble what the workload shows.

use std::io;

use rustix::termios::LocalModes;

/// Whether lines can be written to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    /// They can: it is a file, a pipe, a journal, or a terminal that shows lines.
    Free,
    /// A program has put the terminal in raw mode, or its own job in the foreground.
    Taken,
}

/// Looks at stderr.
pub(crate) fn look() -> Screen {
    let terminal = io::stderr();
    let Ok(modes) = rustix::termios::tcgetattr(&terminal) else { return Screen::Free };
    // A terminal that is not our controlling one has no foreground group for us.
    let other_job = rustix::termios::tcgetpgrp(&terminal)
        .is_ok_and(|foreground| foreground != rustix::process::getpgrp());
    let raw = !modes.local_modes.contains(LocalModes::ICANON);
    if raw || other_job { Screen::Taken } else { Screen::Free }
}
