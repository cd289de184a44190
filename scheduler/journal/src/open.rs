//! Opening: nothing is changed before everything was read and found whole.

use crate::disk::{self, Ballast};
use crate::journal::Journal;
use crate::lock::StateLock;
use crate::mark::{self, Found, Mark, RunState};
use crate::meta::Head;
use crate::options::{CHECK_ALL_BYTES, StorageKind};
use crate::project::Projection;
use crate::recover::{self, Replay};
use crate::schema::{self, Location, Thoroughness, WAL_FILE};
use crate::{JournalError, Options, files, records, snapshot, wal};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use squall_core::Cluster;
use squall_types::{Epoch, Seq};
use std::path::Path;

/// What was found on disk.
#[derive(Debug)]
pub struct Recovered {
    /// The fold over every record.
    pub cluster: Cluster,
    /// Raised by this start, on disk: what this controller writes with.
    pub epoch: Epoch,
    /// The last record; 0 in a new journal.
    pub seq: Seq,
    /// The journal comes from a backup (or its end was given up), and no event says so yet: the controller's first
    /// command must be the one that moves the ids ahead.
    pub restored: bool,
    /// The controller before this one closed the journal itself.
    pub clean: bool,
    /// The snapshot that was read; `None` where every record was replayed.
    pub from_snapshot: Option<Seq>,
    /// Records that were replayed.
    pub replayed: u64,
    /// What an operator should know, for the log.
    pub notes: Vec<String>,
}

impl Journal {
    /// Opens the journal in `dir`, or begins one there, and takes it: from now on no earlier controller can write.
    ///
    /// # Errors
    /// `InUse` where another process has it; `Damaged`, `Lost`, `Newer` or `Unsound` where it cannot be trusted as
    /// it is, and then nothing in it was changed; `Io`, `Storage` and `DiskFull`.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<(Journal, Recovered), JournalError> {
        let dir = dir.as_ref();
        files::make_dir(dir)?;
        let lock = StateLock::take(dir)?;
        let ballast = Ballast::new(dir, options.ballast_bytes);
        ballast.trim(disk::measure(dir, options.reserve_bytes)?)?;
        let location = Location { dir: dir.to_owned(), storage: options.storage.clone() };
        let found = look(&location, Mark::read(dir)?, Trust::Witnesses)?;
        let Inspected { connection, head, replay, clean, mut notes } = found;
        notes.extend(replay.notes.iter().cloned());
        let projection = Projection::load(&connection, &location.db())?;
        snapshot::sweep_partial(dir)?;

        let sql = |error| JournalError::sql("taking the journal", &location.db())(error);
        schema::accept(&connection).map_err(sql)?;
        let head = take(&connection, head, replay.last.seq).map_err(sql)?;
        let mark = Mark::open(dir)?;
        let mut journal =
            Journal::new(connection, location, options, head, replay.last, projection, mark, ballast, lock)?;
        journal.catch_up()?;
        match journal.empty_log() {
            // It can wait: commits need less space than this.
            Err(error @ JournalError::DiskFull { .. }) => notes.push(error.to_string()),
            emptied => emptied?,
        }
        journal.mark_durably(RunState::Open)?;
        files::sync_dir(dir)?;
        let recovered = Recovered {
            cluster: replay.cluster,
            epoch: journal.epoch(),
            seq: replay.last.seq,
            restored: journal.is_restored(),
            clean,
            from_snapshot: replay.from_snapshot,
            replayed: replay.replayed,
            notes,
        };
        Ok((journal, recovered))
    }
}

/// Whether what other files say of the log has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The log must reach as far as its mark, its snapshots and its own frames say.
    Witnesses,
    /// It may end earlier: what is there is believed.
    WhatIsThere,
}

pub(crate) struct Inspected {
    pub connection: Connection,
    pub head: Head,
    pub replay: Replay,
    pub clean: bool,
    pub notes: Vec<String>,
}

