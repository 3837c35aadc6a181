//! A model from a file, checked and ready to judge by.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use orchestrator::hooks::Hooks;
use orchestrator::model_file::model::ModelFile;
use orchestrator::model_file::serials::SerialStore;
use orchestrator::model_file::trust::TrustStore;
use orchestrator::model_file::trust::Unverified;
use orchestrator::model_file::trust::Verified;
use orchestrator::places;
use orchestrator::reference_table::ReferenceTable;
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
    path: PathBuf,
    model: Arc<ModelFile>,
    signature: Option<ModelSignature>,
    references: Arc<ReferenceTable>,
    verdict_cache: bool,
}

impl PreparedModel {
    /// Reads and verifies the model; from here on its serial is the lowest that is accepted.
    pub(crate) fn open(arguments: &ModelArguments, quiet: bool) -> Outcome<Self> {
        let unverified = Unverified::read(&arguments.model).or_fail(arguments.model.display())?;
        let unsigned = arguments.allow_unsigned && !unverified.claims_signature();
        let mut signature = None;
        let model = if unsigned {
            unverified.without_signature().or_fail(arguments.model.display())?
        } else {
            signature = signature_for_agents(&unverified, arguments)?;
            let verified = verify(unverified, &arguments.model, arguments.trust.as_deref())?;
            verified.accept(&serials()?).or_fail(arguments.model.display())?;
            verified.into_inner()
        };
        let rules = &model.rules().references;
        let references = machine_references::table(arguments.references.as_deref(), rules, quiet)?;
        let (path, verdict_cache) = (arguments.model.clone(), arguments.verdict_cache);
        Ok(Self { path, model: model.into(), signature, references, verdict_cache })
    }

    /// The model.
    pub(crate) fn model(&self) -> &Arc<ModelFile> {
        &self.model
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
        let header = self.model.header();
        Ok(Workload {
            command: run.command.clone(),
            user: run.user.clone(),
            name: super::name_of(run, Some(header.workload.as_str()))?,
            mode,
            on_violation,
            rules: header.rules.clone(),
            references: self.references.vouched().clone(),
            coefficients: self.model.coefficients().copied().collect(),
            exact: self.model.exact_coefficients(self.references.vouched()),
            model: Some(absolute(&self.path)),
            platform: header.platform,
            tma: run.tma.clone(),
            verdict_cache: self.verdict_cache_for(&run.tma)?,
            header: Some(header.canonical()),
            signature: self.signature.clone(),
            source: run.source.source_for(header.rules.profile),
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

/// An agent that is not here checks the signature once more.
fn signature_for_agents(
    unverified: &Unverified,
    arguments: &ModelArguments,
) -> Outcome<Option<ModelSignature>> {
    if !unverified.claims_signature() {
        return Ok(None);
    }
    let trust = arguments.trust.clone().unwrap_or_else(places::trust_dir);
    let keys = TrustStore::open(&trust).or_fail(trust.display())?;
    unverified.signature_for_agents(&keys).or_fail(arguments.model.display())
}

/// Checks a model's signature, state and serial against the pinned keys.
pub(crate) fn verify(
    unverified: Unverified,
    path: &Path,
    trust: Option<&Path>,
) -> Outcome<Verified<ModelFile>> {
    let trust = trust.map_or_else(places::trust_dir, Path::to_owned);
    let keys = if unverified.claims_signature() {
        TrustStore::open(&trust).or_fail(trust.display())?
    } else {
        // What is missing first is the signature, not the key.
        TrustStore::default()
    };
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
