//! The commands about agents outside the orchestrator: `attest`, `verify-attestation`, `provision`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ArgAction;
use clap::Args;
use clap::ValueHint;
use orchestrator::tma::Tma;
use tma_protocol::bound::NONCE;

/// A challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nonce(pub(crate) Vec<u8>);

impl FromStr for Nonce {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octets = octets_of(text).filter(|octets| NONCE.contains(&octets.len()));
        octets.map(Self).ok_or("a challenge is 16 to 128 hexadecimal digits")
    }
}

/// The octets of hexadecimal digits.
pub(crate) fn octets_of(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let octet = |pair: &[u8; 2]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    if rest.is_empty() { pairs.iter().map(octet).collect() } else { None }
}

/// Have the agent of a running namespace sign what it is and what it has seen.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote attest web --nonce $(openssl rand -hex 32) -o web.attestation
  quixote attest web --nonce 00112233445566778899aabbccddeeff

The statement is an Entity Attestation Token (RFC 9711) in COSE_Sign1, signed with Ed25519.")]
pub(crate) struct AttestArguments {
    /// Name of a running namespace
    #[arg(value_name = "NAME")]
    pub(crate) namespace: String,
    /// The verifier's challenge, in hexadecimal digits: 8 to 64 octets that it has never used
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Nonce,
    /// Write the statement here; without it, in hexadecimal digits to stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// As JSON
    #[arg(long, conflicts_with = "output")]
    pub(crate) json: bool,
}

/// Check an attestation, without the agent.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote verify-attestation --nonce $NONCE --model web.model web.attestation
  quixote verify-attestation --nonce $NONCE --agent process.pin --model web.model web.attestation
  quixote verify-attestation --nonce $NONCE --allow-cache --model web.model web.attestation

Pins of agents lie in the folder agents of /var/lib/quixote, or ~/.local/state/quixote.
Ends with status 1 if the agent's word is that the workload was not within the model.")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct VerifyAttestationArguments {
    /// The statement
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) statement: PathBuf,
    /// The challenge that it must answer
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Nonce,
    /// The model that the workload must have been within
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: Option<PathBuf>,
    /// The pin of the agent [default: any that is pinned here]
    #[arg(long, value_name = "PIN", value_hint = ValueHint::FilePath)]
    pub(crate) agent: Option<PathBuf>,
    /// Accept that a verdict cache answered what the agent had allowed before
    #[arg(long)]
    pub(crate) allow_cache: bool,
    /// What packages vouch for where the workload runs, from 'quixote references scan' there; compared with what the
    /// agent was told
    #[arg(long, value_name = "FILE", requires = "model", value_hint = ValueHint::FilePath)]
    pub(crate) references: Option<PathBuf>,
    /// Accept the orchestrator's word for what packages vouch for, without comparing it
    #[arg(long, conflicts_with = "references")]
    pub(crate) allow_any_references: bool,
    /// Use a model that nobody has signed
    #[arg(long)]
    pub(crate) allow_unsigned: bool,
    /// Directory of pinned public keys that sign models
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) trust: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make an agent that runs elsewhere this orchestrator's, once.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quixote provision --tma serial:/dev/ttyACM0
  quixote provision --tma unix:/run/tma.sock --model-key /etc/quixote/trust/release.pub

An agent belongs to the first orchestrator that provisions it, until its keys are erased where it is.
With model keys it enforces only models that one of them signed.")]
pub(crate) struct ProvisionArguments {
    /// The agent: unix:PATH, vsock:CID:PORT or serial:DEVICE
    #[arg(long, value_name = "WHERE")]
    pub(crate) tma: Tma,
    /// A public Ed25519 key that signs models (may be given several times)
    #[arg(long, value_name = "FILE", action = ArgAction::Append, value_hint = ValueHint::FilePath)]
    pub(crate) model_key: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
