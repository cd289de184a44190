//! What each node is to do now: derived from the state, never stored.

use crate::cluster::Cluster;
use crate::event::What;
use crate::job::{Job, JobPhase, Part, Placement};
use squall_types::agent::{ArrayPlace, AssignedPhase, AssignmentDetail, Component, PeerNode, StopWhy};
use squall_types::ids::Run;
use squall_types::{Assignment, JobSpec, NodeId, Span};

/// All duties of a node, by run. Parts that are dead are none.
pub fn assignments(cluster: &Cluster, node: NodeId) -> Vec<Assignment> {
    let held = cluster.nodes.get(&node).map(|node| &node.held);
    held.into_iter().flat_map(|held| held.keys()).filter_map(|run| assignment(cluster, node, *run)).collect()
}

/// One duty of a node; `None` where the run has no living part there.
pub fn assignment(cluster: &Cluster, node: NodeId, run: Run) -> Option<Assignment> {
    let job = cluster.jobs.get(&run.job).filter(|job| job.attempt == run.attempt)?;
    let placement = job.placement()?;
    let rank = placement.allocations.iter().position(|held| held.node == node)?;
    if placement.parts[rank].is_dead() {
        return None;
    }
    let phase = match &job.phase {
        JobPhase::Bound(_) => AssignedPhase::Prepare,
        JobPhase::Running { started_at, placement } => {
            AssignedPhase::Run { started_at: *started_at, suspended: placement.is_suspended() }
        }
        JobPhase::Stopping { why, .. } => {
            let grace = match why {
                StopWhy::Ended => Span::ZERO,
                _ => cluster.config.timing.kill_wait,
            };
            AssignedPhase::Stop { why: *why, grace }
        }
        JobPhase::Pending | JobPhase::Configuring(_) | JobPhase::Ended(_) => return None,
    };
    let detail = detail(cluster, job, placement, rank as u32);
    Some(Assignment { run, allocation: placement.allocations[rank].clone(), phase, detail, credential: Vec::new() })
}

fn detail(cluster: &Cluster, job: &Job, placement: &Placement, rank: u32) -> AssignmentDetail {
    let array = job.array().zip(job.index()).and_then(|(array, index)| {
        let record = cluster.arrays.get(&array)?;
        Some(ArrayPlace {
            array,
            index,
            first: record.all.first().unwrap_or(index),
            last: record.all.last().unwrap_or(index),
            step: record.step.max(1),
            count: record.all.len() as u32,
        })
    });
    AssignmentDetail {
        spec: job.spec.to_spec(),
        nodes: peers(cluster, placement),
        rank,
        time_limit: placement.time_limit,
        array,
        restarts: job.attempt.count().saturating_sub(1),
        partition: placement.partition.to_string(),
        cluster: cluster.config.cluster.clone(),
        kill_wait: cluster.config.timing.kill_wait,
        components: components(cluster, job, rank),
    }
}

/// All nodes of a placement, in rank order.
fn peers(cluster: &Cluster, placement: &Placement) -> Vec<PeerNode> {
    let peer = |held: &squall_types::Allocation| {
        let node = cluster.nodes.get(&held.node);
        PeerNode {
            name: node.map(|node| node.name.clone()).unwrap_or_default(),
            address: node
                .and_then(|node| node.measured.as_ref())
                .map(|measured| measured.address.clone())
                .unwrap_or_default(),
            cpus: held.cpus,
            tasks: held.tasks,
            gpus: held.gpus.len() as u16,
            switches: node.map(|node| cluster.switches_above(&node.name).to_vec()).unwrap_or_default(),
        }
    };
    placement.allocations.iter().map(peer).collect()
}

/// What the script of a heterogeneous job is told of its components. All of them were bound before it began.
fn components(cluster: &Cluster, job: &Job, rank: u32) -> Vec<Component> {
    let Some(place) = job.het().filter(|place| place.is_leader() && rank == 0) else { return Vec::new() };
    let component = |job: &Job| {
        let placement = job.placement()?;
        let spec = JobSpec { script: None, environment: None, ..job.spec.to_spec() };
        let partition = placement.partition.to_string();
        Some(Component { job: job.id, spec, nodes: peers(cluster, placement), partition })
    };
    cluster.components(place).filter_map(component).collect()
}

/// The nodes whose duties an event may have changed; call it before and after applying.
pub fn touched(cluster: &Cluster, what: &What) -> Vec<NodeId> {
    let of_job = |job: &squall_types::JobId| -> Vec<NodeId> {
        let placement = cluster.jobs.get(job).and_then(Job::placement);
        placement.map(|placement| placement.allocations.iter().map(|held| held.node).collect()).unwrap_or_default()
    };
    match what {
        What::JobBound { allocations, .. } => allocations.iter().map(|held| held.node).collect(),
        What::JobStarted { run } | What::JobStopping { run, .. } => of_job(&run.job),
        What::JobSuspended { run } | What::JobResumed { run } => of_job(&run.job),
        What::PartEnded { node, .. } | What::PartGone { node, .. } | What::DieAtExtended { node, .. } => vec![*node],
        What::JobUpdated { job, .. } | What::JobEnded { job, .. } | What::JobRequeued { job, .. } => of_job(job),
        What::NodeRetiring { node, .. } | What::NodeContact { node, .. } | What::NodeGone { node, .. } => vec![*node],
        _ => Vec::new(),
    }
}

/// Whether a part is known to be dead: what an agent says of it changes nothing any more.
pub fn is_settled(cluster: &Cluster, node: NodeId, run: Run) -> bool {
    let Some(job) = cluster.jobs.get(&run.job).filter(|job| job.attempt == run.attempt) else { return true };
    let Some(placement) = job.placement() else { return true };
    let rank = placement.allocations.iter().position(|held| held.node == node);
    rank.is_none_or(|rank| placement.parts.get(rank).is_none_or(Part::is_dead))
}
