use super::*;
use crate::job::{HeldBy, JobEnd, Outcome};
use crate::views::*;
use squall_types::agent::StopWhy;
use squall_types::api::{ArrayView, JobFilter, JobRef, JobState, JobView};

fn one(stage: &Stage, job: u32, secs: i64) -> JobView {
    job_view(&stage.0, stage.0.jobs.get(&JobId(job)).expect("it is in memory"), at(secs))
}

fn reference(job: u32, elements: &[(u32, u32)]) -> JobRef {
    let elements = (!elements.is_empty()).then(|| IndexSet::from_ranges(elements.to_vec()));
    JobRef { job: JobId(job), elements, component: None }
}

fn ids(stage: &Stage, filter: &JobFilter) -> Vec<u32> {
    job_views(&stage.0, at(100), filter).map(|view| view.job.0).collect()
}

#[test]
fn a_pending_job_shows_what_it_asks_for() {
    let mut stage = Stage::new();
    let ask = Ask {
        nodes: Some(NodeCount { min: 2, max: 4 }),
        tasks: Some(4),
        cpus: CpuAsk::PerTask(8),
        memory: MemoryAsk::PerNode(16_384),
        gpus: GpuAsk::PerNode(4, Some("h100".into())),
        ..Ask::default()
    };
    let partitions = vec!["gpu".into(), "own".into()];
    stage.submit(0, 1, JobSpec { ask, partitions, nice: 10, ..spec("gpu") });
    let view = one(&stage, 1, 120);
    assert_eq!(view.partition, "gpu,own");
    assert_eq!((view.state, view.reason), (JobState::Pending, Reason::Resources));
    assert_eq!((view.node_count, view.max_nodes, view.tasks, view.cpus, view.gpus), (2, 4, 4, 32, 8));
    assert_eq!(view.memory_mib, 16_384, "per node while it waits");
    assert_eq!(view.tres, "cpu=32,mem=32G,node=2,billing=32,gres/gpu=8,gres/gpu:h100=8");
    assert_eq!(view.tres_per_node, "gres:gpu:h100:4");
    assert_eq!(view.priority, 1_000_000 + 2 - 10);
    assert_eq!((view.start_at, view.end_at, view.cost), (None, None, MicroUsd::ZERO));
}

/// What a brief answer leaves out is said twice: where views are made, and to whoever reads them.
#[test]
fn a_brief_view_is_the_whole_one_without_what_it_leaves_out() {
    let mut stage = Stage::new();
    let ask = Ask { gpus: GpuAsk::PerNode(4, Some("h100".into())), ..Ask::default() };
    let spec = JobSpec {
        ask,
        qos: Some("high".into()),
        work_dir: "/home/ann".into(),
        command: "train.sh".into(),
        comment: "of note".into(),
        node_list: vec!["n1".into()],
        exclude: vec!["n2".into()],
        wckey: "key".into(),
        licenses: "matlab".into(),
        ..spec("gpu")
    };
    stage.submit(0, 1, spec);
    let views = |brief| job_views(&stage.0, at(100), &JobFilter { brief, ..JobFilter::default() }).collect::<Vec<_>>();
    let whole = views(false);
    assert!(!whole[0].work_dir.is_empty() && !whole[0].tres.is_empty() && !whole[0].exc_nodes.is_empty());
    let filter = JobFilter::default();
    let detailed: Vec<JobView> = details_of_jobs(&stage.0, at(100), &filter).map(|detail| detail.view).collect();
    assert_eq!(detailed, whole);
    assert_eq!(views(true), whole.into_iter().map(JobView::briefly).collect::<Vec<_>>());
}

#[test]
fn a_claim_is_due_when_its_last_node_is() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("gpu"));
    stage.buy(10);
    let allocations = vec![part(2, 8, &[0])];
    stage.happens(10, What::JobClaimed { job: JobId(1), partition: "gpu".into(), allocations });
    let view = one(&stage, 1, 20);
    assert_eq!((view.state, view.reason), (JobState::Configuring, Reason::NodesBooting));
    assert_eq!((view.nodes, view.start_at, view.cost), (vec!["h100-1".into()], Some(at(910)), MicroUsd::ZERO));
}

