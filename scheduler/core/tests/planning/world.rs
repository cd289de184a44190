//! A small cluster to which things happen: machines of its own and nodes that are bought, in several partitions.

use proptest::prelude::*;
use squall_core::config::{PartitionConfig, PoolConfig, SwitchConfig};
use squall_core::job::JobPhase;
use squall_core::node::NodeState;
use squall_core::order::OrderState;
use squall_core::plan::Step;
use squall_core::{Caller, Cluster, ClusterConfig, Command, decide_in_place};
use squall_types::accounts::{self, AccountsEdit, EditKind, Entity};
use squall_types::agent::EndCause;
use squall_types::api::{JobRef, JobUpdate};
use squall_types::constraint::CountedFeature;
use squall_types::offer::{LaunchFailure, LaunchedInstance};
use squall_types::spec::ArraySpec;
use squall_types::*;
use std::collections::BTreeMap;

/// CPUs and GPUs of each machine, whether its GPUs are of two models, and the most nodes that may be bought.
#[derive(Clone, Debug)]
pub struct Setting {
    pub machines: Vec<(u32, u16, bool)>,
    pub bought: u32,
    pub boot_secs: i64,
    pub idle_secs: i64,
    /// Machines under each switch, in two zones; 0 where nothing is known of that.
    pub under_switch: usize,
}

pub fn setting() -> impl Strategy<Value = Setting> {
    let machine = (2u32..=16, 0u16..=4, prop::bool::weighted(0.2));
    let size = (prop::collection::vec(machine, 0..6), 0u32..6, prop_oneof![2 => Just(0usize), 1 => 1usize..4]);
    (size, 1i64..600, 1i64..300).prop_map(|((machines, bought, under_switch), boot_secs, idle_secs)| Setting {
        machines,
        bought,
        boot_secs,
        idle_secs,
        under_switch,
    })
}

#[derive(Clone, Debug)]
pub struct Want {
    pub nodes: (u32, u32),
    pub tasks: Option<u32>,
    pub tasks_per_node: Option<u32>,
    pub cpus: u32,
    pub memory: Option<u64>,
    pub gpus: u16,
    pub model: Option<bool>,
    pub total: bool,
    pub secs: Option<i64>,
    pub partitions: u8,
    pub array: u32,
    pub limit: Option<u32>,
    pub exclusive: bool,
    pub picky: u8,
    pub prefers: u8,
    pub begin_secs: i64,
    pub interactive: bool,
    pub nice: i32,
}

/// One CPU of one node in the default partition.
impl Default for Want {
    fn default() -> Self {
        Want {
            nodes: (1, 1),
            tasks: None,
            tasks_per_node: None,
            cpus: 1,
            memory: None,
            gpus: 0,
            model: None,
            total: false,
            secs: None,
            partitions: 1,
            array: 0,
            limit: None,
            exclusive: false,
            picky: 5,
            prefers: 5,
            begin_secs: 0,
            interactive: false,
            nice: 0,
        }
    }
}

#[derive(Clone, Debug)]
pub enum Act {
    Submit(Want),
    /// A heterogeneous job.
    SubmitTogether(Vec<Want>),
    Plan,
    Advance(i64),
    /// What an agent of one of the active jobs says next.
    News(prop::sample::Index),
    Cancel(prop::sample::Index),
    Hold(prop::sample::Index),
    Release(prop::sample::Index),
    Suspend(prop::sample::Index),
    Resume(prop::sample::Index),
    Shorten(prop::sample::Index, i64),
    /// From the first to the last of these elements of an array: they are held, or shortened.
    Part(prop::sample::Index, (u32, u32), Option<i64>),
    Contact(prop::sample::Index, bool),
    Health(prop::sample::Index, bool),
    Launch(prop::sample::Index, bool),
    Register(prop::sample::Index),
    Tick,
    /// A limit of everybody, of each user or of each job is set or taken away.
    Limit(usize, Option<u32>),
}

