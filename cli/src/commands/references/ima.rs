//! `quixote references ima`: reference values for kernels that measure and appraise.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ima_format::Algorithm;
use ima_format::List;
use ima_format::Measurement;
use ima_format::digest_list;
use ima_format::measurement;
use ima_format::measurement::Content;
use ima_format::pcr;
use ima_format::signature::ATTRIBUTE;
use ima_format::signature::PrivateKey;
use references::FileDigest;
use references::ReferenceSet;
use rustix::fs::XattrFlags;
use serde::Serialize;
use serde_json::json;

use crate::arguments::ima::Bank;
use crate::arguments::ima::DigestListArguments;
use crate::arguments::ima::DigestListForm;
use crate::arguments::ima::ImaCommand;
use crate::arguments::ima::MeasurementsArguments;
use crate::arguments::ima::PredictArguments;
use crate::arguments::ima::SignArguments;
use crate::arguments::ima::Template;
use crate::arguments::ima::VerifyListArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;
use crate::run::machine_references;

/// The hash that new signatures are of.
const SIGNED: Algorithm = Algorithm::Sha256;

pub(crate) fn run(command: &ImaCommand) -> Outcome<Status> {
    match command {
        ImaCommand::Measurements(arguments) => measurements(arguments),
        ImaCommand::PredictPcr(arguments) => predict(arguments),
        ImaCommand::VerifyList(arguments) => verify_list(arguments),
        ImaCommand::DigestList(arguments) => digests(arguments),
        ImaCommand::Sign(arguments) => sign(arguments),
    }
}

fn measurements(arguments: &MeasurementsArguments) -> Outcome<Status> {
    let set = machine_references::read(&arguments.references)?;
    let order = fs::read(&arguments.order).or_fail(arguments.order.display())?;
    let signed = arguments.template == Template::ImaSig;
    let record = |digest: (Algorithm, &[u8]), path: &[u8]| {
        Measurement::of_file(arguments.pcr, digest, path, signed)
    };
    let mut records = Vec::new();
    if let Some(text) = &arguments.boot_aggregate {
        let (algorithm, digest) = digest_of(text)?;
        records.push(record((algorithm, &digest), pcr::BOOT_AGGREGATE));
    }
    for path in order.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
        let digest = expected(&set, path)?;
        records.push(record((algorithm_of(digest)?, digest.octets()), path));
    }
    let list = List { records };
    let octets = match (arguments.json, arguments.binary) {
        (true, _) => records_json(&list).or_fail("")?,
        (_, true) => list.to_binary(),
        _ => list.to_text(),
    };
    match &arguments.output {
        Some(path) => fs::write(path, octets).or_fail(path.display())?,
        None => std::io::stdout().write_all(&octets).or_fail("stdout")?,
    }
    Ok(Status::SUCCESS)
}

fn records_json(list: &List) -> serde_json::Result<Vec<u8>> {
    let record = |record: &Measurement| {
        let Content::File { digest, name, .. } = &record.content else { return json!(null) };
        json!({
            "pcr": record.pcr,
            "template": record.template(),
            "template_digest": ima_format::hex(&record.template_digest()),
            "digest": format!("{}:{}", digest.0, ima_format::hex(&digest.1)),
            "name": String::from_utf8_lossy(name),
        })
    };
    let records: Vec<serde_json::Value> = list.records.iter().map(record).collect();
    let mut text = serde_json::to_vec(&records)?;
    text.push(b'\n');
    Ok(text)
}

/// The one content that is vouched for at a path.
fn expected<'a>(set: &'a ReferenceSet, path: &[u8]) -> Outcome<&'a FileDigest> {
    let shown = String::from_utf8_lossy(path);
    let mut vouched = set.by_path(path).filter(|reference| reference.vouches());
    let first = vouched.next().ok_or_else(|| Failure::new("no package vouches for it"));
    let first = first.map_err(|failure| failure.at(&*shown))?;
    if vouched.any(|other| other.digest != first.digest) {
        let two = Failure::new("packages vouch for several contents of it");
        return Err(two.at(&*shown).next("scan a system on which one of them is installed"));
    }
    Ok(&first.digest)
}

fn algorithm_of(digest: &FileDigest) -> Outcome<Algorithm> {
    let name = digest.algorithm().name();
    let known = Algorithm::from_name(name);
    known.ok_or_else(|| Failure::new(format_args!("IMA does not measure with {name}")))
}

/// `sha256:DIGITS`.
fn digest_of(text: &str) -> Outcome<(Algorithm, Vec<u8>)> {
    let parse = || {
        let (name, digits) = text.split_once(':')?;
        let (algorithm, octets) = (Algorithm::from_name(name)?, ima_format::from_hex(digits)?);
        (octets.len() == algorithm.octets()).then_some((algorithm, octets))
    };
    let odd = || Failure::new("this is no digest").at(text).next("write it as sha256:DIGITS");
    parse().ok_or_else(odd)
}

fn read_list(path: &Path) -> Outcome<List> {
    List::read(&fs::read(path).or_fail(path.display())?).or_fail(path.display())
}

