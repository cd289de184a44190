//! What the state machine is told, and what it says.

use super::{Now, Record, RecordId};
use crate::duty::record::Found;
use squall_types::agent::{
    AgentOrder, AgentReport, Assignment, AttemptEnd, MeasuredNode, SignalTarget, StepEnd, StopWhy,
};
use squall_types::ids::Run;
use squall_types::{Epoch, Generation, Span};
use std::sync::Arc;

/// Everything that happens to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DutyInput {
    /// A controller answered; orders follow on this connection only.
    Connected,
    /// The connection is gone; what it still held will not be delivered.
    Disconnected,
    Order(AgentOrder),
    /// This record and all before it are durable.
    Persisted(RecordId),
    /// The answer for each run in [`Duty::to_examine`](super::Duty::to_examine).
    Found {
        run: Run,
        found: Found,
    },
    /// Folder, files and containment of the run exist; nothing has been executed.
    Prepared {
        run: Run,
    },
    PrepareFailed {
        run: Run,
        detail: String,
    },
    /// The shim has executed the script (or, where there is none, waits for steps).
    ShimStarted {
        run: Run,
        began: Now,
    },
    /// Nothing was executed, and nothing of this launch ever will be.
    ShimFailed {
        run: Run,
        detail: String,
    },
    /// It is over, and every process that it started is dead: this was verified.
    ShimEnded {
        run: Run,
        end: AttemptEnd,
    },
    StepEnded(StepEnd),
    /// The machine was measured anew; said in the next `Hello`.
    Measured(MeasuredNode),
    /// Something makes the node unusable; empty when that is over.
    Fault(String),
    /// Time has passed: due at [`Duty::next_wake`](super::Duty::next_wake), harmless at any time.
    Tick,
}

/// What the agent does. To be performed in order; a `Persist` is answered with `Persisted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DutyOutput {
    Persist {
        id: RecordId,
        record: Record,
    },
    /// Set up everything and execute nothing; may be asked again for the same run.
    Prepare {
        assignment: Arc<Assignment>,
    },
    /// What is being prepared is not wanted any more; nothing of it may be left. Its answer counts for nothing.
    Abandon {
        run: Run,
    },
    StartShim {
        assignment: Arc<Assignment>,
        /// Told apart from earlier launches, which are proved to have executed nothing.
        launch: u32,
    },
    /// Stops everything of the run where it stands, until `Thaw`, `StopShim` or `Kill`; may be asked again.
    Freeze {
        run: Run,
    },
    /// Lets it go on; may be asked for one that is not frozen.
    Thaw {
        run: Run,
    },
    /// Thaws, and then SIGCONT and SIGTERM to everything of the run. `Kill` follows by itself when `grace` is over.
    StopShim {
        run: Run,
        why: StopWhy,
        grace: Span,
    },
    /// Thaws, and then SIGKILL to everything of the run, until nothing of it lives. Repeated while `ShimEnded` is owed.
    Kill {
        run: Run,
    },
    Signal {
        run: Run,
        target: SignalTarget,
        signal: i32,
    },
    Report(AgentReport),
    /// What is left of the run on this machine may be cleared away.
    Forget {
        run: Run,
    },
    /// The machine ends itself.
    PowerOff {
        why: PowerOffWhy,
    },
    /// The agent ends, and leaves its jobs running.
    Quit {
        why: String,
    },
    /// The connection holds more than can be kept: drop it and connect again.
    Reconnect,
    /// An order, or a part of one, was not obeyed. For the log.
    Refuse(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerOffWhy {
    /// Its recorded bound has come.
    DieAt,
    /// No controller, and nothing to wait for.
    Alone,
    /// The controller gives it back, and nothing runs.
    Retired,
}

/// Why an order was not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// From a controller that has been replaced.
    StaleEpoch { epoch: Epoch, seen: Epoch },
    /// Overtaken by a newer set.
    StaleGeneration { generation: Generation, seen: Generation },
    /// Before the full set of this connection.
    NotSynced,
    /// The run was over here and acknowledged before.
    Forgotten(Run),
    /// The run was answered with an end at once; the text says why.
    Run(Run, String),
    /// A live run's grant cannot change.
    AllocationChanged(Run),
}
