//! `quixote references`: which signed package vouches for which file.

mod capture;
mod ima;
mod parse;
mod parser_model;
mod scan;
mod show;
mod verify;

pub(crate) use parse::FORMATS;
pub(crate) use scan::of_this_system;

use std::io::IsTerminal as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use references::openpgp::Keyring;
use references::problem::NotVouched;
use references::readers::Isolation;

use crate::arguments::references::IsolationChoice;
use crate::arguments::references::ReferencesCommand;
use crate::arguments::references::TrustArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

/// What does not vouch is named up to so many times, then counted.
const NAMED: usize = 20;

pub(crate) fn run(command: &ReferencesCommand) -> Outcome<Status> {
    match command {
        ReferencesCommand::Scan(arguments) => scan::run(arguments),
        ReferencesCommand::Show(arguments) => show::run(arguments),
        ReferencesCommand::Verify(arguments) => verify::run(arguments),
        ReferencesCommand::Capture(arguments) => capture::run(arguments),
        ReferencesCommand::Parse(arguments) => parse::run(arguments),
        ReferencesCommand::ParserModel(arguments) => parser_model::run(arguments),
        ReferencesCommand::Ima { command } => ima::run(command),
    }
}

/// The certificates to judge by: those that are named, or on this very system those that its package manager trusts.
fn keyring(trust: &TrustArguments, root: &Path) -> Outcome<Keyring> {
    let mut keys = Keyring::default();
    for path in &trust.keys {
        let octets = std::fs::read(path).or_fail(path.display())?;
        keys.extend(Keyring::read(&octets).or_fail(path.display())?);
    }
    if trust.keys.is_empty() {
        if root != Path::new("/") {
            let missing = Failure::new("another system's keys are not taken from itself");
            return Err(missing.next("give the keys that you trust: --key FILE"));
        }
        for some in of_apt().chain(of_rpm()) {
            keys.extend(some);
        }
    }
    Ok(keys)
}

/// The certificates that rpm's distributions install for their package managers.
fn of_rpm() -> impl Iterator<Item = Keyring> {
    let entries = std::fs::read_dir("/etc/pki/rpm-gpg").into_iter().flatten().flatten();
    entries.filter_map(|entry| Keyring::read(&std::fs::read(entry.path()).ok()?).ok())
}

/// What apt trusts here. A file that is no keyring is passed over, as apt does.
fn of_apt() -> impl Iterator<Item = Keyring> {
    let folders = ["/etc/apt/trusted.gpg.d", "/etc/apt/keyrings", "/usr/share/keyrings"];
    let archive = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let removed = name.contains("removed");
        let known = path.extension().is_some_and(|kind| kind == "gpg" || kind == "asc");
        known && !removed && path.starts_with("/usr/share") == name.contains("archive-keyring")
            || known && path.starts_with("/etc")
    };
    let entries = folders.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let paths = entries.flatten().flatten().map(|entry| entry.path()).filter(archive);
    paths.filter_map(|path| Keyring::read(&std::fs::read(path).ok()?).ok())
}

fn isolation(trust: &TrustArguments) -> Isolation {
    match trust.isolation {
        IsolationChoice::Signer => Isolation::Signer,
        IsolationChoice::Package => Isolation::Package,
        IsolationChoice::None => Isolation::None,
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Shows how far something is, on a terminal alone.
struct Meter {
    what: &'static str,
    shown: bool,
    tenths: AtomicUsize,
}

impl Meter {
    fn new(what: &'static str) -> Self {
        Self { what, shown: std::io::stderr().is_terminal(), tenths: AtomicUsize::new(usize::MAX) }
    }

    fn tell(&self, done: usize, of: usize) {
        let tenths = done * 1000 / of.max(1);
        if self.shown && self.tenths.swap(tenths, Ordering::Relaxed) != tenths {
            output::note(&format!("\r{} {done} of {of}\x1b[K", self.what));
        }
    }

    fn finish(self) {
        if self.shown {
            output::note("\r\x1b[K");
        }
    }
}

/// Names what does not vouch, on stderr.
fn tell_not_vouched(not: &[NotVouched]) {
    for not in not.iter().take(NAMED) {
        let what = output::styled_for_stderr(output::CAUTION, &output::printable(&not.what));
        output::note(&format!("{what}: {}\n", output::printable(&not.why.to_string())));
    }
    if not.len() > NAMED {
        output::note(&format!("and {} more\n", not.len() - NAMED));
    }
}
