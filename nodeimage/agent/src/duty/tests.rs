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

fn assignment(run: Run, gpus: &[u16], phase: AssignedPhase) -> Assignment {
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
        },
        credential: vec![],
    }
}

const RUN: AssignedPhase = AssignedPhase::Run { started_at: Timestamp(0) };
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

/// Drives a `Duty`, keeps the disk, and prints outputs as short lines.
struct Table {
    duty: Duty,
    now: Now,
    generation: u64,
    disk: Vec<Record>,
    waiting: Vec<(RecordId, Record)>,
}

impl Table {
    fn new() -> Table {
        Self::with(DutyConfig::default(), vec![])
    }

    fn with(config: DutyConfig, disk: Vec<Record>) -> Table {
        let duty = Duty::restore(config, MeasuredNode::default(), at(0), disk.clone());
        Table { duty, now: at(0), generation: 0, disk, waiting: vec![] }
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
        self.duty = Duty::restore(config, MeasuredNode::default(), self.now, self.disk.clone());
        self.waiting.clear();
    }

    fn feed(&mut self, input: DutyInput) -> Vec<String> {
        let outputs = self.duty.step(self.now, input);
        let mut lines = vec![];
        for output in outputs {
            lines.push(self.line(&output));
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
            DutyOutput::StartShim { assignment, launch } => format!("start {} {launch}", assignment.run),
            DutyOutput::StopShim { run, why, .. } => format!("stop {run} {why:?}"),
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

#[test]
fn a_run_goes_from_order_to_acknowledged_end() {
    let mut t = Table::synced();
    assert_eq!(t.delta(vec![assignment(A(), &[0], RUN)], vec![]), ["persist 7.1 accepted"]);
    assert_eq!(t.flush(), ["prepare 7.1"]);
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), ["persist 7.1 starting 1"]);
    assert_eq!(t.flush(), ["start 7.1 1"]);
    let began = t.now;
    assert_eq!(t.feed(DutyInput::ShimStarted { run: A(), began }), ["report 7.1 running"]);
    assert_eq!(
        t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 3) }),
        ["persist 7.1 ended Exited"]
    );
    assert_eq!(t.flush(), ["report 7.1 Exited"]);
    assert_eq!(t.ack(A()), ["persist 7.1 forgotten", "forget 7.1"]);
    assert!(t.duty.idle());
}

#[test]
fn a_gang_member_prepares_and_waits_for_the_word() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], AssignedPhase::Prepare)], vec![]);
    assert_eq!(t.flush(), ["prepare 7.1"]);
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), ["report 7.1 prepared"]);
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["persist 7.1 accepted", "persist 7.1 starting 1"]);
    assert_eq!(t.flush(), ["start 7.1 1"]);
}

#[test]
fn nothing_is_executed_before_its_record_is_durable() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    assert_eq!(t.tick(5), Vec::<String>::new());
    t.flush();
    t.feed(DutyInput::Prepared { run: A() });
    assert_eq!(t.tick(6), Vec::<String>::new(), "the starting record is not durable");
    assert_eq!(t.flush(), ["start 7.1 1"]);
}

#[test]
fn what_began_is_never_started_again_after_a_crash() {
    for (found, expected) in [
        (Found::Running(at(0)), "hello 7.1=running"),
        (Found::Lost { detail: String::new() }, "hello 7.1=Lost"),
        (Found::Ended(ended(EndCause::Exited, 9)), "hello 7.1=Exited"),
    ] {
        let mut t = Table::synced();
        t.start(A(), &[0]);
        t.crash();
        assert_eq!(t.duty.to_examine(), [(A(), Some(1))]);
        assert_eq!(t.feed(DutyInput::Connected), Vec::<String>::new(), "hello waits for the examination");
        let mut lines = t.feed(DutyInput::Found { run: A(), found });
        lines.extend(t.flush());
        assert_eq!(lines.last().map(String::as_str), Some(expected));
        let mut lines = t.full(1, vec![assignment(A(), &[0], RUN)]);
        lines.extend(t.flush());
        assert!(!lines.iter().any(|line| line.starts_with("start") || line.starts_with("prepare")), "{lines:?}");
    }
}

