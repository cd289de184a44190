//! The suite that every provisioner passes, on a cloud that behaves and on clouds that do not.

mod sky;

use sky::{Sky, fair};
use squall_provisioner::{Verb, conformance};
use squall_provisioner_sim::{Fault, FaultPlan, Rule, Spread};
use squall_types::Span;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn a_fair_cloud_keeps_every_promise() {
    let report = conformance::run(|| Sky::new(fair(), FaultPlan::none(), 1)).await;
    report.assert_clean();
    let skipped = |outcome: &conformance::Outcome| matches!(outcome, conformance::Outcome::Skipped(_));
    assert!(!report.outcomes.iter().any(|(_, outcome)| skipped(outcome)), "{report}");
}

#[tokio::test]
async fn a_bad_connection_breaks_no_promise() {
    let bad = || {
        let half_wrong = [Fault::Throttled, Fault::ServerError, Fault::TimeoutBeforeEffect, Fault::ReplyLost];
        let faults = half_wrong.into_iter().fold(FaultPlan::none(), |plan, fault| plan.with(Rule::chance(fault, 150)));
        let grace = Spread::secs(1, 20, 59);
        faults
            .with(Rule::chance(Fault::LateEffect, 150).lasting(Spread::secs(1, 10, 40)))
            .with(Rule::chance(Fault::ListedLate, 300).lasting(grace))
            .with(Rule::chance(Fault::ListingPartial, 300))
            .with(Rule::chance(Fault::BootSlow, 300))
            .with(Rule::chance(Fault::RetireSlow, 300).lasting(Spread::secs(10, 60, 300)))
    };
    let struck = Arc::new(Mutex::new(BTreeMap::<&str, u64>::new()));
    for seed in 0..20 {
        let clouds = Mutex::new(Vec::new());
        let make = || {
            let sky = Sky::new(fair(), bad(), seed);
            clouds.lock().expect("no test panics with it").push(sky.cloud.clone());
            sky
        };
        let report = conformance::run(make).await;
        assert!(report.broken().is_empty(), "seed {seed}:\n{report}");
        for cloud in clouds.into_inner().expect("no test panics with it") {
            let counts = cloud.lock().expect("no test panics with it").fault_counts();
            let mut struck = struck.lock().expect("no test panics with it");
            counts.into_iter().for_each(|(name, count)| *struck.entry(name).or_default() += count);
        }
    }
    let struck = struck.lock().expect("no test panics with it");
    for fault in [Fault::Throttled, Fault::ServerError, Fault::TimeoutBeforeEffect, Fault::ReplyLost, Fault::LateEffect]
    {
        assert!(struck[fault.name()] > 20, "{fault:?} struck {} times", struck[fault.name()]);
    }
}

/// Runs the suite on a cloud with one fault and says what it found.
async fn found(rule: Rule) -> Vec<&'static str> {
    conformance::run(|| Sky::new(fair(), FaultPlan::none().with(rule.clone()), 7)).await.broken()
}

#[tokio::test]
async fn the_suite_finds_a_cloud_that_forgets_its_tokens() {
    let broken = found(Rule::always(Fault::TokenForgotten)).await;
    for check in [
        "a_repeated_launch_returns_the_same_instances",
        "concurrent_launches_with_one_token_buy_once",
        "a_launch_repeated_after_a_restart_buys_nothing",
        "a_used_token_with_another_request_is_a_conflict",
        "a_used_token_buys_nothing_after_its_instances_are_gone",
    ] {
        assert!(broken.contains(&check), "{check} is not among {broken:?}");
    }
}

#[tokio::test]
async fn the_suite_finds_a_cloud_that_shows_nothing() {
    let broken = found(Rule::always(Fault::ListingEmpty)).await;
    for check in ["a_listing_shows_order_and_name", "a_restart_forgets_no_instance", "a_launch_names_each_instance"] {
        assert!(broken.contains(&check), "{check} is not among {broken:?}");
    }
}

#[tokio::test]
async fn the_suite_finds_a_cloud_that_only_says_that_it_retires() {
    let broken = found(Rule::always(Fault::RetireLies)).await;
    for check in ["a_retired_instance_goes", "retiring_twice_is_fine", "a_restarted_provisioner_can_retire"] {
        assert!(broken.contains(&check), "{check} is not among {broken:?}");
    }
}

#[tokio::test]
async fn the_suite_finds_a_cloud_that_loses_tags() {
    let broken = found(Rule::always(Fault::OrderTagLost)).await;
    assert!(broken.contains(&"a_listing_shows_order_and_name"), "{broken:?}");
}

#[tokio::test]
async fn the_suite_finds_a_cloud_that_says_no_to_a_launch_that_it_performs() {
    let late = Rule::always(Fault::LateEffect).on(Verb::Launch).lasting(Spread::always(Span::ZERO));
    let broken = found(late).await;
    assert!(broken.contains(&"a_launch_names_each_instance"), "{broken:?}");
}
