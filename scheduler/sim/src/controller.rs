//! The controller's life: it starts from what is durable, performs what its engine says one by one, and can die
//! between any two of them.

use crate::describe;
use crate::disk::Unsynced;
use crate::happening::{End, Happening, ProcessId, RpcId};
use crate::points::Point;
use crate::tally::Fault;
use crate::world::World;
use squall_core::check::check;
use squall_core::{Caller, Cluster, Command, Event};
use squall_engine::{Answer, Ask, BatchId, CallId, Engine, Input, Output, ProviderCall, RequestId, SessionId};
use squall_types::{Epoch, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

const VERSION: &str = "simulated";
/// How long an idle agent of the system waits before it starts a dead controller again.
const RESTART: Span = Span::from_secs(2);
/// Of a thousand things that come, so many wait for company.
const GATHERS: u32 = 100;
/// Ids that a restored backup leaves out: more than one run gives.
const RESTORE_GAP: u32 = 1000;

/// One life of a controller.
pub struct Process {
    pub engine: Engine,
    pub epoch: Epoch,
    /// What its clock shows beyond the true time.
    pub ahead: Span,
    /// It was stopped once: what it had decided before may leave it much later.
    pub lagged: bool,
    /// Stopped by a signal.
    pub stopped: bool,
    /// Came, and is not taken in.
    waiting: Vec<Input>,
    wake_at: Option<Timestamp>,
    pub writing: Option<(BatchId, Vec<Event>)>,
    pub requests: BTreeMap<RequestId, RpcId>,
    pub calls: BTreeMap<CallId, Point>,
    pub sessions: BTreeSet<SessionId>,
    started_at: Timestamp,
}

impl World {
    pub fn start_controller(&mut self) {
        if self.leader.is_some() {
            return;
        }
        let cluster = self.recover();
        let epoch = Epoch(self.disk.epoch.0 + 1);
        self.disk.epoch = epoch;
        let id = ProcessId(self.fresh_id());
        let behind = self.chance(self.scenario.weather.clock_behind);
        let ahead = if behind && epoch.0 > 1 { Span(-self.dice.secs(1, 60).0) } else { Span::ZERO };
        if behind && epoch.0 > 1 {
            self.tally.count(Fault::ClockJump, "start");
        }
        self.trace.say(self.now, "controller starts", epoch.0, || format!("epoch {epoch}"));
        let mut engine = Engine::new(cluster, epoch, VERSION);
        // In every third life passes are cut after a few looks, as deep queues cut them.
        engine.audit_plans(if (epoch.0 + self.scenario.seed).is_multiple_of(3) { 3 } else { u64::MAX });
        let outputs = engine.start(self.now + ahead);
        let process = Process {
            engine,
            epoch,
            ahead,
            lagged: false,
            stopped: false,
            waiting: Vec::new(),
            wake_at: None,
            writing: None,
            requests: BTreeMap::new(),
            calls: BTreeMap::new(),
            sessions: BTreeSet::new(),
            started_at: self.now,
        };
        self.processes.insert(id, process);
        self.leader = Some(id);
        self.perform_all(id, outputs);
        if self.restored {
            self.ask(id, Command::Restore { gap: RESTORE_GAP });
        }
        self.reload(id);
        if self.disk_reserve {
            self.feed(id, Input::DiskReserve { refusal: Some("no reserve".to_owned()) });
        }
        if self.processes.contains_key(&id) && self.strikes(Point::Recovering, Fault::KillController) {
            self.kill_controller(id, RESTART);
        }
    }

    /// J1, C4: what is read back is what was durable, by either way.
    fn recover(&mut self) -> Cluster {
        let mut cluster = Cluster::new();
        match self.disk.recover() {
            Ok(events) => events.iter().for_each(|event| cluster.apply(event)),
            Err(text) => self.wrong(format!("C5: {text}")),
        }
        if cluster.hash() != self.shadow.hash() {
            self.wrong("C4: the state that is read back is not what was written".to_owned());
        }
        if self.dice.chance(300)
            && let Some(recovered) = self.disk.recover_from_snapshot()
        {
            match recovered {
                Ok(recovered) if recovered.hash() == cluster.hash() => cluster = recovered,
                Ok(_) => self.wrong("C4: snapshot and tail give another state than the whole log".to_owned()),
                Err(text) => self.wrong(format!("C4: a snapshot cannot be read: {text}")),
            }
            self.tally.count(Fault::SnapshotRecovery, "recovery");
        }
        let lost = self.promises.kept(&self.history);
        self.wrongs(lost);
        cluster
    }

    /// The shell asks its own engine.
    pub fn ask(&mut self, process: ProcessId, command: Command) {
        let id = RequestId(self.fresh_id());
        self.feed(process, Input::Request { id, caller: Caller::System, ask: Ask::One(command) });
    }

    pub fn reload(&mut self, process: ProcessId) {
        let config = Box::new(self.config.clone());
        self.ask(process, Command::Configure { config });
    }

    /// What comes waits while the process is stopped, and now and then for what comes next.
    pub fn feed(&mut self, id: ProcessId, input: Input) {
        let waits = self.dice.chance(GATHERS) && !matches!(input, Input::Committed { .. } | Input::Wake);
        let Some(process) = self.processes.get_mut(&id) else { return };
        process.waiting.push(input);
        if process.stopped {
            return;
        }
        if !waits {
            return self.take_in(id);
        }
        if process.waiting.len() == 1 {
            let after = self.dice.millis(1, 8);
            self.schedule(after, Happening::Gathered(id));
        }
    }

    pub fn take_in(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id).filter(|process| !process.stopped) else { return };
        let inputs = std::mem::take(&mut process.waiting);
        if inputs.is_empty() {
            return;
        }
        for input in &inputs {
            if let Input::Provider { call, .. } = input {
                process.calls.remove(call);
            }
            self.trace.say(now, "input", id.0, || format!("{} {}", id.0, describe::input(input)));
        }
        let outputs = process.engine.step_all(now + process.ahead, inputs);
        self.perform_all(id, outputs);
    }

    pub fn wake(&mut self, id: ProcessId) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else { return };
        if process.wake_at.is_some_and(|at| at <= now) {
            process.wake_at = None;
            self.feed(id, Input::Wake);
        }
    }

    fn perform_all(&mut self, id: ProcessId, outputs: Vec<Output>) {
        let mut changed = false;
        for output in outputs {
            let Some((before, after)) = points(&output) else {
                self.perform(id, output);
                continue;
            };
            changed |= matches!(output, Output::Append { .. });
            if self.strikes(before, Fault::KillController) {
                return self.die_of_sniper(id);
            }
            self.perform(id, output);
            if !self.processes.contains_key(&id) {
                return;
            }
            if self.strikes(after, Fault::KillController) {
                return self.die_of_sniper(id);
            }
        }
        if changed && let Some(process) = self.processes.get(&id) {
            let mut found = check(process.engine.state());
            // P1: what the planner remembers changes no answer.
            found.extend(process.engine.plan_disagreement().map(|text| format!("P1: {text}")));
            self.wrongs(found);
        }
    }

    pub fn die_of_sniper(&mut self, id: ProcessId) {
        let down = if self.dice.chance(700) { self.dice.millis(10, 5000) } else { self.dice.secs(5, 600) };
        self.kill_controller(id, down);
    }

    fn perform(&mut self, id: ProcessId, output: Output) {
        match output {
            Output::Append { batch, events } => self.append(id, batch, events),
            Output::Reply { id: request, reply } => self.reply(id, request, reply),
            Output::Call { call, pool, verb } => self.call(id, call, pool, verb),
            Output::Tell { session, order } => {
                let found = self.unfounded_order(session, &order);
                self.wrongs(found);
                self.tell(session, order);
            }
            Output::Close { session, why } => {
                self.trace.say(self.now, "controller closes", session.0, || format!("{} {why}", session.0));
                self.close(session, End::Controller);
            }
            Output::WakeAt(at) => self.wake_at(id, at),
            Output::Published => self.published(id),
            Output::Alert { text } => {
                self.trace.say(self.now, "alert", id.0, || text.clone());
                if text.starts_with("launching is stopped") {
                    self.wrong(format!("alarm: {text}"));
                }
            }
        }
    }

    fn wake_at(&mut self, id: ProcessId, at: Timestamp) {
        let soonest = self.now + Span(1);
        let Some(process) = self.processes.get_mut(&id) else { return };
        let at = (at - process.ahead).max(soonest);
        if process.wake_at.is_none_or(|before| at < before || before <= self.now) {
            process.wake_at = Some(at);
            self.schedule_at(at, Happening::Wake(id));
        }
    }

    fn append(&mut self, id: ProcessId, batch: BatchId, events: Vec<Event>) {
        let bytes = self.disk.write(id.0, &events);
        self.trace.mix(bytes);
        for event in &events {
            self.trace.say(self.now, "append", batch.0, || format!("{} {}", batch.0, describe::event(event)));
        }
        let slow = self.chance(self.scenario.weather.slow_disk);
        if slow {
            self.tally.count(Fault::DiskSlow, "append under way");
        }
        let after = if slow { self.dice.secs(1, 15) } else { self.dice.millis(1, 15) };
        if let Some(process) = self.processes.get_mut(&id) {
            process.writing = Some((batch, events));
        }
        self.schedule(after, Happening::Synced { process: id, batch });
    }

    pub fn synced(&mut self, id: ProcessId, batch: BatchId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        let Some((_, events)) = process.writing.take_if(|(writing, _)| *writing == batch) else { return };
        let fenced = process.epoch < self.disk.epoch;
        if fenced || std::mem::take(&mut self.disk_refuses) {
            // A write that fails ends the process; a newer controller's epoch is such a failure.
            self.disk.abandon(id.0, Unsynced::Lost);
            if !fenced {
                self.tally.count(Fault::DiskRefuses, "append under way");
            }
            return self.kill_controller(id, RESTART);
        }
        self.disk.sync(id.0);
        self.durable(&events);
        if self.strikes(Point::Durable, Fault::KillController) {
            return self.die_of_sniper(id);
        }
        self.feed(id, Input::Committed { batch });
    }

    /// Ends a process as SIGKILL does. It is started again after `down`, where it was the one.
    pub fn kill_controller(&mut self, id: ProcessId, down: Span) {
        let Some(process) = self.processes.remove(&id) else { return };
        self.trace.say(self.now, "controller dies", id.0, || format!("{} of epoch {}", id.0, process.epoch));
        let alone = self.processes.is_empty();
        if let Some((_, events)) = process.writing {
            let weather = self.scenario.weather;
            let (fault, unsynced) = match () {
                () if !alone => (Fault::DiskLosesBatch, Unsynced::Lost),
                () if self.chance(weather.batch_survives) => (Fault::DiskKeepsBatch, Unsynced::Kept),
                () if self.chance(weather.batch_torn) => (Fault::DiskTearsBatch, Unsynced::Torn),
                () => (Fault::DiskLosesBatch, Unsynced::Lost),
            };
            self.tally.count(fault, "crash");
            self.disk.abandon(id.0, unsynced);
            if unsynced == Unsynced::Kept {
                self.durable(&events);
            }
        }
        for session in process.sessions {
            self.end_dies(session, End::Controller);
        }
        if self.leader == Some(id) {
            self.leader = None;
            self.schedule(down, Happening::StartController);
        }
    }

    pub fn stop_controller(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.get_mut(&id) {
            self.trace.say(self.now, "controller stops", id.0, || format!("{}", id.0));
            process.stopped = true;
            process.lagged = true;
        }
    }

    pub fn resume(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        self.trace.say(self.now, "controller resumes", id.0, || format!("{}", id.0));
        process.stopped = false;
        // What waited is taken in together; its timers are overdue.
        self.feed(id, Input::Wake);
    }

    fn reply(&mut self, id: ProcessId, request: RequestId, answer: Answer) {
        let Some(process) = self.processes.get_mut(&id) else { return };
        if let Some(rpc) = process.requests.remove(&request) {
            self.answer(rpc, answer);
        } else if let Answer::Refused(refusal) = answer {
            // What the shell asks of its own engine is never refused.
            self.wrong(format!("the shell's own request was refused: {} {}", refusal.asked, refusal.limit));
        }
    }

    /// In what the controller is when it is killed at a random time, the most telling first.
    pub fn state_of(&self, id: ProcessId) -> &'static str {
        let Some(process) = self.processes.get(&id) else { return "down" };
        let call = |point: Point| process.calls.values().any(|call| *call == point);
        let job = |wanted: fn(&squall_core::job::JobPhase) -> bool| {
            process.engine.state().active_jobs().any(|job| wanted(&job.phase))
        };
        use squall_core::job::JobPhase;
        match () {
            () if self.now.since(process.started_at) < Span::from_secs(1) => "just started",
            () if process.writing.is_some() => "append under way",
            () if call(Point::Launching) => "launch under way",
            () if call(Point::Retiring) => "retirement under way",
            () if call(Point::Listing) => "listing under way",
            () if job(|phase| matches!(phase, JobPhase::Bound(_))) => "gang binding",
            () if job(|phase| matches!(phase, JobPhase::Stopping { .. })) => "job stopping",
            () if job(|phase| matches!(phase, JobPhase::Configuring(_))) => "job configuring",
            () if job(|phase| matches!(phase, JobPhase::Running { .. })) => "job running",
            () => "idle",
        }
    }
}

/// Where a process can die before and after an output is performed.
fn points(output: &Output) -> Option<(Point, Point)> {
    Some(match output {
        Output::Append { .. } => (Point::BeforeAppend, Point::Appending),
        Output::Reply { .. } => (Point::BeforeReply, Point::Replied),
        Output::Call { verb: ProviderCall::Launch(_), .. } => (Point::BeforeLaunch, Point::Launching),
        Output::Call { verb: ProviderCall::Retire(_), .. } => (Point::BeforeRetire, Point::Retiring),
        Output::Call { verb: ProviderCall::List | ProviderCall::Offers, .. } => (Point::Listing, Point::Listing),
        Output::Tell { .. } => (Point::BeforeTell, Point::Told),
        Output::Close { .. } | Output::WakeAt(_) | Output::Published | Output::Alert { .. } => return None,
    })
}
