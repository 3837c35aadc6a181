//! `quixote kernel`: the programs of the kernel source.

use clap::Args;
use clap::Subcommand;

/// The programs of the kernel source.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  quixote kernel status            is BPF LSM active, what is loaded, who uses it
  quixote kernel load              load now, so that the first run does not have to
  quixote kernel unload            take them away again, when no namespace runs")]
pub(crate) enum KernelCommand {
    /// Say what is loaded, and how many namespaces run under it
    #[command(after_help = "Examples:\n  quixote kernel status\n  quixote kernel status --json")]
    Status(KernelArguments),
    /// Load, attach and pin the programs; a run with `--source kernel` does so too
    #[command(after_help = "Examples:\n  quixote kernel load\n  quixote kernel load --json")]
    Load(KernelArguments),
    /// Detach and remove the programs; refused while namespaces run
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