#[test]
fn what_provably_never_began_starts_after_a_crash_under_a_new_launch() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::Prepared { run: A() });
    assert_eq!(t.flush(), ["start 7.1 1"]);
    t.crash();
    assert_eq!(t.feed(DutyInput::Found { run: A(), found: Found::NeverBegan }), Vec::<String>::new());
    assert_eq!(t.feed(DutyInput::Connected), ["hello"]);
    assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["prepare 7.1"]);
    t.feed(DutyInput::Prepared { run: A() });
    assert_eq!(t.flush(), ["start 7.1 2"]);
}

#[test]
fn a_crash_between_record_and_shim_loses_nothing() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.crash(); // the record was not durable
    assert_eq!(t.feed(DutyInput::Connected), ["hello"]);
    t.full(1, vec![assignment(A(), &[], RUN)]);
    assert_eq!(t.flush(), ["prepare 7.1"]);
    t.crash(); // recorded, not prepared
    assert_eq!(t.feed(DutyInput::Connected), ["hello"]);
    assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["prepare 7.1"]);
}

#[test]
fn results_are_kept_until_acknowledged_over_crashes_and_silence() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::Disconnected);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 4) });
    assert_eq!(t.flush(), Vec::<String>::new(), "nobody listens");
    for _ in 0..3 {
        t.crash();
        assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=Exited"]);
    }
    assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["report 7.1 Exited"]);
    t.ack(A());
    t.flush();
    t.crash();
    assert_eq!(t.feed(DutyInput::Connected), ["hello"]);
}

#[test]
fn a_forgotten_run_cannot_be_executed_again() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    t.ack(A());
    t.flush();
    for crash in [false, true] {
        if crash {
            t.crash();
            t.feed(DutyInput::Connected);
        }
        assert_eq!(t.full(1, vec![assignment(A(), &[], RUN)]), ["refuse Forgotten", "report 7.1 Lost"]);
    }
    t.full(1, vec![assignment(run(7, 2), &[], RUN)]);
    assert_eq!(t.flush(), ["prepare 7.2"], "a higher attempt is another run");
}

#[test]
fn a_lower_attempt_than_one_known_is_refused() {
    let mut t = Table::synced();
    t.start(run(7, 2), &[]);
    t.feed(DutyInput::ShimEnded { run: run(7, 2), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["refuse Run", "persist 7.1 ended LaunchFailed"]);
    assert_eq!(t.flush(), ["report 7.1 LaunchFailed"]);
}

#[test]
fn a_second_attempt_waits_for_nobody_while_the_first_lives_it_is_refused() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    assert_eq!(
        t.delta(vec![assignment(run(7, 2), &[], RUN)], vec![]),
        ["refuse Run", "persist 7.2 ended LaunchFailed"]
    );
}

#[test]
fn a_grant_of_a_held_gpu_is_refused_until_the_holder_is_over() {
    let mut t = Table::synced();
    t.start(A(), &[0, 1]);
    assert_eq!(
        t.delta(vec![assignment(run(8, 1), &[1], RUN)], vec![]),
        ["refuse Run", "persist 8.1 ended LaunchFailed"]
    );
    t.flush();
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.delta(vec![assignment(run(9, 1), &[1], RUN)], vec![]), ["persist 9.1 accepted"]);
    assert_eq!(t.flush(), ["prepare 9.1"]);
}

