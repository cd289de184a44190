//! The records of the log: how events become rows, and how rows become events again.

use crate::seal::Chain;
use crate::{JournalError, Position};
use rusqlite::{Connection, params};
use squall_core::Event;
use squall_core::event::EVENT_VERSION;
use squall_types::{Epoch, Seq};
use std::path::Path;

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub seq: Seq,
    pub epoch: Epoch,
    pub at: i64,
    pub version: u32,
    pub chain: Chain,
    pub payload: Vec<u8>,
}

/// Adds an event behind `last` and returns its own place.
pub(crate) fn insert(
    connection: &Connection,
    last: Position,
    epoch: Epoch,
    event: &Event,
) -> rusqlite::Result<Position> {
    let payload = event.encode();
    let seq = Seq(last.seq.0 + 1);
    let chain = last.chain.next(seq, epoch, event.at.0, EVENT_VERSION, &payload);
    let sql = "INSERT INTO records (seq, epoch, at, version, chain, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let row = params![seq.0 as i64, epoch.0 as i64, event.at.0, EVENT_VERSION, chain.0, payload];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(Position { seq, epoch, chain })
}

/// The newest record's place, or where the records were pruned.
pub(crate) fn last(connection: &Connection, db: &Path, pruned: Position) -> Result<Position, JournalError> {
    let newest = tail(connection, Seq(0), true, 1).map_err(JournalError::sql("reading the last record", db))?;
    Ok(newest.first().map_or(pruned, Record::position))
}

/// The place of one record that is there.
pub(crate) fn position_of(connection: &Connection, db: &Path, seq: Seq) -> Result<Option<Position>, JournalError> {
    let before = Seq(seq.0.saturating_sub(1));
    let found = tail(connection, before, false, 1).map_err(JournalError::sql("reading a record", db))?;
    Ok(found.first().filter(|record| record.seq == seq).map(Record::position))
}

/// Up to `limit` records behind `after`, in order or the newest first.
fn tail(connection: &Connection, after: Seq, newest_first: bool, limit: u32) -> rusqlite::Result<Vec<Record>> {
    let sql = if newest_first {
        "SELECT seq, epoch, at, version, chain, payload FROM records WHERE seq > ?1 ORDER BY seq DESC LIMIT ?2"
    } else {
        "SELECT seq, epoch, at, version, chain, payload FROM records WHERE seq > ?1 ORDER BY seq LIMIT ?2"
    };
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![after.0 as i64, limit], |row| {
        Ok(Record {
            seq: Seq(row.get::<_, i64>(0)? as u64),
            epoch: Epoch(row.get::<_, i64>(1)? as u64),
            at: row.get(2)?,
            version: row.get(3)?,
            chain: Chain(row.get(4)?),
            payload: row.get(5)?,
        })
    })?;
    rows.collect()
}

impl Record {
    pub fn position(&self) -> Position {
        Position { seq: self.seq, epoch: self.epoch, chain: self.chain }
    }
}

/// Walks the records behind `from`, checks each against the one before it, and hands its event to `visit`.
///
/// Reads in chunks, so that a long walk holds no read transaction. Returns the place of the last record.
///
/// # Errors
/// `Damaged` where a record is missing or not what was written, `Newer`, and what `visit` returns.
pub(crate) fn walk(
    connection: &Connection,
    db: &Path,
    from: Position,
    limit: u64,
    mut visit: impl FnMut(&Record, Event) -> Result<(), JournalError>,
) -> Result<Position, JournalError> {
    const CHUNK: u64 = 1_000;
    let mut last = from;
    let mut left = limit;
    while left > 0 {
        let wanted = left.min(CHUNK) as u32;
        let records =
            tail(connection, last.seq, false, wanted).map_err(JournalError::sql("reading the records", db))?;
        for record in &records {
            last = verify(record, last, db)?;
            visit(record, decode(record, db)?)?;
        }
        left -= records.len() as u64;
        if records.len() < wanted as usize {
            break;
        }
    }
    Ok(last)
}

fn verify(record: &Record, last: Position, db: &Path) -> Result<Position, JournalError> {
    let expected = Seq(last.seq.0 + 1);
    if record.seq != expected {
        return Err(JournalError::damaged(db, format!("record {expected} is missing, the next is {}", record.seq)));
    }
    let chain = last.chain.next(record.seq, record.epoch, record.at, record.version, &record.payload);
    if chain != record.chain {
        let what =
            format!("record {expected} is not what was written (checksum {:08x}, not {:08x})", record.chain.0, chain.0);
        return Err(JournalError::damaged(db, what));
    }
    Ok(record.position())
}

/// Reads an event of any released version. A version that is not the present one is lifted to it here.
fn decode(record: &Record, db: &Path) -> Result<Event, JournalError> {
    let newer = |what: String| JournalError::Newer {
        file: db.to_owned(),
        what,
        found: record.version,
        known: EVENT_VERSION,
        release: "that wrote it".to_owned(),
    };
    match record.version {
        1 => Event::decode(&record.payload)
            // Its checksum is right: a variant that this release does not know.
            .map_err(|error| newer(format!("the event of record {} ({error})", record.seq))),
        _ => Err(newer(format!("the event of record {}", record.seq))),
    }
}

/// Deletes records up to `until` that are older than `before`, at most `limit`; returns the place of the last one deleted.
pub(crate) fn prune(
    connection: &Connection,
    pruned: Position,
    until: Seq,
    before: i64,
    limit: u32,
) -> rusqlite::Result<Option<Position>> {
    let most = Seq(pruned.seq.0.saturating_add(u64::from(limit)).min(until.0));
    if most <= pruned.seq {
        return Ok(None);
    }
    // Records are in the order of time: whatever lies before the newest old one is old as well.
    let last = newest_before(connection, pruned.seq, most, before)?;
    if let Some(last) = last {
        let mut statement = connection.prepare_cached("DELETE FROM records WHERE seq <= ?1")?;
        statement.execute([last.seq.0 as i64])?;
    }
    Ok(last)
}

fn newest_before(connection: &Connection, after: Seq, until: Seq, before: i64) -> rusqlite::Result<Option<Position>> {
    let sql =
        "SELECT seq, epoch, chain FROM records WHERE seq > ?1 AND seq <= ?2 AND at < ?3 ORDER BY seq DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after.0 as i64, until.0 as i64, before])?;
    let position = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Position> {
        let (seq, epoch) = (Seq(row.get::<_, i64>(0)? as u64), Epoch(row.get::<_, i64>(1)? as u64));
        Ok(Position { seq, epoch, chain: Chain(row.get(2)?) })
    };
    rows.next()?.map(position).transpose()
}
