//! Maintenance: prunes what snapshots cover and what is older than it is kept, in chunks, between commits.

use crate::journal::{self, Journal};
use crate::options::TEND_CHUNK;
use crate::project::{JobKey, SpecId};
use crate::{JournalError, blobs, records};
use rusqlite::{Connection, params};
use squall_types::{Epoch, Seq, Span, Timestamp};

/// A blob that nothing names is kept so long for the submission that brought it.
const UNNAMED_BLOBS_KEPT: Span = Span::from_hours(1);

/// What one step of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    pub records: u64,
    pub jobs: usize,
    pub nodes: usize,
    pub orders: usize,
    pub blobs: usize,
    /// There is more of it: to be called again soon.
    pub more: bool,
}

impl Journal {
    /// One bounded step of maintenance, to be taken between commits, about once a second.
    ///
    /// # Errors
    /// As for [`append`](Journal::append): every error is fatal.
    pub fn tend(&mut self, now: Timestamp) -> Result<Tended, JournalError> {
        self.guarded(|journal| {
            // What is pruned may not be needed any more.
            journal.account()?;
            let tended = journal.prune(journal.epoch(), now)?;
            journal.checkpoint_if_idle()?;
            Ok(tended)
        })
    }

    fn prune(&mut self, epoch: Epoch, now: Timestamp) -> Result<Tended, JournalError> {
        let db = self.db.clone();
        let failed = |error| JournalError::sql("pruning", &db)(error);
        let retention = &self.options.retention;
        let transaction = journal::begin(&self.connection, &db, epoch, self.head.epoch)?;
        let mut tended = Tended {
            blobs: blobs::sweep(&transaction, now - UNNAMED_BLOBS_KEPT, TEND_CHUNK).map_err(failed)?,
            ..Tended::default()
        };
        let mut head = self.head.clone();
        if let Some(covered) = self.covered {
            let before = (now - retention.records).0;
            let pruned = records::prune(&transaction, head.pruned, covered, before, TEND_CHUNK).map_err(failed)?;
            if let Some(position) = pruned {
                tended.records = position.seq.0 - head.pruned.seq.0;
                head.pruned = position;
                head.store(&transaction).map_err(failed)?;
            }
        }
        if let Some(kept) = retention.history {
            let before = now - kept;
            let over = ended_jobs(&transaction, before).map_err(failed)?;
            tended.jobs = over.len();
            let mut writer = self.projection.writer(&transaction, &db);
            for (key, spec) in over {
                writer.drop_spec(spec);
                delete_job(&transaction, key).map_err(failed)?;
            }
            writer.finish(self.last.seq)?;
            tended.nodes = delete_nodes(&transaction, before).map_err(failed)?;
            tended.orders = delete_orders(&transaction, before).map_err(failed)?;
        }
        if tended == Tended::default() {
            return transaction.rollback().map(|()| tended).map_err(failed);
        }
        transaction.commit().map_err(failed)?;
        self.head = head;
        let chunk = TEND_CHUNK as usize;
        let full = [tended.jobs, tended.nodes, tended.orders, tended.blobs].contains(&chunk);
        tended.more = full || tended.records == u64::from(TEND_CHUNK);
        Ok(tended)
    }

    /// Where the records begin: what is before is in snapshots alone.
    pub fn first_seq(&self) -> Seq {
        Seq(self.head.pruned.seq.0 + 1)
    }
}

fn ended_jobs(connection: &Connection, before: Timestamp) -> rusqlite::Result<Vec<(JobKey, SpecId)>> {
    let sql = "SELECT key, spec FROM jobs WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows =
        statement.query_map(params![before.0, TEND_CHUNK], |row| Ok((JobKey(row.get(0)?), SpecId(row.get(1)?))))?;
    rows.collect()
}

fn delete_job(connection: &Connection, key: JobKey) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM jobs WHERE key = ?1")?.execute([key.0])?;
    if key == JobKey::of(key.job()) {
        for sql in [
            "DELETE FROM attempts WHERE job = ?1",
            "DELETE FROM steps WHERE job = ?1",
            "DELETE FROM charges WHERE job = ?1",
        ] {
            connection.prepare_cached(sql)?.execute([key.job().0])?;
        }
    }
    Ok(())
}

fn delete_nodes(connection: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM nodes WHERE node IN \
               (SELECT node FROM nodes WHERE gone_at < ?1 ORDER BY gone_at LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![before.0, TEND_CHUNK])
}

fn delete_orders(connection: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM orders WHERE order_id IN \
               (SELECT order_id FROM orders WHERE placed_at < ?1 ORDER BY placed_at LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![before.0, TEND_CHUNK])
}
