//! Starting what outlives the agent: by a copy of a process that waits for that, or else by executing the program.

use super::SelfCommand;
use crate::shim::nursery::MAX_CALL;
use crate::sys;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A copy that says nothing for so long may never have been made: the nursery is stopped, or worse.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that outlives this process, and the pipe by which it tells of itself: a byte when it has begun, the end when
/// it is over. What happened stands in its folder.
#[derive(Debug)]
pub struct Begun {
    pipe: Receiver,
    /// To be waited for; a copy of the nursery is not this process's child.
    child: Option<Child>,
    /// It has said that it has begun.
    pub spoke: bool,
}

impl Begun {
    fn new(pipe: OwnedFd, child: Option<Child>) -> io::Result<Begun> {
        Ok(Begun { pipe: Receiver::from_owned_fd(pipe)?, child, spoke: false })
    }

    /// Returns when it has begun, or when it is over without having begun.
    async fn up(&mut self) {
        self.spoke = self.pipe.read(&mut [0]).await.is_ok_and(|length| length > 0);
    }

    /// Returns when it is over.
    pub async fn over(mut self) {
        while self.pipe.read(&mut [0; 64]).await.is_ok_and(|length| length > 0) {}
        if let Some(mut child) = self.child {
            let _ = spawn_blocking(move || child.wait()).await;
        }
    }
}

/// Starts processes that outlive this one.
#[derive(Debug)]
pub struct Outlive {
    again: SelfCommand,
    /// Whether copies may be made: where a mark in its environment is what tells whose a process is, each needs its own.
    copies: bool,
    nursery: Mutex<Option<OwnedFd>>,
}

impl Outlive {
    pub fn new(again: SelfCommand, copies: bool) -> Outlive {
        Outlive { again, copies, nursery: Mutex::new(None) }
    }

    /// Starts the nursery, so that the first job need not wait for it.
    pub fn ready(&self) {
        if self.copies
            && let Err(error) = self.nursery(|_| Ok(()))
        {
            tracing::warn!(%error, "each job will execute a program of its own");
        }
    }

    /// Starts what the words say, and returns when that has begun, or is over. Whoever is started makes sure that it is
    /// alone: a program is executed in place of a copy that says nothing while nobody has `claimed` what was to be begun, and
    /// then both may come.
    ///
    /// # Errors
    /// As the system says.
    pub async fn start(&self, words: &[&OsStr], marker: &str, claimed: impl Fn() -> bool) -> io::Result<Begun> {
        if self.copies {
            match self.copy(words) {
                Ok(mut begun) => {
                    if timeout(PATIENCE, begun.up()).await.is_err() {
                        if claimed() {
                            // It is only slow: what it executes may lie far away.
                            begun.up().await;
                        } else {
                            *self.held() = None;
                        }
                    }
                    if begun.spoke || claimed() {
                        return Ok(begun);
                    }
                    tracing::warn!("the nursery made no process: a program is executed instead");
                }
                Err(error) => tracing::warn!(%error, "the nursery does not answer: a program is executed instead"),
            }
        }
        let (verb, arguments) = words.split_first().ok_or_else(|| io::Error::other("nothing to start"))?;
        let (said, say) = io::pipe()?;
        let mut command = self.again.command(verb, marker);
        command.args(arguments).stdin(Stdio::null()).stdout(say).stderr(Stdio::inherit());
        let child = command.spawn()?;
        // The other end, which would hold the pipe open.
        drop(command);
        let mut begun = Begun::new(said.into(), Some(child))?;
        begun.up().await;
        Ok(begun)
    }

    fn copy(&self, words: &[&OsStr]) -> io::Result<Begun> {
        let call = words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&0);
        if call.len() > MAX_CALL {
            return Err(io::Error::other("the call is too long for it"));
        }
        // The new process alone has the other end, when this returns.
        let (said, say) = io::pipe()?;
        self.nursery(|nursery| sys::send(nursery.as_fd(), &call, say.as_fd()))?;
        Begun::new(said.into(), None)
    }

    /// Has the nursery, which is started where there is none, do something. One that fails is given up.
    fn nursery<T>(&self, call: impl FnOnce(&OwnedFd) -> io::Result<T>) -> io::Result<T> {
        let mut held = self.held();
        let nursery = match held.take() {
            Some(nursery) => nursery,
            None => self.begin()?,
        };
        let outcome = call(&nursery);
        if outcome.is_ok() {
            *held = Some(nursery);
        }
        outcome
    }

    fn held(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.nursery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> io::Result<OwnedFd> {
        let (ours, its) = sys::packet_pair()?;
        let mut command = self.again.command("nursery", "");
        let mut child = command.stdin(its).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        // It ends when `ours` is closed, here or with this process.
        std::thread::Builder::new().name("nursery".to_owned()).spawn(move || child.wait())?;
        Ok(ours)
    }
}