#[test]
fn a_running_job_pays_its_share_of_its_nodes() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("gpu"));
    stage.buy(10);
    stage.register(100);
    // Half of the CPUs, of the memory and of the GPUs.
    let run = stage.bind(100, 1, part(2, 32, &[0, 1, 2, 3]));
    assert_eq!(one(&stage, 1, 100).state, JobState::Configuring);
    stage.happens(100, What::JobStarted { run });
    let view = one(&stage, 1, 300);
    assert_eq!((view.state, view.reason, view.partition.as_str()), (JobState::Running, Reason::None, "gpu"));
    assert_eq!(view.cost, MicroUsd(1_000_000), "200 s of half a node at a cent a second");
    assert_eq!((view.start_at, view.end_at), (Some(at(100)), Some(at(3700))));
    assert_eq!(view.tres, "cpu=32,mem=64G,node=1,billing=32,gres/gpu=4");
    let details = job_details(&stage.0, at(300), &reference(1, &[]));
    assert_eq!(details[0].allocations[0].gpus, [0, 1, 2, 3]);
    assert_eq!(details[0].allocations[0].gres, "gpu:h100:4(IDX:0-3)");

    let outcome = Outcome::Requeue { not_before: at(450), hold: None, reason: Reason::NodeFailure, failure: true };
    stage.happens(300, What::JobStopping { run, why: StopWhy::Requeued, outcome });
    assert_eq!((one(&stage, 1, 301).state, one(&stage, 1, 301).end_at), (JobState::Completing, Some(at(300))));
    stage.happens(300, What::PartGone { run, node: NodeId(2) });
    assert_eq!(one(&stage, 1, 400).cost, MicroUsd(1_000_000), "what is dead costs no more");
    let (job, reason) = (JobId(1), Reason::NodeFailure);
    let charge =
        crate::event::Charge { node: NodeId(2), what: crate::event::ChargeKind::Run, amount: MicroUsd(1_000_000) };
    let charges = vec![charge];
    stage.happens(
        400,
        What::JobRequeued { job, not_before: at(450), hold: None, reason, failure: true, charges, ended: None },
    );
    let view = one(&stage, 1, 420);
    assert_eq!((view.state, view.reason, view.restarts), (JobState::Pending, Reason::BeginTime, 1));
    assert_eq!(view.cost, MicroUsd(1_000_000));
    let why = crate::explain::explain(&stage.0, at(420), JobId(1));
    assert_eq!(why.blockers[0].text, "not before 00:00:30 from now, after 1 failed attempt");
}

#[test]
fn an_array_is_one_record_and_those_that_started() {
    let mut stage = Stage::new();
    stage.submit(0, 1, array("own", 9, Some(2)));
    stage.happens(1, What::ElementSplit { array: JobId(1), index: 3, job: JobId(2), group: None });
    let views: Vec<_> = job_views(&stage.0, at(5), &JobFilter::default()).collect();
    let indices = IndexSet::from_ranges(vec![(0, 2), (4, 9)]);
    assert_eq!(views[0].array, Some(ArrayView::Pending { array: JobId(1), indices, limit: Some(2) }));
    assert_eq!(views[1].array, Some(ArrayView::Element { array: JobId(1), index: 3 }));

    let arrays = |reference: &JobRef| -> Vec<(u32, Option<ArrayView>)> {
        job_details(&stage.0, at(5), reference).into_iter().map(|it| (it.view.job.0, it.view.array)).collect()
    };
    assert_eq!(arrays(&reference(1, &[])).len(), 2);
    assert_eq!(arrays(&reference(2, &[])), [(2, Some(ArrayView::Element { array: JobId(1), index: 3 }))]);
    assert_eq!(arrays(&reference(1, &[(3, 3)])), arrays(&reference(2, &[])));
    let waiting = ArrayView::Element { array: JobId(1), index: 7 };
    assert_eq!(arrays(&reference(1, &[(7, 7)])), [(1, Some(waiting))], "an element without a record has a view");
    let some = ArrayView::Pending { array: JobId(1), indices: [2, 4].into_iter().collect(), limit: Some(2) };
    let asked = arrays(&reference(1, &[(2, 4)]));
    assert_eq!(asked, [(1, Some(some)), (2, Some(ArrayView::Element { array: JobId(1), index: 3 }))]);
    assert_eq!(arrays(&reference(1, &[(10, u32::MAX)])), []);
    assert_eq!(arrays(&reference(77, &[])), []);
}

