//! The thread that owns the engine: takes messages, steps, performs what is owed.

use super::answers::{Answers, Asker};
use super::mailbox::{Mailbox, Message, Taken};
use super::providers::Providers;
use super::writer::{Batch, Writer};
use super::{AlertBell, Clock, DutyCompleter, ExitReason, LinkEvent, Published, ShellOptions};
use crate::limits::LONGEST_SLEEP;
use crate::pace::{Pace, PaceMaker};
use squall_core::{Event, What};
use squall_engine::{Engine, Input, Output, RequestId, SessionId};
use squall_journal::PreparedBlob;
use squall_types::Timestamp;
use squall_types::agent::{AgentOrder, EndCause};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle as Runtime;
use tokio::sync::{mpsc, oneshot, watch};

pub(super) fn spawn(
    options: ShellOptions,
    mailbox: Arc<Mailbox>,
    clock: Arc<Clock>,
    publish: watch::Sender<Arc<Published>>,
    runtime: Runtime,
    done: oneshot::Sender<ExitReason>,
) {
    let providers = Providers::new(options.providers, options.ticket, mailbox.clone(), runtime);
    let seq = options.journal.seq().0;
    let writer = Writer::spawn(options.journal, options.engine.epoch(), mailbox.clone(), options.disk_every);
    let thread = Thread {
        engine: options.engine,
        writer,
        providers,
        mailbox,
        clock,
        publish,
        complete: options.complete,
        alert: options.alert,
        events: options.events,
        waiting: BTreeMap::new(),
        agents: BTreeMap::new(),
        blobs: Vec::new(),
        in_flight: VecDeque::new(),
        pace: options.pace,
        pace_maker: PaceMaker::new(),
        taken: Instant::now(),
        wake_at: None,
        seq,
        snapshots: Snapshots {
            every: options.snapshot_events,
            after: options.snapshot_after,
            events: 0,
            last: Instant::now(),
        },
    };
    std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || {
            let reason = thread.run();
            drop(done.send(reason));
        })
        .expect("a thread can be started at start-up");
}

struct Thread {
    engine: Engine,
    writer: Writer,
    providers: Providers,
    mailbox: Arc<Mailbox>,
    clock: Arc<Clock>,
    publish: watch::Sender<Arc<Published>>,
    complete: DutyCompleter,
    alert: AlertBell,
    events: Vec<mpsc::UnboundedSender<Arc<[Event]>>>,
    waiting: BTreeMap<RequestId, Asker>,
    agents: BTreeMap<SessionId, mpsc::Sender<LinkEvent>>,
    /// They go with the next commit, which is the one with the submissions that name them.
    blobs: Vec<PreparedBlob>,
    /// Events that are being written, for those who follow committed ones.
    in_flight: VecDeque<Arc<[Event]>>,
    pace: Arc<Pace>,
    pace_maker: PaceMaker,
    /// When anything but the controller's own was taken from the mailbox.
    taken: Instant,
    wake_at: Option<Timestamp>,
    seq: u64,
    snapshots: Snapshots,
}

struct Snapshots {
    every: u64,
    after: Duration,
    events: u64,
    last: Instant,
}

impl Snapshots {
    fn is_due(&mut self, events: usize) -> bool {
        self.events += events as u64;
        let due = self.events >= self.every || self.last.elapsed() >= self.after;
        if due {
            self.events = 0;
            self.last = Instant::now();
        }
        due
    }
}

