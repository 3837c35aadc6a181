//! Signatures that a layout holds of its own images, where registries and cosign keep them.
//!
//! - **Referrers** (OCI 1.1): manifests whose `subject` is the image, named by the layout's index, or by an index under
//!   the tag `sha256-DIGITS`. Their layers are Sigstore bundles.
//! - **cosign's older form**: a manifest under the tag `sha256-DIGITS.sig`, marked as signatures by `cosign save`, or a
//!   referrer; its layers are payloads, each with its signature as an annotation.
//!
//! Where something lies says only where to look, because nobody has signed that. A signature counts when whom the user
//! states made it, and when it is of this very image by what was signed.

use std::collections::BTreeSet;

use reference_formats::Refusal;
use reference_formats::sigstore::is_bundle;

use super::Descriptor;
use super::Layout;
use super::Trust;
use super::descriptors;
use crate::deb::Sha256Digest;
use crate::digest::decode_hex;
use crate::digest::encode_hex;
use crate::problem::NotVouched;
use crate::problem::Problem;
use crate::readers::Domain;
use crate::readers::Readers;
use crate::record::Signer;
use crate::sigstore::Signed;
use crate::sigstore::SignedBy;

/// Most manifests that are opened to find out what they are.
const MAX_OPENED: usize = 1024;
/// Most signatures that are tried for one image.
const MAX_TRIED: usize = 256;
/// Of a layer: one of cosign's older payloads.
const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// How cosign marks what it saves beside an image, and ends the tags of the same.
const OLDER_SIGNATURES: (&str, &str) = ("dev.cosignproject.cosign/sigs", ".sig");
const OLDER_OTHERS: [(&str, &str); 2] =
    [("dev.cosignproject.cosign/atts", ".att"), ("dev.cosignproject.cosign/sboms", ".sbom")];
/// What a statement may state for its subject to be signed: that it is, or who built it. Any other statement, such as what a
/// scanner found in it, is one about an image, and nobody chose it here.
const SIGNS: [&str; 3] = [
    "https://sigstore.dev/cosign/sign/v1",
    "https://slsa.dev/provenance/v1",
    "https://slsa.dev/provenance/v0.2",
];

impl Layout {
    /// Finds a signature of an image by whom the user states: of the image (or index) with this digest, or without one
    /// of the only image.
    ///
    /// # Errors
    ///
    /// The layout holds no signature of it, or none of them counts: then the first reasons are told.
    pub fn signed(
        &self,
        digest: Option<Sha256Digest>,
        by: &SignedBy,
        readers: &mut Readers,
    ) -> Result<Trust, Problem> {
        let survey = Survey::of(self, readers)?;
        let image = digest.map_or_else(|| survey.only_image(), Ok)?;
        let mut refused = Vec::new();
        let mut tried = 0;
        for holder in survey.holders.iter().filter(|holder| holder.concerns(&image)) {
            for layer in holder.layers() {
                tried += 1;
                if tried > MAX_TRIED {
                    return Err(Refusal::Bound.into());
                }
                match self.signer(holder, layer, &image, by, readers) {
                    Ok(signer) => return Ok(Trust::Signed(image, signer)),
                    Err(why) => refused.push(NotVouched { what: encode_hex(&layer.digest), why }),
                }
            }
        }
        refused.extend(survey.unread);
        if refused.is_empty() {
            Err(Problem::NoSignature)
        } else {
            Err(Problem::NoneCounts(refused))
        }
    }

    /// Who signed the image by this layer.
    fn signer(
        &self,
        holder: &Holder,
        layer: &Descriptor,
        image: &Sha256Digest,
        by: &SignedBy,
        readers: &mut Readers,
    ) -> Result<Signer, Problem> {
        if holder.subject.is_some_and(|subject| subject != *image) {
            return Err(Problem::OtherImage("the manifest that it lies in"));
        }
        let octets = self.blob(&layer.digest)?;
        let Signed { digests, signer, states } = if is_bundle(&layer.media_type) {
            by.verify(&octets, readers)?
        } else {
            let signature = layer.cosign.signature.as_deref();
            let signature = signature.ok_or(Problem::Missing("signature beside its payload"))?;
            by.verify_payload(&octets, signature, layer.cosign.keyless, readers)?
        };
        if !digests.contains(image) {
            return Err(Problem::OtherImage("what is signed"));
        }
        match states {
            Some(states) if !SIGNS.contains(&states.as_str()) => Err(Problem::States(states)),
            _ => Ok(signer),
        }
    }

    /// The one image that the layout holds, beside signatures and what else is about it.
    pub(super) fn only_image(&self, readers: &mut Readers) -> Result<Sha256Digest, Problem> {
        Survey::of(self, readers)?.only_image()
    }
}

