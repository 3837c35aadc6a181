//! What a parser can be asked for.

use std::io::Read;

use crate::apk;
use crate::arch;
use crate::armour;
use crate::bounds;
use crate::deb;
use crate::decompress;
use crate::documents;
use crate::list;
use crate::mtree;
use crate::oci;
use crate::paragraphs;
use crate::refusal::Refusal;
use crate::rpm;
use crate::sigstore;
use crate::sqlite;
use crate::statement::Sink;

macro_rules! jobs {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        /// What a parser is asked for: the format of its input, and what is wanted of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Job {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl Job {
            /// Every job.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

jobs! {
    /// The signature header of an RPM package: its signatures of the main header.
    RpmSignatures = 1;
    /// The main header of an RPM package, or one rebuilt from the database: package and files.
    RpmHeader = 2;
    /// The rpm database, a file of `SQLite`: headers and their signatures. A log of writes follows the
    /// database's own octets; the first eight octets of the input say where it begins.
    RpmDatabase = 3;
    /// A text signed in the clear: the text as it was signed, and its signatures.
    ClearSigned = 4;
    /// A detached signature, armoured or not: its packets.
    Detached = 5;
    /// A Debian release: the digests of its indexes.
    Release = 6;
    /// A Debian index of packages, or dpkg's status.
    Packages = 7;
    /// A Debian package: what it is, and its files, hashed.
    Deb = 8;
    /// A plain list of digests and paths.
    List = 9;
    /// Anything compressed: what it expands to.
    Expand = 10;
    /// An OCI index or manifest: what it names.
    OciDocument = 11;
    /// An OCI image configuration: architecture and digests of the expanded layers.
    OciConfig = 12;
    /// An OCI layer: its files, hashed, and what it removes.
    OciLayer = 13;
    /// An Arch package: what it is, and its files, hashed.
    Arch = 14;
    /// A list of files in mtree's form.
    Mtree = 15;
    /// An Alpine package: its parts, told apart.
    ApkParts = 16;
    /// The control stream of an Alpine package.
    ApkControl = 17;
    /// The data stream of an Alpine package: its files, hashed.
    ApkData = 18;
    /// An SPDX document, version 2 or 3: its files.
    Spdx = 19;
    /// A `CycloneDX` document: its files.
    CycloneDx = 20;
    /// An OCI layout in one archive: where each of its files lies.
    OciArchive = 21;
    /// A package of pacman's local database: what it is.
    PacmanDesc = 22;
    /// A Sigstore bundle: what was signed, and the signature.
    Bundle = 23;
    /// An in-toto statement: the digests that it is about.
    Subjects = 24;
    /// The payload of one of cosign's older signatures: the digest that it is about.
    SimpleSigning = 25;
}

impl Job {
    /// By the code that crosses the pipe.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|job| *job as u8 == code)
    }

    /// Reads `input` to its end and says what it found. [`Statement::Done`] is the caller's to say.
    ///
    /// [`Statement::Done`]: crate::Statement::Done
    pub fn run(self, input: &mut dyn Read, sink: &mut dyn Sink) -> Result<(), Refusal> {
        match self {
            Self::RpmSignatures => rpm::signatures(&whole(input, rpm::MAX_SIGNATURE_HEADER)?, sink),
            Self::RpmHeader => rpm::package(&whole(input, rpm::MAX_HEADER)?, sink),
            Self::RpmDatabase => rpm::database(&whole(input, sqlite::MAX_DATABASE)?, sink),
            Self::ClearSigned => armour::clear_signed(&document(input)?, sink),
            Self::Detached => armour::detached(&document(input)?, sink),
            Self::Release => paragraphs::release(&document(input)?, sink),
            Self::Packages => paragraphs::packages(&whole(input, bounds::INDEX)?, sink),
            Self::Deb => deb::package(input, sink),
            Self::OciDocument => oci::document(&document(input)?, sink),
            Self::OciConfig => oci::config(&document(input)?, sink),
            Self::OciLayer => oci::layer(input, sink),
            Self::Arch => arch::package(input, sink),
            Self::Mtree => mtree::files(input, sink),
            Self::ApkParts => apk::parts(&whole(input, bounds::INDEX)?, sink),
            Self::ApkControl => apk::control(input, sink),
            Self::ApkData => apk::data(input, sink),
            Self::Spdx => documents::spdx(&document(input)?, sink),
            Self::CycloneDx => documents::cyclone_dx(&document(input)?, sink),
            Self::OciArchive => oci::archive(input, sink),
            Self::PacmanDesc => arch::installed(&document(input)?, sink),
            Self::Bundle => sigstore::bundle(&document(input)?, sink),
            Self::Subjects => sigstore::subjects(&document(input)?, sink),
            Self::SimpleSigning => sigstore::simple_signing(&document(input)?, sink),
            Self::Expand => decompress::expand(input, sink),
            Self::List => list::files(&whole(input, bounds::INDEX)?, sink),
        }
    }
}

/// All of the input, at most `bound` octets.
pub fn whole(input: &mut dyn Read, bound: usize) -> Result<Vec<u8>, Refusal> {
    let mut octets = Vec::new();
    input.take(bound as u64 + 1).read_to_end(&mut octets)?;
    if octets.len() > bound { Err(Refusal::Bound) } else { Ok(octets) }
}

/// All of a document, at the bound for documents.
pub fn document(input: &mut dyn Read) -> Result<Vec<u8>, Refusal> {
    whole(input, bounds::DOCUMENT)
}
