//! The suite that every provisioner passes, on a cloud that behaves and on clouds that do not.

use async_trait::async_trait;
use squall_provisioner::conformance::{self, World};
use squall_provisioner::{Provisioner, Verb};
use squall_provisioner_sim::{Cloud, CloudConfig, Fault, FaultPlan, Pace, Rule, SimProvisioner, Spread};
use squall_types::{GpuGroup, Gpus, HourlyPrice, LaunchOrder, Offer, Shape, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// A simulated cloud on a clock of its own.
struct Sky {
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<AtomicI64>,
}

impl Sky {
    fn new(config: CloudConfig, faults: FaultPlan, seed: u64) -> Self {
        let cloud = Cloud::new(CloudConfig { checks_journal: true, ..config }, faults, seed);
        Self { cloud: Arc::new(Mutex::new(cloud)), clock: Arc::new(AtomicI64::new(1_700_000_000_000)) }
    }
}

#[async_trait]
impl World for Sky {
    async fn connect(&self) -> Arc<dyn Provisioner> {
        let clock = self.clock.clone();
        let now = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        Arc::new(SimProvisioner::new(self.cloud.clone(), now, Pace::Instant))
    }
    fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::Relaxed))
    }
    async fn pass(&self, span: Span) {
        self.clock.fetch_add(span.as_millis(), Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
    fn commit(&self, order: &LaunchOrder) {
        self.cloud.lock().expect("no test panics with it").announce(order.token.clone());
    }
    fn leave_room(&self, nodes: u32) -> bool {
        let mut cloud = self.cloud.lock().expect("no test panics with it");
        cloud.config_mut().sold.iter_mut().for_each(|sold| sold.capacity = Some(nodes));
        true
    }
}

fn h100() -> Offer {
    let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: 8, memory_mib: 81_559, declared: true }]);
    Offer {
        name: "p5.48xlarge/us-east-1a/on-demand".into(),
        instance_type: "p5.48xlarge".into(),
        scope: "us-east-1a".into(),
        price: HourlyPrice(98_320_000),
        shape: Shape { cpus: 192, cores: 96, memory_mib: 2_097_152, gpus, features: BTreeSet::new() },
        minimum_billed: Span::from_secs(60),
        typical_boot: Span::from_secs(180),
        max_per_order: 100,
        ..Offer::default()
    }
}

fn fair() -> CloudConfig {
    CloudConfig::selling([h100()])
}

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
