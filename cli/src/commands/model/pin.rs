//! `quixote model pin`: trust a public key.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use orchestrator::model_file::header::Workload;
use orchestrator::model_file::keys::PublicKey;
use orchestrator::places;
use serde_json::json;

use crate::arguments::model::PinArguments;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

/// So many digits of a key's name are its file name.
const SHORT: usize = 16;

pub(crate) fn run(arguments: &PinArguments) -> Outcome<Status> {
    let workload = arguments.workload.as_deref().map(Workload::parse).transpose();
    let workload = workload.or_fail("--workload")?;
    let key = PublicKey::read(&arguments.key).or_fail(arguments.key.display())?;
    let path = pin(&key, workload.as_ref(), arguments.trust.as_deref())?;
    let id = key.id().to_string();
    if arguments.json {
        output::print_json(&json!({ "id": id, "pinned": path, "workload": workload }))?;
    } else {
        let which = workload.map_or_else(|| "models".into(), |name| format!("models of {name}"));
        output::print(&format!(
            "pinned {id}: {which} signed with it are trusted here\n  to undo: rm {}\n",
            path.display()
        ))?;
    }
    Ok(Status::SUCCESS)
}

/// Writes a public key into the trust store, as a file named by the key; gives its path.
pub(super) fn pin(
    key: &PublicKey,
    workload: Option<&Workload>,
    trust: Option<&Path>,
) -> Outcome<PathBuf> {
    let directory = trust.map_or_else(places::trust_dir, Path::to_owned);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.or_fail(directory.display())?;
    let path = directory.join(format!("{}.pub", &key.id().to_string()[..SHORT]));
    let restriction = workload.map(|name| format!("workloads: {name}\n")).unwrap_or_default();
    let text = restriction + &key.to_pem().or_fail(path.display())?;
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o644).open(&path);
    if file.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        return Err(Failure::new("the key is already pinned")
            .at(path.display())
            .next("remove this file to pin the key for other workloads"));
    }
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.or_fail(path.display())?;
    Ok(path)
}
