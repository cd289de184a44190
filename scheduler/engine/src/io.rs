//! Everything that happens is one of [`Input`]; everything that the world owes is one of [`Output`].

use squall_core::{Caller, Command, Event, Reply};
use squall_types::agent::{AgentOrder, AgentReport};
use squall_types::api::{ActionResult, JobAction, JobFilter, Refusal, StepRequest};
use squall_types::offer::LaunchFailure;
use squall_types::{InstanceId, LaunchOrder, Launched, Listing, NodeId, Offer, PoolName, Timestamp};

/// Correlates a request with its reply; chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One batch of events: at most one is being written at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// One provider call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// One connection of one agent; chosen by the shell, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// From a client, an agent's join, or the shell itself.
    Request {
        id: RequestId,
        caller: Caller,
        ask: Ask,
    },
    /// The batch is on disk.
    Committed {
        batch: BatchId,
    },
    Provider {
        call: CallId,
        reply: ProviderReply,
    },
    /// An agent whose certificate names `node` opened a stream. `incarnation` differs between processes.
    AgentOpened {
        session: SessionId,
        node: NodeId,
        incarnation: String,
    },
    AgentSaid {
        session: SessionId,
        report: AgentReport,
    },
    AgentClosed {
        session: SessionId,
    },
    /// A time that was asked for has come.
    Wake,
    /// New submissions are refused with this text while the disk has no reserve; `None` lifts it.
    DiskReserve {
        refusal: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    One(Command),
    /// A submission with the first step of its job, which begins in the same batch if the job does.
    WithStep {
        submission: Command,
        step: Box<StepRequest>,
    },
    /// Cut into chunks: answered when the last is on disk.
    Many {
        filter: JobFilter,
        action: JobAction,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum ProviderReply {
    Offers(Result<Vec<Offer>, LaunchFailure>),
    Launched(Result<Launched, LaunchFailure>),
    Retired(Result<(), LaunchFailure>),
    Listed(Result<Listing, LaunchFailure>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make these durable, then say `Committed`. A failure ends the process.
    Append {
        batch: BatchId,
        events: Vec<Event>,
    },
    Reply {
        id: RequestId,
        reply: Answer,
    },
    Call {
        call: CallId,
        pool: PoolName,
        verb: ProviderCall,
    },
    Tell {
        session: SessionId,
        order: AgentOrder,
    },
    /// End this connection; the agent is told why.
    Close {
        session: SessionId,
        why: String,
    },
    /// Wake me then, or earlier.
    WakeAt(Timestamp),
    /// The committed state moved: readers may take a new snapshot.
    Published,
    /// Something that an operator must see.
    Alert {
        text: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum ProviderCall {
    Offers,
    /// The join ticket is for the shell to add.
    Launch(Box<LaunchOrder>),
    Retire(Vec<InstanceId>),
    List,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done(Reply),
    Acted(Vec<ActionResult>),
    Refused(Refusal),
}
