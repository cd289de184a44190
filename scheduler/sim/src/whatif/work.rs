//! What is played: jobs, a configuration, and who wants to know how it goes.

use squall_core::ClusterConfig;
use squall_types::{AccountName, Ask, BlobDigest, CpuAsk, GpuAsk, JobSpec, MemoryAsk, NodeCount, Span, Timestamp, Uid};
use std::collections::BTreeSet;

/// Monday, 2024-01-01 00:00 UTC: when the first job of every simulation is submitted. Budgets turn with this calendar.
pub const START: Timestamp = Timestamp::from_secs(1_704_067_200);

/// The size of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    pub nodes: u32,
    pub gpus_per_node: u16,
    /// On each node; `None` takes the share of the node that goes with the GPUs.
    pub cpus_per_node: Option<u32>,
    /// On each node; `None` as for CPUs.
    pub mem_mib_per_node: Option<u64>,
}

impl Demand {
    pub fn gpus(&self) -> u64 {
        u64::from(self.nodes) * u64::from(self.gpus_per_node)
    }

    /// As it is asked for: exactly so many nodes, with a task on each.
    pub fn ask(&self) -> Ask {
        Ask {
            nodes: Some(NodeCount { min: self.nodes, max: self.nodes }),
            tasks: Some(self.nodes),
            tasks_per_node: Some(1),
            cpus: self.cpus_per_node.map_or(CpuAsk::Share, |cpus| CpuAsk::PerTask(cpus.max(1))),
            memory: self.mem_mib_per_node.map_or(MemoryAsk::Share, |mib| MemoryAsk::PerNode(mib.max(1))),
            gpus: if self.gpus_per_node > 0 { GpuAsk::PerNode(self.gpus_per_node, None) } else { GpuAsk::None },
            ..Ask::default()
        }
    }
}

/// A job to be played. A list of them is sorted by `submit_after`.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    pub name: String,
    pub account: AccountName,
    pub uid: Uid,
    pub user: String,
    /// After the first submission.
    pub submit_after: Span,
    /// How long it runs if nothing ends it.
    pub runs_for: Span,
    /// What it asks for; `None` takes its partition's default.
    pub limit: Option<Span>,
    pub demand: Demand,
}

impl Work {
    pub fn submit_at(&self) -> Timestamp {
        START + self.submit_after
    }

    pub(super) fn spec(&self) -> JobSpec {
        JobSpec {
            name: self.name.clone(),
            uid: self.uid,
            user: self.user.clone(),
            account: self.account.clone(),
            script: Some(BlobDigest([0; 32])),
            stdout: Some("/dev/null".to_owned()),
            ask: self.demand.ask(),
            time_limit: self.limit,
            ..JobSpec::default()
        }
    }
}

/// One configuration to try.
#[derive(Clone, Debug)]
pub struct Setup {
    pub name: String,
    pub config: ClusterConfig,
    /// Of the boot times.
    pub seed: u64,
}

impl Setup {
    /// The same with at most `gpus` GPUs in bought machines; `None` is as many machines as the cluster may have.
    ///
    /// # Errors
    /// In words, where it is not clear what that means: several pools buy, or machines of several sizes.
    pub fn capped(&self, gpus: Option<u32>) -> Result<Setup, String> {
        let mut setup = self.clone();
        let most = setup.config.limits.max_nodes;
        let mut buying: Vec<_> = setup.config.pools.values_mut().filter(|pool| !pool.offers.is_empty()).collect();
        let [pool] = buying.as_mut_slice() else {
            return Err(format!("{} pools buy machines: set `max_nodes` of each instead", buying.len()));
        };
        let each: BTreeSet<u32> = pool.offers.iter().map(|offer| u32::from(offer.shape.gpus.count())).collect();
        let each = match each.into_iter().collect::<Vec<_>>().as_slice() {
            [each] if *each > 0 => *each,
            _ => return Err("the offers differ in their number of GPUs: set `max_nodes` instead".to_owned()),
        };
        pool.max_nodes = match gpus {
            Some(gpus) if gpus < each => return Err(format!("{gpus} GPUs are less than one machine has, {each}")),
            Some(gpus) => (gpus / each).min(most),
            None => most,
        };
        pool.min_nodes = pool.min_nodes.min(pool.max_nodes);
        Ok(setup)
    }
}

/// How far a simulation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Of virtual time.
    pub after: Span,
    pub jobs: usize,
    pub submitted: usize,
    pub ended: usize,
    pub queued: usize,
    pub nodes: usize,
}
