//! Planted bugs: each is switched on alone, and the simulator has to find it, by an oracle that fits it, within so many
//! seeds. Without them a clean run would prove little.
//!
//! Three switches of the agent are second lines of defence, which nothing reaches while the controller keeps to its own
//! rules: taking a GPU that another run holds, taking an attempt that is over, and obeying a controller that was replaced,
//! which refuses to speak to an agent that has obeyed a later one. A fourth, powering off under jobs, shows only after an
//! hour without a controller, which is longer than a run lasts. The agent's own tables try all four.

use serde::Serialize;

/// A bug that can be planted.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// Of its switch.
    pub name: &'static str,
    pub what: &'static str,
    /// What the oracles that fit it say: one of these stands in the violation.
    pub found_by: &'static [&'static str],
}

macro_rules! bugs {
    ($($name:literal: $what:literal => $($found_by:literal),+;)+) => {
        /// Every planted bug.
        pub const BUGS: &[Bug] = &[$(Bug { name: $name, what: $what, found_by: &[$($found_by),+] }),+];
    };
}

bugs! {
    // Jobs.
    "reply_before_commit": "answers leave before what they say is on disk" => "J1:", "which is not durable";
    "token_ignored": "a repeated submission is another job" => "J2:";
    "restore_without_gap": "a restored backup gives ids again" => "J3:";
    "plans_before_configured": "a start places jobs before it knows that the journal is a restored backup" => "J3:";
    "agent-exec-before-persist": "an agent executes before its record is durable" => "J4:";
    "agent-restart-begun-run": "an agent starts again what it had begun" => "J4:";
    "agent-claim-outlives-boot": "an agent believes that nothing was executed before its machine restarted" => "J4:";
    "silence_is_death": "a node without contact counts as dead" => "J5:";
    "ends_before_its_parts": "a job ends, or comes back, while a part of it lives" => "J5:", "has no living part";
    "agent-report-before-persist": "an agent tells an end that a crash can take back" => "J6:";
    "agent-forget-before-ack": "an agent forgets an end that nobody has heard" => "J6:";
    "acknowledged_before_commit": "an end may be forgotten before it is on disk" => "J6:", "whose end is not durable";
    "cancel_loses_to_requeue": "a cancelled job that was being requeued runs again" => "J7:";
    "afterok_of_what_failed": "`afterok` is content with any end" => "J8:";
    "array_limit_forgotten": "`%n` is ignored" => "J8:";
    "group_is_a_copy": "elements of an array that are held apart wait with the others as well" => "J4:", "places in records";
    // Resources.
    "double_gpu": "GPUs are granted from the first on, whoever has them" => "G1:", "is granted twice";
    "components_apart": "one component of a heterogeneous job is placed without the others" => "H1:", "of its components";
    "gang_starts_early": "a gang runs when one of its nodes is ready" => "G3:", "before all of its parts are prepared";
    "shortfall_accepted": "a machine with less than was bought is used" => "G4:";
    "claims_uncounted": "jobs that wait for their machines count for no limit" => "A1:", "of what is limited";
    // Machines and money.
    "launch_before_commit": "a machine is bought before its order is on disk" => "M1:";
    "strangers_unseen": "machines that no row knows are overlooked" => "M2:";
    "die_at_untold": "an agent does not hear that the end of its machine was put off" => "M3:";
    "agent-no-limit-without-contact": "without controller jobs run past their limits" => "M3:";
    "gone_at_first_miss": "one listing is enough to close a row" => "M4:", "J5:";
    "new_token_on_retry": "a repeated call has a token of its own" => "M1:";
    "launch_past_token": "a call is repeated when its token is forgotten" => "M5:";
    "unknown_is_capacity": "an unknown outcome counts as none" => "M5:";
    "budget_forgets_reservations": "money that is reserved can be spent again" => "M6:";
    "order_one_too_many": "an order buys one more than was decided" => "M6:";
    "billed_from_the_order": "the ledger counts from the order, not from the launch" => "M7:";
    "agent-pause-counts": "what a job is suspended counts against its limit" => "M3:";
    "idle_by_the_clock": "what is old counts as idle" => "M8:", "M3:";
    // Control.
    "agent-epoch-not-persisted": "an agent obeys an epoch that a crash lets it forget" => "C3:";
    "snapshot_forgets_the_past": "a snapshot lacks what was purged" => "C4:";
}

/// What became of the hunt for one bug.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    pub bug: &'static str,
    pub what: &'static str,
    /// The first seed that found it.
    pub seed: Option<u64>,
    pub seeds_played: u64,
    /// How it was found.
    pub violation: String,
    /// Seeds before that which found something that does not fit.
    pub by_others: u64,
}

/// Plays seeds from `start` on, in order, until one finds the bug, or `most` were played.
#[cfg(feature = "canaries")]
pub fn hunt(bug: &Bug, start: u64, most: u64) -> Hunt {
    let mut hunt =
        Hunt { bug: bug.name, what: bug.what, seed: None, seeds_played: 0, violation: String::new(), by_others: 0 };
    plant(Some(bug.name));
    for seed in start..start + most {
        hunt.seeds_played += 1;
        let violations = crate::run::run(seed).violations;
        let fits = |text: &&String| bug.found_by.iter().any(|part| text.contains(part));
        if let Some(text) = violations.iter().find(fits) {
            hunt.seed = Some(seed);
            hunt.violation.clone_from(text);
            break;
        }
        if let Some(text) = violations.first() {
            hunt.by_others += 1;
            hunt.violation.clone_from(text);
        }
    }
    plant(None);
    hunt
}

#[cfg(feature = "canaries")]
fn plant(name: Option<&str>) {
    squall_core::canary::plant(name);
    squalld::canary::set(name);
}

/// All bugs, on `threads` threads; `told` hears of each hunt as it ends.
#[cfg(feature = "canaries")]
pub fn hunt_all(start: u64, most: u64, threads: usize, told: &(dyn Fn(&Hunt) + Sync)) -> Vec<Hunt> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    let next = AtomicUsize::new(0);
    let hunts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(bug) = BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let hunt = hunt(bug, start, most);
                    told(&hunt);
                    hunts.lock().unwrap_or_else(PoisonError::into_inner).push(hunt);
                }
            });
        }
    });
    let mut hunts = hunts.into_inner().unwrap_or_else(PoisonError::into_inner);
    hunts.sort_by_key(|hunt| BUGS.iter().position(|bug| bug.name == hunt.bug));
    hunts
}