/// What a layout's index names, told apart.
#[derive(Default)]
struct Survey {
    images: BTreeSet<Sha256Digest>,
    holders: Vec<Holder>,
    /// What could not be read, so that nobody knows what it is.
    unread: Vec<NotVouched>,
    opened: usize,
}

/// A manifest that may hold signatures.
struct Holder {
    /// The image that it says it is about.
    subject: Option<Sha256Digest>,
    /// The image whose tag it lies under.
    tagged: Option<Sha256Digest>,
    named: Vec<Descriptor>,
}

impl Holder {
    /// Whether it is there to be looked at for this image. One that says nothing is: what is signed decides.
    fn concerns(&self, image: &Sha256Digest) -> bool {
        match (self.tagged, self.subject) {
            (None, None) => true,
            (tagged, subject) => tagged == Some(*image) || subject == Some(*image),
        }
    }

    fn layers(&self) -> impl Iterator<Item = &Descriptor> {
        let signature = |one: &&Descriptor| is_bundle(&one.media_type) || one.media_type == PAYLOAD;
        self.named.iter().filter(|one| one.name == "layer").filter(signature)
    }
}

impl Survey {
    fn of(layout: &Layout, readers: &mut Readers) -> Result<Self, Problem> {
        let mut survey = Self::default();
        let index = layout.index(readers)?;
        if let [only] = &index[..] {
            survey.images.insert(only.digest);
            return Ok(survey);
        }
        for one in &index {
            let tagged = tagged(&one.tag);
            let is = |(kind, suffix): (&str, &str)| {
                one.cosign.kind == kind || tagged.is_some_and(|tag| tag.1 == suffix)
            };
            if OLDER_OTHERS.into_iter().any(is) {
                continue;
            }
            let Some(named) = survey.open(layout, one, readers)? else { continue };
            let tag = tagged.map(|tag| tag.0);
            if is(OLDER_SIGNATURES) {
                survey.holders.push(Holder { subject: subject(&named), tagged: tag, named });
            } else if tagged.is_some_and(|tag| tag.1.is_empty()) {
                survey.add_referrers(layout, &named, tag, readers)?;
            } else if subject(&named).is_some() {
                survey.holders.push(Holder { subject: subject(&named), tagged: None, named });
            } else {
                survey.images.insert(one.digest);
            }
        }
        Ok(survey)
    }

    /// What an index under an image's tag names.
    fn add_referrers(
        &mut self,
        layout: &Layout,
        named: &[Descriptor],
        tagged: Option<Sha256Digest>,
        readers: &mut Readers,
    ) -> Result<(), Problem> {
        for one in named.iter().filter(|one| one.name == "manifest") {
            if let Some(named) = self.open(layout, one, readers)? {
                self.holders.push(Holder { subject: subject(&named), tagged, named });
            }
        }
        Ok(())
    }

    /// What a manifest names; none if it cannot be read, which is noted.
    fn open(
        &mut self,
        layout: &Layout,
        one: &Descriptor,
        readers: &mut Readers,
    ) -> Result<Option<Vec<Descriptor>>, Problem> {
        self.opened += 1;
        if self.opened > MAX_OPENED {
            return Err(Refusal::Bound.into());
        }
        let octets = layout.blob(&one.digest);
        match octets.and_then(|octets| descriptors(&octets, Domain::Unverified, readers)) {
            Ok(named) => Ok(Some(named)),
            Err(why) => {
                self.unread.push(NotVouched { what: encode_hex(&one.digest), why });
                Ok(None)
            }
        }
    }

    fn only_image(&self) -> Result<Sha256Digest, Problem> {
        let mut images = self.images.iter();
        match (images.next(), images.next()) {
            (Some(only), None) if self.unread.is_empty() => Ok(*only),
            _ => Err(Problem::Missing("single image: name one by its digest")),
        }
    }
}

fn subject(named: &[Descriptor]) -> Option<Sha256Digest> {
    named.iter().find(|one| one.name == "subject").map(|one| one.digest)
}

/// `sha256-DIGITS` and what follows.
fn tagged(tag: &str) -> Option<(Sha256Digest, &str)> {
    let (digits, suffix) = tag.strip_prefix("sha256-")?.split_at_checked(64)?;
    let digest = decode_hex(digits.as_bytes())?.try_into().ok()?;
    Some((digest, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_the_image_that_it_is_about() {
        let digits = "ab".repeat(32);
        assert_eq!(tagged(&format!("sha256-{digits}")), Some(([0xab; 32], "")));
        assert_eq!(tagged(&format!("sha256-{digits}.sig")), Some(([0xab; 32], ".sig")));
        for other in [
            "latest",
            "sha256-ab",
            &format!("sha512-{digits}"),
            &format!("sha256-{}", "x".repeat(64)),
        ] {
            assert_eq!(tagged(other), None, "{other}");
        }
    }
}
