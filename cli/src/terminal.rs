//! The terminal and signals: the workload has them as if we were not there.

pub(crate) mod attention;
pub(crate) mod guardian;
pub(crate) mod job_control;
pub(crate) mod screen;
pub(crate) mod signals;
