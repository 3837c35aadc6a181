//! Whether a message may be written to the terminal now, or would garble what the workload shows.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::termios::LocalModes;

/// Whether lines can be written to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    /// They can: it is a file, a pipe, a journal, or a terminal that shows lines.
    Free,
    /// A program has put the terminal in raw mode, or its own job in the foreground; or nobody reads what was
    /// written.
    Taken,
}

/// Looks at stderr.
pub(crate) fn look() -> Screen {
    let terminal = io::stderr();
    if !takes_more(terminal.as_fd()) {
        return Screen::Taken;
    }
    let Ok(modes) = rustix::termios::tcgetattr(&terminal) else { return Screen::Free };
    // A terminal that is not our controlling one has no foreground group for us.
    let other_job = rustix::termios::tcgetpgrp(&terminal)
        .is_ok_and(|foreground| foreground != rustix::process::getpgrp());
    let raw = !modes.local_modes.contains(LocalModes::ICANON);
    if raw || other_job { Screen::Taken } else { Screen::Free }
}

/// Whether a line would be taken now. The one who would write it has the workload's signals to pass on meanwhile.
fn takes_more(output: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(output, PollFlags::OUT)];
    rustix::event::poll(&mut polled, Some(&Timespec::default())).is_err()
        || !polled[0].revents().is_empty()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_takes_no_more() {
        let (_reader, mut writer) = io::pipe().unwrap();
        assert!(takes_more(writer.as_fd()));
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        while writer.write(&[0; 4096]).is_ok() {}
        assert!(!takes_more(writer.as_fd()));
        assert!(takes_more(std::fs::File::open("/dev/null").unwrap().as_fd()));
    }
}
