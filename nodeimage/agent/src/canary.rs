//! Planted bugs for the simulator to find: without them, a clean run of it would prove little.
//!
//! They exist only with the feature `canaries`, which no product build has, and only on a thread
//! that switched one on.

/// Executes before the record that says so is durable.
pub const EXEC_BEFORE_PERSIST: &str = "agent-exec-before-persist";
/// Reports an end before it is durable.
pub const REPORT_BEFORE_PERSIST: &str = "agent-report-before-persist";
/// Forgets a result when it is reported rather than when it is acknowledged.
pub const FORGET_BEFORE_ACK: &str = "agent-forget-before-ack";
/// Obeys a controller that has been replaced.
pub const ACCEPT_LOWER_EPOCH: &str = "agent-accept-lower-epoch";
/// Obeys a new controller before its epoch is durable.
pub const EPOCH_NOT_PERSISTED: &str = "agent-epoch-not-persisted";
/// Starts a recorded run again after a restart, whatever it had begun.
pub const RESTART_BEGUN_RUN: &str = "agent-restart-begun-run";
/// Takes claims of shims for what survives the machine.
pub const CLAIM_OUTLIVES_BOOT: &str = "agent-claim-outlives-boot";
/// Takes a grant whose GPUs another run still holds.
pub const ACCEPT_OVERLAP: &str = "agent-accept-overlap";
/// Takes a run that it has forgotten, or an attempt lower than one it knows.
pub const ACCEPT_OLD_ATTEMPT: &str = "agent-accept-old-attempt";
/// Lets jobs run past their limit when the controller is away.
pub const NO_LIMIT_WITHOUT_CONTACT: &str = "agent-no-limit-without-contact";
/// Powers a machine off under jobs when the controller is away.
pub const POWER_OFF_UNDER_JOBS: &str = "agent-power-off-under-jobs";
/// Counts what a run was suspended against its limit.
pub const PAUSE_COUNTS: &str = "agent-pause-counts";

/// Every planted bug of the agent.
pub const ALL: &[&str] = &[
    EXEC_BEFORE_PERSIST,
    REPORT_BEFORE_PERSIST,
    FORGET_BEFORE_ACK,
    ACCEPT_LOWER_EPOCH,
    EPOCH_NOT_PERSISTED,
    RESTART_BEGUN_RUN,
    CLAIM_OUTLIVES_BOOT,
    ACCEPT_OVERLAP,
    ACCEPT_OLD_ATTEMPT,
    NO_LIMIT_WITHOUT_CONTACT,
    POWER_OFF_UNDER_JOBS,
    PAUSE_COUNTS,
];

#[cfg(feature = "canaries")]
mod switched {
    use std::cell::RefCell;

    thread_local! {
        static ACTIVE: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    /// Switches one bug on for this thread, or all off.
    pub fn set(name: Option<&str>) {
        ACTIVE.with_borrow_mut(|active| *active = name.map(str::to_owned));
    }

    /// Whether this bug is switched on for this thread.
    pub fn active(name: &str) -> bool {
        ACTIVE.with_borrow(|active| active.as_deref() == Some(name))
    }
}

#[cfg(feature = "canaries")]
pub use switched::{active, set};

/// Never, in a product build.
#[cfg(not(feature = "canaries"))]
pub(crate) const fn active(_name: &str) -> bool {
    false
}
