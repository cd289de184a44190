//! What the agent must remember over its own death. Each record replaces the one of the same subject.

use super::Now;
use minicbor::{Decode, Encode};
use squall_types::agent::{AssignedPhase, Assignment, AttemptEnd, StepEnd};
use squall_types::ids::Run;
use squall_types::{Epoch, Span, StepId, Timestamp};

/// The number of a record in the order of writing; a record is durable when it and all before it are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId(pub u64);

/// One thing to remember.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Record {
    /// Of the node itself.
    #[n(0)]
    Node(#[n(0)] NodeRecord),
    /// Of one attempt.
    #[n(1)]
    Run {
        #[n(0)]
        run: Run,
        #[n(1)]
        stage: Box<Stage>,
    },
    /// A step's result that is not acknowledged.
    #[n(2)]
    Step(#[n(0)] StepEnd),
    /// That result may go.
    #[n(3)]
    StepForgotten {
        #[n(0)]
        run: Run,
        #[n(1)]
        step: StepId,
    },
    /// The attempt's record may go; that there was one is remembered, so that it can never begin again.
    #[n(4)]
    Forgotten {
        #[n(0)]
        run: Run,
    },
    /// Never written: stands in a restored ledger where the record of this attempt cannot be read.
    #[n(5)]
    Damaged {
        #[n(0)]
        run: Run,
    },
}

impl Record {
    /// Whether somebody may wait until it is durable. The others become so with the next that is, or in their own time: a
    /// machine that is lost before loses no more than that something was told, which is then told again.
    pub fn is_awaited(&self) -> bool {
        match self {
            // That it was accepted is waited for by those who tell that it is prepared. What is to run at once is written
            // down as such before it does, and lost before that it is only ordered again.
            Record::Run { stage, .. } => match &**stage {
                Stage::Accepted(assignment) => matches!(assignment.phase, AssignedPhase::Prepare),
                Stage::Starting { .. } | Stage::Ended(_) => true,
            },
            Record::Node(_) | Record::Damaged { .. } => true,
            Record::Step(_) | Record::StepForgotten { .. } | Record::Forgotten { .. } => false,
        }
    }

    /// Whether the agent itself may end before it is written: a controller tells again what it says, and is told again what
    /// it has acknowledged. How a step ended stands nowhere else.
    pub fn is_told_again(&self) -> bool {
        !self.is_awaited() && !matches!(self, Record::Step(_))
    }
}

/// What the node remembers of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NodeRecord {
    /// The highest seen: no lower one is obeyed.
    #[n(0)]
    pub epoch: Epoch,
    /// When the machine ends itself at the latest, on the wall clock.
    #[n(1)]
    pub die_at: Option<Timestamp>,
}

/// How far an attempt has come.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Stage {
    /// Written down; nothing has been executed.
    #[n(0)]
    Accepted(#[n(0)] Assignment),
    /// It may have been executed.
    #[n(1)]
    Starting {
        #[n(0)]
        assignment: Assignment,
        /// Which launch of its shim, from 1.
        #[n(1)]
        launch: u32,
        /// The warning before its limit was given.
        #[n(2)]
        warned: bool,
        /// What it was suspended.
        #[n(3)]
        #[cbor(default)]
        pause: Pause,
        /// Of the machine when the launch was let loose. Empty in records of agents that did not say; their shims' claims
        /// survive the machine.
        #[n(4)]
        #[cbor(default)]
        boot: String,
    },
    /// It is over, every process of it is dead, and this is how.
    #[n(2)]
    Ended(#[n(0)] AttemptEnd),
}

/// For how long an attempt was frozen here, on `uptime`, which ends with the machine as the attempt does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// It is frozen, or is going to be, since then.
    #[n(0)]
    pub since: Option<Span>,
    /// All that is over.
    #[n(1)]
    pub before: Span,
}

impl Pause {
    pub(super) fn end(&mut self, now: Now) {
        if let Some(since) = self.since.take() {
            self.before = self.before + (now.uptime - since);
        }
    }
}

/// What the record of an earlier agent says of an attempt that was not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// It cannot be read: whatever lives of the attempt has to end.
    Damaged,
    /// It was never told to execute: it is set up, or not.
    Accepted,
    /// This launch was let loose. Its shim may be about to execute, or have done so.
    Launched(u32),
    /// This launch was let loose before the machine booted: it may have executed, and never will any more. That it was
    /// claimed is lost with the machine; how it ended is not.
    BeforeBoot(u32),
}

/// What was found of an attempt that an earlier agent wrote down and that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Proved: this launch has executed nothing, and never will. What it needs is not set up.
    NeverBegan,
    /// Proved too, and all that it needs is set up.
    Prepared,
    /// It runs, since then.
    Running(Now),
    /// It ended meanwhile, and nothing of it lives.
    Ended(AttemptEnd),
    /// Nothing says what became of it, and nothing of it lives.
    Lost { detail: String },
}
