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
        let programs::Status { active, modules, programs, namespaces } = programs::status();
        KernelStatus { built_in: true, active, security_modules: modules, programs, namespaces }
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
            namespaces: 0,
        }
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
