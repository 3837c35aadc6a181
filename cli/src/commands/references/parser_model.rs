//! `quixote references parser-model`: a signed model of this very build's parser.

use std::os::fd::AsFd as _;

use orchestrator::kernel;
use orchestrator::model_file::keys::LooseMode;
use orchestrator::model_file::keys::SigningKey;
use orchestrator::model_file::trust;
use orchestrator::tma::Tma;
use rustix::fs::MemfdFlags;
use serde_json::json;

use crate::arguments::references::ParserModelArguments;
use crate::arguments::run::AcceptRules;
use crate::arguments::run::LearnArguments;
use crate::arguments::run::OnCrash;
use crate::arguments::run::RunArguments;
use crate::commands::learn;
use crate::exit::Status;
use crate::failure::Failure;
use crate::failure::OrFail as _;
use crate::failure::Outcome;
use crate::output;

/// What the parser reads while it is learned: what it does is the same for every format and input.
const SAMPLE: &[u8] =
    b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  usr/share/empty\n";

pub(crate) fn run(arguments: &ParserModelArguments) -> Outcome<Status> {
    // First what can fail without anything having been done.
    let key =
        SigningKey::read(&arguments.key, LooseMode::Refuse).or_fail(arguments.key.display())?;
    let ended = on_sample(|| learn::run(&lesson(arguments)?))?;
    if ended != Status::SUCCESS {
        let failed = Failure::new("the parser could not be run, so there is nothing to model");
        return Err(failed.next("'quixote doctor' says what this machine can do"));
    }
    let signature =
        trust::sign_file(&arguments.output, &key).or_fail(arguments.output.display())?;
    if arguments.json {
        output::print_json(&json!({ "model": arguments.output, "signature": signature }))?;
    } else {
        output::print(&format!(
            "{} holds 'quixote references parse' of this build, signed: {}\n",
            arguments.output.display(),
            signature.display()
        ))?;
    }
    Ok(Status::SUCCESS)
}

fn lesson(arguments: &ParserModelArguments) -> Outcome<LearnArguments> {
    let program = kernel::own_program().or_fail("this program")?;
    let words = ["references", "parse", "--as", "list"].map(Into::into);
    Ok(LearnArguments {
        output: arguments.output.clone(),
        runs: 1,
        accept_rules: Some(AcceptRules::None),
        reject_rule: Vec::new(),
        digest: Vec::new(),
        rule: Vec::new(),
        references: None,
        signer: Vec::new(),
        profile: None,
        anew: true,
        run: RunArguments {
            user: None,
            name: Some("reference-parser".to_owned()),
            tma: Tma::Orchestrator,
            source: arguments.source,
            on_crash: OnCrash::Deny,
            // To where nobody looks: what counts is told at the end.
            json: true,
            summary: None,
            quiet: true,
            command: std::iter::once(program.into()).chain(words).collect(),
        },
    })
}

/// Does something with the sample as standard input, and what is written to standard output let go.
fn on_sample<T>(act: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let memory = |name| rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC);
    let failed = |errno| Failure::new(std::io::Error::from(errno)).at("the parser's sample");
    let (sample, nowhere) =
        (memory(c"sample").map_err(failed)?, memory(c"output").map_err(failed)?);
    rustix::io::pwrite(&sample, SAMPLE, 0).map_err(failed)?;
    rustix::stdio::dup2_stdin(&sample).map_err(failed)?;
    let own = std::io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(&nowhere).map_err(failed)?;
    let acted = act();
    rustix::stdio::dup2_stdout(&own).map_err(failed)?;
    acted
}
