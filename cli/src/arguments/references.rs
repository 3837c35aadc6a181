//! The commands about references: which signed package vouches for which file.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use clap::ValueHint;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;

use references::reference_formats::Job;

use super::ima::ImaCommand;
use super::run::SourceChoice;
use crate::commands::references::FORMATS;

/// What is asked about references.
#[derive(Debug, Subcommand)]
pub(crate) enum ReferencesCommand {
    /// Find what signed packages vouch for on a whole system; status 1 if some package does not
    #[command(after_help = SCAN_EXAMPLES)]
    Scan(ScanArguments),
    /// Show a package or document: who signed it, and its files
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArguments),
    /// Compare a system's files with its references; status 1 if they differ
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArguments),
    /// Keep what vouches for Debian packages, before apt throws it away
    #[command(after_help = CAPTURE_EXAMPLES)]
    Capture(CaptureArguments),
    /// Tell what the isolated parser says of the standard input; nobody has verified it
    #[command(after_help = PARSE_EXAMPLES)]
    Parse(ParseArguments),
    /// Make and sign a model that holds 'references parse' of this very build, parser and all
    #[command(after_help = PARSER_MODEL_EXAMPLES)]
    ParserModel(ParserModelArguments),
    /// Reference values for IMA: lists, PCRs, digest lists, signatures
    Ima {
        #[command(subcommand)]
        command: ImaCommand,
    },
}

const SCAN_EXAMPLES: &str = "\
Examples:
  quixote references scan                              this system, by the keys that apt trusts
  quixote references scan --key release.asc --root /mnt -o mnt.references
  quixote references scan --json | grep '\"/usr/bin/'
";

const SHOW_EXAMPLES: &str = "\
Examples:
  quixote references show --key vendor.asc nginx.rpm
  quixote references show --key me.asc SHA256SUMS      signed by SHA256SUMS.asc beside it
  quixote references show --digest sha256:4a1c... ./layout
  quixote references show --bundle-key cosign.pub ./layout                     signed within the layout
  quixote references show --bundle image.sigstore.json --bundle-key cosign.pub image.tar
  quixote references show --bundle image.sigstore.json --sigstore-root trusted_root.json \\
      --certificate-identity me@example.com --certificate-oidc-issuer https://accounts.google.com image.tar
  quixote references show --key vendor.asc --ima-key files.pub nginx.rpm
";

const VERIFY_EXAMPLES: &str = "\
Examples:
  quixote references verify                            scan, then compare every file
  quixote references verify --references mnt.references --root /mnt
";