fn want() -> impl Strategy<Value = Want> {
    let size = (1u32..=3, 0u32..=2, prop::option::weighted(0.3, 1u32..=8), prop::option::weighted(0.15, 1u32..=3));
    let parts = (1u32..=4, prop::option::of(100u64..20_000), 0u16..=4, prop::option::weighted(0.2, any::<bool>()));
    let more = (prop::bool::weighted(0.2), prop::option::weighted(0.9, 1i64..4000), 1u8..=3, 0u32..6);
    let begin = prop_oneof![9 => Just(0i64), 1 => 1i64..900];
    let rest = (prop::option::of(1u32..4), prop::bool::weighted(0.1), (0u8..12, 0u8..12), begin);
    (size, parts, more, rest, (prop::bool::weighted(0.1), -3i32..3)).prop_map(
        |(
            (nodes, wider, tasks, tasks_per_node),
            (cpus, memory, gpus, model),
            (total, secs, partitions, array),
            (limit, exclusive, (picky, prefers), begin_secs),
            (interactive, nice),
        )| Want {
            nodes: (nodes, nodes + wider.saturating_sub(1)),
            tasks,
            tasks_per_node,
            cpus,
            memory,
            gpus,
            model,
            total,
            secs,
            partitions,
            array: if array > 3 { array } else { 0 },
            limit,
            exclusive,
            picky,
            prefers,
            begin_secs,
            interactive,
            nice,
        },
    )
}

pub fn act() -> impl Strategy<Value = Act> {
    use prop::sample::Index;
    prop_oneof![
        8 => want().prop_map(Act::Submit),
        3 => prop::collection::vec(want(), 2..4).prop_map(Act::SubmitTogether),
        6 => Just(Act::Plan),
        4 => (1i64..900).prop_map(Act::Advance),
        6 => any::<Index>().prop_map(Act::News),
        1 => any::<Index>().prop_map(Act::Cancel),
        1 => any::<Index>().prop_map(Act::Hold),
        1 => any::<Index>().prop_map(Act::Release),
        1 => any::<Index>().prop_map(Act::Suspend),
        1 => any::<Index>().prop_map(Act::Resume),
        1 => (any::<Index>(), 1i64..900).prop_map(|(job, secs)| Act::Shorten(job, secs)),
        2 => (any::<Index>(), 0u32..4, 1u32..4, prop::option::of(1i64..900))
            .prop_map(|(array, first, more, secs)| Act::Part(array, (first, first + more), secs)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(node, is)| Act::Contact(node, is)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(node, is)| Act::Health(node, is)),
        4 => (any::<Index>(), prop::bool::weighted(0.9)).prop_map(|(order, works)| Act::Launch(order, works)),
        4 => any::<Index>().prop_map(Act::Register),
        1 => Just(Act::Tick),
    ]
}

/// The same where limits come and go.
pub fn limited_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => act(),
        1 => (0usize..6, prop::option::weighted(0.8, 0u32..12)).prop_map(|(which, limit)| Act::Limit(which, limit)),
    ]
}

pub struct World {
    pub cluster: Cluster,
    pub now: Timestamp,
    tokens: u32,
}

fn shape(cpus: u32, gpus: u16, mixed: bool) -> Shape {
    let group = |model: &str, count| GpuGroup { model: model.into(), count, memory_mib: 16_000, declared: true };
    let gpus = match (gpus, mixed) {
        (0, _) => Vec::new(),
        (gpus, false) => vec![group("t4", gpus)],
        (gpus, true) => vec![group("t4", gpus / 2), group("a100", gpus - gpus / 2)],
    };
    let features = if cpus.is_multiple_of(2) { ["even".to_owned()].into() } else { ["odd".to_owned()].into() };
    Shape { cpus, cores: cpus, memory_mib: 16_000, gpus: Gpus(gpus), features }
}

/// As many machines under each switch, and all switches under one.
fn switches(setting: &Setting) -> BTreeMap<SwitchName, SwitchConfig> {
    if setting.under_switch == 0 {
        return BTreeMap::new();
    }
    let machines: Vec<String> = (0..setting.machines.len()).map(|at| format!("n{at}")).collect();
    let leaves = machines.chunks(setting.under_switch).enumerate();
    let leaves = leaves
        .map(|(at, nodes)| (SwitchName(format!("s{at}")), SwitchConfig { nodes: nodes.join(","), switches: vec![] }));
    let mut switches: BTreeMap<_, _> = leaves.collect();
    let below = switches.keys().cloned().collect();
    switches.insert("top".into(), SwitchConfig { nodes: String::new(), switches: below });
    switches
}

