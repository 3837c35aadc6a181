//! `quixote model keygen`: makes a key to sign with, and pins its public half.

use orchestrator::model_file::keys::Algorithm;
use orchestrator::model_file::keys::SigningKey;
use serde_json::json;

use crate::arguments::model;
use crate::arguments::model::KeygenArguments;
use crate::exit::Status;
use crate::failure::OrFail;
use crate::failure::Outcome;
use crate::output;

pub(crate) fn run(arguments: &KeygenArguments) -> Outcome<Status> {
    let algorithm = match arguments.algorithm {
        model::Algorithm::Ed25519 => Algorithm::Ed25519,
        model::Algorithm::EcdsaP256 => Algorithm::EcdsaP256,
    };
    super::refuse_existing(&arguments.output)?;
    let key = SigningKey::generate(algorithm);
    let public_path = key.write_pair(&arguments.output).or_fail(arguments.output.display())?;
    let public = key.public().or_fail(public_path.display())?;
    let pinned = if arguments.no_pin {
        None
    } else {
        Some(super::pin::pin(&public, None, arguments.trust.as_deref())?)
    };
    let id = public.id().to_string();
    if arguments.json {
        output::print_json(&json!({
            "key": arguments.output, "public": public_path, "id": id,
            "algorithm": algorithm.name(), "pinned": pinned,
        }))?;
        return Ok(Status::SUCCESS);
    }
    let mut text = format!(
        "key {id} ({})\n  private {}: keep it secret; it is not encrypted\n  public  {}\n",
        algorithm.name(),
        arguments.output.display(),
        public_path.display()
    );
    text += &match pinned {
        Some(path) => {
            format!("  pinned  {}: models signed with it are trusted here\n", path.display())
        }
        None => {
            format!("  not pinned; to trust it: quixote model pin {}\n", public_path.display())
        }
    };
    output::print(&text)?;
    Ok(Status::SUCCESS)
}
