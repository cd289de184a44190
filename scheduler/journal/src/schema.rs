//! The tables, and how connections to them are opened.
//!
//! Every row carries a checksum over its columns, because the storage engine has none. Numbers that people search by
//! are columns; the rest of a row is one CBOR body with numbered fields, so that a field can be added without a migration.

use crate::options::{BUSY_TIMEOUT_MILLIS, StorageKind, WAL_KEPT_BYTES};
use crate::{JournalError, arrears};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use squall_types::Seq;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const DB_FILE: &str = "journal.db";
pub(crate) const WAL_FILE: &str = "journal.db-wal";

/// Of the tables below.
pub(crate) const SCHEMA: u32 = 3;
/// `SQJN`: tells our database from any other.
const APPLICATION_ID: i32 = 0x53_51_4a_4e;
/// Prepared statements that a connection keeps: more than there are in this crate.
const STATEMENTS: usize = 128;

/// Pages that the connection that writes keeps, in KiB: the inner pages of all indexes over millions of jobs, and the
/// last leaves. Other pages come from the system's cache; four times as much made no submission faster.
const WRITER_CACHE_KIB: u32 = 8 << 10;

/// How long a job was in the system, as a class: the first of [`LENGTHS`] that it stayed below, or the number of them. With
/// it an index finds what was there at some time: of a class, only what was submitted so long before.
macro_rules! length_class {
    () => {
        "(CASE WHEN ended_at - submitted_at < 60000 THEN 0 WHEN ended_at - submitted_at < 480000 THEN 1 \
         WHEN ended_at - submitted_at < 3840000 THEN 2 WHEN ended_at - submitted_at < 30720000 THEN 3 \
         WHEN ended_at - submitted_at < 245760000 THEN 4 WHEN ended_at - submitted_at < 1966080000 THEN 5 \
         WHEN ended_at - submitted_at < 15728640000 THEN 6 ELSE 7 END)"
    };
}
pub(crate) use length_class;

/// Milliseconds, from a minute to half a year. What has not ended is longer.
pub(crate) const LENGTHS: [i64; 7] =
    [60_000, 480_000, 3_840_000, 30_720_000, 245_760_000, 1_966_080_000, 15_728_640_000];

/// Made with the tables, and when a journal of the first schema is opened.
const LENGTH_INDEXES: &str = concat!(
    "DROP INDEX IF EXISTS jobs_of_user_by_end;
     CREATE INDEX jobs_of_user_by_length ON jobs (uid, ",
    length_class!(),
    ", submitted_at, ended_at);
     CREATE INDEX jobs_by_length ON jobs (",
    length_class!(),
    ", submitted_at, ended_at);"
);

const TABLES: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    chain INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;

CREATE TABLE blobs (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    packed INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE INDEX blobs_unnamed ON blobs (added_at) WHERE refs = 0;

-- What a submission said, once for all elements of an array.
CREATE TABLE specs (
    id INTEGER PRIMARY KEY,
    refs INTEGER NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL
) STRICT;

-- A job, an element, the elements of an array that wait, or a group of elements that never ran. For a component of a
-- heterogeneous job `array` is its leader and `element` its offset.
CREATE TABLE jobs (
    key INTEGER PRIMARY KEY,
    array INTEGER,
    element INTEGER,
    uid INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    spec INTEGER NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_of_array ON jobs (array) WHERE array IS NOT NULL;
CREATE INDEX jobs_by_element ON jobs (array, element) WHERE array IS NOT NULL;
CREATE INDEX jobs_of_user ON jobs (uid);
CREATE INDEX jobs_by_end ON jobs (ended_at, submitted_at);

-- Attempts before the present one.
CREATE TABLE attempts (
    job INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
    job INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (job, attempt, step)
) STRICT, WITHOUT ROWID;

-- Whose cost is whose.
CREATE TABLE charges (
    job INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    part INTEGER NOT NULL,
    node INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (job, seq, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX charges_by_node ON charges (node);

CREATE TABLE nodes (
    node INTEGER PRIMARY KEY,
    gone_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE INDEX nodes_by_end ON nodes (gone_at);

CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY,
    placed_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    sum INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_time ON orders (placed_at);
";

/// Where the database of a state directory lies.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub dir: PathBuf,
    pub storage: StorageKind,
}

impl Location {
    pub fn db(&self) -> PathBuf {
        self.dir.join(DB_FILE)
    }

    /// Whether there is surely no database yet; another VFS can only be asked by opening it.
    pub fn is_empty(&self) -> bool {
        self.storage == StorageKind::Files && !std::fs::metadata(self.db()).is_ok_and(|file| file.len() > 0)
    }

    /// The connection that writes. Until [`accept`] it changes nothing, not even by being closed.
    pub fn writer(&self) -> Result<Connection, JournalError> {
        let db = self.db();
        if self.storage == StorageKind::Files {
            self.create_private(&db)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let opened = self.connect(flags).and_then(|connection| {
            // A log that turns out to be damaged must stay as it is.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            if self.storage != StorageKind::Files {
                connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            }
            connection.execute_batch("PRAGMA temp_store=MEMORY")?;
            connection.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
            Ok(connection)
        });
        opened.map_err(JournalError::sql("opening the database", &db))
    }

    /// A connection that only reads.
    pub fn reader(&self) -> Result<Connection, JournalError> {
        let opened = self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
            connection.execute_batch("PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16384")?;
            Ok(connection)
        });
        opened.map_err(JournalError::sql("opening the database for reading", &self.db()))
    }

    fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &self.storage {
            StorageKind::Files => Connection::open_with_flags(self.db(), flags)?,
            StorageKind::Vfs(vfs) => Connection::open_with_flags_and_vfs(self.db(), flags, vfs.as_str())?,
        };
        connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MILLIS))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0")?;
        Ok(connection)
    }

    /// The log and the shared memory beside it take over the mode of the database.
    fn create_private(&self, db: &Path) -> Result<(), JournalError> {
        use std::os::unix::fs::OpenOptionsExt;
        let open = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(db);
        open.map(|_| ()).map_err(JournalError::io("creating the database", db))
    }
}

/// Whether the tables are there.
///
/// # Errors
/// `Damaged` where the file is something else.
pub(crate) fn has_tables(connection: &Connection, db: &Path) -> Result<bool, JournalError> {
    let read = || -> rusqlite::Result<(i32, i64)> {
        let id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((id, tables))
    };
    match read().map_err(JournalError::sql("reading the database", db))? {
        (0, 0) => Ok(false),
        (APPLICATION_ID, _) => Ok(true),
        _ => Err(JournalError::damaged(db, "it is not the database of a Squall journal")),
    }
}

pub(crate) fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.execute_batch(LENGTH_INDEXES)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)
}

