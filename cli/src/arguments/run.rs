//! The commands that run a workload: `learn`, `monitor`, `enforce`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction;
use clap::Args;
use clap::ValueEnum;
use clap::ValueHint;
use orchestrator::source::Source;
use orchestrator::tma::Tma;
use orchestrator::workload;
use tsem::Profile;

use crate::exit;

const LEARN_EXAMPLES: &str = "\
Examples:
  quixote learn -o backup.model -- ./backup.sh
  quixote learn -o backup.model --runs 3 -- ./backup.sh     what varies between runs shows itself
  quixote learn -o backup.model -- ./backup.sh --restore    run again: the model grows
  quixote learn -o web.model --digest /etc/nginx -- nginx   content of the configuration counts
  quixote learn -o web.model --references auto -- nginx   signed upgrades keep the model
  quixote learn -o web.model --profile full --source kernel -- nginx   every event there is";

const MONITOR_EXAMPLES: &str = "\
Examples:
  quixote monitor backup.model -- ./backup.sh
  quixote monitor backup.model --fail-on-violation -- ./backup.sh   for tests: status 120";

const ENFORCE_EXAMPLES: &str = "\
Examples:
  quixote enforce backup.model -- ./backup.sh
  quixote enforce web.model --on-violation kill --on-crash kill -- nginx -g 'daemon off;'
  quixote enforce draft.model --allow-unsigned -- ./backup.sh
  quixote enforce backup.model --tma process -- ./backup.sh   what decides is a process of its own
  quixote enforce backup.model --tma vm --verdict-cache -- ./backup.sh   and is asked once of each event";

/// The long help: examples, and what the exit status means.
fn with_statuses(examples: &str) -> String {
    format!("{examples}\n\n{}", exit::HELP)
}

/// What every run has.
#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Name of the namespace, for `ps`, `show` and `accept` [default: the workload's]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where the trusted modeling agent runs, which decides: in the orchestrator, in a sandboxed
    /// process of its own, alone in a virtual machine: vm or vm:IMAGE, or elsewhere: unix:PATH,
    /// vsock:CID:PORT, serial:DEVICE
    #[arg(long, value_name = "WHERE", default_value_t)]
    pub(crate) tma: Tma,
    /// Where the events come from
    #[arg(long, value_enum, value_name = "SOURCE", default_value_t)]
    pub(crate) source: SourceChoice,
    /// Run the workload as this user, with its groups (or with GID alone), and without a way to gain
    /// privileges: as if that user ran quixote. Needs --source kernel, and root
    #[arg(long, value_name = "NAME|UID[:GID]", value_hint = ValueHint::Username)]
    pub(crate) user: Option<String>,
    /// What becomes of the workload if quixote itself is killed
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) on_crash: OnCrash,
    /// End with the summary as one JSON object on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the summary to FILE as one JSON object
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) summary: Option<PathBuf>,
    /// Hold all messages until the workload has ended
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The workload: a program and its arguments
    #[arg(last = true, required = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
}

/// Where the events of a run come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SourceChoice {
    /// The kernel where it works, else portable
    Auto,
    /// BPF programs in the kernel; needs root
    Kernel,
    /// Seccomp user notification; needs nothing
    #[default]
    Portable,
}

impl SourceChoice {
    /// The source of a run that is about the events of `profile`: `full` is the kernel's alone.
    pub(crate) fn source_for(self, profile: Profile) -> Source {
        match self {
            Self::Auto if profile == Profile::Full => Source::Kernel,
            Self::Auto => Source::best(),
            Self::Kernel => Source::Kernel,
            Self::Portable => Source::Portable,
        }
    }
}

/// What becomes of a workload whose orchestrator was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnCrash {
    /// What nobody can judge any more is denied; the kernel goes on allowing what it has the model for
    #[default]
    Deny,
    /// All of it ends
    Kill,
}

impl From<OnCrash> for workload::OnCrash {
    fn from(choice: OnCrash) -> Self {
        match choice {
            OnCrash::Deny => Self::Deny,
            OnCrash::Kill => Self::Kill,
        }
    }
}

/// What every run under a model has.
#[derive(Args, Debug)]
pub(crate) struct ModelArguments {
    /// The model
    #[arg(value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: PathBuf,
    /// Use a model that nobody has signed
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// Directory of pinned public keys [default: /etc/quixote/trust for root, else
    /// ~/.config/quixote/trust]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) trust: Option<PathBuf>,
    /// What signed packages vouch for on this machine: 'auto' scans it now, FILE is what
    /// 'quixote references scan -o FILE' wrote; needed where the model has reference rules
    #[arg(long, value_name = "auto|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) references: Option<PathBuf>,
    /// Do not send an event to the agent again that it has found in the model; needs a --tma. It
    /// then sees less, and says so when it attests
    #[arg(long)]
    pub(crate) verdict_cache: bool,
    /// End with status 120 if any event was outside the model
    #[arg(long)]
    pub(crate) fail_on_violation: bool,
}

