//! The journal at work: commits, maintenance, and what it refuses after a failure.

use crate::arrears::Arrears;
use crate::blobs::{self, PreparedBlob};
use crate::disk::{self, Ballast, DiskState};
use crate::lock::StateLock;
use crate::mark::{Mark, MarkState, RunState};
use crate::meta::{Head, Position};
use crate::options::{CHECKPOINT_PAGES, IDLE_CHECKPOINT_PAGES, MAX_BATCH, Options};
use crate::project::Projection;
use crate::room::Room;
use crate::schema::{Location, WAL_FILE};
use crate::snapshot::{SnapshotTicket, SnapshotWritten};
use crate::{JournalError, Reader, records};
use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use squall_core::event::{Event, What};
use squall_types::{Epoch, Seq};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The durable log of one cluster, open for writing by one controller.
///
/// What [`append`](Journal::append) returned is on disk, with its accounting unless that [may follow
/// later](Journal::account_later). The first failed write poisons the journal: what is on disk is known again only to the
/// next start.
#[derive(Debug)]
pub struct Journal {
    pub(crate) connection: Connection,
    pub(crate) location: Location,
    pub(crate) db: PathBuf,
    pub(crate) options: Options,
    pub(crate) head: Head,
    pub(crate) last: Position,
    pub(crate) projection: Projection,
    pub(crate) arrears: Arrears,
    /// Records up to here are in two snapshots that were read back.
    pub(crate) covered: Option<Seq>,
    boot: [u8; 36],
    mark: Mark,
    ballast: Ballast,
    /// Of the write-ahead log, as of the last commit.
    log_pages: Arc<AtomicU32>,
    room: Room,
    poisoned: Option<String>,
    /// Last, so that the state is let go when everything else is closed.
    _lock: StateLock,
}

