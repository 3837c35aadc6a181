//! From a parser's statements to references: every one is checked before it becomes one.

use std::sync::Arc;

use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::statement::File;

use crate::digest::Algorithm;
use crate::digest::FileDigest;
use crate::problem::Problem;
use crate::record::FileFlags;
use crate::record::Format;
use crate::record::Package;
use crate::record::Reference;
use crate::record::Signer;
use crate::record::Verified;

/// A path that is no regular file, and where it points; empty for what is no link.
pub type OtherPath = (Box<[u8]>, Box<[u8]>);

/// What a package comes to.
#[derive(Clone, Debug)]
pub struct PackageReading {
    /// What it says of itself, and how it was verified.
    pub package: Arc<Package>,
    /// Its regular files.
    pub references: Vec<Reference>,
    /// Its symbolic links, with their targets, and (without one) what else it has.
    pub others: Vec<OtherPath>,
}

/// Hears of one package.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    identity: Option<[String; 3]>,
    files: Vec<Stated>,
    others: Vec<OtherPath>,
    facts: Vec<(Vec<u8>, Vec<u8>)>,
    file_signatures: Vec<Vec<u8>>,
}

/// A file as it was stated and checked.
#[derive(Debug)]
pub(crate) struct Stated {
    pub(crate) path: Box<[u8]>,
    digest: FileDigest,
    mode: Option<u32>,
    size: Option<u64>,
    flags: FileFlags,
    /// Which of all that was said, files and others, it is.
    place: usize,
}

impl Stated {
    /// The reference that it is, in a package.
    pub(crate) fn with(self, package: &Arc<Package>) -> Reference {
        Reference {
            path: self.path,
            digest: self.digest,
            mode: self.mode,
            size: self.size,
            flags: self.flags,
            ima_signature: None,
            package: Arc::clone(package),
        }
    }

    #[cfg(test)]
    pub(crate) fn new(path: &[u8], algorithm: Algorithm, digest: &[u8]) -> Self {
        let digest = FileDigest::new(algorithm, digest).unwrap();
        Self {
            path: path.into(),
            digest,
            mode: None,
            size: None,
            flags: FileFlags::default(),
            place: 0,
        }
    }
}

impl Collector {
    /// A name for what has none of its own.
    pub(crate) fn name_if_none(&mut self, identity: [String; 3]) {
        self.identity.get_or_insert(identity);
    }

    /// Takes one statement.
    pub(crate) fn hear(&mut self, statement: &Statement<'_>) -> Result<(), Problem> {
        match statement {
            Statement::Package { name, version, arch } => {
                let identity = [text(name)?, text(version)?, text(arch)?];
                if self.identity.replace(identity).is_some() {
                    return Err(Refusal::Twice.into());
                }
            }
            Statement::File(file) => {
                let place = self.files.len() + self.others.len();
                self.files.push(Stated { place, ..stated(file)? });
            }
            Statement::Other { path, target } => {
                self.others.push((absolute(path)?, (*target).into()));
            }
            Statement::Fact { name, value } => self.facts.push((name.to_vec(), value.to_vec())),
            _ => return Err(Refusal::Malformed.into()),
        }
        Ok(())
    }

    /// Takes IMA's signatures, one for each file and other path in the order of the package, or none.
    pub(crate) fn sign_files(&mut self, signatures: Vec<Vec<u8>>) -> Result<(), Problem> {
        let paths = self.files.len() + self.others.len();
        if !signatures.is_empty() && signatures.len() != paths {
            return Err(Refusal::Inconsistent.into());
        }
        self.file_signatures = signatures;
        Ok(())
    }

    /// The value of a fact.
    pub(crate) fn fact(&self, name: &[u8]) -> Option<&[u8]> {
        self.facts.iter().find(|fact| fact.0 == name).map(|fact| fact.1.as_slice())
    }

    /// The name of the package, if one was said.
    pub(crate) fn name(&self) -> Option<String> {
        self.identity.as_ref().map(|[name, version, _]| format!("{name} {version}"))
    }

    /// How many regular files were said.
    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// What was heard, for what the signer is worth.
    pub(crate) fn finish(
        self,
        format: Format,
        verified: Verified,
        signer: Option<Signer>,
    ) -> Result<PackageReading, Problem> {
        let [name, version, arch] = self.identity.ok_or(Problem::Missing("name"))?;
        let package = Arc::new(Package { format, name, version, arch, signer, verified });
        let signatures = self.file_signatures;
        let mut references = Vec::with_capacity(self.files.len());
        for stated in self.files {
            let value = signatures.get(stated.place).filter(|value| !value.is_empty());
            let mut reference = stated.with(&package);
            reference.ima_signature = value.map(|value| value.as_slice().into());
            references.push(reference);
        }
        Ok(PackageReading { package, references, others: self.others })
    }
}

pub(crate) fn stated(file: &File<'_>) -> Result<Stated, Problem> {
    let algorithm = Algorithm::from_openpgp(file.algorithm.into()).ok_or(Refusal::Unsupported)?;
    Ok(Stated {
        path: absolute(file.path)?,
        digest: FileDigest::new(algorithm, file.digest).ok_or(Refusal::Inconsistent)?,
        mode: file.mode,
        size: file.size,
        flags: FileFlags::from_bits(file.flags),
        place: 0,
    })
}

pub(crate) fn text(octets: &[u8]) -> Result<String, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::Malformed)?;
    if text.chars().any(char::is_control) { Err(Refusal::Malformed) } else { Ok(text.to_owned()) }
}

fn absolute(path: &[u8]) -> Result<Box<[u8]>, Refusal> {
    let plain = path.first() == Some(&b'/') && !path.contains(&0);
    let straight = path.split(|octet| *octet == b'/').all(|part| part != b".." && part != b".");
    if plain && straight { Ok(path.into()) } else { Err(Refusal::Path) }
}
