//! The stable form on disk and between programs: one JSON object a line.
//!
//! The order of members is fixed, and what is unknown is refused by name, so that a list can be compared
//! and signed octet by octet. `docs/spec/04-references.md` states it.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::digest::FileDigest;
use crate::digest::decode_hex;
use crate::digest::encode_hex;
use crate::record::FileFlags;
use crate::record::Format;
use crate::record::Package;
use crate::record::Reference;
use crate::record::Signer;
use crate::record::Verified;

/// A longer line is refused unread.
pub const MAX_LINE_OCTETS: usize = 65_536;

/// Why a line is no reference.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// Longer than [`MAX_LINE_OCTETS`].
    #[error("a line of more than {MAX_LINE_OCTETS} octets")]
    TooLong,
    /// No JSON, or members that are missing or unknown.
    #[error("no reference: {0}")]
    Json(#[from] serde_json::Error),
    /// The path is not absolute, or its hexadecimal form is none.
    #[error("the path is not absolute")]
    Path,
    /// No digest of a known algorithm and of its length.
    #[error("the digest is none of a known algorithm")]
    Digest,
    /// The mode is no octal number.
    #[error("the mode is no octal number")]
    Mode,
    /// IMA's signature is no hexadecimal.
    #[error("the signature for IMA is no hexadecimal")]
    ImaSignature,
    /// A format, flag or way of verifying that this version does not know.
    #[error("unknown {0}")]
    Unknown(&'static str),
    /// A signer without a signature that holds, or the other way round.
    #[error("a signature that holds has a signer or a pinned digest")]
    Signer,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Octets {
    Text(String),
    Hex { hex: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: Octets,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    flags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ima_signature: Option<String>,
    format: String,
    package: String,
    version: String,
    arch: String,
    verified: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signer: Option<SignerLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerLine {
    key: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed_at_s: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_s: Option<u64>,
}

impl Reference {
    /// One line, without the line's end.
    pub fn to_json_line(&self) -> String {
        let line = Line {
            path: octets(&self.path),
            digest: self.digest.to_string(),
            mode: self.mode.map(|mode| format!("{mode:07o}")),
            size: self.size,
            flags: self.flags.names().map(str::to_owned).collect(),
            ima_signature: self.ima_signature.as_deref().map(encode_hex),
            format: self.package.format.name().to_owned(),
            package: self.package.name.clone(),
            version: self.package.version.clone(),
            arch: self.package.arch.clone(),
            verified: self.package.verified.name().to_owned(),
            signer: self.package.signer.as_ref().map(signer_line),
        };
        // Strings and numbers alone cannot fail to be written.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Reads one line. `previous` is the record before it: neighbours of one package share it.
    pub fn from_json_line(line: &str, previous: Option<&Self>) -> Result<Self, LineProblem> {
        if line.len() > MAX_LINE_OCTETS {
            return Err(LineProblem::TooLong);
        }
        let line: Line = serde_json::from_str(line)?;
        let package = package(&line)?;
        let shared = previous.map(|record| &record.package).filter(|before| ***before == package);
        let mode = |text: &String| u32::from_str_radix(text, 8).map_err(|_| LineProblem::Mode);
        Ok(Self {
            path: path(line.path)?,
            digest: FileDigest::parse(&line.digest).ok_or(LineProblem::Digest)?,
            mode: line.mode.as_ref().map(mode).transpose()?,
            size: line.size,
            flags: flags(&line.flags)?,
            ima_signature: line.ima_signature.map(ima_signature).transpose()?,
            package: shared.map_or_else(|| Arc::new(package), Arc::clone),
        })
    }
}

fn octets(octets: &[u8]) -> Octets {
    match std::str::from_utf8(octets) {
        Ok(text) => Octets::Text(text.to_owned()),
        Err(_) => Octets::Hex { hex: encode_hex(octets) },
    }
}

fn signer_line(signer: &Signer) -> SignerLine {
    SignerLine {
        key: signer.key.clone(),
        name: signer.name.clone(),
        signed_at_s: signer.signed_at_s,
        expires_at_s: signer.expires_at_s,
    }
}

fn path(path: Octets) -> Result<Box<[u8]>, LineProblem> {
    let path = match path {
        Octets::Text(text) => text.into_bytes(),
        Octets::Hex { hex } => decode_hex(hex.as_bytes()).ok_or(LineProblem::Path)?,
    };
    let plain = path.first() == Some(&b'/') && !path.contains(&0);
    plain.then(|| path.into()).ok_or(LineProblem::Path)
}

fn flags(names: &[String]) -> Result<FileFlags, LineProblem> {
    names.iter().try_fold(FileFlags::default(), |flags, name| {
        Ok(flags.with(FileFlags::from_name(name).ok_or(LineProblem::Unknown("flag"))?))
    })
}

fn ima_signature(hex: String) -> Result<Box<[u8]>, LineProblem> {
    decode_hex(hex.as_bytes()).map(Into::into).ok_or(LineProblem::ImaSignature)
}

fn package(line: &Line) -> Result<Package, LineProblem> {
    let verified =
        Verified::from_name(&line.verified).ok_or(LineProblem::Unknown("way of verifying"))?;
    let signed = verified.holds() && verified != Verified::Pinned;
    if (line.signer.is_none() && signed) || (line.signer.is_some() && !verified.holds()) {
        return Err(LineProblem::Signer);
    }
    Ok(Package {
        format: Format::from_name(&line.format).ok_or(LineProblem::Unknown("format"))?,
        name: line.package.clone(),
        version: line.version.clone(),
        arch: line.arch.clone(),
        verified,
        signer: line.signer.as_ref().map(|signer| Signer {
            key: signer.key.clone(),
            name: signer.name.clone(),
            signed_at_s: signer.signed_at_s,
            expires_at_s: signer.expires_at_s,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;
    use proptest::prelude::*;

    fn record(path: Vec<u8>, flags: FileFlags, signed: bool, size: Option<u64>) -> Reference {
        let signer = Signer {
            key: "ab".repeat(20),
            name: "Archive <a@example.invalid>".into(),
            signed_at_s: Some(1),
            expires_at_s: size,
        };
        Reference {
            path: path.into(),
            digest: FileDigest::new(Algorithm::Sha256, &[7; 32]).unwrap(),
            mode: Some(0o100_755),
            size,
            flags,
            ima_signature: size.map(|size| Box::from(size.to_be_bytes())),
            package: Arc::new(Package {
                format: Format::Deb,
                name: "coreutils".into(),
                version: "9.1-1".into(),
                arch: "amd64".into(),
                signer: signed.then_some(signer),
                verified: if signed { Verified::Release } else { Verified::Unsigned },
            }),
        }
    }

    #[test]
    fn the_form_is_stable() {
        let line = record(b"/bin/ls".to_vec(), FileFlags::CONFIG, true, Some(5)).to_json_line();
        assert_eq!(
            line,
            format!(
                "{{\"path\":\"/bin/ls\",\"digest\":\"sha256:{}\",\"mode\":\"0100755\",\"size\":5,\
                 \"flags\":[\"config\"],\"ima_signature\":\"0000000000000005\",\"format\":\"deb\",\"package\":\"coreutils\",\
                 \"version\":\"9.1-1\",\"arch\":\"amd64\",\"verified\":\"release\",\"signer\":\
                 {{\"key\":\"{}\",\"name\":\"Archive <a@example.invalid>\",\"signed_at_s\":1,\
                 \"expires_at_s\":5}}}}",
                "07".repeat(32),
                "ab".repeat(20)
            )
        );
    }

    #[test]
    fn neighbours_share_their_package() {
        let first = record(b"/a".to_vec(), FileFlags::default(), true, None);
        let line = record(b"/b".to_vec(), FileFlags::default(), true, None).to_json_line();
        let second = Reference::from_json_line(&line, Some(&first)).unwrap();
        assert!(Arc::ptr_eq(&first.package, &second.package));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let line = record(b"/a".to_vec(), FileFlags::default(), true, None).to_json_line();
        for (what, by) in [
            ("\"/a\"", "\"a\""),
            ("sha256:07", "sha256:"),
            ("sha256", "sha257"),
            ("\"deb\"", "\"dab\""),
            ("release", "unsigned"),
            ("\"path\"", "\"more\":1,\"path\""),
            ("0100755", "rwx"),
        ] {
            let changed = line.replacen(what, by, 1);
            assert_ne!(changed, line);
            assert!(Reference::from_json_line(&changed, None).is_err(), "{changed}");
        }
        let unsigned = record(b"/a".to_vec(), FileFlags::default(), false, None).to_json_line();
        let claimed = unsigned.replace("unsigned", "release");
        assert!(matches!(Reference::from_json_line(&claimed, None), Err(LineProblem::Signer)));
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(
            tail in proptest::collection::vec(1u8.., 0..40),
            signed: bool,
            size: Option<u64>,
        ) {
            let path = [&b"/"[..], &tail].concat();
            let record = record(path, FileFlags::GHOST, signed, size);
            let line = record.to_json_line();
            prop_assert_eq!(Reference::from_json_line(&line, None).unwrap(), record);
        }

        #[test]
        fn no_reference_line_panics(line: String) {
            let _ = Reference::from_json_line(&line, None);
        }
    }
}