#[test]
fn only_the_highest_epoch_is_obeyed_and_only_when_it_is_durable() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    assert_eq!(t.full(5, vec![assignment(A(), &[], RUN)]), ["persist epoch 5"]);
    assert_eq!(t.delta(vec![assignment(run(8, 1), &[], RUN)], vec![]), Vec::<String>::new());
    assert_eq!(t.flush(), ["persist 7.1 accepted", "persist 8.1 accepted", "prepare 7.1", "prepare 8.1"]);
    assert_eq!(t.full(4, vec![]), ["refuse StaleEpoch"]);
    assert_eq!(t.ack(A()), ["refuse NotSynced"], "the stale controller's other words count for nothing");
    t.crash();
    t.feed(DutyInput::Connected);
    assert_eq!(t.full(4, vec![]), ["refuse StaleEpoch"], "the epoch was durable");
}

#[test]
fn an_epoch_that_is_not_durable_binds_over_a_reconnection() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    t.full(5, vec![]);
    t.feed(DutyInput::Connected);
    assert_eq!(t.full(5, vec![assignment(A(), &[], RUN)]), Vec::<String>::new());
    assert_eq!(t.flush(), ["persist 7.1 accepted", "prepare 7.1"]);
}

#[test]
fn an_overtaken_generation_is_refused() {
    let mut t = Table::synced();
    t.delta(vec![], vec![]);
    t.generation -= 2;
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["refuse StaleGeneration"]);
}

#[test]
fn deltas_before_the_full_set_are_refused() {
    let mut t = Table::new();
    t.feed(DutyInput::Connected);
    assert_eq!(t.delta(vec![assignment(A(), &[], RUN)], vec![]), ["refuse NotSynced"]);
}

#[test]
fn runs_that_the_full_set_does_not_name_are_stopped_or_forgotten() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.start(run(8, 1), &[]);
    t.feed(DutyInput::ShimEnded { run: run(8, 1), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(
        t.full(1, vec![]),
        ["persist 7.1 starting 1", "stop 7.1 Cancelled", "persist 8.1 forgotten", "forget 8.1"]
    );
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    assert_eq!(t.flush(), ["report 7.1 Stopped"]);
}

#[test]
fn a_controller_restored_from_a_backup_stops_and_forgets_nothing() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.start(run(8, 1), &[]);
    t.feed(DutyInput::ShimEnded { run: run(8, 1), end: ended(EndCause::Exited, 0) });
    t.flush();
    let order = AgentOrder::FullSet {
        epoch: Epoch(2),
        generation: Generation(1),
        assignments: vec![],
        die_at: None,
        keep_unknown: true,
    };
    t.feed(DutyInput::Connected);
    assert_eq!(t.feed(DutyInput::Order(order)), ["persist epoch 2"]);
    assert_eq!(t.flush(), Vec::<String>::new());
    assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=running 8.1=Exited"]);
}

#[test]
fn cancel_wins_over_every_phase_before_the_start() {
    // How many inputs are given before the cancel arrives.
    for progress in 0..4 {
        let mut t = Table::synced();
        t.delta(vec![assignment(A(), &[], RUN)], vec![]);
        if progress > 0 {
            t.flush();
        }
        if progress > 1 {
            t.feed(DutyInput::Prepared { run: A() });
        }
        if progress > 2 {
            t.flush(); // started: now it must be stopped
        }
        let mut lines = t.delta(vec![assignment(A(), &[], CANCEL)], vec![]);
        lines.extend(t.flush());
        match progress {
            3 => {
                let began = t.now;
                lines.extend(t.feed(DutyInput::ShimStarted { run: A(), began }));
                assert_eq!(lines.last().map(String::as_str), Some("stop 7.1 Cancelled"));
            }
            1 => {
                lines.extend(t.feed(DutyInput::Prepared { run: A() }));
                lines.extend(t.flush());
                assert_eq!(lines.last().map(String::as_str), Some("report 7.1 NeverRan"));
            }
            _ => assert_eq!(lines.last().map(String::as_str), Some("report 7.1 NeverRan"), "{lines:?}"),
        }
        assert!(!lines.iter().any(|line| line.starts_with("start ")), "{lines:?}");
    }
}

