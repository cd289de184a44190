//! What controller and agents say to each other, as plain values.
//!
//! Level-triggered: on connect the agent says everything it runs, the controller the full set of
//! duties with epoch and generation, then deltas. There is no start message to lose.

use crate::ids::Run;
use crate::{
    Allocation, BlobDigest, Epoch, Generation, InstanceId, JobSpec, NodeName, OrderId, Shape, Span, StepId, SwitchName,
    Timestamp,
};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// One attempt's part on one node, as the controller wants it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Assignment {
    #[n(0)]
    pub run: Run,
    /// The grant on this node.
    #[n(1)]
    pub allocation: Allocation,
    #[n(2)]
    pub phase: AssignedPhase,
    #[n(3)]
    pub detail: AssignmentDetail,
    /// Signed by the controller: with it the agent asks in this job's name, as its user, while the attempt lives.
    #[n(4)]
    pub credential: Vec<u8>,
}

/// How far the controller wants the attempt to go on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub enum AssignedPhase {
    /// Set up everything, run nothing.
    #[n(0)]
    Prepare,
    /// Run, and end by itself at the limit.
    #[n(1)]
    Run {
        /// When the attempt began, on the controller's clock.
        #[n(0)]
        started_at: Timestamp,
        /// Its processes are to be stopped, and its time with them; one that has not begun waits.
        #[n(1)]
        #[cbor(default)]
        suspended: bool,
    },
    /// End everything that it started: SIGTERM, grace, SIGKILL.
    #[n(2)]
    Stop {
        #[n(0)]
        why: StopWhy,
        /// Between SIGTERM and SIGKILL.
        #[n(1)]
        grace: Span,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum StopWhy {
    #[n(0)]
    Cancelled,
    #[n(1)]
    TimeLimit,
    #[n(2)]
    Requeued,
    #[n(3)]
    NodeFailed,
    #[n(4)]
    Preempted,
    /// The batch script ended; the other nodes clean up.
    #[n(5)]
    Ended,
    #[n(6)]
    BudgetExhausted,
}

/// What an agent needs to know to run its part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AssignmentDetail {
    #[n(0)]
    pub spec: JobSpec,
    /// All nodes of the job in rank order, with what each holds.
    #[n(1)]
    pub nodes: Vec<PeerNode>,
    /// This node's rank.
    #[n(2)]
    pub rank: u32,
    #[n(3)]
    pub time_limit: Span,
    #[n(4)]
    pub array: Option<ArrayPlace>,
    /// `SLURM_RESTART_COUNT`.
    #[n(5)]
    pub restarts: u32,
    #[n(6)]
    pub partition: String,
    #[n(7)]
    pub cluster: String,
    /// Between SIGTERM and SIGKILL when the agent itself ends the attempt at its time limit.
    #[n(8)]
    pub kill_wait: Span,
    /// All components of its heterogeneous job in order, where its script runs; else none.
    #[n(9)]
    #[cbor(default)]
    pub components: Vec<Component>,
}

/// A component of a heterogeneous job, as the script is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Component {
    #[n(0)]
    pub job: crate::JobId,
    #[n(1)]
    pub spec: JobSpec,
    /// In rank order.
    #[n(2)]
    pub nodes: Vec<PeerNode>,
    #[n(3)]
    pub partition: String,
}

/// A node of the gang as its peers know it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PeerNode {
    #[n(0)]
    pub name: NodeName,
    /// `host:port` of its step service; empty until it is known.
    #[n(1)]
    pub address: String,
    #[n(2)]
    pub cpus: u32,
    #[n(3)]
    pub tasks: u32,
    #[n(4)]
    pub gpus: u16,
    /// The switch that it hangs on, and those above it.
    #[n(5)]
    #[cbor(default)]
    pub switches: Vec<SwitchName>,
}

/// Where an element stands in its array.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct ArrayPlace {
    #[n(0)]
    pub array: crate::JobId,
    #[n(1)]
    pub index: u32,
    #[n(2)]
    pub first: u32,
    #[n(3)]
    pub last: u32,
    #[n(4)]
    pub step: u32,
    #[n(5)]
    pub count: u32,
}

/// What an agent measured of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct MeasuredNode {
    #[n(0)]
    pub shape: Shape,
    #[n(1)]
    pub hostname: String,
    /// `host:port` where peers and clients reach its step service.
    #[n(2)]
    pub address: String,
    #[n(3)]
    pub agent_version: String,
    #[n(4)]
    pub boot_id: String,
    #[n(5)]
    pub os: String,
    /// Wall clock of the node less the controller's at the handshake.
    #[n(6)]
    pub clock_skew: Span,
}

/// How a process or step ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct ExitStatus {
    #[n(0)]
    pub code: i32,
    /// The signal that ended it, or 0.
    #[n(1)]
    pub signal: i32,
}

