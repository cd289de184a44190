//! What follows from single decisions, on machines that are one's own.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::{HeldBy, JobPhase};
use squall_core::plan::plan;
use squall_core::{Caller, Cluster, ClusterConfig, Command, Reply, check, decide, next_wakeup};
use squall_types::agent::EndCause;
use squall_types::api::JobRef;
use squall_types::*;

struct Desk {
    cluster: Cluster,
    now: Timestamp,
    tokens: u32,
}

fn shape() -> Shape {
    Shape { cpus: 4, cores: 4, memory_mib: 8_000, ..Shape::default() }
}

/// Static nodes of these names, and a pool that can buy two.
fn config(names: &[&str]) -> ClusterConfig {
    let own = PoolConfig {
        static_nodes: names.iter().map(|name| (NodeName::from(*name), shape())).collect(),
        ..PoolConfig::default()
    };
    let partition = PartitionConfig { pools: vec!["own".into()], default: true, ..PartitionConfig::default() };
    ClusterConfig {
        pools: [("own".into(), own)].into(),
        partitions: [("main".into(), partition)].into(),
        ..ClusterConfig::default()
    }
}

impl Desk {
    fn new(names: &[&str]) -> Self {
        let mut desk = Desk { cluster: Cluster::new(), now: Timestamp::from_secs(1_000), tokens: 0 };
        desk.configure(names);
        let nodes: Vec<NodeId> = desk.cluster.live_nodes().map(|node| node.id).collect();
        for node in nodes {
            let measured = Box::new(MeasuredNode { shape: shape(), ..MeasuredNode::default() });
            desk.decide(Command::Register { node, measured });
        }
        desk
    }

    fn configure(&mut self, names: &[&str]) {
        self.decide(Command::Configure { config: Box::new(config(names)) });
    }

    fn decide(&mut self, command: Command) -> Reply {
        let decision = decide(&self.cluster, self.now, &Caller::Admin(Uid(0)), &command);
        let decision = decision.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        decision.events.iter().for_each(|event| self.cluster.apply(event));
        assert_eq!(check::check(&self.cluster), Vec::<String>::new());
        decision.reply
    }

    fn submit(&mut self, change: impl FnOnce(&mut JobSpec)) -> JobId {
        self.tokens += 1;
        let mut spec = JobSpec {
            script: Some(BlobDigest([0; 32])),
            time_limit: Some(Span::from_hours(1)),
            ask: Ask { cpus: CpuAsk::PerTask(4), ..Ask::default() },
            ..JobSpec::default()
        };
        change(&mut spec);
        let token = SubmitToken(format!("token {}", self.tokens));
        match self.decide(Command::Submit { spec: Box::new(spec), token, test_only: false }) {
            Reply::Submitted { job, .. } => job,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass, with the ticks and plans that are due.
    fn pass(&mut self, span: Span) {
        self.now += span;
        while next_wakeup(&self.cluster, self.now) <= self.now {
            self.decide(Command::Tick);
        }
        for step in plan(&self.cluster, self.now).steps {
            self.decide(Command::Perform { step });
        }
    }

    /// The present attempt of a job ends well on its first node.
    fn end(&mut self, id: JobId) {
        let job = self.cluster.jobs.get(&id).expect("known");
        let (run, node) = (job.run(), job.placement().expect("it runs").allocations[0].node);
        let end = AttemptEnd {
            cause: EndCause::Exited,
            exit: ExitStatus::default(),
            ended_at: self.now,
            usage: Default::default(),
            detail: String::new(),
        };
        self.decide(Command::Attempt { node, run, state: AttemptState::Ended(end) });
    }

    fn runs(&self, id: JobId) -> bool {
        matches!(self.cluster.jobs.get(&id).expect("known").phase, JobPhase::Running { .. })
    }
}

#[test]
fn after_an_array_counts_from_its_last_start_and_not_from_its_ends() {
    let mut desk = Desk::new(&["a", "b", "c"]);
    let array = desk.submit(|spec| {
        spec.array = Some(squall_types::spec::ArraySpec { indices: (0..2).collect(), limit: None, step: 1 });
    });
    desk.pass(Span::from_secs(1));
    let later = desk.submit(|spec| spec.dependency = format!("after:{array}+10").parse().expect("a dependency"));
    desk.pass(Span::from_mins(9));
    let first = desk.cluster.element(array, 0).expect("it runs").id;
    desk.end(first);
    desk.pass(Span::from_mins(2));
    assert!(desk.runs(later), "ten minutes after the start of the array");
}

#[test]
fn a_machine_that_is_configured_no_longer_goes_when_its_job_has_ended() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    desk.configure(&[]);
    desk.pass(Span::from_secs(1));
    assert!(desk.runs(job));
    desk.end(job);
    desk.pass(Span::from_secs(1));
    assert_eq!(desk.cluster.live_node_count(), 0);
}

#[test]
fn a_machine_that_is_configured_again_while_its_job_runs_takes_work_again() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    desk.configure(&[]);
    desk.configure(&["a"]);
    let next = desk.submit(|_| {});
    desk.end(job);
    desk.pass(Span::from_secs(1));
    assert!(desk.runs(next));
}

#[test]
fn an_admins_hold_outlives_a_change_of_the_configuration() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    let action = squall_types::api::NodeAction::Drain { reason: "a fan rattles".to_owned() };
    desk.decide(Command::Node { node: "a".into(), action });
    desk.configure(&[]);
    desk.configure(&["a"]);
    desk.end(job);
    let node = desk.cluster.node_named(&"a".into()).expect("it is there");
    let reasons: Vec<&str> = node.holds.iter().map(|hold| hold.reason.as_str()).collect();
    assert_eq!(reasons, ["a fan rattles"]);
}

#[test]
fn a_requeued_job_runs_again_and_what_waited_for_its_start_does_not_wait_anew() {
    let mut desk = Desk::new(&["a", "b"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    let later = desk.submit(|spec| {
        spec.dependency = format!("after:{job}").parse().expect("a dependency");
        spec.begin_at = Some(Timestamp::from_secs(2_000));
    });
    desk.decide(Command::Requeue { job: JobRef { job, elements: None }, hold: true });
    desk.end(job);
    desk.pass(Span::from_secs(1_100));
    assert_eq!(desk.cluster.jobs.get(&job).expect("known").held, Some(HeldBy::Admin));
    assert!(desk.runs(later));
}
