//! The engine rests when there is nothing to do, whatever it waits for.

mod world;

use squall_core::config::{BudgetConfig, BudgetPeriod, BudgetScope};
use squall_types::offer::LaunchFailure;
use squall_types::*;
use world::{World, config};

fn unknown() -> Option<LaunchFailure> {
    Some(LaunchFailure::Unknown { why: "no answer".to_owned() })
}

#[test]
fn an_order_past_its_token_does_not_keep_the_engine_awake() {
    let mut world = World::new();
    world.launch_fails = unknown();
    world.lists_all = false;
    world.submit("a", |spec| spec.ask.gpus = GpuAsk::PerNode(1, None)).expect("fits");
    world.run_until(world.now + Span::from_mins(30));
    assert_eq!(world.engine.committed().live_nodes().count(), 1, "what became of it is still not known");
}

#[test]
fn an_order_that_no_budget_covers_any_longer_is_paid_for_until_it_is_settled() {
    let mut config = config();
    let pool = config.pools.get_mut(&PoolName::from("cloud")).expect("configured");
    pool.prepaid = Span::from_mins(10);
    // One quantum of one node, and not a second one.
    let limit = pool.offers[0].price.cost_of(Span::from_mins(15));
    let budget = BudgetConfig { scope: BudgetScope::Cluster, limit, period: BudgetPeriod::Total };
    config.budgets.insert("all".into(), budget);
    let mut world = World::configured(config);
    world.launch_fails = unknown();
    world.lists_all = false;
    world.submit("a", |spec| spec.ask.gpus = GpuAsk::PerNode(1, None)).expect("fits");
    world.run_until(world.now + Span::from_mins(30));
    let events: usize = world.batches.iter().sum();
    assert!(events < 100, "{events} events about one order");
}