impl World {
    pub fn new(setting: &Setting) -> Self {
        let named = |(at, (cpus, gpus, mixed)): (usize, &(u32, u16, bool))| {
            (NodeName(format!("n{at}")), shape(*cpus, *gpus, *mixed))
        };
        let own = PoolConfig {
            static_nodes: setting.machines.iter().enumerate().map(named).collect(),
            ..PoolConfig::default()
        };
        let offer = |name: &str, cpus, gpus, price| Offer {
            name: name.into(),
            scope: if setting.under_switch > 0 { name.to_owned() } else { String::new() },
            price: HourlyPrice(price),
            shape: shape(cpus, gpus, false),
            typical_boot: Span::from_secs(setting.boot_secs),
            max_per_order: 3,
            ..Offer::default()
        };
        let cloud = PoolConfig {
            provisioner: "sim".to_owned(),
            offers: vec![offer("small", 4, 1, 1_000), offer("middle", 5, 1, 2_000), offer("large", 16, 4, 9_000)],
            max_nodes: setting.bought,
            idle_after: Span::from_secs(setting.idle_secs),
            ..PoolConfig::default()
        };
        let partition = |pools: &[&str], default| PartitionConfig {
            pools: pools.iter().map(|pool| (*pool).into()).collect(),
            default,
            reservation_depth: (!default).then_some(2),
            ..PartitionConfig::default()
        };
        let config = ClusterConfig {
            pools: [("own".into(), own), ("cloud".into(), cloud)].into(),
            switches: switches(setting),
            partitions: [
                ("both".into(), partition(&["own", "cloud"], true)),
                ("mine".into(), partition(&["own"], false)),
            ]
            .into(),
            ..ClusterConfig::default()
        };
        let mut world = World { cluster: Cluster::new(), now: Timestamp::from_secs(1_000), tokens: 0 };
        world.decide(Command::Configure { config: Box::new(config) });
        let nodes: Vec<NodeId> = world.cluster.live_nodes().map(|node| node.id).collect();
        nodes.into_iter().for_each(|node| world.register(node));
        world
    }

    pub fn perform(&mut self, steps: Vec<Step>) {
        for step in steps {
            assert!(self.decide(Command::Perform { step: step.clone() }), "{step:?} was refused");
        }
    }

    pub fn act(&mut self, act: &Act) {
        match act {
            Act::Plan => {}
            Act::Submit(want) => self.submit(want),
            Act::SubmitTogether(wants) => self.submit_together(wants),
            Act::Advance(secs) => self.now += Span::from_secs(*secs),
            Act::News(index) => self.news(index),
            Act::Cancel(index) => self.on_job(index, |job| Command::Cancel { job, cron: false }),
            Act::Hold(index) => self.on_job(index, |job| Command::Hold { job }),
            Act::Release(index) => self.on_job(index, |job| Command::Release { job }),
            Act::Suspend(index) => self.on_job(index, |job| Command::Suspend { job }),
            Act::Resume(index) => self.on_job(index, |job| Command::Resume { job }),
            Act::Shorten(index, secs) => {
                let update = JobUpdate { time_limit: Some(Span::from_secs(*secs)), ..JobUpdate::default() };
                self.on_job(index, |job| Command::Update { job, update: Box::new(update) });
            }
            Act::Part(index, elements, secs) => self.on_part(index, *elements, *secs),
            Act::Contact(index, contact) => self.on_node(index, |node| Command::Contact { node, contact: *contact }),
            Act::Health(index, ill) => {
                let fault = if *ill { "hot".to_owned() } else { String::new() };
                self.on_node(index, |node| Command::Health { node, fault });
            }
            Act::Launch(index, works) => self.launch(index, *works),
            Act::Register(index) => {
                let coming = self.cluster.live_nodes().filter(|node| matches!(node.state, NodeState::Booting { .. }));
                let coming: Vec<NodeId> = coming.map(|node| node.id).collect();
                if let Some(node) = (!coming.is_empty()).then(|| *index.get(&coming)) {
                    self.register(node);
                }
            }
            Act::Tick => {
                self.decide(Command::Tick);
            }
            Act::Limit(which, limit) => self.limit(*which, *limit),
        }
    }

