//! What is asked of the core. Identity comes with the command and was established by the channel.

use crate::config::ClusterConfig;
use crate::plan::Step;
use squall_types::accounts::AccountsEdit;
use squall_types::agent::StepEnd;
use squall_types::api::{JobRef, JobUpdate, NodeAction, StepRequest};
use squall_types::ids::Run;
use squall_types::offer::LaunchFailure;
use squall_types::{
    AttemptState, Epoch, ExitStatus, InstanceId, JobSpec, Launched, Listing, MeasuredNode, NodeId, NodeName, Offer,
    OrderId, PoolName, SubmitToken, Timestamp, Uid,
};
use std::collections::BTreeMap;

/// Who asks, as the channel proved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The controller itself: plans, timers, providers.
    System,
    /// root on the controller's host, or a configured admin.
    Admin(Uid),
    User(Uid),
    /// A job, by its signed credential: acts as its user.
    Job {
        uid: Uid,
        run: Run,
    },
    /// An agent, for its own node alone.
    Node(NodeId),
}

impl Caller {
    pub fn uid(&self) -> Option<Uid> {
        match self {
            Caller::Admin(uid) | Caller::User(uid) | Caller::Job { uid, .. } => Some(*uid),
            Caller::System | Caller::Node(_) => None,
        }
    }

    pub fn is_admin(&self) -> bool {
        matches!(self, Caller::System | Caller::Admin(_))
    }
}

/// An entry of a crontab, and the lines that it stands on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedEntry {
    pub spec: Box<JobSpec>,
    pub token: SubmitToken,
    pub first_line: u32,
    pub last_line: u32,
}

/// One request. Bulk requests are cut into single ones by the engine, so that none is longer than a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Start {
        epoch: Epoch,
        version: String,
    },
    Configure {
        config: Box<ClusterConfig>,
    },
    /// The journal was restored from a backup: ids jump ahead by `gap`.
    Restore {
        gap: u32,
    },

    Submit {
        spec: Box<JobSpec>,
        token: SubmitToken,
        test_only: bool,
    },
    /// A heterogeneous job, component by component.
    SubmitTogether {
        specs: Vec<JobSpec>,
        token: SubmitToken,
        test_only: bool,
    },
    Cancel {
        job: JobRef,
        /// What belongs to a crontab as well.
        cron: bool,
    },
    Hold {
        job: JobRef,
    },
    Release {
        job: JobRef,
    },
    Requeue {
        job: JobRef,
        hold: bool,
    },
    Suspend {
        job: JobRef,
    },
    Resume {
        job: JobRef,
    },
    Update {
        job: JobRef,
        update: Box<JobUpdate>,
    },
    /// All of its entries or none.
    SetCrontab {
        uid: Uid,
        text: String,
        entries: Vec<WantedEntry>,
    },
    /// All of them or none.
    EditAccounts {
        edits: Vec<AccountsEdit>,
        /// Of the users that the edits name, as the controller's machine knows them.
        uids: BTreeMap<String, Uid>,
    },
    /// `srun` or `salloc` is done with its allocation.
    FinishAllocation {
        run: Run,
        exit: ExitStatus,
    },
    StartStep {
        request: StepRequest,
    },

    Node {
        node: NodeName,
        action: NodeAction,
    },

    /// One step of a plan, checked again.
    Perform {
        step: Step,
    },
    /// Timers: limits, deadlines, money, purges.
    Tick,

    // What agents say.
    Join {
        order: Option<OrderId>,
        name: Option<NodeName>,
        instance: Option<InstanceId>,
        key: String,
    },
    Register {
        node: NodeId,
        measured: Box<MeasuredNode>,
    },
    Contact {
        node: NodeId,
        contact: bool,
    },
    Health {
        node: NodeId,
        fault: String,
    },
    Attempt {
        node: NodeId,
        run: Run,
        state: AttemptState,
    },
    StepEnded {
        node: NodeId,
        end: StepEnd,
    },

    // What providers say.
    Offers {
        pool: PoolName,
        offers: Vec<Offer>,
    },
    Launched {
        order: OrderId,
        launched: Launched,
    },
    LaunchFailed {
        order: OrderId,
        failure: LaunchFailure,
    },
    /// The listing was asked for at `asked_at`: younger instances may be missing from it.
    Listed {
        pool: PoolName,
        listing: Listing,
        asked_at: Timestamp,
    },
}
