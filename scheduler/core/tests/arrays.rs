//! An array is one record until its elements start, whatever is done to all of it or to ranges, and however many there are.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::Role;
use squall_core::plan::{Step, Target, plan};
use squall_core::{Caller, Cluster, ClusterConfig, Command, Event, Reply, check, decide};
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

    fn is_one_record(&self, array: JobId, waiting: &[(u32, u32)]) {
        assert_eq!(check::check(&self.cluster), Vec::<String>::new());
        let job = self.cluster.jobs.get(&array).expect("it waits");
        let Role::Pending { indices } = &job.role else { panic!("{:?}", job.role) };
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
    assert_eq!(targets, [&Target::Element { array: first, index: 0 }, &Target::Element { array: first, index: 1 }]);
    steps.into_iter().for_each(|step| {
        site.decide(Command::Perform { step });
    });
    let ended = site.cluster.element(first, 1).expect("it runs");
    let (run, node) = (ended.run(), ended.allocations()[0].node);
    let (exit, usage) = Default::default();
    let end = AttemptEnd { cause: EndCause::Exited, exit, ended_at: site.now, usage, detail: String::new() };
    site.decide(Command::Attempt { node, run, state: AttemptState::Ended(end) });
    let started = |step: &Step| matches!(step, Step::Bind { target: Target::Element { array, index: 1 }, .. } if *array == second);
    let steps = plan(&site.cluster, site.now).steps;
    let of_second =
        |step: &&Step| matches!(step, Step::Bind { target: Target::Element { array, .. }, .. } if *array == second);
    assert_eq!(steps.iter().filter(of_second).count(), 1, "{steps:?}");
    assert!(steps.iter().any(started), "the counterpart of the one that ended well: {steps:?}");
    site.is_one_record(second, &[(0, ELEMENTS - 1)]);
}
