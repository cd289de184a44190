//! The domain. Placing jobs, buying machines and spending money are one decision, taken over one state.
//!
//! Pure and synchronous: no clock, no randomness, no IO, no hash order. [`decide`] turns a command into
//! events or a refusal, [`Cluster::apply`] folds events into the state, [`plan::plan`] says what should
//! happen next, [`explain::explain`] why something does not, and [`check::check`] what must always hold.
#![forbid(unsafe_code)]

pub mod accounts;
mod apply;
pub mod authz;
pub mod budget;
pub mod canary;
pub mod check;
pub mod cluster;
pub mod command;
pub mod config;
pub mod cost;
pub mod crontab;
mod decide;
mod due;
pub mod duties;
pub mod event;
pub mod explain;
mod index;
pub mod job;
pub mod kept;
pub mod node;
pub mod order;
pub mod plan;
pub mod queue;
pub mod refuse;
mod shared;
pub mod snapshot;
pub mod table;
pub mod views;

pub use cluster::Cluster;
pub use command::{Caller, Command};
pub use config::ClusterConfig;
pub use decide::{Decided, Decision, MAX_EDITS, Reply, decide, decide_in_place, next_wakeup, signal_targets};
pub use event::{Event, What};
pub use refuse::Rejection;
