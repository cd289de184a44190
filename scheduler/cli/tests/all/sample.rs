//! Sample records, the same that the transcripts of real Slurm were taken of.

use crate::transcript::NOW;
use squall_types::agent::ExitStatus;
use squall_types::api::*;
use squall_types::*;

/// Seconds before now.
pub fn ago(seconds: i64) -> Timestamp {
    NOW - Span::from_secs(seconds)
}

pub fn job(id: u32, name: &str, state: JobState) -> JobView {
    JobView {
        job: JobId(id),
        array: None,
        het: None,
        attempt: Attempt(1),
        restarts: 0,
        name: name.to_owned(),
        uid: Uid(1000),
        gid: Gid(0),
        user: "ann".to_owned(),
        account: "research".into(),
        partition: "batch".to_owned(),
        qos: "normal".to_owned(),
        state,
        reason: Reason::None,
        priority: 11_009,
        nice: 0,
        submitted_at: ago(104),
        eligible_at: Some(ago(104)),
        start_at: None,
        end_at: None,
        time_limit: Some(Span::from_hours(1)),
        nodes: Vec::new(),
        node_count: 1,
        max_nodes: 1,
        cpus: 1,
        tasks: 1,
        memory_mib: 0,
        gpus: 0,
        tres: String::new(),
        tres_per_node: String::new(),
        exit: ExitStatus::default(),
        work_dir: "/home/ann".to_owned(),
        command: "/home/ann/job.sh".to_owned(),
        comment: String::new(),
        dependency: String::new(),
        constraint: String::new(),
        prefer: String::new(),
        exclusive: false,
        cost: MicroUsd::ZERO,
        min_cpus: 1,
        min_memory_mib: 0,
        req_nodes: String::new(),
        exc_nodes: String::new(),
        wckey: String::new(),
        licenses: String::new(),
        suspend_at: None,
        suspended: Span::ZERO,
    }
}

pub fn pending(id: u32, name: &str, reason: Reason) -> JobView {
    JobView { reason, ..job(id, name, JobState::Pending) }
}

pub fn running(id: u32, name: &str, nodes: &[&str], seconds: i64) -> JobView {
    JobView {
        start_at: Some(ago(seconds)),
        end_at: Some(ago(seconds) + Span::from_hours(1)),
        nodes: nodes.iter().map(|node| NodeName::from(*node)).collect(),
        node_count: nodes.len() as u32,
        ..job(id, name, JobState::Running)
    }
}

pub fn ended(id: u32, name: &str, end: EndState, reason: Reason, exit: (i32, i32)) -> JobView {
    JobView {
        state: JobState::Ended(end),
        reason,
        end_at: Some(ago(10)),
        exit: ExitStatus { code: exit.0, signal: exit.1 },
        ..running(id, name, &["n1"], 40)
    }
}

pub fn element(view: JobView, array: u32, index: u32) -> JobView {
    JobView { array: Some(ArrayView::Element { array: JobId(array), index }), ..view }
}

/// The queue of the transcript that was taken of Slurm 22.05.8.
pub fn queue() -> Vec<JobView> {
    let indices = (2..=9).collect();
    vec![
        pending(7, "later", Reason::BeginTime),
        JobView {
            array: Some(ArrayView::Pending { array: JobId(3), indices, limit: Some(2) }),
            het: None,
            ..pending(3, "arr", Reason::JobArrayTaskLimit)
        },
        JobView { dependency: "afterok:1(unfulfilled)".to_owned(), ..pending(4, "dep", Reason::Dependency) },
        pending(5, "held", Reason::JobHeldUser),
        JobView {
            priority: 11_014,
            time_limit: Some(Span::from_hours(26)),
            cpus: 4,
            tasks: 4,
            memory_mib: 2048,
            min_memory_mib: 2048,
            gpus: 2,
            tres: "cpu=4,mem=2G,node=1,billing=4,gres/gpu=2,gres/gpu:h100=2".to_owned(),
            tres_per_node: "gres:gpu:h100:2".to_owned(),
            comment: "hello world".to_owned(),
            ..running(1, "sleeper", &["n1"], 101)
        },
        element(running(8, "arr", &["n1"], 100), 3, 0),
        element(running(9, "arr", &["n1"], 100), 3, 1),
        ended(2, "fails", EndState::Failed, Reason::NonZeroExitCode, (3, 0)),
        JobView {
            nodes: vec!["n1".into(), "n2".into()],
            node_count: 2,
            cpus: 16,
            ..ended(6, "big", EndState::Completed, Reason::None, (0, 0))
        },
    ]
}

