//! What a client of a step and the agents that run it say to each other, as plain values.
//!
//! The client learns from its [`StepGrant`](crate::api::StepGrant) where to go and opens one connection to each node
//! of the step. Input and output pass between the two and never through the controller.

use crate::agent::ExitStatus;
use crate::{NodeName, OpenMode, SignalSpec, Span, StepId};

/// What a client tells an agent. The first command on a connection is `Start` or `Attach`, and the only one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepCommand {
    Start(Box<StepStart>),
    /// Instead of a start: to hear what a step says that somebody else has started, and to speak to it.
    Attach(StepAttach),
    /// Bytes for the standard input of one task by its global rank, or of all tasks on this node.
    Stdin {
        rank: Option<u32>,
        bytes: Vec<u8>,
        /// Nothing follows: the tasks see the end of their input.
        end: bool,
    },
    /// To all processes of the step on this node.
    Signal {
        signal: i32,
    },
    /// The terminal of a step with one has another size now.
    Resize(TerminalSize),
}

/// Everything that an agent needs to run its part of a step. Which step of which run it is, and which ranks run on
/// which node, stands in the credential and nowhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepStart {
    /// From the grant: signed by the controller, verified by the agent.
    pub credential: Vec<u8>,
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=value` strings, each ended by NUL.
    pub environment: Vec<u8>,
    pub work_dir: String,
    pub umask: u32,
    pub stdin: StepStdio,
    pub stdout: StepStdio,
    /// `None` joins standard output.
    pub stderr: Option<StepStdio>,
    pub open_mode: OpenMode,
    /// `-l`: lines in files begin with the task's rank. What goes to the client is labelled there.
    pub label: bool,
    /// `-u`: output is passed on as it comes, not by lines.
    pub unbuffered: bool,
    /// `-K`: the first task that fails ends the step.
    pub kill_on_bad_exit: bool,
    /// `-W`: how long the others may run after the first task ended.
    pub wait_after: Option<Span>,
    pub time_limit: Option<Span>,
    /// A warning before the time limit.
    pub signal: Option<SignalSpec>,
    /// `--pty`: rank 0 gets a terminal of this size.
    pub terminal: Option<TerminalSize>,
    pub cpus_per_task: Option<u32>,
    /// What does not change where the step runs, as `NAME=value` (`cpu-bind`, `mpi`, …).
    pub options: Vec<String>,
    /// After the connection to the agent was lost: how much news of this step the client has had from this node. The
    /// same start with it takes the step up again, which has gone on meanwhile.
    pub resume_after: Option<u64>,
    /// The step is a part of one launch over several components of a heterogeneous job: what its tasks are told of all
    /// of it. Says nothing about which of them run where.
    pub whole: Option<WholeLaunch>,
}

/// One launch over several components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeLaunch {
    /// All nodes in rank order, and how many tasks each has.
    pub nodes: Vec<NodeName>,
    pub tasks_per_node: Vec<u32>,
    /// Where among them the nodes of this part begin.
    pub first_node: u32,
}

/// Where a standard stream of the tasks leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StepStdio {
    /// To and from the client, for all tasks.
    #[default]
    Client,
    /// To and from the client for the task of this rank; the others have `/dev/null`.
    OneTask(u32),
    /// `/dev/null`.
    Nothing,
    /// A file on the node, with Slurm's `%` patterns unexpanded.
    File(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TerminalSize {
    pub rows: u16,
    pub columns: u16,
}

/// What an agent tells the client of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepNews {
    /// The tasks of this node run.
    Started {
        tasks: Vec<StartedTask>,
    },
    Output {
        rank: u32,
        stream: OutputStream,
        bytes: Vec<u8>,
    },
    TaskExit {
        rank: u32,
        exit: ExitStatus,
    },
    /// All tasks of this node are over and all output has been said.
    Finished,
    /// The step could not be run here, in words for the person who asked for it.
    Failed {
        text: String,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StartedTask {
    pub rank: u32,
    pub pid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputStream {
    Stdout,
    Stderr,
}

/// A visitor of a step that runs. The first news is `Started`; what the step has said before follows as far as it is
/// kept, then everything that it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepAttach {
    /// From a [`VisitGrant`](crate::api::VisitGrant).
    pub credential: Vec<u8>,
    pub step: StepId,
}
