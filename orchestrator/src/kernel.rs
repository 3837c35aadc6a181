//! The kernel source's programs: what all namespaces of this machine share.

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
    /// Programs attached; empty if nothing is loaded.
    pub programs: Vec<String>,
    /// Whether the programs for the events of the profile `full` are among them.
    pub full: bool,
    /// The events of that profile whose hook this kernel lacks.
    pub missing_hooks: Vec<String>,
    /// Namespaces that run under them.
    pub namespaces: usize,
    /// Whether root outside is locked out of them until the next boot.
    pub lockdown: bool,
    /// What the kernel's own lockdown is at; `None` where it has none.
    pub kernel_lockdown: Option<String>,
}

#[cfg(feature = "kernel")]
pub use with_kernel::*;
#[cfg(not(feature = "kernel"))]
pub use without_kernel::*;

#[cfg(feature = "kernel")]
mod with_kernel {
    use super::KernelStatus;
    pub use kernel_source::KernelError;
    use kernel_source::full_programs;
    use kernel_source::lockdown;
    use kernel_source::programs;
    use std::io;
    use std::path::PathBuf;
    use tsem::Profile;

    /// What is loaded.
    pub fn status() -> KernelStatus {
        let status = programs::status();
        KernelStatus {
            built_in: true,
            active: status.active,
            security_modules: status.modules,
            programs: status.programs,
            full: status.full,
            missing_hooks: status.missing,
            namespaces: status.namespaces,
            lockdown: status.lockdown,
            kernel_lockdown: lockdown::of_kernel(),
        }
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
    /// Namespaces run, or the kernel refuses; nothing is locked then.
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

    /// Detaches and removes the programs.
    ///
    /// # Errors
    ///
    /// Namespaces still run under them.
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
    #[derive(Clone, Copy, Debug, thiserror::Error)]
    #[error("this quixote was built without the kernel source")]
    pub struct KernelError;

    /// Nothing is loaded.
    pub fn status() -> KernelStatus {
        KernelStatus {
            built_in: false,
            active: false,
            security_modules: String::new(),
            programs: Vec::new(),
            full: false,
            missing_hooks: Vec::new(),
            namespaces: 0,
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