pub fn shape(cpus: u32, memory_mib: u64, gpus: u16) -> Shape {
    let group = GpuGroup { model: "h100".into(), count: gpus, memory_mib: 81_559, declared: false };
    Shape {
        cpus,
        cores: cpus / 2,
        memory_mib,
        gpus: Gpus(if gpus > 0 { vec![group] } else { Vec::new() }),
        features: ["gpu", "static"].into_iter().filter(|_| gpus > 0).map(str::to_owned).collect(),
    }
}

pub fn node(name: &str, partitions: &[&str], condition: NodeCondition) -> NodeView {
    NodeView {
        name: name.into(),
        pool: "own".into(),
        partitions: partitions.iter().map(|name| PartitionName::from(*name)).collect(),
        condition,
        contact: true,
        reason: String::new(),
        reason_by: String::new(),
        reason_at: None,
        shape: shape(8, 64_000, 4),
        cpus_used: 0,
        memory_used_mib: 0,
        gpus_used: Vec::new(),
        jobs: Vec::new(),
        instance: String::new(),
        offer: String::new(),
        kind: CapacityKind::Owned,
        price: HourlyPrice(0),
        cost: MicroUsd::ZERO,
        created_at: ago(3600),
        ready_at: Some(ago(3500)),
        address: "10.0.0.1:7001".to_owned(),
        hostname: name.to_owned(),
        agent_version: "0.1.0".to_owned(),
        os: "Linux 6.1".to_owned(),
        count: 1,
        switches: Vec::new(),
    }
}

pub fn partition(name: &str, default: bool, nodes: &[&str]) -> PartitionView {
    PartitionView {
        name: name.into(),
        default,
        up: true,
        max_time: Some(Span::from_hours(7 * 24)),
        default_time: Some(Span::from_hours(1)),
        max_nodes: None,
        pools: vec!["own".into()],
        allow_accounts: Vec::new(),
        deny_accounts: Vec::new(),
        allow_groups: Vec::new(),
        allow_qos: Vec::new(),
        deny_qos: Vec::new(),
        qos: None,
        priority_tier: 1,
        nodes: nodes.iter().map(|node| NodeName::from(*node)).collect(),
        total_nodes: nodes.len() as u32,
        total_cpus: 8 * nodes.len() as u32,
        total_gpus: 4 * nodes.len() as u32,
        def_mem_per_cpu: None,
        def_mem_per_gpu: None,
        def_cpu_per_gpu: None,
    }
}

/// Two machines in two partitions, a third partition that is at zero and could grow.
pub fn machines() -> (Vec<PartitionView>, Vec<NodeView>) {
    let both = ["batch", "low"];
    let cloud = PartitionView {
        pools: vec!["cloud".into()],
        max_time: None,
        total_nodes: 4,
        total_cpus: 768,
        total_gpus: 32,
        ..partition("cloud", false, &[])
    };
    let could_be = |offer: &str, cpus, gpus| NodeView {
        pool: "cloud".into(),
        contact: false,
        shape: shape(cpus, 2_000_000, gpus),
        offer: offer.to_owned(),
        kind: CapacityKind::Spot,
        price: HourlyPrice(24_600_000),
        address: String::new(),
        hostname: String::new(),
        agent_version: String::new(),
        os: String::new(),
        ready_at: None,
        count: 4,
        ..node("cloud", &["cloud"], NodeCondition::PoweredDown)
    };
    let nodes = vec![
        NodeView {
            cpus_used: 6,
            memory_used_mib: 2048,
            gpus_used: vec![0, 1],
            jobs: vec![JobId(1)],
            ..node("n1", &both, NodeCondition::Mixed)
        },
        node("n2", &both, NodeCondition::Idle),
        could_be("p5.48xlarge/use1-az4/spot", 192, 8),
        could_be("p4d.24xlarge/use1-az4/spot", 96, 8),
    ];
    (vec![partition("batch", true, &["n1", "n2"]), partition("low", false, &["n1", "n2"]), cloud], nodes)
}

/// A node in every condition.
pub fn conditions() -> Vec<NodeView> {
    use NodeCondition::*;
    let all = [
        PoweredDown,
        PoweringUp,
        Idle,
        Mixed,
        Allocated,
        Completing,
        Draining,
        Drained,
        PoweringDown,
        Down,
        Quarantined,
    ];
    let closed = |condition| matches!(condition, Draining | Drained | Down | Quarantined);
    all.into_iter()
        .enumerate()
        .map(|(at, condition)| NodeView {
            contact: condition != Down,
            cpus_used: match condition {
                Mixed | Draining => 4,
                Allocated => 8,
                _ => 0,
            },
            reason: if closed(condition) { format!("because of {condition:?}") } else { String::new() },
            reason_by: if closed(condition) { "root".to_owned() } else { String::new() },
            reason_at: closed(condition).then(|| ago(600)),
            ..node(&format!("c{at}"), &["batch"], condition)
        })
        .collect()
}

