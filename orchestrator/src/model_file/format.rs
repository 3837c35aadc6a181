//! The model as a text file: what is reviewed, kept in git, and diffed.
//!
//! Printable ASCII, one fact a line. First the header and its rules, up to an empty line; then
//!
//! ```text
//! credentials uid33.5f2a1b uid=33 gid=33 caps=none
//! program nginx.3fa91c TASK_ID start uid33.5f2a1b bprm_committed_creds file=... script=none
//! COEFFICIENT nginx.3fa91c uid33.5f2a1b every file_open file=/etc/nginx.conf{...} access=read
//! ```
//!
//! Labels are made of what they name, so that nothing is renumbered when a line is added. Lines
//! are sorted by program chain, event and text. Lines that begin with `#` are comments. Without
//! descriptions a line is the coefficient alone, and there are no credentials and programs.

mod parser;
mod printer;

use std::fs;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

pub use parser::FormatProblem;
pub use printer::Descriptions;
pub use printer::Labels;

use super::model::ModelFile;

/// The largest model file that is read, in octets.
pub const MODEL_MAX: u64 = 256 * 1024 * 1024;
/// The longest line: two paths of the greatest length with every octet escaped fit.
pub const LINE_MAX: usize = 64 * 1024;
/// The most coefficients.
pub const COEFFICIENTS_MAX: usize = 1 << 20;
/// The most programs, and the most credentials.
pub const PROGRAMS_MAX: usize = 1 << 16;

/// Why a model could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file could not be read.
    #[error("cannot read the model {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot write the model {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is larger than any model.
    #[error("the model is larger than {MODEL_MAX} octets and was not read")]
    TooLarge,
    /// A line is wrong.
    #[error("line {line} of the model: {problem}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: FormatProblem,
    },
}

impl ModelFile {
    /// Reads the text form. Every description is hashed and compared with its coefficient.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        parser::parse(text).map_err(|(line, problem)| FormatError::Line { line, problem })
    }

    /// The text form.
    pub fn to_text(&self, descriptions: Descriptions) -> String {
        printer::print(self, descriptions)
    }

    /// Reads a file as text that has not been looked at yet.
    pub fn read_text(path: &Path) -> Result<Vec<u8>, FormatError> {
        read_bounded(path, MODEL_MAX)
            .map_err(|source| FormatError::Read { path: path.into(), source })?
            .ok_or(FormatError::TooLarge)
    }

    /// Writes the file whole or not at all.
    pub fn write(&self, path: &Path, descriptions: Descriptions) -> Result<(), FormatError> {
        write_atomically(path, self.to_text(descriptions).as_bytes())
            .map_err(|source| FormatError::Write { path: path.into(), source })
    }
}

/// A file's content; `None` when it has more octets than `bound`.
pub(super) fn read_bounded(path: &Path, bound: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(bound + 1).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= bound).then_some(content))
}

/// Writes beside the file and renames, so that a reader never sees half of it, not even after a
/// power cut.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    write_beside(path, content, fs::File::sync_all)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// The same for what need not outlive the machine: it does not wait for the disk.
pub(crate) fn write_atomically_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    write_beside(path, content, |_| Ok(()))
}

fn write_beside(
    path: &Path,
    content: &[u8],
    settle: impl Fn(&fs::File) -> io::Result<()>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".new-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // Left by one that was killed and had our process id.
    let _ = fs::remove_file(&beside);
    let opened = fs::OpenOptions::new().write(true).create_new(true).open(&beside);
    let written = opened.and_then(|mut file| {
        file.write_all(content)?;
        settle(&file)
    });
    let placed = written.and_then(|()| fs::rename(&beside, path));
    if placed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    placed
}

#[cfg(test)]
mod tests;
