//! The writer thread: one commit after the other, and what keeps the journal small in between.

use super::mailbox::{Mailbox, Message};
use crate::limits::{ACCOUNT_AFTER, ARREARS, TEND_EVERY};
use squall_core::{Cluster, Event};
use squall_engine::{BatchId, Input};
use squall_journal::{Journal, JournalError, PreparedBlob, SnapshotWritten};
use squall_types::Epoch;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// One commit.
pub(super) struct Batch {
    pub id: BatchId,
    pub events: Vec<Event>,
    pub blobs: Vec<PreparedBlob>,
    /// The state that it leads to, where a snapshot is to be written.
    pub snapshot: Option<Cluster>,
}

enum Todo {
    Commit(Box<Batch>),
    /// Somebody waits for accounting.
    Account,
    Finish,
}

pub(super) struct Writer {
    todo: Sender<Todo>,
    thread: std::thread::JoinHandle<Result<(), String>>,
}

impl Writer {
    pub fn spawn(mut journal: Journal, epoch: Epoch, mailbox: Arc<Mailbox>, disk_every: Duration) -> Self {
        let (sender, todo) = channel();
        let asked = sender.clone();
        journal.account_later(move || drop(asked.send(Todo::Account)));
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                let mut work = Work { journal, epoch, mailbox, disk_every, refusing: None, written: channel() };
                let outcome = work.run(&todo).map_err(|error| error.to_string());
                match outcome {
                    Ok(()) => work.journal.close().map_err(|error| error.to_string()),
                    Err(text) => {
                        work.mailbox.put_now(Message::WriterFailed(text.clone()));
                        Err(text)
                    }
                }
            })
            .expect("a thread can be started at start-up");
        Writer { todo: sender, thread }
    }

    /// `false` where the thread has ended.
    pub fn write(&self, batch: Batch) -> bool {
        self.todo.send(Todo::Commit(Box::new(batch))).is_ok()
    }

    /// Writes what waits, closes the journal, and says how that went.
    pub fn finish(self) -> Result<(), String> {
        drop(self.todo.send(Todo::Finish));
        self.thread.join().unwrap_or_else(|_| Err("the journal's thread panicked".to_owned()))
    }
}

struct Work {
    journal: Journal,
    epoch: Epoch,
    mailbox: Arc<Mailbox>,
    disk_every: Duration,
    refusing: Option<String>,
    /// Snapshots that other threads have written.
    written: (Sender<SnapshotWritten>, Receiver<SnapshotWritten>),
}

impl Work {
    fn run(&mut self, todo: &Receiver<Todo>) -> Result<(), JournalError> {
        let (mut tended, mut looked) = (Instant::now(), Instant::now() - self.disk_every);
        loop {
            let pause = if self.journal.arrears() > 0 { ACCOUNT_AFTER } else { TEND_EVERY.min(self.disk_every) };
            match todo.recv_timeout(pause) {
                Ok(Todo::Commit(batch)) => self.commit(*batch)?,
                Ok(Todo::Account) | Err(RecvTimeoutError::Timeout) => self.journal.account()?,
                Ok(Todo::Finish) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if self.journal.arrears() >= ARREARS {
                self.journal.account()?;
            }
            for written in self.written.1.try_iter() {
                self.journal.snapshot_written(&written);
            }
            if tended.elapsed() >= TEND_EVERY {
                self.journal.tend(super::clock::wall())?;
                tended = Instant::now();
            }
            if looked.elapsed() >= self.disk_every {
                self.look_at_disk()?;
                looked = Instant::now();
            }
        }
    }

    fn commit(&mut self, batch: Batch) -> Result<(), JournalError> {
        let seq = self.journal.commit(self.epoch, batch.events, &batch.blobs)?;
        if let Some(state) = batch.snapshot {
            let (ticket, written) = (self.journal.snapshot_ticket(), self.written.0.clone());
            // On a thread of its own: a snapshot blocks nobody. One that fails leaves those before it.
            std::thread::spawn(move || match ticket.write(&state) {
                Ok(snapshot) => drop(written.send(snapshot)),
                Err(error) => tracing::warn!(%error, "no snapshot was written"),
            });
        }
        self.mailbox.put_now(Message::Committed { input: Input::Committed { batch: batch.id }, seq: seq.0 });
        Ok(())
    }

    fn look_at_disk(&mut self) -> Result<(), JournalError> {
        let disk = self.journal.disk_reserve()?;
        let mib = |bytes: u64| bytes >> 20;
        let refusal = disk.is_low().then(|| {
            format!(
                "the controller's disk has {} MiB left, {} MiB are kept in reserve",
                mib(disk.available),
                mib(disk.reserve)
            )
        });
        if refusal.is_some() != self.refusing.is_some() {
            self.refusing = refusal.clone();
            self.mailbox.put_now(Message::Input(Input::DiskReserve { refusal }));
        }
        Ok(())
    }
}