    fn limit(&mut self, which: usize, limit: Option<u32>) {
        let number = limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
        let (of_qos, text) = match which {
            0 => (false, format!("grpjobs={number}")),
            1 => (false, format!("grptres=cpu={number}")),
            2 => (false, format!("maxjobs={number}")),
            3 => (true, format!("maxtresperuser=gres/gpu={number}")),
            4 => (true, format!("maxtresperuser=node={number}")),
            _ => (false, format!("maxtresperjob=cpu={number}")),
        };
        let entity = if of_qos { Entity::Qos("normal".into()) } else { Entity::Account("root".into()) };
        let settings = vec![accounts::Setting::parse(&text).expect("a setting")];
        let edits = vec![AccountsEdit { kind: EditKind::Modify, entity, settings }];
        assert!(self.decide(Command::EditAccounts { edits, uids: Default::default() }), "{text}");
    }

    fn submit(&mut self, want: &Want) {
        let spec = Box::new(self.spec(want));
        let token = format!("t{}", self.tokens).as_str().into();
        self.decide(Command::Submit { spec, token, test_only: false });
    }

    fn submit_together(&mut self, wants: &[Want]) {
        let uid = Uid(1000 + wants.len() as u32 % 2);
        let mut spec = |want: &Want| JobSpec { uid, array: None, ..self.spec(want) };
        let specs = wants.iter().map(&mut spec).collect();
        let token = format!("t{}", self.tokens).as_str().into();
        self.decide(Command::SubmitTogether { specs, token, test_only: false });
    }

    fn spec(&mut self, want: &Want) -> JobSpec {
        self.tokens += 1;
        let model = want.model.map(|old| if old { "t4".into() } else { "a100".into() });
        let gpus = match want.gpus {
            0 => GpuAsk::None,
            gpus if want.total => GpuAsk::Total(u32::from(gpus), model),
            gpus => GpuAsk::PerNode(gpus, model),
        };
        let feature = |name: &str| Constraint::Feature(name.to_owned());
        let features = |kind: u8| match kind {
            0 => Some(feature("odd")),
            1 => Some(Constraint::Same(vec![feature("odd"), feature("even")])),
            2 => Some(Constraint::Counted(vec![CountedFeature { feature: "even".to_owned(), nodes: 1 }])),
            _ => None,
        };
        let partitions: &[&str] = match want.partitions {
            1 => &["both"],
            2 => &["mine"],
            _ => &["mine", "both"],
        };
        JobSpec {
            name: format!("job{}", self.tokens),
            uid: Uid(1000 + u32::from(want.picky % 2)),
            script: Some(BlobDigest([1; 32])),
            kind: if want.interactive { JobKind::Interactive } else { JobKind::Batch },
            partitions: partitions.iter().map(|name| (*name).into()).collect(),
            time_limit: want.secs.map(Span::from_secs),
            begin_at: (want.begin_secs > 0).then(|| self.now + Span::from_secs(want.begin_secs)),
            nice: want.nice,
            ask: Ask {
                nodes: (!want.total).then_some(NodeCount { min: want.nodes.0, max: want.nodes.1 }),
                tasks: want.tasks,
                tasks_per_node: want.tasks_per_node,
                cpus: CpuAsk::PerTask(want.cpus),
                memory: want.memory.map_or(MemoryAsk::Share, MemoryAsk::PerNode),
                gpus,
                exclusive: want.exclusive,
                ..Ask::default()
            },
            constraint: features(want.picky),
            prefer: if want.prefers == 3 { Some(feature("even")) } else { features(want.prefers) },
            node_list: if want.picky == 3 { vec!["n1".to_owned()] } else { Vec::new() },
            exclude: if want.picky == 4 { vec!["n0".to_owned()] } else { Vec::new() },
            array: (want.array > 0).then(|| ArraySpec {
                indices: (0..want.array).collect(),
                limit: want.limit,
                step: 1,
            }),
            ..JobSpec::default()
        }
    }