/// Why an attempt is over on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum EndCause {
    /// The script (or, on the other nodes, the controller's word) ended it.
    #[n(0)]
    Exited,
    #[n(1)]
    Stopped,
    #[n(2)]
    TimeLimit,
    #[n(3)]
    OutOfMemory,
    /// It could not be set up or executed; `detail` says why.
    #[n(4)]
    LaunchFailed,
    /// The node restarted under it, or the shim is gone: what it did last is not known, but it runs no more.
    #[n(5)]
    Lost,
    /// It was never begun here.
    #[n(6)]
    NeverRan,
}

/// The result of an attempt on one node; kept by the agent until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AttemptEnd {
    #[n(0)]
    pub cause: EndCause,
    /// Of the batch script; of the last step in an interactive job.
    #[n(1)]
    pub exit: ExitStatus,
    #[n(2)]
    pub ended_at: Timestamp,
    #[n(3)]
    pub usage: Usage,
    /// For people, empty where all went well.
    #[n(4)]
    pub detail: String,
}

/// Totals of one attempt or step on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Usage {
    #[n(0)]
    pub user_cpu: Span,
    #[n(1)]
    pub system_cpu: Span,
    #[n(2)]
    pub max_rss_kib: u64,
}

/// Where an attempt is on a node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum AttemptState {
    /// Written down and set up.
    #[n(0)]
    Prepared,
    #[n(1)]
    Running {
        #[n(0)]
        since: Timestamp,
    },
    #[n(2)]
    Ended(#[n(0)] AttemptEnd),
}

/// A step that ended on this node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct StepEnd {
    #[n(0)]
    pub run: Run,
    #[n(1)]
    pub step: StepId,
    #[n(2)]
    pub exit: ExitStatus,
    #[n(3)]
    pub started_at: Timestamp,
    #[n(4)]
    pub ended_at: Timestamp,
    #[n(5)]
    pub usage: Usage,
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentReport {
    /// First on every connection: everything that it knows of, ended attempts included until acknowledged.
    Hello {
        epoch: Epoch,
        generation: Generation,
        measured: MeasuredNode,
        attempts: Vec<(Run, AttemptState)>,
        steps: Vec<StepEnd>,
    },
    /// An attempt changed.
    Attempt { run: Run, state: AttemptState },
    /// A step ended.
    Step(StepEnd),
    /// Still here.
    Heartbeat,
    /// The node cannot be used until this is gone, for example a GPU that fell off the bus. Empty clears it.
    Health { fault: String },
}

/// What the controller tells an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOrder {
    /// Everything that this node is to do; what is not in it is to be stopped if it runs and forgotten if it ended.
    FullSet {
        epoch: Epoch,
        generation: Generation,
        assignments: Vec<Assignment>,
        die_at: Option<Timestamp>,
        /// For a controller restored from a backup: runs that it does not name are neither stopped nor forgotten.
        keep_unknown: bool,
    },
    /// A change against the set before; `removed` runs are known ended here and may be forgotten.
    Delta {
        epoch: Epoch,
        generation: Generation,
        changed: Vec<Assignment>,
        removed: Vec<Run>,
        die_at: Option<Timestamp>,
    },
    /// The news about these runs is on disk: the agent may forget the results.
    Acknowledged { runs: Vec<Run>, steps: Vec<(Run, StepId)> },
    /// A signal for the processes of an attempt: to its batch shell, its steps, or one step.
    Signal { run: Run, target: SignalTarget, signal: i32 },
    /// The node is going to be retired: nothing will come any more.
    Retire,
    /// This agent may not join or stay; it says so and ends, its jobs keep running.
    Refused { why: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalTarget {
    /// The steps and not the batch shell.
    Steps,
    BatchShell,
    All,
    Step(StepId),
}

/// The content of a stored script or environment; handed to agents when they ask for it by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: BlobDigest,
    pub content: Vec<u8>,
}

/// As what a machine joins. The secret of the request proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinAs {
    /// One of the instances of an order.
    Order(OrderId),
    /// A machine of one's own, named in the configuration.
    StaticNode(NodeName),
    /// A host whose daemon vouches for its users.
    LoginHost(String),
}

/// How a machine becomes part of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    pub join_as: JoinAs,
    pub secret: String,
    /// A certificate signing request in PEM; its subject is not believed.
    pub csr_pem: String,
    /// What the provider calls the machine; empty where there is no provider.
    pub instance: InstanceId,
    pub hostname: String,
    pub boot_id: String,
    pub agent_version: String,
}

/// What a machine gets when it has joined or renewed its certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinReply {
    /// Its certificate and what leads to the CA, in PEM.
    pub chain_pem: String,
    pub ca_pem: String,
    /// Its name in the cluster, which the certificate bears.
    pub name: NodeName,
    /// Public key that verifies job and step credentials.
    pub credential_key: Vec<u8>,
    /// How often the agent is to say that it lives.
    pub heartbeat: Span,
}
