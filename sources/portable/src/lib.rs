//! The portable source: security events of a workload by seccomp user notification.
//!
//! No privilege and no kernel of its own is needed. It gives LSM semantics, not system call
//! semantics: `docs/decisions/0001-portable-source.md` says how, and why nothing can be raced.
//!
//! [`Launch`] -> [`Prepared`] -> [`Running`].

mod bpf;
mod call;
mod changes;
pub mod credentials;
mod crew;
mod digest;
mod file;
mod filter_table;
mod handlers;
mod image;
mod inode_calls;
pub mod latch;
mod launch;
pub mod listener;
mod path;
mod private_memory;
mod process;
pub mod release;
mod socket_calls;
mod steady;
mod supervisor;
mod sys;
mod umasks;

pub use launch::Launch;
pub use launch::LaunchError;
pub use launch::Prepared;
pub use launch::Running;
pub use socket_calls::describe as describe_socket;
pub use supervisor::DigestPaths;
pub use sys::Errno;
