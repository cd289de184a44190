//! An array is one record until its elements start, whatever is done to all of it or to ranges, and however many there are.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::Role;
use squall_core::plan::{Step, Target, plan};
use squall_core::{Caller, Cluster, ClusterConfig, Command, Event, Reply, What, check, decide};
use squall_types::agent::EndCause;
use squall_types::api::{JobRef, JobUpdate};
use squall_types::spec::ArraySpec;
use squall_types::*;

const ELEMENTS: u32 = 100_000;
/// All that the state may be as bytes with such an array in it: an element that had a record of its own would show.
const MOST_BYTES: usize = 16 * 1024;

struct Site {
    cluster: Cluster,
    now: Timestamp,
}

impl Site {
    /// One machine with as many CPUs as are said.
    fn new(cpus: u32) -> Site {
        let shape = Shape { cpus, cores: cpus, memory_mib: 64_000, ..Shape::default() };
        let own = PoolConfig { static_nodes: [("n".into(), shape.clone())].into(), ..PoolConfig::default() };
        let partition = PartitionConfig { pools: vec!["own".into()], default: true, ..PartitionConfig::default() };
        let config = ClusterConfig {
            pools: [("own".into(), own)].into(),
            partitions: [("main".into(), partition)].into(),
            ..ClusterConfig::default()
        };
        let mut site = Site { cluster: Cluster::new(), now: Timestamp::from_secs(1_000) };
        site.decide(Command::Configure { config: Box::new(config) });
        let node = site.cluster.live_nodes().next().expect("it is configured").id;
        site.decide(Command::Register { node, measured: Box::new(MeasuredNode { shape, ..MeasuredNode::default() }) });
        site
    }

    fn decide(&mut self, command: Command) -> (Vec<Event>, Reply) {
        let decision = decide(&self.cluster, self.now, &Caller::Admin(Uid(0)), &command).expect("it is possible");
        self.cluster = decision.after;
        (decision.events, decision.reply)
    }

    fn array(&mut self, name: &str, change: impl FnOnce(&mut JobSpec)) -> JobId {
        let mut spec = JobSpec {
            name: name.to_owned(),
            script: Some(BlobDigest([1; 32])),
            time_limit: Some(Span::from_hours(1)),
            array: Some(ArraySpec { indices: IndexSet::from_ranges(vec![(0, ELEMENTS - 1)]), limit: None, step: 1 }),
            ask: Ask { cpus: CpuAsk::PerTask(1), memory: MemoryAsk::PerNode(100), ..Ask::default() },
            ..JobSpec::default()
        };
        change(&mut spec);
        let submit = Command::Submit { spec: Box::new(spec), token: name.into(), test_only: false };
        match self.decide(submit) {
            (events, Reply::Submitted { job, .. }) => {
                assert_eq!(events.len(), 1);
                job
            }
            (_, other) => panic!("{other:?}"),
        }
    }

    fn refused(&self, command: Command) -> String {
        decide(&self.cluster, self.now, &Caller::Admin(Uid(0)), &command).expect_err("it is refused").to_string()
    }

    /// What can start does; the nodes are told so, and nothing else happens.
    fn start(&mut self) {
        for step in plan(&self.cluster, self.now).steps {
            self.decide(Command::Perform { step });
        }
    }

    /// An element that runs ends well.
    fn finish(&mut self, array: JobId, index: u32) {
        let job = self.cluster.element(array, index).expect("it has a record");
        let (run, node) = (job.run(), job.allocations()[0].node);
        let (exit, usage) = Default::default();
        let end = AttemptEnd { cause: EndCause::Exited, exit, ended_at: self.now, usage, detail: String::new() };
        self.decide(Command::Attempt { node, run, state: AttemptState::Ended(end) });
    }

    /// The records in which elements wait, and whether they are held.
    fn waiting(&self, array: JobId) -> Vec<(String, bool)> {
        assert_eq!(check::check(&self.cluster), Vec::<String>::new());
        let records = self.cluster.waiting_records(array);
        records.map(|(job, waiting)| (waiting.to_string(), job.held.is_some())).collect()
    }

