//! A home of its own for one test: keys, serials, records and sockets of nobody else.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use tempfile::TempDir;

/// The directories of one test.
pub(crate) struct Sandbox {
    home: TempDir,
}

/// What a command came to.
pub(crate) struct Told {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("work")).unwrap();
        Self { home }
    }

    /// Where commands run.
    pub(crate) fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    /// A file in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `quixote` with these arguments, not yet run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments);
        self.settle(&mut command);
        command
    }

    /// Gives a command this sandbox's directories, and `quixote` on PATH.
    pub(crate) fn settle(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        let own = binary().parent().unwrap().display().to_string();
        command
            .current_dir(self.work())
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", format!("{own}:{path}"))
            .env("HOME", self.home.path())
            .env("QUIXOTE_RUNTIME_DIR", self.home.path().join("run"))
            .env("QUIXOTE_STATE_DIR", self.home.path().join("state"))
            .env("QUIXOTE_TRUST_DIR", self.home.path().join("trust"));
    }

    /// Runs `quixote` to its end.
    pub(crate) fn quixote(&self, arguments: &[&str]) -> Told {
        Told::of(&self.command(arguments).output().unwrap())
    }

    /// Runs `quixote`, which must succeed; gives its stdout.
    pub(crate) fn good(&self, arguments: &[&str]) -> String {
        let told = self.quixote(arguments);
        assert_eq!(told.status, 0, "quixote {arguments:?}: {}", told.stderr);
        told.stdout
    }
}

impl Told {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The last line of stdout, which must be JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_quixote"))
}
