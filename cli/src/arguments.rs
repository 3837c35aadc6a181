//! The command line: what can be asked, in words.

pub(crate) mod attest;
pub(crate) mod ima;
pub(crate) mod kernel;
pub(crate) mod model;
pub(crate) mod namespace;
pub(crate) mod references;
pub(crate) mod run;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::exit;

const EXAMPLES: &str = "\
Examples:
  quixote learn -o nginx.model --runs 2 -- ./exercise-nginx.sh   learn what the workload does
  quixote model explain nginx.model                              read what the model allows
  quixote model keygen -o me.key                                 make a key, once
  quixote model sign --key me.key nginx.model                    say yes to the model
  quixote enforce nginx.model -- nginx -g 'daemon off;'          deny everything else
  quixote show nginx forensics                                   see what was outside the model
";

const ENVIRONMENT: &str = "\
Environment:
  QUIXOTE_LOG          what is told beside results, on stderr: targets and levels, such as
                       `audit=warn,user=warn,dev=error` (the default) or `dev=debug`.
                       audit: what a security engineer keeps; every event that is lost is named
  QUIXOTE_STATE_DIR    where records, keys of agents and unfinished runs are kept
  QUIXOTE_RUNTIME_DIR  where running namespaces have their sockets
  QUIXOTE_TRUST_DIR    where the keys are that models are accepted from
  NO_COLOR             no colour, if it is set and not empty
";

/// Keeps a Linux workload inside the security behaviour that it was tested to.
///
/// Learn a model of what a workload does, review and sign it, then run the workload so that
/// anything else is denied before it takes effect. No privileges are needed.
#[derive(Debug, Parser)]
#[command(
    name = "quixote",
    version,
    max_term_width = 100,
    after_help = EXAMPLES,
    after_long_help = long_help(),
    propagate_version = true
)]
pub(crate) struct Arguments {
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = false)]
    pub(crate) color: ColorChoice,
    /// What is asked.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless the variable `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workload and learn a model of what it does
    Learn(run::LearnArguments),
    /// Show, explain, compare, merge, check, sign and verify models
    Model {
        #[command(subcommand)]
        command: model::ModelCommand,
    },
    /// Run a workload and report what is outside its model; nothing is denied
    Monitor(run::MonitorArguments),
    /// Run a workload and deny what is outside its model, before it takes effect
    Enforce(run::EnforceArguments),
    /// List running and recorded namespaces
    Ps(namespace::PsArguments),
    /// Show one aspect of a running or recorded namespace
    Show(namespace::ShowArguments),
    /// Put a newer model in force in a namespace that runs, at once and whole
    Replace(namespace::ReplaceArguments),
    /// Turn reviewed forensics into an addition to the model
    Accept(namespace::AcceptArguments),
    /// Have the agent of a running namespace sign what it is and what it has seen
    Attest(attest::AttestArguments),
    /// Check an attestation, without the agent
    VerifyAttestation(attest::VerifyAttestationArguments),
    /// Make an agent that runs elsewhere this orchestrator's, once
    Provision(attest::ProvisionArguments),
    /// Find which signed packages vouch for which files
    References {
        #[command(subcommand)]
        command: references::ReferencesCommand,
    },
    /// Load, unload and show the programs of the kernel source
    Kernel {
        #[command(subcommand)]
        command: kernel::KernelCommand,
    },
    /// Say what this machine can do, what is missing, and the command that mends it
    Doctor(namespace::DoctorArguments),
    /// Write a completion script for a shell
    #[command(
        after_help = "Examples:\n  quixote completions bash > ~/.local/share/bash-completion/completions/quixote"
    )]
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// Into this directory, one file a command; without it, the first page to stdout
        #[arg(value_name = "DIR")]
        directory: Option<std::path::PathBuf>,
    },
}

impl Arguments {
    /// What the command line says, or why it cannot be understood.
    pub(crate) fn from_command_line() -> Result<Self, clap::Error> {
        Self::try_parse()
    }

    /// The definition, for completions and manual pages.
    pub(crate) fn definition() -> clap::Command {
        Self::command()
    }
}

fn long_help() -> String {
    format!("{EXAMPLES}\n{ENVIRONMENT}\n{}", exit::HELP)
}

#[cfg(test)]
mod tests;
