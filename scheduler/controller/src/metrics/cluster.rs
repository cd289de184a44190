//! Jobs, nodes, orders and money.

use super::families::{Families, Kind};
use crate::shell::Published;
use squall_core::Cluster;
use squall_core::node::NodeState;
use squall_core::views::{job_state, summary};
use squall_types::{MicroUsd, Timestamp};
use std::collections::BTreeMap;

pub(super) fn write(out: &mut Families, published: &Published, now: Timestamp) {
    let cluster = &published.cluster;
    let told = summary(cluster, now);
    jobs(out, cluster, now);
    nodes(out, cluster);
    out.one(Kind::Gauge, "squall_orders_open", "Launches that are not over.", told.orders_open as f64);
    out.one(Kind::Lasting, "squall_jobs_ended_total", "Jobs that ended.", told.jobs_ended as f64);
    out.one(Kind::Lasting, "squall_nodes_gone_total", "Nodes that were given back or lost.", told.nodes_gone as f64);
    out.one(Kind::Lasting, "squall_spent_dollars_total", "Cost of all nodes at their prices.", dollars(told.spent));
    out.one(Kind::Gauge, "squall_reserved_dollars", "Money reserved for nodes that live.", dollars(told.reserved));
    let hours = |millis: i64| millis as f64 / 1000.0;
    let help = "Node seconds that were bought.";
    out.one(Kind::Lasting, "squall_node_bought_seconds_total", help, hours(told.node_millis_bought));
    let help = "Of those, what jobs used, by the largest share of CPUs, memory or GPUs.";
    out.one(Kind::Lasting, "squall_node_used_seconds_total", help, hours(told.node_millis_used));
    budgets(out, cluster);
    pools(out, cluster, now);
    out.one(Kind::Lasting, "squall_journal_records_total", "Records in the journal.", published.seq as f64);
    out.one(Kind::Gauge, "squall_controller_epoch", "Starts of a controller.", told.epoch as f64);
    let alarm = if cluster.alarm.is_some() { 1.0 } else { 0.0 };
    out.one(Kind::Gauge, "squall_alarm", "1 while launching is stopped because a rule was broken.", alarm);
}

fn jobs(out: &mut Families, cluster: &Cluster, now: Timestamp) {
    let mut counts: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    let mut oldest = None;
    for job in cluster.live_jobs() {
        let waiting = job.count();
        if job.is_pending()
            && let Some(at) = job.eligible_at
        {
            oldest = Some(oldest.map_or(at, |known: Timestamp| known.min(at)));
        }
        let partition = job.spec.partitions.first().map(ToString::to_string).unwrap_or_default();
        *counts.entry((partition, job_state(job).word())).or_default() += waiting;
    }
    let mut family = out.family(Kind::Gauge, "squall_jobs", "Jobs that have not ended.");
    for ((partition, state), count) in &counts {
        family.sample(&[("partition", partition), ("state", &state.to_ascii_lowercase())], *count as f64);
    }
    let age = oldest.map_or(0, |at| now.since(at).as_millis()) as f64 / 1000.0;
    out.one(
        Kind::Gauge,
        "squall_queue_oldest_seconds",
        "How long the eligible job that waits longest has waited.",
        age,
    );
}

fn nodes(out: &mut Families, cluster: &Cluster) {
    let mut counts: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
    for node in cluster.live_nodes() {
        let state = match node.state {
            NodeState::Ordered => "ordered",
            NodeState::Booting { .. } => "booting",
            NodeState::Ready { .. } => "ready",
            NodeState::Draining { .. } => "draining",
            NodeState::Retiring { .. } => "retiring",
            NodeState::Gone { .. } => continue,
        };
        *counts.entry((node.pool.as_str(), state)).or_default() += 1;
    }
    let mut family = out.family(Kind::Gauge, "squall_nodes", "Nodes from order to gone.");
    for ((pool, state), count) in &counts {
        family.sample(&[("pool", pool), ("state", state)], *count as f64);
    }
    let silent = cluster.live_nodes().filter(|node| node.ready_at.is_some() && !node.contact).count();
    out.one(Kind::Gauge, "squall_nodes_without_contact", "Nodes that were ready and are not heard.", silent as f64);
}

fn budgets(out: &mut Families, cluster: &Cluster) {
    let mut family = out.family(Kind::Gauge, "squall_budget_dollars", "Money of a budget in its present period.");
    for (name, config) in &cluster.config.budgets {
        let Some(state) = cluster.budgets.get(name) else { continue };
        let parts = [("limit", config.limit), ("reserved", state.reserved), ("settled", state.settled)];
        for (part, amount) in parts {
            family.sample(&[("budget", name.as_str()), ("part", part)], dollars(amount));
        }
    }
}

fn pools(out: &mut Families, cluster: &Cluster, now: Timestamp) {
    let mut family = out.family(Kind::Gauge, "squall_pool_closed", "1 while nothing is bought in a pool.");
    for (pool, state) in cluster.pools.iter() {
        let closed = state.broken.is_some() || state.closed_until.is_some_and(|until| until > now);
        family.sample(&[("pool", pool.as_str())], f64::from(u8::from(closed)));
    }
    let mut family = out.family(Kind::Gauge, "squall_pool_strangers", "Instances that no order knows.");
    for (pool, state) in cluster.pools.iter() {
        family.sample(&[("pool", pool.as_str())], state.strangers.len() as f64);
    }
}

fn dollars(amount: MicroUsd) -> f64 {
    amount.0 as f64 / 1e6
}
