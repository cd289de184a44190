//! One clock and everything that is due: submissions, commits, providers, machines, jobs that end.

use super::agent::Machine;
use super::asks::Asks;
use super::cloud::{Site, sites};
use super::figures::{Effort, Fate, Ledger, Outcome};
use super::fragments::Fragments;
use super::meter::{Gauge, Meter};
use super::work::{Progress, START, Setup, Work};
use squall_core::config::PoolConfig;
use squall_core::node::NodeState;
use squall_core::{Caller, Cluster, ClusterConfig, Command, Reply};
use squall_engine::{Answer, Ask, BatchId, CallId, Engine, Input, Output, ProviderReply, RequestId};
use squall_types::agent::AgentReport;
use squall_types::ids::Run;
use squall_types::{Epoch, InstanceId, JobId, Resources, Shape, Span, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

/// From a batch to its being on disk.
const COMMIT: Span = Span::from_millis(2);
/// Between controller and agent.
pub(super) const MESSAGE: Span = Span::from_millis(1);
/// Agents are always there, so their heartbeats are left out, and silence must mean nothing.
const NO_SILENCE: Span = Span::from_hours(24 * 366 * 1_000);
/// Where nothing begins or ends for so long and nothing runs, nothing will: two months, so that every budget turned.
const GIVE_UP: Span = Span::from_hours(24 * 62);
/// After the last job has ended, bought machines are waited for at most so long.
const AFTERMATH: Span = Span::from_hours(24);
/// Between two reports of progress, in things that happen.
const TELL_EVERY: u64 = 4_096;
/// Things at one instant, beyond which something goes round in circles.
const MAX_AT_ONCE: u32 = 1_000_000;
/// Samples of fragmentation over the time of the submissions, and the least time between two.
const SAMPLES: i64 = 3_000;
const LEAST_SAMPLE: Span = Span::from_mins(1);
/// Stretches of the series over the time of the submissions.
const STRETCHES: i64 = 500;

/// Plays all jobs on the real engine.
///
/// # Errors
/// In words: a configuration that the engine refuses, or an engine that is wrong.
pub fn simulate(setup: &Setup, work: &[Work], watch: &mut dyn FnMut(&Progress)) -> Result<Outcome, String> {
    let mut world = World::new(setup, work);
    world.begin()?;
    world.run(watch)?;
    Ok(world.outcome(&setup.name))
}

/// Between two samples of fragmentation.
pub(super) fn sample_every(work: &[Work]) -> Span {
    Span(span(work).0 / SAMPLES).max(LEAST_SAMPLE)
}

/// The first length of a stretch of the series.
pub(super) fn stretch(work: &[Work]) -> Span {
    Span(span(work).0 / STRETCHES).max(LEAST_SAMPLE)
}

fn span(work: &[Work]) -> Span {
    work.last().map_or(Span::ZERO, |job| job.submit_after)
}

/// What is due at a time of its own. The submissions, the clouds and the engine's own wish are looked up.
pub(super) enum Happening {
    Committed(BatchId),
    Provided { call: CallId, reply: Box<ProviderReply> },
    Said { machine: usize, report: Box<AgentReport> },
    Prepared { machine: usize, run: Run },
    Ends { machine: usize, run: Run },
}

struct Due {
    at: Timestamp,
    number: u64,
    what: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Whose answer is awaited.
enum Asked {
    Configure,
    Submission(usize),
    Join(usize),
}

pub(super) struct World<'a> {
    pub now: Timestamp,
    due: BinaryHeap<Reverse<Due>>,
    scheduled: u64,
    engine: Engine,
    config: ClusterConfig,
    wake_at: Option<Timestamp>,
    inbox: VecDeque<Input>,
    feeding: bool,
    requests: BTreeMap<RequestId, Asked>,
    last_request: u64,
    pub work: &'a [Work],
    /// The next to be submitted.
    next: usize,
    pub jobs: BTreeMap<JobId, usize>,
    pub machines: Vec<Machine>,
    pub by_instance: BTreeMap<InstanceId, usize>,
    pub sites: Vec<Site>,
    pub ledger: Ledger,
    pub meter: Meter,
    pub asks: Asks,
    /// Jobs that wait, by size.
    pub waiting: Vec<u32>,
    fragments: Fragments,
    sampled_at: Timestamp,
    /// When a job last began, ended or was submitted.
    pub changed_at: Timestamp,
    pub settled: usize,
    pub effort: Effort,
    reasons: BTreeMap<String, usize>,
    /// What makes going on pointless.
    pub wrong: Option<String>,
}

impl<'a> World<'a> {
    fn new(setup: &Setup, work: &'a [Work]) -> World<'a> {
        let mut config = setup.config.clone();
        config.timing.contact_timeout = NO_SILENCE;
        // A trace knows nothing of files.
        config.pools.values_mut().for_each(|pool| pool.file_systems.clear());
        let asks = Asks::of(work);
        World {
            now: START,
            due: BinaryHeap::new(),
            scheduled: 0,
            engine: Engine::new(Cluster::new(), Epoch(1), "simulated"),
            sites: sites(&config, setup.seed),
            config,
            wake_at: None,
            inbox: VecDeque::new(),
            feeding: false,
            requests: BTreeMap::new(),
            last_request: 0,
            work,
            next: 0,
            jobs: BTreeMap::new(),
            machines: Vec::new(),
            by_instance: BTreeMap::new(),
            ledger: Ledger::new(work),
            meter: Meter::new(START, stretch(work)),
            waiting: vec![0; asks.asks.len()],
            fragments: Fragments::new(&asks),
            asks,
            sampled_at: START,
            changed_at: START,
            settled: 0,
            effort: Effort::default(),
            reasons: BTreeMap::new(),
            wrong: None,
        }
    }

    /// The controller starts and takes in its configuration; machines of one's own come up.
    fn begin(&mut self) -> Result<(), String> {
        let outputs = self.engine.start(self.now);
        self.perform(outputs);
        let config = Box::new(self.config.clone());
        self.ask(Asked::Configure, Caller::System, Command::Configure { config });
        self.own_machines();
        self.wrong.take().map_or(Ok(()), Err)
    }

    fn run(&mut self, watch: &mut dyn FnMut(&Progress)) -> Result<(), String> {
        let every = sample_every(self.work);
        let (mut happened, mut at_once) = (0u64, 0);
        while let Some(at) = self.next_at() {
            at_once = if at > self.now { 0 } else { at_once + 1 };
            while self.sampled_at + every <= at && !self.is_over() {
                self.sample(every);
            }
            self.now = self.now.max(at);
            self.happen_once();
            happened += 1;
            if happened.is_multiple_of(TELL_EVERY) {
                watch(&self.progress());
            }
            if at_once > MAX_AT_ONCE {
                return Err(format!("the engine goes round in circles {}", self.moment()));
            }
            if let Some(wrong) = self.wrong.take() {
                return Err(format!("{wrong} ({})", self.moment()));
            }
            if self.is_done() {
                break;
            }
        }
        self.meter.advance(self.now);
        watch(&self.progress());
        Ok(())
    }

    pub fn configured_pools(&self) -> impl Iterator<Item = &PoolConfig> {
        self.config.pools.values()
    }

    fn moment(&self) -> String {
        format!("{} s after the first submission", self.now.since(START).as_secs())
    }

    fn progress(&self) -> Progress {
        Progress {
            after: self.now.since(START),
            jobs: self.work.len(),
            submitted: self.next,
            ended: self.settled,
            queued: self.meter.level(Gauge::QueuedJobs) as usize,
            nodes: self.meter.nodes() as usize,
        }
    }

    /// No job is left to begin or end.
    fn is_over(&self) -> bool {
        self.settled == self.work.len()
    }

    fn is_done(&self) -> bool {
        if self.is_over() {
            let bought = self.machines_bought();
            return bought == 0 || self.now > self.changed_at + AFTERMATH || self.keeps_nodes();
        }
        let runs = self.meter.level(Gauge::RunningJobs) > 0;
        self.next == self.work.len() && !runs && self.now > self.changed_at + GIVE_UP
    }

    /// Some pool keeps nodes whatever the demand: nobody waits for those to go.
    fn keeps_nodes(&self) -> bool {
        self.config.pools.values().any(|pool| pool.min_nodes > 0)
    }

    fn next_at(&self) -> Option<Timestamp> {
        let due = self.due.peek().map(|Reverse(due)| due.at);
        let submission = self.work.get(self.next).map(Work::submit_at);
        let cloud = self.sites.iter().filter_map(|site| site.cloud.next_at()).min();
        [due, submission, cloud, self.wake_at].into_iter().flatten().min()
    }

    /// One of what is due now, in an order that is always the same.
    fn happen_once(&mut self) {
        let now = self.now;
        if self.due.peek().is_some_and(|Reverse(due)| due.at <= now) {
            let Some(Reverse(due)) = self.due.pop() else { return };
            return self.happen(due.what);
        }
        if let Some(site) = self.sites.iter().position(|site| site.cloud.next_at().is_some_and(|at| at <= now)) {
            return self.cloud_due(site);
        }
        if self.work.get(self.next).is_some_and(|job| job.submit_at() <= now) {
            return self.submit();
        }
        self.wake_at = None;
        self.feed(Input::Wake);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Committed(batch) => self.feed(Input::Committed { batch }),
            Happening::Provided { call, reply } => self.feed(Input::Provider { call, reply: *reply }),
            Happening::Said { machine, report } => self.said(machine, *report),
            Happening::Prepared { machine, run } => self.prepared(machine, run),
            Happening::Ends { machine, run } => self.ends(machine, run),
        }
    }

    pub fn schedule(&mut self, after: Span, what: Happening) {
        self.schedule_at(self.now + after, what);
    }

    pub fn schedule_at(&mut self, at: Timestamp, what: Happening) {
        self.scheduled += 1;
        self.due.push(Reverse(Due { at: at.max(self.now), number: self.scheduled, what }));
    }

    fn ask(&mut self, asked: Asked, caller: Caller, command: Command) {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.requests.insert(id, asked);
        self.feed(Input::Request { id, caller, ask: Ask::One(command) });
    }

    pub fn ask_to_join(&mut self, machine: usize) {
        let command = self.machines[machine].join();
        self.ask(Asked::Join(machine), Caller::System, command);
    }

    fn submit(&mut self) {
        let number = self.next;
        self.next += 1;
        self.changed_at = self.now;
        let job = &self.work[number];
        let (spec, uid) = (Box::new(job.spec()), job.uid);
        self.queued(number);
        let token = format!("job {number}").as_str().into();
        self.ask(Asked::Submission(number), Caller::User(uid), Command::Submit { spec, token, test_only: false });
    }

    /// It waits, for the first time or again.
    pub fn queued(&mut self, job: usize) {
        self.waiting[self.asks.of_work[job]] += 1;
        self.meter.add(self.now, Gauge::QueuedJobs, 1);
        self.meter.add(self.now, Gauge::QueuedGpus, self.work[job].demand.gpus() as i64);
    }

    pub fn unqueued(&mut self, job: usize) {
        self.waiting[self.asks.of_work[job]] -= 1;
        self.meter.add(self.now, Gauge::QueuedJobs, -1);
        self.meter.add(self.now, Gauge::QueuedGpus, -(self.work[job].demand.gpus() as i64));
    }

    /// One after the other: what follows from an output waits until the outputs before it are performed.
    pub fn feed(&mut self, input: Input) {
        self.inbox.push_back(input);
        if std::mem::replace(&mut self.feeding, true) {
            return;
        }
        while let Some(input) = self.inbox.pop_front() {
            self.effort.steps += 1;
            let outputs = self.engine.step(self.now, input);
            self.perform(outputs);
        }
        self.feeding = false;
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Append { batch, events } => {
                    self.effort.batches += 1;
                    self.effort.events += events.len() as u64;
                    self.schedule(COMMIT, Happening::Committed(batch));
                }
                Output::Reply { id, reply } => self.answered(id, reply),
                Output::Call { call, pool, verb } => self.call(call, &pool, verb),
                Output::Tell { session, order } => self.told(session.0 as usize, order),
                Output::Close { session, why } => {
                    self.wrong.get_or_insert(format!("the engine closes the session of machine {}: {why}", session.0));
                }
                Output::WakeAt(at) => self.wake_at = Some(at.max(self.now + Span(1))),
                Output::Published => {}
                Output::Alert { text } => {
                    self.wrong.get_or_insert(text);
                }
            }
        }
    }

    fn answered(&mut self, id: RequestId, answer: Answer) {
        let Some(asked) = self.requests.remove(&id) else { return };
        match (asked, answer) {
            (Asked::Submission(number), Answer::Done(Reply::Submitted { job, .. })) => {
                self.jobs.insert(job, number);
            }
            (Asked::Submission(number), Answer::Refused(refusal)) => {
                self.unqueued(number);
                self.ledger.fates[number] = Fate::Refused;
                self.settled += 1;
                *self.reasons.entry(format!("refused: {}", refusal.limit)).or_default() += 1;
            }
            (Asked::Join(machine), Answer::Done(Reply::Joined { node, .. })) => self.joined(machine, node),
            (Asked::Configure, Answer::Refused(refusal)) => {
                self.wrong.get_or_insert(format!("the configuration is refused: {}", refusal.limit));
            }
            (Asked::Configure, _) => {}
            (Asked::Join(machine), other) => {
                self.wrong.get_or_insert(format!("machine {machine} may not join: {other:?}"));
            }
            (Asked::Submission(number), other) => {
                self.wrong.get_or_insert(format!("job {number} is answered {other:?}"));
            }
        }
    }

    fn sample(&mut self, every: Span) {
        self.sampled_at += every;
        let cluster = self.engine.committed();
        let ready = cluster.live_nodes().filter(|node| matches!(node.state, NodeState::Ready { .. }) && node.contact);
        let free = ready.map(|node| {
            let taken = node.held.values().chain(node.claims.values());
            let taken = taken.fold(Resources::default(), |sum, held| sum.plus(&held.resources()));
            (&node.shape as &Shape, node.shape.resources().checked_sub(&taken).unwrap_or_default())
        });
        self.fragments.sample(every, &self.asks, &self.waiting, free);
    }

    /// Why what is left never ran.
    fn unfinished(&mut self) {
        let notes = self.engine.notes();
        let known: BTreeSet<usize> = self.jobs.values().copied().collect();
        for (job, number) in &self.jobs {
            if self.ledger.fates[*number] == Fate::Open {
                let reason = notes.get(job).map_or("unknown", |note| note.reason.word());
                *self.reasons.entry(format!("unfinished: {reason}")).or_default() += 1;
            }
        }
        let lost = (0..self.next).filter(|number| !known.contains(number));
        let lost = lost.filter(|number| self.ledger.fates[*number] == Fate::Open).count();
        if lost > 0 {
            self.reasons.insert("unfinished: never answered".to_owned(), lost);
        }
    }

    fn outcome(mut self, name: &str) -> Outcome {
        self.unfinished();
        let mut outcome = Outcome::of(name, "Squall", self.work, &self.ledger, &self.meter, &self.fragments);
        let bills = || self.sites.iter().map(|site| site.cloud.bill());
        outcome.cost_micro_usd = bills().map(|bill| bill.total(self.now).0).sum();
        outcome.nodes.launches = bills().map(|bill| bill.lines.len()).sum();
        let orders: BTreeSet<_> = bills().flat_map(|bill| bill.lines.iter().filter_map(|line| line.order)).collect();
        outcome.nodes.orders = orders.len();
        outcome.effort = self.effort;
        outcome.reasons = self.reasons;
        outcome
    }
}
