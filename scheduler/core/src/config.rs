//! What an admin configured, as it entered the state by an event. Files and units are the controller's affair.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use squall_types::{
    AccountName, BudgetName, JobId, MicroUsd, NodeName, Offer, PartitionName, PoolName, QosName, Shape, Span,
    SwitchName, Uid,
};
use std::collections::{BTreeMap, BTreeSet};

/// The whole configuration: applied all at once or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct ClusterConfig {
    #[n(0)]
    pub cluster: String,
    #[n(1)]
    pub first_job: JobId,
    #[n(2)]
    pub partitions: BTreeMap<PartitionName, PartitionConfig>,
    #[n(3)]
    pub pools: BTreeMap<PoolName, PoolConfig>,
    #[n(4)]
    pub budgets: BTreeMap<BudgetName, BudgetConfig>,
    #[n(5)]
    pub default_account: AccountName,
    /// Empty means that every account name is accepted.
    #[n(6)]
    pub accounts: BTreeSet<AccountName>,
    /// Besides root.
    #[n(7)]
    pub admins: BTreeSet<Uid>,
    #[n(8)]
    pub limits: Limits,
    #[n(9)]
    pub timing: Timing,
    #[n(10)]
    pub priority: PriorityWeights,
    #[n(11)]
    #[cbor(default)]
    pub enforce: Enforce,
    /// What nodes hang on, so that nodes of one job are near each other.
    #[n(12)]
    #[cbor(default)]
    pub switches: BTreeMap<SwitchName, SwitchConfig>,
}

/// A switch as in Slurm's `topology.conf`: nodes hang on it, or other switches do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct SwitchConfig {
    /// A hostlist.
    #[n(0)]
    pub nodes: String,
    #[n(1)]
    pub switches: Vec<SwitchName>,
}

/// Slurm's AccountingStorageEnforce: what of the accounts holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Enforce {
    /// Only users in an account may submit.
    #[n(0)]
    pub associations: bool,
    /// Limits that are set hold.
    #[n(1)]
    pub limits: bool,
    /// A job's quality of service has to be one that its user may name.
    #[n(2)]
    pub qos: bool,
}

/// Bounds on what one user's input can make of the state.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Limits {
    /// Jobs that have not ended; an array counts as one until its elements start.
    #[n(0)]
    pub max_jobs: u32,
    /// Slurm's MaxArraySize: indices are below it.
    #[n(1)]
    pub max_array_size: u32,
    #[n(2)]
    pub max_script_bytes: u32,
    #[n(3)]
    pub max_environment_bytes: u32,
    /// Attempts that end by no fault of the job before it is held.
    #[n(4)]
    pub max_requeues: u32,
    #[n(5)]
    pub max_dependency_terms: u32,
    /// Nodes that all pools together may have.
    #[n(6)]
    pub max_nodes: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Timing {
    /// How long an ended job stays in memory and `squeue -t all`.
    #[n(0)]
    pub min_job_age: Span,
    /// Between SIGTERM and SIGKILL.
    #[n(1)]
    pub kill_wait: Span,
    /// Demand is collected until nothing came for so long …
    #[n(2)]
    pub batch_idle: Span,
    /// … or for so long in all, before anything is bought.
    #[n(3)]
    pub batch_max: Span,
    /// An agent not heard for so long has no contact.
    #[n(4)]
    pub contact_timeout: Span,
    /// First delay of a requeue after a failure that was not the job's; doubles to `requeue_max`.
    #[n(5)]
    pub requeue_after: Span,
    #[n(6)]
    pub requeue_max: Span,
    /// An unknown instance is retired after so long.
    #[n(7)]
    pub orphan_grace: Span,
    /// Gone nodes and closed orders stay in memory for so long.
    #[n(8)]
    pub ledger_age: Span,
}

