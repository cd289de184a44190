//! Why a job waits: every blocker, with numbers, and what would let it start.

use crate::accounts::{limits, rules};
use crate::cluster::Cluster;
use crate::decide::{element_may_go, elements_that_may_go};
use crate::job::{Job, JobPhase, Placement, Role};
use crate::node::NodeState;
use crate::plan::fleet::Fleet;
use crate::plan::market::{Market, Spending, admissible, affordable, candidates, missing_mount, time_limit};
use crate::plan::place::{Room, most_units};
use crate::plan::{Gate, PlannedOrder, Step, Target, claim_ready_at, feasible, gate, misfit_together, plan};
use crate::views::{held_back, job_state};
use squall_types::api::{Blocker, Estimate, Explanation};
use squall_types::span_text::clock;
use squall_types::{HourlyPrice, JobId, Reason, Timestamp};

/// Everything that stands in a job's way. Empty for a job that is not known.
pub fn explain(cluster: &Cluster, now: Timestamp, id: JobId) -> Explanation {
    let Some(job) = cluster.jobs.get(&id) else { return Explanation { job: id, ..Explanation::default() } };
    let mut told = Explanation {
        job: id,
        state: job_state(job).word().to_owned(),
        waiting: now.since(job.submitted_at),
        ..Explanation::default()
    };
    match &job.phase {
        JobPhase::Pending => pending(cluster, now, job, &mut told),
        JobPhase::Configuring(_) => configuring(cluster, now, job, &mut told),
        JobPhase::Bound(placement) => {
            let waiting = placement.parts.iter().filter(|part| matches!(part, crate::job::Part::Bound)).count();
            told.progress.push(format!("{waiting} of {} nodes have yet to prepare", placement.parts.len()));
        }
        JobPhase::Running { placement, .. } if placement.is_suspended() => {
            told.blockers.push(suspended(cluster, now, placement));
        }
        JobPhase::Running { .. } | JobPhase::Stopping { .. } | JobPhase::Ended(_) => {}
    }
    told
}

/// What a suspended job keeps from others, and what that costs.
fn suspended(cluster: &Cluster, now: Timestamp, placement: &Placement) -> Blocker {
    let since = placement.pause.as_ref().map_or(now, |pause| pause.at);
    let gpus: usize = placement.allocations.iter().map(|held| held.gpus.len()).sum();
    let nodes = placement.allocations.iter().filter_map(|held| cluster.nodes.get(&held.node));
    let price = HourlyPrice(nodes.map(|node| node.offer.price.0).sum());
    let cost = if price.0 > 0 { format!(", which go on costing {price}") } else { String::new() };
    let gpus = if gpus > 0 { format!("{gpus} GPUs and ") } else { String::new() };
    let text = format!(
        "an admin suspended it {} ago: it keeps {gpus}its place on {} nodes{cost}, until `scontrol resume` or `scancel`",
        clock(now.since(since)),
        placement.allocations.len(),
    );
    Blocker { reason: Reason::None, text, until: None }
}

fn pending(cluster: &Cluster, now: Timestamp, job: &Job, told: &mut Explanation) {
    // The leader of a heterogeneous job stands in the queue for all of it.
    let job = cluster.together(job).next().unwrap_or(job);
    let mut block = |reason, text: String, until| told.blockers.push(Blocker { reason, text, until });
    if let Gate::Shut { reason, until } = gate(cluster, job, now) {
        block(reason, gate_text(job, reason, until, now), until);
    }
    if gate(cluster, job, now) == Gate::Open && !elements_may_go(cluster, job, now) {
        let text = format!("waits for {}: what corresponds to it has not ended well", job.spec.dependency());
        block(Reason::Dependency, text, None);
    }
    if let Some(array) = job.array().and_then(|array| cluster.arrays.get(&array))
        && let Some(limit) = array.limit.filter(|limit| array.active >= *limit)
    {
        block(
            Reason::JobArrayTaskLimit,
            format!("{} of at most {limit} elements of array {} are active", array.active, array.array),
            None,
        );
    }
    let held_back = cluster.together(job).find_map(|component| held_back(cluster, component));
    if let Some(breach) = &held_back {
        block(breach.rule.reason(), breach.text(), None);
    }
    if let Some(misfit) = cluster.together(job).find_map(|component| feasible::misfit(cluster, &component.spec)) {
        block(Reason::BadConstraints, format!("asked: {}; limit: {}", misfit.asked, misfit.limit), None);
        told.would_start_with.extend((!misfit.try_this.is_empty()).then_some(misfit.try_this));
        return;
    }
    if job.het().is_some() {
        let specs: Vec<_> = cluster.together(job).map(|component| component.spec.as_ref().clone()).collect();
        if let Some(misfit) = misfit_together(cluster, now, &specs) {
            block(Reason::BadConstraints, format!("asked: {}; limit: {}", misfit.asked, misfit.limit), None);
            return;
        }
    }
    if held_back.is_some() {
        // Nothing is sought or bought for it before that.
        return;
    }
    let ahead: Vec<JobId> = cluster.queue().take_while(|other| other.id != job.id).map(|other| other.id).collect();
    cluster.together(job).for_each(|component| capacity(cluster, now, component, told));
    if !ahead.is_empty() && !told.blockers.is_empty() {
        let names = ahead.iter().take(5).map(JobId::to_string).collect::<Vec<_>>().join(", ");
        let more = if ahead.len() > 5 { ", …" } else { "" };
        let text = format!("{} jobs are ahead ({names}{more})", ahead.len());
        told.blockers.push(Blocker { reason: Reason::Priority, text, until: None });
    }
    let planned = plan(cluster, now);
    // What it would hold may be more than its request says.
    if let Some(reason) = planned.notes.get(&job.id).map(|note| note.reason).filter(|reason| limits(*reason)) {
        let rules = job.spec.partitions.first().map(|name| rules(cluster, &job.spec, Some(name))).unwrap_or_default();
        for rule in rules.into_iter().filter(|rule| rule.reason() == reason) {
            let text = format!("with what it would hold it exceeds {}", rule.text(cluster));
            told.blockers.insert(0, Blocker { reason, text, until: None });
        }
    }
    if let Some(start_at) = planned.notes.get(&job.id).and_then(|note| note.start_at) {
        told.estimate = Some(Estimate { start_at: Some(start_at), ..Estimate::default() });
    }
}