    fn news(&mut self, index: &prop::sample::Index) {
        let parts: Vec<_> = self
            .cluster
            .active_jobs()
            .filter_map(|job| job.placement().map(|placement| (job, placement)))
            .flat_map(|(job, placement)| {
                let living = placement.allocations.iter().zip(&placement.parts).filter(|(_, part)| !part.is_dead());
                living.map(|(held, _)| (job.run(), held.node, job.phase.clone()))
            })
            .collect();
        if parts.is_empty() {
            return;
        }
        let (run, node, phase) = index.get(&parts).clone();
        let cause = if matches!(phase, JobPhase::Stopping { .. }) { EndCause::Stopped } else { EndCause::Exited };
        let state = match phase {
            JobPhase::Bound(_) => AttemptState::Prepared,
            _ => AttemptState::Ended(AttemptEnd {
                cause,
                exit: Default::default(),
                ended_at: self.now,
                usage: Default::default(),
                detail: String::new(),
            }),
        };
        self.decide(Command::Attempt { node, run, state });
    }

    fn launch(&mut self, index: &prop::sample::Index, works: bool) {
        let placed = self.cluster.open_orders().filter(|order| matches!(order.state, OrderState::Placed));
        let placed: Vec<_> = placed.map(|order| (order.id, order.request.names.clone())).collect();
        if placed.is_empty() {
            return;
        }
        let (order, names) = index.get(&placed).clone();
        if works {
            let instance = |name: NodeName| LaunchedInstance { instance: name.as_str().into(), name };
            let launched = Launched { instances: names.into_iter().map(instance).collect() };
            self.decide(Command::Launched { order, launched });
        } else {
            self.decide(Command::LaunchFailed {
                order,
                failure: LaunchFailure::NoCapacity { scope: "here".to_owned() },
            });
        }
    }

    fn register(&mut self, node: NodeId) {
        let shape = self.cluster.nodes.get(&node).expect("it is known").offer.shape.clone();
        let measured = Box::new(MeasuredNode { shape, ..MeasuredNode::default() });
        self.decide(Command::Register { node, measured });
    }

    fn on_job(&mut self, index: &prop::sample::Index, command: impl FnOnce(JobRef) -> Command) {
        let jobs: Vec<JobId> = self.cluster.live_jobs().map(|job| job.id).collect();
        if !jobs.is_empty() {
            self.decide(command(JobRef::from(*index.get(&jobs))));
        }
    }

    fn on_part(&mut self, index: &prop::sample::Index, elements: (u32, u32), secs: Option<i64>) {
        let arrays: Vec<JobId> = self.cluster.arrays.keys().copied().collect();
        if arrays.is_empty() {
            return;
        }
        let elements = Some(IndexSet::from_ranges(vec![elements]));
        let job = JobRef { job: *index.get(&arrays), elements, component: None };
        self.decide(match secs.map(Span::from_secs) {
            Some(limit) => {
                let update = Box::new(JobUpdate { time_limit: Some(limit), ..JobUpdate::default() });
                Command::Update { job, update }
            }
            None => Command::Hold { job },
        });
    }

    fn on_node(&mut self, index: &prop::sample::Index, command: impl FnOnce(NodeId) -> Command) {
        let nodes: Vec<NodeId> = self.cluster.live_nodes().map(|node| node.id).collect();
        if !nodes.is_empty() {
            self.decide(command(*index.get(&nodes)));
        }
    }

    /// `false` for a refusal.
    fn decide(&mut self, command: Command) -> bool {
        let mut state = self.cluster.clone();
        let decided = decide_in_place(&mut state, self.now, &Caller::System, &command);
        let events = decided.as_ref().map(|decided| decided.events.as_slice()).unwrap_or_default();
        events.iter().for_each(|event| self.cluster.apply(event));
        assert_eq!(self.cluster.alarm, None, "after {command:?}");
        // What was refused has left nothing behind.
        assert_eq!(state.hash(), self.cluster.hash(), "after {command:?}");
        decided.is_ok()
    }
}
