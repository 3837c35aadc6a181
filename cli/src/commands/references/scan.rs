//! `quixote references scan`: what signed packages vouch for on a whole system.

use std::io::Write as _;
use std::path::Path;

use references::Reference;
use references::ReferenceSet;
use references::openpgp::Keyring;
use references::scan::Found;
use references::scan::Scan;

use super::Meter;
use crate::arguments::references::IsolationChoice;
use crate::arguments::references::ScanArguments;
use crate::arguments::references::TrustArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &ScanArguments) -> Outcome<Status> {
    let keys = super::keyring(&arguments.trust, &arguments.root)?;
    let scan = Scan {
        root: &arguments.root,
        keys: &keys,
        now_s: super::now_s(),
        isolation: super::isolation(&arguments.trust),
        threads: super::threads(),
        folders: &arguments.packages,
    };
    let found = found(&scan)?;
    if let Some(path) = &arguments.output {
        let file = std::fs::File::create(path).or_fail(path.display())?;
        write(&found.references, file).or_fail(path.display())?;
    }
    if arguments.json {
        write(&found.references, std::io::stdout().lock())?;
    }
    super::tell_not_vouched(&found.not);
    let summary = summary(&found, &keys);
    if arguments.json {
        output::note(&summary);
    } else {
        output::print(&summary)?;
    }
    Ok(Status::yes_or_no(found.not.is_empty()))
}

/// What the packages of this very system vouch for now, by the keys that its package manager trusts.
pub(crate) fn of_this_system() -> Outcome<ReferenceSet> {
    let trust = TrustArguments { keys: Vec::new(), isolation: IsolationChoice::Signer };
    let root = Path::new("/");
    let scan = Scan {
        root,
        keys: &super::keyring(&trust, root)?,
        now_s: super::now_s(),
        isolation: super::isolation(&trust),
        threads: super::threads(),
        folders: &[],
    };
    let found = found(&scan)?;
    if found.packages == 0 {
        let nothing = Failure::new("no package of this system vouches for its files");
        return Err(nothing.next(
            "'quixote references scan' says why; 'quixote references capture' keeps evidence",
        ));
    }
    let mut set = ReferenceSet::default();
    for reference in found.references {
        set.insert(reference).or_fail(root.display())?;
    }
    Ok(set)
}

/// Scans, and shows how far it is.
pub(super) fn found(scan: &Scan<'_>) -> Outcome<Found> {
    let meter = Meter::new("packages:");
    let found = scan.run(&|done, of| meter.tell(done, of));
    meter.finish();
    found.or_fail(scan.root.display())
}

pub(super) fn write(references: &[Reference], out: impl std::io::Write) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(out);
    for reference in references {
        writeln!(out, "{}", reference.to_json_line())?;
    }
    out.flush()
}

fn summary(found: &Found, keys: &Keyring) -> String {
    let weak = found.references.iter().filter(|reference| !reference.vouches()).count();
    let mut text = format!(
        "vouched for: {} of {}, by {}; packages that do not vouch: {}\n",
        output::counted(found.references.len() - weak, "file"),
        output::counted(found.packages, "package"),
        output::counted(keys.certificates().len(), "key"),
        found.not.len(),
    );
    if weak > 0 {
        text += &format!(
            "with digests that are too weak to vouch (MD5, SHA-1): {}\n",
            output::counted(weak, "file")
        );
    }
    text
}
