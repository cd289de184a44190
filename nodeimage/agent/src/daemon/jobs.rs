//! What the services of the agent know of the runs on this node.

use crate::duty::Now;
use squall_types::agent::Assignment;

/// A run that is being executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRun {
    pub assignment: Assignment,
    pub began: Now,
}

impl LiveRun {
    /// Whether nothing that the services use has changed.
    pub fn is_same(&self, assignment: &Assignment) -> bool {
        self.assignment == *assignment
    }
}