#[test]
fn a_stop_is_terminate_grace_and_kill_until_it_is_over() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    assert_eq!(t.delta(vec![assignment(A(), &[], CANCEL)], vec![]), ["persist 7.1 starting 1", "stop 7.1 Cancelled"]);
    assert_eq!(t.duty.next_wake(), Some(at(10).uptime), "a heartbeat comes first");
    assert_eq!(t.tick(29), ["report Heartbeat"]);
    assert_eq!(t.tick(30), ["kill 7.1"]);
    assert_eq!(t.tick(35), Vec::<String>::new());
    assert_eq!(t.tick(40), ["kill 7.1", "report Heartbeat"]);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    assert_eq!(t.flush(), ["report 7.1 Stopped"]);
}

#[test]
fn a_second_cancel_can_shorten_the_grace() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.delta(vec![assignment(A(), &[], CANCEL)], vec![]);
    let now = AssignedPhase::Stop { why: StopWhy::Preempted, grace: Span::ZERO };
    let lines = t.delta(vec![assignment(A(), &[], now)], vec![]);
    assert_eq!(lines, ["persist 7.1 starting 1", "kill 7.1"]);
}

#[test]
fn the_time_limit_holds_without_a_controller_and_over_a_crash() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.feed(DutyInput::Disconnected);
    t.tick(60);
    t.crash();
    t.feed(DutyInput::Found { run: A(), found: Found::Running(at(0)) });
    assert_eq!(t.duty.next_wake(), Some(at(100).uptime));
    assert_eq!(t.tick(99), Vec::<String>::new());
    assert_eq!(t.tick(100), ["persist 7.1 starting 1", "stop 7.1 TimeLimit"]);
    assert_eq!(t.tick(130), ["kill 7.1"]);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=TimeLimit"]);
}

#[test]
fn a_jump_of_the_wall_clock_ends_no_job() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    t.now = Now { wall: Timestamp::from_secs(9_000_000), uptime: at(9).uptime };
    assert_eq!(t.feed(DutyInput::Tick), Vec::<String>::new());
}

#[test]
fn an_extended_limit_counts_from_the_start() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    let mut longer = assignment(A(), &[], RUN);
    longer.detail.time_limit = Span::from_secs(200);
    t.delta(vec![longer], vec![]);
    assert_eq!(t.tick(150), ["report Heartbeat"]);
    assert_eq!(t.tick(200), ["persist 7.1 starting 1", "stop 7.1 TimeLimit", "report Heartbeat"]);
}

#[test]
fn the_warning_comes_once_before_the_limit_to_whom_it_was_meant_for() {
    for (batch_only, target) in [(true, "BatchShell"), (false, "Steps")] {
        let mut t = Table::synced();
        let mut wanted = assignment(A(), &[], RUN);
        wanted.detail.spec.signal = Some(SignalSpec { signal: 12, before: Span::from_secs(20), batch_only });
        t.delta(vec![wanted], vec![]);
        t.flush();
        t.feed(DutyInput::Prepared { run: A() });
        t.flush();
        let began = t.now;
        t.feed(DutyInput::ShimStarted { run: A(), began });
        t.feed(DutyInput::Disconnected);
        assert_eq!(t.duty.next_wake(), Some(at(80).uptime));
        assert_eq!(t.tick(80), ["persist 7.1 starting 1".to_owned(), format!("signal 7.1 {target} 12")]);
        t.flush();
        t.crash();
        t.feed(DutyInput::Found { run: A(), found: Found::Running(at(0)) });
        assert_eq!(t.tick(90), Vec::<String>::new(), "not a second time");
    }
}

