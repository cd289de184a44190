//! What nodes have and what jobs hold. CPUs are hardware threads, memory is MiB, GPUs are counted by model.

use crate::{GpuModel, IndexSet, NodeId};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// GPUs of one model in one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct GpuGroup {
    #[n(0)]
    pub model: GpuModel,
    #[n(1)]
    pub count: u16,
    /// Memory of one GPU in MiB; 0 where it is not known.
    #[n(2)]
    pub memory_mib: u64,
    /// Declared by configuration rather than measured from a device.
    #[n(3)]
    pub declared: bool,
}

/// All GPUs of a node. The index of a GPU counts through the groups in order: device 0 is the first of the first group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Gpus(#[n(0)] pub Vec<GpuGroup>);

impl Gpus {
    /// Each model, in the order of the node, with those of its indices that are among the given ones.
    pub fn by_model(&self, indices: &[u16]) -> impl Iterator<Item = (&GpuModel, IndexSet)> {
        let mut first = 0u16;
        self.0.iter().map(move |group| {
            let own = first..first.saturating_add(group.count);
            first = own.end;
            let among = indices.iter().filter(|index| own.contains(index));
            (&group.model, among.map(|index| u32::from(*index)).collect())
        })
    }

    pub fn count(&self) -> u16 {
        self.0.iter().map(|group| group.count).fold(0, u16::saturating_add)
    }

    /// Indices of the GPUs of `model`, or of all.
    pub fn indices(&self, model: Option<&GpuModel>) -> impl Iterator<Item = u16> {
        let mut first = 0u16;
        let mut found = Vec::new();
        for group in &self.0 {
            let next = first.saturating_add(group.count);
            if model.is_none_or(|wanted| *wanted == group.model) {
                found.extend(first..next);
            }
            first = next;
        }
        found.into_iter()
    }

    /// How many there are of `model`, or in all.
    pub fn count_of(&self, model: Option<&GpuModel>) -> u16 {
        let matching = self.0.iter().filter(|group| model.is_none_or(|wanted| *wanted == group.model));
        matching.map(|group| group.count).fold(0, u16::saturating_add)
    }

    pub fn model_of(&self, index: u16) -> Option<&GpuModel> {
        let mut left = index;
        self.0.iter().find_map(|group| match left.checked_sub(group.count) {
            None => Some(&group.model),
            Some(rest) => {
                left = rest;
                None
            }
        })
    }
}

/// What a node offers to jobs, as declared by an offer or measured by its agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Shape {
    /// Hardware threads.
    #[n(0)]
    pub cpus: u32,
    /// Physical cores; 0 where it is not known (then taken as `cpus`).
    #[n(1)]
    pub cores: u32,
    #[n(2)]
    pub memory_mib: u64,
    #[n(3)]
    pub gpus: Gpus,
    /// What `--constraint` can name.
    #[n(4)]
    pub features: BTreeSet<String>,
}

impl Shape {
    pub fn resources(&self) -> Resources {
        Resources { cpus: self.cpus, memory_mib: self.memory_mib, gpus: self.gpus.count() }
    }
}

/// An amount of the three things that are packed. Models of GPUs are matched before amounts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Resources {
    #[n(0)]
    pub cpus: u32,
    #[n(1)]
    pub memory_mib: u64,
    #[n(2)]
    pub gpus: u16,
}

impl Resources {
    pub fn fits_in(&self, free: &Resources) -> bool {
        self.cpus <= free.cpus && self.memory_mib <= free.memory_mib && self.gpus <= free.gpus
    }

    /// `None` where any part would be negative: such a subtraction is a bug upstream.
    pub fn checked_sub(&self, taken: &Resources) -> Option<Resources> {
        Some(Resources {
            cpus: self.cpus.checked_sub(taken.cpus)?,
            memory_mib: self.memory_mib.checked_sub(taken.memory_mib)?,
            gpus: self.gpus.checked_sub(taken.gpus)?,
        })
    }

    pub fn plus(&self, other: &Resources) -> Resources {
        Resources {
            cpus: self.cpus.saturating_add(other.cpus),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }

    /// What is left, and nothing where less than that was there.
    pub fn less(&self, taken: &Resources) -> Resources {
        Resources {
            cpus: self.cpus.saturating_sub(taken.cpus),
            memory_mib: self.memory_mib.saturating_sub(taken.memory_mib),
            gpus: self.gpus.saturating_sub(taken.gpus),
        }
    }

    /// The smaller amount of each kind.
    #[must_use]
    pub fn least(&self, other: &Resources) -> Resources {
        Resources {
            cpus: self.cpus.min(other.cpus),
            memory_mib: self.memory_mib.min(other.memory_mib),
            gpus: self.gpus.min(other.gpus),
        }
    }

    /// The larger amount of each kind.
    #[must_use]
    pub fn most(&self, other: &Resources) -> Resources {
        Resources {
            cpus: self.cpus.max(other.cpus),
            memory_mib: self.memory_mib.max(other.memory_mib),
            gpus: self.gpus.max(other.gpus),
        }
    }

    pub fn is_zero(&self) -> bool {
        *self == Resources::default()
    }
}

/// What one attempt holds on one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Allocation {
    #[n(0)]
    pub node: NodeId,
    #[n(1)]
    pub cpus: u32,
    #[n(2)]
    pub memory_mib: u64,
    /// Indices into the node's GPUs, ascending.
    #[n(3)]
    pub gpus: Vec<u16>,
    /// Tasks that the batch or interactive request lays on this node.
    #[n(4)]
    pub tasks: u32,
}

impl Allocation {
    pub fn resources(&self) -> Resources {
        Resources { cpus: self.cpus, memory_mib: self.memory_mib, gpus: self.gpus.len() as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpu_indices_count_through_the_groups() {
        let group = |model: &str, count| GpuGroup { model: model.into(), count, memory_mib: 0, declared: true };
        let gpus = Gpus(vec![group("a100", 2), group("t4", 3)]);
        assert_eq!(gpus.count(), 5);
        assert_eq!(gpus.indices(Some(&"t4".into())).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(gpus.model_of(1), Some(&"a100".into()));
        assert_eq!(gpus.model_of(2), Some(&"t4".into()));
        assert_eq!(gpus.model_of(5), None);
    }
}
