//! What a reviewer should look at first.
//!
//! A finding is no error: a build server does start shells. It names what weakens a model and what
//! would mend it, each kind of finding once, with the places where it was found.

mod checks;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::explain::actor;
use super::phrase::chain_text;
use super::phrase::phrase;
use crate::model_file::model::ModelFile;

/// Places told of one finding; the rest is counted.
const PLACES_MAX: usize = 10;

/// How much it weakens the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The model may not hold what it promises.
    Danger,
    /// To be wanted, or to be mended.
    Warning,
    /// To be known.
    Note,
}

/// Whether the model's signature has been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureStatus {
    /// A pinned key signed it.
    Verified,
    /// It has none, or none that holds.
    Unsigned,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// A stable name for scripts.
    pub code: &'static str,
    /// What it is.
    pub what: &'static str,
    /// What to do.
    pub advice: &'static str,
    /// Where; a long list is cut.
    pub places: Vec<String>,
    /// In how many places.
    pub count: usize,
}

macro_rules! codes {
    ($($code:ident = $name:literal, $severity:ident, $what:literal, $advice:literal;)*) => {
        /// The kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Code {
            $($code,)*
        }

        impl Code {
            fn finding(self, places: Vec<String>) -> Finding {
                let (severity, code, what, advice) = match self {
                    $(Self::$code => (Severity::$severity, $name, $what, $advice),)*
                };
                let count = places.len();
                let places = places.into_iter().take(PLACES_MAX).collect();
                Finding { severity, code, what, advice, places, count }
            }
        }
    };
}

codes! {
    Losses = "losses", Danger,
        "it was learned with lost events, so good behaviour may be missing",
        "learn it again; it cannot be signed";
    KernelDoor = "kernel-door", Danger,
        "a program may use a door into the kernel that reaches past this model",
        "run without it: most programs fall back when it is refused";
    BroadAnyRule = "broad-rule-any", Danger,
        "a rule lets programs reach files of others by any name",
        "name the files, narrow the class, or bind the rule to files that were made in the run";
    AnyNetwork = "network-any", Danger,
        "a program may talk to any address",
        "name the addresses or a narrow network";
    SelfWritten = "written-code", Danger,
        "a file that the workload writes is also executed or mapped as code",
        "keep what is written apart from what is run";
    SharedDirectory = "open-code", Danger,
        "code is run from a directory that everyone may write",
        "install it where only root may write";
    NoDigest = "no-digest", Danger,
        "code is run without a digest of its content, so its content may be exchanged",
        "learn again with the file unchanged during the run";
    WritableExecutable = "writable-executable", Danger,
        "memory may be writable and executable at once",
        "find out which code generator needs it; prefer one that switches";
    PersistentFoothold = "foothold", Danger,
        "a program may write where code is started from later",
        "remove it from the model unless that is its job";
    Outside = "signal-outside", Danger,
        "a program may act on processes outside the namespace",
        "remove it from the model";
    RawSocket = "raw-socket", Danger,
        "a program may use raw or packet sockets",
        "remove it from the model unless that is its job";
    SetuidBit = "setuid-bit", Danger,
        "a program may make a file set-user-id or set-group-id",
        "remove it from the model";
    Unsigned = "unsigned", Warning,
        "no pinned key has signed it",
        "review it, then: quixote model sign";
    OneRun = "one-run", Warning,
        "it was learned from one run, which cannot show what varies",
        "learn over two runs or more";
    Undescribed = "undescribed", Warning,
        "some coefficients have no description and cannot be reviewed",
        "ask for the model with descriptions: the signature is the same";
    BroadMadeRule = "broad-rule-made", Warning,
        "a rule lets programs give any name to what they make",
        "narrow the class, or give the names a prefix";
    BroadNetwork = "network-broad", Warning,
        "an address rule covers a very large network",
        "narrow it";
    WidePorts = "ports-wide", Warning,
        "the ephemeral range holds ports that services listen at",
        "use the kernel's own range: 32768-60999";
    Downgrade = "reference-downgrade", Warning,
        "a reference rule accepts every version of a package, and so an old one with known holes",
        "state the lowest version that may run";
    ExpiredKey = "reference-expired-key", Warning,
        "a reference rule accepts packages by keys that have expired",
        "put the signer's new key in its place";
    Shell = "shell", Warning,
        "a program may start a shell, which can be told to do anything that the model allows a \
         shell",
        "look at what the shell may do";
    Anonymous = "anonymous-code", Warning,
        "memory that is of no file may be made executable",
        "expected of just-in-time compilers only";
    LooseMode = "loose-code", Warning,
        "code is run from a file that others than its owner may write",
        "chmod go-w";
    Tracing = "tracing", Warning,
        "a program may inspect or trace another",
        "expected of debuggers only";
    Namespaces = "namespaces", Warning,
        "a program may make or enter namespaces, mount, or change its root",
        "expected of container tools and sandboxes only";
    Secrets = "secrets", Warning,
        "a program may read secrets of the system or of users",
        "look whether it needs them";
    Interpreter = "interpreter", Note,
        "a program may start an interpreter, which runs what it is given",
        "look at what the interpreter may do";
    Packages = "references", Note,
        "the owners of keys may replace files that programs run, by signed packages",
        "see that each key is the distribution's";
    NewCredentials = "credentials", Note,
        "a program may change its credentials or capabilities",
        "expected of services that drop privileges";
    AllCapabilities = "all-capabilities", Note,
        "a program acts with all capabilities",
        "give the service only those that it needs";
    Accepted = "accepted", Note,
        "events were accepted from forensics rather than learned",
        "learn again when the tests cover them";
    Superseded = "superseded", Note,
        "events are in the model under names that a rule has replaced; they cannot occur any more",
        "learn again to drop them";
}

/// Looks a model over; the worst first.
pub fn lint(model: &ModelFile, signature: SignatureStatus) -> Vec<Finding> {
    let mut found: BTreeMap<Code, Vec<String>> = BTreeMap::new();
    let whole = checks::of_model(model, signature);
    for (code, place) in whole.into_iter().chain(of_entries(model)) {
        let places = found.entry(code).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let findings = found.into_iter().map(|(code, places)| code.finding(places));
    let mut findings: Vec<Finding> = findings.collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn of_entries(model: &ModelFile) -> Vec<(Code, String)> {
    let written = checks::written_paths(model);
    let mut found = Vec::new();
    for (_, described) in model.described() {
        let codes = checks::of_entry(model, described, &written);
        if codes.is_empty() {
            continue;
        }
        let chain = chain_text(model, &actor(described));
        let place = format!("{chain}: {}", phrase(model, &described.cell));
        found.extend(codes.into_iter().map(|code| (code, place.clone())));
    }
    found
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Danger => "danger",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        writeln!(f, "{severity}[{}]: {}", self.code, self.what)?;
        self.places.iter().try_for_each(|place| writeln!(f, "    {place}"))?;
        if self.count > self.places.len() {
            writeln!(f, "    and {} more", self.count - self.places.len())?;
        }
        writeln!(f, "  help: {}", self.advice)
    }
}

#[cfg(test)]
mod tests;
