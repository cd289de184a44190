//! What the services of the agent know of the runs on this node.

use crate::duty::Now;
use squall_types::agent::Assignment;

/// A run that is being executed, or is about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRun {
    pub assignment: Assignment,
    pub began: Now,
    /// Its shim is up: what is started beside it finds its cell. Until then it only has a socket.
    pub is_up: bool,
}

impl LiveRun {
    /// Whether nothing that the services use has changed.
    pub fn is_same(&self, assignment: &Assignment, is_up: bool) -> bool {
        self.is_up == is_up && self.assignment == *assignment
    }
}
