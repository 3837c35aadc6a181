//! Relative links of every Markdown file, and the book's summary.
//!
//! Only what is in the repository is looked at: links that leave it are the reader's to follow.

use anyhow::Context;
use anyhow::Result;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

const BOOK: &str = "docs/book/src";

/// Every dead link and every chapter that the summary does not name.
pub(super) fn faults(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for file in markdown_files(root)? {
        let text = std::fs::read_to_string(root.join(&file))
            .with_context(|| format!("cannot read {}", file.display()))?;
        faults.extend(dead_links(root, &file, &text));
    }
    faults.extend(unlisted_chapters(root)?);
    Ok(faults)
}

/// The repository's Markdown files, as git knows them (so build folders do not count).
fn markdown_files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    let list = String::from_utf8(output.stdout).context("git ls-files")?;
    Ok(list.lines().map(PathBuf::from).filter(|file| root.join(file).is_file()).collect())
}

fn dead_links(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let folder = root.join(file).parent().map(Path::to_path_buf).unwrap_or_default();
    let dead = |target: &&str| !folder.join(target).exists();
    let fault = |target: &str| format!("{}: no such file: {target}", file.display());
    targets(text).into_iter().filter(dead).map(fault).collect()
}

/// Targets of inline links outside code, without their anchors, that name files.
fn targets(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            found.extend(targets_of_line(line));
        }
    }
    found
}

fn targets_of_line(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .collect()
}

fn unlisted_chapters(root: &Path) -> Result<Vec<String>> {
    let summary = std::fs::read_to_string(root.join(BOOK).join("SUMMARY.md"))?;
    let listed = targets(&summary);
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root.join(BOOK))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_chapter = path.extension().is_some_and(|extension| extension == "md");
        if is_chapter && name != "SUMMARY.md" && !listed.contains(&name.as_str()) {
            faults.push(format!("{BOOK}/{name} is not in the summary"));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_file_targets_only() {
        let text = "[a](b.md#c) [d](scheme://host/x) [e](#f)\n```\n[g](h.md)\n```\n[i](j/k.md)";
        assert_eq!(targets(text), ["b.md", "j/k.md"]);
    }

    #[test]
    fn a_dead_link_is_a_fault() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(dead_links(root, Path::new("x.md"), "[a](Cargo.toml) [b](none.md)").len(), 1);
    }
}
