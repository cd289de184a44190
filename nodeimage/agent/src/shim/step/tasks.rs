//! The tasks of a step: how they are started, and the threads of bytes that lead to and from them.

use super::StepTask;
use crate::launch::{SelfCommand, task};
use crate::sys;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{Notify, mpsc};

/// One read of a task's output, in bytes.
const CHUNK: usize = 64 * 1024;

/// How long the first task of a step may take to open its files before the others are started all the same.
const OPENED_WITHIN_MILLIS: u16 = 5_000;

/// Control-D.
const END_OF_INPUT: u8 = 4;

/// Bytes that a task wrote; `None` where it will write no more.
#[derive(Debug)]
pub struct Written {
    pub rank: u32,
    pub error: bool,
    pub bytes: Option<Vec<u8>>,
}

/// Input that waits for tasks to read it, all tasks together.
#[derive(Debug, Default)]
pub struct Waiting {
    bytes: AtomicUsize,
    pub less: Notify,
}

impl Waiting {
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A task that runs, or did.
#[derive(Debug)]
pub struct Task {
    pub rank: u32,
    pub pid: u32,
    /// `None` where its input does not come from the client, or has ended.
    pub stdin: Option<mpsc::UnboundedSender<Arc<Vec<u8>>>>,
    pub terminal: Option<OwnedFd>,
    pub over: bool,
}

/// Tells when a task that is started while this exists has opened its files: every process that is spawned inherits one
/// end of a pipe, and loses it when it becomes the job, or ends.
pub struct Begun {
    told: OwnedFd,
    held: OwnedFd,
}

impl Begun {
    pub fn new() -> io::Result<Begun> {
        let (told, held) = nix::unistd::pipe()?;
        fcntl(&told, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(Begun { told, held })
    }

    /// A file that cannot be opened for so long, as on a file system that hangs, keeps the other tasks no longer.
    pub fn wait(self) {
        drop(self.held);
        let mut ends = [PollFd::new(self.told.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ends, PollTimeout::from(OPENED_WITHIN_MILLIS));
    }
}

/// What is needed to start tasks.
pub struct Starter<'a> {
    pub again: &'a SelfCommand,
    pub marker: &'a str,
    pub dir: &'a Path,
    pub terminal: Option<(u16, u16)>,
    pub written: mpsc::Sender<Written>,
    pub waiting: Arc<Waiting>,
    /// How many streams of output are open: each ends with a `Written` without bytes.
    pub streams: usize,
}

impl Starter<'_> {
    /// Starts a task. `begun` tells when it has opened its files.
    pub fn start(&mut self, task: &StepTask, begun: Option<&Begun>) -> io::Result<Task> {
        if task.terminal { self.start_on_terminal(task, begun) } else { self.start_on_pipes(task, begun) }
    }

