//! Some planted bugs are found in a handful of seeds: all of them are for `squall-sim --canaries`.
#![cfg(feature = "canaries")]

use squall_sim::canaries::{BUGS, hunt};

#[test]
fn planted_bugs_are_found_by_the_oracles_that_fit_them() {
    let quick = [
        "reply_before_commit",
        "launch_before_commit",
        "agent-exec-before-persist",
        "agent-report-before-persist",
        "group_is_a_copy",
    ];
    for bug in BUGS.iter().filter(|bug| quick.contains(&bug.name)) {
        let hunt = hunt(bug, 0, 30);
        assert!(hunt.seed.is_some(), "{hunt:?}");
    }
    let clean = squall_sim::run(0);
    assert!(clean.is_clean(), "a bug stays planted after its hunt: {:?}", clean.violations);
}
