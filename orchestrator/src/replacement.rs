//! A newer model for a namespace that runs.
//!
//! Whoever started the namespace says whom to believe; here is decided whether a model that is
//! believed may follow the one in force. It must be of the same workload and have the very same
//! rules, since the identities of the processes that run were formed under them. Every refusal
//! leaves everything as it was.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;
use tsem::Digest;
use tsem::Mode;
use tsem::References;

use crate::agent::AgentError;
use crate::agent::NamespaceAgent;
use crate::hooks;
use crate::hooks::Hooks;
use crate::kernel::KernelError;
use crate::model_file::header::Header;
use crate::model_file::header::Workload as Name;
use crate::model_file::model::ModelFile;
use crate::model_file::serials::SerialError;
use crate::model_file::serials::SerialStore;
use crate::model_file::trust::TrustError;
use crate::model_file::trust::Unverified;
use crate::model_file::trust::Verified;
use crate::record::Record;
use crate::record::Replacement;
use crate::source::RunningSource;
use crate::source::Source;
use crate::unfinished::News;
use crate::workload::Workload;
use crate::workload::now;

/// The model in force in a namespace, for whoever tells violations by it.
#[derive(Debug)]
pub struct InForce(Mutex<Force>);

/// One model in force.
#[derive(Clone, Debug)]
pub struct Force {
    /// The model.
    pub model: Arc<ModelFile>,
    /// Where it lay when it was given.
    pub path: PathBuf,
    /// Whether a pinned key signed it.
    pub signed: bool,
}

impl InForce {
    /// The model that a namespace is started with.
    pub fn new(force: Force) -> Self {
        Self(Mutex::new(force))
    }

    /// The model that is in force now.
    pub fn now(&self) -> Force {
        lock(&self.0).clone()
    }
}

/// A model that may be put in force as far as whoever started the namespace is concerned.
pub enum Examined {
    /// Signed by a pinned key; its serial is kept in this store once it is accepted.
    Signed(Verified<ModelFile>, SerialStore),
    /// Signed by nobody, where that was asked for.
    Unsigned(ModelFile),
}

impl Examined {
    fn model(&self) -> &ModelFile {
        match self {
            Self::Signed(verified, _) => verified.inner(),
            Self::Unsigned(model) => model,
        }
    }

    /// Keeps the serial as the lowest that is accepted from now on.
    ///
    /// # Errors
    ///
    /// Another run has accepted a newer model meanwhile, or the store cannot be written.
    pub fn accept(&self) -> Result<(), SerialError> {
        match self {
            Self::Signed(verified, serials) => verified.accept(serials),
            Self::Unsigned(_) => Ok(()),
        }
    }

    /// The model in force, that lay at `path`.
    pub fn into_force(self, path: PathBuf) -> Force {
        let signed = matches!(self, Self::Signed(..));
        let model = match self {
            Self::Signed(verified, _) => verified.into_inner(),
            Self::Unsigned(model) => model,
        };
        Force { model: model.into(), path, signed }
    }
}

/// Decides whether an offered model is believed, as at the start of the namespace.
pub type Examine = Box<dyn Fn(Unverified) -> Result<Examined, TrustError> + Send>;

/// What it takes to replace a namespace's model.
pub struct Replaceable {
    /// The model that it is started with, and later the one in force.
    pub in_force: Arc<InForce>,
    /// Whom to believe.
    pub examine: Examine,
}

/// A model was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The namespace.
    pub name: String,
    /// The serial that was in force.
    pub serial_before: u64,
    /// The serial that is in force.
    pub serial: u64,
    /// Coefficients that it has more than the one before.
    pub added: usize,
    /// Coefficients that the one before had, and it has not.
    pub removed: usize,
    /// How many it has.
    pub coefficients: usize,
    /// The state of the model, 64 hexadecimal digits.
    pub state: String,
}

