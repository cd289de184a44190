//! Transition tables: each test feeds inputs and compares what comes out, in short words.

use super::*;
use squall_types::agent::{AssignedPhase, AssignmentDetail, EndCause, ExitStatus, SignalTarget, StopWhy, Usage};
use squall_types::{Allocation, JobSpec, NodeId, SignalSpec};

const LIMIT: Span = Span::from_secs(100);
const GRACE: Span = Span::from_secs(30);

fn run(job: u32, attempt: u32) -> Run {
    Run { job: JobId(job), attempt: Attempt(attempt) }
}

fn at(secs: i64) -> Now {
    Now { wall: Timestamp::from_secs(1_000_000 + secs), uptime: Span::from_secs(50 + secs) }
}

pub(crate) fn assignment(run: Run, gpus: &[u16], phase: AssignedPhase) -> Assignment {
    Assignment {
        run,
        allocation: Allocation { node: NodeId(1), cpus: 1, memory_mib: 100, gpus: gpus.to_vec(), tasks: 1 },
        phase,
        detail: AssignmentDetail {
            spec: JobSpec::default(),
            nodes: vec![],
            rank: 0,
            time_limit: LIMIT,
            array: None,
            restarts: 0,
            partition: String::new(),
            cluster: String::new(),
            kill_wait: GRACE,
            components: Vec::new(),
        },
        credential: vec![],
    }
}

const RUN: AssignedPhase = AssignedPhase::Run { started_at: Timestamp(0), suspended: false };
const SUSPEND: AssignedPhase = AssignedPhase::Run { started_at: Timestamp(0), suspended: true };
const CANCEL: AssignedPhase = AssignedPhase::Stop { why: StopWhy::Cancelled, grace: GRACE };

fn ended(cause: EndCause, code: i32) -> AttemptEnd {
    AttemptEnd {
        cause,
        exit: ExitStatus { code, signal: 0 },
        ended_at: at(0).wall,
        usage: Usage::default(),
        detail: String::new(),
    }
}

fn booted(boots: u32) -> MeasuredNode {
    MeasuredNode { boot_id: format!("boot {boots}"), ..MeasuredNode::default() }
}

/// Drives a `Duty`, keeps the disk, and prints outputs as short lines.
struct Table {
    duty: Duty,
    now: Now,
    generation: u64,
    disk: Vec<Record>,
    waiting: Vec<(RecordId, Record)>,
    boots: u32,
}

impl Table {
    fn new() -> Table {
        Self::with(DutyConfig::default(), vec![])
    }

    fn with(config: DutyConfig, disk: Vec<Record>) -> Table {
        let duty = Duty::restore(config, booted(0), at(0), disk.clone());
        Table { duty, now: at(0), generation: 0, disk, waiting: vec![], boots: 0 }
    }

    /// In contact, with an empty full set of epoch 1 taken.
    fn synced() -> Table {
        let mut table = Table::new();
        table.feed(DutyInput::Connected);
        table.full(1, vec![]);
        table.flush();
        table
    }

    /// The process dies; what was not written is gone.
    fn crash(&mut self) {
        let config = self.duty.config;
        self.duty = Duty::restore(config, booted(self.boots), self.now, self.disk.clone());
        self.waiting.clear();
    }

    /// The machine dies with it, and comes back.
    fn reboot(&mut self) {
        self.boots += 1;
        self.crash();
    }

    fn feed(&mut self, input: DutyInput) -> Vec<String> {
        let outputs = self.duty.step(self.now, input);
        let mut lines = vec![];
        for output in outputs {
            // Follows every hello; the test of faults looks at it.
            if output != DutyOutput::Report(AgentReport::Health { fault: String::new() }) {
                lines.push(self.line(&output));
            }
            if let DutyOutput::Persist { id, record } = output {
                self.waiting.push((id, record));
            }
        }
        lines
    }

    /// Writes all that waits, and tells so.
    fn flush(&mut self) -> Vec<String> {
        let mut lines = vec![];
        while !self.waiting.is_empty() {
            let (id, record) = self.waiting.remove(0);
            self.disk.push(record);
            lines.extend(self.feed(DutyInput::Persisted(id)));
        }
        lines
    }