impl Thread {
    fn run(mut self) -> ExitReason {
        let mut stopping = false;
        let outputs = self.engine.start(self.clock.now());
        self.perform(outputs);
        loop {
            if stopping && self.engine.is_quiet() {
                self.mailbox.close();
                return self.writer.finish().map_or_else(ExitReason::Failed, |()| ExitReason::Stopped);
            }
            // Half of it: connections have waited at the door already.
            let opens = self.taken + self.pace.width() / 2;
            let Taken { messages, gathered } = self.mailbox.take(self.sleep(), opens);
            if gathered {
                self.taken = Instant::now();
                self.pace_maker.came(messages.len(), self.taken, &self.pace);
            }
            let mut inputs = Vec::with_capacity(messages.len().max(1));
            if messages.is_empty() {
                inputs.push(Input::Wake);
            }
            for message in messages {
                match message {
                    Message::Input(input) => {
                        if let Input::AgentClosed { session } = &input {
                            self.agents.remove(session);
                        }
                        inputs.push(input);
                    }
                    Message::Request { input, asker, blobs } => {
                        if let Input::Request { id, .. } = &input {
                            self.waiting.insert(*id, asker);
                        }
                        self.blobs.extend(blobs);
                        inputs.push(input);
                    }
                    Message::AgentOpened { input, orders } => {
                        if let Input::AgentOpened { session, .. } = &input {
                            self.agents.insert(*session, orders);
                        }
                        inputs.push(input);
                    }
                    Message::Committed { input, seq } => {
                        self.seq = seq;
                        self.tell_followers();
                        inputs.push(input);
                    }
                    Message::WriterFailed(text) => {
                        self.mailbox.close();
                        return ExitReason::Failed(text);
                    }
                    Message::Stop => stopping = true,
                }
            }
            let outputs = self.engine.step_all(self.clock.now(), inputs);
            self.perform(outputs);
        }
    }

    fn sleep(&self) -> Duration {
        let until = self.wake_at.map(|at| at.since(self.clock.now()).as_millis().max(0) as u64);
        until.map_or(LONGEST_SLEEP, |millis| Duration::from_millis(millis).min(LONGEST_SLEEP))
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        let mut answers = Answers::default();
        for output in outputs {
            match output {
                Output::Append { batch, events } => self.append(batch, events),
                Output::Reply { id, reply } => {
                    if let Some(asker) = self.waiting.remove(&id) {
                        answers.add(asker, reply);
                    }
                }
                Output::Call { call, pool, verb } => self.providers.call(call, pool, verb),
                Output::Tell { session, order } => self.tell(session, order),
                Output::Close { session, why } => {
                    if let Some(agent) = self.agents.remove(&session) {
                        drop(agent.try_send(LinkEvent::Close(why)));
                    }
                }
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Published => {
                    let cluster = self.engine.committed().clone();
                    let published =
                        Published { cluster, notes: self.engine.notes(), seq: self.seq, at: self.clock.now() };
                    self.publish.send_replace(Arc::new(published));
                }
                Output::Alert { text } => {
                    tracing::error!(reason = %text, "alert");
                    (self.alert)(&text);
                }
            }
        }
        answers.tell();
    }

    fn append(&mut self, id: squall_engine::BatchId, events: Vec<Event>) {
        events.iter().for_each(log_failed_launch);
        if !self.events.is_empty() {
            self.in_flight.push_back(events.clone().into());
        }
        // Right after this step the engine's state is exactly what the batch leads to.
        let snapshot = self.snapshots.is_due(events.len()).then(|| self.engine.state().clone());
        let blobs = std::mem::take(&mut self.blobs);
        self.wake_at = None;
        self.writer.write(Batch { id, events, blobs, snapshot });
    }

    fn tell_followers(&mut self) {
        let Some(events) = self.in_flight.pop_front() else { return };
        for follower in &self.events {
            drop(follower.send(events.clone()));
        }
    }

    /// An agent that does not keep up loses its connection, never an order: a new one starts from the full set.
    fn tell(&mut self, session: SessionId, mut order: AgentOrder) {
        if let AgentOrder::FullSet { assignments: duties, .. } | AgentOrder::Delta { changed: duties, .. } = &mut order
        {
            duties.iter_mut().for_each(|duty| (self.complete)(duty));
        }
        let Some(agent) = self.agents.get(&session) else { return };
        if agent.try_send(LinkEvent::Order(order)).is_err() {
            self.agents.remove(&session);
            self.mailbox.put_now(Message::Input(Input::AgentClosed { session }));
        }
    }
}

/// A node's own log goes with the node: why a job could not begin there is told here as well.
fn log_failed_launch(event: &Event) {
    if let What::PartEnded { run, node, end } = &event.what
        && end.cause == EndCause::LaunchFailed
    {
        tracing::warn!(job = run.job.0, attempt = run.attempt.0, node = node.0, reason = %end.detail, "a job could not be launched");
    }
}
