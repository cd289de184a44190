//! Where a job fits: now, on nodes that are on their way, or at the earliest time that running work allows. The answers
//! are those that [`place`] gives over all nodes; the index only spares looking at nodes that can be of no use.

use super::classes::Needs;
use super::fleet::Fleet;
use super::place::{Mode, Pick, Room, may_stand_alone, may_use, most_units, place, place_alone, place_part};
use super::slot::{Instant, Slot, When};
use super::tree::Probe;
use crate::kept::KeptSpec;
use squall_types::{Resources, Span, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::ControlFlow;

/// Nothing is planned further ahead.
pub const WINDOW: Span = Span::from_hours(24 * 7);

/// Where a job goes, in rank order: slots of the fleet, and what it holds there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    pub slots: Vec<usize>,
    /// With the rank as the room.
    pub picks: Vec<Pick>,
}

impl Fit {
    pub fn push(&mut self, slot: usize, pick: Pick) {
        self.picks.push(Pick { room: self.slots.len(), ..pick });
        self.slots.push(slot);
    }
}

/// One question about one job in one pool.
pub struct Seek<'a> {
    pub fleet: &'a Fleet,
    pub instant: Instant,
    pub spec: &'a KeptSpec,
    pub mode: Mode,
    pub needs: Needs,
    pool: usize,
    time: Span,
}

impl<'a> Seek<'a> {
    pub fn new(
        fleet: &'a Fleet,
        instant: Instant,
        spec: &'a KeptSpec,
        mode: Mode,
        needs: Needs,
        pool: usize,
        time: Span,
    ) -> Self {
        Seek { fleet, instant, spec, mode, needs, pool, time }
    }

    /// Room for all of it, now or, with `coming`, on nodes that are there or on their way. Counts the nodes looked at.
    pub fn place(&self, coming: bool, looks: &mut u64) -> Option<Fit> {
        match self.mode {
            Mode::One { units } => {
                let fit = self.first(1, units, self.needs.part?, coming, looks);
                (fit.slots.len() == 1).then_some(fit)
            }
            Mode::Gang { nodes, units } => {
                let fit = self.first(nodes as usize, units, self.needs.part?, coming, looks);
                (fit.slots.len() == nodes as usize).then_some(fit)
            }
            Mode::Any => {
                if may_stand_alone(self.spec)
                    && let Some(whole) = self.needs.whole
                {
                    let fit = self.first(1, self.spec.ask.units().total, whole, coming, looks);
                    if fit.slots.len() == 1 {
                        return Some(fit);
                    }
                }
                let (slots, rooms) = self.parts(coming, looks);
                fit(self.spec, &slots, &rooms)
            }
        }
    }