#[test]
fn without_contact_no_work_begins() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.feed(DutyInput::Prepared { run: A() }), Vec::<String>::new());
    assert_eq!(t.feed(DutyInput::Connected), ["hello 7.1=prepared"]);
    let mut lines = t.full(1, vec![assignment(A(), &[], RUN)]);
    lines.extend(t.flush());
    assert_eq!(lines, ["persist 7.1 starting 1", "start 7.1 1"]);
}

#[test]
fn contact_lost_while_committing_leaves_it_prepared() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::Prepared { run: A() });
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.flush(), Vec::<String>::new());
    t.feed(DutyInput::Connected);
    t.full(1, vec![assignment(A(), &[], RUN)]);
    assert_eq!(t.flush(), ["start 7.1 2"]);
}

#[test]
fn a_failed_preparation_or_launch_is_reported_with_its_text() {
    let mut t = Table::synced();
    t.delta(vec![assignment(A(), &[], RUN)], vec![]);
    t.flush();
    t.feed(DutyInput::PrepareFailed { run: A(), detail: "no such user".to_owned() });
    assert_eq!(t.flush(), ["report 7.1 LaunchFailed"]);
}

#[test]
fn a_damaged_record_makes_that_run_lost_and_no_other() {
    let mut t = Table::synced();
    t.start(run(8, 1), &[]);
    t.disk.push(Record::Damaged { run: A() });
    t.crash();
    t.feed(DutyInput::Connected);
    t.feed(DutyInput::Found { run: run(8, 1), found: Found::Running(at(0)) });
    t.feed(DutyInput::Found { run: A(), found: Found::Lost { detail: String::new() } });
    assert_eq!(t.flush(), ["hello 7.1=Lost 8.1=running"]);
}

#[test]
fn a_bought_machine_alone_powers_off_after_its_jobs_but_keeps_results_longer() {
    let config = DutyConfig { self_end: true, ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    assert_eq!(t.duty.next_wake(), Some(at(600).uptime), "the boot timer, if nobody ever answers");
    t.feed(DutyInput::Connected);
    t.full(1, vec![]);
    t.flush();
    t.start(A(), &[]);
    t.feed(DutyInput::Disconnected);
    t.now = at(50);
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.tick(50 + 3599), Vec::<String>::new(), "a result is held");
    assert_eq!(t.tick(50 + 3600), ["power off Alone"]);
    assert_eq!(t.tick(50 + 3700), Vec::<String>::new(), "once");
}