/// Reads everything that the state depends on. Begins an empty journal where there is none.
pub(crate) fn look(location: &Location, mark: Found, trust: Trust) -> Result<Inspected, JournalError> {
    let db = location.db();
    let mut notes = Vec::new();
    if location.is_empty() {
        refuse_if_missing(location, &mark)?;
    }
    if location.storage == StorageKind::Files && trust == Trust::Witnesses {
        wal::check(&location.dir.join(WAL_FILE))?;
    }
    let connection = location.writer()?;
    if !schema::has_tables(&connection, &db)? {
        refuse_if_missing(location, &mark)?;
        schema::make_durable(&connection, &db)?;
        begin(&connection).map_err(JournalError::sql("beginning a journal", &db))?;
    }
    schema::make_durable(&connection, &db)?;
    let head = Head::load(&connection, &db)?;
    let last = records::last(&connection, &db, head.pruned)?;
    let (clean, crashed_machine) = match &mark {
        Found::Mark(mark) => {
            if last.seq < mark.seq || head.epoch < mark.epoch {
                return Err(recover::lost(location, (last.seq, head.epoch), (mark.seq, mark.epoch)));
            }
            (mark.run == RunState::Closed, mark.boot != mark::boot())
        }
        Found::Absent => (head.epoch == Epoch(0), true),
        Found::Damaged => {
            notes.push("journal.mark is damaged and was written anew: the end of the log was not checked".to_owned());
            (false, true)
        }
    };
    if matches!(mark, Found::Absent) && head.epoch > Epoch(0) && !head.restored {
        notes.push("journal.mark is missing and was written anew: the end of the log was not checked".to_owned());
    }
    check(&connection, location, !clean && crashed_machine)?;
    let replay = recover::replay(&connection, location, &head, trust)?;
    Ok(Inspected { connection, head, replay, clean, notes })
}

/// An empty database beside traces of a full one is no new journal.
fn refuse_if_missing(location: &Location, mark: &Found) -> Result<(), JournalError> {
    let newest = snapshot::list(&location.dir)?.first().map(|file| file.seq);
    let acknowledged = match mark {
        Found::Mark(mark) => (mark.seq.max(newest.unwrap_or_default()), mark.epoch),
        Found::Absent | Found::Damaged => (newest.unwrap_or_default(), Epoch(0)),
    };
    if acknowledged > (Seq(0), Epoch(0)) {
        return Err(recover::lost(location, (Seq(0), Epoch(0)), acknowledged));
    }
    Ok(())
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    schema::create_tables(&transaction)?;
    Head::new().store(&transaction)?;
    transaction.commit()
}

/// Small databases always, large ones where the machine itself went down.
fn check(connection: &Connection, location: &Location, crashed: bool) -> Result<(), JournalError> {
    let db = location.db();
    let size = || -> rusqlite::Result<u64> {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(pages.unsigned_abs().saturating_mul(page.unsigned_abs()))
    };
    let size = size().map_err(JournalError::sql("measuring the database", &db))?;
    let how = match crashed {
        _ if size <= CHECK_ALL_BYTES => Thoroughness::Full,
        true => Thoroughness::Quick,
        false => return Ok(()),
    };
    let wrong = schema::check(connection, how).map_err(JournalError::sql("checking the database", &db))?;
    if wrong.is_empty() { Ok(()) } else { Err(JournalError::damaged(&db, wrong.join("; "))) }
}

/// Raises the epoch: whoever held it before can write nothing any more. Tables of an older release become ours with it.
fn take(connection: &Connection, head: Head, last: Seq) -> rusqlite::Result<Head> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    schema::migrate(&transaction, head.schema, last)?;
    let epoch = Epoch(head.epoch.0.saturating_add(1));
    let head = Head { schema: schema::SCHEMA, epoch, release: env!("CARGO_PKG_VERSION").to_owned(), ..head };
    head.store(&transaction)?;
    transaction.commit()?;
    Ok(head)
}
