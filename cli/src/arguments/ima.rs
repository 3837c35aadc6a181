//! The commands about IMA: what a kernel is expected to measure, and what it may be told to accept.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use clap::ValueHint;

/// What is asked about IMA.
#[derive(Debug, Subcommand)]
pub(crate) enum ImaCommand {
    /// Write the measurements to expect when files are measured in a given order
    #[command(after_help = MEASUREMENTS_EXAMPLES)]
    Measurements(MeasurementsArguments),
    /// Tell the value of a PCR that a list of measurements leads to, in every bank
    #[command(after_help = PREDICT_EXAMPLES)]
    PredictPcr(PredictArguments),
    /// Check a kernel's list of measurements: each file vouched for, or named; status 1 if one is not
    #[command(after_help = VERIFY_EXAMPLES)]
    VerifyList(VerifyListArguments),
    /// Write the digests that packages vouch for as a kernel's digest list
    #[command(after_help = DIGEST_LIST_EXAMPLES)]
    DigestList(DigestListArguments),
    /// Sign files: their 'security.ima', as evmctl makes it
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(SignArguments),
}

const MEASUREMENTS_EXAMPLES: &str = "\
Examples:
  quixote references ima measurements --references all.references --order order.txt -o expected.list
  quixote references ima measurements --references all.references --order order.txt \\
      --boot-aggregate sha256:ef18... --binary -o expected.bin";
const PREDICT_EXAMPLES: &str = "\
Examples:
  quixote references ima predict-pcr expected.list
  quixote references ima predict-pcr --bank sha256 /sys/kernel/security/ima/binary_runtime_measurements";
const VERIFY_EXAMPLES: &str = "\
Examples:
  quixote references ima verify-list --references all.references --references own.references \\
      /sys/kernel/security/ima/binary_runtime_measurements --pcr-value sha256:$(cat /sys/class/tpm/tpm0/pcr-sha256/10)";
const DIGEST_LIST_EXAMPLES: &str = "\
Examples:
  quixote references ima digest-list --references all.references -o digests.tlv";
const SIGN_EXAMPLES: &str = "\
Examples:
  quixote references ima sign --key ima.pem /usr/local/bin/tool
  quixote references ima sign --key ima.pem --print /usr/local/bin/tool";

/// Measurements to expect.
#[derive(Args, Debug)]
pub(crate) struct MeasurementsArguments {
    /// What is vouched for, as 'quixote references scan -o' wrote it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) references: PathBuf,
    /// The paths in the order in which they are measured, one a line
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) order: PathBuf,
    /// Begin with the record of the boot aggregate, a digest as ALGORITHM:DIGITS
    #[arg(long, value_name = "DIGEST")]
    pub(crate) boot_aggregate: Option<String>,
    /// The PCR that the kernel's policy extends
    #[arg(long, default_value_t = 10)]
    pub(crate) pcr: u32,
    /// The kernel's template
    #[arg(long, value_enum, default_value_t)]
    pub(crate) template: Template,
    /// In the kernel's binary form rather than as text
    #[arg(long)]
    pub(crate) binary: bool,
    /// As JSON: each record with its fields
    #[arg(long, conflicts_with = "binary")]
    pub(crate) json: bool,
    /// Write here rather than to stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

/// A template of measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// Digest and name
    ImaNg,
    /// With a signature field, empty where a file has none
    #[default]
    ImaSig,
}

/// The PCR of a list.
#[derive(Args, Debug)]
pub(crate) struct PredictArguments {
    /// The list, as text or binary
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) list: PathBuf,
    /// The PCR
    #[arg(long, default_value_t = 10)]
    pub(crate) pcr: u32,
    /// A bank whose hash the kernel did not have when IMA started, and extends a padded SHA-1 into: sha384 and sha512 on
    /// Debian's 6.1 (may be given several times)
    #[arg(long, value_enum, value_name = "BANK")]
    pub(crate) padded: Vec<Bank>,
    /// This bank only
    #[arg(long, value_enum)]
    pub(crate) bank: Option<Bank>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A TPM's bank of PCRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bank {
    /// SHA-1
    Sha1,
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// Check a list.
#[derive(Args, Debug)]
pub(crate) struct VerifyListArguments {
    /// The kernel's list, as text or binary
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) list: PathBuf,
    /// What is vouched for, as 'quixote references scan -o' or 'show --json' wrote it; may be given several times
    #[arg(long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) references: Vec<PathBuf>,
    /// The boot aggregate that is right, ALGORITHM:DIGITS; without one, a single record of that name is left to the
    /// verifier of the boot (several after kexec)
    #[arg(long, value_name = "DIGEST")]
    pub(crate) boot_aggregate: Vec<String>,
    /// The TPM's value, ALGORITHM:DIGITS, to be compared with the list's (may be given several times)
    #[arg(long, value_name = "VALUE")]
    pub(crate) pcr_value: Vec<String>,
    /// A bank whose hash the kernel did not have when IMA started, as of predict-pcr: its value then shows no more than
    /// SHA-1 does (may be given several times)
    #[arg(long, value_enum, value_name = "BANK", requires = "pcr_value")]
    pub(crate) padded: Vec<Bank>,
    /// The PCR
    #[arg(long, default_value_t = 10)]
    pub(crate) pcr: u32,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a digest list.
#[derive(Args, Debug)]
pub(crate) struct DigestListArguments {
    /// What is vouched for, as 'quixote references scan -o' wrote it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) references: PathBuf,
    /// The form that the kernel at hand reads; it is out of tree and has changed before
    #[arg(long, value_enum, default_value_t)]
    pub(crate) form: DigestListForm,
    /// Write the list here
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// As JSON: what was written
    #[arg(long)]
    pub(crate) json: bool,
}

/// A form of digest lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DigestListForm {
    /// TLV as in the patch set of November 2024
    #[default]
    #[value(name = "tlv-2024-11")]
    Tlv202411,
}

/// Sign files.
#[derive(Args, Debug)]
pub(crate) struct SignArguments {
    /// The files
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// The private key in PEM: RSA of at least 2048 bits, or ECDSA P-256
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// Print the values in hexadecimal digits rather than set the attribute
    #[arg(long)]
    pub(crate) print: bool,
    /// As JSON: each file's value
    #[arg(long)]
    pub(crate) json: bool,
}
