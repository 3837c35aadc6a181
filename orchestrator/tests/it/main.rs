//! The orchestrator with real workloads under the portable source.

mod life_cycle;
