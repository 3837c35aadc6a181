//! `cargo xtask demo`: the main job, on a real nginx, with an attack that works without us.
//!
//! nginx serves a folder; a visitor reads it. Two runs are learned, the model is signed with a
//! fresh key and verified, and the service runs enforced. Then an attacker who can write to the served
//! folder plants a symlink to a private file. Bare, nginx hands the file out; enforced, the open is
//! denied before it happens, and the service goes on serving what it always served.

mod service;
mod transcript;

use crate::process;
use crate::repository::Repository;
use crate::setup;
use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;
use service::Site;
use std::process::Command;
use std::time::Duration;
use transcript::Transcript;
use transcript::say;

const BUILD_LIMIT: Duration = Duration::from_secs(900);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
const SECRET: &str = "alice,4111-1111-1111-1111";

/// Runs the demonstration; anything that is not as it should be is an error.
pub(crate) fn run(repository: &Repository) -> Result<()> {
    setup::ensure(repository)?;
    build(repository)?;
    let site = Site::make(repository, SECRET)?;
    let transcript = Transcript::new(repository, &site);
    without_us(&site, &transcript)?;
    learn(&site, &transcript)?;
    sign(&transcript)?;
    enforce(&site, &transcript)
}

fn build(repository: &Repository) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", "quixote"]).current_dir(repository.root());
    process::run(&mut cargo, BUILD_LIMIT)
}

fn without_us(site: &Site, transcript: &Transcript) -> Result<()> {
    say("Without quixote: an attacker plants a symlink, nginx hands out a private file");
    let nginx = transcript.start(&site.nginx_command())?;
    site.plant_symlink()?;
    let page = transcript.fetch("/offers.html")?;
    ensure!(page.body.contains(SECRET), "the attack must work without us, or it shows nothing");
    nginx.stop()?;
    site.remove_symlink()
}

fn learn(site: &Site, transcript: &Transcript) -> Result<()> {
    say("Learn: two runs of the service, used as its visitors use it");
    for _ in 0..2 {
        let options = ["learn", "-o", "nginx.model", "--runs", "1", "--accept-rules", "all"];
        let nginx = transcript.start(&site.under_quixote(&options))?;
        visit(transcript)?;
        nginx.stop()?;
    }
    Ok(())
}

fn sign(transcript: &Transcript) -> Result<()> {
    say("Review: what does the model allow? Then sign it with a key that we pin");
    transcript.quixote(&["model", "explain", "nginx.model"])?;
    transcript.quixote(&["model", "keygen", "-o", "reviewer.key", "--trust", "trust"])?;
    transcript.quixote(&["model", "sign", "--key", "reviewer.key", "nginx.model"])?;
    transcript.quixote(&["model", "verify", "--trust", "trust", "nginx.model"])
}

fn enforce(site: &Site, transcript: &Transcript) -> Result<()> {
    say("Enforce: the service does its work, nothing is denied");
    let options = [
        "enforce",
        "--json",
        "--name",
        "demo",
        "--on-violation",
        "deny",
        "--trust",
        "trust",
        "nginx.model",
    ];
    let nginx = transcript.start(&site.under_quixote(&options))?;
    visit(transcript)?;

    say("The same attack again: the open is denied before it happens");
    site.plant_symlink()?;
    let page = transcript.fetch("/offers.html")?;
    ensure!(!page.body.contains(SECRET), "the private file was handed out under enforcement");
    ensure!(page.status == "500", "nginx answered {} instead of 500", page.status);
    site.remove_symlink()?;

    say("The service goes on, and the attempt is on record");
    visit(transcript)?;
    let output = nginx.stop()?;
    transcript.quixote(&["show", "demo", "forensics"])?;
    check_summary(&output)?;
    say("Done: learned, signed, enforced; the attack was stopped before its effect");
    Ok(())
}

fn visit(transcript: &Transcript) -> Result<()> {
    let found = transcript.fetch("/")?;
    ensure!(found.status == "200", "the page answered {}", found.status);
    ensure!(found.body.contains("Welcome"), "the page is not the page: {}", found.body);
    let missing = transcript.fetch("/no-such-page.html")?;
    ensure!(missing.status == "404", "a missing page answered {}", missing.status);
    Ok(())
}

fn check_summary(output: &str) -> Result<()> {
    let summary = last_object(output);
    let count = |name: &str| summary["counts"][name].as_u64();
    ensure!(count("losses") == Some(0), "events were lost: {summary}");
    ensure!(count("violations").is_some_and(|n| n > 0), "no violation was counted: {summary}");
    ensure!(summary["state"].is_string(), "the run has no state: {summary}");
    Ok(())
}

/// The last line that is a JSON object, which ends every run under `--json`; null without one.
pub(crate) fn last_object(output: &str) -> Value {
    let objects = output.lines().rev().filter_map(|line| serde_json::from_str(line).ok());
    objects.into_iter().find(Value::is_object).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_violation_or_with_losses_is_refused() {
        let line = |violations: u32, losses: u32| {
            format!(
                "noise\n{{\"state\":\"00\",\"counts\":{{\"violations\":{violations},\"losses\":{losses}}}}}\n"
            )
        };
        assert!(check_summary(&line(1, 0)).is_ok());
        assert!(check_summary(&line(0, 0)).is_err());
        assert!(check_summary(&line(1, 2)).is_err());
        assert!(check_summary("nothing at all\n").is_err());
    }
}
