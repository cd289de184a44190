//! Brings together what happens and what is to be done: the duties decide, everything else is carried out here.
//!
//! The ledger is written here too, and nothing goes on meanwhile: what comes while the disk works is taken together and
//! becomes durable together. A node whose disk hangs falls silent, and its controller sees that.

use super::jobs::{LiveRun, RunStage};
use super::link::LinkEvent;
use crate::clock;
use crate::duty::{Duty, DutyInput, DutyOutput, Now, PowerOffWhy, Record, RecordId};
use crate::hands::Hands;
use crate::ledger::Ledger;
use squall_types::Span;
use squall_types::agent::{AgentReport, Assignment, AttemptState};
use squall_types::ids::Run;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Inputs that wait to be taken; the hands wait where there are more.
pub const INPUT_QUEUE: usize = 1024;
/// With nothing to wait for, the duties are asked again after so long all the same.
const IDLE: Duration = Duration::from_secs(60);
/// Records for which nobody waits are held back so long, and so many of them.
const HELD_FOR: Duration = Duration::from_secs(1);
const MOST_HELD: usize = 64;
/// A job waits so long for its socket before it starts without one.
const SOCKET_WITHIN: Duration = Duration::from_secs(2);

/// Why the agent ends.
#[derive(Debug)]
pub enum Over {
    PowerOff(PowerOffWhy),
    /// The controller does not want this agent.
    Refused(String),
    /// The disk failed: the agent has to start anew.
    Ledger(io::Error),
}

/// What others on this node may know of the runs: which are live, with what they were assigned.
pub type Runs = BTreeMap<Run, Arc<LiveRun>>;

/// The loop of the agent.
pub struct Driver {
    pub duty: Duty,
    pub hands: Arc<Hands>,
    pub inputs: mpsc::Receiver<DutyInput>,
    pub link: mpsc::Receiver<LinkEvent>,
    pub ledger: Ledger,
    /// To be written, all together.
    pub records: Vec<Record>,
    /// The number of the last of them.
    pub last: RecordId,
    /// One of them cannot wait for others.
    pub urgent: bool,
    pub runs: watch::Sender<Runs>,
    /// Which runs have a socket.
    pub served: watch::Receiver<BTreeSet<Run>>,
    /// Being prepared or let loose, and not yet known to be executed.
    pub starting: BTreeMap<Run, Now>,
    pub reports: Option<mpsc::Sender<AgentReport>>,
}

impl Driver {
    /// Runs until the agent is to end. Jobs go on.
    pub async fn run(mut self, fault: String) -> Over {
        // What does not answer is told as often as this node says hello.
        if let Some(over) = self.step(DutyInput::Fault(fault)) {
            return self.end(over);
        }
        for (run, remains) in self.duty.to_examine() {
            let hands = self.hands.clone();
            tokio::spawn(async move {
                let found = hands.examine(run, remains).await;
                hands.tell(DutyInput::Found { run, found }).await;
            });
        }
        loop {
            self.publish();
            let wake = tokio::time::sleep(self.until_wake());
            let over = tokio::select! {
                Some(input) = self.inputs.recv() => self.take(input),
                Some(event) = self.link.recv() => self.hear(event),
                () = wake => {
                    self.urgent |= !self.records.is_empty();
                    self.step(DutyInput::Tick)
                }
            };
            if let Some(over) = over.or_else(|| self.settle()) {
                return self.end(over);
            }
        }
    }

    /// What was decided together with the end is written down before it, where that can be; nothing more is done about it.
    fn end(mut self, over: Over) -> Over {
        if !matches!(over, Over::Ledger(_))
            && let Err(error) = self.ledger.write(self.records)
        {
            // A machine that is to be switched off is so with a failed disk too.
            tracing::error!(%error, "the ledger could not be written at the end");
        }
        over
    }

    /// Takes all that has come, and what comes of it, until there is nothing that cannot wait.
    fn settle(&mut self) -> Option<Over> {
        loop {
            while let Ok(input) = self.inputs.try_recv() {
                if let Some(over) = self.take(input) {
                    return Some(over);
                }
            }
            while let Ok(event) = self.link.try_recv() {
                if let Some(over) = self.hear(event) {
                    return Some(over);
                }
            }
            if !self.inputs.is_empty() {
                continue;
            }
            if !self.urgent {
                return None;
            }
            if let Some(over) = self.write() {
                return Some(over);
            }
        }
    }

    /// Writes all records, with one sync. Those that nobody waits for are told to be durable when a later one is.
    fn write(&mut self) -> Option<Over> {
        let records = std::mem::take(&mut self.records);
        self.urgent = false;
        let forgotten = records.iter().filter_map(|record| match record {
            Record::Forgotten { run } => Some(*run),
            _ => None,
        });
        let forgotten: Vec<Run> = forgotten.collect();
        let durable = match self.ledger.write(records) {
            Ok(durable) => durable,
            Err(error) => return Some(Over::Ledger(error)),
        };
        for run in forgotten {
            self.hands.leave(run);
        }
        if durable { self.step(DutyInput::Persisted(self.last)) } else { None }
    }

