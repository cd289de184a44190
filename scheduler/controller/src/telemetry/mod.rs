//! What the controller says about itself and its jobs: logs, metrics, and one trace for each job.
//!
//! Nothing leaves the process unless OpenTelemetry's environment variables ask for it, and a receiver that is slow or
//! gone costs spans, never the controller.

mod export;
mod push;
mod start;
mod switches;
mod trace_parent;
pub mod traces;

pub use push::MetricsPush;
pub use start::{Relog, Telemetry, follow, start};
pub use trace_parent::{TraceParent, trace_parent_for};
