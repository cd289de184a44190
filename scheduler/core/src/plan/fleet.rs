//! All nodes as a plan sees them, by pool and in the order in which they are looked at, with an index over each pool.
//! Kept from plan to plan: what a plan takes and reserves while it is made is put back when it is over.

use super::place::{Room, order_key};
use super::slot::{Instant, Reserved, Slot, When};
use super::topology::Topology;
use super::tree::Tree;
use crate::cluster::Cluster;
use crate::node::{Node, NodeState};
use squall_types::{NodeId, PoolName, Resources, Shape, Span, Timestamp};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Fleet {
    pub slots: Vec<Slot>,
    pub pools: Vec<PoolSlots>,
    pool_of: BTreeMap<PoolName, usize>,
    slot_of: BTreeMap<NodeId, usize>,
    /// Slots of nodes that are gone.
    spare: Vec<usize>,
    shapes: BTreeSet<Arc<Shape>>,
    /// Nodes that were bought or woken and hold nothing: what may be given back.
    idle: BTreeSet<NodeId>,
    /// What the plan that is being made changed: slots that it took something of, as they were before; `None` for those
    /// on which it only reserved.
    before: BTreeMap<usize, Option<Before>>,
    /// Slots that this plan added at the end, for nodes that it buys.
    added: usize,
    /// What is tried now and may be taken back.
    attempt: Option<Attempt>,
    /// Slots that are not as they were when the last plan began, or that it took something of.
    moved: BTreeSet<usize>,
    /// The first time at which anything is given back or ready, by slot.
    firsts: BTreeSet<(Timestamp, usize)>,
    instant: Instant,
    pub topology: Topology,
}

/// What a plan may change of a slot beside reservations, of which there are none before and after.
#[derive(Clone, Debug)]
struct Before {
    when: When,
    free: Resources,
    gpus: Vec<u16>,
    ends: usize,
}

/// What several jobs take that are placed together or not at all, while it is not known whether they are.
#[derive(Clone, Debug, Default)]
struct Attempt {
    /// Slots as they were before each change, and whether the plan had changed them already.
    slots: Vec<(usize, Slot, Option<Option<Before>>)>,
    added: usize,
}

/// The nodes of one pool.
#[derive(Clone, Debug, Default)]
pub struct PoolSlots {
    pub name: PoolName,
    /// By position.
    pub order: Vec<usize>,
    pub tree: Tree,
    /// Shapes that nodes of the pool have or had, and how often that changed.
    pub shapes: BTreeSet<Arc<Shape>>,
    pub changed: u64,
    /// Nodes on their way, the plan's own among them.
    pub coming: usize,
    unsorted: bool,
}

impl Default for Fleet {
    fn default() -> Self {
        Fleet {
            slots: Vec::new(),
            pools: Vec::new(),
            pool_of: BTreeMap::new(),
            slot_of: BTreeMap::new(),
            spare: Vec::new(),
            shapes: BTreeSet::new(),
            idle: BTreeSet::new(),
            before: BTreeMap::new(),
            added: 0,
            attempt: None,
            moved: BTreeSet::new(),
            firsts: BTreeSet::new(),
            instant: Instant::new(Timestamp::ZERO),
            topology: Topology::default(),
        }
    }
}

impl Fleet {
    /// All nodes of a state.
    pub fn new(cluster: &Cluster, now: Timestamp) -> Fleet {
        let mut fleet = Fleet { topology: Topology::new(&cluster.config), ..Fleet::default() };
        cluster.config.pools.keys().for_each(|pool| {
            fleet.pool(pool);
        });
        let nodes: Vec<NodeId> = cluster.live_nodes().map(|node| node.id).collect();
        fleet.refresh(cluster, now, nodes);
        fleet
    }

    /// Looks again at nodes that changed. No plan is being made.
    pub fn refresh(&mut self, cluster: &Cluster, now: Timestamp, changed: impl IntoIterator<Item = NodeId>) {
        debug_assert!(self.before.is_empty() && self.added == 0, "a plan is being made");
        self.instant = Instant::new(now);
        for id in changed {
            match cluster.nodes.get(&id).filter(|node| !node.is_gone()) {
                Some(node) => self.look_at(cluster, node),
                None => self.forget(id),
            }
        }
        for pool in 0..self.pools.len() {
            if std::mem::take(&mut self.pools[pool].unsorted) {
                self.sort(pool);
            }
        }
    }

