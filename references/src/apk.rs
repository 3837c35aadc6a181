//! Alpine packages, version 2.
//!
//! The signature is RSA (PKCS #1 v1.5) over the control stream's octets by a bare public key, which the user pins. Alpine's own packages
//! are still signed over SHA-1 (`.SIGN.RSA.`), which this policy refuses; `.SIGN.RSA256.` counts.

use std::path::Path;

use reference_formats::Job;
use reference_formats::Refusal;
use reference_formats::Statement;
use reference_formats::statement::Part;
use rsa::Pkcs1v15Sign;
use rsa::RsaPublicKey;
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use sha2::Sha256;

use crate::deb::sha256;
use crate::digest::encode_hex;
use crate::openpgp::SignatureProblem;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Format;
use crate::record::Signer;
use crate::record::Verified;
use crate::statements::Collector;
use crate::statements::PackageReading;
use crate::statements::text;

const LEAST_BITS: usize = 2048;
const RSA256: &str = "RSA256.";

/// A pinned key of Alpine's, with the name that packages call it by.
#[derive(Clone, Debug)]
pub struct ApkKey {
    name: String,
    key: RsaPublicKey,
}

impl ApkKey {
    /// Reads a public key in PEM; its file's name is the key's.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(path).map_err(Problem::file(path))?;
        let key = RsaPublicKey::from_public_key_pem(&text).ok();
        let key = key.or_else(|| RsaPublicKey::from_pkcs1_pem(&text).ok());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let strong = key.filter(|key| key.n().bits() >= LEAST_BITS);
        strong.map(|key| Self { name, key }).ok_or(Problem::Signature(SignatureProblem::Weak))
    }

    fn signer(&self) -> Signer {
        let octets = self.key.to_public_key_der().map(|der| der.as_bytes().to_vec());
        Signer {
            key: format!("rsa:{}", encode_hex(&sha256(&octets.unwrap_or_default()))),
            name: self.name.clone(),
            signed_at_s: None,
            expires_at_s: None,
        }
    }
}

struct Parts {
    name: String,
    signature: Vec<u8>,
    control: std::ops::Range<usize>,
}

/// Reads a package: signature over the control stream, its digest of the data stream, and the files in that.
pub fn package(
    path: &Path,
    keys: &[ApkKey],
    readers: &mut Readers,
) -> Result<PackageReading, Problem> {
    let octets = crate::deb::read(path)?;
    let parts = parts(&octets, readers)?;
    let control = octets.get(parts.control.clone()).ok_or(Refusal::Bound)?;
    let data = &octets[parts.control.end..];
    let Some(named) = parts.name.strip_prefix(RSA256) else {
        return Err(SignatureProblem::Weak.into());
    };
    let key = keys.iter().find(|key| key.name == named).ok_or(SignatureProblem::UnknownKey)?;
    let scheme = Pkcs1v15Sign::new::<Sha256>();
    let verified = key.key.verify(scheme, &sha256(control), &parts.signature);
    verified.map_err(|_| SignatureProblem::Bad)?;
    let signer = key.signer();
    let domain = Domain::Signer(&signer.key);
    let mut collector = Collector::default();
    readers.ask(domain, Job::ApkControl, &mut &*control, &mut |said| collector.hear(said))?;
    let stated = collector.fact(b"data-digest").ok_or(Refusal::Missing)?;
    if !stated.eq_ignore_ascii_case(encode_hex(&sha256(data)).as_bytes()) {
        return Err(Problem::Changed("data"));
    }
    readers.ask(domain, Job::ApkData, &mut &*data, &mut |said| collector.hear(said))?;
    collector.finish(Format::Apk, Verified::Signature, Some(signer))
}

fn parts(octets: &[u8], readers: &mut Readers) -> Result<Parts, Problem> {
    let mut parts = Parts { name: String::new(), signature: Vec::new(), control: 0..0 };
    readers.ask(Domain::Unverified, Job::ApkParts, &mut &*octets, &mut |said| {
        match said {
            Statement::Fact { name: b"signature-name", value } => parts.name = text(value)?,
            Statement::Octets { part: Part::Signature, octets } => {
                parts.signature = octets.to_vec();
            }
            Statement::Fact { name: b"control", value } => {
                let value = text(value)?;
                let (start, end) = value.split_once(' ').ok_or(Refusal::Malformed)?;
                let number = |text: &str| text.parse().map_err(|_| Refusal::Malformed);
                parts.control = number(start)?..number(end)?;
            }
            _ => return Err(Refusal::Malformed.into()),
        }
        Ok(())
    })?;
    // Data that overlaps control, or nothing between them: a lie, or no package.
    let sound = parts.control.start < parts.control.end && parts.control.end <= octets.len();
    if sound { Ok(parts) } else { Err(Refusal::Inconsistent.into()) }
}
