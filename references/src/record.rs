//! The one record that every format ends in.

use std::sync::Arc;

use crate::digest::FileDigest;

/// One file that a package states, and who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Absolute path in the package's own root, octets as the package has them.
    pub path: Box<[u8]>,
    /// The digest of the contents.
    pub digest: FileDigest,
    /// Permission and type bits as in `st_mode`, where the format states them.
    pub mode: Option<u32>,
    /// Length in octets, where the format states it.
    pub size: Option<u64>,
    /// What the package says of the file besides.
    pub flags: FileFlags,
    /// IMA's signature of the digest (the value of `security.ima`), where the package carries one. No signature covers it: it
    /// counts for who verifies it.
    pub ima_signature: Option<Box<[u8]>>,
    /// The package that states it, shared by all of its files.
    pub package: Arc<Package>,
}

impl Reference {
    /// Whether a file with this digest is vouched for: a strong digest, from a package whose
    /// signature chain holds.
    pub fn vouches(&self) -> bool {
        self.digest.algorithm().is_strong() && self.package.verified.holds()
    }
}

/// What a package says of itself, and what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The format.
    pub format: Format,
    /// Its name, without version.
    pub name: String,
    /// Version as the package's own tools write and compare it (`[epoch:]version-release`).
    pub version: String,
    /// Architecture, in the format's own word.
    pub arch: String,
    /// Who signed; `None` when nothing holds.
    pub signer: Option<Signer>,
    /// How it was verified, and so what the record is worth.
    pub verified: Verified,
}

/// Whoever's key holds the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the certificate (the primary key), lower-case hexadecimal; for keys without
    /// certificates `<algorithm>:<SHA-256 of the public key>`.
    pub key: String,
    /// What the certificate calls its owner, for people; no decision rests on it.
    pub name: String,
    /// When the signature says that it was made, in seconds since 1970.
    pub signed_at_s: Option<u64>,
    /// When the key expires, in seconds since 1970; `None` when it never does.
    pub expires_at_s: Option<u64>,
}

/// The format that a package has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// RPM, as a file or in the rpm database.
    Rpm,
    /// Debian's.
    Deb,
    /// A layer or image of the Open Container Initiative.
    Oci,
    /// Alpine's, version 2.
    Apk,
    /// Arch Linux's.
    Arch,
    /// An SPDX document.
    Spdx,
    /// A `CycloneDX` document.
    CycloneDx,
    /// A plain list of digests and paths.
    List,
}

const FORMATS: [(Format, &str); 8] = [
    (Format::Rpm, "rpm"),
    (Format::Deb, "deb"),
    (Format::Oci, "oci"),
    (Format::Apk, "apk"),
    (Format::Arch, "arch"),
    (Format::Spdx, "spdx"),
    (Format::CycloneDx, "cyclonedx"),
    (Format::List, "list"),
];

impl Format {
    /// Its name in records.
    pub fn name(self) -> &'static str {
        FORMATS.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        FORMATS.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

/// How a package was verified: what exactly a pinned key's signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verified {
    /// The signature covers the header that states the digests (RPM).
    Header,
    /// A signed release names the index, the index names the package, and its files were hashed
    /// here (DEB).
    Release,
    /// As `Release` when the package was installed, remembered by our own store since then: the link
    /// from index to package rests on the store.
    Captured,
    /// The signature covers the package or document itself, whose files were hashed here or are
    /// stated in it (Arch, apk, signed lists, signed documents).
    Signature,
    /// The user named the digest that everything hangs from (an OCI image by digest).
    Pinned,
    /// Statements that hold together, but that no key vouches for.
    Unsigned,
}

const VERIFIED: [(Verified, &str); 6] = [
    (Verified::Header, "header"),
    (Verified::Release, "release"),
    (Verified::Captured, "captured"),
    (Verified::Signature, "signature"),
    (Verified::Pinned, "pinned"),
    (Verified::Unsigned, "unsigned"),
];

impl Verified {
    /// Whether a key or digest of the user's stands behind it.
    pub fn holds(self) -> bool {
        self != Self::Unsigned
    }

    /// Its name in records.
    pub fn name(self) -> &'static str {
        VERIFIED.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        VERIFIED.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

/// What a package says of a file besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileFlags(u8);

const FLAGS: [(FileFlags, &str); 6] = [
    (FileFlags::CONFIG, "config"),
    (FileFlags::DOC, "doc"),
    (FileFlags::GHOST, "ghost"),
    (FileFlags::LICENSE, "license"),
    (FileFlags::NO_VERIFY, "noverify"),
    (FileFlags::DIVERTED, "diverted"),
];

impl FileFlags {
    /// Meant to be edited: that it differs says little.
    pub const CONFIG: Self = Self(1);
    /// Documentation, which an installation may leave out.
    pub const DOC: Self = Self(2);
    /// Named by the package and not in it.
    pub const GHOST: Self = Self(4);
    /// A licence's text.
    pub const LICENSE: Self = Self(8);
    /// The package asks that its digest not be verified.
    pub const NO_VERIFY: Self = Self(16);
    /// Installed under another name than the package's (`dpkg-divert`); the path is the real one.
    pub const DIVERTED: Self = Self(32);

    /// All of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of what is set, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        FLAGS.iter().filter(move |row| self.has(row.0)).map(|row| row.1)
    }

    /// From the bits that cross the pipe; bits without a meaning are dropped.
    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits & 31)
    }

    /// By a name of [`names`](Self::names).
    pub fn from_name(name: &str) -> Option<Self> {
        FLAGS.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}
