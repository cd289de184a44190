//! Accounting that follows the log a little behind.
//!
//! What has to be on disk before anybody hears of it are records: a page or two. The rows of accounting that come of them
//! touch ten times as many, and those of a hundred commits hardly more. So a controller lets accounting follow, many
//! commits at a time. Its readers wait until accounting has come to where the log was when they asked; what a crash leaves
//! undone, the next start does from the records.

use crate::journal::{self, Journal};
use crate::meta::{self, Head};
use crate::{JournalError, Position, records};
use rusqlite::Connection;
use squall_core::event::Event;
use squall_types::Seq;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const ACCOUNTED: &str = "accounted";
/// Records that a start accounts for in one transaction.
const CHUNK: u64 = 1_000;

/// Events that are on disk and not accounted for.
#[derive(Debug, Default)]
pub(crate) struct Arrears {
    events: Vec<(Seq, Event)>,
    /// Whether there may be any.
    allowed: bool,
    progress: Arc<Progress>,
}

/// How far the log and accounting are: shared with the readers.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    recorded: Seq,
    accounted: Seq,
    asked: bool,
    /// Readers.
    waiting: usize,
    /// Nobody accounts any more.
    over: bool,
    ask: Option<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let State { recorded, accounted, over, .. } = self;
        f.debug_struct("State").field("recorded", recorded).field("accounted", accounted).field("over", over).finish()
    }
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything is accounted for that is on disk now. Where that takes longer than `patience`, the error is
    /// the number of records that are not.
    pub fn caught_up(&self, patience: Duration) -> Result<(), u64> {
        let mut state = self.state();
        let (recorded, begun) = (state.recorded, Instant::now());
        while state.accounted < recorded && !state.over {
            let Some(left) = patience.checked_sub(begun.elapsed()) else {
                return Err(recorded.0 - state.accounted.0);
            };
            if !std::mem::replace(&mut state.asked, true)
                && let Some(ask) = &state.ask
            {
                ask();
            }
            state.waiting += 1;
            state = self.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        Ok(())
    }

    fn set(&self, recorded: Seq, accounted: Seq) {
        let mut state = self.state();
        (state.recorded, state.accounted, state.asked) = (recorded, accounted, false);
        if state.waiting > 0 {
            self.moved.notify_all();
        }
    }
}

impl Arrears {
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    pub fn add(&mut self, first: Seq, events: Vec<Event>) {
        self.events.extend((first.0..).map(Seq).zip(events));
    }
}

impl Drop for Arrears {
    /// Readers are left with what there is.
    fn drop(&mut self) {
        self.progress.state().over = true;
        self.progress.moved.notify_all();
    }
}

impl Journal {
    /// From now on commits leave accounting to [`account`](Journal::account), which has to be called before long where
    /// there are [`arrears`](Journal::arrears), and soon once `ask` was called: somebody waits for it.
    pub fn account_later(&mut self, ask: impl Fn() + Send + Sync + 'static) {
        self.arrears.progress.state().ask = Some(Box::new(ask));
        self.arrears.allowed = true;
        self.tell_readers();
    }

    /// Events that are not accounted for.
    pub fn arrears(&self) -> usize {
        self.arrears.events.len()
    }

    /// Brings accounting to where the log is.
    ///
    /// # Errors
    /// As for [`append`](Journal::append): every error is fatal.
    pub fn account(&mut self) -> Result<(), JournalError> {
        if self.arrears.events.is_empty() {
            return Ok(());
        }
        self.guarded(Journal::settle)
    }

    fn settle(&mut self) -> Result<(), JournalError> {
        let events = std::mem::take(&mut self.arrears.events);
        self.write_accounting(&events)?;
        self.tell_readers();
        Ok(())
    }

    fn write_accounting(&mut self, events: &[(Seq, Event)]) -> Result<(), JournalError> {
        let db = self.db.clone();
        let transaction = journal::begin(&self.connection, &db, self.head.epoch, self.head.epoch)?;
        let mut writer = self.projection.writer(&transaction, &db);
        events.iter().try_for_each(|(seq, event)| writer.project(*seq, event))?;
        let last = events.last().map_or(self.last.seq, |(seq, _)| *seq);
        writer.finish(last)?;
        transaction.commit().map_err(JournalError::sql("committing accounting", &db))
    }

    /// Accounts for the records that an earlier controller left.
    pub(crate) fn catch_up(&mut self) -> Result<(), JournalError> {
        let db = self.db.clone();
        let mut at = place(&self.connection, &db, &self.head)?;
        while at.seq < self.last.seq {
            let mut events = Vec::new();
            at = records::walk(&self.connection, &db, at, CHUNK, |record, event| {
                events.push((record.seq, event));
                Ok(())
            })?;
            self.write_accounting(&events)?;
        }
        Ok(())
    }

    pub(crate) fn tell_readers(&self) {
        let accounted = self.arrears.events.first().map_or(self.last.seq, |(seq, _)| Seq(seq.0 - 1));
        self.arrears.progress.set(self.last.seq, accounted);
    }
}

/// Up to which record accounting has come.
pub(crate) fn load(connection: &Connection, db: &Path) -> Result<Seq, JournalError> {
    Ok(meta::load(connection, db, ACCOUNTED)?.unwrap_or_default())
}

pub(crate) fn store(connection: &Connection, accounted: Seq) -> rusqlite::Result<()> {
    meta::store(connection, ACCOUNTED, &accounted)
}

fn place(connection: &Connection, db: &Path, head: &Head) -> Result<Position, JournalError> {
    match load(connection, db)? {
        seq if seq == head.pruned.seq => Ok(head.pruned),
        seq => records::position_of(connection, db, seq)?.ok_or_else(|| {
            JournalError::damaged(db, format!("its accounting ends at record {seq}, which is not there"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn who_waits_for_accounting_asks_once_and_gives_up_where_nobody_accounts() {
        let progress = Progress::default();
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        progress.state().ask = Some(Box::new(move || _ = counted.fetch_add(1, Ordering::Relaxed)));
        progress.set(Seq(7), Seq(7));
        assert_eq!(progress.caught_up(Duration::ZERO), Ok(()));
        progress.set(Seq(9), Seq(7));
        assert_eq!(progress.caught_up(Duration::from_millis(30)), Err(2));
        assert_eq!(progress.caught_up(Duration::ZERO), Err(2));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        progress.set(Seq(9), Seq(9));
        assert_eq!(progress.caught_up(Duration::ZERO), Ok(()));
    }
}
