//! What a pass must come to, said plainly: for every job in the order of the queue, look at every node at every time
//! at which anything changes. No index, no memory, no class; and so only for small clusters.

mod together;

use crate::limits::Limits;
use squall_core::Cluster;
use squall_core::accounts::Amounts;
use squall_core::job::{Job, JobPhase, Role};
use squall_core::kept::KeptSpec;
use squall_core::node::Node;
use squall_core::plan::market::{Buyable, Market, Spending, admissible, affordable, candidates, time_limit};
use squall_core::plan::place::{Mode, Pick, Room, mode, order_key, place, tasks_of};
use squall_core::plan::topology::{Location, Topology};
use squall_core::plan::{Gate, PlannedOrder, Step, Target, WINDOW, gate};
use squall_types::*;
use std::collections::BTreeMap;

/// The steps for jobs of the queue, and the starts that were promised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub steps: Vec<Step>,
    pub promised: BTreeMap<JobId, Timestamp>,
}

#[derive(Clone)]
struct Place<'a> {
    node: NodeId,
    name: &'a str,
    location: Location,
    pool: &'a PoolName,
    shape: &'a Shape,
    /// Ready then; `None` for a node that is there.
    ready_at: Option<Timestamp>,
    fenced: bool,
    free: Resources,
    gpus: Vec<u16>,
    ends: Vec<(Timestamp, Resources, Vec<u16>)>,
    kept: Vec<(Timestamp, Timestamp, Resources)>,
}

#[derive(Clone)]
struct Model<'a> {
    cluster: &'a Cluster,
    market: &'a Market<'a>,
    now: Timestamp,
    places: Vec<Place<'a>>,
    topology: Topology,
    spending: Spending,
    next_node: u64,
    kept: BTreeMap<&'a PartitionName, usize>,
    active: BTreeMap<JobId, u32>,
    /// What could not start.
    failed: Vec<Failed<'a>>,
    /// How often nodes were added to a pool, or taken back.
    grown: BTreeMap<&'a PoolName, usize>,
    limits: Limits<'a>,
    answer: Answer,
}

/// What may still be done for others like a job that could not start: buy, promise a start; and how often nodes had
/// been added to its pools when it was tried.
#[derive(Clone)]
struct Failed<'a> {
    spec: &'a KeptSpec,
    buys: bool,
    promises: bool,
    grown: usize,
    /// Where one of them would hold more than it may.
    over: Vec<Where<'a>>,
}

/// What is bought for a job, the most that one such order brings, and where the job goes.
struct Bought<'a> {
    partition: &'a PartitionName,
    order: PlannedOrder,
    most: u32,
    open: Vec<usize>,
    picks: Vec<Pick>,
}

type Where<'a> = (&'a PartitionName, &'a PoolName);

pub fn answer(cluster: &Cluster, now: Timestamp) -> Answer {
    let market = Market::new(cluster, now);
    let topology = Topology::new(&cluster.config);
    let place = |node| place_of(cluster, &topology, node, now);
    let mut places: Vec<Place<'_>> = cluster.live_nodes().filter_map(place).collect();
    places.sort_by_key(|place| (order_key(place.shape), place.shape, place.node));
    let mut model = Model {
        cluster,
        market: &market,
        now,
        places,
        topology,
        spending: Spending::default(),
        next_node: cluster.counters.next_node.0,
        kept: BTreeMap::new(),
        active: BTreeMap::new(),
        failed: Vec::new(),
        grown: BTreeMap::new(),
        limits: Limits::new(cluster),
        answer: Answer::default(),
    };
    for job in cluster.queue().filter(|job| gate(cluster, job, now) == Gate::Open) {
        model.job(job);
    }
    model.answer
}

impl<'a> Model<'a> {
    fn job(&mut self, job: &'a Job) {
        if job.het().is_some() {
            return self.together(job);
        }
        let targets: Vec<Target> = match &job.role {
            Role::Pending { indices, .. } => {
                indices.iter().map(|index| Target::Element { record: job.id, index }).collect()
            }
            _ => vec![Target::Job(job.id)],
        };
        for target in targets {
            let array = job.array().and_then(|array| self.cluster.arrays.get(&array));
            let active = array.map_or(0, |array| array.active + self.active.get(&array.array).copied().unwrap_or(0));
            if array.and_then(|array| array.limit).is_some_and(|limit| active >= limit) {
                return;
            }
            if self.try_target(job, target) {
                job.array().into_iter().for_each(|array| *self.active.entry(array).or_default() += 1);
            }
        }
    }

