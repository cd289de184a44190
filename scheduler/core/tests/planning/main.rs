//! Whatever happens to whatever cluster: a plan from scratch comes to what the plain model says, the planner that
//! remembers comes to what the plan from scratch says, and a pass that is cut is a prefix of the whole.

mod limits;
mod preference;
mod reference;
mod world;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reference::Answer;
use squall_core::plan::{IncrementalPlanner, Plan, Progress, Step, plan};
use std::collections::BTreeMap;
use world::{Act, Setting, Want, World, act, limited_act, setting};

/// What the plain model speaks of.
fn answer(plan: &Plan) -> Answer {
    let of_queue = |step: &&Step| match step {
        Step::Bind { .. } | Step::Claim { .. } | Step::Together { .. } => true,
        Step::CancelDrain { .. } | Step::Order(_) => true,
        Step::DropClaim { .. } | Step::Drain { .. } | Step::Retire { .. } => false,
    };
    let notes = plan.notes.all().into_iter();
    let promised: BTreeMap<_, _> = notes.filter_map(|(job, note)| Some((job, note.start_at?))).collect();
    Answer { steps: plan.steps.iter().filter(of_queue).cloned().collect(), promised }
}

/// Orders of single nodes are collected over a pass, and so they are compared by what they bring.
fn one_by_one(steps: &[Step]) -> Vec<Step> {
    let mut apart = Vec::new();
    for step in steps {
        match step {
            Step::Order(order) if !order.gang => apart.extend(order.nodes.iter().map(|node| {
                let mut one = order.clone();
                (one.nodes, one.for_job) = (vec![*node], None);
                Step::Order(one)
            })),
            step => apart.push(step.clone()),
        }
    }
    apart.sort_by_key(|step| match step {
        Step::Order(order) => (0, order.nodes[0]),
        _ => (1, Default::default()),
    });
    apart
}

fn compare(world: &World, planner: &mut IncrementalPlanner, looks: u64) {
    let (cluster, now) = (&world.cluster, world.now);
    let scratch = plan(cluster, now);
    // Starts that are promised, and not the times at which a gate opens.
    let mut mine = answer(&scratch);
    let open = |job: &squall_types::JobId| {
        cluster
            .jobs
            .get(job)
            .is_some_and(|job| squall_core::plan::gate(cluster, job, now) == squall_core::plan::Gate::Open)
    };
    mine.promised.retain(|job, _| open(job));
    let claimed = |step: &Step| matches!(step, Step::Bind { target: squall_core::plan::Target::Job(job), .. } if cluster.jobs.get(job).is_some_and(|job| job.claim().is_some()));
    mine.steps.retain(|step| !step.each().any(claimed));
    let reference = reference::answer(cluster, now);
    assert_eq!(mine, reference, "the pass and the plain model");

    planner.begin(cluster, now);
    let mut steps = Vec::new();
    let whole = loop {
        match planner.go_on(looks) {
            Progress::Cut { steps: some } => {
                steps.extend(some);
                let so_far = one_by_one(&steps);
                let all = one_by_one(&scratch.steps);
                let (mine, theirs): (Vec<_>, Vec<_>) = (
                    so_far.iter().filter(|step| !matches!(step, Step::Order(_))).collect(),
                    all.iter().filter(|step| !matches!(step, Step::Order(_))).collect(),
                );
                assert!(theirs.starts_with(&mine), "a cut pass is a prefix: {mine:#?} of {theirs:#?}");
            }
            Progress::Done(plan) => {
                steps.extend(plan.steps.iter().cloned());
                break Plan { steps, ..plan };
            }
        }
    };
    assert_eq!(one_by_one(&whole.steps), one_by_one(&scratch.steps), "with memory and from scratch");
    assert_eq!(whole.notes.all(), scratch.notes.all(), "with memory and from scratch");
    assert_eq!(whole.wake_at, scratch.wake_at, "with memory and from scratch");
    if looks == u64::MAX {
        assert_eq!(whole.steps, scratch.steps);
    }
}

