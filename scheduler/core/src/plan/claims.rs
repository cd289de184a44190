//! Gangs whose nodes are all there are bound; those that lost one, or burn money for too long, are planned anew.

use super::market::time_limit;
use super::pass::Pass;
use super::step::{Step, Target};
use crate::cluster::Cluster;
use crate::job::{Claim, Job};
use crate::node::Node;
use squall_types::{Allocation, HetPlace, JobId, Reason, Span, Timestamp};
use std::collections::BTreeSet;

pub(super) fn claims(cluster: &Cluster, pass: &mut Pass) {
    // All components of a heterogeneous job are claimed for together: its leader stands for them.
    for job in cluster.claiming_jobs().filter(|job| job.het().is_none_or(HetPlace::is_leader)) {
        look_at(cluster, job, pass);
    }
}

fn look_at(cluster: &Cluster, job: &Job, pass: &mut Pass) {
    let now = pass.instant.now;
    let whole = || cluster.together(job).filter_map(|job| Some((job, job.claim()?)));
    let nodes = || {
        let held = whole().flat_map(|(job, claim)| claim.allocations.iter().map(move |held| (job.id, held)));
        held.map(|(job, held)| (job, held, cluster.nodes.get(&held.node)))
    };
    let lost = nodes().any(|(_, _, node)| node.is_none_or(|node| !node.is_usable() && !node.is_coming()));
    let shrunk = nodes().any(|(job, held, node)| node.is_some_and(|node| !holds(node, job, held)));
    if lost || shrunk {
        pass.steps.push(Step::DropClaim { job: job.id, reason: Reason::NodeFailure, not_before: None });
    } else if nodes().all(|(_, _, node)| node.is_some_and(Node::is_usable)) {
        let bind = |(job, claim): (&Job, &Claim)| Step::Bind {
            target: Target::Job(job.id),
            partition: claim.partition.clone(),
            allocations: claim.allocations.clone(),
            time_limit: time_limit(cluster, &job.spec, &claim.partition),
        };
        let mut steps: Vec<Step> = whole().map(bind).collect();
        if job.het().is_some() {
            steps = vec![Step::Together { steps }];
        }
        pass.steps.append(&mut steps);
    } else if let Some(since) = nodes().filter_map(|(_, _, node)| node.filter(|node| node.is_usable())?.ready_at).min()
    {
        let cap =
            nodes().filter_map(|(_, _, node)| cluster.config.pools.get(&node?.pool)).map(|pool| pool.waste_cap).min();
        let claimed_at = job.claim().map_or(since, |claim| claim.since);
        let give_up_at = since.max(claimed_at) + cap.unwrap_or(Span::FOREVER);
        if give_up_at <= now {
            let not_before = Some(now + cluster.config.timing.requeue_max);
            pass.steps.push(Step::DropClaim { job: job.id, reason: Reason::NoCapacity, not_before });
        } else {
            pass.wake(give_up_at);
        }
    }
}

/// Whether what a claim was promised is what the node turned out to have.
fn holds(node: &Node, job: JobId, held: &Allocation) -> bool {
    let others = node.claims.iter().filter(|(other, _)| **other != job).map(|(_, held)| held);
    let taken: Vec<&Allocation> = node.held.values().chain(others).collect();
    let sum = taken.iter().fold(held.resources(), |sum, held| sum.plus(&held.resources()));
    let gpus: BTreeSet<u16> = taken.iter().flat_map(|held| held.gpus.iter().copied()).collect();
    sum.fits_in(&node.shape.resources())
        && held.gpus.iter().all(|gpu| !gpus.contains(gpu) && *gpu < node.shape.gpus.count())
}

/// When a claimed gang will be complete, as far as can be told.
pub fn claim_ready_at(cluster: &Cluster, job: &Job, now: Timestamp) -> Option<Timestamp> {
    job.claim()?;
    let held = cluster.together(job).flat_map(Job::allocations);
    let nodes = held.filter_map(|held| cluster.nodes.get(&held.node));
    nodes.filter(|node| node.is_coming()).map(|node| node.expected_at().max(now + Span::from_secs(1))).max()
}
