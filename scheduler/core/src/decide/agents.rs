//! What agents say: joins, measurements, contact, attempts.

use super::Reply;
use super::draft::Draft;
use crate::event::What;
use crate::job::{Job, Part};
use crate::node::{DrainWhy, Hold, HoldOwner, Node, NodeState};
use crate::refuse::Rejection;
use squall_types::agent::StepEnd;
use squall_types::ids::Run;
use squall_types::{AttemptState, InstanceId, MeasuredNode, NodeId, NodeName, OrderId, Shape};

impl Draft<'_> {
    /// The shell has checked the join secret; here the ledger decides.
    pub fn join(
        &mut self,
        order: Option<OrderId>,
        name: Option<&NodeName>,
        instance: Option<&InstanceId>,
        key: &str,
    ) -> Result<Reply, Rejection> {
        let node = match order {
            Some(order) => self.node_of_order(order, name, instance)?,
            None => self.static_node(name)?,
        };
        let (id, name) = (node.id, node.name.clone());
        match &node.key {
            // The same agent again, after a lost answer.
            Some(known) if known == key => return Ok(Reply::Joined { node: id, name }),
            Some(_) => {
                let reason = "a second agent claimed to be this node".to_owned();
                let quarantined = node.is_held_by(HoldOwner::Quarantine);
                if !quarantined {
                    let hold = Hold { owner: HoldOwner::Quarantine, reason, at: self.now };
                    self.emit(What::NodeHeld { node: id, hold });
                }
                return Ok(Reply::Refused(refused(
                    name.as_str(),
                    "another key has joined as this node: both are quarantined",
                )));
            }
            None => {}
        }
        let instance = instance.cloned();
        self.emit(What::NodeJoined { node: id, instance, key: key.to_owned() });
        Ok(Reply::Joined { node: id, name })
    }

    fn node_of_order(
        &self,
        order: OrderId,
        name: Option<&NodeName>,
        instance: Option<&InstanceId>,
    ) -> Result<&Node, Rejection> {
        let who = || instance.map_or_else(|| format!("order {order}"), |instance| format!("instance {instance}"));
        let Some(order) = self.cluster.orders.get(&order) else {
            return Err(refused(&who(), "the ledger has no such order"));
        };
        let nodes = || order.nodes.iter().filter_map(|node| self.cluster.nodes.get(node));
        let bound = nodes().find(|node| node.instance.is_some() && node.instance.as_ref() == instance);
        // The provider's answer may still be on its way, or was lost: then the name decides.
        let named = || nodes().find(|node| node.instance.is_none() && Some(&node.name) == name);
        match bound.or_else(named) {
            Some(node) if node.is_gone() => Err(refused(&who(), "its node is in the ledger as gone")),
            Some(node) if instance.is_some_and(|instance| self.is_asked_to_end(&node.pool, instance)) => {
                Err(refused(&who(), "it was taken for nobody's, and is being given back"))
            }
            Some(node) => Ok(node),
            None => Err(refused(&who(), "it is none of the order's instances")),
        }
    }

    fn static_node(&self, name: Option<&NodeName>) -> Result<&Node, Rejection> {
        let name = name.ok_or_else(|| refused("a node without name", "a static node joins by its name"))?;
        match self.cluster.node_named(name) {
            Some(node) if node.is_static() => Ok(node),
            _ => Err(refused(name.as_str(), "no static node of that name is configured")),
        }
    }

    pub fn register(&mut self, id: NodeId, measured: &MeasuredNode) -> Result<Reply, Rejection> {
        let Some(node) = self.cluster.nodes.get(&id).filter(|node| !node.is_gone()) else {
            return Err(refused(&format!("node {id}"), "it is not in the ledger"));
        };
        let pool = self.cluster.config.pools.get(&node.pool);
        let tolerance = pool.map_or(0, |pool| u64::from(pool.memory_tolerance_percent.min(100)));
        let short = shortfall(&node.offer.shape, &measured.shape, tolerance)
            .filter(|_| !crate::canary::active("shortfall_accepted"));
        let mut shape = measured.shape.clone();
        shape.features.extend(node.offer.shape.features.iter().cloned());
        shape.features.extend(pool.into_iter().flat_map(|pool| pool.features.iter().cloned()));
        let was_booting = matches!(node.state, NodeState::Ordered | NodeState::Booting { .. });
        let (fixed, quarantined) = (node.is_static(), node.is_held_by(HoldOwner::Quarantine));
        let (pool, offer) = (node.pool.clone(), node.offer.name.clone());
        if node.measured.as_ref() != Some(measured) || was_booting || !node.contact {
            self.emit(What::NodeRegistered { node: id, measured: measured.clone(), shape });
        }
        if let Some(short) = short {
            if !quarantined {
                let hold = Hold { owner: HoldOwner::Quarantine, reason: short, at: self.now };
                self.emit(What::NodeHeld { node: id, hold });
            }
            if !fixed {
                self.drop_claims_on(id);
                self.emit(What::NodeDraining { node: id, why: DrainWhy::Quarantined });
            }
        } else if was_booting {
            self.boot_worked(&pool, &offer);
        }
        Ok(Reply::Done)
    }

    pub fn contact(&mut self, id: NodeId, contact: bool) -> Reply {
        if self.cluster.nodes.get(&id).is_some_and(|node| !node.is_gone() && node.contact != contact) {
            self.emit(What::NodeContact { node: id, contact });
            if !contact && crate::canary::active("silence_is_death") {
                self.parts_gone(id);
            }
        }
        Reply::Done
    }

    pub fn health(&mut self, id: NodeId, fault: &str) -> Reply {
        let Some(node) = self.cluster.nodes.get(&id).filter(|node| !node.is_gone()) else { return Reply::Done };
        let known = node.holds.iter().find(|hold| hold.owner == HoldOwner::Health).map(|hold| hold.reason.clone());
        match (fault.is_empty(), known) {
            (true, Some(_)) => self.emit(What::NodeReleased { node: id, owner: HoldOwner::Health }),
            (false, known) if known.as_deref() != Some(fault) => {
                let hold = Hold { owner: HoldOwner::Health, reason: fault.to_owned(), at: self.now };
                self.emit(What::NodeHeld { node: id, hold });
            }
            _ => {}
        }
        Reply::Done
    }

    /// News of an attempt that the ledger does not place on this node changes nothing.
    pub fn attempt_news(&mut self, node: NodeId, run: Run, state: &AttemptState) -> Reply {
        let Some(placement) = self.placement(run) else { return Reply::Done };
        let Some(rank) = placement.allocations.iter().position(|held| held.node == node) else { return Reply::Done };
        match (state, &placement.parts[rank]) {
            (AttemptState::Prepared | AttemptState::Running { .. }, Part::Bound) => {
                self.emit(What::PartPrepared { run, node });
                self.start_if_complete(run);
            }
            (AttemptState::Ended(end), Part::Bound | Part::Prepared) => self.part_ended(run, node, end),
            _ => {}
        }
        Reply::Done
    }

    /// A gang runs when every part is prepared, a heterogeneous job when every component is.
    fn start_if_complete(&mut self, run: Run) {
        let Some(job) = self.job(run.job) else { return };
        if !self.is_prepared(job) {
            return;
        }
        let runs: Vec<Run> = self.cluster.together(job).map(Job::run).collect();
        for run in runs {
            self.emit(What::JobStarted { run });
            self.wake_dependants(run.job);
        }
    }

    pub fn step_ended(&mut self, node: NodeId, end: &StepEnd) -> Reply {
        // A step is news once; its attempt may be over by then.
        if self.cluster.jobs.get(&end.run.job).is_some() {
            self.emit(What::StepEnded { node, end: end.clone() });
        }
        Reply::Done
    }

    /// Everything that attempts hold on a machine that can run nothing any more is dead.
    pub fn parts_gone(&mut self, node: NodeId) {
        let runs: Vec<Run> =
            self.cluster.nodes.get(&node).map(|node| node.held.keys().copied().collect()).unwrap_or_default();
        runs.into_iter().for_each(|run| self.part_gone(run, node));
    }
}

/// What the machine lacks of what was promised, for people.
fn shortfall(promised: &Shape, measured: &Shape, tolerance_percent: u64) -> Option<String> {
    for group in &promised.gpus.0 {
        let found = measured.gpus.indices(Some(&group.model)).count();
        if found < usize::from(group.count) {
            return Some(format!("{found} of {} promised {} GPUs", group.count, group.model));
        }
    }
    if measured.cpus < promised.cpus {
        return Some(format!("{} of {} promised CPUs", measured.cpus, promised.cpus));
    }
    let least = promised.memory_mib.saturating_mul(100 - tolerance_percent) / 100;
    if measured.memory_mib < least {
        return Some(format!(
            "{} MiB of {} promised, more than {tolerance_percent}% short",
            measured.memory_mib, promised.memory_mib
        ));
    }
    None
}

fn refused(who: &str, why: &str) -> Rejection {
    Rejection::new("SQ4001", "Node may not join").asked(who).limit(why)
}
