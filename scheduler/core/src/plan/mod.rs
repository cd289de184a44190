//! What should happen next: placements, orders, drains.
//!
//! Jobs are tried in the order of the queue. Each is placed on what is free without delaying what is reserved before
//! it; else it claims nodes that are on their way; else nodes are bought for it, unless waiting is sooner; else the
//! earliest time that running work allows is reserved for it.
//!
//! There is one pass, in `pass.rs`, over one view of the state. [`plan`] builds the view and makes the pass: the same
//! state and time give the same answer. [`IncrementalPlanner`] keeps the view up with the state and makes the same
//! pass, and so its answer can differ only where the view does. A plain model in the tests, which looks at every node
//! for every job at every time, says what the pass must come to.

mod buy;
mod claims;
mod classes;
pub mod feasible;
pub(crate) mod fleet;
mod joint;
mod limits;
pub mod market;
mod memory;
mod pass;
pub mod place;
mod planner;
mod seek;
mod share;
mod shrink;
mod slot;
mod standing;
mod step;
mod together;
pub mod topology;
mod tree;
mod view;
mod waiting;

use crate::cluster::Cluster;
use crate::event::What;
pub use claims::claim_ready_at;
pub use joint::misfit_together;
pub use planner::{IncrementalPlanner, Progress};
pub use seek::WINDOW;
use squall_types::Timestamp;
pub use step::{Note, Notes, Plan, PlannedOrder, Step, Target};
pub use together::{COMMON_STARTS, Orders, hardest_first};
pub use waiting::{Gate, gate};

/// Whether a plan made after this event may do anything that the one before it could not. What only renews, lists or
/// forgets cannot; what time brings, the last plan has said itself.
pub fn is_news(what: &What) -> bool {
    let nothing = matches!(
        what,
        What::JobsPurged { .. }
            | What::LedgerPurged { .. }
            | What::MoneyRenewed { .. }
            | What::DieAtExtended { .. }
            | What::ListingTaken { .. }
            | What::PartPrepared { .. }
            | What::StepStarted { .. }
            | What::StepEnded { .. }
    );
    !nothing
}

/// Plans from scratch.
pub fn plan(cluster: &Cluster, now: Timestamp) -> Plan {
    let mut planner = IncrementalPlanner::default();
    planner.begin(cluster, now);
    match planner.go_on(u64::MAX) {
        Progress::Done(plan) => plan,
        Progress::Cut { .. } => unreachable!("nothing cuts a pass without a budget"),
    }
}
