//! The cluster in one look, and what each machine cost.

use crate::cluster::Cluster;
use crate::cost::{node_cost, share_of};
use crate::job::{Job, JobPhase};
use crate::node::{GoneWhy, Node, NodeState};
use squall_types::Timestamp;
use squall_types::api::{ClusterSummary, LedgerRow};

/// Everything but the journal's position, which the state does not know (`seq` is 0).
///
/// Waiting elements of arrays count one by one. `spent` and `node_millis_*` hold the nodes that are gone and, by
/// `now`, those that are not; `reserved` is what live nodes may still take, what they already cost included.
pub fn summary(cluster: &Cluster, now: Timestamp) -> ClusterSummary {
    let counters = &cluster.counters;
    let mut summary = ClusterSummary {
        cluster: cluster.config.cluster.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now,
        started_at: counters.started_at,
        epoch: counters.epoch.0,
        jobs_ended: counters.jobs_ended,
        nodes_gone: counters.nodes_gone,
        orders_open: cluster.open_orders().count() as u64,
        spent: counters.spent,
        node_millis_bought: counters.node_millis_bought,
        node_millis_used: counters.node_millis_used,
        alarm: cluster.alarm.clone().unwrap_or_default(),
        ..ClusterSummary::default()
    };
    count_jobs(cluster, &mut summary);
    cluster.live_nodes().for_each(|node| add_node(cluster, node, now, &mut summary));
    summary
}

/// Looks at what is active and at arrays only: jobs that wait may be very many.
fn count_jobs(cluster: &Cluster, summary: &mut ClusterSummary) {
    let mut active = 0;
    for job in cluster.active_jobs() {
        active += 1;
        match job.phase {
            JobPhase::Configuring(_) | JobPhase::Bound(_) => summary.jobs_configuring += 1,
            JobPhase::Running { .. } if job.is_suspended() => summary.jobs_suspended += 1,
            JobPhase::Running { .. } => summary.jobs_running += 1,
            JobPhase::Stopping { .. } => summary.jobs_completing += 1,
            JobPhase::Pending | JobPhase::Ended(_) => {}
        }
    }
    let waiting = cluster.arrays.keys().flat_map(|array| cluster.waiting_records(*array));
    let more: u64 = waiting.map(|(_, elements)| elements.len().saturating_sub(1)).sum();
    summary.jobs_pending = (cluster.live_job_count() as u64).saturating_sub(active) + more;
}

fn add_node(cluster: &Cluster, node: &Node, now: Timestamp, summary: &mut ClusterSummary) {
    match node.state {
        NodeState::Ordered => summary.nodes_ordered += 1,
        NodeState::Booting { .. } => summary.nodes_booting += 1,
        NodeState::Ready { .. } => summary.nodes_ready += 1,
        NodeState::Draining { .. } => summary.nodes_draining += 1,
        NodeState::Retiring { .. } => summary.nodes_retiring += 1,
        NodeState::Gone { .. } => {}
    }
    summary.reserved += node.reserved;
    summary.spent += node_cost(node, now);
    if let Some(launched_at) = node.launched_at {
        summary.node_millis_bought += now.since(launched_at).as_millis();
    }
    for (run, held) in &node.held {
        let placement = cluster.jobs.get(&run.job).and_then(Job::placement);
        let millis = placement.map_or(0, |placement| now.since(placement.bound_at).as_millis());
        summary.node_millis_used += share_of(&node.shape, held).of_millis(millis);
    }
}

/// What was bought and is still in memory, in the order in which it was ordered. A node of one's own is no purchase.
pub fn ledger(cluster: &Cluster, now: Timestamp) -> Vec<LedgerRow> {
    cluster.nodes.values().filter_map(|node| Some(row(node, node.order?.0, now))).collect()
}

fn row(node: &Node, order: u64, now: Timestamp) -> LedgerRow {
    let gone = match node.state {
        NodeState::Gone { why, at } => Some((why, at)),
        _ => None,
    };
    let gone_at = gone.map(|(_, at)| at);
    LedgerRow {
        node: node.name.clone(),
        pool: node.pool.clone(),
        order,
        instance: node.instance.as_ref().map(|instance| instance.0.clone()).unwrap_or_default(),
        offer: node.offer.name.0.clone(),
        price: node.offer.price,
        caused_by: node.caused_by,
        ordered_at: node.created_at,
        launched_at: node.launched_at,
        ready_at: node.ready_at,
        first_job_at: node.first_job_at,
        gone_at,
        gone_why: gone.map(|(why, _)| why.words().to_owned()).unwrap_or_default(),
        cost: node.settled.unwrap_or_else(|| node_cost(node, gone_at.unwrap_or(now))),
        charged: node.charged,
    }
}

impl GoneWhy {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            GoneWhy::Retired => "retired",
            GoneWhy::NeverLaunched => "never launched",
            GoneWhy::Lost => "lost",
            GoneWhy::Declared => "declared down by an admin",
            GoneWhy::DieAt => "past its recorded lifetime",
            GoneWhy::Removed => "removed from the configuration",
        }
    }
}
