//! What the controller says about itself and its jobs: logs, and one trace for each job.
//!
//! Nothing leaves the process unless OpenTelemetry's environment variables ask for it, and a receiver that is slow or
//! gone costs spans, never the controller.

mod export;
mod start;
mod switches;
mod trace_parent;
pub mod traces;

pub use start::{Relog, Telemetry, follow, start};
pub use trace_parent::{TraceParent, trace_parent_for};