/// Whether `aftercorr` lets an element go, or any of those that wait together.
fn elements_may_go(cluster: &Cluster, job: &Job, now: Timestamp) -> bool {
    match &job.role {
        Role::Single | Role::Component(_) => true,
        Role::Element { index, .. } => element_may_go(cluster, job, *index, now),
        Role::Pending { indices, .. } => !elements_that_may_go(cluster, job, indices, now).is_empty(),
    }
}

/// For each place where it could run: what is free there, and why nothing is bought.
fn capacity(cluster: &Cluster, now: Timestamp, job: &Job, told: &mut Explanation) {
    let spec = job.spec.as_ref();
    let market = Market::new(cluster, now);
    let fleet = Fleet::new(cluster, now);
    for (partition, pool) in candidates(cluster, spec) {
        let rooms = fleet.rooms(pool, time_limit(cluster, spec, partition));
        let fits = rooms.iter().filter(|room| most_units(spec, room) > 0).count();
        let free = rooms.iter().filter(|room| room.empty).count();
        let text = format!(
            "pool {pool}: {} nodes ready or coming, {free} empty, {fits} can take a part of it, {} are needed",
            rooms.len(),
            spec.ask.min_nodes()
        );
        told.blockers.push(Blocker { reason: Reason::Resources, text, until: None });
        for (_, buyable) in market.of_pool(pool) {
            let all = (0..buyable.shape.gpus.count()).collect();
            let empty = Room {
                node: Default::default(),
                name: "",
                shape: &buyable.shape,
                free: buyable.shape.resources(),
                gpus: all,
                empty: true,
                location: Default::default(),
            };
            let units = most_units(spec, &empty);
            if units == 0 {
                continue;
            }
            let count = spec.ask.units().total.div_ceil(units).max(spec.ask.min_nodes());
            let obstacle = match admissible(cluster, spec, partition, buyable.offer) {
                Err(obstacle) => Some(obstacle),
                Ok(()) => buyable.closed.clone().or_else(|| {
                    let short = affordable(cluster, &Spending::default(), spec, partition, buyable, count).err()?;
                    Some(short.obstacle(cluster, spec, buyable, count))
                }),
            };
            match obstacle {
                Some(obstacle) => {
                    let text = format!("pool {pool}: {}", obstacle.text);
                    told.blockers.push(Blocker { reason: obstacle.reason, text, until: obstacle.until });
                }
                None => {
                    let boot = clock(buyable.offer.typical_boot);
                    told.progress.push(format!(
                        "{count} × {} would be ready {boot} after an order ({})",
                        buyable.offer.name,
                        HourlyPrice(buyable.offer.price.0.saturating_mul(i64::from(count)))
                    ));
                }
            }
        }
    }
    // Pools of its partitions that lack its files.
    for name in &spec.partitions {
        for pool in cluster.config.partitions.get(name).into_iter().flat_map(|partition| &partition.pools) {
            if let Some(path) = cluster.config.pools.get(pool).and_then(|config| missing_mount(config, spec)) {
                let text = format!("pool {pool} does not mount {path}");
                told.blockers.push(Blocker { reason: Reason::BadConstraints, text, until: None });
            }
        }
    }
}