/// Run a workload and learn a model of what it does.
#[derive(Args, Debug)]
#[command(after_help = LEARN_EXAMPLES, after_long_help = with_statuses(LEARN_EXAMPLES))]
pub(crate) struct LearnArguments {
    /// Write the model here; learning runs are kept beside it, in MODEL.runs
    #[arg(short, long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Run the workload so many times. No run begins in the second in which the one before ended:
    /// names that are made from the time differ
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// What to do with the rules that are proposed from what varied between runs
    /// [default: ask on a terminal, else all]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) accept_rules: Option<AcceptRules>,
    /// Refuse the proposed rule of this number, or of this text (may be given several times)
    #[arg(long, value_name = "N|RULE", action = ArgAction::Append)]
    pub(crate) reject_rule: Vec<String>,
    /// Let the content of files count that fit PATTERN (may be given several times)
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append)]
    pub(crate) digest: Vec<String>,
    /// Add a rule, as it stands in a model, such as 'name /tmp/tmp{alnum:6} made' or
    /// 'address 10.0.0.0/8 443' (may be given several times)
    #[arg(long, value_name = "RULE", action = ArgAction::Append)]
    pub(crate) rule: Vec<String>,
    /// Propose rules that name executables and libraries by package and signer instead of their
    /// content, from a scan of this machine ('auto') or from what 'quixote references scan -o FILE'
    /// wrote: a signed upgrade then keeps the model
    #[arg(long, value_name = "auto|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) references: Option<PathBuf>,
    /// A further key that may sign the packages of proposed reference rules: the fingerprint of
    /// another archive of the same distribution, or of a key to come (may be given several times)
    #[arg(long, value_name = "KEY", action = ArgAction::Append, requires = "references")]
    pub(crate) signer: Vec<String>,
    /// Which events the model is about [default: the model's, or core]
    #[arg(long, value_enum, value_name = "PROFILE")]
    pub(crate) profile: Option<ProfileChoice>,
    /// Forget earlier runs of this model and its rules, once there is a new run; serial numbers go
    /// on
    #[arg(long)]
    pub(crate) anew: bool,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// Which events a model is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileChoice {
    /// What both sources see alike
    Core,
    /// Every event that the kernel source sees; needs --source kernel
    Full,
}

impl From<ProfileChoice> for Profile {
    fn from(choice: ProfileChoice) -> Self {
        match choice {
            ProfileChoice::Core => Self::Core,
            ProfileChoice::Full => Self::Full,
        }
    }
}

/// What to do with proposed rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AcceptRules {
    /// Write all into the model
    All,
    /// Write none
    None,
    /// Ask for each, on the terminal
    Ask,
}

/// Run a workload and report what is outside its model.
#[derive(Args, Debug)]
#[command(after_help = MONITOR_EXAMPLES, after_long_help = with_statuses(MONITOR_EXAMPLES))]
pub(crate) struct MonitorArguments {
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// Run a workload and deny what is outside its model.
#[derive(Args, Debug)]
#[command(after_help = ENFORCE_EXAMPLES, after_long_help = with_statuses(ENFORCE_EXAMPLES))]
pub(crate) struct EnforceArguments {
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    /// What a violation does besides being denied
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = OnViolation::Untrust)]
    pub(crate) on_violation: OnViolation,
    /// Enforce a model also where this kernel lacks hooks that it was learned with: their events go
    /// through without being judged, and the record says so
    #[arg(long)]
    pub(crate) allow_missing_hooks: bool,
    /// Keep root outside from signalling, tracing and limiting the workload too; with the kernel source, under
    /// 'quixote kernel load --lockdown'
    #[arg(long)]
    pub(crate) shield: bool,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

/// What a violation does besides being denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnViolation {
    /// Nothing: this event only is denied
    Deny,
    /// Every later event of the process is denied too
    Untrust,
    /// The whole namespace ends
    Kill,
}

impl From<OnViolation> for tsem::OnViolation {
    fn from(choice: OnViolation) -> Self {
        match choice {
            OnViolation::Deny => Self::Deny,
            OnViolation::Untrust => Self::Untrust,
            OnViolation::Kill => Self::Kill,
        }
    }
}
