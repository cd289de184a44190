//! How large a job is: what it was granted, or what it asks for. And the same in Slurm's words.

use crate::job::Job;
use squall_types::{Ask, CpuAsk, GpuAsk, GpuModel, MemoryAsk, size};

/// Amounts over all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    pub nodes: u32,
    pub max_nodes: u32,
    pub cpus: u32,
    pub tasks: u32,
    pub memory_mib: u64,
    pub gpus: u32,
}

impl Size {
    /// Of what it holds or claims; of what it asks for where that is nothing. An ended job keeps its count of nodes.
    pub(super) fn of(job: &Job, nodes_held: usize) -> Size {
        let allocations = job.allocations();
        if allocations.is_empty() {
            let nodes = (nodes_held > 0).then(|| small(nodes_held));
            return Size::asked(&job.spec.ask, nodes);
        }
        let nodes = small(allocations.len());
        allocations.iter().fold(
            Size { nodes, max_nodes: nodes, cpus: 0, tasks: 0, memory_mib: 0, gpus: 0 },
            |sum, held| Size {
                cpus: sum.cpus.saturating_add(held.cpus),
                tasks: sum.tasks.saturating_add(held.tasks),
                memory_mib: sum.memory_mib.saturating_add(held.memory_mib),
                gpus: sum.gpus.saturating_add(small(held.gpus.len())),
                ..sum
            },
        )
    }

    /// What a request comes to on `nodes` nodes, or on the fewest that will do. Memory is 0 where it is a share.
    pub fn asked(ask: &Ask, nodes: Option<u32>) -> Size {
        let max_nodes = nodes.unwrap_or_else(|| ask.max_nodes());
        let tasks = ask.task_count();
        // So many tasks, so many on each: that says how many nodes it takes.
        let by_tasks = ask.tasks.zip(ask.tasks_per_node).map(|(tasks, each)| tasks.div_ceil(each.max(1)));
        let nodes = nodes.or(ask.nodes.map(|_| ask.min_nodes())).or(by_tasks).unwrap_or_else(|| ask.min_nodes());
        let gpus = match ask.gpus {
            GpuAsk::None => 0,
            GpuAsk::PerNode(each, _) => u32::from(each).saturating_mul(nodes),
            GpuAsk::PerTask(each, _) => u32::from(each).saturating_mul(tasks),
            GpuAsk::Total(all, _) => all,
        };
        let cpus = match ask.cpus {
            CpuAsk::Share => tasks,
            CpuAsk::PerTask(each) => tasks.saturating_mul(each.max(1)),
            CpuAsk::PerGpu(each) => gpus.saturating_mul(each).max(tasks),
        };
        let cpus = cpus.max(nodes.saturating_mul(ask.min_cpus.max(1)));
        let memory_mib = match ask.memory {
            // The share of a node that is not chosen yet, or all of it: no number to show.
            MemoryAsk::Share | MemoryAsk::PerNode(0) => 0,
            MemoryAsk::PerNode(each) => each.saturating_mul(u64::from(nodes)),
            MemoryAsk::PerCpu(each) => each.saturating_mul(u64::from(cpus)),
            MemoryAsk::PerGpu(each) => each.saturating_mul(u64::from(gpus)),
        };
        Size { nodes, max_nodes: max_nodes.max(nodes), cpus, tasks, memory_mib, gpus }
    }

    /// `cpu=4,mem=16G,node=1,billing=4,gres/gpu=2,gres/gpu:h100=2`. Billing counts CPUs, as Slurm's default does.
    pub fn tres(&self, model: Option<&GpuModel>) -> String {
        let mut parts = vec![format!("cpu={}", self.cpus)];
        if self.memory_mib > 0 {
            parts.push(format!("mem={}", size::mib(self.memory_mib)));
        }
        parts.push(format!("node={}", self.nodes));
        parts.push(format!("billing={}", self.cpus));
        if self.gpus > 0 {
            parts.push(format!("gres/gpu={}", self.gpus));
            parts.extend(model.map(|model| format!("gres/gpu:{model}={}", self.gpus)));
        }
        parts.join(",")
    }
}

/// `gres:gpu:h100:4`, as `squeue`'s `%b` prints it; empty where nothing is asked for each node.
pub(super) fn tres_per_node(ask: &Ask) -> String {
    match &ask.gpus {
        GpuAsk::PerNode(count, None) if *count > 0 => format!("gres:gpu:{count}"),
        GpuAsk::PerNode(count, Some(model)) if *count > 0 => format!("gres:gpu:{model}:{count}"),
        _ => String::new(),
    }
}

fn small(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// What Slurm shows as the least memory: for each CPU or node, whichever was asked for.
pub(super) fn min_memory_mib(ask: &Ask, memory_mib: u64, nodes: u32) -> u64 {
    match ask.memory {
        MemoryAsk::PerCpu(each) => each,
        MemoryAsk::PerNode(each) if each > 0 => each,
        MemoryAsk::PerNode(_) | MemoryAsk::PerGpu(_) | MemoryAsk::Share => memory_mib / u64::from(nodes.max(1)),
    }
}

/// The fewest CPUs of each node: those of the tasks that it has for certain.
pub(super) fn min_cpus(ask: &Ask) -> u32 {
    let each = match ask.cpus {
        CpuAsk::PerTask(each) => each.max(1),
        CpuAsk::PerGpu(_) | CpuAsk::Share => 1,
    };
    ask.tasks_per_node.unwrap_or(1).max(1).saturating_mul(each).max(ask.min_cpus)
}
