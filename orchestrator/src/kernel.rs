//! The kernel source's programs: what all namespaces of this machine share.

use serde::Serialize;

/// What is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
}

#[cfg(feature = "kernel")]
pub use with_kernel::*;
#[cfg(not(feature = "kernel"))]
pub use without_kernel::*;

#[cfg(feature = "kernel")]
mod with_kernel {
    use super::KernelStatus;
    pub use kernel_source::KernelError;
    use kernel_source::programs;

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
        }
    }

    /// The events of the profile `full` whose hook this kernel lacks, by name.
    ///
    /// # Errors
    ///
    /// The kernel's types cannot be read.
    pub fn missing_hooks() -> Result<Vec<String>, KernelError> {
        let missing = kernel_source::full_programs::missing()?;
        Ok(missing.iter().map(|kind| kind.name().into()).collect())
    }

    /// Loads, attaches and pins the programs, unless they are already.
    ///
    /// # Errors
    ///
    /// BPF LSM is not active, or the kernel refuses.
    pub fn load() -> Result<(), KernelError> {
        programs::load()
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
        }
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
    pub fn load() -> Result<(), KernelError> {
        Err(KernelError)
    }

    /// # Errors
    ///
    /// Always.
    pub fn unload() -> Result<(), KernelError> {
        Err(KernelError)
    }
}