    /// The first nodes that take so many units each; fewer where there are not so many.
    pub fn first(&self, nodes: usize, units: u32, need: Resources, coming: bool, looks: &mut u64) -> Fit {
        let mut found = Fit::default();
        self.visit(need, coming, |slot, room| {
            *looks += 1;
            if let Some(pick) = place_part(self.spec, &room, units) {
                found.push(slot, pick);
            }
            if found.slots.len() == nodes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found
    }

    /// Every node that takes some part of it.
    pub fn parts(&self, coming: bool, looks: &mut u64) -> (Vec<usize>, Vec<Room<'a>>) {
        let (mut slots, mut rooms) = (Vec::new(), Vec::new());
        let Some(part) = self.needs.part else { return (slots, rooms) };
        self.visit(part, coming, |slot, room| {
            *looks += 1;
            if most_units(self.spec, &room) > 0 {
                slots.push(slot);
                rooms.push(room);
            }
            ControlFlow::Continue(())
        });
        (slots, rooms)
    }

    fn visit(&self, need: Resources, coming: bool, mut show: impl FnMut(usize, Room<'a>) -> ControlFlow<()>) {
        let pool = &self.fleet.pools[self.pool];
        let probe = Probe { need, until: self.instant.now + self.time, coming };
        pool.tree.visit(&probe, |position| {
            let at = pool.order[position];
            let slot = &self.fleet.slots[at];
            if !slot.is_open(coming) {
                return ControlFlow::Continue(());
            }
            show(at, slot.room(self.instant, self.instant.now, self.time))
        });
    }

    /// The earliest time before `by` at which the nodes that there are and that are on their way can take the job.
    ///
    /// Goes through the times at which anything changes on a node that can matter, and keeps what each of these nodes
    /// takes. Between two such times what fits can only shrink, because reservations come nearer.
    pub fn earliest(&self, by: Timestamp, looks: &mut u64) -> Option<(Timestamp, Fit)> {
        self.sweep(None, by, looks)
    }

    /// The same for a start at `from` at the earliest, for what may have had room before.
    pub fn earliest_from(&self, from: Timestamp, by: Timestamp, looks: &mut u64) -> Option<(Timestamp, Fit)> {
        self.sweep(Some(from), by, looks)
    }

    fn sweep(&self, begin: Option<Timestamp>, by: Timestamp, looks: &mut u64) -> Option<(Timestamp, Fit)> {
        let pool = &self.fleet.pools[self.pool];
        let need = self.needs.part?;
        let mut due: BinaryHeap<Reverse<(Timestamp, Due)>> = BinaryHeap::new();
        let mut sweep = Sweep::default();
        let just_after = self.instant.now + Span(1);
        let cell = |cell: usize| Reverse((pool.tree.earliest(cell, &need).max(just_after), Due::Cell(cell)));
        due.extend(pool.tree.root().map(cell));
        due.extend(begin.map(|from| Reverse((from, Due::Begin))));
        let from = begin.unwrap_or(self.instant.soon);
        while let Some(Reverse((at, _))) = due.peek().copied() {
            if at >= by {
                return None;
            }
            // At the first time that counts, what was there before it is as good.
            let mut grown = begin == Some(at);
            while let Some(Reverse((_, what))) = due.pop_if_at(at) {
                *looks += 1;
                let position = match what {
                    Due::Node(position) => position,
                    Due::Begin => continue,
                    Due::Cell(cell_at) => match pool.tree.open(cell_at) {
                        Err(below) => {
                            due.extend(below.into_iter().map(cell).filter(|Reverse((at, _))| *at < by));
                            continue;
                        }
                        Ok(position) => position,
                    },
                };
                let Some(slot) = pool.order.get(position).map(|at| &self.fleet.slots[*at]) else { continue };
                if !may_use(self.spec, slot.name.as_str(), &slot.shape) {
                    continue;
                }
                grown |= sweep.count(position, self.units_at(slot, at));
                let next = slot.next_change(self.instant, at, self.time).filter(|next| *next < by);
                due.extend(next.map(|next| Reverse((next, Due::Node(position)))));
            }
            if grown
                && at >= from
                && let Some(fit) = self.fit_at(&sweep, at, looks)
            {
                return Some((at, fit));
            }
        }
        None
    }

    /// The earliest time before `by` at which this one node takes its part of the job.
    pub fn earliest_on(&self, at: usize, by: Timestamp, looks: &mut u64) -> Option<Timestamp> {
        let slot = &self.fleet.slots[at];
        let elsewhere = slot.pool != self.pool || slot.when == When::Away;
        if elsewhere || !may_use(self.spec, slot.name.as_str(), &slot.shape) {
            return None;
        }
        let pool = &self.fleet.pools[self.pool];
        // The index knows of most that they have too little before that.
        let reach = pool.tree.earliest_of(slot.position, &self.needs.part?);
        if reach >= by {
            return None;
        }
        // A job for one node would be there by now; a gang may lack others.
        let alone = matches!(self.mode, Mode::One { .. });
        if !alone && by > self.instant.soon && self.units_at(slot, self.instant.soon) > 0 {
            return Some(self.instant.soon);
        }
        let mut time = self.instant.now.max(reach - Span(1));
        loop {
            *looks += 1;
            time = slot.next_change(self.instant, time, self.time).filter(|next| *next < by)?;
            if time >= self.instant.soon && self.units_at(slot, time) > 0 {
                return Some(time);
            }
        }
    }

    /// Its part of the job on one node, then.
    pub fn fit_on(&self, at: usize, then: Timestamp) -> Option<Fit> {
        let Mode::One { units } = self.mode else { return None };
        let mut found = Fit::default();
        found.push(at, place_part(self.spec, &self.fleet.slots[at].room(self.instant, then, self.time), units)?);
        Some(found)
    }

    /// Units that a node takes then.
    fn units_at(&self, slot: &Slot, at: Timestamp) -> u32 {
        // Most nodes have too little most of the time, and need no closer look.
        let least = self.needs.part.unwrap_or_default();
        let free = || slot.free_during(self.instant, at, at + self.time);
        if slot.ready_at(self.instant) > at
            || !least.fits_in(&slot.free_at(self.instant, at))
            || !least.fits_in(&free())
        {
            return 0;
        }
        let room = slot.room(self.instant, at, self.time);
        match self.mode {
            Mode::One { units } | Mode::Gang { units, .. } => {
                if super::place::takes(self.spec, &room, units) {
                    units
                } else {
                    0
                }
            }
            Mode::Any => most_units(self.spec, &room),
        }
    }

    fn fit_at(&self, sweep: &Sweep, at: Timestamp, looks: &mut u64) -> Option<Fit> {
        let order = &self.fleet.pools[self.pool].order;
        let room = |position: &usize| self.fleet.slots[order[*position]].room(self.instant, at, self.time);
        let (nodes, units) = match self.mode {
            Mode::One { units } => (1, units),
            Mode::Gang { nodes, units } => (nodes as usize, units),
            Mode::Any => {
                let units = self.spec.ask.units().total;
                if sweep.sum < u64::from(units) {
                    return None;
                }
                *looks += sweep.units.len() as u64;
                let slots: Vec<usize> = sweep.units.keys().map(|position| order[*position]).collect();
                let rooms: Vec<Room<'_>> = sweep.units.keys().map(room).collect();
                return fit(self.spec, &slots, &rooms);
            }
        };
        if sweep.units.len() < nodes {
            return None;
        }
        let mut found = Fit::default();
        for position in sweep.units.keys().take(nodes) {
            found.push(order[*position], place_part(self.spec, &room(position), units)?);
        }
        Some(found)
    }
}

/// [`place`] over these rooms.
pub fn fit(spec: &KeptSpec, slots: &[usize], rooms: &[Room<'_>]) -> Option<Fit> {
    // One node that takes all of it is the answer wherever one node is enough.
    let alone = || {
        let picks = rooms.iter().enumerate();
        picks.filter_map(|(at, room)| place_alone(spec, room).map(|pick| Pick { room: at, ..pick })).next()
    };
    let picks = match may_stand_alone(spec).then(alone).flatten() {
        Some(pick) => vec![pick],
        None => place(spec, rooms)?,
    };
    let mut found = Fit::default();
    picks.into_iter().for_each(|pick| found.push(slots[pick.room], pick));
    Some(found)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Cell(usize),
    Node(usize),
    /// The first time that counts.
    Begin,
}

/// What nodes take at the time to which a sweep has come.
#[derive(Default)]
struct Sweep {
    /// By position, where it is anything.
    units: BTreeMap<usize, u32>,
    sum: u64,
}

impl Sweep {
    /// Whether it is more than before.
    fn count(&mut self, position: usize, units: u32) -> bool {
        let before = if units > 0 { self.units.insert(position, units) } else { self.units.remove(&position) };
        let before = before.unwrap_or(0);
        self.sum = self.sum + u64::from(units) - u64::from(before);
        units > before
    }
}

trait PopIfAt {
    fn pop_if_at(&mut self, at: Timestamp) -> Option<Reverse<(Timestamp, Due)>>;
}

impl PopIfAt for BinaryHeap<Reverse<(Timestamp, Due)>> {
    fn pop_if_at(&mut self, at: Timestamp) -> Option<Reverse<(Timestamp, Due)>> {
        if self.peek().is_some_and(|Reverse((next, _))| *next == at) { self.pop() } else { None }
    }
}
