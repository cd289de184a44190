//! Heterogeneous jobs, said plainly: components are placed one after the other in a copy of the model, which becomes the
//! model where all of them have a place.

use super::{Model, Where, held, with_preference};
use squall_core::accounts::Amounts;
use squall_core::job::Job;
use squall_core::kept::KeptSpec;
use squall_core::plan::market::{candidates, time_limit};
use squall_core::plan::place::{Pick, place, place_part};
use squall_core::plan::{COMMON_STARTS, Orders, PlannedOrder, Step, Target, hardest_first};
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
            if let Some(granted) = self.grant_all(&mut parts, coming) {
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
        let common = self.common_start(&mut parts);
        if let Some((at, starts)) = &common
            && *at == self.now + Span::from_secs(1)
            && let Some(granted) = self.grant_found(&parts, starts)
        {
            return self.start_all(&parts, granted);
        }
        let mut buyers = parts.clone();
        if let Some((granted, orders)) = self.buy_all(&mut buyers, common.as_ref().map(|(at, _)| *at)) {
            return self.claim_all(&buyers, granted, orders);
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

    /// What has no place beside the others is placed first the next time.
    fn grant_all(&mut self, parts: &mut [Component<'a>], coming: bool) -> Option<Vec<Granted<'a>>> {
        let mut orders = Orders::default();
        loop {
            let mut trial = self.clone();
            let grant = |(rank, part)| trial.grant(part, coming).ok_or(rank);
            match parts.iter_mut().enumerate().map(grant).collect() {
                Ok(granted) => {
                    *self = trial;
                    return Some(granted);
                }
                Err(nowhere) if orders.next(parts, nowhere, |part| part.job) => {}
                Err(_) => return None,
            }
        }
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
        let mut orders = Orders::default();
        loop {
            let mut trial = self.clone();
            match trial.buy_in_order(parts, waiting) {
                Ok(bought) => {
                    *self = trial;
                    return Some(bought);
                }
                Err(nowhere) if orders.next(parts, nowhere, |part| part.job) => {}
                Err(_) => return None,
            }
        }
    }

    fn buy_in_order(
        &mut self,
        parts: &mut [Component<'a>],
        waiting: Option<Timestamp>,
    ) -> Result<(Vec<Granted<'a>>, Vec<PlannedOrder>), usize> {
        let (mut granted, mut orders) = (Vec::new(), Vec::new());
        for (rank, part) in parts.iter_mut().enumerate() {
            if let Some(room) = self.grant(part, true) {
                granted.push(room);
                continue;
            }
            let target = Target::Job(part.job.id);
            let bought = self.grow_somewhere(part.job, target, &part.places, waiting).map_err(|_| rank)?;
            orders.push(bought.order);
            granted.push(self.granted(&part.job.spec, bought.partition, bought.open, bought.picks));
        }
        Ok((granted, orders))
    }

    /// The same shares of the same nodes as a second later.
    fn grant_found(&mut self, parts: &[Component<'a>], starts: &[Start<'a>]) -> Option<Vec<Granted<'a>>> {
        let (mut trial, mut granted) = (self.clone(), Vec::new());
        for (part, (partition, slots, picks)) in parts.iter().zip(starts) {
            let spec = &part.job.spec;
            let rooms = trial.rooms(slots, self.now, time_limit(self.cluster, spec, partition));
            let again = |pick: &Pick| {
                let there = trial.places[slots[pick.room]].ready_at.is_none();
                let same = place_part(spec, &rooms[pick.room], pick.units).filter(|_| there)?;
                Some(Pick { room: pick.room, ..same })
            };
            let picks: Vec<Pick> = picks.iter().map(again).collect::<Option<_>>()?;
            if trial.limits.forbid(spec, held(&picks)) {
                return None;
            }
            granted.push(trial.granted(spec, partition, slots.clone(), picks));
        }
        *self = trial;
        Some(granted)
    }

    fn keep_for(&mut self, job: &'a Job, at: Timestamp, (partition, slots, picks): &Start<'a>) {
        let until = at + time_limit(self.cluster, &job.spec, partition);
        picks.iter().for_each(|pick| self.places[slots[pick.room]].kept.push((at, until, pick.need)));
    }

    /// The first component that fits beside the others only later says when to try again.
    fn common_start(&self, parts: &mut [Component<'a>]) -> Option<(Timestamp, Vec<Start<'a>>)> {
        let promises_nothing = |part: &Component<'a>| part.places.iter().all(|(partition, _)| self.is_full(partition));
        if parts.iter().any(promises_nothing) {
            return None;
        }
        let soon = self.now + Span::from_secs(1);
        let (mut from, mut orders) = (soon, Orders::default());
        'times: for _ in 0..COMMON_STARTS {
            let (mut trial, mut at, mut starts) = (self.clone(), from, Vec::new());
            for rank in 0..parts.len() {
                let part = &parts[rank];
                let Some(found) = trial.earliest(&part.job.spec, &part.places, at) else {
                    if orders.next(parts, rank, |part| part.job) {
                        from = soon;
                        continue 'times;
                    }
                    return None;
                };
                let (begin, partition, slots, picks) = found;
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