/// Why a model does not follow the one in force.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// It is not believed.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Nobody signed it, and a signed one is in force.
    #[error("a signed model is in force, and this one is not signed; sign it: quixote model sign")]
    Unsigned,
    /// It is of another workload.
    #[error("the model is of {offered}, and the namespace runs under one of {in_force}")]
    OtherWorkload {
        /// Whose it is.
        offered: Name,
        /// Whose is in force.
        in_force: Name,
    },
    /// It is no newer.
    #[error(
        "the model has serial {offered}, and {in_force} is in force; only a newer one replaces it"
    )]
    NotNewer {
        /// What it has.
        offered: u64,
        /// What is in force.
        in_force: u64,
    },
    /// A part of it differs under which identities and state were formed.
    #[error(
        "the model has another {0} than the one in force, under which the running processes were \
         named; restart the workload with it"
    )]
    Differs(&'static str),
    /// What it was learned with is not judged, or what the one before held it could not learn.
    #[error(
        "the model was learned without hooks that the one in force was learned with, or with hooks \
         that this kernel lacks: {}; restart the workload with it", .0.join(", ")
    )]
    Hooks(Vec<String>),
    /// The agent does not take it.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// Its serial is not kept.
    #[error(transparent)]
    Serial(#[from] SerialError),
    /// The source does not take it: the model from before is in force again.
    #[error(
        "the kernel did not take the model, so the one from before is in force again; the new \
         serial counts as accepted: {0}"
    )]
    Source(KernelError),
    /// The workload has ended.
    #[error("the workload has ended")]
    Ended,
}

/// A namespace whose model can be replaced.
pub(crate) struct Replacing {
    replaceable: Replaceable,
    terms: Terms,
    agent: Arc<dyn NamespaceAgent>,
    /// What it takes from the kernel is given back when the run ends, and not later.
    source: Weak<RunningSource>,
    record: Arc<Mutex<Record>>,
    news: Arc<News>,
}

/// Under what the namespace was started.
struct Terms {
    mode: Mode,
    source: Source,
    hooks: Hooks,
    references: References,
}

impl Replacing {
    pub(crate) fn new(
        replaceable: Replaceable,
        workload: &Workload,
        agent: Arc<dyn NamespaceAgent>,
        source: &Arc<RunningSource>,
        record: Arc<Mutex<Record>>,
        news: Arc<News>,
    ) -> Self {
        let hooks = workload.hooks.clone();
        let references = workload.references.clone();
        let terms = Terms { mode: workload.mode, source: workload.source, hooks, references };
        Self { replaceable, terms, agent, source: Arc::downgrade(source), record, news }
    }

    /// Puts a model in force, or says why not.
    pub(crate) fn replace(&self, offered: Unverified) -> Result<Replaced, ReplaceError> {
        let path = offered.path().to_owned();
        let before = self.replaceable.in_force.now();
        let examined = (self.replaceable.examine)(offered)?;
        if before.signed && matches!(examined, Examined::Unsigned(_)) {
            return Err(ReplaceError::Unsigned);
        }
        follows(examined.model().header(), before.model.header())?;
        self.put_in_force(&before, examined, path)
    }

    /// The record is locked meanwhile, so that a run that ends is recorded with the model it had.
    fn put_in_force(
        &self,
        before: &Force,
        examined: Examined,
        path: PathBuf,
    ) -> Result<Replaced, ReplaceError> {
        let mut record = lock(&self.record);
        let running = self.source.upgrade().filter(|_| record.ended.is_none());
        let source = running.ok_or(ReplaceError::Ended)?;
        let hooks = self.hooks_of(examined.model().header(), before.model.header(), &record)?;
        let coefficients: Vec<Digest> = examined.model().coefficients().copied().collect();
        self.agent.may_replace_model(&coefficients)?;
        examined.accept()?;
        self.agent.replace_model(&coefficients)?;
        let exact = examined.model().exact_coefficients(&self.terms.references);
        if let Err(error) = source.replace_model(&coefficients, &exact) {
            self.restore(&source, &before.model);
            return Err(ReplaceError::Source(error));
        }
        let after = examined.into_force(path);
        let replaced = self.tell(&mut record, &hooks, before, &after);
        *lock(&self.replaceable.in_force.0) = after;
        self.news.count();
        Ok(replaced)
    }

