//! One job as `squeue` and `scontrol show job` tell of it.

use super::reason::Heads;
use super::size::{Size, min_cpus, min_memory_mib, tres_per_node};
use crate::cluster::Cluster;
use crate::cost::{cost_down, share_of};
use crate::job::{Job, JobPhase, Outcome, Part, Placement, Role, TermState};
use crate::node::{Node, NodeState};
use crate::queue::shown_priority;
use squall_types::api::{AllocationView, ArrayView, JobDetail, JobState, JobView};
use squall_types::{ExitStatus, IndexSet, JobSpec, MicroUsd, NodeId, NodeName, PartitionName, Span, Timestamp};

/// What a job that names no quality of service prints and matches.
pub const DEFAULT_QOS: &str = "normal";

/// What `squeue` calls the state. A job that only prepares is still being configured: its time has not begun.
pub fn job_state(job: &Job) -> JobState {
    match &job.phase {
        JobPhase::Pending => JobState::Pending,
        JobPhase::Configuring(_) | JobPhase::Bound(_) => JobState::Configuring,
        JobPhase::Running { placement, .. } if placement.is_suspended() => JobState::Suspended,
        JobPhase::Running { .. } => JobState::Running,
        JobPhase::Stopping { .. } => JobState::Completing,
        JobPhase::Ended(end) => JobState::Ended(end.state),
    }
}

pub fn job_view(cluster: &Cluster, job: &Job, now: Timestamp) -> JobView {
    view(&mut Heads::new(cluster, now), cluster, job, now, false)
}

/// What it cost by `now`: earlier attempts, and its share of each node since it was bound there.
pub fn cost_so_far(cluster: &Cluster, job: &Job, now: Timestamp) -> MicroUsd {
    match (&job.phase, job.placement()) {
        (JobPhase::Ended(end), _) => end.cost,
        (_, Some(placement)) => job.charged + cost_of(cluster, placement, now),
        (_, None) => job.charged,
    }
}

fn cost_of(cluster: &Cluster, placement: &Placement, now: Timestamp) -> MicroUsd {
    let parts = placement.allocations.iter().zip(&placement.parts);
    let costs = parts.filter_map(|(held, part)| {
        let node = cluster.nodes.get(&held.node)?;
        let until = match part {
            Part::Ended { at, .. } | Part::Gone(at) => (*at).min(now),
            Part::Bound | Part::Prepared => now,
        };
        let whole = cost_down(node.offer.price, until.since(placement.bound_at));
        Some(share_of(&node.shape, held).of_money(whole))
    });
    costs.sum()
}

