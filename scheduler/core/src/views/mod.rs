//! What people see of the state: pure functions from a cluster to the plain values that clients are answered with.
//!
//! Nothing here is stored and nothing decides: a view says what is so at `now`, and two views of one state agree.

mod accounts;
mod filter;
mod jobs;
mod nodes;
mod partitions;
mod reason;
mod size;
mod summary;

pub use accounts::account_entries;
pub use filter::{details_of_jobs, job_details, job_refs, job_views};
pub use jobs::{DEFAULT_QOS, cost_so_far, job_state, job_view};
pub use nodes::{node_condition, node_views};
pub use partitions::partition_views;
pub(crate) use reason::held_back;
pub use reason::waiting_reason;
pub use size::Size;
pub use summary::{ledger, summary};

#[cfg(test)]
mod tests;
