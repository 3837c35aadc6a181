//! The kernel source: security events of a workload from LSM hooks, by BPF programs.
//!
//! The kernel is a stock one with BPF LSM, from Linux 6.1 on; root is needed. Every event is held
//! in its hook until the agent has answered, unless the same event was allowed before.
//! `docs/decisions/0002-kernel-source.md` says how; `src/bpf/main.bpf.c` is where to start reading.
//!
//! [`Launch`] -> [`Prepared`] -> [`Running`]; [`programs`] loads and unloads what all namespaces
//! share, [`full_programs`] what those of the profile `full` want besides.

mod account;
pub mod attach;
mod content;
pub mod cost;
mod describe;
mod ended;
mod foretelling;
mod foretold;
pub mod full_programs;
mod launch;
mod lock;
pub mod lockdown;
mod making;
mod maps;
mod model;
mod mount_source;
mod namespace;
mod neighbours;
pub mod preemption;
pub mod programs;
mod serve;
mod sets;
mod shared_memory;
mod sys;
mod wire;

pub use account::Account;
pub use account::AccountError;
pub use launch::Launch;
pub use launch::LaunchError;
pub use launch::OnOrphaned;
pub use launch::Prepared;
pub use launch::Running;
pub use model::Known;
pub use namespace::NamespaceCounts;
pub use programs::KernelError;
pub use sys::Errno;
pub use sys::share_memory;
