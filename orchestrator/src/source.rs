//! Where a namespace's events come from: two sources, one life.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;

use tsem::Digest;
use tsem::EventKind;
use tsem::Mode;
use tsem::Profile;
use tsem::Rules;

use crate::agent::NamespaceAgent;
use crate::kernel::KernelError;
#[cfg(feature = "kernel")]
use crate::tma::Tma;
#[cfg(feature = "kernel")]
use crate::workload::OnCrash;
use crate::workload::RunError;
use crate::workload::Workload;

/// A source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Seccomp user notification: without privileges, on every kernel.
    Portable,
    /// BPF LSM programs: needs root, and `bpf` among the kernel's security modules.
    Kernel,
}

impl Source {
    /// The word on the command line, in records and in models.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Kernel => "kernel",
        }
    }

    /// What a user must know of it before relying on it with these rules.
    pub fn caution(self, rules: &Rules) -> Option<&'static str> {
        match self {
            Self::Portable => None,
            Self::Kernel if is_exact(rules) => None,
            Self::Kernel => Some(
                "the kernel source decides events whose hooks cannot wait by the model's \
                 coefficients alone: what only a rule allows is denied there, and counted as lost, \
                 but for directories, links, UNIX sockets, removed attributes and chroot",
            ),
        }
    }

    /// The kinds of events of which it has to know as they begin whether rules allow them: it has hooks that cannot wait,
    /// and refuse what they do not know when enforcing. Another model of the same rules may make directories and links
    /// where this one does not.
    pub(crate) fn foretold(self, workload: &Workload) -> BTreeSet<EventKind> {
        let refuses = workload.mode == Mode::Enforcing && !workload.rules.names.is_empty();
        if self != Self::Kernel || !refuses {
            return BTreeSet::new();
        }
        let always = BTreeSet::from([EventKind::InodeMkdir, EventKind::InodeLink]);
        always.union(&workload.ruled).copied().collect()
    }

    /// Before the first thread of a run: under the kernel source the orchestrator has little to do, and should take
    /// little of the kernel's memory.
    pub fn spare_memory(self) {
        #[cfg(feature = "kernel")]
        if self == Self::Kernel {
            kernel_source::share_memory();
        }
    }

    /// The kernel where it works, else portable; says why.
    pub fn best() -> Self {
        match why_not_kernel() {
            None => Self::Kernel,
            Some(why) => {
                tracing::warn!(target: "user", "events come from the portable source: {why}");
                Self::Portable
            }
        }
    }
}

/// Whether rules let nothing through that has another coefficient than what was seen.
fn is_exact(rules: &Rules) -> bool {
    rules.names.is_empty() && rules.addresses.is_empty() && rules.references.is_empty()
}

/// Why the programs are neither loaded nor can be.
#[cfg(feature = "kernel")]
fn why_not_kernel() -> Option<String> {
    kernel_source::programs::load().err().map(|error| error.to_string())
}

#[cfg(not(feature = "kernel"))]
fn why_not_kernel() -> Option<String> {
    Some(RunError::NoKernelSource.to_string())
}

/// What a source has settled without its agent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceCounts {
    /// Events allowed as the very same event before; the agent was not told.
    pub(crate) repeated: u64,
    /// Events decided in the kernel by the model; the agent was told.
    pub(crate) decided: u64,
}

/// A workload that runs under one of them.
pub(crate) enum RunningSource {
    Portable(portable_source::Running),
    #[cfg(feature = "kernel")]
    Kernel(kernel_source::Running),
}

