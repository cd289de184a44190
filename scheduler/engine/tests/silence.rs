//! A node that nobody hears is left alone until it can run nothing any more.

mod world;

use squall_core::job::JobPhase;
use squall_types::*;
use world::{World, config};

/// A world with one job on one bought node whose agent is then cut off, for good; the cloud still shows the machine.
fn cut_off(limit: Span) -> (World, JobId) {
    let mut config = config();
    config.pools.get_mut(&PoolName::from("cloud")).expect("configured").lifetime = Span::from_hours(1);
    let mut world = World::configured(config);
    world.ends_at_once = false;
    let job = world.submit("a", |spec| spec.time_limit = Some(limit)).expect("fits");
    world.run_until(world.now + Span::from_mins(2));
    world.silent.extend(world.engine.committed().live_nodes().map(|node| node.id).collect::<Vec<_>>());
    world.agents_follow();
    (world, job)
}

#[test]
fn a_job_on_a_silent_node_is_over_when_the_node_must_have_ended() {
    let (mut world, job) = cut_off(Span::from_mins(30));
    world.run_until(world.now + Span::from_mins(50));
    let phase = |world: &World| world.engine.committed().jobs.get(&job).map(|job| job.phase.clone());
    assert!(matches!(phase(&world), Some(JobPhase::Stopping { .. })), "it may still run: {:?}", phase(&world));
    world.run_until(world.now + Span::from_hours(2));
    let ended = world.engine.committed().counters.jobs_ended;
    assert_eq!(ended, 1, "{:?}", phase(&world));
    assert!(world.engine.committed().live_nodes().all(|node| node.held.is_empty()));
}

#[test]
fn no_second_attempt_starts_before_a_silent_node_must_have_ended() {
    let (mut world, job) = cut_off(Span::FOREVER);
    let attempt = |world: &World| world.engine.committed().jobs.get(&job).map(|job| job.attempt);
    world.run_until(world.now + Span::from_mins(45));
    assert_eq!(attempt(&world), Some(Attempt(1)));
    world.run_until(world.now + Span::from_hours(2));
    assert_eq!(attempt(&world), Some(Attempt(2)), "its node powered itself off at its die-at");
}