/// `brief` leaves out what [`JobView::briefly`] does: it is not made at all.
pub(super) fn view(heads: &mut Heads<'_>, cluster: &Cluster, job: &Job, now: Timestamp, brief: bool) -> JobView {
    let spec = &job.spec;
    let held = held_nodes(job);
    let size = Size::of(job, held.len());
    // A pending job shows what it wants of each node, as `%m` does.
    let memory_mib = if job.is_pending() { size.memory_mib / u64::from(size.nodes.max(1)) } else { size.memory_mib };
    let text = |make: &dyn Fn() -> String| if brief { String::new() } else { make() };
    JobView {
        job: job.id,
        array: array_view(cluster, job),
        het: job.het(),
        attempt: job.attempt,
        restarts: restarts(job),
        name: spec.name().to_owned(),
        uid: spec.uid,
        gid: spec.gid,
        user: spec.user.clone(),
        account: spec.account.clone(),
        partition: partitions_of(job).iter().map(PartitionName::as_str).collect::<Vec<_>>().join(","),
        qos: text(&|| spec.qos.as_ref().map_or_else(|| DEFAULT_QOS.to_owned(), |qos| qos.0.clone())),
        state: job_state(job),
        reason: heads.reason(job),
        priority: shown_priority(job, &cluster.config, &cluster.accounts, job.started_at().unwrap_or(now)),
        nice: spec.nice,
        submitted_at: job.submitted_at,
        // A held job is not waiting for its turn yet.
        eligible_at: job.eligible_at.filter(|_| !job.is_pending() || job.held.is_none()),
        start_at: job.started_at().or_else(|| ready_by(cluster, job, now)).or_else(|| begins_at(job, now)),
        end_at: end_at(job),
        time_limit: time_limit(job),
        nodes: held.iter().filter_map(|node| cluster.nodes.get(node)).map(|node| node.name.clone()).collect(),
        node_count: size.nodes,
        max_nodes: size.max_nodes,
        cpus: size.cpus,
        tasks: size.tasks,
        memory_mib,
        gpus: size.gpus,
        tres: text(&|| size.tres(spec.ask.gpus.model())),
        tres_per_node: text(&|| tres_per_node(&spec.ask)),
        exit: exit(job),
        work_dir: text(&|| spec.work_dir().to_owned()),
        command: text(&|| spec.command().to_owned()),
        comment: text(&|| spec.comment().to_owned()),
        dependency: text(&|| dependency(job, now)),
        constraint: text(&|| spec.constraint.as_ref().map(ToString::to_string).unwrap_or_default()),
        prefer: text(&|| spec.prefer.as_ref().map(ToString::to_string).unwrap_or_default()),
        exclusive: spec.ask.exclusive,
        cost: if brief { MicroUsd::default() } else { cost_so_far(cluster, job, now) },
        min_cpus: min_cpus(&spec.ask),
        min_memory_mib: min_memory_mib(&spec.ask, size.memory_mib, size.nodes),
        req_nodes: text(&|| spec.node_list.join(",")),
        exc_nodes: text(&|| spec.exclude.join(",")),
        wckey: text(&|| spec.wckey.clone()),
        licenses: text(&|| spec.licenses.clone()),
        suspend_at: job.placement().and_then(|placement| placement.pause.as_ref()).map(|pause| pause.at),
        suspended: suspended(job),
    }
}

/// Of its last attempt, without the suspension that lasts.
fn suspended(job: &Job) -> Span {
    match (&job.phase, job.placement()) {
        (JobPhase::Ended(end), _) => end.suspended,
        (_, Some(Placement { pause: Some(pause), .. })) => pause.before,
        _ => Span::ZERO,
    }
}

pub(super) fn detail(heads: &mut Heads<'_>, cluster: &Cluster, job: &Job, now: Timestamp) -> JobDetail {
    let allocations = job.allocations().iter().filter_map(|held| {
        let node = cluster.nodes.get(&held.node)?;
        let models = node.shape.gpus.by_model(&held.gpus).filter(|(_, indices)| !indices.is_empty());
        let gres = models.map(|(model, indices)| format!("gpu:{model}:{}(IDX:{indices})", indices.len()));
        Some(AllocationView {
            node: node.name.clone(),
            gres: gres.collect::<Vec<_>>().join(","),
            cpus: held.cpus,
            memory_mib: held.memory_mib,
            gpus: held.gpus.clone(),
            tasks: held.tasks,
        })
    });
    // Components are shown as what the first of them is.
    let kind = cluster.together(job).next().unwrap_or(job).spec.kind;
    JobDetail {
        view: view(heads, cluster, job, now, false),
        spec: JobSpec { kind, ..job.spec.to_spec() },
        allocations: allocations.collect(),
    }
}

/// Shows of the elements that wait only those in `part`; a single one as itself, though it has no record of its own.
pub(super) fn narrow(view: &mut JobView, part: &IndexSet) {
    let Some(ArrayView::Pending { array, indices, limit }) = view.array.take() else { return };
    let indices = indices.intersection(part);
    view.array = Some(match (indices.len(), indices.first()) {
        (1, Some(index)) => ArrayView::Element { array, index },
        _ => ArrayView::Pending { array, indices, limit },
    });
}

/// Where it runs, ran last, or is to run: ids in rank order.
pub(super) fn held_nodes(job: &Job) -> Vec<NodeId> {
    match &job.phase {
        JobPhase::Ended(end) => end.nodes.clone(),
        _ => job.allocations().iter().map(|held| held.node).collect(),
    }
}

