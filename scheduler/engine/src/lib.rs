//! The engine: loop, reconciler, inventory, agent sessions and planner steps as one synchronous state machine.
//!
//! [`Engine::step_all`] takes in what happened and returns what the world owes for it. There is no runtime and no clock here:
//! the controller drives it with tokio, the simulator on virtual time, and what the simulator proves is what runs.
//!
//! What holds whatever the order of inputs:
//! - Nothing leaves before the events that it rests on are on disk: outputs wait with their batch.
//! - At most one batch is being written; what comes meanwhile is collected into the next, with one fsync for all.
//! - No provider is called for an order that is not in the journal.
//! - The plan runs when a batch is about to be written, on the state that everything before it left.
#![forbid(unsafe_code)]

mod batch;
mod bulk;
mod inventory;
mod io;
mod planning;
mod reconcile;
mod requests;
mod sessions;
mod wake;

pub use io::*;

use batch::Batches;
use bulk::Bulk;
use inventory::Inventory;
use planning::Planning;
use reconcile::Reconciler;
use requests::Beginning;
use sessions::Sessions;
use squall_core::plan::{Notes, is_news};
use squall_core::{Caller, Cluster, Command, Decided, Rejection, Reply, decide_in_place};
use squall_types::{Epoch, NodeId, Timestamp};
use std::collections::BTreeSet;

/// The engine. One thread owns it.
pub struct Engine {
    /// With everything that was decided, on disk or not.
    cluster: Cluster,
    /// What readers may see: everything in it is on disk.
    committed: Cluster,
    epoch: Epoch,
    version: String,
    now: Timestamp,
    batches: Batches,
    bulk: Bulk,
    sessions: Sessions,
    reconciler: Reconciler,
    inventory: Inventory,
    planning: Planning,
    beginnings: Vec<Beginning>,
    /// Nodes whose duties may have changed since their agents were told.
    stale_nodes: BTreeSet<NodeId>,
    disk_refusal: Option<String>,
    /// The shell has said what the configuration is now, and before that whether the journal is a restored backup.
    /// Until then nothing is begun: a plan would give ids out again, and buy for pools that are there no longer.
    configured: bool,
    alarmed: bool,
}

impl Engine {
    /// An engine over a recovered state. `epoch` is already durable and higher than any before.
    pub fn new(cluster: Cluster, epoch: Epoch, version: &str) -> Self {
        Engine {
            committed: cluster.clone(),
            cluster,
            epoch,
            version: version.to_owned(),
            now: Timestamp::ZERO,
            batches: Batches::default(),
            bulk: Bulk::default(),
            sessions: Sessions::default(),
            reconciler: Reconciler::default(),
            inventory: Inventory::default(),
            planning: Planning::default(),
            beginnings: Vec::new(),
            stale_nodes: BTreeSet::new(),
            disk_refusal: None,
            configured: squall_core::canary::active("plans_before_configured"),
            alarmed: false,
        }
    }

    /// The first step: every agent has to make contact anew. Nothing is begun before the first `Configure` of the shell,
    /// which comes after `Restore` where the journal is a restored backup.
    pub fn start(&mut self, now: Timestamp) -> Vec<Output> {
        self.now = now.max(self.cluster.counters.at);
        let start = Command::Start { epoch: self.epoch, version: self.version.clone() };
        self.decide(&Caller::System, &start).expect("a start is never refused");
        self.turn()
    }

    /// Takes in one thing that happened. `now` never goes back; where it does, the last one stands.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        self.step_all(now, [input])
    }

    /// Takes in what happened, in order, and says once what follows from all of it: one plan, and one batch.
    pub fn step_all(&mut self, now: Timestamp, inputs: impl IntoIterator<Item = Input>) -> Vec<Output> {
        self.now = self.now.max(now);
        inputs.into_iter().for_each(|input| self.take_in(input));
        self.turn()
    }

    fn take_in(&mut self, input: Input) {
        match input {
            Input::Request { id, caller, ask } => self.request(id, &caller, ask),
            Input::Committed { batch } => self.committed_batch(batch),
            Input::Provider { call, reply } => self.provider_said(call, reply),
            Input::AgentOpened { session, node, incarnation } => self.agent_opened(session, node, incarnation),
            Input::AgentSaid { session, report } => self.agent_said(session, report),
            Input::AgentClosed { session } => self.agent_closed(session),
            Input::Wake => {}
            Input::DiskReserve { refusal } => self.disk_refusal = refusal,
        }
    }

    /// The state that is on disk. A clone is a snapshot and costs almost nothing.
    pub fn committed(&self) -> &Cluster {
        &self.committed
    }

    /// The state with everything that was decided: for checks, never for answers.
    pub fn state(&self) -> &Cluster {
        &self.cluster
    }

    /// Why jobs wait and when they can start, as the last whole plan saw it.
    pub fn notes(&self) -> Notes {
        self.planning.notes.clone()
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether everything that was decided is on disk and told.
    pub fn is_quiet(&self) -> bool {
        self.batches.is_empty() && self.bulk.is_empty() && self.beginnings.is_empty()
    }

    /// What follows from an input, once: housekeeping, plan, duties, provider calls, and the next batch.
    fn turn(&mut self) -> Vec<Output> {
        if self.batches.is_writing() {
            return self.batches.released();
        }
        // Of a batch that was cut the rest is written first.
        if self.batches.has_room() {
            if self.configured {
                self.housekeeping();
                self.bulk_chunk();
                self.make_plan();
            }
            self.begin_steps();
            self.tell_agents();
            if self.configured {
                self.reconcile();
                self.take_inventory();
            }
            self.alert();
        }
        self.batches.write(&self.cluster);
        let wake_at = self.next_wake();
        let mut outputs = self.batches.released();
        outputs.extend(wake_at.map(Output::WakeAt));
        outputs
    }

    /// Decides a command and takes its events into the batch.
    fn decide(&mut self, caller: &Caller, command: &Command) -> Result<Reply, Rejection> {
        let Decided { events, reply, touched } = decide_in_place(&mut self.cluster, self.now, caller, command)?;
        self.stale_nodes.extend(touched);
        self.planning.unplanned |= events.iter().any(|event| is_news(&event.what));
        events.into_iter().for_each(|event| self.batches.push(event));
        self.batches.end_decision();
        Ok(reply)
    }

    /// For commands that are never refused for a reason that anyone waits for.
    fn note(&mut self, command: &Command) {
        // A refusal here means that the news is about something that is over.
        let _ = self.decide(&Caller::System, command);
    }

    fn housekeeping(&mut self) {
        self.silent_agents();
        self.settle();
        if squall_core::next_wakeup(&self.cluster, self.now) <= self.now {
            self.note(&Command::Tick);
        }
    }

    fn alert(&mut self) {
        if let Some(alarm) = self.cluster.alarm.clone()
            && !self.alarmed
        {
            self.alarmed = true;
            self.batches.hold(Output::Alert { text: format!("launching is stopped: {alarm}") });
        }
    }
}