#[test]
fn a_bought_machine_never_outlives_its_bound_and_a_clock_jump_does_not_fire_it() {
    let config = DutyConfig { self_end: true, die_at: Some(at(500).wall), ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    t.feed(DutyInput::Connected);
    t.full(1, vec![]);
    t.flush();
    t.now = Now { wall: at(10_000).wall, uptime: at(3).uptime };
    assert_eq!(t.feed(DutyInput::Tick), Vec::<String>::new());
    assert_eq!(t.tick(500), ["report Heartbeat", "power off DieAt"]);
}

#[test]
fn an_order_moves_the_bound_and_the_move_is_remembered() {
    let config = DutyConfig { self_end: true, die_at: Some(at(500).wall), ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    t.feed(DutyInput::Connected);
    let order = AgentOrder::FullSet {
        epoch: Epoch(1),
        generation: Generation(1),
        assignments: vec![],
        die_at: Some(at(900).wall),
        keep_unknown: false,
    };
    t.feed(DutyInput::Order(order));
    t.flush();
    t.crash();
    t.feed(DutyInput::Connected);
    assert_eq!(t.tick(899), ["report Heartbeat"]);
    assert_eq!(t.tick(900), ["power off DieAt"]);
}

#[test]
fn an_on_prem_node_never_powers_itself_off() {
    let mut t = Table::synced();
    t.feed(DutyInput::Disconnected);
    assert_eq!(t.tick(1_000_000), Vec::<String>::new());
    assert_eq!(t.duty.next_wake(), None);
}

#[test]
fn a_retiring_node_takes_nothing_and_ends_when_all_is_acknowledged() {
    let config = DutyConfig { self_end: true, ..DutyConfig::default() };
    let mut t = Table::with(config, vec![]);
    t.feed(DutyInput::Connected);
    t.full(1, vec![]);
    t.flush();
    t.start(A(), &[]);
    assert_eq!(t.feed(DutyInput::Order(AgentOrder::Retire)), Vec::<String>::new());
    t.delta(vec![assignment(run(8, 1), &[], RUN)], vec![]);
    assert_eq!(t.flush(), ["report 8.1 NeverRan"]);
    t.ack(run(8, 1));
    t.feed(DutyInput::ShimEnded { run: A(), end: ended(EndCause::Exited, 0) });
    t.flush();
    assert_eq!(t.ack(A()), ["persist 7.1 forgotten", "forget 7.1", "power off Retired"]);
}

#[test]
fn results_of_steps_are_kept_until_acknowledged() {
    let mut t = Table::synced();
    let step = StepEnd {
        run: A(),
        step: StepId(0),
        exit: ExitStatus::default(),
        started_at: at(0).wall,
        ended_at: at(1).wall,
        usage: Usage::default(),
    };
    t.feed(DutyInput::StepEnded(step.clone()));
    t.flush();
    t.crash();
    let outputs = t.duty.step(t.now, DutyInput::Connected);
    assert!(matches!(&outputs[0], DutyOutput::Report(AgentReport::Hello { steps, .. }) if *steps == [step]));
    t.full(1, vec![]);
    t.feed(DutyInput::Order(AgentOrder::Acknowledged { runs: vec![], steps: vec![(A(), StepId(0))] }));
    t.flush();
    t.crash();
    let outputs = t.duty.step(t.now, DutyInput::Connected);
    assert!(matches!(&outputs[0], DutyOutput::Report(AgentReport::Hello { steps, .. }) if steps.is_empty()));
}

#[test]
fn signals_reach_running_runs_only() {
    let mut t = Table::synced();
    let order = || DutyInput::Order(AgentOrder::Signal { run: A(), target: SignalTarget::Steps, signal: 10 });
    assert_eq!(t.feed(order()), Vec::<String>::new());
    t.start(A(), &[]);
    assert_eq!(t.feed(order()), ["signal 7.1 Steps 10"]);
}

#[test]
fn a_refused_agent_ends_and_stops_nothing() {
    let mut t = Table::synced();
    t.start(A(), &[]);
    assert_eq!(t.feed(DutyInput::Order(AgentOrder::Refused { why: "older twin".into() })), ["quit older twin"]);
}

#[test]
fn a_fault_is_said_when_it_comes_and_with_every_hello() {
    let mut t = Table::synced();
    let fault = "GPU 3 fell off the bus".to_owned();
    assert_eq!(t.feed(DutyInput::Fault(fault.clone())).len(), 1);
    assert_eq!(t.feed(DutyInput::Fault(fault)).len(), 0);
    assert_eq!(t.feed(DutyInput::Connected).len(), 2);
}

#[test]
fn records_survive_their_encoding() {
    let records = [
        Record::Node(NodeRecord { epoch: Epoch(3), die_at: Some(at(5).wall) }),
        Record::Run { run: A(), stage: Box::new(Stage::Accepted(assignment(A(), &[1, 2], RUN))) },
        Record::Run {
            run: A(),
            stage: Box::new(Stage::Starting { assignment: assignment(A(), &[], CANCEL), launch: 2, warned: true }),
        },
        Record::Run { run: A(), stage: Box::new(Stage::Ended(ended(EndCause::OutOfMemory, 1))) },
        Record::Forgotten { run: A() },
    ];
    for record in records {
        let bytes = minicbor::to_vec(&record).unwrap();
        assert_eq!(minicbor::decode::<Record>(&bytes).unwrap(), record);
    }
}

#[cfg(feature = "canaries")]
mod canaries;
