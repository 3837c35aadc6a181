//! `cargo xtask docs`: documents that follow from code, and the links between all of them.
//!
//! What is generated is printed by the crate that owns its source (an example of core); it
//! replaces its page from its own first heading on, and what stands before is kept. `--check` writes nothing and also fails on a dead relative link, on a chapter
//! missing from the summary, and on a test named in SECURITY.md or docs/known-holes.md that no
//! source file has.

mod links;
mod named_tests;

use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use std::path::Path;
use std::process::Command;

/// A document and the example that prints it.
struct Generated {
    path: &'static str,
    example: &'static str,
}

const GENERATED: &[Generated] =
    &[Generated { path: "docs/spec/01-events.md", example: "event_table_doc" }];

/// Documents whose tables name the test that holds each row.
const TABLES: &[&str] = &["SECURITY.md", "docs/known-holes.md"];

/// Writes generated documents, or checks all of them.
pub(crate) fn run(repository: &Repository, check: bool) -> Result<()> {
    for document in GENERATED {
        let text = generate(repository, document)?;
        settle(&repository.path(document.path), &text, check)?;
    }
    if check {
        let mut faults = links::faults(repository.root())?;
        faults.extend(named_tests::faults(repository.root(), TABLES)?);
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        println!("docs: up to date, links and named tests exist");
    }
    Ok(())
}

fn generate(repository: &Repository, document: &Generated) -> Result<String> {
    // As the workspace's tests build it: nothing is built twice.
    let build =
        ["build", "--quiet", "--workspace", "--all-features", "--example", document.example];
    let built = Command::new("cargo").args(build).current_dir(repository.root()).status();
    ensure!(built.context("cargo")?.success(), "{} is not built", document.example);
    let example = repository.development_build("examples").join(document.example);
    let output = Command::new(&example).output().with_context(|| example.display().to_string())?;
    if !output.status.success() {
        bail!("{}: {}", document.path, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).context(document.path)
}

fn settle(path: &Path, text: &str, check: bool) -> Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let kept = before_generated(&page, text).with_context(|| path.display().to_string())?;
    let wanted = format!("{kept}{text}");
    if page == wanted {
        return Ok(());
    }
    ensure!(!check, "{} is out of date; run `cargo xtask docs`", path.display());
    std::fs::write(path, wanted).with_context(|| format!("cannot write {}", path.display()))?;
    println!("docs: wrote {}", path.display());
    Ok(())
}

/// What stands on the page before the first heading of what is generated.
fn before_generated<'a>(page: &'a str, generated: &str) -> Result<&'a str> {
    let heading = generated.lines().next().context("nothing was generated")?;
    ensure!(heading.starts_with('#'), "what is generated must begin with a heading");
    let start = page.find(&format!("\n{heading}\n")).context("the heading is not on the page")?;
    Ok(&page[..=start])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_is_kept() {
        let page = "# Page\ntext\n## 2. Table\nold\n";
        assert_eq!(before_generated(page, "## 2. Table\nnew\n").unwrap(), "# Page\ntext\n");
        assert!(before_generated(page, "## 3. Other\nnew\n").is_err());
        assert!(before_generated(page, "").is_err());
    }
}