/// Points added to a job's rank; ages are compared, so they need no weight of their own.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PriorityWeights {
    /// How much waiting one point of priority is worth.
    #[n(0)]
    pub point: Span,
    /// What a job without waiting, nice or boosts prints as its priority.
    #[n(1)]
    pub base: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PartitionConfig {
    /// In order of preference.
    #[n(0)]
    pub pools: Vec<PoolName>,
    #[n(1)]
    pub default: bool,
    #[n(2)]
    pub up: bool,
    #[n(3)]
    pub max_time: Option<Span>,
    #[n(4)]
    pub default_time: Option<Span>,
    #[n(5)]
    pub max_nodes: Option<u32>,
    #[n(6)]
    pub def_mem_per_cpu: Option<u64>,
    #[n(7)]
    pub def_mem_per_gpu: Option<u64>,
    #[n(8)]
    pub def_mem_per_node: Option<u64>,
    #[n(9)]
    pub def_cpu_per_gpu: Option<u32>,
    #[n(10)]
    pub allow_accounts: BTreeSet<AccountName>,
    #[n(11)]
    pub priority_tier: u32,
    /// Interruptible capacity for all of its jobs.
    #[n(12)]
    pub spot: bool,
    /// Slurm's JobRequeue.
    #[n(13)]
    pub requeue: bool,
    #[n(14)]
    pub exclusive: bool,
    #[n(15)]
    pub max_mem_per_node: Option<u64>,
    #[n(16)]
    #[cbor(default)]
    pub deny_accounts: BTreeSet<AccountName>,
    /// Names; empty allows every group.
    #[n(17)]
    #[cbor(default)]
    pub allow_groups: BTreeSet<String>,
    #[n(18)]
    #[cbor(default)]
    pub allow_qos: BTreeSet<QosName>,
    #[n(19)]
    #[cbor(default)]
    pub deny_qos: BTreeSet<QosName>,
    /// Its limits hold for all jobs here.
    #[n(20)]
    pub qos: Option<QosName>,
    /// How many jobs that cannot start are promised one at a time; `None` means `RESERVATION_DEPTH`.
    #[n(21)]
    pub reservation_depth: Option<u32>,
}

/// Starts that a partition promises where its configuration does not say. With fewer of them short jobs pass by long ones
/// more easily and the mean wait is less; with more of them more jobs know when they will start, and nobody can delay it.
/// One is the EASY backfilling of Lifka (1995), as many as there are jobs the conservative one of Mu'alem and Feitelson
/// (2001).
pub const RESERVATION_DEPTH: u32 = 100;

impl PartitionConfig {
    pub fn reservation_depth(&self) -> u32 {
        self.reservation_depth.unwrap_or(RESERVATION_DEPTH)
    }
}

/// Nodes alike enough to swap.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PoolConfig {
    /// Which provisioner serves it; empty for static nodes alone.
    #[n(0)]
    pub provisioner: String,
    /// What may be bought. What a provider says of price and shape replaces these by an event.
    #[n(1)]
    pub offers: Vec<Offer>,
    /// Machines that are there whatever the demand.
    #[n(2)]
    pub static_nodes: BTreeMap<NodeName, Shape>,
    #[n(3)]
    pub min_nodes: u32,
    #[n(4)]
    pub max_nodes: u32,
    /// A node without work is given back after so long.
    #[n(5)]
    pub idle_after: Span,
    /// … but not before it is so old.
    #[n(6)]
    pub min_lifetime: Span,
    #[n(7)]
    pub features: BTreeSet<String>,
    /// Absolute paths; a job with its working directory or output elsewhere does not go here. Empty means all.
    #[n(8)]
    pub file_systems: Vec<String>,
    /// From order to an accepted launch.
    #[n(9)]
    pub accept_within: Span,
    /// From accepted launch to registered agent.
    #[n(10)]
    pub register_within: Span,
    /// Money is reserved so far ahead, and renewed in the same quanta.
    #[n(11)]
    pub prepaid: Span,
    /// A node ends itself so long after its order unless an event extends it.
    #[n(12)]
    pub lifetime: Span,
    /// An incomplete gang holds paid nodes at most so long.
    #[n(13)]
    pub waste_cap: Span,
    /// Between the fence and the retirement of an idle node.
    #[n(14)]
    pub settle: Span,
    /// Two complete listings at least so far apart without an instance prove that it is gone.
    #[n(15)]
    pub absence_grace: Span,
    #[n(16)]
    pub listing_every: Span,
    /// Consecutive boot failures that open the breaker.
    #[n(17)]
    pub breaker_after: u32,
    /// First pause of an open breaker and of an offer without capacity; doubles to `cool_max`.
    #[n(18)]
    pub cool_down: Span,
    #[n(19)]
    pub cool_max: Span,
    /// Percent by which measured memory may fall short of the offer before the node is quarantined.
    #[n(20)]
    pub memory_tolerance_percent: u32,
    /// The provider can promise all of a launch or none.
    #[n(21)]
    pub gang_launch: bool,
}