    fn is_one_record(&self, array: JobId, waiting: &[(u32, u32)]) {
        assert_eq!(check::check(&self.cluster), Vec::<String>::new());
        let job = self.cluster.jobs.get(&array).expect("it waits");
        let Role::Pending { indices, .. } = &job.role else { panic!("{:?}", job.role) };
        assert_eq!(indices.ranges(), waiting);
        let bytes = self.cluster.to_snapshot().len();
        assert!(bytes < MOST_BYTES, "{bytes} bytes");
    }
}

fn some(job: JobId, first: u32, last: u32) -> JobRef {
    JobRef { job, elements: Some(IndexSet::from_ranges(vec![(first, last)])), component: None }
}

#[test]
fn a_hundred_thousand_elements_are_one_record_until_they_start() {
    let mut site = Site::new(1);
    let array = site.array("many", |spec| spec.hold = true);
    let all = || JobRef::from(array);
    site.is_one_record(array, &[(0, ELEMENTS - 1)]);
    assert_eq!(site.cluster.jobs.len(), 1);
    let update = Box::new(JobUpdate { time_limit: Some(Span::from_mins(5)), ..JobUpdate::default() });
    for command in [
        Command::Release { job: all() },
        Command::Hold { job: all() },
        Command::Update { job: all(), update },
        Command::Cancel { job: some(array, 10, 59_999), cron: false },
        Command::Cancel { job: some(array, 70_000, u32::MAX), cron: false },
    ] {
        let (events, _) = site.decide(command.clone());
        assert_eq!(events.len(), 1, "{command:?} is one event, however many elements it is about");
    }
    site.is_one_record(array, &[(0, 9), (60_000, 69_999)]);
    assert_eq!(site.cluster.jobs.len(), 1);
    // The last of those that are there, and many that never were.
    site.decide(Command::Cancel { job: some(array, 0, 9), cron: false });
    site.is_one_record(array, &[(60_000, 69_999)]);
}

#[test]
fn elements_that_correspond_go_one_by_one_and_the_others_stay_one_record() {
    let mut site = Site::new(3);
    let first = site.array("first", |spec| spec.array.as_mut().expect("an array").limit = Some(2));
    let second = site.array("second", |spec| {
        spec.dependency = format!("aftercorr:{first}").parse().expect("a dependency");
    });
    let steps = plan(&site.cluster, site.now).steps;
    let targets: Vec<&Target> = steps
        .iter()
        .map(|step| if let Step::Bind { target, .. } = step { target } else { panic!("{step:?}") })
        .collect();
    assert_eq!(targets, [&Target::Element { record: first, index: 0 }, &Target::Element { record: first, index: 1 }]);
    steps.into_iter().for_each(|step| {
        site.decide(Command::Perform { step });
    });
    site.finish(first, 1);
    let started = |step: &Step| matches!(step, Step::Bind { target: Target::Element { record, index: 1 }, .. } if *record == second);
    let steps = plan(&site.cluster, site.now).steps;
    let of_second =
        |step: &&Step| matches!(step, Step::Bind { target: Target::Element { record, .. }, .. } if *record == second);
    assert_eq!(steps.iter().filter(of_second).count(), 1, "{steps:?}");
    assert!(steps.iter().any(started), "the counterpart of the one that ended well: {steps:?}");
    site.is_one_record(second, &[(0, ELEMENTS - 1)]);
}

fn records(of: &[(&str, bool)]) -> Vec<(String, bool)> {
    of.iter().map(|(indices, held)| ((*indices).to_owned(), *held)).collect()
}