pub(super) fn is_on(cluster: &Cluster, job: &Job, wanted: impl Fn(&NodeName) -> bool) -> bool {
    held_nodes(job).iter().filter_map(|node| cluster.nodes.get(node)).any(|node| wanted(&node.name))
}

/// Those that it may still go to, or the one that it went to.
pub(super) fn partitions_of(job: &Job) -> &[PartitionName] {
    match (job.claim(), job.placement()) {
        (Some(claim), _) => std::slice::from_ref(&claim.partition),
        (None, Some(placement)) => std::slice::from_ref(&placement.partition),
        (None, None) => &job.spec.partitions,
    }
}

fn array_view(cluster: &Cluster, job: &Job) -> Option<ArrayView> {
    match &job.role {
        Role::Single | Role::Component(_) => None,
        Role::Pending { indices, group_of } => {
            let array = group_of.unwrap_or(job.id);
            let limit = cluster.arrays.get(&array).and_then(|array| array.limit);
            Some(ArrayView::Pending { array, indices: indices.clone(), limit })
        }
        Role::Element { array, index } => Some(ArrayView::Element { array: *array, index: *index }),
    }
}

/// Attempts that are over.
fn restarts(job: &Job) -> u32 {
    match job.phase {
        JobPhase::Pending | JobPhase::Configuring(_) => job.attempt.count(),
        _ => job.attempt.count().saturating_sub(1),
    }
}

/// When it may start at the earliest, where the user has said so.
fn begins_at(job: &Job, now: Timestamp) -> Option<Timestamp> {
    let again = job.not_before.filter(|_| job.spec.cron.is_some());
    job.spec.begin_at.max(again).filter(|at| job.is_pending() && *at > now)
}

/// When the last node that a claim waits for is due; not known while one of them is only ordered.
fn ready_by(cluster: &Cluster, job: &Job, now: Timestamp) -> Option<Timestamp> {
    let due = |node: &Node| match node.state {
        NodeState::Booting { ready_by } => Some(ready_by.max(now)),
        NodeState::Ready { .. } => Some(now),
        _ => None,
    };
    let claimed = &job.claim()?.allocations;
    let due: Option<Vec<_>> = claimed.iter().map(|held| cluster.nodes.get(&held.node).and_then(due)).collect();
    due?.into_iter().max()
}

fn time_limit(job: &Job) -> Option<Span> {
    let limit = job.placement().map(|placement| placement.time_limit).or(job.spec.time_limit);
    limit.filter(|limit| *limit < Span::FOREVER)
}

fn end_at(job: &Job) -> Option<Timestamp> {
    match &job.phase {
        JobPhase::Ended(end) => Some(end.ended_at),
        JobPhase::Stopping { since, .. } => Some(*since),
        _ => {
            // As Slurm shows it, a suspension that lasts moves nothing yet.
            let limit = job.started_at().zip(time_limit(job));
            let limit = limit.map(|(started_at, limit)| started_at + limit + suspended(job));
            [limit, job.spec.end_by.filter(|_| job.started_at().is_some())].into_iter().flatten().min()
        }
    }
}

fn exit(job: &Job) -> ExitStatus {
    match &job.phase {
        JobPhase::Ended(end) => end.exit,
        JobPhase::Stopping { outcome: Outcome::End { exit, .. }, .. } => *exit,
        _ => ExitStatus::default(),
    }
}

/// `afterok:189(unfulfilled)`: the terms that are not met yet.
fn dependency(job: &Job, now: Timestamp) -> String {
    let open = job.dependency_terms().filter_map(|(term, state)| match state {
        TermState::Met => None,
        TermState::MetFrom(at) if *at <= now => None,
        TermState::Waiting | TermState::MetFrom(_) => Some(format!("{term}(unfulfilled)")),
        TermState::Never => Some(format!("{term}(failed)")),
    });
    open.collect::<Vec<_>>().join(if job.spec.dependency().any { "?" } else { "," })
}
