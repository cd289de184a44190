//! Steps of jobs: how `srun` comes to start one, and `sattach`, `sstat` and `sbcast` to the nodes of what runs.

use crate::ids::Run;
use crate::{Attempt, JobId, NodeName, StepId};
use serde::{Deserialize, Serialize};

/// One launch of tasks inside a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRequest {
    pub job: JobId,
    pub name: String,
    pub tasks: Option<u32>,
    pub nodes: Option<u32>,
    pub tasks_per_node: Option<u32>,
    pub cpus_per_task: Option<u32>,
    pub gpus_per_task: Option<u32>,
    pub gpus: Option<u32>,
    pub node_list: Vec<NodeName>,
    pub exclude: Vec<NodeName>,
    /// Block is the default.
    pub cyclic: bool,
    pub overlap: bool,
    /// Of a step that is a part of one launch over several components: the global rank of its first task.
    pub first_rank: u32,
}

/// A step as granted: who runs which tasks, where to reach them, and the credential that lets the client do so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepGrant {
    pub run: Run,
    pub step: StepId,
    pub nodes: Vec<StepNode>,
    pub tasks: u32,
    /// Signed by the controller: verified by each agent.
    pub credential: Vec<u8>,
    /// Certificate of the cluster's CA in PEM, for the connections to the agents.
    pub ca_pem: String,
}

impl Default for Run {
    fn default() -> Self {
        Run { job: JobId(0), attempt: Attempt(0) }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepNode {
    pub name: NodeName,
    pub address: String,
    /// Global ranks of the tasks on this node.
    pub ranks: Vec<u32>,
    pub cpus: u32,
    pub gpus: Vec<u16>,
}

/// Whoever bears the credential may hear and speak to the job's steps, see what they use, and put files on its nodes,
/// as the job's user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitGrant {
    pub run: Run,
    /// In rank order; which tasks run where is known to the nodes.
    pub nodes: Vec<StepNode>,
    /// Signed by the controller: verified by each agent.
    pub credential: Vec<u8>,
    /// Certificate of the cluster's CA in PEM, for the connections to the agents.
    pub ca_pem: String,
}
