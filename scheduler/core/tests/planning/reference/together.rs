//! Heterogeneous jobs, said plainly: components are placed one after the other in a copy of the model, which becomes the
//! model where all of them have a place.

use super::{Model, Where, held, with_preference};
use squall_core::accounts::Amounts;
use squall_core::job::Job;
use squall_core::kept::KeptSpec;
use squall_core::plan::market::{candidates, time_limit};
use squall_core::plan::place::{Pick, place};
use squall_core::plan::{COMMON_STARTS, PlannedOrder, Step, Target, hardest_first};
use squall_types::*;

/// A component, and where it may go.
#[derive(Clone)]
struct Component<'a> {
    job: &'a Job,
    places: Vec<Where<'a>>,
}

/// Where it goes, on nodes of the model.
struct Granted<'a> {
    partition: &'a PartitionName,
    open: Vec<usize>,
    picks: Vec<Pick>,
}

/// Where a component starts.
type Start<'a> = (&'a PartitionName, Vec<usize>, Vec<Pick>);

impl<'a> Model<'a> {
    pub(super) fn together(&mut self, leader: &'a Job) {
        let cluster = self.cluster;
        let component = |job: &'a Job| Component { job, places: candidates(cluster, &job.spec) };
        let mut parts: Vec<Component<'a>> = cluster.together(leader).map(component).collect();
        hardest_first(&mut parts, |part| part.job);
        if parts.iter().any(|part| part.places.is_empty()) || self.asks_too_much(&parts) {
            return;
        }
        for coming in [false, true] {
            let mut trial = self.clone();
            if let Some(granted) = trial.grant_all(&mut parts, coming) {
                *self = trial;
                return if coming {
                    self.claim_all(&parts, granted, Vec::new())
                } else {
                    self.start_all(&parts, granted)
                };
            }
            if parts.iter().any(|part| part.places.is_empty()) {
                return;
            }
        }
        let common = self.common_start(&parts);
        let mut trial = self.clone();
        if let Some((granted, orders)) = trial.buy_all(&mut parts, common.as_ref().map(|(at, _)| *at)) {
            *self = trial;
            return self.claim_all(&parts, granted, orders);
        }
        let Some((at, starts)) = common else { return };
        for (part, start) in parts.iter().zip(&starts) {
            self.keep_for(part.job, at, start);
            *self.kept.entry(start.0).or_default() += 1;
            self.answer.promised.insert(part.job.id, at);
        }
    }

