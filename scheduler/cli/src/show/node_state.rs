//! What a node's state is called, with Slurm's suffixes.

use squall_types::api::{NodeCondition, NodeView};
use squall_types::{GpuModel, IndexSet};

/// The state of a node in three forms, and where it stands in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateWords {
    /// `sinfo %t`.
    pub compact: &'static str,
    /// `sinfo %T`.
    pub long: &'static str,
    /// `scontrol show node`.
    pub base: &'static str,
    pub flags: &'static [&'static str],
    /// `~` powered down, `#` powering up, `%` powering down; a `*` for lost contact is added by [`suffix`].
    pub sign: &'static str,
    /// Larger ones come first, as the bits of Slurm's flags have it.
    pub rank: u32,
}

/// How the node's state is called.
pub fn words(node: &NodeView) -> StateWords {
    let busy = |compact, long, base, rank| StateWords { compact, long, base, flags: &[], sign: "", rank };
    let by_use = match node.cpus_used {
        0 => busy("idle", "idle", "IDLE", 2),
        used if used >= node.shape.cpus => busy("alloc", "allocated", "ALLOCATED", 3),
        _ => busy("mix", "mixed", "MIXED", 5),
    };
    let flagged = |sign, flags, rank| StateWords { sign, flags, rank: by_use.rank + rank, ..by_use };
    let called = |compact, long, flags, rank| StateWords { compact, long, flags, rank: by_use.rank + rank, ..by_use };
    match node.condition {
        NodeCondition::PoweredDown => flagged("~", &["CLOUD", "POWERED_DOWN"], 0x1000),
        NodeCondition::PoweringUp => flagged("#", &["CLOUD", "POWERING_UP"], 0x4000),
        NodeCondition::PoweringDown => flagged("%", &["CLOUD", "POWERING_DOWN"], 0x4_0000),
        NodeCondition::Idle => busy("idle", "idle", "IDLE", 2),
        NodeCondition::Mixed => busy("mix", "mixed", "MIXED", 5),
        NodeCondition::Allocated => busy("alloc", "allocated", "ALLOCATED", 3),
        NodeCondition::Completing => called("comp", "completing", &["COMPLETING"], 0x400),
        NodeCondition::Draining => called("drng", "draining", &["DRAIN"], 0x200),
        NodeCondition::Drained => called("drain", "drained", &["DRAIN"], 0x200),
        NodeCondition::Quarantined => called("drain", "drained", &["DRAIN", "INVALID_REG"], 0x200),
        NodeCondition::Down => busy("down", "down", "DOWN", 1),
    }
}

/// What follows the word: the sign of its power, or the star of lost contact.
pub fn suffix(node: &NodeView) -> &'static str {
    let sign = words(node).sign;
    if sign.is_empty() && !node.contact { "*" } else { sign }
}

/// How nodes are counted in `A/I/O/T`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Allocated,
    Idle,
    Other,
}

pub fn share(node: &NodeView) -> Share {
    match node.condition {
        NodeCondition::Draining | NodeCondition::Drained | NodeCondition::Quarantined | NodeCondition::Down => {
            Share::Other
        }
        NodeCondition::Mixed | NodeCondition::Allocated | NodeCondition::Completing => Share::Allocated,
        _ if node.cpus_used > 0 => Share::Allocated,
        _ => Share::Idle,
    }
}

/// `gpu:h100:4`, as Slurm writes what a node has; empty where that is nothing.
pub fn gres(node: &NodeView) -> String {
    let groups = node.shape.gpus.0.iter().map(|group| format!("gpu:{}:{}", group.model, group.count));
    groups.collect::<Vec<_>>().join(",")
}

/// `gpu:h100:2(IDX:0-1)`.
pub fn gres_used(node: &NodeView) -> String {
    let part = |(model, used): (&GpuModel, IndexSet)| {
        let indices = if used.is_empty() { "N/A".to_owned() } else { used.to_string() };
        format!("gpu:{model}:{}(IDX:{indices})", used.len())
    };
    let parts: Vec<String> = node.shape.gpus.by_model(&node.gpus_used).map(part).collect();
    parts.join(",")
}
