//! Runs the commands of a chapter of the book as a reader would.
//!
//! Fenced blocks marked `sh quixote-test` are joined, in order, into one shell script that runs in an
//! empty folder with the release build, or $QUIXOTE, first on PATH. Any command that fails fails the chapter;
//! a line that ends in `# exit N` must end with just that status.

use crate::process;
use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MARK: &str = "```sh quixote-test";
const LIMIT: Duration = Duration::from_secs(150);

/// Runs a chapter.
pub(crate) fn run(repository: &Repository, chapter: &Path) -> Result<()> {
    let chapter = repository.root().join(chapter);
    let text = std::fs::read_to_string(&chapter)
        .with_context(|| format!("cannot read {}", chapter.display()))?;
    let commands = marked_lines(&text);
    ensure!(!commands.is_empty(), "{} has no block marked {MARK}", chapter.display());
    let folder = repository.fresh_folder("tutorial")?;
    std::fs::write(folder.join("tutorial.sh"), script(&commands))?;
    let mut shell = Command::new("bash");
    shell
        .args(["-x", "tutorial.sh"])
        .env("PATH", path_with(repository)?)
        .env("HOME", &folder)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_RUNTIME_DIR")
        .current_dir(&folder);
    process::run(&mut shell, LIMIT)?;
    println!("tutorial: {} lines ran as written", commands.len());
    Ok(())
}

fn path_with(repository: &Repository) -> Result<std::ffi::OsString> {
    let quixote = match env::var_os("QUIXOTE") {
        Some(named) => repository.root().join(named),
        None => repository.quixote(),
    };
    ensure!(quixote.is_file(), "{} is not built", quixote.display());
    let own = quixote.parent().context("no folder")?.to_path_buf();
    let rest = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(own).chain(env::split_paths(&rest));
    env::join_paths(folders).context("PATH")
}

fn marked_lines(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if inside && line.starts_with("```") {
            inside = false;
        } else if inside {
            lines.push(line);
        } else if line.trim_end() == MARK {
            inside = true;
        }
    }
    lines
}

fn script(lines: &[&str]) -> String {
    let mut script = String::from("set -euo pipefail\n");
    for line in lines {
        script.push_str(&script_line(line));
        script.push('\n');
    }
    script
}

fn script_line(line: &str) -> String {
    match line.rsplit_once("# exit ") {
        Some((command, status)) if status.trim().parse::<u8>().is_ok() => {
            let status = status.trim();
            let command = command.trim_end();
            format!("status=0; {command} || status=$?; test \"$status\" -eq {status}")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_blocks_are_run() {
        let text = "a\n```sh\nrm -rf x\n```\n```sh quixote-test\ntrue\nfalse # exit 1\n```\nb\n";
        assert_eq!(marked_lines(text), ["true", "false # exit 1"]);
    }

    #[test]
    fn an_expected_status_is_demanded() {
        let status = |line: &str| {
            let script = script(&[line]);
            Command::new("bash").args(["-c", &script]).status().unwrap().success()
        };
        assert!(status("true"));
        assert!(!status("false"));
        assert!(status("false # exit 1"));
        assert!(!status("true # exit 1"));
        assert!(!status("sh -c 'exit 3' # exit 4"));
    }
}
