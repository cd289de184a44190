//! After what went wrong: nobody is given what is somebody's already, and everyone comes back.

mod world;

use squall_core::job::JobPhase;
use squall_core::node::NodeState;
use squall_core::{Caller, Cluster, Command};
use squall_engine::{Ask, Engine, Input, Output, RequestId, SessionId};
use squall_types::agent::{AgentOrder, AgentReport};
use squall_types::api::NodeAction;
use squall_types::offer::LaunchFailure;
use squall_types::*;
use world::{World, config, offer};

/// One pool with a machine of one's own beside the one that is bought.
fn with_a_machine_of_ones_own() -> World {
    let mut config = config();
    let pool = config.pools.get_mut(&PoolName::from("cloud")).expect("configured");
    pool.static_nodes.insert("own".into(), offer(8).shape);
    pool.max_nodes = 0;
    World::configured(config)
}

/// Its agent connects and says what runs there; what it is told first.
fn hello(engine: &mut Engine, now: Timestamp, session: u64, attempts: Vec<(ids::Run, AttemptState)>) -> Vec<Output> {
    let node = engine.state().node_named(&"own".into()).expect("configured").id;
    let session = SessionId(session);
    let mut outputs = engine.step(now, Input::AgentOpened { session, node, incarnation: session.0.to_string() });
    let measured = MeasuredNode { shape: offer(8).shape, ..MeasuredNode::default() };
    let (epoch, generation, steps) = (Epoch(1), Generation(0), vec![]);
    let report = AgentReport::Hello { epoch, generation, measured, attempts, steps };
    outputs.extend(engine.step(now, Input::AgentSaid { session, report }));
    outputs
}

/// Writes every batch, and hands on everything else that leaves.
fn settle(engine: &mut Engine, now: Timestamp, outputs: Vec<Output>) -> Vec<Output> {
    let mut left = Vec::new();
    let mut todo = std::collections::VecDeque::from(outputs);
    while let Some(output) = todo.pop_front() {
        match output {
            Output::Append { batch, .. } => todo.extend(engine.step(now, Input::Committed { batch })),
            other => left.push(other),
        }
    }
    left
}

fn ask(engine: &mut Engine, now: Timestamp, command: Command) -> Vec<Output> {
    let request = Input::Request { id: RequestId(1), caller: Caller::System, ask: Ask::One(command) };
    let outputs = engine.step(now, request);
    settle(engine, now, outputs)
}

#[test]
fn a_machine_that_was_declared_down_has_contact_again_after_it_is_resumed() {
    let mut world = with_a_machine_of_ones_own();
    let outputs = hello(&mut world.engine, world.now, 1, vec![]);
    world.perform(outputs);
    let action = NodeAction::Down { reason: "smoke".to_owned() };
    let down = Input::Request {
        id: RequestId(1),
        caller: Caller::Admin(Uid(0)),
        ask: Ask::One(Command::Node { node: "own".into(), action }),
    };
    let outputs = world.engine.step(world.now, down);
    let left = settle(&mut world.engine, world.now, outputs);
    let closed = |output: &Output| matches!(output, Output::Close { session: SessionId(1), .. });
    assert!(left.iter().any(closed), "its agent has to say anew what runs there: {left:?}");
    world.ask(Command::Node { node: "own".into(), action: NodeAction::Resume });
    let outputs = hello(&mut world.engine, world.now, 2, vec![]);
    world.perform(outputs);
    let job = world.submit("a", |_| {}).expect("fits");
    let phase = world.engine.committed().jobs.get(&job).map(|job| job.phase.clone());
    assert!(matches!(phase, Some(JobPhase::Ended(_))), "it ran there: {phase:?}");
}