    fn try_target(&mut self, job: &'a Job, target: Target) -> bool {
        let spec = &job.spec;
        let mut places = candidates(self.cluster, spec);
        let limited = self.cluster.accounts.is_limiting();
        let like = |failed: &Failed<'_>| alike(failed.spec, spec) && (!limited || Limits::alike(failed.spec, spec));
        let known = self.failed.iter().position(like);
        let held_back = |model: &mut Self| {
            let found = Failed { spec, buys: false, promises: false, grown: 0, over: Vec::new() };
            match known {
                Some(at) => model.failed[at] = found,
                None => model.failed.push(found),
            }
            false
        };
        if !places.is_empty() && self.limits.forbid(spec, Amounts::asked(spec)) {
            return held_back(self);
        }
        let full = places.iter().all(|(partition, _)| self.is_full(partition));
        let (may_buy, may_promise) = known.map_or((true, true), |at| (self.failed[at].buys, self.failed[at].promises));
        // What is worth another try may start where nodes were added since.
        let all = places.clone();
        let mut exceeds = known.map_or_else(Vec::new, |at| self.failed[at].over.clone());
        places.retain(|place| !exceeds.contains(place));
        let grown = |model: &Self| all.iter().filter_map(|(_, pool)| model.grown.get(*pool)).sum::<usize>();
        let again = known.is_none_or(|at| grown(self) > self.failed[at].grown && (may_buy || (may_promise && !full)));
        let mut trying = again;
        while trying {
            let mut over = Vec::new();
            if self.start(spec, target, &places, &mut over) {
                return true;
            }
            // Where it would hold more than it may, it is not tried again.
            trying = !over.is_empty();
            places.retain(|place| !over.contains(place));
            exceeds.extend(over);
            if places.is_empty() {
                return held_back(self);
            }
        }
        let tried = if again { grown(self) } else { known.map_or(0, |at| self.failed[at].grown) };
        let waiting = if may_promise { self.earliest(spec, &places, self.now) } else { None };
        let bought =
            if may_buy { self.buy(job, target, &places, waiting.as_ref().map(|(at, ..)| *at)) } else { Err(false) };
        let Err(buys) = bought else { return true };
        let found =
            Failed { spec, buys, promises: waiting.is_some() || (full && may_promise), grown: tried, over: exceeds };
        match known {
            Some(at) => self.failed[at] = found,
            None => self.failed.push(found),
        }
        if let Some((at, partition, slots, picks)) = waiting {
            *self.kept.entry(partition).or_default() += 1;
            let until = at + time_limit(self.cluster, spec, partition);
            picks.iter().for_each(|pick| self.places[slots[pick.room]].kept.push((at, until, pick.need)));
            self.answer.promised.entry(job.id).or_insert(at);
        }
        false
    }

