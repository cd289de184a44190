//! The loop of a step's shim.

use super::backlog::Backlog;
use super::tasks::{Begun, Starter, Task, Waiting, Written};
use super::visitors::Visitors;
use super::words::{FromStep, MAX_FRAME, ToStep, frame, unframe};
use super::{END, SOCKET, StepPlan, TASKS, TaskProcesses, VISITORS, worst};
use crate::cell::Process;
use crate::clock;
use crate::launch::SelfCommand;
use crate::ledger::sealed;
use crate::shim::records::Claim;
use crate::shim::{add, exit_status, say_started};
use crate::sys;
use minicbor::bytes::ByteVec;
use squall_types::agent::{ExitStatus, StepEnd, Usage};
use squall_types::{Span, Timestamp};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Chunks of output that wait to be taken.
const OUTPUT_QUEUE: usize = 16;
/// Messages from the agent that wait to be taken.
const COMMAND_QUEUE: usize = 16;
/// Input that may wait for tasks to read it, in bytes.
const MAX_WAITING: usize = 4 << 20;
/// How long an agent may be away.
const AGENT_AWAY: Duration = Duration::from_secs(300);
/// How long a client may be away while the agent is there.
const CLIENT_AWAY: Duration = Duration::from_secs(15);
/// How long a client may be away that was told of the end, and may not have heard it.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long the last output of a step may be on its way after its tasks were killed.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks at a step with a time limit, which does not run while its job is suspended.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between two rounds of kills.
const KILL_AGAIN: Duration = Duration::from_secs(1);

struct Keeper<'a> {
    plan: &'a StepPlan,
    tasks: Vec<Task>,
    waiting: Arc<Waiting>,
    backlog: Backlog,
    visitors: Visitors,
    streams: usize,
    usage: Usage,
    exit: ExitStatus,
    started_at: Timestamp,
    warn_at: Option<Instant>,
    limit_at: Option<Instant>,
    /// When it was last looked whether the step stands still.
    looked_at: Instant,
    /// When those that are left are terminated because others have ended.
    others_at: Option<Instant>,
    kill_at: Option<Instant>,
    /// When the tasks are terminated because nobody listens.
    alone_at: Option<Instant>,
    /// Nobody listened for so long that nobody is waited for any more.
    abandoned: bool,
    /// The agent has said where to go on; before that it is told nothing.
    greeted: bool,
    /// All has been said; what is left is to be heard.
    finished: bool,
    received: bool,
}

pub(super) async fn keep(dir: &Path, plan: &StepPlan, again: &SelfCommand) -> io::Result<()> {
    let mut children = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Replaces what cannot be: the claim below lets only one shim come so far.
    let claim = Claim { shim: Some(Process::myself()), boot_id: clock::boot_id() };
    if !super::claim(dir, &claim)? {
        return Ok(());
    }
    let listener = UnixListener::bind(SOCKET)?;
    let door = UnixListener::bind(VISITORS)?;
    say_started();

    let (written, mut output) = mpsc::channel::<Written>(OUTPUT_QUEUE);
    let (visitors, mut said) = Visitors::new();
    let mut keeper = Keeper::start(dir, plan, again, written, visitors)?;
    // The agent at the other end of the socket: what it says, and where it hears.
    let (mut commands, mut agent): (Option<mpsc::Receiver<ToStep>>, Option<OwnedWriteHalf>) = (None, None);
    loop {
        if keeper.finished && (keeper.received || keeper.abandoned) {
            keeper.visitors.leave().await;
            return Ok(());
        }
        if !keeper.finished && keeper.tasks.iter().all(|task| task.over) {
            keeper.finish(dir, &mut output).await?;
            continue;
        }
        let wake = keeper.next_wake();
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                (keeper.alone_at, keeper.abandoned, keeper.greeted) = (None, false, false);
                let (reads, writes) = stream.into_split();
                agent = Some(writes);
                commands = Some(listen(reads));
            }
            Ok((stream, _)) = door.accept() => keeper.let_in(stream),
            Some(word) = said.recv(), if keeper.waiting.bytes() < MAX_WAITING => keeper.obey_visitor(word),
            Some(news) = output.recv(), if !keeper.backlog.is_full() => keeper.wrote(news),
            command = next_command(&mut commands), if keeper.waiting.bytes() < MAX_WAITING => match command {
                Some(command) => keeper.obey(command),
                None => {
                    (commands, agent) = (None, None);
                    keeper.lost(AGENT_AWAY);
                }
            },
            () = keeper.waiting.less.notified(), if keeper.waiting.bytes() >= MAX_WAITING => {}
            sent = send(&mut agent, keeper.unsent()) => match sent {
                Ok(bytes) => keeper.backlog.advance(bytes),
                Err(_) => {
                    (commands, agent) = (None, None);
                    keeper.lost(AGENT_AWAY);
                }
            },
            _ = children.recv() => keeper.reap(),
            // The run is ending: nobody is waited for any more but who is listening.
            _ = terminate.recv() => keeper.lost(if agent.is_some() { CLIENT_AWAY } else { Duration::ZERO }),
            () = sleep_until(wake) => keeper.tick(),
        }
    }
}