impl RunningSource {
    pub(crate) fn start(
        workload: &Workload,
        agent: &Arc<dyn NamespaceAgent>,
    ) -> Result<Self, RunError> {
        match workload.source {
            Source::Portable => start_portable(workload, agent),
            Source::Kernel => start_kernel(workload, agent),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        match self {
            Self::Portable(running) => running.pid(),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.pid(),
        }
    }

    pub(crate) fn pidfd(&self) -> std::io::Result<OwnedFd> {
        match self {
            Self::Portable(running) => running.pidfd().try_clone_to_owned(),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.pidfd().try_clone_to_owned(),
        }
    }

    pub(crate) fn counts(&self) -> SourceCounts {
        match self {
            Self::Portable(_) => SourceCounts::default(),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => {
                let counts = running.counts();
                SourceCounts { repeated: counts.hits, decided: counts.decided }
            }
        }
    }

    /// Another model of the same rules is in force: the agent has it already. The portable source
    /// keeps nothing of a verdict.
    pub(crate) fn replace_model(
        &self,
        coefficients: &[Digest],
        exact: &[Digest],
    ) -> Result<(), KernelError> {
        #[cfg(not(feature = "kernel"))]
        let _ = (coefficients, exact);
        match self {
            Self::Portable(_) => Ok(()),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.replace_model(&known(coefficients, exact)),
        }
    }

    pub(crate) fn kill_all(&self) {
        match self {
            Self::Portable(running) => running.kill_all(),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.kill_all(),
        }
    }

    pub(crate) fn ended(&self) -> BorrowedFd<'_> {
        match self {
            Self::Portable(running) => running.ended(),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.ended(),
        }
    }

    /// Nothing is asked of it any more: it gives back what it has of the kernel's.
    pub(crate) fn give_back(&self) {
        match self {
            Self::Portable(_) => {}
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.give_back(),
        }
    }

    pub(crate) fn wait(&self) -> ExitStatus {
        match self {
            Self::Portable(running) => running.wait(),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.wait(),
        }
    }

    pub(crate) fn wait_for_all(&self) {
        match self {
            Self::Portable(running) => running.wait_for_all(),
            #[cfg(feature = "kernel")]
            Self::Kernel(running) => running.wait_for_all(),
        }
    }
}

fn start_portable(
    workload: &Workload,
    agent: &Arc<dyn NamespaceAgent>,
) -> Result<RunningSource, RunError> {
    if workload.rules.profile == Profile::Full {
        return Err(RunError::FullIsOfTheKernel);
    }
    if workload.user.is_some() {
        return Err(RunError::UserIsOfTheKernel);
    }
    let rules = workload.rules.clone();
    let mut launch = portable_source::Launch::new(workload.command.clone());
    launch.digest_paths = Arc::new(move |path| rules.wants_digest(path));
    Ok(RunningSource::Portable(launch.prepare()?.start(agent.clone())?))
}

#[cfg(feature = "kernel")]
fn start_kernel(
    workload: &Workload,
    agent: &Arc<dyn NamespaceAgent>,
) -> Result<RunningSource, RunError> {
    let mut launch = kernel_source::Launch::new(workload.command.clone());
    if let Some(user) = &workload.user {
        let account = kernel_source::Account::parse(user);
        launch.account = Some(account.map_err(kernel_source::LaunchError::Account)?);
    }
    launch.mode = workload.mode;
    launch.on_violation = workload.on_violation;
    launch.profile = workload.rules.profile;
    launch.shield = workload.shield;
    launch.on_orphaned = match workload.on_crash {
        OnCrash::Deny => kernel_source::OnOrphaned::Enforce,
        OnCrash::Kill => kernel_source::OnOrphaned::Kill,
    };
    // It decides for no agent but the one in the orchestrator.
    let exact = if workload.tma == Tma::Orchestrator { &workload.exact[..] } else { &[] };
    launch.known = known(&workload.coefficients, exact);
    if !workload.rules.digests.is_empty() {
        let rules = workload.rules.clone();
        launch.digest_paths = Some(Arc::new(move |path: &[u8]| rules.wants_digest(path)));
    }
    launch.foretold = Source::Kernel.foretold(workload).into_iter().collect();
    let rules = workload.rules.clone();
    launch.unruled = Arc::new(move |cell| tsem::is_hashed_as_described(cell, &rules));
    Ok(RunningSource::Kernel(launch.prepare()?.start(agent.clone())?))
}

/// A model as the kernel takes it.
#[cfg(feature = "kernel")]
fn known(coefficients: &[Digest], exact: &[Digest]) -> Vec<kernel_source::Known> {
    let is_exact = |each: &Digest| exact.binary_search(each).is_ok();
    let known = |each: &Digest| kernel_source::Known { coefficient: *each, exact: is_exact(each) };
    coefficients.iter().map(known).collect()
}

#[cfg(not(feature = "kernel"))]
fn start_kernel(_: &Workload, _: &Arc<dyn NamespaceAgent>) -> Result<RunningSource, RunError> {
    Err(RunError::NoKernelSource)
}
