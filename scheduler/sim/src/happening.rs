//! Everything that can come due.

use squall_engine::{BatchId, CallId, Input, ProviderCall, SessionId};
use squall_types::ids::Run;
use squall_types::{ExitStatus, PoolName, Span};
use squalld::duty::RecordId;

/// One life of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub u64);

/// A machine, by its place in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub usize);

/// One life of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u64);

/// One request of one client, over all of its tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RpcId(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Controller,
    Agent,
}

/// What is due at some time. What names a life that is over by then is void.
#[derive(Debug)]
pub enum Happening {
    // The controller.
    StartController,
    Resume(ProcessId),
    Feed {
        process: ProcessId,
        input: Box<Input>,
    },
    Wake(ProcessId),
    /// What came to this process has waited long enough.
    Gathered(ProcessId),
    Synced {
        process: ProcessId,
        batch: BatchId,
    },

    // The cloud.
    Effect {
        process: ProcessId,
        call: CallId,
        pool: PoolName,
        verb: ProviderCall,
    },
    CloudDue(usize),

    // Connections: one message each, in order.
    Up(SessionId),
    Down(SessionId),
    /// A copy of an earlier order arrives on the same connection: nothing of one connection can arrive on another.
    Replayed {
        session: SessionId,
        order: Box<squall_types::agent::AgentOrder>,
    },
    /// One end finds out that the connection is dead.
    Broken {
        session: SessionId,
        end: End,
    },
    Dial {
        machine: MachineId,
        agent: AgentId,
    },

    // Machines.
    PowerOn(MachineId),
    StartAgent {
        machine: MachineId,
        boot: u32,
    },
    ResumeAgent {
        machine: MachineId,
        agent: AgentId,
    },
    Tick {
        machine: MachineId,
        agent: AgentId,
    },
    Recorded {
        machine: MachineId,
        agent: AgentId,
        record: RecordId,
    },
    Examined {
        machine: MachineId,
        agent: AgentId,
        run: Run,
    },
    Prepared {
        machine: MachineId,
        agent: AgentId,
        run: Run,
        well: bool,
    },
    Execute {
        machine: MachineId,
        boot: u32,
        agent: AgentId,
        run: Run,
        launch: u32,
    },
    ExecuteFailed {
        machine: MachineId,
        agent: AgentId,
        run: Run,
    },
    Executed {
        machine: MachineId,
        agent: AgentId,
        run: Run,
    },
    /// By a signal, whether it is frozen or not, or by itself once it has run for long enough.
    ProcessEnds {
        machine: MachineId,
        boot: u32,
        run: Run,
        launch: u32,
        exit: ExitStatus,
        by_itself: bool,
    },
    EndSeen {
        machine: MachineId,
        agent: AgentId,
        run: Run,
    },
    StepEnds {
        machine: MachineId,
        boot: u32,
        run: Run,
        step: u32,
    },
    HealthClears(MachineId),

    // Clients.
    Act(usize),
    Send(RpcId),
    Answered {
        rpc: RpcId,
        answer: Box<squall_engine::Answer>,
    },
    TimedOut {
        rpc: RpcId,
        tries: u32,
    },
    FinishAllocation(Run),
    LaunchStep {
        run: Run,
        left: u32,
    },

    // What goes wrong, and its end.
    Chaos(usize),
    DiskHasReserve,
    CloneIsFound(MachineId),
    Backup,
    Heal,
    /// Is everything over?
    Look {
        since: Span,
    },
}
