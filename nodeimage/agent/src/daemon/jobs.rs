//! What the services of the agent know of the runs on this node.

use crate::duty::Now;
use squall_types::agent::Assignment;
use std::sync::Arc;

/// A run that is being executed, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRun {
    pub assignment: Arc<Assignment>,
    pub began: Now,
    pub stage: RunStage,
}

/// How far a run has come on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunStage {
    /// There is a socket for it, and nothing else.
    Preparing,
    /// What is to be started in it finds its cell, and may not be started yet.
    Prepared,
    /// It is being executed.
    Up,
}

impl LiveRun {
    /// Whether nothing that the services use has changed.
    pub fn is_same(&self, assignment: &Arc<Assignment>, stage: RunStage) -> bool {
        self.stage == stage && (Arc::ptr_eq(&self.assignment, assignment) || self.assignment == *assignment)
    }
}
