//! The thread that makes records durable.

use crate::duty::{Record, RecordId};
use crate::ledger::Ledger;
use squall_types::ids::Run;
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

/// What is written at once, with one sync.
const MOST_AT_ONCE: usize = 256;

/// Starts the thread. Records are written in the order of sending; all that were sent while others were being written
/// follow together. Those that nobody waits for are told to be durable when a later one is. `forgotten` hears of runs whose
/// folders may go.
pub fn start(
    mut ledger: Ledger,
    forgotten: std::sync::mpsc::Sender<Run>,
) -> io::Result<(Records, mpsc::UnboundedReceiver<Written>)> {
    // Bounded by what the duties hold: each run and step has few records in flight.
    let (records, mut queue) = mpsc::unbounded_channel::<(RecordId, Record)>();
    let (say, written) = mpsc::unbounded_channel();
    thread::Builder::new().name("ledger".to_owned()).spawn(move || {
        let mut batch = Vec::with_capacity(MOST_AT_ONCE);
        while queue.blocking_recv_many(&mut batch, MOST_AT_ONCE) > 0 {
            let last = batch.iter().map(|(id, _)| *id).max().unwrap_or_default();
            let records: Vec<Record> = batch.drain(..).map(|(_, record)| record).collect();
            let gone = records.iter().filter_map(|record| match record {
                Record::Forgotten { run } => Some(*run),
                _ => None,
            });
            let gone: Vec<Run> = gone.collect();
            let said = match ledger.write(records) {
                Ok(true) => say.send(Written::Durable(last)).is_ok(),
                Ok(false) => true,
                Err(error) => {
                    let _ = say.send(Written::Failed(error));
                    false
                }
            };
            if !said {
                return;
            }
            // A sweeper that is gone leaves its work to the next start.
            gone.into_iter().for_each(|run| _ = forgotten.send(run));
        }
    })?;
    Ok((records, written))
}
