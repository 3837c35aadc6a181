//! Runs the demonstration's commands and prints them as a reader would type them.
//!
//! Keys and records go below the demonstration's folder, so that nothing of the user's is touched.

use super::service::Site;
use crate::process;
use crate::process::Running;
use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use nix::sys::signal::Signal;
use std::fs;
use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const START_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Prints a heading.
pub(super) fn say(text: &str) {
    println!("\n# {text}");
}

/// Prints and runs the commands around one site.
#[derive(Debug)]
pub(super) struct Transcript<'a> {
    site: &'a Site,
    quixote: PathBuf,
}

/// A service that runs, its output going to a file.
#[derive(Debug)]
pub(super) struct Service {
    running: Running,
    output: PathBuf,
}

impl Service {
    /// Stops a service as its user would (SIGTERM) and shows what it printed.
    pub(super) fn stop(mut self) -> Result<String> {
        println!("$ kill %1; wait");
        self.running.signal(Signal::SIGTERM)?;
        let status = self.running.wait(super::COMMAND_LIMIT)?;
        let output = fs::read_to_string(&self.output)?;
        print!("{output}");
        ensure!(status.success(), "the service ended with {status}");
        Ok(output)
    }
}

/// What the service answered.
#[derive(Debug)]
pub(super) struct Page {
    /// The HTTP status.
    pub(super) status: String,
    /// The body.
    pub(super) body: String,
}

impl<'a> Transcript<'a> {
    /// Commands run in the site's folder.
    pub(super) fn new(repository: &Repository, site: &'a Site) -> Self {
        Self { site, quixote: repository.quixote() }
    }

    /// Runs `quixote` to its end; it must succeed.
    pub(super) fn quixote(&self, arguments: &[&str]) -> Result<()> {
        println!("$ quixote {}", arguments.join(" "));
        let mut command = self.command("quixote");
        let status = Running::start(command.args(arguments))?.wait(super::COMMAND_LIMIT)?;
        ensure!(status.success(), "quixote {} ended with {status}", arguments.join(" "));
        Ok(())
    }

    /// Starts a service and waits until it listens.
    pub(super) fn start(&self, words: &[String]) -> Result<Service> {
        println!("$ {} &", words.join(" "));
        let output = self.site.folder().join("run/output.txt");
        let file = File::create(&output)?;
        let mut command = self.command(&words[0]);
        command.args(&words[1..]).stdout(file.try_clone()?).stderr(file);
        let mut service = Service { running: Running::start(&mut command)?, output };
        self.await_listening(&mut service)?;
        Ok(service)
    }

    /// Asks the service for a page with curl, outside of the modeled namespace.
    pub(super) fn fetch(&self, page: &str) -> Result<Page> {
        let address = self.site.address(page);
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "10", &address]);
        println!("$ {}", process::display(&curl));
        let output = curl.args(["-w", "\n%{http_code}"]).output().context("curl")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').context("curl answered nothing")?;
        println!("{status} {}", body.lines().next().unwrap_or_default());
        Ok(Page { status: status.to_owned(), body: body.to_owned() })
    }

    fn command(&self, program: &str) -> Command {
        let known = if program == "quixote" { self.quixote.as_os_str() } else { program.as_ref() };
        let mut command = Command::new(known);
        command
            .current_dir(self.site.folder())
            .env("XDG_CONFIG_HOME", self.site.folder().join("run/config"))
            .env("XDG_STATE_HOME", self.site.folder().join("run/state"));
        command
    }

    fn await_listening(&self, service: &mut Service) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(self.site.socket()).is_err() {
            let output = || fs::read_to_string(&service.output).unwrap_or_default();
            ensure!(Instant::now() < deadline, "the service does not listen:\n{}", output());
            let running = service.running.is_running()?;
            ensure!(running, "the service ended at once:\n{}", output());
            thread::sleep(POLL);
        }
        Ok(())
    }
}
