//! What must always hold. Cheap enough for production, where a violation stops launching and raises an alert.

use crate::accounts::{Holder, qos_of};
use crate::cluster::Cluster;
use crate::job::{ArrayRecord, Job, JobPhase, Outcome, Part, Role};
use crate::node::{Node, NodeState};
use squall_types::accounts::Membership;
use squall_types::ids::Run;
use squall_types::{Allocation, IndexSet, JobId, MicroUsd, Resources};
use std::collections::{BTreeMap, BTreeSet};

/// All violations, in words; empty where all is well.
pub fn check(cluster: &Cluster) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(cluster.alarm.clone());
    cluster.live_nodes().for_each(|node| check_node(cluster, node, &mut found));
    cluster.jobs.values().for_each(|job| check_job(cluster, job, &mut found));
    check_arrays(cluster, &mut found);
    check_together(cluster, &mut found);
    check_money(cluster, &mut found);
    check_tallies(cluster, &mut found);
    check_crontabs(cluster, &mut found);
    if !cluster.index_is_true() {
        found.push("a look-up does not agree with the tables".to_owned());
    }
    found
}

fn check_node(cluster: &Cluster, node: &Node, found: &mut Vec<String>) {
    let all: Vec<&Allocation> = node.held.values().chain(node.claims.values()).collect();
    // G1, G2: nothing is granted twice, and no more than there is.
    let sum = all.iter().fold(Resources::default(), |sum, held| sum.plus(&held.resources()));
    if !sum.fits_in(&node.shape.resources())
        && !matches!(node.state, NodeState::Draining { .. } | NodeState::Retiring { .. })
        && node.holds.is_empty()
    {
        found.push(format!("node {} grants {sum:?} of {:?}", node.name, node.shape.resources()));
    }
    let mut gpus = BTreeSet::new();
    if !all.iter().flat_map(|held| &held.gpus).all(|gpu| gpus.insert(*gpu)) {
        found.push(format!("a GPU of node {} is granted twice", node.name));
    }
    for (run, held) in &node.held {
        let lives = cluster
            .jobs
            .get(&run.job)
            .filter(|job| job.attempt == run.attempt)
            .and_then(Job::placement)
            .is_some_and(|placement| {
                placement.allocations.iter().zip(&placement.parts).any(|(mine, part)| mine == held && !part.is_dead())
            });
        if !lives {
            found.push(format!("node {} holds for {run}, which has no living part there", node.name));
        }
    }
    for job in node.claims.keys() {
        if !cluster
            .jobs
            .get(job)
            .and_then(Job::claim)
            .is_some_and(|claim| claim.allocations.iter().any(|held| held.node == node.id))
        {
            found.push(format!("node {} is claimed by job {job}, which claims it not", node.name));
        }
    }
    // M8: what is asked to end runs nothing.
    if matches!(node.state, NodeState::Retiring { .. }) && !node.claims.is_empty() {
        found.push(format!("node {} retires under a claim", node.name));
    }
    // M1: every instance has a row that was there before it.
    if node.order.is_some_and(|order| cluster.orders.get(&order).is_none()) && node.key.is_none() {
        found.push(format!("node {} has an order that the ledger lacks", node.name));
    }
    if let NodeState::Ready { idle_since } = &node.state
        && idle_since.is_some() != node.is_empty()
    {
        found.push(format!("node {} is idle since {idle_since:?} with {} grants", node.name, all.len()));
    }
}

fn check_job(cluster: &Cluster, job: &Job, found: &mut Vec<String>) {
    match &job.phase {
        JobPhase::Pending | JobPhase::Ended(_) => {
            let run = job.run();
            let holds = |node: &Node| node.held.contains_key(&run) || node.claims.contains_key(&job.id);
            if job.attempt.0 > 0 && cluster.live_nodes().any(holds) {
                found.push(format!(
                    "job {} is {} and still holds a node",
                    job.id,
                    if job.is_ended() { "ended" } else { "pending" }
                ));
            }
        }
        JobPhase::Configuring(claim) => {
            for held in &claim.allocations {
                if cluster.nodes.get(&held.node).is_none_or(|node| node.claims.get(&job.id) != Some(held)) {
                    found.push(format!("job {} claims node {}, which does not know", job.id, held.node));
                }
            }
        }
        JobPhase::Bound(placement) | JobPhase::Running { placement, .. } | JobPhase::Stopping { placement, .. } => {
            let run = Run { job: job.id, attempt: job.attempt };
            for (held, part) in placement.allocations.iter().zip(&placement.parts) {
                let kept = cluster.nodes.get(&held.node).is_some_and(|node| node.held.get(&run) == Some(held));
                if kept == part.is_dead() {
                    found.push(format!("job {} and node {} disagree about part {part:?}", job.id, held.node));
                }
            }
            // G3: a running gang has all of its parts.
            let unprepared = |part: &Part| matches!(part, Part::Bound);
            if matches!(job.phase, JobPhase::Running { .. })
                && placement.parts.len() > 1
                && placement.parts.iter().any(unprepared)
            {
                found.push(format!("gang {} runs before all of its parts are prepared", job.id));
            }
            if matches!(job.phase, JobPhase::Stopping { .. }) && placement.parts.iter().all(Part::is_dead) {
                found.push(format!("job {} stops although nothing of it lives", job.id));
            }
        }
    }
}

