//! A step as it runs: one connection to each of its nodes, streams and signals between them and this process.

use super::link::{Heard, Links};
use super::output::Sinks;
use super::request::Step;
use super::status::Tasks;
use super::streams::Input;
use super::tty::{self, Raw};
use crate::controller;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use squall_types::agent::ExitStatus;
use squall_types::api::{StepGrant, StepNode};
use squall_types::step::{StepCommand, StepNews, WholeLaunch};
use std::fs::File;
use std::io::Read;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Bytes of input in one message.
const CHUNK: usize = 32 * 1024;
/// Chunks of input that wait to be sent.
const INPUT_QUEUE: usize = 4;
/// A second Ctrl-C within this time ends the step.
const DOUBLE: Duration = Duration::from_secs(1);
/// Tasks that end together are told of together.
const GATHER: Duration = Duration::from_millis(50);
/// Between the signal that asks tasks to end and the one that ends them.
const KILL_WAIT: Duration = Duration::from_secs(30);

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Runs a step to its end, or several as one launch; the worst of what the tasks ended with. What the first part asks
/// of this process holds for all.
///
/// # Errors
/// It could not be started.
pub fn run(invocation: &mut Invocation<'_>, mut parts: Vec<(Step, StepGrant)>) -> Result<ExitStatus, Failure> {
    let tasks = parts.iter().map(|(_, grant)| grant.tasks).fold(0, u32::saturating_add);
    tell_of_the_whole(&mut parts);
    let (starts, grants): (Vec<_>, Vec<_>) =
        parts.iter().map(|(step, grant)| (step.start.clone(), grant.clone())).unzip();
    let Some((step, grant)) = parts.into_iter().next() else { return Ok(ExitStatus::default()) };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::error("srun", format_args!("no runtime: {error}")))?;
    let (quiet, pty) = (step.quiet, step.start.terminal.is_some());
    let (environment, uid) = (&invocation.environment, invocation.caller.uid.0);
    let here = |node: &StepNode, ca_pem: &str| controller::node_sockets(environment, uid, &node.name, ca_pem);
    let mut sinks = Sinks::open(
        &step.streams,
        grant.step,
        &invocation.directory,
        step.start.label,
        tasks,
        &mut *invocation.out,
        &mut *invocation.err,
    )?;
    let _raw = if pty { Raw::enter() } else { None };
    runtime.block_on(async {
        let links = Links::connect(starts.iter().zip(&grants), &here).await?;
        let mut running = Running::new(step, &grants, links)?;
        let outcome = running.until_over(&mut sinks).await;
        // Output that nobody takes any more is no reason to say that the step failed.
        let _ = sinks.finish();
        if let (Some(words), false) = (running.tasks.last_words(), quiet) {
            sinks.say(&words);
        }
        outcome.map(|()| running.tasks.worst())
    })
}

/// Tasks of one launch over several components are one program of so many tasks on so many nodes.
fn tell_of_the_whole(parts: &mut [(Step, StepGrant)]) {
    if parts.len() < 2 {
        return;
    }
    let all: Vec<_> = parts.iter().flat_map(|(_, grant)| &grant.nodes).cloned().collect();
    let mut first_node = 0;
    for (step, grant) in parts {
        step.start.whole = Some(WholeLaunch {
            nodes: all.iter().map(|node| node.name.clone()).collect(),
            tasks_per_node: all.iter().map(|node| node.ranks.len() as u32).collect(),
            first_node,
        });
        first_node += grant.nodes.len() as u32;
    }
}

struct Running {
    step: Step,
    tasks: Tasks,
    links: Links,
    input: mpsc::Receiver<Option<Vec<u8>>>,
    signals: Signals,
    interrupted: Option<Instant>,
    /// When everything that still runs is killed.
    kill_at: Option<Instant>,
    tell_at: Option<Instant>,
    failed: Option<Failure>,
}

impl Running {
    fn new(step: Step, grants: &[StepGrant], links: Links) -> Result<Self, Failure> {
        let nodes = grants.iter().flat_map(|grant| &grant.nodes);
        let ranks = nodes.map(|node| (node.name.clone(), node.ranks.clone()));
        let tasks = Tasks::new(grants[0].run.job, grants[0].step, ranks);
        let input = read_input(&step.streams.input);
        let signals = Signals::new().map_err(|error| Failure::error("srun", format_args!("signals: {error}")))?;
        Ok(Running {
            step,
            tasks,
            links,
            input,
            signals,
            interrupted: None,
            kill_at: None,
            tell_at: None,
            failed: None,
        })
    }

    async fn until_over(&mut self, sinks: &mut Sinks<'_>) -> Result<(), Failure> {
        let mut input_open = true;
        while !self.links.over() {
            tokio::select! {
                heard = self.links.next() => self.hear(heard, sinks).await?,
                // What nobody can take now stays where it is.
                chunk = self.input.recv(), if input_open && self.links.complete() => {
                    input_open = matches!(chunk, Some(Some(_)));
                    self.feed(chunk.flatten()).await;
                }
                number = self.signals.next() => self.signal(number, sinks).await,
                () = until(self.kill_at) => {
                    self.kill_at = None;
                    self.send(SIGKILL).await;
                }
                () = until(self.tell_at) => self.tell(sinks),
            }
        }
        self.tell(sinks);
        self.failed.take().map_or(Ok(()), Err)
    }

