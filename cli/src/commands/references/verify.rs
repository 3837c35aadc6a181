//! `quixote references verify`: a system's files against its references.

use std::fs::File;
use std::io::BufReader;

use references::FileFlags;
use references::Reference;
use references::ReferenceSet;
use references::scan::Scan;
use references::verify::Difference;
use serde_json::json;

use super::Meter;
use crate::arguments::references::VerifyArguments;
use crate::exit::Status;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &VerifyArguments) -> Outcome<Status> {
    let references = references(arguments)?;
    let meter = Meter::new("files:");
    let tell = |done, of| meter.tell(done, of);
    let verified =
        references::verify::verify(&arguments.root, &references, super::threads(), &tell);
    meter.finish();
    let verified = verified.or_fail(arguments.root.display())?;
    let is_told = |reference: &Reference, difference| {
        let edited = reference.flags.has(FileFlags::CONFIG) && difference == Difference::Contents;
        arguments.config || !edited
    };
    let mut told = 0;
    for (reference, difference) in &verified.differences {
        if is_told(reference, *difference) {
            told += 1;
            tell_one(reference, *difference, arguments.json)?;
        }
    }
    let edited = verified.differences.len() - told;
    output::note(&format!(
        "as they are vouched for: {}; not: {told}; edited: {}\n",
        output::counted(verified.same, "file"),
        output::counted(edited, "configuration file"),
    ));
    Ok(Status::yes_or_no(told == 0))
}

fn references(arguments: &VerifyArguments) -> Outcome<Vec<Reference>> {
    if let Some(path) = &arguments.references {
        let file = File::open(path).or_fail(path.display())?;
        let set = ReferenceSet::read_json_lines(BufReader::new(file)).or_fail(path.display())?;
        return Ok(set.iter().filter(|reference| reference.vouches()).cloned().collect());
    }
    let keys = super::keyring(&arguments.trust, &arguments.root)?;
    let scan = Scan {
        root: &arguments.root,
        keys: &keys,
        now_s: super::now_s(),
        isolation: super::isolation(&arguments.trust),
        threads: super::threads(),
        folders: &arguments.packages,
    };
    let found = super::scan::found(&scan)?;
    super::tell_not_vouched(&found.not);
    Ok(found.references)
}

fn tell_one(reference: &Reference, difference: Difference, json: bool) -> Outcome<()> {
    let path = output::printable(&String::from_utf8_lossy(&reference.path));
    let package = &reference.package;
    if json {
        let value = json!({
            "path": path, "difference": difference.name(), "package": package.name,
            "version": package.version, "expected": reference.digest.to_string(),
        });
        output::print_json(&value)?;
    } else {
        let word = output::styled(output::BAD, difference.name());
        output::print(&format!("{word}  {path}  ({} {})\n", package.name, package.version))?;
    }
    Ok(())
}