/// Compares after each act, and after what was planned is performed; `after` looks at what each act leads to.
fn play(setting: &Setting, acts: &[Act], looks: u64, after: impl Fn(&World)) {
    let mut world = World::new(setting);
    let mut planner = IncrementalPlanner::default();
    for act in acts {
        world.act(act);
        compare(&world, &mut planner, looks);
        if matches!(act, Act::Plan) {
            world.perform(plan(&world.cluster, world.now).steps);
            compare(&world, &mut planner, looks);
        }
        after(&world);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_what_the_plain_model_says_with_and_without_memory(
        setting in setting(),
        acts in prop::collection::vec(act(), 1..40),
        looks in prop_oneof![Just(u64::MAX), 1u64..40],
    ) {
        play(&setting, &acts, looks, |_| {});
    }

    /// What a plan starts under limits is accepted step by step, and the counts stay true.
    #[test]
    fn a_plan_keeps_to_limits_with_and_without_memory(
        setting in setting(),
        acts in prop::collection::vec(limited_act(), 1..40),
        looks in prop_oneof![Just(u64::MAX), 1u64..40],
    ) {
        play(&setting, &acts, looks, |world| {
            assert_eq!(squall_core::check::check(&world.cluster), Vec::<String>::new());
        });
    }
}

/// Of an array one element runs, one waits for it, and for one a node is bought: the last takes the room that is left there
/// rather than another node.
#[test]
fn room_on_a_node_that_the_same_plan_buys_is_taken_before_another_is_bought() {
    let setting = Setting {
        machines: vec![(4, 2, false), (2, 0, false), (2, 0, false)],
        bought: 2,
        boot_secs: 352,
        idle_secs: 1,
        under_switch: 0,
    };
    let want = Want { nodes: (2, 2), tasks: Some(1), gpus: 2, secs: Some(177), array: 4, ..Want::default() };
    let mut world = World::new(&setting);
    world.act(&Act::Submit(want));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    let steps = plan(&world.cluster, world.now).steps;
    let bought: usize =
        steps.iter().map(|step| if let Step::Order(order) = step { order.nodes.len() } else { 0 }).sum();
    assert_eq!(bought, 1, "{steps:#?}");
    let claims = steps.iter().filter(|step| matches!(step, Step::Claim { .. })).count();
    assert_eq!(claims, 2, "{steps:#?}");
}

/// The first of whatever there is.
fn first() -> prop::sample::Index {
    let mut tree = any::<prop::sample::Index>().new_tree(&mut TestRunner::deterministic()).expect("there is one");
    while tree.simplify() {}
    tree.current()
}

/// What fits at once only in excess of a limit is tried in other places: it starts where it may, and waits for nothing.
#[test]
fn a_start_that_a_limit_forbids_is_sought_elsewhere_before_nodes_are_awaited() {
    let setting = Setting {
        machines: vec![(4, 2, false), (4, 2, false)],
        bought: 3,
        boot_secs: 1,
        idle_secs: 1,
        under_switch: 0,
    };
    let first = first();
    let both = Want { nodes: (2, 2), tasks_per_node: Some(2), cpus: 3, picky: 1, ..Want::default() };
    let mut world = World::new(&setting);
    world.act(&Act::Submit(both));
    world.perform(plan(&world.cluster, world.now).steps);
    // At most four CPUs: not on the two small machines, which fit as well.
    world.act(&Act::Limit(5, Some(4)));
    world.act(&Act::Submit(Want { cpus: 3, gpus: 3, total: true, ..Want::default() }));
    world.act(&Act::Cancel(first));
    world.act(&Act::Advance(1));
    world.act(&Act::Launch(first, true));
    world.act(&Act::Register(first));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    let steps = plan(&world.cluster, world.now).steps;
    assert!(steps.iter().any(|step| matches!(step, Step::Bind { .. })), "{steps:#?}");
}

/// The first node with a feature that is counted has room for a part of the job only: it starts on the one that has room
/// for all of it.
#[test]
fn a_job_that_counts_on_a_feature_starts_where_there_is_room_for_all_of_it() {
    let machines = vec![(4, 2, false), (2, 2, false), (16, 2, false), (4, 2, false)];
    let mut world = World::new(&Setting { machines, bought: 0, boot_secs: 1, idle_secs: 1, under_switch: 0 });
    world.act(&Act::Submit(Want { nodes: (3, 3), secs: Some(241), picky: 1, ..Want::default() }));
    world.act(&Act::Submit(Want { gpus: 2, picky: 3, ..Want::default() }));
    world.act(&Act::Submit(Want { tasks: Some(2), secs: Some(1), picky: 2, ..Want::default() }));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    let steps = plan(&world.cluster, world.now).steps;
    let third = squall_core::plan::Target::Job(squall_types::JobId(3));
    let starts = |step: &Step| matches!(step, Step::Bind { target, .. } if *target == third);
    assert!(steps.iter().any(starts), "{steps:#?}");
}

/// A partition promises as many starts as it is told to and no more; the last of the three jobs may be passed by.
#[test]
fn a_partition_promises_as_many_starts_as_its_reservation_depth() {
    let mut world =
        World::new(&Setting { machines: vec![(4, 0, false)], bought: 0, boot_secs: 1, idle_secs: 1, under_switch: 0 });
    for _ in 0..4 {
        world.act(&Act::Submit(Want { cpus: 4, secs: Some(100), partitions: 2, ..Want::default() }));
    }
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    assert_eq!(answer(&plan(&world.cluster, world.now)).promised.len(), 2);
}

/// A machine of three CPUs, which the larger component would take, and the smaller has to have.
fn one_for_both(others: &[u32], bought: u32) -> World {
    let machines = [3].iter().chain(others).map(|cpus| (*cpus, 0, false)).collect();
    World::new(&Setting { machines, bought, boot_secs: 100, idle_secs: 60, under_switch: 0 })
}

fn planned(world: &World) -> Plan {
    compare(world, &mut IncrementalPlanner::default(), u64::MAX);
    plan(&world.cluster, world.now)
}

#[test]
fn components_start_in_another_order_where_one_has_no_place_beside_the_others() {
    let mut world = one_for_both(&[4], 0);
    let (large, odd) = (Want { cpus: 3, ..Want::default() }, Want { cpus: 2, picky: 0, ..Want::default() });
    world.act(&Act::SubmitTogether(vec![large, odd]));
    let steps = planned(&world).steps;
    let [Step::Together { steps }] = steps.as_slice() else { panic!("both start: {steps:?}") };
    assert!(steps.iter().all(|step| matches!(step, Step::Bind { .. })), "{steps:?}");
}

#[test]
fn a_machine_is_bought_for_the_component_that_can_do_with_it() {
    let mut world = one_for_both(&[], 1);
    let (large, own) = (Want { cpus: 3, ..Want::default() }, Want { cpus: 2, partitions: 2, ..Want::default() });
    world.act(&Act::SubmitTogether(vec![large, own]));
    let steps = planned(&world).steps;
    let [Step::Together { steps }] = steps.as_slice() else { panic!("all in one step: {steps:?}") };
    let orders = steps.iter().filter(|step| matches!(step, Step::Order(_))).count();
    assert_eq!((orders, steps.len()), (1, 3), "{steps:?}");
}

#[test]
fn a_common_start_is_found_in_another_order() {
    let mut world = one_for_both(&[4], 0);
    world.act(&Act::Submit(Want { nodes: (2, 2), cpus: 3, secs: Some(100), ..Want::default() }));
    world.perform(plan(&world.cluster, world.now).steps);
    let (large, odd) = (Want { cpus: 3, ..Want::default() }, Want { cpus: 2, picky: 0, ..Want::default() });
    world.act(&Act::SubmitTogether(vec![large, odd]));
    let promised = answer(&planned(&world)).promised;
    assert_eq!(promised.len(), 2, "each of them");
}

/// A common start that one component finds beside the other only later than the other's first.
#[test]
fn a_common_start_is_what_the_plain_model_says() {
    let setting = Setting {
        machines: vec![(3, 0, false), (3, 1, false), (4, 1, false)],
        bought: 0,
        boot_secs: 1,
        idle_secs: 1,
        under_switch: 0,
    };
    let mut world = World::new(&setting);
    let both = Want { nodes: (2, 2), secs: None, picky: 3, ..Want::default() };
    let one = |secs| Want { secs, ..Want::default() };
    world.act(&Act::Submit(both));
    world.perform(plan(&world.cluster, world.now).steps);
    let gpu = Want { gpus: 1, picky: 0, ..one(None) };
    let wide = Want { cpus: 4, picky: 1, ..one(None) };
    world.act(&Act::SubmitTogether(vec![gpu, wide]));
    world.act(&Act::Submit(Want { gpus: 2, picky: 0, ..one(None) }));
    world.act(&Act::Cancel(first()));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
    world.act(&Act::Submit(Want { picky: 0, ..one(None) }));
    compare(&world, &mut IncrementalPlanner::default(), u64::MAX);
}