    fn asks_too_much(&self, parts: &[Component<'a>]) -> bool {
        let mut limits = self.limits.clone();
        parts.iter().any(|part| {
            let asked = Amounts::asked(&part.job.spec);
            let forbidden = limits.forbid(&part.job.spec, asked);
            limits.start(&part.job.spec, asked);
            forbidden
        })
    }

    /// Its share is taken; until when is said later. A place where it would hold more than it may is left out.
    fn grant(&mut self, part: &mut Component<'a>, coming: bool) -> Option<Granted<'a>> {
        for spec in &with_preference(&part.job.spec) {
            let mut at = 0;
            while let Some((partition, pool)) = part.places.get(at).copied() {
                let time = time_limit(self.cluster, spec, partition);
                let open = self.of_pool(pool, |place| if coming { !place.fenced } else { place.ready_at.is_none() });
                match place(spec, &self.rooms(&open, self.now, time)) {
                    None => at += 1,
                    Some(picks) if self.limits.forbid(spec, held(&picks)) => {
                        part.places.remove(at);
                    }
                    Some(picks) => return Some(self.granted(spec, partition, open, picks)),
                }
            }
        }
        None
    }

    fn granted(
        &mut self,
        spec: &KeptSpec,
        partition: &'a PartitionName,
        open: Vec<usize>,
        picks: Vec<Pick>,
    ) -> Granted<'a> {
        self.limits.start(spec, held(&picks));
        for pick in &picks {
            let place = &mut self.places[open[pick.room]];
            place.free = place.free.less(&pick.need);
            place.gpus.retain(|gpu| !pick.gpus.contains(gpu));
        }
        Granted { partition, open, picks }
    }

    fn grant_all(&mut self, parts: &mut [Component<'a>], coming: bool) -> Option<Vec<Granted<'a>>> {
        parts.iter_mut().map(|part| self.grant(part, coming)).collect()
    }

    fn allocations(&mut self, spec: &KeptSpec, granted: &Granted<'a>, until: Timestamp) -> Vec<Allocation> {
        let picks = granted.picks.iter().zip(super::tasks_of(spec, &granted.picks));
        let allocation = |(pick, tasks): (&Pick, u32)| {
            let place = &mut self.places[granted.open[pick.room]];
            place.ends.push((until, pick.need, pick.gpus.clone()));
            let Resources { cpus, memory_mib, .. } = pick.need;
            Allocation { node: place.node, cpus, memory_mib, gpus: pick.gpus.clone(), tasks }
        };
        picks.map(allocation).collect()
    }

    fn start_all(&mut self, parts: &[Component<'a>], granted: Vec<Granted<'a>>) {
        for Granted { open, picks, .. } in &granted {
            for pick in picks {
                let place = &mut self.places[open[pick.room]];
                if std::mem::take(&mut place.fenced) {
                    *self.grown.entry(place.pool).or_default() += 1;
                    self.answer.steps.push(Step::CancelDrain { node: place.node });
                }
            }
        }
        let mut steps = Vec::new();
        for (part, granted) in parts.iter().zip(granted) {
            let time_limit = time_limit(self.cluster, &part.job.spec, granted.partition);
            let allocations = self.allocations(&part.job.spec, &granted, self.now + time_limit);
            let (target, partition) = (Target::Job(part.job.id), granted.partition.clone());
            steps.push(Step::Bind { target, partition, allocations, time_limit });
        }
        self.answer.steps.push(Step::Together { steps });
    }

    fn claim_all(&mut self, parts: &[Component<'a>], granted: Vec<Granted<'a>>, orders: Vec<PlannedOrder>) {
        let nodes = granted.iter().flat_map(|one| one.picks.iter().map(|pick| one.open[pick.room]));
        let ready_at = nodes.filter_map(|at| self.places[at].ready_at).max().unwrap_or(self.now);
        let mut steps: Vec<Step> = orders.into_iter().map(Step::Order).collect();
        for (part, granted) in parts.iter().zip(granted) {
            let time = time_limit(self.cluster, &part.job.spec, granted.partition);
            let allocations = self.allocations(&part.job.spec, &granted, ready_at + time);
            let (target, partition) = (Target::Job(part.job.id), granted.partition.clone());
            steps.push(Step::Claim { target, partition, allocations });
        }
        self.answer.steps.push(Step::Together { steps });
    }

    fn buy_all(
        &mut self,
        parts: &mut [Component<'a>],
        waiting: Option<Timestamp>,
    ) -> Option<(Vec<Granted<'a>>, Vec<PlannedOrder>)> {
        let (mut granted, mut orders) = (Vec::new(), Vec::new());
        for part in parts {
            if let Some(room) = self.grant(part, true) {
                granted.push(room);
                continue;
            }
            let bought = self.grow_somewhere(part.job, Target::Job(part.job.id), &part.places, waiting).ok()?;
            orders.push(bought.order);
            granted.push(self.granted(&part.job.spec, bought.partition, bought.open, bought.picks));
        }
        Some((granted, orders))
    }

    fn keep_for(&mut self, job: &'a Job, at: Timestamp, (partition, slots, picks): &Start<'a>) {
        let until = at + time_limit(self.cluster, &job.spec, partition);
        picks.iter().for_each(|pick| self.places[slots[pick.room]].kept.push((at, until, pick.need)));
    }

    /// The first component that fits beside the others only later says when to try again.
    fn common_start(&self, parts: &[Component<'a>]) -> Option<(Timestamp, Vec<Start<'a>>)> {
        let mut from = self.now + Span::from_secs(1);
        'times: for _ in 0..COMMON_STARTS {
            let (mut trial, mut at, mut starts) = (self.clone(), from, Vec::new());
            for part in parts {
                let (begin, partition, slots, picks) = trial.earliest(&part.job.spec, &part.places, at)?;
                if begin > at && !starts.is_empty() {
                    from = begin;
                    continue 'times;
                }
                at = begin;
                trial.keep_for(part.job, at, &(partition, slots.clone(), picks.clone()));
                starts.push((partition, slots, picks));
            }
            return Some((at, starts));
        }
        None
    }
}
