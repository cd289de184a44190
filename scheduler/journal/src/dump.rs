//! The log as JSON lines, one record each, for people and for other programs.

use crate::{JournalError, Position, Reader, meta::Head, records};
use serde::Serialize;
use squall_core::Event;
use squall_types::{Epoch, Seq};
use std::collections::VecDeque;

/// Records that are read at a time, so that a long dump does not keep the log from being emptied.
const CHUNK: u64 = 500;

#[derive(Serialize)]
struct Line<'a> {
    seq: Seq,
    epoch: Epoch,
    version: u32,
    event: &'a Event,
}

/// Lines of a dump; an error is the last of them.
#[derive(Debug)]
pub struct Dump {
    reader: Reader,
    last: Position,
    ready: VecDeque<String>,
    failed: Option<JournalError>,
    done: bool,
}

impl Reader {
    /// Records from `from` on as JSON, each verified against the one before it.
    ///
    /// # Errors
    /// `BadQuery` where records of that age were pruned; `Damaged`, `Storage`.
    pub fn dump(&self, from: Seq) -> Result<Dump, JournalError> {
        let before = Seq(from.0.max(1) - 1);
        let last = self.with(|connection, db| {
            let pruned = Head::load(connection, db)?.pruned;
            if before == pruned.seq {
                return Ok(pruned);
            }
            let first = pruned.seq.0 + 1;
            let unknown = |_| JournalError::BadQuery(format!("the log has no record {before}, it begins at {first}"));
            records::position_of(connection, db, before)?.ok_or(()).map_err(unknown)
        })?;
        Ok(Dump { reader: self.clone(), last, ready: VecDeque::new(), failed: None, done: false })
    }

    /// The first record that the log still has, and the last one.
    ///
    /// # Errors
    /// `Damaged`, `Storage`.
    pub fn bounds(&self) -> Result<(Seq, Seq), JournalError> {
        self.with(|connection, db| {
            let pruned = Head::load(connection, db)?.pruned;
            Ok((Seq(pruned.seq.0 + 1), records::last(connection, db, pruned)?.seq))
        })
    }
}

impl Dump {
    fn fill(&mut self) -> Result<(), JournalError> {
        let (from, ready) = (self.last, &mut self.ready);
        self.last = self.reader.with(|connection, db| {
            records::walk(connection, db, from, CHUNK, |record, event| {
                let line = Line { seq: record.seq, epoch: record.epoch, version: record.version, event: &event };
                let text = serde_json::to_string(&line)
                    .map_err(|error| JournalError::BadQuery(format!("record {}: {error}", record.seq)))?;
                ready.push_back(text);
                Ok(())
            })
        })?;
        Ok(())
    }
}

impl Iterator for Dump {
    type Item = Result<String, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() && !self.done {
            // What was read before a bad record is told first.
            self.failed = self.fill().err();
            self.done = self.failed.is_some() || self.ready.is_empty();
        }
        self.ready.pop_front().map(Ok).or_else(|| self.failed.take().map(Err))
    }
}