#[test]
fn what_holds_for_a_part_of_an_array_alone_costs_one_record_more() {
    let mut site = Site::new(1);
    let array = site.array("many", |spec| spec.hold = true);
    site.decide(Command::Release { job: array.into() });
    let hold = || Command::Hold { job: some(array, 1, 50_000) };
    let (events, _) = site.decide(hold());
    assert!(matches!(events[0].what, What::GroupSplit { group: None, .. }), "{events:?}");
    assert_eq!((events.len(), site.cluster.jobs.len()), (2, 2), "{events:?}");
    assert_eq!(site.waiting(array), records(&[("0,50001-99999", false), ("1-50000", true)]));
    assert_eq!(site.decide(hold()).0, [], "they are held");
    // What is said of elements of both splits each once; what is said of all, none.
    let update = |nice| Box::new(JobUpdate { nice: Some(nice), ..JobUpdate::default() });
    let (events, _) = site.decide(Command::Update { job: some(array, 40_001, 59_999), update: update(3) });
    assert_eq!((events.len(), site.cluster.jobs.len()), (4, 4), "{events:?}");
    let parts = [("0,60000-99999", false), ("1-40000", true), ("50001-59999", false), ("40001-50000", true)];
    assert_eq!(site.waiting(array), records(&parts));
    assert_eq!(site.decide(Command::Update { job: some(array, 40_001, 59_999), update: update(4) }).0.len(), 2);
    assert_eq!(site.decide(Command::Update { job: array.into(), update: update(5) }).0.len(), 4);
    let (events, _) = site.decide(Command::Cancel { job: some(array, 30_000, 54_999), cron: false });
    assert_eq!(events.len(), 3, "{events:?}");
    let parts = [("0,60000-99999", false), ("1-29999", true), ("55000-59999", false)];
    assert_eq!(site.waiting(array), records(&parts), "a group is over with its last element");
    assert_eq!(site.decide(Command::Release { job: array.into() }).0.len(), 1);
    assert!(site.waiting(array).iter().all(|(_, held)| !held));
    let bytes = site.cluster.to_snapshot();
    assert!(bytes.len() < MOST_BYTES, "{} bytes", bytes.len());
    assert_eq!(Cluster::from_snapshot(&bytes).expect("it is whole").hash(), site.cluster.hash());
    // One element alone has a record as an element.
    site.decide(Command::Hold { job: some(array, 7, 7) });
    assert!(site.cluster.element(array, 7).is_some_and(|job| job.held.is_some()));
    site.decide(Command::Cancel { job: array.into(), cron: false });
    assert_eq!(site.waiting(array), []);
    assert_eq!(site.cluster.live_job_count(), 0);
}

#[test]
fn elements_of_a_group_start_from_it_within_the_limit_of_their_array() {
    let mut site = Site::new(9);
    let array = site.array("few", |spec| {
        let all = IndexSet::from_ranges(vec![(0, 5)]);
        spec.array = Some(ArraySpec { indices: all, limit: Some(3), step: 1 });
    });
    let update = |update| Command::Update { job: some(array, 4, 5), update: Box::new(update) };
    site.decide(Command::Hold { job: some(array, 0, 2) });
    site.decide(update(JobUpdate { name: Some("late".to_owned()), ..JobUpdate::default() }));
    assert_eq!(site.waiting(array), records(&[("3", false), ("0-2", true), ("4-5", false)]));
    site.start();
    // The last of a record has taken that over.
    let ids = |site: &Site| -> Vec<u32> {
        (0..6).filter_map(|index| Some(site.cluster.element(array, index)?.id.0 - array.0)).collect()
    };
    assert_eq!((ids(&site), site.waiting(array)), (vec![0, 3, 2], records(&[("0-2", true)])));
    assert_eq!(site.cluster.element(array, 5).map(|job| job.spec.name()), Some("late"));
    site.decide(Command::Release { job: array.into() });
    assert_eq!(plan(&site.cluster, site.now).steps, [], "three are as many as may run at once");
    // The limit is the array's, in whichever record its elements wait.
    let limit = Box::new(JobUpdate { array_limit: Some(4), ..JobUpdate::default() });
    site.decide(Command::Update { job: some(array, 0, 2), update: limit });
    site.start();
    assert_eq!((ids(&site), site.waiting(array)), (vec![4, 0, 3, 2], records(&[("1-2", false)])));
    (3..6).for_each(|index| site.finish(array, index));
    // The array's own record is purged long before what waits in its groups.
    site.decide(Command::Hold { job: some(array, 1, 2) });
    site.now += site.cluster.config.timing.min_job_age + Span::from_secs(1);
    site.decide(Command::Tick);
    assert!(site.cluster.jobs.get(&array).is_none());
    assert_eq!(site.waiting(array), records(&[("1-2", true)]));
    site.decide(Command::Release { job: some(array, 2, 2) });
    site.start();
    assert_eq!(site.waiting(array), records(&[("1", true)]));
    site.decide(Command::Cancel { job: array.into(), cron: false });
    [0, 2].into_iter().for_each(|index| site.finish(array, index));
    site.now += site.cluster.config.timing.min_job_age + Span::from_secs(1);
    site.decide(Command::Tick);
    assert!(site.cluster.jobs.is_empty() && site.cluster.arrays.is_empty());
    assert_eq!(check::check(&site.cluster), Vec::<String>::new());
}

