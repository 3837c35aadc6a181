//! A model from a file, checked and ready to judge by.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use orchestrator::hooks::Hooks;
use orchestrator::model_file::model::ModelFile;
use orchestrator::model_file::serials::SerialStore;
use orchestrator::model_file::trust::TrustError;
use orchestrator::model_file::trust::TrustStore;
use orchestrator::model_file::trust::Unverified;
use orchestrator::model_file::trust::Verified;
use orchestrator::places;
use orchestrator::reference_table::ReferenceTable;
use orchestrator::replacement::Examined;
use orchestrator::replacement::Force;
use orchestrator::replacement::InForce;
use orchestrator::replacement::Replaceable;
use orchestrator::tma::Tma;
use orchestrator::workload::ModelSignature;
use orchestrator::workload::Workload;
use tsem::Mode;
use tsem::OnViolation;

use super::machine_references;
use crate::arguments::run::ModelArguments;
use crate::arguments::run::RunArguments;
use crate::failure::Failure;
use crate::failure::OrFail;
use crate::failure::Outcome;

/// A model that may be run under.
pub(crate) struct PreparedModel {
    force: Force,
    whom: Whom,
    signature: Option<ModelSignature>,
    references: Arc<ReferenceTable>,
    verdict_cache: bool,
}

impl PreparedModel {
    /// Reads and verifies the model; from here on its serial is the lowest that is accepted.
    pub(crate) fn open(arguments: &ModelArguments, quiet: bool) -> Outcome<Self> {
        let unverified = Unverified::read(&arguments.model).or_fail(arguments.model.display())?;
        let whom = Whom::of(arguments)?;
        let signature = signature_for_agents(&unverified, &whom)?;
        let examined = whom.examine(unverified).or_fail(arguments.model.display())?;
        examined.accept().or_fail(arguments.model.display())?;
        let force = examined.into_force(arguments.model.clone());
        let rules = &force.model.rules().references;
        let references = machine_references::table(arguments.references.as_deref(), rules, quiet)?;
        Ok(Self { force, whom, signature, references, verdict_cache: arguments.verdict_cache })
    }

    /// The model in force, and what it takes to replace it while its workload runs.
    pub(crate) fn replaceable(&self) -> Replaceable {
        let (in_force, whom) = (InForce::new(self.force.clone()).into(), self.whom.clone());
        Replaceable { in_force, examine: Box::new(move |offered| whom.examine(offered)) }
    }

    /// What the machine's packages vouch for under it.
    pub(crate) fn references(&self) -> &Arc<ReferenceTable> {
        &self.references
    }

    /// A workload that is judged by this model.
    pub(crate) fn workload(
        &self,
        run: &RunArguments,
        mode: Mode,
        on_violation: OnViolation,
    ) -> Outcome<Workload> {
        let model = &self.force.model;
        let header = model.header();
        Ok(Workload {
            command: run.command.clone(),
            user: run.user.clone(),
            name: super::name_of(run, Some(header.workload.as_str()))?,
            mode,
            on_violation,
            rules: header.rules.clone(),
            references: self.references.vouched().clone(),
            coefficients: model.coefficients().copied().collect(),
            exact: model.exact_coefficients(self.references.vouched()),
            ruled: model.ruled_kinds(self.references.vouched()),
            model: Some(absolute(&self.force.path)),
            platform: header.platform,
            tma: run.tma.clone(),
            verdict_cache: self.verdict_cache_for(&run.tma)?,
            header: Some(header.canonical()),
            signature: self.signature.clone(),
            source: run.source.source_for(header.rules.profile),
            on_crash: run.on_crash.into(),
            shield: false,
            hooks: Hooks { unlearned: header.unlearned_hooks(), may_be_missing: false },
        })
    }
}

impl PreparedModel {
    /// In the orchestrator there is no way to an agent that could be saved.
    fn verdict_cache_for(&self, tma: &Tma) -> Outcome<bool> {
        if self.verdict_cache && *tma == Tma::Orchestrator {
            let useless = Failure::new("the agent in the orchestrator needs no verdict cache");
            return Err(useless.next("leave --verdict-cache out, or give a --tma"));
        }
        Ok(self.verdict_cache)
    }
}

/// Whose models are believed: asked at the start, and of each model that is to follow.
#[derive(Clone)]
struct Whom {
    allow_unsigned: bool,
    trust: PathBuf,
    serials: SerialStore,
}

impl Whom {
    fn of(arguments: &ModelArguments) -> Outcome<Self> {
        let trust = arguments.trust.clone().unwrap_or_else(places::trust_dir);
        let (trust, serials) = (absolute(&trust), serials()?);
        Ok(Self { allow_unsigned: arguments.allow_unsigned, trust, serials })
    }

    /// Nothing is recorded yet: see [`Examined::accept`].
    fn examine(&self, offered: Unverified) -> Result<Examined, TrustError> {
        if self.allow_unsigned && !offered.claims_signature() {
            return Ok(Examined::Unsigned(offered.without_signature()?));
        }
        let keys = keys_for(&offered, &self.trust)?;
        let verified = offered.verify(&keys, &self.serials)?;
        Ok(Examined::Signed(verified, self.serials.clone()))
    }
}

/// An agent that is not here checks the signature once more.
fn signature_for_agents(unverified: &Unverified, whom: &Whom) -> Outcome<Option<ModelSignature>> {
    if !unverified.claims_signature() {
        return Ok(None);
    }
    let keys = TrustStore::open(&whom.trust).or_fail(whom.trust.display())?;
    unverified.signature_for_agents(&keys).or_fail(unverified.path().display())
}

/// The pinned keys; without a signature what is missing first is that, not a key.
fn keys_for(unverified: &Unverified, trust: &Path) -> Result<TrustStore, TrustError> {
    if unverified.claims_signature() { TrustStore::open(trust) } else { Ok(TrustStore::default()) }
}

/// Checks a model's signature, state and serial against the pinned keys.
pub(crate) fn verify(
    unverified: Unverified,
    path: &Path,
    trust: Option<&Path>,
) -> Outcome<Verified<ModelFile>> {
    let trust = trust.map_or_else(places::trust_dir, Path::to_owned);
    let keys = keys_for(&unverified, &trust).or_fail(trust.display())?;
    unverified.verify(&keys, &serials()?).or_fail(path.display())
}

/// The serial numbers that were accepted on this machine.
pub(crate) fn serials() -> Outcome<SerialStore> {
    Ok(SerialStore::new(places::state_dir().or_fail("")?.join("serials")))
}

/// The record may be read from another directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