/// What a budget covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub enum BudgetScope {
    #[n(0)]
    Cluster,
    #[n(1)]
    Pool(#[n(0)] PoolName),
    #[n(2)]
    Partition(#[n(0)] PartitionName),
    #[n(3)]
    Account(#[n(0)] AccountName),
    #[n(4)]
    User(#[n(0)] Uid),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum BudgetPeriod {
    /// UTC days.
    #[n(0)]
    Day,
    /// UTC calendar months.
    #[n(1)]
    Month,
    /// Never renewed.
    #[n(2)]
    Total,
}

/// A hard limit on money: nothing is bought that is not covered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct BudgetConfig {
    #[n(0)]
    pub scope: BudgetScope,
    #[n(1)]
    pub limit: MicroUsd,
    #[n(2)]
    pub period: BudgetPeriod,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        ClusterConfig {
            cluster: "squall".to_owned(),
            first_job: JobId(1),
            partitions: BTreeMap::new(),
            pools: BTreeMap::new(),
            budgets: BTreeMap::new(),
            default_account: "default".into(),
            accounts: BTreeSet::new(),
            admins: BTreeSet::new(),
            limits: Limits::default(),
            timing: Timing::default(),
            priority: PriorityWeights::default(),
            enforce: Enforce::default(),
            switches: BTreeMap::new(),
        }
    }
}

impl Default for Enforce {
    fn default() -> Self {
        Enforce { associations: false, limits: true, qos: true }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_jobs: 1_000_000,
            max_array_size: 1_000_001,
            max_script_bytes: 4 << 20,
            max_environment_bytes: 4 << 20,
            max_requeues: 8,
            max_dependency_terms: 10_000,
            max_nodes: 20_000,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            min_job_age: Span::from_secs(300),
            kill_wait: Span::from_secs(30),
            batch_idle: Span::from_secs(1),
            batch_max: Span::from_secs(10),
            contact_timeout: Span::from_secs(30),
            requeue_after: Span::from_secs(30),
            requeue_max: Span::from_mins(10),
            orphan_grace: Span::from_secs(300),
            ledger_age: Span::from_hours(1),
        }
    }
}

impl Default for PriorityWeights {
    fn default() -> Self {
        PriorityWeights { point: Span::from_secs(60), base: 1_000_000 }
    }
}

impl Default for PartitionConfig {
    fn default() -> Self {
        PartitionConfig {
            pools: Vec::new(),
            default: false,
            up: true,
            max_time: None,
            default_time: None,
            max_nodes: None,
            def_mem_per_cpu: None,
            def_mem_per_gpu: None,
            def_mem_per_node: None,
            def_cpu_per_gpu: None,
            allow_accounts: BTreeSet::new(),
            priority_tier: 1,
            spot: false,
            requeue: true,
            exclusive: false,
            max_mem_per_node: None,
            deny_accounts: BTreeSet::new(),
            allow_groups: BTreeSet::new(),
            allow_qos: BTreeSet::new(),
            deny_qos: BTreeSet::new(),
            qos: None,
            reservation_depth: None,
        }
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            provisioner: String::new(),
            offers: Vec::new(),
            static_nodes: BTreeMap::new(),
            min_nodes: 0,
            max_nodes: 0,
            idle_after: Span::from_mins(5),
            min_lifetime: Span::from_mins(1),
            features: BTreeSet::new(),
            file_systems: Vec::new(),
            accept_within: Span::from_mins(5),
            register_within: Span::from_mins(15),
            prepaid: Span::from_hours(1),
            lifetime: Span::from_hours(24),
            waste_cap: Span::from_mins(10),
            settle: Span::from_secs(15),
            absence_grace: Span::from_secs(60),
            listing_every: Span::from_secs(60),
            breaker_after: 3,
            cool_down: Span::from_secs(30),
            cool_max: Span::from_mins(30),
            memory_tolerance_percent: 10,
            gang_launch: true,
        }
    }
}

impl ClusterConfig {
    /// Where a job goes that names no partition.
    pub fn default_partition(&self) -> Option<&PartitionName> {
        self.partitions.iter().find(|(_, config)| config.default).map(|(name, _)| name)
    }

    /// The partitions that may use a pool, in name order.
    pub fn partitions_of<'a>(&'a self, pool: &'a PoolName) -> impl Iterator<Item = &'a PartitionName> {
        self.partitions.iter().filter(move |(_, config)| config.pools.contains(pool)).map(|(name, _)| name)
    }
}