#[test]
fn whoever_waits_for_an_array_waits_for_its_groups_as_well() {
    let mut site = Site::new(9);
    let few = |spec: &mut JobSpec| {
        let all = IndexSet::from_ranges(vec![(0, 3)]);
        spec.array = Some(ArraySpec { indices: all, limit: None, step: 1 });
    };
    let array = site.array("first", few);
    let mut after = |kind: &str, own: bool| {
        site.array(kind, |spec| {
            few(spec);
            spec.array = spec.array.take().filter(|_| own);
            spec.dependency = format!("{kind}:{array}").parse().expect("a dependency");
        })
    };
    let (ok, one_by_one, begun) = (after("afterok", false), after("aftercorr", true), after("after", false));
    site.decide(Command::Hold { job: some(array, 2, 3) });
    let goes = |site: &Site, id| site.cluster.jobs.get(&id).is_some_and(|job| job.dependency_met(site.now));
    site.start();
    (0..2).for_each(|index| site.finish(array, index));
    assert!(!goes(&site, ok) && !goes(&site, begun), "two elements have neither begun nor ended");
    site.start();
    assert_eq!(site.waiting(one_by_one), records(&[("2-3", false)]), "those go whose counterparts have ended well");
    // A group depends on something of its own, which is not itself.
    let dependency = |on: &str| Command::Update {
        job: some(array, 2, 3),
        update: Box::new(JobUpdate { dependency: Some(on.parse().expect("a dependency")), ..JobUpdate::default() }),
    };
    for itself in [format!("afterok:{array}"), format!("afterok:{array}_3"), format!("afterok:{ok}")] {
        let refusal = site.refused(dependency(&itself));
        assert!(refusal.contains("dependency"), "{itself}: {refusal}");
    }
    site.decide(dependency(&format!("afterok:{array}_1")));
    site.decide(Command::Release { job: array.into() });
    site.start();
    assert!(goes(&site, begun) && !goes(&site, ok));
    (2..4).for_each(|index| site.finish(array, index));
    assert!(goes(&site, ok));
    assert_eq!(check::check(&site.cluster), Vec::<String>::new());
}

#[test]
fn who_is_done_with_an_array_as_if_it_were_an_allocation_cancels_what_waits_of_it() {
    let mut site = Site::new(1);
    let array = site.array("many", |spec| spec.hold = true);
    site.decide(Command::Hold { job: some(array, 0, 9) });
    let run = ids::Run { job: array, attempt: Attempt(0) };
    site.decide(Command::FinishAllocation { run, exit: ExitStatus::default() });
    assert_eq!(site.waiting(array), []);
    assert!(site.cluster.jobs.get(&array).is_some_and(squall_core::job::Job::is_ended));
}

/// Events about elements, as they were written before there were groups.
#[derive(minicbor::Encode)]
enum Before {
    #[n(11)]
    ElementSplit {
        #[n(0)]
        array: JobId,
        #[n(1)]
        index: u32,
        #[n(2)]
        job: JobId,
    },
    #[n(25)]
    ElementsCancelled {
        #[n(0)]
        array: JobId,
        #[n(1)]
        indices: IndexSet,
        #[n(2)]
        by: Option<Uid>,
    },
}

#[test]
fn events_from_before_there_were_groups_are_about_the_record_of_the_array() {
    let mut site = Site::new(1);
    let array = site.array("old", |spec| spec.hold = true);
    let indices = IndexSet::from_ranges(vec![(10, 59_999)]);
    for what in [
        Before::ElementSplit { array, index: 7, job: JobId(array.0 + 1) },
        Before::ElementsCancelled { array, indices, by: Some(Uid(7)) },
    ] {
        let event = minicbor::to_vec((site.now, what)).expect("it is encoded");
        site.cluster.apply(&Event::decode(&event).expect("it is known"));
    }
    assert_eq!(site.waiting(array), records(&[("0-6,8-9,60000-99999", true)]));
    assert!(site.cluster.element(array, 7).is_some());
}
