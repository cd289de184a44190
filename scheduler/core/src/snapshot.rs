//! The state as bytes: for snapshot files, for hashes that compare two states, and for tests of the look-ups.

use crate::accounts::{Accounts, AccountsChange};
use crate::budget::BudgetState;
use crate::cluster::{Cluster, Counters, Past};
use crate::config::ClusterConfig;
use crate::crontab::Crontab;
use crate::job::{ArrayRecord, Job};
use crate::kept::{KeptSpec, Shares};
use crate::node::Node;
use crate::order::{Order, PoolState};
use minicbor::{Decode, Encode};
use squall_types::{BudgetName, JobId, PoolName, SubmitToken, Timestamp, Uid};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format of the snapshots that this release writes.
pub const SNAPSHOT_VERSION: u32 = 1;

/// Specs of one array that are shared again on reading: an element is compared with no more.
const SPECS_SHARED: usize = 16;

/// The stored form. Specs of array elements that share their array's are left out and shared again on reading.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Stored {
    #[n(0)]
    version: u32,
    #[n(1)]
    config: ClusterConfig,
    #[n(2)]
    counters: Counters,
    #[n(3)]
    jobs: Vec<Job>,
    #[n(4)]
    arrays: Vec<ArrayRecord>,
    #[n(5)]
    nodes: Vec<Node>,
    #[n(6)]
    orders: Vec<Order>,
    #[n(7)]
    pools: Vec<(PoolName, PoolState)>,
    #[n(8)]
    budgets: Vec<(BudgetName, BudgetState)>,
    #[n(9)]
    alarm: Option<String>,
    #[n(10)]
    past: Past,
    #[n(11)]
    spent_tokens: Vec<((Timestamp, SubmitToken), JobId)>,
    /// All rows of the accounts. Snapshots from before there were any have none.
    #[n(12)]
    #[cbor(default)]
    accounts: Vec<AccountsChange>,
    #[n(13)]
    #[cbor(default)]
    crontabs: Vec<(Uid, Crontab)>,
}

/// A snapshot that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("the snapshot has version {0}, this release reads {SNAPSHOT_VERSION}")]
    Version(u32),
    #[error("the snapshot is damaged")]
    Damaged(#[from] minicbor::decode::Error),
}

impl Cluster {
    pub fn to_snapshot(&self) -> Vec<u8> {
        let stored = Stored {
            version: SNAPSHOT_VERSION,
            config: self.config.as_ref().clone(),
            counters: self.counters.clone(),
            jobs: self.jobs.values().cloned().collect(),
            arrays: self.arrays.values().cloned().collect(),
            nodes: self.nodes.values().cloned().collect(),
            orders: self.orders.values().cloned().collect(),
            pools: self.pools.iter().map(|(name, state)| (name.clone(), state.clone())).collect(),
            budgets: self.budgets.iter().map(|(name, state)| (name.clone(), state.clone())).collect(),
            alarm: self.alarm.clone(),
            past: self.past.as_ref().clone(),
            spent_tokens: self.spent_tokens.iter().map(|(key, job)| (key.clone(), *job)).collect(),
            accounts: self.accounts.rows(),
            crontabs: self.crontabs.iter().map(|(uid, crontab)| (*uid, crontab.clone())).collect(),
        };
        minicbor::to_vec(&stored).expect("writing to memory cannot fail")
    }

    /// # Errors
    /// Where the bytes are damaged or from a version that this release does not read.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Cluster, SnapshotError> {
        let stored: Stored = minicbor::decode(bytes)?;
        if stored.version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(stored.version));
        }
        let mut cluster = Cluster::new();
        cluster.config = Arc::new(stored.config);
        cluster.counters = stored.counters;
        cluster.alarm = stored.alarm;
        if !crate::canary::active("snapshot_forgets_the_past") {
            cluster.past = Arc::new(stored.past);
        }
        cluster.spent_tokens = stored.spent_tokens.into_iter().collect();
        let mut accounts = Accounts::default();
        for row in &stored.accounts {
            accounts.take_in(row);
        }
        cluster.accounts = Arc::new(accounts);
        cluster.crontabs = Arc::new(stored.crontabs.into_iter().collect());
        for (name, state) in stored.pools {
            cluster.pools.insert(name, state);
        }
        for (name, state) in stored.budgets {
            cluster.budgets.insert(name, state);
        }
        for array in stored.arrays {
            cluster.arrays.insert(array.array, array);
        }
        for node in stored.nodes {
            cluster.nodes.insert(node.id, node);
        }
        for order in stored.orders {
            cluster.orders.insert(order.id, order);
        }
        // Elements of one array share one spec again, or one for each group that was changed.
        let mut shared: BTreeMap<_, Vec<Arc<KeptSpec>>> = BTreeMap::new();
        let mut shares = Shares::default();
        for mut job in stored.jobs {
            job.spec = Arc::new(shares.share(Arc::unwrap_or_clone(job.spec)));
            shares.add(&job.spec);
            if let Some(array) = job.array() {
                let specs = shared.entry(array).or_default();
                match specs.iter().find(|spec| ***spec == *job.spec) {
                    Some(spec) => job.spec = spec.clone(),
                    None if specs.len() < SPECS_SHARED => specs.push(job.spec.clone()),
                    None => {}
                }
            }
            cluster.jobs.insert(job.id, job);
        }
        Ok(cluster.rebuild())
    }

    /// FNV-1a over the snapshot: equal states have equal hashes on every machine.
    pub fn hash(&self) -> u64 {
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        self.to_snapshot().iter().fold(0xcbf2_9ce4_8422_2325, fold)
    }

    /// The look-ups as they would be if they were built now: must equal those that were kept.
    pub(crate) fn index_is_true(&self) -> bool {
        self.clone().rebuild().index == self.index
    }
}