pub fn step(id: StepId, name: &str, end: Option<EndState>, exit: (i32, i32)) -> AccountedStep {
    AccountedStep {
        step: id,
        suspended: Span::ZERO,
        attempt: Attempt(1),
        name: name.to_owned(),
        state: end.map_or(JobState::Running, JobState::Ended),
        started_at: ago(40),
        ended_at: end.map(|_| ago(10)),
        exit: ExitStatus { code: exit.0, signal: exit.1 },
        nodes: vec!["n1".into()],
        tasks: 1,
        cpus: 1,
        usage: squall_types::agent::Usage {
            user_cpu: Span::from_millis(5_250),
            system_cpu: Span::from_millis(750),
            max_rss_kib: 131_072,
        },
    }
}

/// What accounting has of a job.
pub fn accounted(view: &JobView, steps: Vec<AccountedStep>) -> AccountedJob {
    let ended = matches!(view.state, JobState::Ended(_));
    AccountedJob {
        job: view.job,
        array: view.array.clone(),
        het: None,
        attempt: view.attempt,
        restarts: view.restarts,
        name: view.name.clone(),
        uid: view.uid,
        gid: view.gid,
        user: view.user.clone(),
        account: view.account.clone(),
        partition: view.partition.clone(),
        qos: view.qos.clone(),
        state: view.state,
        cancelled_by: None,
        reason: view.reason,
        submitted_at: view.submitted_at,
        eligible_at: view.eligible_at,
        started_at: view.start_at,
        ended_at: if ended { view.end_at } else { None },
        time_limit: view.time_limit,
        nodes: view.nodes.clone(),
        node_count: view.node_count,
        cpus: view.cpus,
        tasks: view.tasks,
        memory_mib: view.memory_mib,
        gpus: view.gpus,
        req_tres: view.tres.clone(),
        exit: view.exit,
        work_dir: view.work_dir.clone(),
        submit_line: "sbatch job.sh".to_owned(),
        comment: view.comment.clone(),
        wckey: String::new(),
        constraint: view.constraint.clone(),
        priority: 0,
        cost: view.cost,
        steps,
        suspended: view.suspended,
        suspended_since: view.suspend_at.filter(|_| view.state == JobState::Suspended),
        batch: true,
        stdin: None,
        stdout: Some("logs/%x-%j.out".to_owned()),
        stderr: None,
    }
}

/// The queue as accounting has it.
pub fn accounts() -> Vec<AccountedJob> {
    let batch = |end, exit| step(StepId::BATCH, "batch", end, exit);
    let mut jobs: Vec<AccountedJob> = queue().iter().map(|view| accounted(view, Vec::new())).collect();
    for job in &mut jobs {
        job.steps = match job.job.0 {
            1 => vec![batch(None, (0, 0)), step(StepId(0), "python", None, (0, 0))],
            2 => vec![batch(Some(EndState::Failed), (3, 0))],
            6 => vec![
                batch(Some(EndState::Completed), (0, 0)),
                step(StepId(0), "hostname", Some(EndState::Failed), (2, 0)),
            ],
            _ => Vec::new(),
        };
    }
    jobs.push(AccountedJob {
        cancelled_by: Some(Uid(1000)),
        started_at: None,
        ..accounted(&ended(5, "held", EndState::Cancelled, Reason::JobHeldUser, (0, 0)), Vec::new())
    });
    jobs
}

/// What the controller knows of a job beyond its line in the queue.
pub fn detail(view: JobView) -> JobDetail {
    let allocations = view
        .nodes
        .iter()
        .map(|node| AllocationView {
            node: node.clone(),
            cpus: view.cpus / view.node_count,
            memory_mib: view.memory_mib / u64::from(view.node_count),
            gpus: (0..view.gpus as u16).collect(),
            tasks: view.tasks / view.node_count,
            gres: match view.gpus {
                0 => String::new(),
                gpus => format!("gpu:h100:{gpus}(IDX:0-{})", gpus - 1),
            },
        })
        .collect();
    let spec = squall_types::JobSpec {
        name: view.name.clone(),
        user: view.user.clone(),
        work_dir: view.work_dir.clone(),
        submit_host: "login".to_owned(),
        arguments: vec!["--epochs".to_owned(), "3".to_owned()],
        ask: Ask {
            tasks: Some(view.tasks),
            memory: MemoryAsk::PerNode(2048),
            gpus: if view.gpus > 0 { GpuAsk::PerNode(view.gpus as u16, Some("h100".into())) } else { GpuAsk::None },
            ..Ask::default()
        },
        ..squall_types::JobSpec::default()
    };
    JobDetail { view, spec, allocations }
}
