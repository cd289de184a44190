//! A small cluster with machines of its own, or of a pool that sells some, and what happens to jobs there.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::JobPhase;
use squall_core::order::OrderState;
use squall_core::plan::{Step, plan};
use squall_core::{Caller, Cluster, ClusterConfig, Command, Reply, check, decide};
use squall_types::agent::EndCause;
use squall_types::offer::LaunchFailure;
use squall_types::*;

pub struct Desk {
    pub cluster: Cluster,
    pub now: Timestamp,
    tokens: u32,
}

fn shape() -> Shape {
    let group = GpuGroup { model: "h100".into(), count: 4, memory_mib: 80_000, declared: true };
    Shape { cpus: 4, cores: 4, memory_mib: 8_000, gpus: Gpus(vec![group]), ..Shape::default() }
}

impl Desk {
    pub fn new(own: u32, most_bought: u32) -> Desk {
        let machines = (0..own).map(|number| (NodeName(format!("n{number}")), shape()));
        let offer = Offer { name: "large".into(), shape: shape(), max_per_order: 4, ..Offer::default() };
        let cloud = PoolConfig {
            provisioner: "sim".to_owned(),
            offers: vec![offer],
            max_nodes: most_bought,
            ..PoolConfig::default()
        };
        let own = PoolConfig { static_nodes: machines.collect(), ..PoolConfig::default() };
        let pools = vec!["own".into(), "cloud".into()];
        let partition = PartitionConfig { pools, default: true, ..PartitionConfig::default() };
        let config = ClusterConfig {
            pools: [("own".into(), own), ("cloud".into(), cloud)].into(),
            partitions: [("main".into(), partition)].into(),
            ..ClusterConfig::default()
        };
        let mut desk = Desk { cluster: Cluster::new(), now: Timestamp::from_secs(1_000), tokens: 0 };
        desk.decide(Command::Configure { config: Box::new(config) });
        let nodes: Vec<NodeId> = desk.cluster.live_nodes().map(|node| node.id).collect();
        for node in nodes {
            let measured = Box::new(MeasuredNode { shape: shape(), ..MeasuredNode::default() });
            desk.decide(Command::Register { node, measured });
        }
        desk
    }

    pub fn decide(&mut self, command: Command) -> Reply {
        let decision = decide(&self.cluster, self.now, &Caller::Admin(Uid(0)), &command);
        let decision = decision.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        decision.events.iter().for_each(|event| self.cluster.apply(event));
        assert_eq!(check::check(&self.cluster), Vec::<String>::new());
        decision.reply
    }

    /// The refusal, in words.
    pub fn refused(&mut self, command: Command) -> String {
        match decide(&self.cluster, self.now, &Caller::Admin(Uid(0)), &command) {
            Ok(decision) => panic!("{command:?} is not refused: {:?}", decision.reply),
            Err(refusal) => refusal.to_string(),
        }
    }

    fn submitted(&mut self, command: impl FnOnce(SubmitToken) -> Command) -> JobId {
        self.tokens += 1;
        let token = SubmitToken::new(format!("token {}", self.tokens));
        match self.decide(command(token)) {
            Reply::Submitted { job, .. } => job,
            other => panic!("{other:?}"),
        }
    }

    pub fn submit(&mut self, spec: JobSpec) -> JobId {
        self.submitted(|token| Command::Submit { spec: Box::new(spec), token, test_only: false })
    }

    pub fn together(&mut self, specs: &[JobSpec]) -> JobId {
        let specs = specs.to_vec();
        self.submitted(|token| Command::SubmitTogether { specs, token, test_only: false })
    }

    /// Makes a plan and performs it.
    pub fn plan(&mut self) -> Vec<Step> {
        let steps = plan(&self.cluster, self.now).steps;
        for step in &steps {
            self.decide(Command::Perform { step: step.clone() });
        }
        steps
    }

    pub fn phase(&self, job: JobId) -> JobPhase {
        self.cluster.jobs.get(&job).expect("the job is known").phase.clone()
    }

    pub fn end_of(&self, job: JobId) -> (EndState, ExitStatus) {
        match self.phase(job) {
            JobPhase::Ended(end) => (end.state, end.exit),
            other => panic!("job {job} has not ended: {other:?}"),
        }
    }

    /// Plans, and lets agents prepare so many components of the job.
    pub fn start(&mut self, job: JobId, components: u32) {
        self.plan();
        (0..components).for_each(|offset| self.prepared(JobId(job.0 + offset)));
    }

    /// What the agents of a job's nodes say, as far as its parts live.
    fn news(&mut self, job: JobId, state: &AttemptState) {
        let record = self.cluster.jobs.get(&job).expect("the job is known");
        let run = record.run();
        let nodes: Vec<NodeId> = record.allocations().iter().map(|held| held.node).collect();
        for node in nodes {
            self.decide(Command::Attempt { node, run, state: state.clone() });
        }
    }

    pub fn prepared(&mut self, job: JobId) {
        self.news(job, &AttemptState::Prepared);
    }

    pub fn ended(&mut self, job: JobId, cause: EndCause, code: i32) {
        let exit = ExitStatus { code, signal: 0 };
        let end = AttemptEnd { cause, exit, ended_at: self.now, usage: Default::default(), detail: String::new() };
        self.news(job, &AttemptState::Ended(end));
    }

    pub fn stopped(&mut self, job: JobId) {
        let end = AttemptEnd {
            cause: EndCause::Stopped,
            exit: ExitStatus::default(),
            ended_at: self.now,
            usage: Default::default(),
            detail: String::new(),
        };
        self.news(job, &AttemptState::Ended(end));
    }

    /// The provider has nothing for the orders that were placed.
    pub fn no_capacity(&mut self) {
        let placed = self.cluster.open_orders().filter(|order| matches!(order.state, OrderState::Placed));
        let placed: Vec<OrderId> = placed.map(|order| order.id).collect();
        for order in placed {
            let failure = LaunchFailure::NoCapacity { scope: "here".to_owned() };
            self.decide(Command::LaunchFailed { order, failure });
        }
    }
}
