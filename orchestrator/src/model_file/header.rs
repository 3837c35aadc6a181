//! A model's header: what it is of, where it was learned, and the rules that formed it.
//!
//! The canonical header is this text, line by line in this order; its SHA-256 is what a signature
//! binds beside the state. So a rule cannot be added, widened or dropped behind a signature.

use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;
use serde::Serializer;
use serde::ser::SerializeStruct as _;
use tsem::Digest;
use tsem::Platform;
use tsem::Profile;
use tsem::RuleError;
use tsem::Rules;

/// The version of the file format that this code writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// The most rules that a model may have.
pub const RULES_MAX: usize = 4096;
const WORKLOAD_MAX: usize = 64;
const WITHOUT_HOOKS: &str = " without hooks ";

/// The name of a workload: what models, serial numbers and restrictions of keys go by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Workload(String);

/// A text that cannot be a workload's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a workload's name has 1 to {WORKLOAD_MAX} letters, digits and '._+@-' and begins with a \
     letter or digit"
)]
pub struct WorkloadError;

impl Workload {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, WorkloadError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._+@-".contains(c);
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if first && text.len() <= WORKLOAD_MAX && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(WorkloadError)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a model says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is a model of.
    pub workload: Workload,
    /// Grows with every model of the workload.
    pub serial: u64,
    /// Nonce and platform aggregate that the state is taken with.
    pub platform: Platform,
    /// `portable` or `kernel`: where the events came from.
    pub source: String,
    /// Runs it was learned over.
    pub runs: u32,
    /// Events seen in all of them.
    pub events: u64,
    /// Events that could not be judged; a model with any cannot be signed.
    pub losses: u64,
    /// The program and version that wrote it.
    pub created_by: String,
    /// What it was learned on, for the reader; no part of the state.
    pub learned_on: String,
    /// The rules, and within them the profile.
    pub rules: Rules,
}

/// What is wrong with a line of the header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The first line is not the format's.
    #[error("this is no model: the first line is not 'quixote-model {FORMAT_VERSION}'")]
    NotAModel,
    /// A later or earlier format.
    #[error(
        "the model has format version {0}, this program reads {FORMAT_VERSION}; use the version \
         of quixote that wrote it"
    )]
    Version(u32),
    /// A line is missing or out of order.
    #[error("here must stand '{0}'")]
    Expected(&'static str),
    /// The value is not one that the line may have.
    #[error("'{0}' has a value that it cannot have")]
    BadValue(&'static str),
    /// The workload's name.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// Not a rule.
    #[error("{0}")]
    Rule(RuleError),
    /// Rules twice or not in their order.
    #[error("rules stand once each, sorted: ephemeral, name, digest, address, reference")]
    RuleOrder,
    /// Too many rules.
    #[error("a model has at most {RULES_MAX} rules")]
    TooManyRules,
}

impl From<RuleError> for HeaderError {
    fn from(error: RuleError) -> Self {
        Self::Rule(error)
    }
}

impl Header {
    /// The canonical text: what is signed.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        let platform = &self.platform;
        let lines = [
            ("quixote-model", FORMAT_VERSION.to_string()),
            ("workload", self.workload.to_string()),
            ("profile", self.rules.profile.name().into()),
            ("hash", "sha256".into()),
            ("serial", self.serial.to_string()),
            ("aggregate", digest_or_none(platform.aggregate)),
            ("base", digest_or_none(platform.base)),
            ("source", printable(&self.source)),
            ("runs", self.runs.to_string()),
            ("events", self.events.to_string()),
            ("losses", self.losses.to_string()),
            ("created-by", printable(&self.created_by)),
            ("learned-on", printable(&self.learned_on)),
        ];
        for (name, value) in lines {
            let _ = writeln!(out, "{name} {value}");
        }
        for rule in rule_lines(&self.rules) {
            let _ = writeln!(out, "rule {rule}");
        }
        out
    }

    /// HF of the canonical text.
    pub fn digest(&self) -> Digest {
        Digest::of(&[self.canonical().as_bytes()])
    }

    /// The events that no run could hold, since the kernel lacked their hooks: the end of the line
    /// `learned-on`.
    pub fn unlearned_hooks(&self) -> Vec<String> {
        let names = self.learned_on.split_once(WITHOUT_HOOKS).map(|(_, names)| names);
        names.into_iter().flat_map(|names| names.split(',')).map(Into::into).collect()
    }

    /// Says which events no run could hold.
    pub fn set_unlearned_hooks(&mut self, names: &[String]) {
        if let Some(at) = self.learned_on.find(WITHOUT_HOOKS) {
            self.learned_on.truncate(at);
        }
        if !names.is_empty() {
            self.learned_on = format!("{}{WITHOUT_HOOKS}{}", self.learned_on, names.join(","));
        }
    }

    /// Reads the header's lines; on an error says which of them, counted from 0.
    pub fn parse(lines: &[&str]) -> Result<Self, (usize, HeaderError)> {
        let mut reader = Reader { lines, at: 0 };
        let header = reader.header();
        header.map_err(|error| (reader.at.saturating_sub(1), error))
    }
}

