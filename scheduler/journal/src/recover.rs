//! From files to a state: the newest usable snapshot, and every record after it.

use crate::open::Trust;
use crate::schema::Location;
use crate::snapshot::SnapshotFile;
use crate::{JournalError, Position, meta::Head, records, snapshot};
use rusqlite::Connection;
use squall_core::Cluster;
use squall_types::{Epoch, Seq};

/// What reading gave.
pub(crate) struct Replay {
    pub cluster: Cluster,
    pub last: Position,
    pub from_snapshot: Option<Seq>,
    pub replayed: u64,
    pub notes: Vec<String>,
}

/// Reads the state. Changes nothing.
///
/// # Errors
/// `Damaged`, `Lost` or `Newer`: where the state cannot be had whole, it is not had at all.
pub(crate) fn replay(
    connection: &Connection,
    location: &Location,
    head: &Head,
    trust: Trust,
) -> Result<Replay, JournalError> {
    let db = location.db();
    let mut notes = Vec::new();
    let mut start = None;
    for file in snapshot::list(&location.dir)? {
        match usable(connection, location, head, &file) {
            Ok(found) => {
                start = Some(found);
                break;
            }
            // The older one will do, if the records behind it are there.
            Err(JournalError::Damaged { file, what, .. }) => {
                notes
                    .push(format!("{} is damaged ({what}): an older state is used, with more records", file.display()));
            }
            Err(JournalError::Lost { .. }) if trust == Trust::WhatIsThere => {
                notes.push(format!("{} stands behind the end of the log and is not used", file.path.display()));
            }
            Err(error) => return Err(error),
        }
    }
    if start.is_none() && head.pruned.seq > Seq(0) {
        let what = format!(
            "its records begin at {}, and no snapshot stands there or later{}{}",
            head.pruned.seq.0 + 1,
            if notes.is_empty() { "" } else { ": " },
            notes.join("; ")
        );
        return Err(JournalError::damaged(&db, what));
    }
    let from_snapshot = start.as_ref().map(|(position, _)| position.seq);
    let (from, mut cluster) = start.unwrap_or_else(|| (Position::START, Cluster::new()));
    let mut replayed = 0;
    let last = records::walk(connection, &db, from, u64::MAX, |record, event| {
        if record.epoch > head.epoch {
            let what = format!("record {} is of epoch {}, above its own {}", record.seq, record.epoch, head.epoch);
            return Err(JournalError::damaged(&db, what));
        }
        cluster.apply(&event);
        replayed += 1;
        Ok(())
    })?;
    Ok(Replay { cluster, last, from_snapshot, replayed, notes })
}

fn usable(
    connection: &Connection,
    location: &Location,
    head: &Head,
    file: &SnapshotFile,
) -> Result<(Position, Cluster), JournalError> {
    let db = location.db();
    let (position, cluster) = snapshot::read(file)?;
    if position.seq < head.pruned.seq {
        return Err(JournalError::damaged(&file.path, "the records that follow it were pruned"));
    }
    let recorded = match position.seq {
        seq if seq == head.pruned.seq => Some(head.pruned),
        seq => records::position_of(connection, &db, seq)?,
    };
    match recorded {
        Some(recorded) if recorded == position => Ok((position, cluster)),
        Some(_) => Err(JournalError::damaged(&file.path, "it belongs to another log")),
        None => {
            let end = records::last(connection, &db, head.pruned)?;
            Err(lost(location, (end.seq, head.epoch), (position.seq, position.epoch)))
        }
    }
}

pub(crate) fn lost(location: &Location, found: (Seq, Epoch), acknowledged: (Seq, Epoch)) -> JournalError {
    JournalError::Lost {
        dir: location.dir.clone(),
        found: found.0,
        found_epoch: found.1,
        acknowledged: acknowledged.0,
        acknowledged_epoch: acknowledged.1,
    }
}
