//! Questions: a small pool of connections that only read, each answer from one moment of the log.

use crate::arrears::Progress;
use crate::options::{ACCOUNT_PATIENCE, StorageKind};
use crate::project::{Totals, load_totals};
use crate::schema::{Location, has_tables};
use crate::{JournalError, blobs, query};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use squall_types::api::{AccountedJob, AccountingPage, AccountingQuery, LedgerPage, LedgerQuery};
use squall_types::{BlobDigest, JobId};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Reads the journal while it is written, or while nobody has it open. Clones share the connections. Those of other
/// processes may find accounting a little behind, or so much of it as a crash has left.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    location: Location,
    db: PathBuf,
    progress: Arc<Progress>,
    idle: Mutex<Idle>,
    returned: Condvar,
}

#[derive(Debug)]
struct Idle {
    connections: Vec<Connection>,
    /// How many more may be opened.
    room: usize,
}

impl Reader {
    pub(crate) fn new(location: Location, connections: usize, progress: Arc<Progress>) -> Reader {
        let idle = Idle { connections: Vec::new(), room: connections.max(1) };
        let db = location.db();
        Reader { pool: Arc::new(Pool { location, db, progress, idle: Mutex::new(idle), returned: Condvar::new() }) }
    }

    /// For commands that look at a state directory, whether a controller has it open or not.
    ///
    /// # Errors
    /// `Damaged` where there is no journal, `Storage` where it cannot be opened.
    pub fn open(dir: impl AsRef<Path>) -> Result<Reader, JournalError> {
        let location = Location { dir: dir.as_ref().to_owned(), storage: StorageKind::Files };
        if location.is_empty() {
            return Err(JournalError::Refused {
                what: format!("there is no journal in {}", location.dir.display()),
                advice: "name the controller's state directory",
            });
        }
        let reader = Reader::new(location, 1, Arc::default());
        reader.with(|connection, db| match has_tables(connection, db)? {
            true => Ok(()),
            false => Err(JournalError::damaged(db, "it is empty")),
        })?;
        Ok(reader)
    }

    /// Jobs, in the order of their ids.
    ///
    /// # Errors
    /// `BadQuery` where the page is not one that this gave out or too much is named at once; `Damaged`.
    pub fn accounting(&self, query: &AccountingQuery) -> Result<AccountingPage, JournalError> {
        self.with_all(|connection, db| query::accounting(connection, db, query))
    }

    /// The attempts of a job before its present one, the first first, each as the job was then.
    ///
    /// # Errors
    /// `Damaged`, `Storage`.
    pub fn attempts(&self, job: JobId) -> Result<Vec<AccountedJob>, JournalError> {
        self.with_all(|connection, db| query::attempts(connection, db, job))
    }

    /// Whose costs a job bears.
    ///
    /// # Errors
    /// `Damaged`, `Storage`.
    pub fn receipt(&self, job: JobId) -> Result<Vec<query::ReceiptLine>, JournalError> {
        self.with_all(|connection, db| query::receipt(connection, db, job))
    }

    /// Nodes in the order in which they were ordered.
    ///
    /// # Errors
    /// `BadQuery`, `Damaged`, `Storage`.
    pub fn ledger(&self, query: &LedgerQuery) -> Result<LedgerPage, JournalError> {
        self.with_all(|connection, db| query::ledger(connection, db, query))
    }

    /// Orders in the order in which they were placed.
    ///
    /// # Errors
    /// `BadQuery`, `Damaged`, `Storage`.
    pub fn orders(&self, query: &LedgerQuery) -> Result<query::OrderPage, JournalError> {
        self.with_all(|connection, db| query::orders(connection, db, query))
    }

    /// What was counted since the journal began.
    ///
    /// # Errors
    /// `Damaged`, `Storage`.
    pub fn totals(&self) -> Result<Totals, JournalError> {
        self.with_all(load_totals)
    }

    /// A script or environment, verified against its digest.
    ///
    /// # Errors
    /// `Damaged`, `Storage`.
    pub fn blob(&self, digest: BlobDigest) -> Result<Option<Vec<u8>>, JournalError> {
        self.with(|connection, db| blobs::read(connection, db, digest))
    }

    pub(crate) fn location(&self) -> Location {
        self.pool.location.clone()
    }

    /// The same, once everything is accounted for that is on disk now.
    fn with_all<R>(&self, ask: impl FnOnce(&Connection, &Path) -> Result<R, JournalError>) -> Result<R, JournalError> {
        let caught_up = self.pool.progress.caught_up(ACCOUNT_PATIENCE);
        caught_up.map_err(|records| JournalError::Behind { records, dir: self.pool.location.dir.clone() })?;
        self.with(ask)
    }

    /// Runs `ask` on a connection of the pool, within one read transaction.
    pub(crate) fn with<R>(
        &self,
        ask: impl FnOnce(&Connection, &Path) -> Result<R, JournalError>,
    ) -> Result<R, JournalError> {
        let borrowed = self.borrow()?;
        let moment = Transaction::new_unchecked(&borrowed.connection, TransactionBehavior::Deferred)
            .map_err(JournalError::sql("beginning to read", &self.pool.db))?;
        let answer = ask(&moment, &self.pool.db);
        drop(moment);
        self.give_back(borrowed);
        answer
    }

    fn borrow(&self) -> Result<Borrowed<'_>, JournalError> {
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(connection) = idle.connections.pop() {
                return Ok(Borrowed { connection, slot: Slot(&self.pool) });
            }
            if idle.room > 0 {
                idle.room -= 1;
                drop(idle);
                let slot = Slot(&self.pool);
                return Ok(Borrowed { connection: self.pool.location.reader()?, slot });
            }
            idle = self.pool.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, borrowed: Borrowed<'_>) {
        let Borrowed { connection, slot } = borrowed;
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.push(connection);
        drop(idle);
        std::mem::forget(slot);
        self.pool.returned.notify_one();
    }
}

struct Borrowed<'a> {
    connection: Connection,
    slot: Slot<'a>,
}

/// The right to a connection: given back even where the connection was not.
struct Slot<'a>(&'a Pool);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).room += 1;
        self.0.returned.notify_one();
    }
}
