//! Why something does not vouch.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use reference_formats::Refusal;

use crate::openpgp::SignatureProblem;
use crate::sigstore::keyless::KeylessProblem;
use crate::store::StoreProblem;
use crate::worker::WorkerProblem;

/// Why a package or document does not vouch for its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The isolated parser did not come to a result.
    #[error(transparent)]
    Worker(#[from] WorkerProblem),
    /// The parser refuses it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Its signature does not count.
    #[error("{0}")]
    Signature(#[from] SignatureProblem),
    /// A part does not have the digest that is stated for it.
    #[error("its {0} is not what was signed: the digest differs")]
    Changed(&'static str),
    /// A part that must be there is not.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// Nothing that is signed names it.
    #[error("no signed index that is at hand names it{0}")]
    NotListed(&'static str),
    /// Nothing is left of what vouched for it when it was installed.
    #[error(
        "nothing is left that vouches for it; `quixote references capture` keeps evidence, from package files \
         or at every installation"
    )]
    NoEvidence,
    /// The package file, which alone is signed, is not there.
    #[error(
        "its package file, which alone is signed, is not in the cache; name its folder with --packages"
    )]
    NoPackageFile,
    /// An OCI layout holds no signature of its image.
    #[error(
        "it holds no signature of the image; copy the image with its signatures (`oras copy -r`, `cosign save`), or give \
         one: --bundle FILE"
    )]
    NoSignature,
    /// An OCI layout holds signatures, and none of them counts: each by its digest.
    #[error("none of the signatures that it holds counts: {}", told(.0))]
    NoneCounts(Vec<NotVouched>),
    /// A signature, or where it lies, is about another image.
    #[error("{0} is about another image")]
    OtherImage(&'static str),
    /// A signed statement says something else of the image than that it is signed or who built it.
    #[error(
        "it states {0:?} of the image, and not that it is signed; give it by --bundle if that is enough for you"
    )]
    States(String),
    /// It is signed by a short-lived certificate, and not by a key that can be pinned.
    #[error("{0}")]
    Keyless(#[from] KeylessProblem),
    /// Kept evidence does not hold.
    #[error("{0}")]
    Store(#[source] Box<StoreProblem>),
    /// A thread of ours ended before it was read.
    #[error("they were not read to the end; this is a fault of quixote's")]
    Lost,
    /// Larger than the bound.
    #[error("its {0} is larger than the bound")]
    TooLarge(&'static str),
}

impl From<StoreProblem> for Problem {
    fn from(problem: StoreProblem) -> Self {
        match problem {
            StoreProblem::NotHeld(problem) => *problem,
            other => Self::Store(Box::new(other)),
        }
    }
}

impl Problem {
    /// A file's error, with its name.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}

/// Signatures and why they do not count, the first of them.
fn told(refused: &[NotVouched]) -> String {
    const TOLD: usize = 3;
    let one = |not: &NotVouched| format!("sha256:{}: {}", not.what, not.why);
    let more = refused.len().saturating_sub(TOLD);
    let more = (more > 0).then(|| format!("and {more} more"));
    refused.iter().take(TOLD).map(one).chain(more).collect::<Vec<_>>().join("; ")
}

/// Something that does not vouch, and why.
#[derive(Debug)]
pub struct NotVouched {
    /// What it is: a package by name where one is known, or a file.
    pub what: String,
    /// Why.
    pub why: Problem,
}