async fn next_command(commands: &mut Option<mpsc::Receiver<ToStep>>) -> Option<ToStep> {
    match commands {
        Some(commands) => commands.recv().await,
        None => std::future::pending().await,
    }
}

/// Sends a piece, if there is somebody and something. Nothing is lost where another branch is taken.
async fn send(agent: &mut Option<OwnedWriteHalf>, bytes: Option<&[u8]>) -> io::Result<usize> {
    match (agent, bytes) {
        (Some(agent), Some(bytes)) => match agent.write(bytes).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            length => Ok(length),
        },
        _ => std::future::pending().await,
    }
}

fn listen(reads: OwnedReadHalf) -> mpsc::Receiver<ToStep> {
    let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
    tokio::spawn(read_commands(reads, sender));
    commands
}

pub(super) async fn read_commands(mut reads: OwnedReadHalf, commands: mpsc::Sender<ToStep>) {
    let mut received = Vec::new();
    while let Ok(1..) = reads.read_buf(&mut received).await {
        loop {
            match unframe(&mut received) {
                Ok(Some(command)) => {
                    if commands.send(command).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if received.len() > 2 * MAX_FRAME {
            return;
        }
    }
}

fn instant_after(span: Span) -> Instant {
    Instant::now() + Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0)).min(FAR)
}

/// Later than any step ends; near enough to be added to an instant.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl<'a> Keeper<'a> {
    fn start(
        dir: &Path,
        plan: &'a StepPlan,
        again: &SelfCommand,
        written: mpsc::Sender<Written>,
        visitors: Visitors,
    ) -> io::Result<Keeper<'a>> {
        let waiting = Arc::new(Waiting::default());
        let mut starter = Starter {
            again,
            marker: &plan.cell.marker,
            dir,
            terminal: plan.terminal,
            written,
            waiting: waiting.clone(),
            streams: 0,
        };
        let (mut tasks, mut failed) = (Vec::new(), Vec::new());
        for (place, task) in plan.tasks.iter().enumerate() {
            // The first of those that share a file empties it: nothing of the others may be in it by then.
            let may_share = place == 0 && plan.tasks.len() > 1 && !(task.stdout && task.stderr);
            let begun = if may_share { Begun::new().ok() } else { None };
            match starter.start(task, begun.as_ref()) {
                Ok(task) => tasks.push(task),
                Err(error) => failed.push((task.rank, error)),
            }
            begun.into_iter().for_each(Begun::wait);
        }
        let mut backlog = Backlog::default();
        let started: Vec<(u32, u32)> = tasks.iter().map(|task| (task.rank, task.pid)).collect();
        let processes = started.iter().filter_map(|(rank, pid)| Some((*rank, Process::find(*pid)?))).collect();
        // Without it nobody sees what the tasks use, which is no reason to run none.
        let _ = sealed::write_unsynced(&dir.join(TASKS), &TaskProcesses { tasks: processes });
        backlog.push(frame(&FromStep::Started(started)));
        let mut exit = ExitStatus::default();
        for (rank, error) in failed {
            let text = format!("slurmstepd: error: task {rank} could not be started: {error}\n");
            exit = ExitStatus { code: 1, signal: 0 };
            backlog.push(frame(&FromStep::Output { rank, error: true, bytes: ByteVec::from(text.into_bytes()) }));
            backlog.push(frame(&FromStep::Exit { rank, status: exit }));
        }
        let limit_at = plan.time_limit.map(instant_after);
        let warn_at = plan.time_limit.zip(plan.warning).map(|(limit, (_, before))| instant_after(limit - before));
        let streams = starter.streams;
        Ok(Keeper {
            plan,
            tasks,
            waiting,
            backlog,
            visitors,
            streams,
            usage: Usage::default(),
            exit,
            started_at: clock::now().wall,
            warn_at,
            limit_at,
            looked_at: Instant::now(),
            others_at: None,
            kill_at: None,
            alone_at: Some(Instant::now() + AGENT_AWAY),
            abandoned: false,
            greeted: false,
            finished: false,
            received: false,
        })
    }

    fn tell(&mut self, news: &FromStep) {
        let news = frame(news);
        self.visitors.hear(&news);
        self.backlog.push(news);
    }

    fn let_in(&mut self, stream: UnixStream) {
        let tasks: Vec<(u32, u32)> = self.tasks.iter().map(|task| (task.rank, task.pid)).collect();
        // The first news of all is which tasks there are; a visitor hears that in any case.
        let told = usize::from(self.backlog.first() == 0);
        self.visitors.enter(stream, &tasks, self.backlog.kept().skip(told));
    }

    /// A visitor may type, and that is all: the end of his input is not that of the tasks.
    fn obey_visitor(&mut self, word: ToStep) {
        if let ToStep::Stdin { rank, bytes, end: _ } = word {
            self.obey(ToStep::Stdin { rank, bytes, end: false });
        }
    }

    fn unsent(&self) -> Option<&[u8]> {
        self.backlog.unsent().filter(|_| self.greeted)
    }

    fn wrote(&mut self, news: Written) {
        match news.bytes {
            Some(bytes) => {
                let bytes = ByteVec::from(bytes);
                self.tell(&FromStep::Output { rank: news.rank, error: news.error, bytes });
            }
            None => self.streams -= 1,
        }
    }

    fn obey(&mut self, command: ToStep) {
        match command {
            ToStep::From(had) => {
                self.greeted = true;
                self.backlog.resume(had);
            }
            ToStep::Stdin { rank, bytes, end } => {
                let bytes = Arc::new(Vec::from(bytes));
                for task in self.tasks.iter_mut().filter(|task| rank.is_none_or(|rank| rank == task.rank)) {
                    task.feed(&bytes, end, &self.waiting);
                }
            }
            ToStep::Signal(signal) => self.plan.cell.signal(signal),
            ToStep::Resize { rows, columns } => {
                for terminal in self.tasks.iter().filter_map(|task| task.terminal.as_ref()) {
                    let _ = sys::resize_terminal(std::os::fd::AsFd::as_fd(terminal), rows, columns);
                }
            }
            ToStep::ClientLost => self.lost(if self.finished { LAST_WORDS } else { CLIENT_AWAY }),
            ToStep::Received => self.received = true,
        }
    }

    /// Nobody listens now; after a while nobody is waited for.
    fn lost(&mut self, patience: Duration) {
        let at = Instant::now() + patience;
        self.alone_at = Some(self.alone_at.map_or(at, |other| other.min(at)));
    }

    fn reap(&mut self) {
        while let Ok(Some(reaped)) = sys::wait_any(false) {
            add(&mut self.usage, &reaped);
            let Some(task) = self.tasks.iter_mut().find(|task| task.pid == reaped.pid && !task.over) else { continue };
            task.over = true;
            task.stdin = None;
            let (rank, status) = (task.rank, exit_status(reaped.status));
            self.exit = worst(self.exit, status);
            self.tell(&FromStep::Exit { rank, status });
            if self.plan.kill_on_bad_exit && status != ExitStatus::default() {
                self.terminate();
            }
            if let Some(wait) = self.plan.wait_after {
                self.others_at.get_or_insert_with(|| instant_after(wait));
            }
        }
    }

    fn terminate(&mut self) {
        let outside = self.outside();
        self.plan.cell.signal(libc::SIGCONT);
        self.plan.cell.signal(libc::SIGTERM);
        outside.into_iter().for_each(|task| task.signal(libc::SIGTERM));
        self.kill_at.get_or_insert_with(|| instant_after(self.plan.kill_wait));
    }

    /// Tasks that have not entered the cell yet: for a moment after they were made, nothing that is said there reaches them.
    fn outside(&self) -> Vec<Process> {
        let members = self.plan.cell.members();
        let of_tasks = self.tasks.iter().filter(|task| !task.over).filter_map(|task| Process::find(task.pid));
        of_tasks.filter(|process| !members.contains(process)).collect()
    }

    fn next_wake(&self) -> Instant {
        let look = self.limit_at.map(|_| self.looked_at + LOOK_AGAIN);
        let all = [self.warn_at, self.limit_at, look, self.others_at, self.kill_at, self.alone_at];
        all.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + FAR)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.stand_still(now);
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.warn_at)
            && let Some((signal, _)) = self.plan.warning
        {
            self.plan.cell.signal(signal);
        }
        if due(&mut self.kill_at) {
            let outside = self.outside();
            self.plan.cell.kill();
            outside.into_iter().for_each(|task| task.signal(libc::SIGKILL));
            self.kill_at = Some(now + KILL_AGAIN);
        }
        let over = due(&mut self.limit_at) | due(&mut self.others_at);
        if due(&mut self.alone_at) {
            self.abandoned = true;
        }
        if over || (self.abandoned && !self.finished && self.kill_at.is_none()) {
            self.terminate();
        }
    }

    /// The time of a step stands still while its job is suspended.
    fn stand_still(&mut self, now: Instant) {
        if self.limit_at.is_none() {
            return;
        }
        let passed = now - std::mem::replace(&mut self.looked_at, now);
        if self.plan.cell.is_frozen() {
            for at in [&mut self.warn_at, &mut self.limit_at].into_iter().flatten() {
                *at += passed;
            }
        }
    }

    /// All tasks are over: kills what they left, takes the last of their output, and writes down the end.
    async fn finish(&mut self, dir: &Path, output: &mut mpsc::Receiver<Written>) -> io::Result<()> {
        while !self.plan.cell.clear(KILL_AGAIN) {
            self.reap();
        }
        let until = Instant::now() + DRAIN;
        while self.streams > 0 {
            match tokio::time::timeout_at(until, output.recv()).await {
                // Beyond the backlog's limit, but bounded by what pipes can hold: nobody writes any more.
                Ok(Some(news)) => self.wrote(news),
                Ok(None) | Err(_) => break,
            }
        }
        self.reap();
        let mut usage = self.usage;
        if let Some((user_cpu, system_cpu)) = self.plan.cell.cpu_time() {
            (usage.user_cpu, usage.system_cpu) = (user_cpu, system_cpu);
        }
        let end = StepEnd {
            run: self.plan.run,
            step: self.plan.step,
            exit: self.exit,
            started_at: self.started_at,
            ended_at: clock::now().wall,
            usage,
        };
        // Lost with the machine, as the job is then.
        sealed::write_unsynced(&dir.join(END), &end)?;
        self.plan.cell.remove();
        self.tell(&FromStep::Finished);
        self.finished = true;
        (self.warn_at, self.limit_at, self.others_at, self.kill_at) = (None, None, None, None);
        Ok(())
    }
}
