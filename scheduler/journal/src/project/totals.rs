//! Sums over everything that ever was in the journal; what retention deletes stays counted.

use minicbor::{Decode, Encode};
use squall_types::{EndState, MicroUsd};
use std::collections::BTreeMap;

/// What was counted since the journal began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Totals {
    /// Submissions; an array is one.
    #[n(0)]
    pub submissions: u64,
    /// Jobs and array elements, whether they ran or not.
    #[n(1)]
    pub jobs: u64,
    /// Attempts that ran.
    #[n(2)]
    pub started: u64,
    #[n(3)]
    pub requeued: u64,
    /// Jobs and array elements by how they ended, in the order of [`EndState`].
    #[n(4)]
    pub ended: BTreeMap<EndState, u64>,
    #[n(5)]
    pub steps: u64,
    #[n(6)]
    pub nodes_added: u64,
    #[n(7)]
    pub nodes_gone: u64,
    #[n(8)]
    pub orders_placed: u64,
    #[n(9)]
    pub orders_failed: u64,
    /// Settled cost of all nodes that are gone.
    #[n(10)]
    pub spent: MicroUsd,
    /// What of it, and of the nodes that are not gone, receipts of jobs bear.
    #[n(11)]
    pub charged: MicroUsd,
}

impl Totals {
    pub fn ended(&self, end: EndState) -> u64 {
        self.ended.get(&end).copied().unwrap_or_default()
    }

    pub(crate) fn count_end(&mut self, end: EndState, jobs: u64) {
        *self.ended.entry(end).or_default() += jobs;
    }
}