    /// Makes the process of a task: a copy of this one, which is a fraction of what a program costs to execute, or the
    /// program where this process has threads. Streams that are not given lead nowhere. Returns its number.
    fn spawn(&self, rank: u32, streams: [Option<BorrowedFd<'_>>; 3], begun: Option<&Begun>) -> io::Result<u32> {
        let plan = self.dir.join(format!("task-{rank}"));
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let [stdin, stdout, stderr] = streams.map(|end| end.unwrap_or(null.as_fd()));
        let copy = sys::fork(|| {
            // What this process catches is for the copy as for any other.
            sys::default_signals();
            let placed = dup2_stdin(stdin).and_then(|()| dup2_stdout(stdout)).and_then(|()| dup2_stderr(stderr));
            // Nothing of the other tasks: an end that is open here is one that they wait for.
            match placed.is_ok() && sys::close_from(3, begun.map(|begun| begun.held.as_fd())).is_ok() {
                true => task::run(&plan),
                false => 1,
            }
        });
        if copy.is_ok() {
            return copy;
        }
        let end = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(Stdio::from);
        let mut command = self.again.command("task", self.marker);
        command.arg(&plan).stdin(end(stdin)?).stdout(end(stdout)?).stderr(end(stderr)?);
        Ok(command.spawn()?.id())
    }

    fn start_on_pipes(&mut self, task: &StepTask, begun: Option<&Begun>) -> io::Result<Task> {
        let piped = |given: bool| given.then(io::pipe).transpose();
        let (stdin, stdout, stderr) = (piped(task.stdin)?, piped(task.stdout)?, piped(task.stderr)?);
        let streams = [
            stdin.as_ref().map(|(read, _)| read.as_fd()),
            stdout.as_ref().map(|(_, write)| write.as_fd()),
            stderr.as_ref().map(|(_, write)| write.as_fd()),
        ];
        let pid = self.spawn(task.rank, streams, begun)?;
        for (ours, error) in [(stdout, false), (stderr, true)] {
            if let Some((read, _)) = ours {
                self.read(task.rank, error, pipe::Receiver::from_owned_fd(read.into())?);
            }
        }
        let stdin = match stdin {
            Some((_, write)) => Some(self.write(pipe::Sender::from_owned_fd(write.into())?)),
            None => None,
        };
        Ok(Task { rank: task.rank, pid, stdin, terminal: None, over: false })
    }

    fn start_on_terminal(&mut self, task: &StepTask, begun: Option<&Begun>) -> io::Result<Task> {
        let (rows, columns) = self.terminal.unwrap_or((24, 80));
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None)?;
        let pid = self.spawn(task.rank, [Some(slave.as_fd()); 3], begun)?;
        drop(slave);
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))?;
        let terminal = master.try_clone()?;
        self.read(task.rank, false, pipe::Receiver::from_owned_fd_unchecked(master.try_clone()?)?);
        let stdin = self.write(pipe::Sender::from_owned_fd_unchecked(master)?);
        Ok(Task { rank: task.rank, pid, stdin: Some(stdin), terminal: Some(terminal), over: false })
    }

    fn read(&mut self, rank: u32, error: bool, mut from: impl AsyncReadExt + Unpin + Send + 'static) {
        self.streams += 1;
        let written = self.written.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; CHUNK];
            // A terminal whose last process is gone says EIO: its end.
            while let Ok(length @ 1..) = from.read(&mut buffer).await {
                let bytes = Some(buffer[..length].to_vec());
                if written.send(Written { rank, error, bytes }).await.is_err() {
                    return;
                }
            }
            let _ = written.send(Written { rank, error, bytes: None }).await;
        });
    }

    fn write(&self, mut to: impl AsyncWriteExt + Unpin + Send + 'static) -> mpsc::UnboundedSender<Arc<Vec<u8>>> {
        // Bounded by what waits for all tasks together: with too much, nothing more is taken from the client.
        let (sender, mut queue) = mpsc::unbounded_channel::<Arc<Vec<u8>>>();
        let waiting = self.waiting.clone();
        tokio::spawn(async move {
            let mut deaf = false;
            while let Some(bytes) = queue.recv().await {
                // A task that has closed its input is fed no more, and what comes for it is dropped.
                deaf = deaf || to.write_all(&bytes).await.is_err();
                waiting.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
                waiting.less.notify_one();
            }
        });
        sender
    }
}

impl Task {
    /// Input for the task; what nobody reads any more is dropped.
    pub fn feed(&mut self, bytes: &Arc<Vec<u8>>, end: bool, waiting: &Waiting) {
        if let Some(stdin) = &self.stdin
            && !bytes.is_empty()
        {
            waiting.bytes.fetch_add(bytes.len(), Ordering::Relaxed);
            if stdin.send(bytes.clone()).is_err() {
                waiting.bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
            }
        }
        if end {
            match (&self.stdin, &self.terminal) {
                // A terminal cannot be closed from this side; the end of input is a character.
                (Some(stdin), Some(_)) => drop(stdin.send(Arc::new(vec![END_OF_INPUT]))),
                _ => self.stdin = None,
            }
        }
    }
}
