//! What a job asks for, as it was asked, and what that means on a node of a given shape.
//!
//! The planner needs one question answered: how many of the job's *units* can this node take, and
//! what would it hold then? A unit is a task, or a GPU where only a total of GPUs was asked for.

use crate::{GpuModel, Resources, Shape};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// `-N`: how many nodes, from the smallest to the largest that will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct NodeCount {
    #[n(0)]
    pub min: u32,
    #[n(1)]
    pub max: u32,
}

/// CPUs as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub enum CpuAsk {
    /// Nothing asked: one per task, or the share of the node that goes with the job's GPUs.
    #[n(0)]
    Share,
    #[n(1)]
    PerTask(#[n(0)] u32),
    #[n(2)]
    PerGpu(#[n(0)] u32),
}

/// Memory as asked, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub enum MemoryAsk {
    /// Nothing asked: the share of the node that goes with the job's GPUs, else with its CPUs.
    #[n(0)]
    Share,
    /// `--mem`; 0 asks for all of the node, as in Slurm.
    #[n(1)]
    PerNode(#[n(0)] u64),
    #[n(2)]
    PerCpu(#[n(0)] u64),
    #[n(3)]
    PerGpu(#[n(0)] u64),
}

/// GPUs as asked; `None` in the model means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub enum GpuAsk {
    #[default]
    #[n(0)]
    None,
    /// `--gres=gpu:N`, `--gpus-per-node=N`.
    #[n(1)]
    PerNode(#[n(0)] u16, #[n(1)] Option<GpuModel>),
    /// `--gpus-per-task=N`.
    #[n(2)]
    PerTask(#[n(0)] u16, #[n(1)] Option<GpuModel>),
    /// `--gpus=N` over all nodes.
    #[n(3)]
    Total(#[n(0)] u32, #[n(1)] Option<GpuModel>),
}

impl GpuAsk {
    pub fn model(&self) -> Option<&GpuModel> {
        match self {
            GpuAsk::None => None,
            GpuAsk::PerNode(_, model) | GpuAsk::PerTask(_, model) | GpuAsk::Total(_, model) => model.as_ref(),
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, GpuAsk::None | GpuAsk::PerNode(0, _) | GpuAsk::PerTask(0, _) | GpuAsk::Total(0, _))
    }
}

/// The size of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Ask {
    /// `None` lets the planner use as few nodes as will do.
    #[n(0)]
    pub nodes: Option<NodeCount>,
    /// `-n`; `None` means one per node, or what `--ntasks-per-node` makes of it.
    #[n(1)]
    pub tasks: Option<u32>,
    #[n(2)]
    pub tasks_per_node: Option<u32>,
    #[n(3)]
    pub cpus: CpuAsk,
    #[n(4)]
    pub memory: MemoryAsk,
    #[n(5)]
    pub gpus: GpuAsk,
    /// `--exclusive`: whole nodes, shared with nobody.
    #[n(6)]
    pub exclusive: bool,
    /// `--mincpus`: no node with fewer.
    #[n(7)]
    pub min_cpus: u32,
}

impl Default for Ask {
    fn default() -> Self {
        Ask {
            nodes: None,
            tasks: None,
            tasks_per_node: None,
            cpus: CpuAsk::Share,
            memory: MemoryAsk::Share,
            gpus: GpuAsk::None,
            exclusive: false,
            min_cpus: 0,
        }
    }
}

/// How the parts of a job that can be moved between nodes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// How many in all.
    pub total: u32,
    /// Tasks that come with one unit; 0 where every node has one task whatever it holds.
    pub tasks: u32,
    /// GPUs that come with one unit.
    pub gpus: u16,
    /// Exactly so many on each node where that was asked.
    pub per_node: Option<u32>,
}

impl Ask {
    /// The fewest nodes that were asked for.
    pub fn min_nodes(&self) -> u32 {
        self.nodes.map_or(1, |count| count.min.max(1))
    }

    /// The most nodes that may be used.
    pub fn max_nodes(&self) -> u32 {
        self.nodes.map_or_else(|| self.units().total.max(1), |count| count.max.max(1))
    }

    /// Tasks in all, where the request fixes it; else for the fewest nodes.
    pub fn task_count(&self) -> u32 {
        match (self.tasks, self.tasks_per_node) {
            (Some(tasks), _) => tasks.max(1),
            (None, Some(each)) => each.max(1).saturating_mul(self.min_nodes()),
            (None, None) => self.min_nodes(),
        }
    }

    /// What can be moved between nodes, and how much of it there is.
    pub fn units(&self) -> Units {
        let tasks = self.task_count();
        if let GpuAsk::Total(total, _) = self.gpus
            && total > 0
        {
            return if self.tasks.is_some() && total.is_multiple_of(tasks) {
                Units { total: tasks, tasks: 1, gpus: (total / tasks) as u16, per_node: self.tasks_per_node }
            } else {
                let per_gpu = if self.tasks.is_some() && tasks.is_multiple_of(total) { tasks / total } else { 0 };
                Units { total, tasks: per_gpu, gpus: 1, per_node: None }
            };
        }
        let gpus = match self.gpus {
            GpuAsk::PerTask(each, _) => each,
            _ => 0,
        };
        Units { total: tasks, tasks: 1, gpus, per_node: self.tasks_per_node }
    }

    /// What `units` of this job hold on a node of `shape`; `None` where the shape can never hold that much
    /// or has not the model. The GPUs of another model in the shape do not count.
    pub fn need(&self, shape: &Shape, units: u32) -> Option<Resources> {
        let model = self.gpus.model();
        let of_model = shape.gpus.count_of(model);
        let unit = self.units();
        let gpus = match self.gpus {
            GpuAsk::PerNode(each, _) => u32::from(each),
            _ => u32::from(unit.gpus).checked_mul(units)?,
        };
        let tasks = if unit.tasks == 0 { 1 } else { unit.tasks.checked_mul(units)? };
        if gpus > u32::from(of_model) || (shape.cpus < self.min_cpus) {
            return None;
        }
        let whole = shape.resources();
        if self.exclusive {
            let cpus = self.cpus_for(shape, gpus, tasks)?;
            let memory_mib = self.memory_for(shape, gpus, cpus)?;
            return (cpus <= whole.cpus && memory_mib <= whole.memory_mib).then_some(whole);
        }
        let cpus = self.cpus_for(shape, gpus, tasks)?.max(1);
        let memory_mib = self.memory_for(shape, gpus, cpus)?;
        let need = Resources { cpus, memory_mib, gpus: gpus as u16 };
        need.fits_in(&whole).then_some(need)
    }

    fn cpus_for(&self, shape: &Shape, gpus: u32, tasks: u32) -> Option<u32> {
        let all_gpus = u32::from(shape.gpus.count()).max(1);
        match self.cpus {
            CpuAsk::PerTask(each) => tasks.checked_mul(each.max(1)),
            CpuAsk::PerGpu(each) => gpus.checked_mul(each).map(|cpus| cpus.max(tasks)),
            // The share that goes with the GPUs is at least one CPU a task and never more than the node has.
            CpuAsk::Share if gpus > 0 => Some((shape.cpus.checked_mul(gpus)? / all_gpus).max(tasks)),
            CpuAsk::Share => Some(tasks),
        }
    }

    fn memory_for(&self, shape: &Shape, gpus: u32, cpus: u32) -> Option<u64> {
        let part = |of: u64, whole: u64| shape.memory_mib.checked_mul(of).map(|product| product / whole.max(1));
        match self.memory {
            MemoryAsk::PerNode(0) => Some(shape.memory_mib),
            MemoryAsk::PerNode(mib) => Some(mib),
            MemoryAsk::PerCpu(mib) => mib.checked_mul(u64::from(cpus)),
            MemoryAsk::PerGpu(mib) => mib.checked_mul(u64::from(gpus)),
            MemoryAsk::Share if gpus > 0 => part(u64::from(gpus), u64::from(shape.gpus.count())),
            MemoryAsk::Share => part(u64::from(cpus), u64::from(shape.cpus)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GpuGroup, Gpus};

    fn node() -> Shape {
        let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: 8, memory_mib: 81_559, declared: false }]);
        Shape { cpus: 96, cores: 48, memory_mib: 960_000, gpus, features: Default::default() }
    }

    #[test]
    fn a_gpu_brings_its_share_of_cores_and_memory() {
        let ask = Ask { gpus: GpuAsk::PerNode(2, None), ..Ask::default() };
        assert_eq!(ask.need(&node(), 1), Some(Resources { cpus: 24, memory_mib: 240_000, gpus: 2 }));
    }

    #[test]
    fn memory_of_zero_is_the_whole_node() {
        let ask = Ask { memory: MemoryAsk::PerNode(0), ..Ask::default() };
        assert_eq!(ask.need(&node(), 1), Some(Resources { cpus: 1, memory_mib: 960_000, gpus: 0 }));
    }

    #[test]
    fn a_total_of_gpus_is_counted_in_gpus() {
        let ask = Ask { gpus: GpuAsk::Total(12, None), ..Ask::default() };
        assert_eq!(ask.units(), Units { total: 12, tasks: 0, gpus: 1, per_node: None });
        assert_eq!(ask.need(&node(), 8).map(|need| need.gpus), Some(8));
        assert_eq!(ask.need(&node(), 9), None);
    }

    #[test]
    fn another_model_does_not_fit() {
        let ask = Ask { gpus: GpuAsk::PerNode(1, Some("a100".into())), ..Ask::default() };
        assert_eq!(ask.need(&node(), 1), None);
    }

    #[test]
    fn numbers_out_of_range_are_no_fit_rather_than_an_overflow() {
        let ask = Ask { tasks: Some(u32::MAX), cpus: CpuAsk::PerTask(u32::MAX), ..Ask::default() };
        assert_eq!(ask.need(&node(), u32::MAX), None);
        let ask = Ask { memory: MemoryAsk::PerCpu(u64::MAX), cpus: CpuAsk::PerTask(2), ..Ask::default() };
        assert_eq!(ask.need(&node(), 1), None);
    }
}
