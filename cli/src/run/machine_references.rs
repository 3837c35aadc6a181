//! What the packages of this machine vouch for, for a run.

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use orchestrator::reference_table::ReferenceTable;
use references::ReferenceSet;
use tsem::ReferenceRule;

use crate::commands;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;
use crate::output::CAUTION;

/// Write access by others.
const OTHERS_WRITE: u32 = 0o022;

/// In the place of a file: what the packages of this machine vouch for now.
const AUTO: &str = "auto";

/// Reads references that a scan has verified, or scans this machine when `auto` is asked for. Whoever may write
/// the file decides what counts, so nobody else may.
pub(crate) fn read(path: &Path) -> Outcome<ReferenceSet> {
    if path == Path::new(AUTO) {
        return commands::references::of_this_system();
    }
    let file = fs::File::open(path).or_fail(path.display())?;
    let found = file.metadata().or_fail(path.display())?;
    let user = rustix::process::geteuid().as_raw();
    if found.mode() & OTHERS_WRITE != 0 || (found.uid() != user && found.uid() != 0) {
        let open = Failure::new("others may write these references, and so decide what is signed");
        return Err(open.at(path.display()).next("scan again into a directory of your own"));
    }
    ReferenceSet::read_json_lines(BufReader::new(file)).or_fail(path.display())
}

/// What counts under the rules of a model; tells which packages do not.
pub(crate) fn table(
    path: Option<&Path>,
    rules: &[ReferenceRule],
    quiet: bool,
) -> Outcome<Arc<ReferenceTable>> {
    let Some(path) = path.filter(|_| !rules.is_empty()) else {
        if !rules.is_empty() {
            let missing = Failure::new("the model names files by signed packages");
            return Err(missing.next(
                "say what is signed here: --references auto, or FILE from 'quixote references scan'",
            ));
        }
        return Ok(Arc::default());
    };
    let table = ReferenceTable::of(&read(path)?, rules, now_s()).or_fail(path.display())?;
    if !quiet {
        tell_refused(&table);
    }
    Ok(table.into())
}

fn tell_refused(table: &ReferenceTable) {
    for refused in table.refused() {
        let head = output::styled_for_stderr(CAUTION, "quixote: does not vouch:");
        let text = format!("{}: {}", refused.package, refused.why);
        output::note(&format!("{head} {}\n", output::printable(&text)));
    }
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
