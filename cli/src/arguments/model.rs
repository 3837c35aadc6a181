//! The commands about models as files.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use clap::ValueHint;

/// What is asked about models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Show a model: its header, and every event it holds
    Show(ShowArguments),
    /// Say in words what a model allows, by program and by what it touches
    Explain(ExplainArguments),
    /// Compare two models: behaviour added and removed; status 1 if they differ
    Diff(DiffArguments),
    /// Merge models of one workload, under a new serial number
    Merge(MergeArguments),
    /// Carry a model of plain digests over to upgraded packages; status 1 if something is left that
    /// they do not explain
    Rebase(RebaseArguments),
    /// Look for what a reviewer should think about; status 1 if there is more than notes
    Lint(LintArguments),
    /// Sign a model that you have reviewed
    Sign(SignArguments),
    /// Check a model's signature, state and serial number
    Verify(VerifyArguments),
    /// Make a key to sign with, and pin its public half
    Keygen(KeygenArguments),
    /// Pin a public key: models that it signed are trusted
    Pin(PinArguments),
}

/// Show a model.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model show web.model            every event it holds
  quixote model show --header web.model   who made it, its rules and its state")]
pub(crate) struct ShowArguments {
    /// The model
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// Only the header
    #[arg(long)]
    pub(crate) header: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Explain a model.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model explain web.model | less   read it before you sign it")]
pub(crate) struct ExplainArguments {
    /// The model
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Compare two models.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model diff old.model new.model   behaviour added and removed")]
pub(crate) struct DiffArguments {
    /// What was
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) old: PathBuf,
    /// What is
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) new: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Merge models.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model merge -o web.model day.model night.model")]
pub(crate) struct MergeArguments {
    /// The models
    #[arg(required = true, num_args = 2.., value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) models: Vec<PathBuf>,
    /// Write the merged model here
    #[arg(short, long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Merge even models that differ in workload, profile, platform or port range; what differs is
    /// taken from the first
    #[arg(long)]
    pub(crate) force: bool,
    /// As JSON: what the merged model is
    #[arg(long)]
    pub(crate) json: bool,
}

/// Carry a model over to upgraded packages.
#[derive(Args, Debug)]
#[command(after_help = "\
A digest is exchanged where a signed package had exactly that content before, and has another one, signed
by the same key and of no lower version, now. Everything else stays and is told.

Examples:
  quixote references scan -o before.references      before the upgrade
  quixote references scan -o after.references       after it
  quixote model rebase web.model --from before.references --to after.references -o new.model")]
pub(crate) struct RebaseArguments {
    /// The model
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// What was signed where the model was learned, from 'quixote references scan -o'
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) from: PathBuf,
    /// What is signed where it is to be enforced
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) to: PathBuf,
    /// Write the rebased model here; it is not signed
    #[arg(short, long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Look for what a reviewer should think about.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model lint web.model          what a reviewer should look at
  quixote model lint --json web.model   the same for programs")]
pub(crate) struct LintArguments {
    /// The model
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// Directory of pinned public keys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) trust: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Sign a model.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model sign --key me.key web.model
  quixote model sign --key second.key --add web.model   a second signature

The signature is written beside the model, as MODEL.sig. A model that was learned with lost events
is not signed.")]
pub(crate) struct SignArguments {
    /// The model
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// The private key
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// Add to the signatures that are there
    #[arg(long)]
    pub(crate) add: bool,
    /// As JSON: what was signed
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check a model's signature.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model verify web.model
  quixote model verify --trust ./trust web.model   keys pinned elsewhere")]
pub(crate) struct VerifyArguments {
    /// The model
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// Directory of pinned public keys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) trust: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a key.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model keygen -o me.key                          pins me.key.pub on this machine
  quixote model keygen --algorithm ecdsa-p256 -o me.key")]
pub(crate) struct KeygenArguments {
    /// Write the private key here, and the public key to KEY.pub
    #[arg(short, long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// What makes the signatures
    #[arg(long, value_enum, default_value_t = Algorithm::Ed25519)]
    pub(crate) algorithm: Algorithm,
    /// Do not pin the public key on this machine
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// Directory of pinned public keys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) trust: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Pin a public key.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote model pin colleague.key.pub
  quixote model pin --workload web colleague.key.pub   for models of web only")]
pub(crate) struct PinArguments {
    /// The public key
    #[arg(value_name = "KEY.pub", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// Trust it for models of this workload only
    #[arg(long)]
    pub(crate) workload: Option<String>,
    /// Directory of pinned public keys
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) trust: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What makes signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// Small and fast
    Ed25519,
    /// For what must be FIPS 186-5
    EcdsaP256,
}