#[test]
fn a_group_of_elements_is_a_line_of_its_array() {
    let mut stage = Stage::new();
    stage.submit(0, 1, array("own", 9, Some(2)));
    let indices = IndexSet::from_ranges(vec![(2, 5)]);
    stage.happens(1, What::GroupSplit { array: JobId(1), indices, job: JobId(2), group: None });
    stage.happens(1, What::JobHeld { job: JobId(2), by: HeldBy::User });
    let shown = |view: JobView| match view.array {
        Some(ArrayView::Pending { array, indices, limit }) => {
            assert_eq!(limit, Some(2), "it is the array's");
            (format!("{array}_[{indices}]"), view.reason)
        }
        other => panic!("{other:?}"),
    };
    let lines: Vec<_> = job_views(&stage.0, at(5), &JobFilter::default()).map(shown).collect();
    let held = |name: &str| (name.to_owned(), Reason::JobHeldUser);
    assert_eq!(lines, [("1_[0-1,6-9]".to_owned(), Reason::Resources), held("1_[2-5]")]);
    let of = |reference: &JobRef| job_details(&stage.0, at(5), reference).into_iter().map(|it| shown(it.view));
    assert_eq!(of(&reference(1, &[])).count(), 2);
    assert_eq!(of(&reference(2, &[])).collect::<Vec<_>>(), [held("1_[2-5]")]);
    assert_eq!(of(&reference(1, &[(4, 5), (8, 20)])).nth(1), Some(held("1_[4-5]")));
    assert_eq!(crate::views::summary(&stage.0, at(5)).jobs_pending, 10);
    // What a bulk action is applied to.
    let filter = JobFilter { users: vec![Uid(1001)], ..JobFilter::default() };
    let named: Vec<_> = job_refs(&stage.0, &filter).into_iter().map(|it| (it.job.0, it.elements)).collect();
    let elements = |ranges: &[(u32, u32)]| Some(IndexSet::from_ranges(ranges.to_vec()));
    assert_eq!(named, [(1, elements(&[(0, 1), (6, 9)])), (1, elements(&[(2, 5)]))]);
}