    fn until_wake(&self) -> Duration {
        let most = if self.records.is_empty() { IDLE } else { HELD_FOR };
        let Some(at) = self.duty.next_wake() else { return most };
        let left = (at - clock::now().uptime).max(Span::ZERO);
        Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(0)).min(most)
    }

    fn take(&mut self, input: DutyInput) -> Option<Over> {
        if let DutyInput::Prepared { run } = input
            && self.duty.assignment(run).is_none()
        {
            // Given up meanwhile: what was prepared is in nobody's way any more.
            self.hands.discard(run);
        }
        self.step(input)
    }

    fn hear(&mut self, event: LinkEvent) -> Option<Over> {
        match event {
            LinkEvent::Connected(reports) => {
                self.reports = Some(reports);
                self.step(DutyInput::Connected)
            }
            LinkEvent::Order(order) => self.step(DutyInput::Order(order)),
            LinkEvent::Disconnected => {
                self.reports = None;
                self.step(DutyInput::Disconnected)
            }
        }
    }

    fn step(&mut self, input: DutyInput) -> Option<Over> {
        let outputs = self.duty.step(clock::now(), input);
        let mut over = None;
        for output in outputs {
            over = over.or(self.perform(output));
        }
        over
    }

    fn perform(&mut self, output: DutyOutput) -> Option<Over> {
        match output {
            DutyOutput::Persist { id, record } => {
                self.urgent |= !record.is_told_again() || self.records.len() >= MOST_HELD;
                self.records.push(record);
                self.last = id;
            }
            DutyOutput::Prepare { assignment } => {
                // It gets its socket while it is prepared.
                self.starting.insert(assignment.run, clock::now());
                self.hands.prepare(assignment);
            }
            DutyOutput::Abandon { run } => self.hands.abandon(run),
            DutyOutput::StartShim { assignment, launch } => self.start(assignment, launch),
            DutyOutput::StopShim { run, why, .. } => {
                tracing::info!(job = %run.job, attempt = %run.attempt, reason = ?why, "stopping");
                self.hands.stop(self.duty.assignment(run), run, why);
            }
            DutyOutput::Freeze { run } => {
                tracing::info!(job = %run.job, attempt = %run.attempt, "suspending");
                self.hands.freeze(run);
            }
            DutyOutput::Thaw { run } => self.hands.thaw(run),
            DutyOutput::Kill { run } => self.hands.kill(run),
            DutyOutput::Signal { run, target, signal } => self.hands.signal(run, target, signal),
            DutyOutput::Report(report) => self.report(report),
            // Its folder stays until it is written down that the run was here.
            DutyOutput::Forget { run } => self.hands.discard(run),
            DutyOutput::PowerOff { why } => return Some(Over::PowerOff(why)),
            DutyOutput::Quit { why } => return Some(Over::Refused(why)),
            DutyOutput::Reconnect => self.reports = None,
            DutyOutput::Refuse(refusal) => tracing::warn!(reason = ?refusal, "an order was not obeyed"),
        }
        None
    }

    /// Lets a shim loose as soon as there is a socket for what it executes: a script may ask at once.
    fn start(&mut self, assignment: Arc<Assignment>, launch: u32) {
        let (hands, mut served, run) = (self.hands.clone(), self.served.clone(), assignment.run);
        self.starting.insert(run, clock::now());
        tokio::spawn(async move {
            let there = served.wait_for(|served| served.contains(&run));
            // A job that never asks needs none.
            if tokio::time::timeout(SOCKET_WITHIN, there).await.is_err() {
                tracing::warn!(job = %run.job, attempt = %run.attempt, "it starts without a socket");
            }
            hands.start(&assignment, launch).await;
        });
    }

    fn report(&mut self, report: AgentReport) {
        if let AgentReport::Attempt { run, state } = &report {
            let word = match state {
                AttemptState::Prepared => "prepared",
                AttemptState::Running { .. } => "running",
                AttemptState::Ended(end) => {
                    tracing::info!(job = %run.job, attempt = %run.attempt, cause = ?end.cause, reason = %end.detail, "ended");
                    "ended"
                }
            };
            tracing::debug!(job = %run.job, attempt = %run.attempt, state = word, "attempt");
        }
        // A connection that takes nothing any more is given up: the next greeting says it all.
        if self.reports.as_ref().is_some_and(|reports| reports.try_send(report).is_err()) {
            self.reports = None;
        }
    }

    /// Tells the other parts of the agent which runs are live now.
    fn publish(&mut self) {
        self.starting.retain(|run, _| self.duty.assignment(*run).is_some() && self.duty.running_since(*run).is_none());
        let live = |run: Run| self.duty.running_since(run).or_else(|| self.starting.get(&run).copied());
        self.runs.send_if_modified(|runs| {
            let mut changed = false;
            runs.retain(|run, _| {
                let stays = live(*run).is_some();
                changed |= !stays;
                stays
            });
            for assignment in self.duty.assignments() {
                let Some(began) = live(assignment.run) else { continue };
                let stage = match self.duty.running_since(assignment.run) {
                    Some(_) => RunStage::Up,
                    None if self.duty.is_prepared(assignment.run) => RunStage::Prepared,
                    None => RunStage::Preparing,
                };
                let known = runs.get(&assignment.run).is_some_and(|live| live.is_same(assignment, stage));
                if !known {
                    let live = LiveRun { assignment: assignment.clone(), began, stage };
                    runs.insert(assignment.run, Arc::new(live));
                    changed = true;
                }
            }
            changed
        });
    }
}
