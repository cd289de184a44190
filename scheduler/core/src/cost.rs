//! What a job owes for a node, and what a node costs.
//!
//! Rule: a job bears the mean of its shares of the node's CPUs, memory and GPUs (kinds that the node has), for as
//! long as it was bound there. The shares of all jobs on a node never exceed the whole, so that receipts and the
//! idle tail add up to the ledger.

use crate::node::Node;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use squall_types::{Allocation, HourlyPrice, MicroUsd, NodeId, Shape, Span, Timestamp};

/// A part of a node's cost that a job's receipt bears.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Charge {
    #[n(0)]
    pub node: NodeId,
    #[n(1)]
    pub what: ChargeKind,
    #[n(2)]
    pub amount: MicroUsd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum ChargeKind {
    /// Its share of the node while it ran.
    #[n(0)]
    Run,
    /// The boot of a node that was bought for it.
    #[n(1)]
    Boot,
}

/// A part of a node, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

impl Share {
    const WHOLE: i128 = 1_000_000;

    /// Rounded down, so that parts never exceed the whole.
    pub fn of_money(self, whole: MicroUsd) -> MicroUsd {
        MicroUsd((i128::from(whole.0) * i128::from(self.0) / Self::WHOLE) as i64)
    }

    pub fn of_millis(self, whole: i64) -> i64 {
        (i128::from(whole) * i128::from(self.0) / Self::WHOLE) as i64
    }
}

pub fn share_of(shape: &Shape, held: &Allocation) -> Share {
    let parts = [
        (held.cpus as u64, shape.cpus as u64),
        (held.memory_mib, shape.memory_mib),
        (held.gpus.len() as u64, u64::from(shape.gpus.count())),
    ];
    let known = parts.iter().filter(|(_, whole)| *whole > 0);
    let kinds = known.clone().count().max(1) as u128;
    let sum: u128 = known.map(|(part, whole)| u128::from((*part).min(*whole)) * 1_000_000 / u128::from(*whole)).sum();
    Share((sum / kinds) as u32)
}

/// The cost of `span` at `price`, rounded down: for receipts, whose sum must not exceed the ledger.
pub fn cost_down(price: HourlyPrice, span: Span) -> MicroUsd {
    MicroUsd((i128::from(price.0) * i128::from(span.0.max(0)) / 3_600_000) as i64)
}

/// What a node has cost by `now`, its minimum included. A node that was never launched costs nothing.
pub fn node_cost(node: &Node, now: Timestamp) -> MicroUsd {
    let Some(launched_at) = node.launched_at else { return MicroUsd::ZERO };
    let since = if crate::canary::active("billed_from_the_order") { node.created_at } else { launched_at };
    let span = now.since(since).max(node.offer.minimum_billed);
    node.offer.price.cost_of(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::{GpuGroup, Gpus, NodeId};

    #[test]
    fn shares_of_all_jobs_on_a_node_never_exceed_it() {
        let gpus = Gpus(vec![GpuGroup { model: "h100".into(), count: 3, memory_mib: 0, declared: true }]);
        let shape = Shape { cpus: 7, cores: 7, memory_mib: 1001, gpus, features: Default::default() };
        let part = |cpus, memory_mib, gpus| Allocation { node: NodeId(1), cpus, memory_mib, gpus, tasks: 1 };
        let all = [part(3, 500, vec![0]), part(4, 0, vec![1, 2]), part(0, 501, vec![])];
        let sum: u32 = all.iter().map(|allocation| share_of(&shape, allocation).0).sum();
        assert!(sum <= 1_000_000, "{sum}");
        assert_eq!(share_of(&shape, &part(7, 1001, vec![0, 1, 2])), Share(1_000_000));
    }
}
