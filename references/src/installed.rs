//! A package as a system's package manager has it installed: what its database says, which vouches for nothing.

use std::path::PathBuf;

use crate::problem::Problem;
use crate::statements::text;

/// A package as it is installed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version, as its package manager writes it.
    pub version: String,
    /// Its architecture, in the format's own word.
    pub arch: String,
}

impl Installed {
    /// From name, version and architecture as a parser said them.
    pub(crate) fn said(words: [&[u8]; 3]) -> Result<Self, Problem> {
        let [name, version, arch] = words.map(text);
        Ok(Self { name: name?, version: version?, arch: arch? })
    }

    /// The first file of one of these names, in the order of the names, that one of `folders` has.
    pub(crate) fn find_in(names: &[String], folders: &[PathBuf]) -> Option<PathBuf> {
        // A name with a slash would lead out of the folder.
        let plain = names.iter().filter(|name| !name.contains('/'));
        let mut paths = plain.flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        paths.find(|path| path.is_file())
    }

    /// Whether these words, of a package file, are this package's.
    pub(crate) fn is(&self, words: [&String; 3]) -> bool {
        [&self.name, &self.version, &self.arch] == words
    }
}