#[test]
fn a_filter_keeps_what_meets_all_of_its_conditions() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("gpu"));
    stage.submit(1, 2, JobSpec { uid: Uid(1002), name: "eval".to_owned(), ..spec("own") });
    stage.submit(2, 3, JobSpec { partitions: vec!["gpu".into(), "own".into()], ..spec("gpu") });
    stage.submit(3, 4, spec("own"));
    let run = stage.bind(4, 3, part(1, 4, &[]));
    stage.happens(5, What::JobStarted { run });
    let end = JobEnd {
        suspended: Default::default(),
        partition: None,
        state: EndState::Cancelled,
        exit: ExitStatus::default(),
        reason: Reason::None,
        by: Some(Uid(0)),
        started_at: None,
        ended_at: at(6),
        nodes: Vec::new(),
        cost: MicroUsd::ZERO,
    };
    stage.happens(6, What::JobEnded { job: JobId(4), end, charges: Vec::new() });

    let none = JobFilter::default;
    assert_eq!(ids(&stage, &none()), [1, 2, 3], "what has not ended");
    assert_eq!(ids(&stage, &JobFilter { all_states: true, ..none() }), [1, 2, 3, 4]);
    let cancelled = vec![JobState::Ended(EndState::Cancelled)];
    assert_eq!(ids(&stage, &JobFilter { states: cancelled, ..none() }), [4]);
    assert_eq!(ids(&stage, &JobFilter { states: vec![JobState::Running], ..none() }), [3]);
    assert_eq!(ids(&stage, &JobFilter { users: vec![Uid(1002)], ..none() }), [2]);
    assert_eq!(ids(&stage, &JobFilter { names: vec!["train".to_owned()], ..none() }), [1, 3]);
    assert_eq!(ids(&stage, &JobFilter { partitions: vec!["own".into()], ..none() }), [2, 3]);
    assert_eq!(ids(&stage, &JobFilter { partitions: vec!["gpu".into()], ..none() }), [1], "3 went to `own`");
    assert_eq!(ids(&stage, &JobFilter { nodes: vec!["n1".into()], ..none() }), [3]);
    assert_eq!(ids(&stage, &JobFilter { qos: vec!["normal".into()], ..none() }), [1, 2, 3]);
    let jobs = vec![reference(3, &[]), reference(1, &[]), reference(3, &[]), reference(4, &[]), reference(99, &[])];
    assert_eq!(ids(&stage, &JobFilter { jobs: jobs.clone(), ..none() }), [1, 3], "each once, by id, not ended");
    assert_eq!(ids(&stage, &JobFilter { jobs, all_states: true, ..none() }), [1, 3, 4]);
}

#[test]
fn a_dependency_names_the_terms_that_are_open() {
    let mut stage = Stage::new();
    let target = |job| Some(TargetJob { job: JobId(job), index: None });
    let terms = vec![
        DependencyTerm { kind: DependencyKind::AfterOk, target: target(189) },
        DependencyTerm { kind: DependencyKind::AfterAny, target: target(190) },
        DependencyTerm { kind: DependencyKind::Singleton, target: None },
    ];
    stage.submit(0, 1, JobSpec { dependency: Dependency { terms, any: false }, ..spec("gpu") });
    let view = one(&stage, 1, 1);
    assert_eq!(view.dependency, "afterok:189(unfulfilled),afterany:190(unfulfilled),singleton(unfulfilled)");
    use crate::job::TermState::{Met, Never, Waiting};
    let terms = vec![Never, Met, Waiting];
    stage.happens(2, What::DependencyChanged { job: JobId(1), terms, eligible_at: None });
    assert_eq!(one(&stage, 1, 3).dependency, "afterok:189(failed),singleton(unfulfilled)");
    assert_eq!(one(&stage, 1, 3).reason, Reason::DependencyNeverSatisfied);
}

#[test]
fn an_ended_job_shows_its_end() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("own"));
    let run = stage.bind(10, 1, part(1, 4, &[]));
    stage.happens(10, What::JobStarted { run });
    let end = JobEnd {
        suspended: Default::default(),
        partition: None,
        state: EndState::Failed,
        exit: ExitStatus { code: 3, signal: 0 },
        reason: Reason::NonZeroExitCode,
        by: None,
        started_at: Some(at(10)),
        ended_at: at(60),
        nodes: vec![NodeId(1)],
        cost: MicroUsd(5),
    };
    stage.happens(60, What::JobEnded { job: JobId(1), end, charges: Vec::new() });
    let view = one(&stage, 1, 90);
    assert_eq!((view.state, view.reason), (JobState::Ended(EndState::Failed), Reason::NonZeroExitCode));
    assert_eq!((view.start_at, view.end_at, view.cost), (Some(at(10)), Some(at(60)), MicroUsd(5)));
    assert_eq!((view.nodes, view.exit.code, view.restarts), (vec!["n1".into()], 3, 0));
}

#[test]
fn a_held_job_has_no_priority() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("gpu"));
    stage.happens(1, What::JobHeld { job: JobId(1), by: HeldBy::Admin });
    assert_eq!((one(&stage, 1, 2).priority, one(&stage, 1, 2).reason), (0, Reason::JobHeldAdmin));
}
