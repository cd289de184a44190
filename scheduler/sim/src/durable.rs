//! What becomes durable, and what may leave the controller because of it.

use crate::happening::{Happening, ProcessId};
use crate::world::World;
use squall_core::node::GoneWhy;
use squall_core::{Event, What};
use squall_engine::SessionId;
use squall_provisioner_sim::MachineState;
use squall_types::agent::{AgentOrder, AssignedPhase};
use squall_types::ids::Run;
use squall_types::{Assignment, JobKind, NodeId, NodeName, PoolName, Span};

/// Of a thousand published states, how many are compared and kept as a snapshot.
const LOOKED_AT: u32 = 15;
/// After so long a machine has been in complete listings.
const LISTED_AFTER: Span = Span::from_mins(5);

impl World {
    /// These events are on disk: from now on nothing takes them back but a restored backup.
    pub fn durable(&mut self, events: &[Event]) {
        for event in events {
            self.shadow.apply(event);
            self.history.take(event);
            match &event.what {
                What::OrderPlaced { request, .. } => {
                    let token = request.token.clone();
                    self.sites
                        .iter_mut()
                        .filter(|site| site.pool == request.pool)
                        .for_each(|site| site.cloud.announce(token.clone()));
                }
                What::PartEnded { run, node, .. } | What::PartGone { run, node } => self.known_dead(*run, *node),
                What::JobStarted { run } => self.job_started(*run),
                What::NodeGone { node, why, .. } => self.row_closes(*node, *why),
                What::StaticNodeAdded { node, name, .. } if self.declared.contains(name) => {
                    self.excused.insert(*node);
                }
                What::BackupRestored { .. } => self.restored = false,
                _ => {}
            }
        }
        self.history.committed();
        let found = std::mem::take(&mut self.history.found);
        self.wrongs(found);
    }

    /// J5: what is taken for dead is dead.
    fn known_dead(&mut self, run: Run, node: NodeId) {
        let lives = self.executions.living().any(|executed| executed.run == run && executed.node == node);
        if lives && !self.is_excused(node) {
            self.wrong(format!("J5: the part of {run} on node {node} is taken for dead and lives"));
        }
    }

    /// M4: a row is closed when its machine ends, and not before.
    fn row_closes(&mut self, id: NodeId, why: GoneWhy) {
        let Some(node) = self.shadow.nodes.get(&id) else { return };
        let (name, pool) = (node.name.clone(), node.pool.clone());
        if why == GoneWhy::NeverLaunched && !self.was_restored() {
            return self.never_launched(id, &name, &pool);
        }
        let Some(instance) = node.instance.clone().filter(|_| why != GoneWhy::Declared && !self.is_excused(id)) else {
            return;
        };
        let site = self.sites.iter().find(|site| site.pool == pool);
        let machine = site.and_then(|site| site.cloud.machine(&instance));
        if machine.is_some_and(|machine| matches!(machine.state, MachineState::Booting | MachineState::Running)) {
            self.wrong(format!("M4: row {name} is closed ({why:?}) while {instance} runs"));
        }
    }

    /// M5: what was given up as never launched does not run. What could not be seen is nobody's fault: a machine that
    /// lost its tags, that has only just come, or whose order's token the cloud forgot.
    fn never_launched(&mut self, id: NodeId, name: &NodeName, pool: &PoolName) {
        let order = self.history.order_of_node.get(&id).copied();
        let Some(site) = self.sites.iter().find(|site| site.pool == *pool) else { return };
        let forgot = site.cloud.fault_counts().get("token forgotten").is_some_and(|times| *times > 0);
        let seen_by = self.now - LISTED_AFTER;
        let there = site.cloud.machines().find(|machine| {
            let running = matches!(machine.state, MachineState::Booting | MachineState::Running);
            machine.ours
                && machine.order.is_some()
                && machine.order == order
                && machine.name.as_ref() == Some(name)
                && running
                && machine.launched_at < seen_by
        });
        if let Some(machine) = there.filter(|_| !forgot) {
            self.wrong(format!("M5: row {name} is closed as never launched while {} runs", machine.instance));
        }
    }

    fn job_started(&mut self, run: Run) {
        let Some(spec) = self.history.jobs.get(&run.job).map(|facts| facts.spec.clone()) else { return };
        if spec.kind == JobKind::Interactive {
            let runs_for = self.behaviour(&spec, run).runs_for;
            self.schedule(runs_for, Happening::FinishAllocation(run));
        }
    }

    /// What is said of it binds nobody: an admin declared it dead, it was cloned, or a backup was restored.
    pub fn is_excused(&self, node: NodeId) -> bool {
        self.excused.contains(&node) || self.was_restored()
    }

    pub fn was_restored(&self) -> bool {
        self.restorations > 0
    }

    /// Now and then what readers may see is compared with the fold, and kept as a snapshot.
    pub fn published(&mut self, id: ProcessId) {
        if self.leader != Some(id) || !self.dice.chance(LOOKED_AT) {
            return;
        }
        let Some(process) = self.processes.get(&id) else { return };
        if process.engine.committed().hash() != self.shadow.hash() {
            return self.wrong("what readers see is not what is durable".to_owned());
        }
        self.disk.take_snapshot(&self.shadow);
    }

    /// Whether what an agent is told rests on durable events alone.
    pub fn unfounded_order(&self, session: SessionId, order: &AgentOrder) -> Vec<String> {
        let Some(node) = self.sessions.get(&session).map(|session| session.node) else { return Vec::new() };
        match order {
            AgentOrder::FullSet { assignments, .. } => self.unfounded(node, assignments),
            AgentOrder::Delta { changed, removed, .. } => {
                let mut found = self.unfounded(node, changed);
                found.extend(removed.iter().filter_map(|run| self.unsettled(node, *run)));
                found
            }
            AgentOrder::Acknowledged { runs, .. } => runs.iter().filter_map(|run| self.unsettled(node, *run)).collect(),
            _ => Vec::new(),
        }
    }

    fn unfounded(&self, node: NodeId, assignments: &[Assignment]) -> Vec<String> {
        let unfounded = |assignment: &&Assignment| {
            let run = assignment.run;
            let granted =
                self.history.bound.get(&run).is_some_and(|bound| bound.allocations.contains(&assignment.allocation));
            let phase = match assignment.phase {
                AssignedPhase::Prepare => true,
                AssignedPhase::Run { .. } => self.history.started.contains_key(&run),
                AssignedPhase::Stop { .. } => self.history.was_stopped(run),
            };
            !granted || !phase
        };
        let found = assignments.iter().filter(unfounded);
        found
            .map(|assignment| {
                format!("node {node} is told {:?} of {}, which is not durable", assignment.phase, assignment.run)
            })
            .collect()
    }

    /// A result may be forgotten only when it is durable, or when no event ever asked for it.
    pub fn unsettled(&self, node: NodeId, run: Run) -> Option<String> {
        let asked =
            self.history.bound.get(&run).is_some_and(|bound| bound.allocations.iter().any(|held| held.node == node));
        let settled = !asked || self.history.dead.contains(&(run, node));
        (!settled).then(|| format!("node {node} may forget {run}, whose end is not durable"))
    }
}