impl Journal {
    pub(crate) fn new(
        connection: Connection,
        location: Location,
        options: Options,
        head: Head,
        last: Position,
        projection: Projection,
        mark: Mark,
        ballast: Ballast,
        lock: StateLock,
    ) -> Result<Journal, JournalError> {
        let log_pages = Arc::new(AtomicU32::new(0));
        let (counted, room) = (log_pages.clone(), Room::of(location.dir.join(WAL_FILE)));
        let mut journal = Journal {
            db: location.db(),
            connection,
            location,
            options,
            head,
            last,
            projection,
            arrears: Arrears::default(),
            covered: None,
            boot: crate::mark::boot(),
            mark,
            ballast,
            log_pages,
            room,
            poisoned: None,
            _lock: lock,
        };
        // In place of SQLite's own checkpoints, whose errors nobody sees.
        let hook = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            counted.store(pages.unsigned_abs(), Ordering::Relaxed);
            Ok(())
        };
        let hooked = journal.connection.wal_hook(Some(hook));
        hooked.map_err(JournalError::sql("watching the write-ahead log", &journal.db))?;
        Ok(journal)
    }

    /// Under which this controller writes.
    pub fn epoch(&self) -> Epoch {
        self.head.epoch
    }

    /// The last record.
    pub fn seq(&self) -> Seq {
        self.last.seq
    }

    pub(crate) fn is_restored(&self) -> bool {
        self.head.restored
    }

    /// Makes events durable, in order: one transaction, one sync. Returns the last one's place.
    ///
    /// # Errors
    /// Every error is fatal: the journal refuses whatever follows, and the controller has to end. `Fenced` where
    /// another controller has taken the journal.
    pub fn append(&mut self, epoch: Epoch, events: &[Event]) -> Result<Seq, JournalError> {
        self.append_with_blobs(epoch, events, &[])
    }

    /// As [`append`](Journal::append), with the scripts and environments that the submissions among `events` name.
    ///
    /// # Errors
    /// As for [`append`](Journal::append); `MissingBlob` where a job names one that is neither here nor stored.
    pub fn append_with_blobs(
        &mut self,
        epoch: Epoch,
        events: &[Event],
        blobs: &[PreparedBlob],
    ) -> Result<Seq, JournalError> {
        self.commit(epoch, events.to_vec(), blobs)
    }

    /// The same with events that nobody else needs.
    ///
    /// # Errors
    /// As for [`append_with_blobs`](Journal::append_with_blobs).
    pub fn commit(&mut self, epoch: Epoch, events: Vec<Event>, blobs: &[PreparedBlob]) -> Result<Seq, JournalError> {
        self.guarded(|journal| {
            if events.len() > MAX_BATCH {
                let text = format!("a commit has {} events, at most {MAX_BATCH} are allowed", events.len());
                return Err(JournalError::BadQuery(text));
            }
            let before = journal.last.seq;
            journal.last = journal.write(epoch, &events, blobs)?;
            if journal.arrears.allowed() {
                journal.arrears.add(Seq(before.0 + 1), events);
            }
            journal.tell_readers();
            // After the commit, so that the mark is never ahead of what is on disk.
            journal.mark.set(&journal.mark_state(RunState::Open))?;
            journal.room.keep(journal.log_pages.load(Ordering::Relaxed));
            journal.checkpoint_above(CHECKPOINT_PAGES)?;
            Ok(journal.last.seq)
        })
    }

    fn write(&mut self, epoch: Epoch, events: &[Event], blobs: &[PreparedBlob]) -> Result<Position, JournalError> {
        let db = self.db.clone();
        let failed = |error| JournalError::sql("committing", &db)(error);
        let transaction = begin(&self.connection, &db, epoch, self.head.epoch)?;
        let at = events.first().map_or_else(Default::default, |event| event.at);
        for blob in blobs {
            blobs::store(&transaction, blob, at).map_err(failed)?;
        }
        let mut last = self.last;
        let mut writer = (!self.arrears.allowed()).then(|| self.projection.writer(&transaction, &db));
        for event in events {
            last = records::insert(&transaction, last, epoch, event).map_err(failed)?;
            if let Some(writer) = &mut writer {
                writer.project(last.seq, event)?;
            }
        }
        if let Some(writer) = writer {
            writer.finish(last.seq)?;
        }
        let settled = events.iter().any(|event| matches!(event.what, What::BackupRestored { .. }));
        if settled && self.head.restored {
            self.head.restored = false;
            self.head.store(&transaction).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(last)
    }

    /// Where the state stands now. To be taken when every event up to the last commit is applied to the clone that
    /// will be written, and none after.
    pub fn snapshot_ticket(&self) -> SnapshotTicket {
        SnapshotTicket { dir: self.location.dir.clone(), position: self.last }
    }

    /// A snapshot is on disk: maintenance may prune what it makes unnecessary.
    pub fn snapshot_written(&mut self, written: &SnapshotWritten) {
        self.covered = self.covered.max(written.covers);
    }

    /// Read-only connections for queries, on any thread.
    pub fn reader(&self) -> Reader {
        Reader::new(self.location.clone(), self.options.readers, self.arrears.progress())
    }

    /// What the file system has left. Gives up the ballast where that is next to nothing.
    ///
    /// # Errors
    /// `Io` where the file system cannot be asked.
    pub fn disk_reserve(&self) -> Result<DiskState, JournalError> {
        let disk = disk::measure(&self.location.dir, self.options.reserve_bytes)?;
        if disk.available < self.options.ballast_bytes {
            self.ballast.give_up()?;
        }
        Ok(disk)
    }

    /// Moves the log into the database and closes both. Without this, the next start checks more.
    ///
    /// # Errors
    /// Those of a write; nothing that was acknowledged is lost by them.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.account()?;
        self.guarded(|journal| {
            journal.empty_log()?;
            journal.mark_durably(RunState::Closed)
        })
    }

    /// Runs a write; after a failed one nothing is written any more, not even by closing.
    pub(crate) fn guarded<R>(
        &mut self,
        write: impl FnOnce(&mut Journal) -> Result<R, JournalError>,
    ) -> Result<R, JournalError> {
        if let Some(cause) = &self.poisoned {
            return Err(JournalError::Poisoned { cause: cause.clone() });
        }
        let written = write(self);
        if let Err(error) = &written {
            self.poisoned = Some(error.to_string());
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        written
    }

    pub(crate) fn checkpoint_if_idle(&mut self) -> Result<(), JournalError> {
        self.checkpoint_above(IDLE_CHECKPOINT_PAGES)
    }

    /// A failed sync of the database is fatal like one of the log.
    fn checkpoint_above(&mut self, pages: u32) -> Result<(), JournalError> {
        if self.log_pages.load(Ordering::Relaxed) < pages {
            return Ok(());
        }
        let moved = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE);
        match moved {
            Ok(_) => {}
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => return Ok(()),
            Err(error) => return Err(JournalError::sql("emptying the write-ahead log", &self.db)(error)),
        }
        // A reader may have kept the log from starting over: it is tried again when it has grown as much again.
        self.log_pages.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Moves everything into the database and cuts the log.
    pub(crate) fn empty_log(&mut self) -> Result<(), JournalError> {
        match self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE) {
            Ok(_) => Ok(()),
            // Somebody reads (`squall journal dump`): the log stays as it is, which is sound.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
            Err(error) => {
                Err(JournalError::sql("emptying the write-ahead log", &self.location.dir.join(WAL_FILE))(error))
            }
        }
    }

    pub(crate) fn mark_durably(&self, run: RunState) -> Result<(), JournalError> {
        self.mark.set_durably(&self.mark_state(run))
    }

    fn mark_state(&self, run: RunState) -> MarkState {
        MarkState { seq: self.last.seq, epoch: self.head.epoch, run, boot: self.boot }
    }
}

/// Begins a write of `epoch`; in the same transaction it is made sure that nobody has taken the journal.
pub(crate) fn begin<'a>(
    connection: &'a Connection,
    db: &std::path::Path,
    epoch: Epoch,
    held: Epoch,
) -> Result<Transaction<'a>, JournalError> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(JournalError::sql("beginning a commit", db))?;
    let current = Head::load(&transaction, db)?.epoch;
    if current != epoch || held != epoch {
        return Err(JournalError::Fenced { mine: epoch, current: current.max(held) });
    }
    Ok(transaction)
}