fn configuring(cluster: &Cluster, now: Timestamp, job: &Job, told: &mut Explanation) {
    let claimed = cluster.together(job).flat_map(Job::allocations);
    for node in claimed.filter_map(|held| cluster.nodes.get(&held.node)) {
        let since = clock(now.since(node.created_at));
        let typical = clock(node.offer.typical_boot);
        let text = match &node.state {
            NodeState::Ordered => format!("{}: ordered {since} ago as {}", node.name, node.offer.name),
            NodeState::Booting { ready_by } => {
                format!(
                    "{}: boots since {since} (typically {typical}, given up in {})",
                    node.name,
                    clock(ready_by.since(now))
                )
            }
            NodeState::Ready { .. } => format!("{}: ready, kept for this job", node.name),
            _ => format!("{}: being replaced", node.name),
        };
        told.progress.push(text);
    }
    let start_at = claim_ready_at(cluster, job, now);
    told.estimate = start_at.map(|at| Estimate { start_at: Some(at), ..Estimate::default() });
    told.blockers.push(Blocker {
        reason: Reason::NodesBooting,
        text: "its nodes are being bought or booted".to_owned(),
        until: start_at,
    });
}

fn gate_text(job: &Job, reason: Reason, until: Option<Timestamp>, now: Timestamp) -> String {
    match reason {
        Reason::JobHeldUser => format!("held by its user: `scontrol release {}`", job.id),
        Reason::JobHeldAdmin => "held by an admin".to_owned(),
        Reason::JobHoldMaxRequeue => {
            format!("held after {} failed attempts: `scontrol release {}`", job.failures, job.id)
        }
        Reason::BeginTime => {
            let time = until.map(|at| clock(at.since(now))).unwrap_or_default();
            // Whoever waits after a failure is to know of it: the queue shows a begin time alone.
            match job.failures {
                0 => format!("not before {time} from now"),
                1 => format!("not before {time} from now, after 1 failed attempt"),
                failures => format!("not before {time} from now, after {failures} failed attempts"),
            }
        }
        Reason::Dependency => format!("waits for {}", job.spec.dependency()),
        Reason::DependencyNeverSatisfied => format!("{} can no longer come true", job.spec.dependency()),
        Reason::PartitionDown => "its partitions are down or no longer configured".to_owned(),
        other => other.word().to_owned(),
    }
}

/// `--test-only`: where and when it would start, and what would have to be bought; of a heterogeneous job, all of it.
pub fn estimate(cluster: &Cluster, now: Timestamp, id: JobId) -> Estimate {
    let planned = plan(cluster, now);
    let Some(job) = cluster.jobs.get(&id) else { return Estimate::default() };
    let partition = job.spec.partitions.first().cloned().unwrap_or_default();
    let mut estimate = Estimate { partition, ..Estimate::default() };
    let steps = || planned.steps.iter().flat_map(Step::each);
    let whole: Vec<JobId> = cluster.together(job).map(|job| job.id).collect();
    let mine = |target: &Target| match target {
        Target::Job(job) | Target::Element { record: job, .. } => whole.contains(job),
    };
    let mut bought: Vec<&PlannedOrder> = Vec::new();
    for step in steps() {
        let (Step::Bind { target, partition, allocations, .. } | Step::Claim { target, partition, allocations }) = step
        else {
            continue;
        };
        if !mine(target) {
            continue;
        }
        let nodes = allocations.iter().filter_map(|held| cluster.nodes.get(&held.node));
        estimate.nodes.extend(nodes.map(|node| node.name.clone()));
        if estimate.start_at.is_none() {
            estimate.partition = partition.clone();
        }
        estimate.cpus += allocations.iter().map(|held| held.cpus).sum::<u32>();
        estimate.start_at = estimate.start_at.max(Some(now));
        let orders = steps().filter_map(|step| match step {
            Step::Order(order) if allocations.iter().any(|held| order.nodes.contains(&held.node)) => Some(order),
            _ => None,
        });
        for order in orders.filter(|_| matches!(step, Step::Claim { .. })) {
            if !bought.contains(&order) {
                bought.push(order);
            }
        }
        // Of an array the first element that is tried.
        if job.het().is_none() {
            break;
        }
    }
    let mut purchases = Vec::new();
    for order in bought {
        let known = cluster.pools.get(&order.pool).and_then(|pool| pool.offers.get(&order.offer));
        let Some(offer) = known.map(|known| &known.offer) else { continue };
        estimate.start_at = estimate.start_at.max(Some(now + offer.typical_boot));
        let price = offer.price.0.saturating_mul(order.nodes.len() as i64);
        estimate.hourly = HourlyPrice(estimate.hourly.0.saturating_add(price));
        purchases.push(format!("{} × {}", order.nodes.len(), offer.name));
    }
    estimate.purchase = purchases.join(", ");
    estimate.start_at = estimate.start_at.or(planned.notes.get(&id).and_then(|note| note.start_at));
    estimate
}