    fn full(&mut self, epoch: u64, assignments: Vec<Assignment>) -> Vec<String> {
        self.generation += 1;
        let generation = Generation(self.generation);
        let order =
            AgentOrder::FullSet { epoch: Epoch(epoch), generation, assignments, die_at: None, keep_unknown: false };
        self.feed(DutyInput::Order(order))
    }

    fn delta(&mut self, changed: Vec<Assignment>, removed: Vec<Run>) -> Vec<String> {
        self.generation += 1;
        let generation = Generation(self.generation);
        let order = AgentOrder::Delta { epoch: self.duty.epoch(), generation, changed, removed, die_at: None };
        self.feed(DutyInput::Order(order))
    }

    fn ack(&mut self, run: Run) -> Vec<String> {
        self.feed(DutyInput::Order(AgentOrder::Acknowledged { runs: vec![run], steps: vec![] }))
    }

    fn tick(&mut self, secs: i64) -> Vec<String> {
        self.now = at(secs);
        self.feed(DutyInput::Tick)
    }

    /// Takes a run to `Running` at the present time.
    fn start(&mut self, run: Run, gpus: &[u16]) {
        self.delta(vec![assignment(run, gpus, RUN)], vec![]);
        self.flush();
        self.feed(DutyInput::Prepared { run });
        self.flush();
        self.feed(DutyInput::ShimStarted { run, began: self.now });
        assert!(self.duty.running_since(run).is_some());
    }

    fn line(&self, output: &DutyOutput) -> String {
        match output {
            DutyOutput::Persist { record, .. } => match record {
                Record::Node(node) => format!("persist epoch {}", node.epoch),
                Record::Run { run, stage } => match &**stage {
                    Stage::Accepted(_) => format!("persist {run} accepted"),
                    Stage::Starting { launch, .. } => format!("persist {run} starting {launch}"),
                    Stage::Ended(end) => format!("persist {run} ended {:?}", end.cause),
                },
                Record::Forgotten { run } => format!("persist {run} forgotten"),
                other => format!("persist {other:?}"),
            },
            DutyOutput::Prepare { assignment } => format!("prepare {}", assignment.run),
            DutyOutput::Abandon { run } => format!("abandon {run}"),
            DutyOutput::StartShim { assignment, launch } => format!("start {} {launch}", assignment.run),
            DutyOutput::StopShim { run, why, .. } => format!("stop {run} {why:?}"),
            DutyOutput::Freeze { run } => format!("freeze {run}"),
            DutyOutput::Thaw { run } => format!("thaw {run}"),
            DutyOutput::Kill { run } => format!("kill {run}"),
            DutyOutput::Signal { run, target, signal } => format!("signal {run} {target:?} {signal}"),
            DutyOutput::Report(AgentReport::Hello { attempts, .. }) => {
                let attempts: Vec<String> =
                    attempts.iter().map(|(run, state)| format!(" {run}={}", word(state))).collect();
                format!("hello{}", attempts.concat())
            }
            DutyOutput::Report(AgentReport::Attempt { run, state }) => format!("report {run} {}", word(state)),
            DutyOutput::Report(report) => format!("report {report:?}"),
            DutyOutput::Forget { run } => format!("forget {run}"),
            DutyOutput::PowerOff { why } => format!("power off {why:?}"),
            DutyOutput::Quit { why } => format!("quit {why}"),
            DutyOutput::Reconnect => "reconnect".to_owned(),
            DutyOutput::Refuse(refusal) => {
                format!("refuse {refusal:?}").split(['(', ' ']).take(2).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

fn word(state: &AttemptState) -> String {
    match state {
        AttemptState::Prepared => "prepared".to_owned(),
        AttemptState::Running { .. } => "running".to_owned(),
        AttemptState::Ended(end) => format!("{:?}", end.cause),
    }
}

const A: fn() -> Run = || run(7, 1);

mod alone;
#[cfg(feature = "canaries")]
mod canaries;
mod ending;
mod orders;
mod starting;
mod suspending;
