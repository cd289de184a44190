//! The thread that makes records durable.

use crate::duty::{Record, RecordId};
use crate::ledger::Ledger;
use std::io;
use std::thread;
use tokio::sync::mpsc;

/// What the writer says.
#[derive(Debug)]
pub enum Written {
    /// This record and all before it are durable.
    Durable(RecordId),
    /// The disk failed. Nothing is certain any more but what is on it: the agent has to start anew.
    Failed(io::Error),
}

/// Records on their way to the disk.
pub type Records = mpsc::UnboundedSender<(RecordId, Record)>;

/// Starts the thread. Records are written in the order of sending; what is sent while one is being written
/// follows at once.
pub fn start(mut ledger: Ledger) -> io::Result<(Records, mpsc::UnboundedReceiver<Written>)> {
    // Bounded by what the duties hold: each run and step has few records in flight.
    let (records, mut queue) = mpsc::unbounded_channel::<(RecordId, Record)>();
    let (say, written) = mpsc::unbounded_channel();
    thread::Builder::new().name("ledger".to_owned()).spawn(move || {
        while let Some((id, record)) = queue.blocking_recv() {
            let result = ledger.write(&record).and_then(|()| match record {
                // What the run left is garbage from now on, and cleared by whoever finds it first.
                Record::Forgotten { run } => ledger.clear(run).or_else(|error| {
                    tracing::warn!(job = %run.job, attempt = %run.attempt, %error, "what a run left is not cleared away");
                    Ok(())
                }),
                _ => Ok(()),
            });
            let (message, failed) = match result {
                Ok(()) => (Written::Durable(id), false),
                Err(error) => (Written::Failed(error), true),
            };
            if say.send(message).is_err() || failed {
                return;
            }
        }
    })?;
    Ok((records, written))
}
