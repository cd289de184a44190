//! The loop from submission to a pool that is empty again, with a world that answers at once.

mod world;

use squall_core::job::JobPhase;
use squall_core::{Command, Reply};
use squall_engine::{Answer, Ask};
use squall_types::api::{JobRef, NodeAction, StepGrant, StepRequest};
use squall_types::*;
use world::World;

#[test]
fn a_pool_grows_from_nothing_runs_the_queue_and_shrinks_to_nothing() {
    let mut world = World::new();
    let single = world.submit("a", |spec| spec.ask.gpus = GpuAsk::PerNode(1, None)).expect("fits");
    let gang = world
        .submit("b", |spec| {
            spec.ask.nodes = Some(NodeCount { min: 2, max: 2 });
            spec.ask.gpus = GpuAsk::PerNode(8, Some("h100".into()));
        })
        .expect("fits");
    let array = world
        .submit("c", |spec| {
            spec.ask.gpus = GpuAsk::PerNode(1, None);
            spec.array = Some(squall_types::spec::ArraySpec { indices: (0..24).collect(), limit: None, step: 1 });
        })
        .expect("fits");
    let after = world
        .submit("d", |spec| spec.dependency = format!("afterok:{array}").parse().expect("a dependency"))
        .expect("fits");
    assert_eq!((single, gang, array, after), (JobId(1), JobId(2), JobId(3), JobId(4)));
    world.run_until(world.now + Span::from_mins(3));
    let cluster = world.engine.committed();
    let states: Vec<_> = cluster
        .jobs
        .values()
        .map(|job| matches!(&job.phase, JobPhase::Ended(end) if end.state == EndState::Completed))
        .collect();
    assert_eq!(
        states,
        vec![true; 27],
        "{:#?}",
        cluster.jobs.values().map(|job| (job.id, &job.phase)).collect::<Vec<_>>()
    );
    assert!(world.executed.values().all(|count| *count == 1));
    assert_eq!(world.executed.len(), 27);
    world.run_until(world.now + Span::from_mins(30));
    assert_eq!(world.instances.len(), 0, "every machine was given back");
    let cluster = world.engine.committed();
    assert_eq!(cluster.live_nodes().count(), 0);
    assert!(cluster.counters.spent.0 > 0);
    assert_eq!(cluster.counters.jobs_ended, 27);
}

#[test]
fn a_job_that_no_shape_can_run_is_refused_with_what_would_work() {
    let mut world = World::new();
    let refused = world.submit("x", |spec| spec.ask.gpus = GpuAsk::PerNode(16, None));
    assert_eq!(refused, Err("the largest node type there has 8 GPUs".to_owned()));
    let refused = world.submit("y", |spec| spec.ask.nodes = Some(NodeCount { min: 5, max: 5 }));
    assert_eq!(
        refused,
        Err("at most 4 nodes can be had there at once, the largest with 16 CPUs and 8 GPUs".to_owned())
    );
    // Advice that would be refused itself is none.
    let refused = world.submit("z", |spec| spec.ask.gpus = GpuAsk::PerNode(1_000, None));
    let limit = "the largest node type there has 8 GPUs, and at most 4 of it can be had at once";
    assert_eq!(refused, Err(limit.to_owned()));
}

#[test]
fn a_repeated_submission_is_the_same_job() {
    let mut world = World::new();
    assert_eq!(world.submit("same", |_| {}), world.submit("same", |_| {}));
}

#[test]
fn a_cancelled_job_ends_and_its_nodes_are_free() {
    let mut world = World::new();
    world.ends_at_once = false;
    let job = world.submit("long", |spec| spec.ask.gpus = GpuAsk::PerNode(8, None)).expect("fits");
    world.run_until(world.now + Span::from_mins(2));
    assert!(matches!(world.engine.committed().jobs.get(&job).map(|job| &job.phase), Some(JobPhase::Running { .. })));
    world.ask(Command::Cancel { job: JobRef::from(job), cron: false });
    let ended = world.engine.committed().jobs.get(&job).map(|job| job.phase.clone());
    assert!(matches!(ended, Some(JobPhase::Ended(end)) if end.state == EndState::Cancelled));
    assert!(world.engine.committed().live_nodes().all(|node| node.is_empty()));
}

/// Submits an interactive job with its first step, and returns its number and the step.
fn srun(world: &mut World, token: &str) -> (JobId, Option<Box<StepGrant>>) {
    let spec = JobSpec { kind: JobKind::Interactive, time_limit: Some(Span::from_hours(1)), ..JobSpec::default() };
    let submission = Command::Submit { spec: Box::new(spec), token: token.into(), test_only: false };
    let step = Box::new(StepRequest { name: "true".to_owned(), ..StepRequest::default() });
    match world.ask_all(Ask::WithStep { submission, step }) {
        Answer::Done(Reply::Submitted { job, step, .. }) => (job, step),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_step_that_comes_with_its_job_begins_in_the_same_batch_or_is_asked_for_later() {
    let mut world = World::new();
    world.ends_at_once = false;
    let (first, step) = srun(&mut world, "first");
    assert_eq!(step, None, "there is no node yet");
    world.run_until(world.now + Span::from_mins(2));
    assert!(world.engine.committed().jobs.get(&first).is_some_and(|job| job.placement().is_some()));
    let batches = world.batches.len();
    let (second, step) = srun(&mut world, "second");
    let grant = step.expect("a node has room");
    assert_eq!((grant.run, grant.step, grant.tasks), (Run { job: second, attempt: Attempt(1) }, StepId(0), 1));
    // The other is of the agent, which says that the job has started.
    assert_eq!(world.batches.len() - batches, 2, "one commit has all that the client waits for");
    let next = world.engine.committed().jobs.get(&second).map(|job| job.next_step);
    assert_eq!(next, Some(1));
    assert_eq!(srun(&mut world, "second"), (second, None), "of a repeated submission the step may have its client");
    assert_eq!(world.engine.committed().jobs.get(&second).map(|job| job.next_step), Some(1));
}

#[test]
fn a_node_that_vanishes_takes_its_job_back_to_the_queue() {
    let mut world = World::new();
    world.ends_at_once = false;
    let job = world.submit("long", |_| {}).expect("fits");
    world.run_until(world.now + Span::from_mins(2));
    world.instances.clear();
    world.agents_follow();
    world.run_until(world.now + Span::from_mins(12));
    let cluster = world.engine.committed();
    let attempt = cluster.jobs.get(&job).map(|job| job.attempt);
    assert_eq!(attempt, Some(Attempt(2)), "{:?}", cluster.jobs.get(&job).map(|job| &job.phase));
}

#[test]
fn a_node_that_is_powered_down_goes_when_its_job_has_ended_and_not_before() {
    let mut world = World::new();
    world.ends_at_once = false;
    let job = world.submit("long", |spec| spec.ask.gpus = GpuAsk::PerNode(8, None)).expect("fits");
    world.run_until(world.now + Span::from_mins(2));
    let node = world.engine.committed().live_nodes().next().expect("a node").name.clone();
    assert!(matches!(world.ask(Command::Node { node, action: NodeAction::PowerDown }), Answer::Done(_)));
    world.run_until(world.now + Span::from_secs(30));
    assert_eq!(world.instances.len(), 1, "a job still runs there");
    world.ask(Command::Cancel { job: JobRef::from(job), cron: false });
    world.run_until(world.now + Span::from_secs(30));
    assert_eq!(world.instances.len(), 0, "far sooner than the idle rule would have it");
}
