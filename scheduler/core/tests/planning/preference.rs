//! `--prefer`: features that are tried first, and stop no job where they are not to be had.

use super::compare;
use super::world::{Act, Setting, Want, World};
use squall_core::plan::{IncrementalPlanner, Step, plan};
use squall_core::{Caller, Command, decide};
use squall_types::{BlobDigest, JobSpec, NodeId, Span};

/// Machines of so many CPUs: those with an odd number have the feature that `Want::prefers` 0 prefers, the others that
/// of 3.
fn world(cpus: &[u32], bought: u32) -> World {
    let machines = cpus.iter().map(|cpus| (*cpus, 0, false)).collect();
    World::new(&Setting { machines, bought, boot_secs: 100, idle_secs: 60, under_switch: 0 })
}

/// Submits, and plans: the steps agree with the plain model and are performed.
fn steps(world: &mut World, want: Want) -> Vec<Step> {
    world.act(&Act::Submit(want));
    // Orders are held back for a moment.
    world.act(&Act::Advance(60));
    compare(world, &mut IncrementalPlanner::default(), u64::MAX);
    let steps = plan(&world.cluster, world.now).steps;
    world.perform(steps.clone());
    steps
}

fn cpus_of(world: &World, node: NodeId) -> u32 {
    world.cluster.nodes.get(&node).expect("it is known").shape.cpus
}

/// CPUs of the nodes on which a plan starts a job.
fn started(world: &World, steps: &[Step]) -> Vec<u32> {
    let binds = steps.iter().filter_map(|step| match step {
        Step::Bind { allocations, .. } => Some(allocations),
        _ => None,
    });
    binds.flatten().map(|held| cpus_of(world, held.node)).collect()
}

fn ordered(steps: &[Step]) -> Vec<&str> {
    let orders = steps.iter().filter_map(|step| match step {
        Step::Order(order) => Some(order.offer.as_str()),
        _ => None,
    });
    orders.collect()
}

#[test]
fn a_job_starts_on_what_it_prefers_and_else_on_what_is_there() {
    let mut world = world(&[2, 4, 5], 0);
    let odd = Want { prefers: 0, ..Want::default() };
    let found = steps(&mut world, Want { cpus: 4, ..odd.clone() });
    assert_eq!(started(&world, &found), [5], "not the first machine that it fits on");
    let found = steps(&mut world, Want { cpus: 4, ..odd.clone() });
    assert_eq!(started(&world, &found), [4], "what it prefers is taken");
    let found = steps(&mut world, odd);
    assert_eq!(started(&world, &found), [5], "there is a CPU left");
}

#[test]
fn what_is_preferred_stands_in_place_of_what_is_required() {
    let mut world = world(&[2, 3], 0);
    let even = Want { picky: 0, prefers: 3, secs: Some(50), ..Want::default() };
    let found = steps(&mut world, Want { cpus: 2, ..even.clone() });
    assert_eq!(started(&world, &found), [2], "--constraint=odd --prefer=even");
    let found = steps(&mut world, Want { cpus: 2, ..even });
    assert_eq!(started(&world, &found), [3], "what is required");
}

#[test]
fn nothing_waits_for_a_preference() {
    let mut world = world(&[4, 5], 0);
    let whole = |cpus, secs, prefers| Want { cpus, secs: Some(secs), prefers, ..Want::default() };
    let found = steps(&mut world, whole(4, 100, 5));
    assert_eq!(started(&world, &found), [4]);
    let found = steps(&mut world, whole(5, 1000, 5));
    assert_eq!(started(&world, &found), [5]);
    // The even machine is free first.
    world.act(&Act::Submit(whole(4, 100, 0)));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    let notes = plan(&world.cluster, world.now).notes.all();
    let promised: Vec<_> = notes.values().filter_map(|note| note.start_at).collect();
    assert!(promised.len() == 1 && promised[0] < world.now + Span::from_secs(200), "{promised:?}");
}

#[test]
fn a_component_leaves_what_it_prefers_to_another_that_needs_it() {
    let mut world = world(&[4, 5], 0);
    let large = Want { cpus: 4, prefers: 0, ..Want::default() };
    let odd = Want { cpus: 3, picky: 0, ..Want::default() };
    world.act(&Act::SubmitTogether(vec![large, odd]));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    let steps = plan(&world.cluster, world.now).steps;
    let [Step::Together { steps }] = steps.as_slice() else { panic!("both start: {steps:?}") };
    assert_eq!(started(&world, steps), [5, 4], "what had no place beside the other comes first");
}

/// One needs the second machine and any two others, and would take the first; the other prefers the second and the
/// fourth, and needs the first and the last.
#[test]
fn components_start_without_what_they_prefer_where_no_order_does() {
    let machines = vec![(5, 1, false), (4, 1, false), (8, 0, false), (6, 1, false), (7, 1, false)];
    let mut world = World::new(&Setting { machines, bought: 0, boot_secs: 100, idle_secs: 60, under_switch: 0 });
    let listed = Want { nodes: (3, 3), picky: 3, ..Want::default() };
    let odd = Want { nodes: (2, 2), gpus: 1, exclusive: true, picky: 0, prefers: 3, ..Want::default() };
    world.act(&Act::SubmitTogether(vec![listed, odd]));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    let steps = plan(&world.cluster, world.now).steps;
    let [Step::Together { steps }] = steps.as_slice() else { panic!("both start: {steps:?}") };
    let mut taken = started(&world, steps);
    taken.sort_unstable();
    assert_eq!(taken, [4, 5, 6, 7, 8]);
}

#[test]
fn a_machine_that_has_to_be_bought_is_one_that_is_preferred() {
    let mut world = world(&[], 3);
    let found = steps(&mut world, Want::default());
    assert_eq!(ordered(&found), ["small"], "the cheapest");
    let found = steps(&mut world, Want { cpus: 4, prefers: 0, ..Want::default() });
    assert_eq!(ordered(&found), ["middle"], "the one that is odd");
    let found = steps(&mut world, Want { cpus: 16, prefers: 0, ..Want::default() });
    assert_eq!(ordered(&found), ["large"], "none that is odd has so many CPUs");
}

#[test]
fn a_job_takes_what_is_there_or_coming_before_anything_is_bought_for_its_preference() {
    let mut world = world(&[4], 3);
    let odd = Want { prefers: 0, ..Want::default() };
    let found = steps(&mut world, odd.clone());
    assert_eq!((started(&world, &found), ordered(&found)), (vec![4], vec![]));
    let found = steps(&mut world, Want { cpus: 4, gpus: 1, ..Want::default() });
    assert_eq!(ordered(&found), ["small"]);
    let found = steps(&mut world, Want { cpus: 4, ..odd });
    assert_eq!(ordered(&found), ["middle"], "the others are taken");
}

#[test]
fn a_feature_that_no_machine_has_or_could_have_cannot_be_preferred() {
    let world = world(&[2], 1);
    let refusal = |prefer: &str| {
        let prefer = Some(prefer.parse().expect("a preference"));
        let spec = Box::new(JobSpec { prefer, script: Some(BlobDigest([1; 32])), ..JobSpec::default() });
        let submit = Command::Submit { spec, token: "one".into(), test_only: false };
        decide(&world.cluster, world.now, &Caller::System, &submit).err().map(|refusal| refusal.to_string())
    };
    assert_eq!((refusal("even"), refusal("odd")), (None, None), "what could be bought counts");
    let told = refusal("even&fast").expect("nothing is fast");
    assert!(told.contains("Invalid preferred feature specification"), "{told}");
    assert!(told.contains("no node has fast; features there: even, odd"), "{told}");
}