/// What lives of an array, as its records tell.
#[derive(Default)]
struct Alive {
    /// Records but the array's own.
    records: u32,
    active: u32,
    /// Elements with a record of their own.
    elements: u64,
    /// Elements that wait together, record by record.
    waiting: Vec<(u32, u32)>,
}

fn check_arrays(cluster: &Cluster, found: &mut Vec<String>) {
    let mut alive: BTreeMap<JobId, Alive> = BTreeMap::new();
    for job in cluster.live_jobs() {
        let Some(id) = job.array() else { continue };
        let alive = alive.entry(id).or_default();
        alive.active += u32::from(!job.is_pending());
        match &job.role {
            Role::Pending { indices, group_of } => {
                alive.records += u32::from(group_of.is_some());
                alive.waiting.extend(indices.ranges());
                let known = |array: &ArrayRecord| group_of.is_none() || array.groups.contains(&job.id);
                if !cluster.arrays.get(&id).is_some_and(known) {
                    found.push(format!("array {id} does not know of its group {}", job.id));
                }
            }
            _ => (alive.records, alive.elements) = (alive.records + 1, alive.elements + 1),
        }
    }
    for (id, array) in cluster.arrays.iter() {
        let alive = alive.remove(id).unwrap_or_default();
        if (array.live, array.active) != (alive.records, alive.active) {
            let (live, active) = (alive.records, alive.active);
            let counts = format!("{} live and {} active, there are {live} and {active}", array.live, array.active);
            found.push(format!("array {id} counts {counts}"));
        }
        // Each element is in one place: it waits, or has a record, or is over in one way or the other.
        let waits: u64 = alive.waiting.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
        let waiting = IndexSet::from_ranges(alive.waiting);
        let over = array.completed.union(&array.failed);
        let places = waits + alive.elements + array.completed.len() + array.failed.len();
        if places != array.all.len() || waits != waiting.len() || !waiting.intersection(&over).is_empty() {
            let (all, alone) = (array.all.len(), alive.elements);
            found.push(format!(
                "array {id} has {all} elements: {waits} places in records for [{waiting}], which wait, {alone} with a \
                 record of their own, and [{over}] over"
            ));
        }
    }
}

/// Components of a heterogeneous job are placed together, run together, and end with their leader.
fn check_together(cluster: &Cluster, found: &mut Vec<String>) {
    for leader in cluster.live_jobs() {
        let Some(place) = leader.het() else { continue };
        let whole: Vec<&Job> = cluster.components(place).collect();
        let all = |which: fn(&JobPhase) -> bool| whole.iter().all(|job| which(&job.phase));
        let any = |which: fn(&JobPhase) -> bool| whole.iter().any(|job| which(&job.phase));
        let claims = |phase: &JobPhase| matches!(phase, JobPhase::Configuring(_));
        let prepares = |phase: &JobPhase| matches!(phase, JobPhase::Bound(_));
        let waits = |phase: &JobPhase| {
            let returns = matches!(phase, JobPhase::Stopping { outcome: Outcome::Requeue { .. }, .. });
            returns || matches!(phase, JobPhase::Pending)
        };
        let words = if any(claims) && !all(claims) {
            "claims for some of its components"
        } else if any(prepares) && !all(prepares) {
            "prepares some of its components"
        } else if any(|phase| matches!(phase, JobPhase::Pending)) && !all(waits) {
            "waits with some of its components"
        } else if any(|phase| matches!(phase, JobPhase::Running { .. }))
            && !matches!(cluster.jobs.get(&place.leader).map(|job| &job.phase), Some(JobPhase::Running { .. }))
        {
            "runs without its leader"
        } else {
            continue;
        };
        found.push(format!("heterogeneous job {} {words}", place.leader));
    }
}