/// Reads line after line, each with the name that must stand there.
struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Result<Header, HeaderError> {
        self.version()?;
        let workload = Workload::parse(self.value("workload")?)?;
        let profile = self.parsed("profile", profile_from_name)?;
        self.parsed("hash", |text| (text == "sha256").then_some(()))?;
        let serial = self.number("serial")?;
        let aggregate = self.parsed("aggregate", parse_digest_or_none)?;
        let base = self.parsed("base", parse_digest_or_none)?;
        let source = self.value("source")?.into();
        let runs = self.parsed("runs", canonical_number)?;
        let events = self.number("events")?;
        let losses = self.number("losses")?;
        let created_by = self.value("created-by")?.into();
        let learned_on = self.value("learned-on")?.into();
        let rules = self.rules(profile)?;
        let platform = Platform { base, aggregate };
        Ok(Header {
            workload,
            serial,
            platform,
            source,
            runs,
            events,
            losses,
            created_by,
            learned_on,
            rules,
        })
    }

    fn version(&mut self) -> Result<(), HeaderError> {
        let value = self.value("quixote-model").map_err(|_| HeaderError::NotAModel)?;
        let version = canonical_number(value).ok_or(HeaderError::NotAModel)?;
        if version == FORMAT_VERSION { Ok(()) } else { Err(HeaderError::Version(version)) }
    }

    fn value(&mut self, name: &'static str) -> Result<&'a str, HeaderError> {
        let line = self.lines.get(self.at).ok_or(HeaderError::Expected(name))?;
        self.at += 1;
        line.strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or(HeaderError::Expected(name))
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, HeaderError> {
        parse(self.value(name)?).ok_or(HeaderError::BadValue(name))
    }

    fn number(&mut self, name: &'static str) -> Result<u64, HeaderError> {
        self.parsed(name, canonical_number)
    }

    fn rules(&mut self, profile: Profile) -> Result<Rules, HeaderError> {
        let mut rules = Rules { profile, ..Rules::default() };
        let first = self.at;
        if self.lines.len() - first > RULES_MAX {
            return Err(HeaderError::TooManyRules);
        }
        while self.at < self.lines.len() {
            let text = self.value("rule")?;
            if self.at - first == 1 && !text.starts_with("ephemeral ") {
                return Err(HeaderError::RuleOrder);
            }
            add_rule(&mut rules, text)?;
        }
        let canonical = rule_lines(&rules);
        let stood = self.lines[first..].iter().filter_map(|line| line.strip_prefix("rule "));
        if stood.eq(canonical.iter().map(String::as_str)) {
            Ok(rules)
        } else {
            Err(HeaderError::RuleOrder)
        }
    }
}

/// The profile of a name; `guard` is no profile of a model.
pub fn profile_from_name(name: &str) -> Option<Profile> {
    Profile::from_name(name)
}

/// The rules as they stand in the file, without the word `rule`, sorted.
pub fn rule_lines(rules: &Rules) -> Vec<String> {
    rules.lines()
}

/// Adds one rule in its text form, as a file or a user gives it.
pub fn add_rule(rules: &mut Rules, text: &str) -> Result<(), HeaderError> {
    Ok(rules.add_line(text)?)
}

/// A number in the one way that this format writes it: no sign, no leading zeros.
pub(super) fn canonical_number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| number.to_string() == text)
}

fn digest_or_none(digest: Digest) -> String {
    if digest.is_zero() { "none".into() } else { digest.to_hex() }
}

fn parse_digest_or_none(text: &str) -> Option<Digest> {
    if text == "none" {
        return Some(Digest::ZERO);
    }
    Digest::from_hex(text).filter(|digest| !digest.is_zero() && digest.to_hex() == text)
}

