//! `quixote references parse`: what the isolated parser says of its input, which nobody has verified.

use std::fmt::Write as _;
use std::io::Write as _;

use references::readers::Domain;
use references::readers::Readers;
use references::reference_formats::Job;
use references::reference_formats::Statement;
use serde_json::Value;
use serde_json::json;

use crate::arguments::references::ParseArguments;
use crate::exit::Status;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &ParseArguments) -> Outcome<Status> {
    let mut lines = Vec::new();
    let mut readers = Readers::default();
    let mut input = std::io::stdin().lock();
    readers
        .ask(Domain::Unverified, arguments.format, &mut input, &mut |said| {
            lines.push(if arguments.json { to_json(said).to_string() } else { to_text(said) });
            Ok(())
        })
        .or_fail("the standard input")?;
    // Only now: what a parser said counts when it said that it is done.
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(Status::SUCCESS)
}

/// What the parser reads, by its name on the command line.
pub(crate) const FORMATS: [(&str, Job); Job::ALL.len()] = [
    ("rpm-signatures", Job::RpmSignatures),
    ("rpm-header", Job::RpmHeader),
    ("rpm-database", Job::RpmDatabase),
    ("clear-signed", Job::ClearSigned),
    ("detached", Job::Detached),
    ("release", Job::Release),
    ("packages", Job::Packages),
    ("deb", Job::Deb),
    ("list", Job::List),
    ("expand", Job::Expand),
    ("oci-document", Job::OciDocument),
    ("oci-config", Job::OciConfig),
    ("oci-layer", Job::OciLayer),
    ("arch", Job::Arch),
    ("mtree", Job::Mtree),
    ("apk-parts", Job::ApkParts),
    ("apk-control", Job::ApkControl),
    ("apk-data", Job::ApkData),
    ("spdx", Job::Spdx),
    ("cyclonedx", Job::CycloneDx),
    ("oci-archive", Job::OciArchive),
    ("pacman-desc", Job::PacmanDesc),
    ("bundle", Job::Bundle),
    ("subjects", Job::Subjects),
    ("simple-signing", Job::SimpleSigning),
];

/// Octets as text where they are, else as digits.
fn octets(octets: &[u8]) -> Value {
    match std::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": ima_format::hex(octets) }),
    }
}

fn to_json(said: &Statement<'_>) -> Value {
    match said {
        Statement::Package { name, version, arch } => json!({
            "package": octets(name), "version": octets(version), "arch": octets(arch),
        }),
        Statement::File(file) => json!({
            "file": octets(file.path), "algorithm": file.algorithm,
            "digest": ima_format::hex(file.digest), "mode": file.mode, "size": file.size, "flags": file.flags,
        }),
        Statement::Other { path, target } => {
            json!({ "other": octets(path), "target": octets(target) })
        }
        Statement::Removed { path } => json!({ "removed": octets(path) }),
        Statement::Opaque { path } => json!({ "opaque": octets(path) }),
        Statement::Octets { part, octets } => {
            json!({ "part": format!("{part:?}").to_lowercase(), "hex": ima_format::hex(octets) })
        }
        Statement::Fact { name, value } => {
            json!({ "fact": octets(name), "value": octets(value) })
        }
        Statement::Entry(entry) => json!({
            "entry": octets(entry.name), "version": octets(entry.version), "arch": octets(entry.arch),
            "place": octets(entry.place), "algorithm": entry.algorithm,
            "digest": ima_format::hex(entry.digest), "size": entry.size,
        }),
        Statement::Ready { .. } | Statement::Done | Statement::Refused(_) => Value::Null,
    }
}

/// As `name value` in one line, what is empty left out.
fn to_text(said: &Statement<'_>) -> String {
    let mut text = String::new();
    for (name, value) in to_json(said).as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => continue,
            Value::String(value) if value.is_empty() => continue,
            Value::String(value) => value.clone(),
            value => value.to_string(),
        };
        let _ = write!(text, "{name} {}  ", output::printable(&value));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_name() {
        for job in Job::ALL {
            assert_eq!(FORMATS.iter().filter(|row| row.1 == *job).count(), 1, "{job:?}");
        }
        let names: std::collections::BTreeSet<&str> = FORMATS.iter().map(|row| row.0).collect();
        assert_eq!(names.len(), FORMATS.len());
    }
}
