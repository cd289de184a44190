//! What the controller says about itself and its jobs: logs, metrics, and one trace for each job.

mod trace_parent;

pub use trace_parent::{TraceParent, trace_parent_for};
