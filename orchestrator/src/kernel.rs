//! The kernel source's programs: what all namespaces of this machine share.

use std::path::PathBuf;

use serde::Serialize;

/// What is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is the answer to a question of its own")]
pub struct KernelStatus {
    /// Whether this program has the kernel source at all.
    pub built_in: bool,
    /// Whether BPF LSM is active on this kernel.
    pub active: bool,
    /// The kernel's active security modules, as it lists them.
    pub security_modules: String,
    /// The name of this program's set of programs.
    pub own_set: String,
    /// Where that is pinned when it is loaded.
    pub pins: PathBuf,
    /// Programs of it that are attached; empty if it is not loaded.
    pub programs: Vec<String>,
    /// Whether the programs for the events of the profile `full` are among them.
    pub full: bool,
    /// The events of that profile whose hook this kernel lacks.
    pub missing_hooks: Vec<String>,
    /// Namespaces that run under them; `None` where that cannot be told.
    pub namespaces: Option<usize>,
    /// Sets of other builds of quixote that are loaded.
    pub other_sets: Vec<KernelSet>,
    /// Whether root outside is locked out of them until the next boot.
    pub lockdown: bool,
    /// What the kernel's own lockdown is at; `None` where it has none.
    pub kernel_lockdown: Option<String>,
}

/// A set of programs of another build of quixote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelSet {
    /// Its name.
    pub name: String,
    /// Programs attached.
    pub programs: Vec<String>,
    /// Whether the programs for the events of the profile `full` are among them.
    pub full: bool,
    /// Namespaces that run under them; `None` where that cannot be told.
    pub namespaces: Option<usize>,
}

#[cfg(feature = "kernel")]
pub use with_kernel::*;
#[cfg(not(feature = "kernel"))]
pub use without_kernel::*;

#[cfg(feature = "kernel")]
mod with_kernel {
    use super::KernelSet;
    use super::KernelStatus;
    pub use kernel_source::KernelError;
    use kernel_source::full_programs;
    use kernel_source::lockdown;
    use kernel_source::programs;
    use kernel_source::programs::SetStatus;
    pub use kernel_source::programs::trace_libbpf;
    use std::io;
    use std::path::PathBuf;
    use tsem::Profile;

    /// What is loaded.
    pub fn status() -> KernelStatus {
        let mut status = programs::status();
        let own = status.sets.extract_if(.., |set| set.own).next();
        KernelStatus {
            built_in: true,
            active: status.active,
            security_modules: status.modules,
            own_set: status.own,
            pins: status.pins,
            full: own.as_ref().is_some_and(|set| set.full),
            missing_hooks: status.missing,
            namespaces: own.as_ref().map_or(Some(0), |set| set.namespaces),
            programs: own.map(|set| set.programs).unwrap_or_default(),
            other_sets: status.sets.into_iter().map(other).collect(),
            lockdown: status.lockdown,
            kernel_lockdown: lockdown::of_kernel(),
        }
    }

    fn other(set: SetStatus) -> KernelSet {
        let SetStatus { name, programs, full, namespaces, .. } = set;
        KernelSet { name, programs, full, namespaces }
    }

    /// The events of the profile `full` whose hook this kernel lacks, by name.
    ///
    /// # Errors
    ///
    /// The kernel's types cannot be read.
    pub fn missing_hooks() -> Result<Vec<String>, KernelError> {
        let missing = full_programs::missing()?;
        Ok(missing.iter().map(|kind| kind.name().into()).collect())
    }

    /// Under a lockdown, goes on as the program that may still reach what is loaded.
    ///
    /// To be called before there is a second thread.
    ///
    /// # Errors
    ///
    /// That program cannot be executed.
    pub fn enter() -> io::Result<()> {
        lockdown::enter()
    }

    /// This program as the user knows it, also where the recorded copy acts in its place.
    ///
    /// # Errors
    ///
    /// `/proc` does not tell.
    pub fn own_program() -> io::Result<PathBuf> {
        lockdown::outer_program()
    }

    /// Loads the programs where they are not, and locks root outside out until the next boot.
    ///
    /// # Errors
    ///
    /// Namespaces run, of whatever set, or the kernel refuses; nothing is locked then.
    pub fn begin_lockdown() -> Result<(), KernelError> {
        lockdown::begin()
    }

    /// Loads, attaches and pins the programs for a profile, unless they are already.
    ///
    /// # Errors
    ///
    /// BPF LSM is not active, or the kernel or a lockdown refuses.
    pub fn load(profile: Profile) -> Result<(), KernelError> {
        programs::load()?;
        if profile == Profile::Full { full_programs::load() } else { Ok(()) }
    }

    /// Detaches and removes every set of programs that no namespace uses.
    ///
    /// # Errors
    ///
    /// Namespaces still run under some; says under which.
    pub fn unload() -> Result<(), KernelError> {
        programs::unload()
    }
}

#[cfg(not(feature = "kernel"))]
mod without_kernel {
    use super::KernelStatus;
    use std::io;
    use std::path::PathBuf;
    use tsem::Profile;

    /// There is no kernel source.
    #[derive(Debug, thiserror::Error)]
    #[error("this quixote was built without the kernel source")]
    pub struct KernelError;

    impl KernelError {
        /// What to do about it.
        pub const fn mend(&self) -> Option<&'static str> {
            Some("use one that was built with it")
        }
    }

    /// There is nobody who would say anything.
    pub const fn trace_libbpf() {}

    /// Nothing is loaded.
    pub fn status() -> KernelStatus {
        KernelStatus {
            built_in: false,
            active: false,
            security_modules: String::new(),
            own_set: String::new(),
            pins: PathBuf::new(),
            programs: Vec::new(),
            full: false,
            missing_hooks: Vec::new(),
            namespaces: Some(0),
            other_sets: Vec::new(),
            lockdown: false,
            kernel_lockdown: None,
        }
    }

    /// There is nothing to go on as.
    ///
    /// # Errors
    ///
    /// Never.
    pub fn enter() -> io::Result<()> {
        Ok(())
    }

    /// This program.
    ///
    /// # Errors
    ///
    /// `/proc` does not tell.
    pub fn own_program() -> io::Result<PathBuf> {
        std::env::current_exe()
    }

    /// # Errors
    ///
    /// Always.
    pub fn begin_lockdown() -> Result<(), KernelError> {
        Err(KernelError)
    }

    /// # Errors
    ///
    /// Always.
    pub fn missing_hooks() -> Result<Vec<String>, KernelError> {
        Err(KernelError)
    }

    /// # Errors
    ///
    /// Always.
    pub fn load(_: Profile) -> Result<(), KernelError> {
        Err(KernelError)
    }

    /// # Errors
    ///
    /// Always.
    pub fn unload() -> Result<(), KernelError> {
        Err(KernelError)
    }
}
