//! `srun` inside a job: which tasks run where.

use super::Reply;
use super::draft::Draft;
use crate::authz::{self, Object, Verb};
use crate::command::Caller;
use crate::event::What;
use crate::job::JobPhase;
use crate::node::Node;
use crate::refuse::Rejection;
use squall_types::api::{StepGrant, StepNode, StepRequest};
use squall_types::{Allocation, StepId};

/// A step may have at most so many tasks.
pub const MAX_STEP_TASKS: u32 = 1 << 20;

impl Draft<'_> {
    pub fn start_step(&mut self, caller: &Caller, request: &StepRequest) -> Result<Reply, Rejection> {
        let asked = format!("a step in job {}", request.job);
        let no_job = || Rejection::new("SQ1020", "Job/step already completing or completed").asked(asked.clone());
        let job = self.job(request.job).ok_or_else(|| {
            Rejection::new("SQ1001", "Invalid job id specified")
                .asked(asked.clone())
                .limit("the cluster does not know it")
        })?;
        authz::allow(caller, Verb::StartStep, Object::Job { uid: job.spec.uid })?;
        let JobPhase::Running { placement, .. } = &job.phase else {
            return Err(no_job().limit("the job does not run"));
        };
        if placement.is_suspended() {
            let refusal = Rejection::new("SQ1023", "Requested operation is presently disabled").asked(asked);
            return Err(refusal.limit("the job is suspended").try_this("again when an admin has resumed it"));
        }
        let usable = |held: &&Allocation| {
            self.cluster.nodes.get(&held.node).is_some_and(|node| {
                let wanted = request.node_list.is_empty() || request.node_list.contains(&node.name);
                wanted && !request.exclude.contains(&node.name)
            })
        };
        let mut chosen: Vec<&Allocation> = placement.allocations.iter().filter(usable).collect();
        if let Some(nodes) = request.nodes {
            if nodes as usize > chosen.len() {
                return Err(Rejection::new(
                    "SQ1021",
                    "Unable to create step: Requested node configuration is not available",
                )
                .asked(format!("--nodes={nodes}"))
                .limit(format!("the job has {} nodes that the step may use", chosen.len()))
                .try_this(format!("--nodes={}", chosen.len())));
            }
            chosen.truncate(nodes.max(1) as usize);
        }
        if chosen.is_empty() {
            return Err(no_job().limit("none of the job's nodes is named by the step"));
        }
        let tasks = match (request.tasks, request.tasks_per_node) {
            (Some(tasks), _) => tasks.max(1),
            (None, Some(each)) => each.max(1).saturating_mul(chosen.len() as u32),
            (None, None) if request.nodes.is_some() => chosen.len() as u32,
            (None, None) => chosen.iter().map(|held| held.tasks.max(1)).sum(),
        };
        if tasks.saturating_add(request.first_rank) > MAX_STEP_TASKS {
            return Err(Rejection::new("SQ1022", "Unable to create step: More processors requested than permitted")
                .asked(format!("{tasks} tasks"))
                .limit(format!("a step has at most {MAX_STEP_TASKS}")));
        }
        // Fewer tasks than nodes leave the last nodes out, as Slurm does with a warning.
        chosen.truncate(tasks as usize);
        let mut ranks = lay_out(&chosen, tasks, request);
        ranks.iter_mut().flatten().for_each(|rank| *rank += request.first_rank);
        let run = job.run();
        let step = StepId(job.next_step);
        let nodes: Vec<StepNode> = chosen
            .iter()
            .zip(ranks)
            .filter_map(|(held, ranks)| self.cluster.nodes.get(&held.node).map(|node| step_node(node, held, ranks)))
            .collect();
        let cpus = nodes.iter().map(|node| node.cpus).sum();
        let ids = chosen.iter().map(|held| held.node).collect();
        self.emit(What::StepStarted { run, step, name: request.name.clone(), nodes: ids, tasks, cpus });
        let grant = StepGrant { run, step, nodes, tasks, credential: Vec::new(), ca_pem: String::new() };
        Ok(Reply::Step(Box::new(grant)))
    }
}

fn step_node(node: &Node, held: &Allocation, ranks: Vec<u32>) -> StepNode {
    let address = node.measured.as_ref().map(|measured| measured.address.clone()).unwrap_or_default();
    StepNode { name: node.name.clone(), address, ranks, cpus: held.cpus, gpus: held.gpus.clone() }
}

/// Ranks for each node: block fills nodes in order as their tasks (else CPUs) allow, cyclic deals them out in turn.
fn lay_out(chosen: &[&Allocation], tasks: u32, request: &StepRequest) -> Vec<Vec<u32>> {
    let mut ranks = vec![Vec::new(); chosen.len()];
    let nodes = chosen.len() as u32;
    if request.cyclic {
        (0..tasks).for_each(|rank| ranks[(rank % nodes) as usize].push(rank));
        return ranks;
    }
    let mut next = 0;
    for (at, mine) in ranks.iter_mut().enumerate() {
        let left = tasks - next;
        let nodes_left = nodes - at as u32;
        let share = request.tasks_per_node.unwrap_or_else(|| left.div_ceil(nodes_left)).min(left);
        let share = if at as u32 + 1 == nodes { left } else { share };
        mine.extend(next..next + share);
        next += share;
    }
    ranks
}