const CAPTURE_EXAMPLES: &str = "\
Examples:
  quixote references capture --install-hook            from now on, at every installation
  quixote references capture /var/cache/apt/archives/*.deb
";

const PARSE_EXAMPLES: &str = "\
Examples:
  quixote references parse --as deb < package.deb
  quixote references parse --as oci-layer --json < layer.tar.gz
  quixote enforce parser.model -- quixote references parse --as deb < package.deb
";

const PARSER_MODEL_EXAMPLES: &str = "\
Examples:
  quixote model keygen -o me.key
  quixote references parser-model --key me.key -o parser.model
  quixote enforce parser.model -- quixote references parse --as deb < package.deb
";

/// How signatures are judged and parsers kept apart.
#[derive(Args, Debug)]
pub(crate) struct TrustArguments {
    /// Trust signatures by the certificates in this file; may be given several times. Without one, and
    /// without --root, the keys that apt or dnf trusts on this system
    #[arg(long = "key", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys: Vec<PathBuf>,
    /// Which packages may be read by one parser process
    #[arg(long, value_enum, default_value_t)]
    pub(crate) isolation: IsolationChoice,
}

/// Which packages may be read by one parser process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolationChoice {
    /// All of one signer
    #[default]
    Signer,
    /// Each by its own
    Package,
    /// None: read in this process, to measure what isolation costs
    #[value(hide = true)]
    None,
}

/// Scan a system.
#[derive(Args, Debug)]
pub(crate) struct ScanArguments {
    /// The system's root directory
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    #[command(flatten)]
    pub(crate) trust: TrustArguments,
    /// Look for package files here as well; may be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) packages: Vec<PathBuf>,
    /// Write the references here, one JSON object a line
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Print the references, one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show a package.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// Package files (.rpm; .deb that an index of apt lists; .apk; .pkg.tar.*), OCI layouts (folders, .tar), and what has
    /// a signature beside it (.sig, .asc): SPDX (.spdx.json), `CycloneDX` (.cdx.json), mtree (.mtree), lists of digests
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Of an OCI layout: the digest of the image that you trust (sha256:...)
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    /// Of an OCI layout: a Sigstore bundle whose signature says which image is meant; without it, one that lies within the
    /// layout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "bundle_trust")]
    pub(crate) bundle: Option<PathBuf>,
    /// Trust bundles by this public key (PEM, ECDSA P-256 or RSA); may be given several times
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, group = "bundle_trust")]
    pub(crate) bundle_key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) keyless: KeylessArguments,
    /// Of an RPM whose files are signed for IMA: verify each by these public keys (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ima_key: Vec<PathBuf>,
    /// Of an OCI layout with several: the architecture
    #[arg(long, default_value = "amd64")]
    pub(crate) arch: String,
    /// Trust .apk packages by this public key (PEM); may be given several times
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) apk_key: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArguments,
    /// Print the references, one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whose certificate may have signed a bundle.
#[derive(Args, Debug)]
pub(crate) struct KeylessArguments {
    /// Trust bundles by short-lived certificates (keyless) of these authorities and logs: a `trusted_root.json` of Sigstore's
    #[arg(
        long,
        visible_alias = "trusted-root",
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        requires_all = ["certificate_identity", "certificate_oidc_issuer"],
        conflicts_with = "bundle_key",
        group = "bundle_trust"
    )]
    pub(crate) sigstore_root: Option<PathBuf>,
    /// Whose certificate it has to be: the address or URI that it names, letter by letter
    #[arg(long, value_name = "NAME", requires = "sigstore_root")]
    pub(crate) certificate_identity: Option<String>,
    /// On whose word the certificate has to be issued: the URL of the identity provider
    #[arg(long, value_name = "URL", requires = "sigstore_root")]
    pub(crate) certificate_oidc_issuer: Option<String>,
}

/// Compare files with references.
#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    /// The system's root directory
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    /// Compare with these, as `scan -o` wrote them, rather than scan first
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) references: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) trust: TrustArguments,
    /// Look for package files here as well; may be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) packages: Vec<PathBuf>,
    /// Tell also configuration files that differ
    #[arg(long)]
    pub(crate) config: bool,
    /// Print what differs as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parse the standard input.
#[derive(Args, Debug)]
pub(crate) struct ParseArguments {
    /// What the input is
    #[arg(long = "as", value_name = "FORMAT", value_parser = format_parser())]
    pub(crate) format: Job,
    /// One JSON object a statement
    #[arg(long)]
    pub(crate) json: bool,
}

fn format_parser() -> impl clap::builder::TypedValueParser<Value = Job> {
    PossibleValuesParser::new(FORMATS.map(|row| row.0)).try_map(|name| {
        let row = FORMATS.iter().find(|row| row.0 == name);
        row.map(|row| row.1).ok_or("no such format")
    })
}

/// Make the parser's model.
#[derive(Args, Debug)]
pub(crate) struct ParserModelArguments {
    /// Write the model here, and its signature beside it
    #[arg(short, long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// The private key that signs it, as 'quixote model keygen' makes it
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// Where the events come from
    #[arg(long, value_enum, value_name = "SOURCE", default_value_t)]
    pub(crate) source: SourceChoice,
    /// As JSON: what was written
    #[arg(long)]
    pub(crate) json: bool,
}

/// Keep evidence.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct CaptureArguments {
    /// Package files
    #[arg(value_name = "DEB", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,
    /// Read the names of package files from stdin, as apt hands them to its hooks
    #[arg(long, conflicts_with = "files")]
    pub(crate) hook: bool,
    /// Have apt call this command before every installation
    #[arg(long, conflicts_with_all = ["files", "hook"])]
    pub(crate) install_hook: bool,
    /// Fail when a package has no evidence: as a hook, this stops the installation
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print what was kept and what not as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The system's root directory, whose apt and store are meant
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    #[command(flatten)]
    pub(crate) trust: TrustArguments,
}
