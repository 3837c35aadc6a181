//! The folder through which host and guest meet for one boot: scripts in, three sockets out.

use super::Options;
use super::kernel::Kernel;
use crate::repository::Repository;
use anyhow::Context;
use anyhow::Result;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// What the command finds of the caller's environment.
const ENVIRONMENT: &[&str] = &["PATH", "HOME", "LANG", "CARGO_TARGET_DIR", "CARGO_HOME"];
/// And all that begins so.
const PREFIXES: &[&str] = &["QUIXOTE_", "RUST_", "XTASK_", "CI"];

/// The folder of one boot; removed when dropped.
#[derive(Debug)]
pub(super) struct Session {
    folder: PathBuf,
}

impl Session {
    /// Makes the folder, with the scripts and the command for the guest.
    pub(super) fn create(
        repository: &Repository,
        kernel: &Kernel,
        options: &Options,
    ) -> Result<Self> {
        // Short, because the path of a socket may have 107 octets.
        let folder = env::temp_dir().join(format!("quixote-vm-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let session = Self { folder };
        fs::create_dir(session.path("host"))?;
        let guest = session.path("guest");
        fs::create_dir(&guest)?;
        fs::write(guest.join("guest.sh"), include_str!("guest.sh"))?;
        fs::write(guest.join("environment.sh"), environment())?;
        fs::write(guest.join("session.sh"), parameters(repository, kernel, options)?)?;
        Ok(session)
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What is left is small, and in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn parameters(repository: &Repository, kernel: &Kernel, options: &Options) -> Result<Vec<u8>> {
    let folder = env::current_dir().context("the working folder is gone")?;
    let below_tmp = [&folder, repository.root()].iter().any(|path| path.starts_with("/tmp"));
    let mut text = Vec::new();
    assign(&mut text, "FOLDER", folder.as_os_str());
    assign(&mut text, "MODULES", kernel.modules()?.as_os_str());
    assign(&mut text, "KEEP_TMP", OsStr::new(if below_tmp { "yes" } else { "no" }));
    text.extend_from_slice(b"set --");
    for word in &options.command {
        text.push(b' ');
        text.extend_from_slice(&quoted(word));
    }
    text.push(b'\n');
    Ok(text)
}

fn environment() -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in env::vars_os() {
        let Some(name) = name.to_str().filter(|name| is_passed_on(name)) else {
            continue;
        };
        text.extend_from_slice(b"export ");
        assign(&mut text, name, &value);
    }
    text
}

fn is_passed_on(name: &str) -> bool {
    let plain = name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
    plain && (ENVIRONMENT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

fn assign(text: &mut Vec<u8>, name: &str, value: &OsStr) {
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(&quoted(value));
    text.push(b'\n');
}

/// A word as a shell reads it literally.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut text = vec![b'\''];
    for octet in word.as_bytes() {
        match octet {
            b'\'' => text.extend_from_slice(br"'\''"),
            octet => text.push(*octet),
        }
    }
    text.push(b'\'');
    text
}

/// Where the guest finds the session's scripts: the same path as on the host.
pub(super) fn guest_folder(session: &Session) -> Result<String> {
    let folder: PathBuf = fs::canonicalize(session.path("guest"))?;
    text_of(&folder)
}

fn text_of(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("the folder for temporary files is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_a_shell_as_they_are() {
        for word in ["", "a b", "it's", "$HOME `x` \\ \"\n"] {
            let mut script = b"printf %s ".to_vec();
            script.extend_from_slice(&quoted(OsStr::new(word)));
            let script = OsStr::from_bytes(&script);
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(output.stdout, word.as_bytes());
        }
    }

    #[test]
    fn only_plain_names_are_passed_on() {
        assert!(is_passed_on("QUIXOTE_SOURCE"));
        assert!(!is_passed_on("QUIXOTE_;rm"));
        assert!(!is_passed_on("LD_PRELOAD"));
    }
}