    /// Now, else on nodes that come. `over` are the places where it fits and would hold more than it may.
    fn start(&mut self, spec: &KeptSpec, target: Target, places: &[Where<'a>], over: &mut Vec<Where<'a>>) -> bool {
        let specs = with_preference(spec);
        let tries = specs.iter().flat_map(|spec| places.iter().map(move |place| (spec, place)));
        for (spec, (partition, pool)) in tries.clone() {
            let time = time_limit(self.cluster, spec, partition);
            let open: Vec<usize> = self.of_pool(pool, |place| place.ready_at.is_none());
            let Some(picks) = place(spec, &self.rooms(&open, self.now, time)) else { continue };
            if self.limits.forbid(spec, held(&picks)) {
                over.push((partition, pool));
                break;
            }
            for pick in &picks {
                let place = &mut self.places[open[pick.room]];
                if std::mem::take(&mut place.fenced) {
                    *self.grown.entry(pool).or_default() += 1;
                    self.answer.steps.push(Step::CancelDrain { node: place.node });
                }
            }
            let allocations = self.take(spec, &open, &picks, self.now + time);
            let partition = (*partition).clone();
            self.answer.steps.push(Step::Bind { target, partition, allocations, time_limit: time });
            return true;
        }
        let may_wait = over.is_empty();
        for (spec, (partition, pool)) in tries.filter(|_| may_wait) {
            let time = time_limit(self.cluster, spec, partition);
            let open: Vec<usize> = self.of_pool(pool, |place| !place.fenced);
            let Some(picks) = place(spec, &self.rooms(&open, self.now, time)) else { continue };
            if self.limits.forbid(spec, held(&picks)) {
                over.push((partition, pool));
                break;
            }
            self.claim(spec, target, partition, time, &open, &picks);
            return true;
        }
        false
    }

    /// Whether the partition has promised as many starts as it may.
    fn is_full(&self, partition: &PartitionName) -> bool {
        let depth = self.cluster.config.partitions[partition].reservation_depth();
        self.kept.get(partition).is_some_and(|kept| *kept >= depth as usize)
    }

    /// At `from` or later.
    fn earliest(
        &self,
        spec: &KeptSpec,
        places: &[Where<'a>],
        from: Timestamp,
    ) -> Option<(Timestamp, &'a PartitionName, Vec<usize>, Vec<Pick>)> {
        let mut best: Option<(Timestamp, &'a PartitionName, Vec<usize>, Vec<Pick>)> = None;
        for (partition, pool) in places {
            if self.is_full(partition) {
                continue;
            }
            let time = time_limit(self.cluster, spec, partition);
            let all = self.of_pool(pool, |_| true);
            let changes = all.iter().flat_map(|at| {
                let place = &self.places[*at];
                let ends = place.ends.iter().map(|(at, ..)| *at);
                ends.chain(place.kept.iter().map(|(_, until, _)| *until)).chain(place.ready_at)
            });
            let changes = changes.chain([from]);
            let counts = |at: &Timestamp| *at >= from && *at > self.now && *at <= self.now + WINDOW;
            let mut times: Vec<Timestamp> = changes.filter(counts).collect();
            times.sort_unstable();
            for at in times {
                let there = self.of_pool(pool, |place| place.ready_at.is_none_or(|ready| ready <= at));
                if best.as_ref().is_none_or(|(before, ..)| at < *before)
                    && let Some(picks) = place(spec, &self.rooms(&there, at, time))
                {
                    best = Some((at, partition, there, picks));
                    break;
                }
            }
        }
        best
    }

    /// Whether it was bought; where not, whether it may be for another like it.
    fn buy(
        &mut self,
        job: &'a Job,
        target: Target,
        places: &[Where<'a>],
        waiting: Option<Timestamp>,
    ) -> Result<(), bool> {
        let Bought { partition, order, most, open, picks } = self.grow_somewhere(job, target, places, waiting)?;
        self.order(order, most);
        self.claim(&job.spec, target, partition, time_limit(self.cluster, &job.spec, partition), &open, &picks);
        Ok(())
    }

    /// The nodes that are bought are there.
    fn grow_somewhere(
        &mut self,
        job: &'a Job,
        target: Target,
        places: &[Where<'a>],
        waiting: Option<Timestamp>,
    ) -> Result<Bought<'a>, bool> {
        let timing = &self.cluster.config.timing;
        let quiet_at = self.cluster.counters.last_submit_at + timing.batch_idle;
        let window = quiet_at.min(job.eligible_at.unwrap_or(self.now) + timing.batch_max);
        let single = job.spec.kind == JobKind::Batch && job.spec.ask.min_nodes() <= 1 && job.het().is_none();
        let waits = window > self.now && single;
        let part = match mode(&job.spec, true) {
            Mode::One { units } | Mode::Gang { units, .. } => units,
            Mode::Any => job.spec.ask.units().per_node.unwrap_or(1),
        };
        let market = self.market;
        let (mut sooner, mut obstacle) = (false, false);
        let specs = with_preference(&job.spec);
        let tries = specs.iter().flat_map(|spec| places.iter().map(move |place| (spec, place)));
        for (spec, (partition, pool)) in tries {
            for (_, buyable) in market.of_pool(pool) {
                let admissible = admissible(self.cluster, &job.spec, partition, buyable.offer).is_ok();
                if !admissible || job.spec.ask.need(&buyable.shape, part).is_none() {
                    continue;
                }
                if buyable.closed.is_some()
                    || affordable(self.cluster, &self.spending, &job.spec, partition, buyable, 1).is_err()
                    || waits
                {
                    obstacle = true;
                } else if waiting.is_some_and(|at| at <= self.now + buyable.offer.typical_boot) {
                    sooner = true;
                } else {
                    match self.grow(job, spec, target, partition, buyable) {
                        Some(Ok(bought)) => return Ok(bought),
                        Some(Err(())) => obstacle = true,
                        None => {}
                    }
                }
            }
        }
        Err(sooner && !obstacle)
    }

    /// `None` where no number of nodes would do.
    fn grow(
        &mut self,
        job: &'a Job,
        spec: &KeptSpec,
        target: Target,
        partition: &'a PartitionName,
        buyable: &'a Buyable<'a>,
    ) -> Option<Result<Bought<'a>, ()>> {
        let time = time_limit(self.cluster, spec, partition);
        let mut open: Vec<usize> = self.of_pool(buyable.pool, |place| !place.fenced);
        let most = spec.ask.max_nodes().min(spec.ask.units().total.max(1)).min(buyable.config.max_nodes);
        let (before, next_node) = (self.places.len(), self.next_node);
        let mut refused = None;
        for count in 1..=most {
            self.places.push(Place {
                node: NodeId(self.next_node),
                name: "",
                location: self.topology.of_new(buyable.offer),
                pool: buyable.pool,
                shape: &buyable.shape,
                ready_at: Some(self.now + buyable.offer.typical_boot),
                fenced: false,
                free: buyable.shape.resources(),
                gpus: (0..buyable.shape.gpus.count()).collect(),
                ends: Vec::new(),
                kept: Vec::new(),
            });
            self.next_node += 1;
            open.push(self.places.len() - 1);
            let Some(picks) = place(spec, &self.rooms(&open, self.now, time)) else { continue };
            if self.limits.forbid(spec, held(&picks)) {
                refused = Some(Err(()));
                break;
            }
            let Ok(budgets) = affordable(self.cluster, &self.spending, spec, partition, buyable, count) else {
                refused = Some(Err(()));
                break;
            };
            self.spending.spend(buyable, count, &budgets);
            *self.grown.entry(buyable.pool).or_default() += 1;
            let order = PlannedOrder {
                pool: buyable.pool.clone(),
                offer: buyable.offer.name.clone(),
                nodes: (next_node..self.next_node).map(NodeId).collect(),
                gang: count > 1,
                for_job: matches!(target, Target::Job(_)).then_some(job.id),
                budgets,
            };
            return Some(Ok(Bought { partition, order, most: buyable.offer.max_per_order, open, picks }));
        }
        self.places.truncate(before);
        self.next_node = next_node;
        refused
    }

    fn order(&mut self, order: PlannedOrder, max_per_order: u32) {
        for step in &mut self.answer.steps {
            if let Step::Order(other) = step
                && !(order.gang || other.gang)
                && (&other.pool, &other.offer, &other.budgets) == (&order.pool, &order.offer, &order.budgets)
                && (other.nodes.len() as u32) < max_per_order.max(1)
            {
                other.nodes.extend(order.nodes);
                other.for_job = None;
                return;
            }
        }
        self.answer.steps.push(Step::Order(order));
    }

    fn claim(
        &mut self,
        spec: &KeptSpec,
        target: Target,
        partition: &PartitionName,
        time: Span,
        open: &[usize],
        picks: &[Pick],
    ) {
        let ready_at = picks.iter().filter_map(|pick| self.places[open[pick.room]].ready_at).max();
        let allocations = self.take(spec, open, picks, ready_at.unwrap_or(self.now) + time);
        self.answer.steps.push(Step::Claim { target, partition: partition.clone(), allocations });
    }

    fn take(&mut self, spec: &KeptSpec, open: &[usize], picks: &[Pick], until: Timestamp) -> Vec<Allocation> {
        let taken = |(pick, tasks): (&Pick, u32)| {
            let place = &mut self.places[open[pick.room]];
            place.free = place.free.less(&pick.need);
            place.gpus.retain(|gpu| !pick.gpus.contains(gpu));
            place.ends.push((until, pick.need, pick.gpus.clone()));
            let Resources { cpus, memory_mib, .. } = pick.need;
            Allocation { node: place.node, cpus, memory_mib, gpus: pick.gpus.clone(), tasks }
        };
        let allocations = picks.iter().zip(tasks_of(spec, picks)).map(taken).collect();
        self.limits.start(spec, held(picks));
        allocations
    }

    fn of_pool(&self, pool: &PoolName, wanted: impl Fn(&Place<'a>) -> bool) -> Vec<usize> {
        let there = |at: &usize| self.places[*at].pool == pool && wanted(&self.places[*at]);
        (0..self.places.len()).filter(there).collect()
    }

    fn rooms(&self, places: &[usize], from: Timestamp, time: Span) -> Vec<Room<'a>> {
        places.iter().map(|at| self.places[*at].room(self.now, from, from + time)).collect()
    }
}

impl<'a> Place<'a> {
    fn room(&self, now: Timestamp, from: Timestamp, until: Timestamp) -> Room<'a> {
        let begins = self.kept.iter().map(|(begin, ..)| *begin).filter(|begin| (from..until).contains(begin));
        let free = begins.fold(self.free_at(now, from), |least, at| least.least(&self.free_at(now, at)));
        let back = self.ends.iter().filter(|(end, ..)| from > now && *end <= from);
        let mut gpus: Vec<u16> = back.flat_map(|(_, _, gpus)| gpus).chain(&self.gpus).copied().collect();
        gpus.sort_unstable();
        let free = Resources { gpus: free.gpus.min(gpus.len() as u16), ..free };
        gpus.truncate(usize::from(free.gpus));
        let empty = free == self.shape.resources();
        Room { node: self.node, name: self.name, shape: self.shape, free, gpus, empty, location: self.location }
    }

    fn free_at(&self, now: Timestamp, at: Timestamp) -> Resources {
        let back = self.ends.iter().filter(|(end, ..)| at > now && *end <= at);
        let free = back.fold(self.free, |sum, (_, given, _)| sum.plus(given));
        let kept = self.kept.iter().filter(|(from, until, _)| (*from..*until).contains(&at));
        kept.fold(free, |left, (_, _, kept)| left.less(kept))
    }
}

fn place_of<'a>(cluster: &'a Cluster, topology: &Topology, node: &'a Node, now: Timestamp) -> Option<Place<'a>> {
    let soon = now + Span::from_secs(1);
    let expected = |node: &Node| (node.launched_at.unwrap_or(node.created_at) + node.offer.typical_boot).max(soon);
    let ready_at = match () {
        () if node.is_usable() || node.is_recoverable() => None,
        () if node.is_coming() => Some(expected(node)),
        () => return None,
    };
    let held = node.held.iter().map(|(run, held)| {
        let until = match cluster.jobs.get(&run.job).map(|job| &job.phase) {
            Some(JobPhase::Running { placement, started_at }) => placement.limit_at(*started_at),
            Some(JobPhase::Bound(placement)) => placement.bound_at + placement.time_limit,
            _ => soon,
        };
        (until.max(soon), held.resources(), held.gpus.clone())
    });
    let claims = node.claims.iter().map(|(job, held)| {
        let job = &cluster.jobs.get(job).expect("a claim is some job's");
        let nodes = cluster.together(job).flat_map(Job::allocations).filter_map(|held| cluster.nodes.get(&held.node));
        let ready = nodes.filter(|node| node.is_coming()).map(expected).max().unwrap_or(soon);
        (ready + job.spec.time_limit.unwrap_or(Span::FOREVER), held.resources(), held.gpus.clone())
    });
    Some(Place {
        node: node.id,
        name: node.name.as_str(),
        location: topology.of(node),
        pool: &node.pool,
        shape: &node.shape,
        ready_at,
        fenced: node.is_recoverable(),
        free: node.shape.resources().checked_sub(&node.taken()).unwrap_or_default(),
        gpus: node.free_gpus(),
        ends: held.chain(claims).collect(),
        kept: Vec::new(),
    })
}

/// A job as it is tried: first with what it prefers, then with what it requires.
fn with_preference(spec: &KeptSpec) -> Vec<KeptSpec> {
    let preferred = spec.prefer.clone().map(|prefer| {
        let mut spec = spec.clone();
        spec.constraint = Some(prefer);
        spec
    });
    preferred.into_iter().chain([spec.clone()]).collect()
}

fn held(picks: &[Pick]) -> Amounts {
    picks.iter().fold(Amounts::default(), |sum, pick| {
        let Resources { cpus, memory_mib, .. } = pick.need;
        sum.plus(Amounts { cpus: cpus.into(), memory_mib, nodes: 1, gpus: pick.gpus.len() as u64 })
    })
}

fn alike(a: &KeptSpec, b: &KeptSpec) -> bool {
    let told_by = |spec: &KeptSpec| {
        (
            (spec.ask.clone(), spec.partitions.clone(), spec.time_limit, spec.kind),
            (spec.constraint.clone(), spec.prefer.clone(), spec.node_list.clone(), spec.exclude.clone()),
            (spec.allow_spot, spec.max_price, spec.max_cost),
        )
    };
    told_by(a) == told_by(b)
}