    async fn hear(&mut self, heard: Heard, sinks: &mut Sinks<'_>) -> Result<(), Failure> {
        match heard {
            Heard::News(_, StepNews::Started { .. }) => {}
            Heard::News(_, StepNews::Output { rank, stream, bytes }) => {
                if let Err(error) = sinks.write(rank, stream, &bytes) {
                    // Whoever read the output is gone: the step ends as a program whose pipe is closed does.
                    self.send(SIGTERM).await;
                    return Err(Failure::from(error));
                }
            }
            Heard::News(node, StepNews::TaskExit { rank, exit }) => self.task_ended(node, rank, exit, sinks).await,
            Heard::News(node, StepNews::Finished) => {
                self.tasks.lost(node);
                self.links.close(node);
            }
            Heard::News(node, StepNews::Failed { text }) => {
                self.fail(node, &text, sinks);
                self.send(SIGTERM).await;
            }
            Heard::Lost(node, text) => self.fail(node, &text, sinks),
        }
        Ok(())
    }

    fn fail(&mut self, node: usize, text: &str, sinks: &mut Sinks<'_>) {
        self.tell(sinks);
        self.tasks.lost(node);
        self.links.close(node);
        let first = Failure::error("srun", escaped(text));
        match self.failed {
            None => self.failed = Some(first),
            Some(_) => sinks.say(first.to_string().trim_end()),
        }
    }

    async fn task_ended(&mut self, node: usize, rank: u32, exit: ExitStatus, sinks: &mut Sinks<'_>) {
        let bad = self.tasks.ended(node, rank, exit);
        if bad && self.tell_at.is_none() {
            self.tell_at = Some(Instant::now() + GATHER);
        }
        if self.tasks.all_ended() {
            return;
        }
        if bad && self.step.kill_on_bad_exit && self.kill_at.is_none() {
            self.tell(sinks);
            sinks.say(&format!("srun: Terminating StepId={}", self.tasks.id()));
            self.end_tasks().await;
        } else if let (Some(wait), None) = (self.step.wait_after, self.kill_at) {
            self.kill_at = Some(Instant::now() + Duration::from_millis(wait.as_millis().max(0) as u64));
        }
    }

    fn tell(&mut self, sinks: &mut Sinks<'_>) {
        self.tell_at = None;
        for line in self.tasks.news() {
            sinks.say(&line);
        }
    }

    /// Asks all tasks to end, and sees to it.
    async fn end_tasks(&mut self) {
        self.kill_at = Some(Instant::now() + KILL_WAIT);
        self.send(SIGTERM).await;
    }

    async fn signal(&mut self, number: i32, sinks: &mut Sinks<'_>) {
        if number == SignalKind::window_change().as_raw_value() {
            return self.links.send(&StepCommand::Resize(tty::size())).await;
        }
        if number != SIGINT || self.step.plain_interrupt {
            return self.send(number).await;
        }
        let now = Instant::now();
        let again = self.interrupted.is_some_and(|before| now.duration_since(before) < DOUBLE);
        self.interrupted = Some(now);
        if self.kill_at.is_some() {
            sinks.say("srun: forcing job termination");
            self.send(SIGKILL).await;
        } else if again || self.step.quit_on_interrupt {
            sinks.say(&format!("srun: sending Ctrl-C to StepId={}", self.tasks.id()));
            self.kill_at = Some(now + KILL_WAIT);
            self.send(SIGINT).await;
        } else {
            sinks.say("srun: interrupt (one more within 1 sec to abort)");
            sinks.say(&self.tasks.picture());
        }
    }

    async fn send(&mut self, number: i32) {
        self.links.send(&StepCommand::Signal { signal: number }).await;
    }

    /// `None` is the end of the input.
    async fn feed(&mut self, chunk: Option<Vec<u8>>) {
        let rank = match self.step.streams.input {
            Input::Here(rank) => rank,
            _ => None,
        };
        let (bytes, end) = chunk.map_or((Vec::new(), true), |bytes| (bytes, false));
        self.links.send(&StepCommand::Stdin { rank, bytes, end }).await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Reads in a thread of its own, which ends with the process: a terminal that nobody types on can be read by no other
/// means without holding up the end.
pub(crate) fn read_input(input: &Input) -> mpsc::Receiver<Option<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(INPUT_QUEUE);
    let source: Option<Box<dyn Read + Send>> = match input {
        Input::Here(_) if tty::may_read() => Some(Box::new(std::io::stdin())),
        Input::File(path) => File::open(path).ok().map(|file| Box::new(file) as Box<dyn Read + Send>),
        _ => None,
    };
    if source.is_none() || (matches!(input, Input::Here(_)) && tty::reads_nothing()) {
        // For an end alone no thread is needed.
        let _ = sender.try_send(None);
        return receiver;
    }
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        if let Some(mut source) = source {
            while let Ok(count) = source.read(&mut buffer) {
                if count == 0 || sender.blocking_send(Some(buffer[..count].to_vec())).is_err() {
                    break;
                }
            }
        }
        let _ = sender.blocking_send(None);
    });
    receiver
}

/// The signals that are passed on to the tasks.
struct Signals(Vec<(i32, Signal)>);

impl Signals {
    fn new() -> std::io::Result<Self> {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
            SignalKind::alarm(),
            SignalKind::window_change(),
        ];
        kinds.into_iter().map(|kind| Ok((kind.as_raw_value(), signal(kind)?))).collect::<Result<_, _>>().map(Signals)
    }

    async fn next(&mut self) -> i32 {
        let waits = self.0.iter_mut().map(|(number, signal)| {
            Box::pin(async move {
                signal.recv().await;
                *number
            })
        });
        futures_util::future::select_all(waits).await.0
    }
}