    /// What is known of hooks under the new model.
    fn hooks_of(
        &self,
        after: &Header,
        before: &Header,
        record: &Record,
    ) -> Result<Hooks, ReplaceError> {
        let may_be_missing = self.terms.hooks.may_be_missing;
        let hooks_of =
            |header: &Header| Hooks { unlearned: header.unlearned_hooks(), may_be_missing };
        let (after, before) = (hooks_of(after), hooks_of(before));
        match hooks::in_the_way(&record.missing_hooks, &before, &after, self.terms.mode) {
            none if none.is_empty() => Ok(after),
            names => Err(ReplaceError::Hooks(names)),
        }
    }

    /// The model from before, after the source has refused another. What the run has shown
    /// meanwhile is in the record in any case.
    fn restore(&self, source: &RunningSource, before: &ModelFile) {
        let coefficients: Vec<Digest> = before.coefficients().copied().collect();
        let restored = self.agent.replace_model(&coefficients);
        if let Err(error) = restored {
            tracing::error!(target: "user", %error, "the model from before is not in force again");
        }
        let exact = before.exact_coefficients(&self.terms.references);
        if let Err(error) = source.replace_model(&coefficients, &exact) {
            tracing::error!(target: "user", %error, "the kernel has not the model from before");
        }
    }

    fn tell(&self, record: &mut Record, hooks: &Hooks, before: &Force, after: &Force) -> Replaced {
        let (old, new) = (&before.model, &after.model);
        let (serial, coefficients) = (new.header().serial, new.len());
        record.model = Some(after.path.clone());
        record.replaced.push(Replacement { serial, when: now(), coefficients: new.len() as u64 });
        record.notes = hooks::notes_of(
            self.terms.source,
            new.rules(),
            &hooks.unlearned,
            &record.missing_hooks,
        );
        Replaced {
            name: record.name.clone(),
            serial_before: old.header().serial,
            serial,
            added: new.coefficients().filter(|each| !old.contains(each)).count(),
            removed: old.coefficients().filter(|each| !new.contains(each)).count(),
            coefficients,
            state: new.state().to_hex(),
        }
    }
}

/// Whether a model of this header may follow one in force while its workload runs.
fn follows(offered: &Header, in_force: &Header) -> Result<(), ReplaceError> {
    if offered.workload != in_force.workload {
        let (offered, in_force) = (offered.workload.clone(), in_force.workload.clone());
        return Err(ReplaceError::OtherWorkload { offered, in_force });
    }
    if offered.serial <= in_force.serial {
        let (offered, in_force) = (offered.serial, in_force.serial);
        return Err(ReplaceError::NotNewer { offered, in_force });
    }
    let (new, old) = (&offered.rules, &in_force.rules);
    let parts = [
        ("profile", new.profile == old.profile),
        ("nonce ('base')", offered.platform.base == in_force.platform.base),
        ("platform ('aggregate')", offered.platform.aggregate == in_force.platform.aggregate),
        ("set of rules", new == old),
    ];
    let differing = parts.iter().find(|(_, same)| !same);
    differing.map_or(Ok(()), |(part, _)| Err(ReplaceError::Differs(part)))
}

/// A path that a record can hold.
pub(crate) fn recordable(path: &[u8]) -> Option<&Path> {
    let text = std::str::from_utf8(path).ok()?;
    let whole = text.len() <= tsem::TEXT_MAX && !text.contains('\0');
    Some(Path::new(text)).filter(|path| whole && path.is_absolute())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
