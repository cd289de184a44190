//! Starting what outlives the agent: by a copy of a process that waits for that, or else by executing the program.

use super::SelfCommand;
use crate::cell::Process;
use crate::shim::nursery::{MAX_CALL, Made};
use crate::sys;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An answer of the nursery that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was started.
#[derive(Debug)]
pub struct Begun {
    /// `None` where it is over already.
    pub process: Option<Process>,
    /// To be waited for; a copy of the nursery is not this process's child.
    pub child: Option<Child>,
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

    /// Starts what the words say, and returns when that has closed its standard output, which is its sign that it has
    /// begun, or is over. Whoever is started makes sure that it is alone: where the nursery failed in the middle, two
    /// may be.
    ///
    /// # Errors
    /// As the system says.
    pub fn start(&self, words: &[&OsStr], marker: &str) -> io::Result<Begun> {
        if self.copies {
            match self.copy(words) {
                Ok(begun) => return Ok(begun),
                Err(error) => tracing::warn!(%error, "the nursery does not answer: a program is executed instead"),
            }
        }
        let (verb, arguments) = words.split_first().ok_or_else(|| io::Error::other("nothing to start"))?;
        let mut command = self.again.command(verb, marker);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        if let Some(pipe) = child.stdout.take() {
            until_closed(pipe);
        }
        Ok(Begun { process: Process::find(child.id()), child: Some(child) })
    }

    fn copy(&self, words: &[&OsStr]) -> io::Result<Begun> {
        let call = words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&0);
        if call.len() > MAX_CALL {
            return Err(io::Error::other("the call is too long for it"));
        }
        let (said, say) = io::pipe()?;
        let made = self.nursery(|nursery| {
            sys::send(nursery.as_fd(), &call, Some(say.as_fd()))?;
            let mut answer = [0; 32];
            let (length, _) = sys::receive(nursery.as_fd(), &mut answer)?;
            Made::decode(&answer[..length]).ok_or_else(|| io::Error::other("it made no process"))
        })?;
        // Its own end stays with the new process alone.
        drop(say);
        until_closed(said);
        let process = (made.started != 0).then_some(Process { pid: made.pid, started: made.started });
        Ok(Begun { process, child: None })
    }

    /// Has the nursery, which is started where there is none, do something. One that fails is given up.
    fn nursery<T>(&self, call: impl FnOnce(&OwnedFd) -> io::Result<T>) -> io::Result<T> {
        // A nursery whose caller panicked in the middle would answer the wrong one.
        let mut held = self.nursery.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn begin(&self) -> io::Result<OwnedFd> {
        let (ours, its) = sys::packet_pair(PATIENCE)?;
        let mut command = self.again.command("nursery", "");
        let mut child = command.stdin(its).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        // It ends when `ours` is closed, here or with this process.
        std::thread::Builder::new().name("nursery".to_owned()).spawn(move || child.wait())?;
        Ok(ours)
    }
}

/// It says nothing: that it closes the pipe is the news, and what happened stands in its folder.
fn until_closed(mut pipe: impl Read) {
    let mut nothing = [0; 64];
    while pipe.read(&mut nothing).is_ok_and(|length| length > 0) {}
}