fn predict(arguments: &PredictArguments) -> Outcome<Status> {
    let list = read_list(&arguments.list)?;
    let banks = match arguments.bank {
        Some(bank) => vec![bank_algorithm(bank)],
        None => Algorithm::ALL.to_vec(),
    };
    let value = |algorithm: Algorithm| {
        let bank = fresh_bank(algorithm, &arguments.padded);
        (algorithm.name(), ima_format::hex(&pcr::predict_in(bank, arguments.pcr, &list.records)))
    };
    let values: Vec<(&str, String)> = banks.into_iter().map(value).collect();
    if arguments.json {
        let banks: serde_json::Map<String, serde_json::Value> =
            values.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        output::print_json(&json!({ "pcr": arguments.pcr, "banks": banks }))?;
    } else {
        let lines = values.iter().map(|(name, value)| format!("{name}:{value}\n"));
        output::print(&lines.collect::<String>())?;
    }
    Ok(Status::SUCCESS)
}

/// A bank as it is after a reset, padded if it is among `padded`.
fn fresh_bank(algorithm: Algorithm, padded: &[Bank]) -> pcr::Bank {
    if padded.iter().any(|bank| bank_algorithm(*bank) == algorithm) {
        pcr::Bank::padded(algorithm)
    } else {
        pcr::Bank::new(algorithm)
    }
}

fn bank_algorithm(bank: Bank) -> Algorithm {
    match bank {
        Bank::Sha1 => Algorithm::Sha1,
        Bank::Sha256 => Algorithm::Sha256,
        Bank::Sha384 => Algorithm::Sha384,
        Bank::Sha512 => Algorithm::Sha512,
    }
}

/// What a list's records come to: each is counted once, or named.
#[derive(Default, Serialize)]
struct Checked {
    vouched: usize,
    /// For the verifier of the boot to judge, or as was stated.
    boot_aggregates: usize,
    not_vouched: Vec<NotVouched>,
    violations: Vec<String>,
    pcr_differs: Vec<PcrDiffers>,
}

/// A bank whose value the list does not lead to.
#[derive(Serialize)]
struct PcrDiffers {
    bank: &'static str,
    /// It would if the kernel had padded it, or had not.
    would_if: Option<&'static str>,
}

#[derive(Serialize)]
struct NotVouched {
    name: String,
    digest: String,
    why: &'static str,
}

fn verify_list(arguments: &VerifyListArguments) -> Outcome<Status> {
    let known = Known::read(arguments)?;
    let list = read_list(&arguments.list)?;
    let mut checked = Checked::default();
    for record in &list.records {
        checked.add(record, &known);
    }
    for text in &arguments.pcr_value {
        let (algorithm, stated) = digest_of(text)?;
        checked.compare(arguments, &list, algorithm, &stated);
    }
    let holds = checked.holds();
    if arguments.json {
        output::print_json(&checked)?;
    } else {
        output::print(&checked.to_text())?;
    }
    Ok(Status::yes_or_no(holds))
}

/// What a record may be.
struct Known {
    set: ReferenceSet,
    /// The paths of the set, as the kernel writes them.
    names: HashSet<Vec<u8>>,
    /// Digests of boots, where they are stated.
    boots: Vec<String>,
}

impl Known {
    fn read(arguments: &VerifyListArguments) -> Outcome<Self> {
        let mut set = ReferenceSet::default();
        for path in &arguments.references {
            let more = machine_references::read(path)?;
            more.iter().try_for_each(|one| set.insert(one.clone())).or_fail(path.display())?;
        }
        let names = set.iter().map(|reference| measurement::as_written(&reference.path)).collect();
        let boot =
            |text: &String| digest_of(text).map(|(name, octets)| shown(name.name(), &octets));
        let boots = arguments.boot_aggregate.iter().map(boot).collect::<Outcome<_>>()?;
        Ok(Self { set, names, boots })
    }
}

fn shown(algorithm: &str, digest: &[u8]) -> String {
    format!("{algorithm}:{}", ima_format::hex(digest))
}

impl Checked {
    fn add(&mut self, record: &Measurement, known: &Known) {
        let (digest, name) = match &record.content {
            Content::File { digest, name, .. } => (digest, name),
            Content::Other { template, .. } => {
                return self.refuse(template, String::new(), "its template is not a file's");
            }
        };
        let shown_name = String::from_utf8_lossy(name).into_owned();
        if record.violation {
            return self.violations.push(shown_name);
        }
        let text = shown(&digest.0, &digest.1);
        if name == pcr::BOOT_AGGREGATE {
            return self.add_boot(text, known);
        }
        let Some(digest) = FileDigest::parse(&text) else {
            return self.refuse(&shown_name, text, "its digest is of no known algorithm");
        };
        let mut stated = known.set.by_digest(&digest).filter(|reference| reference.vouches());
        if stated.any(|reference| record.may_name(&reference.path)) {
            self.vouched += 1;
        } else if known.set.by_digest(&digest).any(references::Reference::vouches) {
            self.refuse(&shown_name, text, "packages have this content, at another path");
        } else if known.names.contains(name) {
            self.refuse(&shown_name, text, "packages have another content at this path");
        } else {
            self.refuse(&shown_name, text, "no package has it");
        }
    }

