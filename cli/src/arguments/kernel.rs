//! `quixote kernel`: the programs of the kernel source.

use clap::Args;
use clap::Subcommand;

use super::run::ProfileChoice;

/// The programs of the kernel source.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quixote kernel status            is BPF LSM active, what is loaded, who uses it
  quixote kernel load              load now, so that the first run does not have to
  quixote kernel load --lockdown   and lock root outside out, until the next boot
  quixote kernel unload            take them away again, those of other builds too, when no namespace runs")]
pub(crate) enum KernelCommand {
    /// Say what is loaded, of this and other builds of quixote, and how many namespaces run under it
    #[command(after_help = "Examples:\n  quixote kernel status\n  quixote kernel status --json")]
    Status(KernelArguments),
    /// Load, attach and pin the programs; a run with `--source kernel` does so too
    #[command(after_help = "\
Examples:
  quixote kernel load
  quixote kernel load --lockdown
  quixote kernel load --lockdown --profile full")]
    Load(LoadArguments),
    /// Detach and remove the programs, of other builds too; those under which namespaces run stay, and all under a lockdown
    #[command(after_help = "Examples:\n  quixote kernel unload\n  quixote kernel unload --json")]
    Unload(KernelArguments),
}

/// How to tell what is loaded.
#[derive(Args, Debug)]
pub(crate) struct KernelArguments {
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to load.
#[derive(Args, Debug)]
pub(crate) struct LoadArguments {
    /// Until the next boot, let nobody signal, trace or limit orchestrators, open the programs' maps, or remove their
    /// pins: root outside every namespace neither. Tracing programs can then not be loaded either
    #[arg(long)]
    pub(crate) lockdown: bool,
    /// For namespaces of which profile. Those of 'full' are otherwise loaded by the first run that wants them, which a
    /// lockdown does not let
    #[arg(long, value_enum, default_value_t = ProfileChoice::Core)]
    pub(crate) profile: ProfileChoice,
    #[command(flatten)]
    pub(crate) how: KernelArguments,
}
