//! Job control: when the workload stops, we stop, and the shell that started us sees a stopped job.
//!
//! Not the other way round: were we to stop with the workload at Ctrl-Z, an editor that puts the
//! terminal in order before it stops could not go on to do so. Without a controlling terminal
//! there is no job control, and a workload that someone pauses does not pause us.

use std::io;
use std::thread;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;

use super::signals;

/// Stops us whenever the workload's first process is stopped, until the process ends.
pub(crate) fn follow(workload: Pid) -> io::Result<()> {
    if !has_terminal() {
        return Ok(());
    }
    thread::Builder::new().name("job-control".into()).spawn(move || {
        while let Some(signal) = wait_for_stop(workload) {
            // Who stays with the workload is told that we go on, and continues it.
            if signals::stop_ourselves(signal).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// The signal that stopped the workload; `None` when it has ended.
fn wait_for_stop(workload: Pid) -> Option<Signal> {
    loop {
        match rustix::process::waitid(WaitId::Pid(workload), WaitIdOptions::STOPPED) {
            Ok(Some(status)) => return status.stopping_signal().and_then(Signal::from_named_raw),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn has_terminal() -> bool {
    rustix::fs::open("/dev/tty", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}