    /// A file outside every mount is measured by its bare name, and may be called so as well: so one record counts at
    /// most, or those whose digest is stated.
    fn add_boot(&mut self, digest: String, known: &Known) {
        let why = match (known.boots.is_empty(), self.boot_aggregates) {
            (true, 0) => None,
            (true, _) => {
                Some("there is a boot aggregate already; after kexec, state each: --boot-aggregate")
            }
            (false, _) if known.boots.contains(&digest) => None,
            (false, _) => Some("it is not the boot aggregate that was stated"),
        };
        match why {
            Some(why) => self.refuse("boot_aggregate", digest, why),
            None => self.boot_aggregates += 1,
        }
    }

    /// Compares a PCR's value with what the list leads to. The other way to fill a bank is told and not taken: a padded one
    /// is worth no more than SHA-1.
    fn compare(
        &mut self,
        arguments: &VerifyListArguments,
        list: &List,
        algorithm: Algorithm,
        stated: &[u8],
    ) {
        let leads_to = |bank| pcr::predict_in(bank, arguments.pcr, &list.records) == stated;
        let bank = fresh_bank(algorithm, &arguments.padded);
        let (other, would_if) = if bank.is_padded() {
            (pcr::Bank::new(algorithm), "not padded")
        } else {
            (pcr::Bank::padded(algorithm), "padded")
        };
        if !leads_to(bank) {
            let would_if = leads_to(other).then_some(would_if);
            self.pcr_differs.push(PcrDiffers { bank: algorithm.name(), would_if });
        }
    }

    fn refuse(&mut self, name: &str, digest: String, why: &'static str) {
        self.not_vouched.push(NotVouched { name: name.into(), digest, why });
    }

    fn holds(&self) -> bool {
        self.not_vouched.is_empty() && self.violations.is_empty() && self.pcr_differs.is_empty()
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for NotVouched { name, digest, why } in &self.not_vouched {
            let line = format!("not vouched for: {name} {digest}: {why}");
            text += &(output::styled(output::CAUTION, &output::printable(&line)) + "\n");
        }
        for name in &self.violations {
            let line = format!("violation: {name} was written while it was measured");
            text += &(output::styled(output::CAUTION, &output::printable(&line)) + "\n");
        }
        for PcrDiffers { bank, would_if } in &self.pcr_differs {
            let line = format!("the list does not lead to the PCR of bank {bank}");
            text += &(output::styled(output::BAD, &line) + "\n");
            text += &match would_if {
                Some("padded") => format!(
                    "it would if the kernel had no {bank} when IMA started; if that is so: --padded {bank}\n"
                ),
                Some(_) => format!("it would without --padded {bank}\n"),
                None => String::new(),
            };
        }
        let vouched = output::counted(self.vouched, "measurement");
        let (boots, not) = (self.boot_aggregates, self.not_vouched.len());
        let violations = self.violations.len();
        text + &format!(
            "vouched for: {vouched}; not: {not}; violations: {violations}; boot aggregates: {boots}\n"
        )
    }
}

fn digests(arguments: &DigestListArguments) -> Outcome<Status> {
    let set = machine_references::read(&arguments.references)?;
    let form = match arguments.form {
        DigestListForm::Tlv202411 => digest_list::Version::November2024,
    };
    let sha256 = set.iter().filter(|reference| {
        reference.vouches() && reference.digest.algorithm() == references::Algorithm::Sha256
    });
    let entries: Vec<digest_list::Entry<'_>> =
        sha256.map(|reference| (reference.digest.octets(), &*reference.path)).collect();
    let octets = digest_list::encode(form, Algorithm::Sha256, &entries).or_fail("")?;
    fs::write(&arguments.output, octets).or_fail(arguments.output.display())?;
    if arguments.json {
        output::print_json(&json!({ "output": arguments.output, "digests": entries.len() }))?;
    } else {
        output::note(&format!("{} digests in {}\n", entries.len(), arguments.output.display()));
    }
    Ok(Status::SUCCESS)
}

fn sign(arguments: &SignArguments) -> Outcome<Status> {
    let text = fs::read_to_string(&arguments.key).or_fail(arguments.key.display())?;
    let key = PrivateKey::from_pem(&text).or_fail(arguments.key.display())?;
    let mut signed = Vec::new();
    for path in &arguments.files {
        let content = fs::read(path).or_fail(path.display())?;
        let value = key.sign(SIGNED, &SIGNED.digest(&[&content])).or_fail(path.display())?;
        if arguments.json {
            signed.push(json!({ "file": path, "security_ima": ima_format::hex(&value) }));
        } else if arguments.print {
            let name = String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
            let line = format!("{} {}\n", ima_format::hex(&value), output::printable(&name));
            output::print(&line)?;
        }
        if !arguments.print {
            let set = rustix::fs::setxattr(path, ATTRIBUTE, &value, XattrFlags::empty());
            set.map_err(std::io::Error::from).or_fail(path.display())?;
        }
    }
    if arguments.json {
        output::print_json(&signed)?;
    }
    Ok(Status::SUCCESS)
}