/// One printable line, whatever was given: a header cannot be broken by what stands in it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).take(200).collect()
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Header", 13)?;
        out.serialize_field("workload", &self.workload)?;
        out.serialize_field("profile", self.rules.profile.name())?;
        out.serialize_field("hash", "sha256")?;
        out.serialize_field("serial", &self.serial)?;
        out.serialize_field("aggregate", &self.platform.aggregate.to_hex())?;
        out.serialize_field("base", &self.platform.base.to_hex())?;
        out.serialize_field("source", &self.source)?;
        out.serialize_field("runs", &self.runs)?;
        out.serialize_field("events", &self.events)?;
        out.serialize_field("losses", &self.losses)?;
        out.serialize_field("created_by", &self.created_by)?;
        out.serialize_field("learned_on", &self.learned_on)?;
        out.serialize_field("rules", &rule_lines(&self.rules))?;
        out.end()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn hooks_that_were_missing_survive_the_text() {
        let mut header = header();
        assert!(header.unlearned_hooks().is_empty());
        let names = ["file_truncate".to_owned(), "capget".to_owned()];
        header.set_unlearned_hooks(&names);
        let text = header.canonical();
        let lines: Vec<&str> = text.lines().collect();
        let mut read = Header::parse(&lines).unwrap();
        assert_eq!(read.unlearned_hooks(), names);
        read.set_unlearned_hooks(&names[1..]);
        assert_eq!(read.unlearned_hooks(), names[1..]);
        read.set_unlearned_hooks(&[]);
        assert_eq!(read.learned_on, "linux x86_64");
    }

    pub(crate) fn header() -> Header {
        let mut rules = Rules::default();
        for rule in [
            "name /tmp/cc{alnum:6}.s made",
            "name /var/\\{x\\}/{digits} any",
            "digest /etc/nginx",
            "address 10.0.0.0/9 443",
            "address fd00::/8 *",
            "reference deb nginx amd64 1.22.1-9 9fed,ed25519:0f expired-refused",
            "reference rpm zlib x86_64 * 9fed expired-accepted",
        ] {
            add_rule(&mut rules, rule).unwrap();
        }
        Header {
            workload: Workload::parse("nginx").unwrap(),
            serial: 7,
            platform: Platform { base: Digest::ZERO, aggregate: Digest([3; 32]) },
            source: "portable".into(),
            runs: 3,
            events: 1000,
            losses: 0,
            created_by: "quixote 0.1.0".into(),
            learned_on: "linux x86_64".into(),
            rules,
        }
    }

    #[test]
    fn a_header_survives_its_text() {
        let header = header();
        let text = header.canonical();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(Header::parse(&lines).unwrap(), header);
        assert!(text.contains("\nrule address 10.0.0.0/9 443\n"), "{text}");
    }

    #[test]
    fn every_line_counts_for_the_digest_and_none_can_be_left_out() {
        let header = header();
        let text = header.canonical();
        let lines: Vec<&str> = text.lines().collect();
        for left_out in 0..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(left_out);
            match Header::parse(&fewer) {
                Ok(other) => assert_ne!(other.digest(), header.digest()),
                Err((line, _)) => assert!(line <= lines.len()),
            }
        }
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let text = header().canonical();
        for (from, to) in [
            ("quixote-model 1", "quixote-model 2"),
            ("serial 7", "serial 07"),
            ("serial 7", "serial -7"),
            ("profile core", "profile guard"),
            ("hash sha256", "hash md5"),
            ("workload nginx", "workload ../nginx"),
            ("10.0.0.0/9", "10.1.0.0/9"),
            ("fd00::/8", "fd00:0::/8"),
            ("ephemeral 32768-60999", "ephemeral 2-1"),
            ("rule digest", "rule address 1.0.0.0/8 *\nrule digest"),
            (" made", " both"),
            ("9fed,ed25519:0f", "ed25519:0f,9fed"),
            ("9fed,ed25519:0f", "9fed,9fed"),
            ("expired-refused", "expired"),
            ("amd64 1.22.1-9", "amd64"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            let lines: Vec<&str> = changed.lines().collect();
            assert!(Header::parse(&lines).is_err(), "{to}");
        }
    }

    #[test]
    fn text_cannot_break_out_of_its_line() {
        let mut header = header();
        header.created_by = "x\nlosses 0".into();
        let text = header.canonical();
        assert!(text.contains("created-by x?losses 0\n"), "{text}");
    }
}
