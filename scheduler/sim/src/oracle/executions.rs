//! What was executed, counted where it happened and not by anybody's records.

use super::history::History;
use squall_types::agent::AssignedPhase;
use squall_types::ids::Run;
use squall_types::{Assignment, NodeId, NodeName, Shape, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// One execution of one part of an attempt.
#[derive(Clone, Debug)]
pub struct Executed {
    pub run: Run,
    pub node: NodeId,
    /// Which machine, told apart from clones that bear its name.
    pub machine: usize,
    pub rank: u32,
    pub cpus: u32,
    pub memory_mib: u64,
    pub gpus: Vec<u16>,
    pub at: Timestamp,
}

/// All that ever was executed, and what of it lives.
#[derive(Default)]
pub struct Executions {
    done: BTreeMap<(Run, u32), Executed>,
    alive: BTreeMap<(usize, Run), Executed>,
    /// Parts set up on their machines, before anything ran.
    prepared: BTreeMap<Run, u32>,
    pub count: u64,
}

impl Executions {
    pub fn prepared(&mut self, run: Run) {
        *self.prepared.entry(run).or_default() += 1;
    }

    /// Takes in an execution, and says everything that forbids it.
    pub fn execute(
        &mut self,
        history: &History,
        excused: &BTreeSet<NodeId>,
        machine: usize,
        shape: &Shape,
        assignment: &Assignment,
        at: Timestamp,
        names: &[NodeName],
    ) -> Vec<String> {
        let run = assignment.run;
        let held = &assignment.allocation;
        let executed = Executed {
            run,
            node: held.node,
            machine,
            rank: assignment.detail.rank,
            cpus: held.cpus,
            memory_mib: held.memory_mib,
            gpus: held.gpus.clone(),
            at,
        };
        let mut found = Vec::new();
        if !matches!(assignment.phase, AssignedPhase::Run { .. } | AssignedPhase::Stop { .. }) {
            found.push(format!("{run} is executed although it is only to be prepared"));
        }
        // J4: once, and only what the durable history granted there.
        if let Some(before) = self.done.get(&(run, executed.rank)) {
            found.push(format!(
                "J4: rank {} of {run} is executed on machine {machine}, after machine {} at {}",
                executed.rank, before.machine, before.at.0
            ));
        }
        match history.bound.get(&run) {
            None => found.push(format!("J4: {run} is executed and no durable event grants it")),
            Some(bound) if !bound.allocations.contains(held) => {
                found.push(format!("J4: {run} is executed on node {} with {held:?}, granted {bound:?}", held.node));
            }
            Some(bound) if bound.allocations.len() > 1 => {
                let ready = self.prepared.get(&run).copied().unwrap_or(0);
                if (ready as usize) < bound.allocations.len() {
                    found.push(format!(
                        "G3: gang {run} runs with {ready} of {} parts prepared",
                        bound.allocations.len()
                    ));
                }
            }
            Some(_) => {}
        }
        // G4: what was bought is there, or is not used.
        let order = history.order_of_node.get(&held.node);
        let order = order.and_then(|order| history.orders.values().find(|request| request.order == *order));
        if let Some(request) = order.filter(|request| request.offer.shape.gpus.count() > shape.gpus.count()) {
            let (has, bought) = (shape.gpus.count(), request.offer.shape.gpus.count());
            found.push(format!("G4: {run} is executed on machine {machine}, which has {has} of {bought} GPUs"));
        }
        if !history.started.contains_key(&run) {
            found.push(format!("J4: {run} is executed and no durable event starts it"));
        }
        // J5: nothing else of this job lives.
        for other in self
            .alive
            .values()
            .filter(|other| other.run.job == run.job && other.run != run && !excused.contains(&other.node))
        {
            found.push(format!("J5: {run} is executed while {} lives on machine {}", other.run, other.machine));
        }
        self.room(machine, shape, &executed, &mut found);
        if names.len() != assignment.detail.nodes.len() {
            found.push(format!("{run} is told of {} nodes", assignment.detail.nodes.len()));
        }
        self.count += 1;
        self.done.insert((run, executed.rank), executed.clone());
        self.alive.insert((machine, run), executed);
        found
    }

    /// G1, G2, G4: what a machine really has is given out once.
    fn room(&self, machine: usize, shape: &Shape, executed: &Executed, found: &mut Vec<String>) {
        let run = executed.run;
        let beside = || self.alive.iter().filter(|((at, _), _)| *at == machine).map(|(_, other)| other);
        for other in beside() {
            if let Some(gpu) = other.gpus.iter().find(|gpu| executed.gpus.contains(gpu)) {
                found.push(format!("G1: GPU {gpu} of machine {machine} is used by {} and {run}", other.run));
            }
        }
        if let Some(gpu) = executed.gpus.iter().find(|gpu| **gpu >= shape.gpus.count()) {
            found.push(format!("G4: {run} is to use GPU {gpu}, machine {machine} has {}", shape.gpus.count()));
        }
        let cpus: u32 = beside().map(|other| other.cpus).sum::<u32>() + executed.cpus;
        let memory: u64 = beside().map(|other| other.memory_mib).sum::<u64>() + executed.memory_mib;
        if cpus > shape.cpus || memory > shape.memory_mib {
            found.push(format!("G2: machine {machine} runs {cpus} CPUs and {memory} MiB with {run}"));
        }
    }

    pub fn ended(&mut self, machine: usize, run: Run) {
        self.alive.remove(&(machine, run));
    }

    /// What lives on one machine.
    pub fn on(&self, machine: usize) -> impl Iterator<Item = &Executed> {
        self.alive.values().filter(move |executed| executed.machine == machine)
    }

    pub fn living(&self) -> impl Iterator<Item = &Executed> {
        self.alive.values()
    }
}
