//! Every test that a table names must be in the sources.
//!
//! A claim with a test that was renamed or removed is no longer held by anything; so a row is
//! checked by looking for the test's name among the repository's Rust functions and scripts.

use anyhow::Context;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

const MARK: &str = "`test:";
const RACES: &str = "conformance/races/races.json";

/// Every named test that does not exist, with the document that names it.
pub(super) fn faults(root: &Path, documents: &[&str]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(root.join(document))
            .with_context(|| format!("cannot read {document}"))?;
        for name in names(&text) {
            if !exists(root, name)? {
                faults.push(format!("{document}: no test is named {name}"));
            }
        }
    }
    Ok(faults)
}

/// The names in "`test:NAME`".
fn names(text: &str) -> Vec<&str> {
    text.split(MARK)
        .skip(1)
        .filter_map(|rest| rest.split_once('`'))
        .map(|(n, _)| n.trim())
        .collect()
}

/// A test is a function of that name (`fn NAME(` or a shell's `NAME()`), an attack of that name in
/// the attacks' table, a race as `PROGRAM/CASE` in the races' table, or a script of that name.
fn exists(root: &Path, name: &str) -> Result<bool> {
    if let Some((program, case)) = name.split_once('/') {
        return race_exists(root, program, case);
    }
    let function = name.rsplit("::").next().unwrap_or(name);
    let pattern = format!(r#"(fn {function}(<[A-Z]>)?\(|^{function} ?\(\)|"name": "{function}")"#);
    let grep = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(root).args(arguments).output().context("git")
    };
    let found = grep(&[
        "grep",
        "--untracked",
        "-qE",
        &pattern,
        "--",
        "*.rs",
        "*.sh",
        "*.py",
        "*/attacks.json",
    ])?;
    if found.status.success() {
        return Ok(true);
    }
    let script = format!("conformance/**/{name}.*");
    let listed = grep(&["ls-files", "--cached", "--others", "--", &format!(":(glob){script}")])?;
    Ok(!listed.stdout.is_empty())
}

fn race_exists(root: &Path, program: &str, case: &str) -> Result<bool> {
    let races = std::fs::read_to_string(root.join(RACES)).context(RACES)?;
    Ok(races.contains(&format!(r#""program": "{program}", "case": "{case}","#)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names() {
        assert_eq!(names("| x | `test:a_b` and `test:c::d` |"), ["a_b", "c::d"]);
    }

    #[test]
    fn a_test_is_found_and_an_invented_one_is_not() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(exists(root, "a_test_is_found_and_an_invented_one_is_not").unwrap());
        let invented = ["no_test", "has_this_name"].join("_");
        assert!(!exists(root, &invented).unwrap());
        assert!(exists(root, "swap_fd/mmap").unwrap());
        assert!(!exists(root, "swap_fd/map").unwrap());
    }
}