    /// Nodes that hold nothing and may be given back, which this plan does not use or keep for somebody either.
    pub fn unused(&self) -> impl Iterator<Item = NodeId> {
        let used = |id: &NodeId| self.slot_of.get(id).is_some_and(|at| self.before.contains_key(at));
        self.idle.iter().copied().filter(move |id| !used(id))
    }

    /// Slots that differ from when the last plan began, and those that time changes: what is over, or nearly, is expected
    /// shortly, whenever that is.
    pub fn moved(&mut self) -> BTreeSet<usize> {
        let mut moved = std::mem::take(&mut self.moved);
        let soon = (self.instant.soon, usize::MAX);
        moved.extend(self.firsts.range(..=soon).map(|(_, at)| *at));
        moved
    }

    /// Room on every node of a pool that is there or on its way, for something of this length that begins now.
    pub fn rooms(&self, pool: &PoolName, span: Span) -> Vec<Room<'_>> {
        let order = self.pool_index(pool).map_or(&[][..], |pool| &self.pools[pool].order);
        let slots = order.iter().map(|at| &self.slots[*at]).filter(|slot| slot.when != When::Away);
        slots.map(|slot| slot.room(self.instant, self.instant.now, span)).collect()
    }

    pub fn pool_index(&self, pool: &PoolName) -> Option<usize> {
        self.pool_of.get(pool).copied()
    }

    /// Takes something of a slot for as long as this plan is being made: ends are only added to it.
    pub fn touch(&mut self, at: usize, change: impl FnOnce(&mut Slot)) {
        self.note(at);
        let slot = &mut self.slots[at];
        let before = self.before.entry(at).or_default();
        before.get_or_insert_with(|| Before {
            when: slot.when,
            free: slot.free,
            gpus: slot.gpus.clone(),
            ends: slot.ends.len(),
        });
        change(slot);
        self.reindex(at);
    }

    /// Keeps something of a slot free for as long as this plan is being made.
    pub fn reserve(&mut self, at: usize, reserved: Reserved) {
        self.note(at);
        self.before.entry(at).or_default();
        self.slots[at].reserved.push(reserved);
        self.reindex(at);
    }

    /// What changes from here on can be taken back.
    pub fn attempt(&mut self) {
        self.attempt = Some(Attempt { slots: Vec::new(), added: self.added });
    }

    /// What changed in the attempt stays.
    pub fn keep(&mut self) {
        self.attempt = None;
    }

    /// Everything is as it was when the attempt began.
    pub fn take_back(&mut self) {
        let Some(Attempt { slots, added }) = self.attempt.take() else { return };
        for (at, slot, before) in slots.into_iter().rev() {
            self.slots[at] = slot;
            match before {
                Some(before) => self.before.insert(at, before),
                None => self.before.remove(&at),
            };
            self.reindex(at);
        }
        self.remove_added(self.added - added);
    }

    fn note(&mut self, at: usize) {
        if let Some(attempt) = &mut self.attempt {
            attempt.slots.push((at, self.slots[at].clone(), self.before.get(&at).cloned()));
        }
    }

    fn reindex(&mut self, at: usize) {
        let slot = &self.slots[at];
        let (pool, position, leaf) = (slot.pool, slot.position, slot.leaf(self.instant));
        self.pools[pool].tree.set(position, leaf);
    }

    /// A node that this plan buys: the last to be looked at.
    pub fn add(&mut self, mut slot: Slot) -> usize {
        let (at, pool) = (self.slots.len(), &mut self.pools[slot.pool]);
        slot.position = pool.order.len();
        pool.order.push(at);
        pool.coming += 1;
        if pool.shapes.insert(slot.shape.clone()) {
            pool.changed += 1;
        }
        let (position, leaf) = (slot.position, slot.leaf(self.instant));
        let pool = slot.pool;
        self.slots.push(slot);
        self.added += 1;
        if position < self.pools[pool].tree.width() {
            self.pools[pool].tree.set(position, leaf);
        } else {
            self.plant(pool);
        }
        at
    }

    /// Puts everything back as it was before the plan.
    pub fn restore(&mut self) {
        let existing = self.slots.len() - self.added;
        for (at, before) in std::mem::take(&mut self.before).into_iter().filter(|(at, _)| *at < existing) {
            let slot = &mut self.slots[at];
            slot.reserved.clear();
            if let Some(Before { when, free, gpus, ends }) = before {
                self.moved.insert(at);
                (slot.when, slot.free, slot.gpus) = (when, free, gpus);
                slot.ends.truncate(ends);
            }
            self.reindex(at);
        }
        self.remove_added(self.added);
    }

    fn remove_added(&mut self, count: usize) {
        self.added -= count;
        for _ in 0..count {
            let Some(slot) = self.slots.pop() else { break };
            let pool = &mut self.pools[slot.pool];
            pool.order.pop();
            pool.coming -= 1;
            pool.tree.set(slot.position, super::tree::Leaf::NONE);
        }
    }

    fn pool(&mut self, name: &PoolName) -> usize {
        if let Some(at) = self.pool_of.get(name) {
            return *at;
        }
        self.pool_of.insert(name.clone(), self.pools.len());
        self.pools.push(PoolSlots { name: name.clone(), ..PoolSlots::default() });
        self.pools.len() - 1
    }

    fn look_at(&mut self, cluster: &Cluster, node: &Node) {
        let pool = self.pool(&node.pool);
        let shape = self.share(&node.shape);
        let mut slot = Slot::new(cluster, node, pool, shape, self.topology.of(node));
        if may_be_given_back(node) {
            self.idle.insert(node.id);
        } else {
            self.idle.remove(&node.id);
        }
        let known = self.slot_of.get(&node.id).copied();
        let state = &mut self.pools[pool];
        if state.shapes.insert(slot.shape.clone()) {
            state.changed += 1;
        }
        state.coming += usize::from(matches!(slot.when, When::Coming(_)));
        match known {
            Some(at) => {
                let before = &self.slots[at];
                self.firsts.remove(&(before.first_change(), at));
                self.firsts.insert((slot.first_change(), at));
                state.coming -= usize::from(matches!(before.when, When::Coming(_)));
                slot.position = before.position;
                if before.shape == slot.shape && slot.position != usize::MAX {
                    state.tree.set(slot.position, slot.leaf(self.instant));
                } else {
                    state.unsorted = true;
                }
                if *before != slot {
                    self.moved.insert(at);
                }
                self.slots[at] = slot;
            }
            None => {
                let first = slot.first_change();
                let at = match self.spare.pop() {
                    Some(at) => {
                        self.slots[at] = slot;
                        at
                    }
                    None => {
                        self.slots.push(slot);
                        self.slots.len() - 1
                    }
                };
                self.firsts.insert((first, at));
                self.moved.insert(at);
                self.slot_of.insert(node.id, at);
                let state = &mut self.pools[pool];
                state.order.push(at);
                state.unsorted = true;
            }
        }
    }

    fn forget(&mut self, id: NodeId) {
        self.idle.remove(&id);
        let Some(at) = self.slot_of.remove(&id) else { return };
        let slot = &mut self.slots[at];
        self.firsts.remove(&(slot.first_change(), at));
        self.moved.insert(at);
        let pool = &mut self.pools[slot.pool];
        pool.coming -= usize::from(matches!(slot.when, When::Coming(_)));
        slot.when = When::Away;
        pool.order.retain(|other| *other != at);
        pool.unsorted = true;
        self.spare.push(at);
    }

    fn sort(&mut self, pool: usize) {
        let Fleet { slots, pools, .. } = self;
        let order = &mut pools[pool].order;
        order.sort_by(|a, b| {
            let (a, b) = (&slots[*a], &slots[*b]);
            // Shapes are shared, so that they need a long comparison only where they differ.
            let by_shape = || order_key(&a.shape).cmp(&order_key(&b.shape)).then_with(|| a.shape.cmp(&b.shape));
            let shapes = if Arc::ptr_eq(&a.shape, &b.shape) { Ordering::Equal } else { by_shape() };
            shapes.then(a.node.cmp(&b.node))
        });
        for (position, at) in order.iter().enumerate() {
            slots[*at].position = position;
        }
        self.plant(pool);
    }

    fn plant(&mut self, pool: usize) {
        let (slots, instant) = (&self.slots, self.instant);
        let leaves = self.pools[pool].order.iter().map(|at| slots[*at].leaf(instant));
        self.pools[pool].tree = Tree::new(leaves);
    }

    fn share(&mut self, shape: &Shape) -> Arc<Shape> {
        if let Some(known) = self.shapes.get(shape) {
            return known.clone();
        }
        let shared = Arc::new(shape.clone());
        self.shapes.insert(shared.clone());
        shared
    }
}

fn may_be_given_back(node: &Node) -> bool {
    let waits = matches!(node.state, NodeState::Ready { .. } | NodeState::Draining { .. });
    waits && !node.is_static() && node.is_empty()
}