#[test]
fn a_restored_backup_gives_no_id_before_its_ids_have_moved() {
    let mut world = with_a_machine_of_ones_own();
    world.ends_at_once = false;
    let outputs = hello(&mut world.engine, world.now, 1, vec![]);
    world.perform(outputs);
    // An array of which two elements wait: each that starts takes an id.
    let exclusive = |spec: &mut JobSpec| {
        spec.ask.exclusive = true;
        spec.array = Some(squall_types::spec::ArraySpec { indices: (0..3).collect(), limit: None, step: 1 });
    };
    let array = world.submit("a", exclusive).expect("fits");
    let backup: Cluster = world.engine.committed().clone();
    let first = backup.element(array, 0).expect("it runs").id;
    assert_eq!(first, JobId(2));
    let mut engine = Engine::new(backup, Epoch(2), "test");
    let outputs = engine.start(world.now);
    let mut left = settle(&mut engine, world.now, outputs);
    // Its agent comes at once, and the element that ran there is over: there is room for the next.
    let end = AttemptState::Ended(AttemptEnd {
        cause: agent::EndCause::Exited,
        exit: Default::default(),
        ended_at: world.now,
        usage: Default::default(),
        detail: String::new(),
    });
    let run = ids::Run { job: first, attempt: Attempt(1) };
    let outputs = hello(&mut engine, world.now, 2, vec![(run, end)]);
    left.extend(settle(&mut engine, world.now, outputs));
    assert!(engine.state().element(array, 1).is_none(), "nothing is begun before everything is known");
    left.extend(ask(&mut engine, world.now, Command::Restore { gap: 100 }));
    let config = Box::new(engine.state().config.as_ref().clone());
    left.extend(ask(&mut engine, world.now, Command::Configure { config }));
    assert_eq!(engine.state().element(array, 1).map(|job| job.id), Some(JobId(103)), "{left:?}");
}

#[test]
fn what_nobody_knows_is_kept_after_a_restored_backup_and_not_for_ever() {
    let mut world = with_a_machine_of_ones_own();
    world.ask(Command::Restore { gap: 100 });
    let unknown = ids::Run { job: JobId(7), attempt: Attempt(1) };
    let running = AttemptState::Running { since: world.now };
    let keeps = |outputs: &[Output]| {
        let full = |output: &Output| match output {
            Output::Tell { order: AgentOrder::FullSet { keep_unknown, .. }, .. } => Some(*keep_unknown),
            _ => None,
        };
        outputs.iter().filter_map(full).next_back()
    };
    let outputs = hello(&mut world.engine, world.now, 1, vec![(unknown, running)]);
    let left = settle(&mut world.engine, world.now, outputs);
    assert_eq!(keeps(&left), Some(true));
    let settled_at = world.engine.state().counters.settled_by.expect("restored");
    let mut told = None;
    while world.now <= settled_at {
        world.now += Span::from_secs(20);
        let heartbeat = Input::AgentSaid { session: SessionId(1), report: AgentReport::Heartbeat };
        let outputs = world.engine.step(world.now, heartbeat);
        let left = settle(&mut world.engine, world.now, outputs);
        told = keeps(&left).or(told);
    }
    assert_eq!(told, Some(false), "its agent ends it now");
}

#[test]
fn a_refusal_of_the_repeated_call_says_nothing_about_the_first() {
    let mut world = World::new();
    world.launch_fails = Some(LaunchFailure::Unknown { why: "no answer".to_owned() });
    world.submit("a", |_| {}).expect("fits");
    world.run_until(world.now + Span::from_secs(5));
    world.launch_fails = Some(LaunchFailure::Denied { why: "the credentials are revoked".to_owned() });
    world.run_until(world.now + Span::from_secs(30));
    let states: Vec<NodeState> = world.engine.committed().live_nodes().map(|node| node.state.clone()).collect();
    assert_eq!(states, [NodeState::Ordered], "it may exist: the row stays until a listing tells");
}

#[test]
fn a_machine_whose_order_becomes_known_late_is_no_stranger() {
    let mut world = World::new();
    world.ends_at_once = false;
    world.launch_fails = Some(LaunchFailure::Unknown { why: "no answer".to_owned() });
    let job = world.submit("a", |spec| spec.time_limit = Some(Span::from_hours(9))).expect("fits");
    world.run_until(world.now + Span::from_secs(5));
    // It exists, and its tags are lost.
    let name = world.engine.committed().live_nodes().next().expect("ordered").name.clone();
    let instance = InstanceId(format!("i-{name}"));
    let seen =
        SeenInstance { instance: instance.clone(), order: None, name: None, launched_at: world.now, ending: false };
    world.instances.insert(instance.clone(), seen);
    world.run_until(world.now + Span::from_secs(70));
    let strangers =
        |world: &World| world.engine.committed().pools.values().map(|pool| pool.strangers.len()).sum::<usize>();
    assert_eq!(strangers(&world), 1);
    let order = world.engine.committed().open_orders().next().expect("placed").id;
    let (order, name, key) = (Some(order), Some(name), "key".to_owned());
    world.ask(Command::Join { order, name, instance: Some(instance), key });
    assert_eq!(strangers(&world), 0);
    world.agents_follow();
    world.run_until(world.now + Span::from_mins(20));
    let phase = world.engine.committed().jobs.get(&job).map(|job| job.phase.clone());
    assert!(matches!(phase, Some(JobPhase::Running { .. })), "nobody ended its machine: {phase:?}");
}