/// M6: what is reserved is exactly what open rows reserve, and no budget is overdrawn by more than its renewals.
fn check_money(cluster: &Cluster, found: &mut Vec<String>) {
    let mut reserved: BTreeMap<_, MicroUsd> = BTreeMap::new();
    for node in cluster.live_nodes() {
        let order = node.order.and_then(|order| cluster.orders.get(&order));
        for name in order.map(|order| order.budgets.as_slice()).unwrap_or_default() {
            *reserved.entry(name).or_default() += node.reserved;
        }
    }
    for (name, state) in cluster.budgets.iter() {
        let sum = reserved.get(name).copied().unwrap_or_default();
        if state.reserved != sum {
            found.push(format!("budget {name} reserves {}, its nodes reserve {sum}", state.reserved));
        }
    }
    for node in cluster.nodes.values() {
        let cost = match node.state {
            NodeState::Gone { .. } => continue,
            _ => crate::cost::node_cost(node, cluster.counters.at),
        };
        if node.charged > cost {
            found.push(format!("receipts charge {} of node {}, which cost {cost}", node.charged, node.name));
        }
    }
}

/// An entry of a crontab is a job of its user that may run again.
fn check_crontabs(cluster: &Cluster, found: &mut Vec<String>) {
    for (uid, crontab) in cluster.crontabs.iter() {
        let mut jobs = BTreeSet::new();
        for entry in &crontab.entries {
            let alien = cluster.jobs.get(&entry.job).is_some_and(|job| job.spec.cron.is_none() || job.spec.uid != *uid);
            if alien || !jobs.insert(entry.job) {
                found.push(format!("job {} is no entry of the crontab of uid {uid}", entry.job));
            }
        }
    }
}

/// What is counted for those who are limited is what a count over all jobs comes to.
fn check_tallies(cluster: &Cluster, found: &mut Vec<String>) {
    let mut counted: BTreeMap<Holder, [u64; 6]> = BTreeMap::new();
    let limiting = cluster.accounts.is_limiting();
    for job in cluster.live_jobs().filter(|_| limiting) {
        let held = job.allocations();
        let submits = match &job.role {
            Role::Pending { indices, .. } => indices.len(),
            _ => 1,
        };
        let mut counts = [0, submits, 0, 0, 0, 0];
        if !job.is_pending() {
            let gpus = held.iter().map(|held| held.gpus.len() as u64).sum();
            let memory = held.iter().map(|held| held.memory_mib).sum();
            counts = [1, submits, held.iter().map(|held| u64::from(held.cpus)).sum(), memory, held.len() as u64, gpus];
        }
        for holder in counted_for(cluster, job) {
            let sums = counted.entry(holder).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    let kept = cluster.tallies().iter().map(|(holder, tally)| {
        let held = &tally.held;
        (holder.clone(), [tally.jobs, tally.submits, held.cpus, held.memory_mib, held.nodes, held.gpus])
    });
    let kept: BTreeMap<Holder, [u64; 6]> = kept.collect();
    for holder in kept.keys().chain(counted.keys()).collect::<BTreeSet<_>>() {
        if kept.get(holder) != counted.get(holder) {
            let (kept, counted) = (kept.get(holder), counted.get(holder));
            found.push(format!("{holder:?} counts {kept:?} of what is limited, its jobs make {counted:?}"));
        }
    }
}

fn counted_for(cluster: &Cluster, job: &Job) -> BTreeSet<Holder> {
    let (account, uid) = (&job.spec.account, job.spec.uid);
    let place = match &job.phase {
        JobPhase::Configuring(claim) => Some(&claim.partition),
        JobPhase::Bound(placement) | JobPhase::Running { placement, .. } | JobPhase::Stopping { placement, .. } => {
            Some(&placement.partition)
        }
        JobPhase::Pending | JobPhase::Ended(_) => job.spec.partitions.first(),
    };
    let member = |partition| Holder::Member(Membership { account: account.clone(), uid, partition });
    let mut holders = BTreeSet::from([member(None)]);
    holders.extend(place.map(|place| member(Some(place.clone()))));
    holders.insert(Holder::Account(squall_types::accounts::ROOT.into()));
    let mut above = Some(account);
    while let Some(row) = above.and_then(|name| cluster.accounts.accounts.get(name)) {
        holders.insert(Holder::Account(row.name.clone()));
        above = row.parent.as_ref();
    }
    let of_place = place.and_then(|place| cluster.config.partitions.get(place)?.qos.clone());
    for qos in of_place.into_iter().chain([qos_of(&job.spec)]) {
        holders.insert(Holder::QosUser(qos.clone(), uid));
        holders.insert(Holder::QosAccount(qos.clone(), account.clone()));
        holders.insert(Holder::Qos(qos));
    }
    holders
}
