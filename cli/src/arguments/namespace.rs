//! The commands about running and recorded namespaces, and about the machine.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use clap::ValueHint;

use crate::exit;

/// List namespaces.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote ps                 what runs
  quixote ps --all           recorded runs besides
  quixote ps --all --json    the same for programs")]
pub(crate) struct PsArguments {
    /// Those too that have ended
    #[arg(short, long)]
    pub(crate) all: bool,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show a namespace.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote show backup forensics       what was outside the model, and what nearest is in it
  quixote show backup state           64 hexadecimal digits, to compare or attest to
  quixote show ./record.json counts   a record by its file
  quixote show web model              which model is in force, and which have replaced it")]
pub(crate) struct ShowArguments {
    /// Name of a namespace, or the file of a record
    #[arg(value_name = "NAME|RECORD")]
    pub(crate) namespace: String,
    /// What to show
    #[arg(value_enum)]
    pub(crate) aspect: Aspect,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What can be shown of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Aspect {
    /// The events that formed the model
    Trajectory,
    /// The events outside the model
    Forensics,
    /// The good coefficients
    Coefficients,
    /// What was counted
    Counts,
    /// The order-independent value of all distinct coefficients
    State,
    /// The order-dependent value of all distinct coefficients
    Measurement,
    /// The file of the model in force, and what has replaced a model while the namespace ran
    Model,
}

const REPLACE_EXAMPLES: &str = "\
Examples:
  quixote accept web --only 1 -o web.model          review what was denied, and add it
  quixote model sign --key me.key web.model         say yes to the new model
  quixote replace web web.model                     put it in force; the workload runs on
  quixote replace web web.model --json              the same for programs";

const REPLACE_TERMS: &str = "\
The orchestrator that runs the workload decides, by the trust that it was started with: a key that
is pinned now, in the directory of its --trust, must have signed the model; an unsigned one follows
only an unsigned one that was started with --allow-unsigned. The model must be of the same
workload, profile and platform, have a higher serial than the one in force, and the very same rules:
under other rules the processes that run would have other names, so restart the workload with such
a model. Its serial is then the lowest that is accepted.

The model is put in force between two events, whole or not at all. What it has is allowed from then
on, and what it lacks is denied, also where it was allowed before; what was opened or executed stays
so. What has happened stays in record, state and measurement. A process that is untrusted stays so.

Only 'enforce' and 'monitor' have a model to replace, and only an agent in the orchestrator takes
another one: with --tma, restart the workload.";

fn replace_help() -> String {
    format!(
        "{REPLACE_EXAMPLES}\n\n{REPLACE_TERMS}\n\nExit status:\n  0    the model is in force\n  {}  \
         it is not, or no answer came; the message says why",
        exit::OWN_FAILURE
    )
}

/// Put a newer model in force in a namespace that runs.
#[derive(Args, Debug)]
#[command(after_help = REPLACE_EXAMPLES, after_long_help = replace_help())]
pub(crate) struct ReplaceArguments {
    /// Name of a running namespace
    #[arg(value_name = "NAME")]
    pub(crate) namespace: String,
    /// The newer model; its signature lies beside it, in MODEL.sig
    #[arg(value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// As JSON: serials, how many coefficients were added and removed, the model's state
    #[arg(long)]
    pub(crate) json: bool,
}

/// Accept reviewed forensics.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote accept backup -o backup.model              shows what would be added, and asks
  quixote accept backup --only 1 3 -o backup.model   only these, as `show backup forensics` numbers them
  quixote accept backup --all --yes -o backup.model  without a terminal

The model gets a new serial number and must be signed again.")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct AcceptArguments {
    /// Name of a namespace, or the file of a record
    #[arg(value_name = "NAME|RECORD")]
    pub(crate) namespace: String,
    /// Accept all forensics
    #[arg(long, conflicts_with = "only")]
    pub(crate) all: bool,
    /// Accept only these: the numbers that `show NAME forensics` gives, or the first digits of
    /// their coefficients
    #[arg(long, value_name = "N|COEFFICIENT", num_args = 1.., value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// The model to add to [default: the one the namespace ran under]
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: Option<PathBuf>,
    /// Write the model here
    #[arg(short, long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Also of a run whose orchestrator was lost, so that what came later is not known
    #[arg(long)]
    pub(crate) unfinished: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// As JSON: what was added
    #[arg(long)]
    pub(crate) json: bool,
}

/// Examine the machine.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote doctor           what works here, and the command that mends what does not
  quixote doctor --json    the same for programs; status 1 if quixote cannot work here")]
pub(crate) struct DoctorArguments {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