/// Brings tables of an older release, whose log ends at `last`, to these.
pub(crate) fn migrate(connection: &Connection, from: u32, last: Seq) -> rusqlite::Result<()> {
    if from < 2 {
        connection.execute_batch(LENGTH_INDEXES)?;
    }
    if from < 3 {
        // Each commit had its accounting with it.
        arrears::store(connection, last)?;
    }
    Ok(())
}

/// Switches the log and its syncs on, and reads back that they are.
///
/// # Errors
/// `Unsound` where the file system does not allow what durability rests on.
pub(crate) fn make_durable(connection: &Connection, db: &Path) -> Result<(), JournalError> {
    let sql = |error| JournalError::sql("setting up the database", db)(error);
    let unsound = |rule, found, wanted| {
        let advice = "the state directory must be on a local file system";
        Err(JournalError::Unsound { file: db.to_owned(), rule, found, wanted, advice })
    };
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        return unsound("journal_mode", mode, "wal");
    }
    // FULL syncs the log at every commit; NORMAL would lose acknowledged commits with the power.
    let settings =
        "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA fullfsync=ON; PRAGMA checkpoint_fullfsync=ON";
    connection.execute_batch(settings).map_err(sql)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES).map_err(sql)?;
    for (rule, wanted, number) in [("synchronous", "2 (FULL)", 2), ("foreign_keys", "1", 1)] {
        let found: i64 = connection.pragma_query_value(None, rule, |row| row.get(0)).map_err(sql)?;
        if found != number {
            return unsound(rule, found.to_string(), wanted);
        }
    }
    Ok(())
}

/// Lets the last connection that closes move the log into the database and delete it.
pub(crate) fn accept(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map(|_| ())
}

/// How thoroughly a database is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thoroughness {
    /// Pages and rows.
    Quick,
    /// … and whether every index says what its table says.
    Full,
}

/// Has SQLite check the database; returns the first few things that are wrong.
pub(crate) fn check(connection: &Connection, how: Thoroughness) -> rusqlite::Result<Vec<String>> {
    let pragma = match how {
        Thoroughness::Quick => "PRAGMA quick_check(10)",
        Thoroughness::Full => "PRAGMA integrity_check(10)",
    };
    let mut statement = connection.prepare(pragma)?;
    let said = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}
