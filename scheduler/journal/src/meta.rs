//! The few facts about the journal as a whole: its epoch, where its records begin, what was counted.

use crate::JournalError;
use crate::schema::SCHEMA;
use crate::seal::{Chain, Seal};
use minicbor::{Decode, Encode};
use rusqlite::{Connection, OptionalExtension, params};
use squall_types::{Epoch, Seq};
use std::path::Path;

const HEAD: &str = "head";

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Position {
    /// The last record; 0 before the first.
    #[n(0)]
    pub seq: Seq,
    /// Under which it was written.
    #[n(1)]
    pub epoch: Epoch,
    #[n(2)]
    pub chain: Chain,
}

impl Position {
    pub const START: Position = Position { seq: Seq(0), epoch: Epoch(0), chain: Chain::START };
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Head {
    #[n(0)]
    pub schema: u32,
    /// Every write checks it in its own transaction.
    #[n(1)]
    pub epoch: Epoch,
    /// Records up to here were deleted after a snapshot covered them.
    #[n(2)]
    pub pruned: Position,
    /// From a backup, until the event that says so is in the log.
    #[n(3)]
    pub restored: bool,
    /// The release that opened it last, for messages.
    #[n(4)]
    pub release: String,
}

impl Head {
    pub fn new() -> Head {
        Head {
            schema: SCHEMA,
            epoch: Epoch(0),
            pruned: Position::START,
            restored: false,
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// # Errors
    /// `Damaged`, or `Newer` where the tables are those of a newer release.
    pub fn load(connection: &Connection, db: &Path) -> Result<Head, JournalError> {
        let head: Option<Head> = load(connection, db, HEAD)?;
        let head = head.ok_or_else(|| JournalError::damaged(db, "its head is missing"))?;
        if head.schema > SCHEMA {
            return Err(JournalError::Newer {
                file: db.to_owned(),
                what: "the database".to_owned(),
                found: head.schema,
                known: SCHEMA,
                release: head.release,
            });
        }
        Ok(head)
    }

    pub fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        store(connection, HEAD, self)
    }
}

/// Reads one sealed value.
pub(crate) fn load<T>(connection: &Connection, db: &Path, name: &str) -> Result<Option<T>, JournalError>
where
    T: for<'b> Decode<'b, ()>,
{
    let read = || {
        let mut statement = connection.prepare_cached("SELECT body, sum FROM meta WHERE name = ?1")?;
        statement.query_row([name], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))).optional()
    };
    let Some((body, sum)) = read().map_err(JournalError::sql("reading the head", db))? else { return Ok(None) };
    let damaged = || JournalError::damaged(db, format!("the checksum of its `{name}` is wrong"));
    if sum != i64::from(seal(name, &body)) {
        return Err(damaged());
    }
    minicbor::decode(&body).map(Some).map_err(|_| damaged())
}

/// Writes one sealed value.
pub(crate) fn store<T: Encode<()>>(connection: &Connection, name: &str, value: &T) -> rusqlite::Result<()> {
    let body = minicbor::to_vec(value).expect("writing to memory cannot fail");
    let sql = "INSERT INTO meta (name, body, sum) VALUES (?1, ?2, ?3) \
               ON CONFLICT (name) DO UPDATE SET body = excluded.body, sum = excluded.sum";
    connection.prepare_cached(sql)?.execute(params![name, body, seal(name, &body)]).map(|_| ())
}

fn seal(name: &str, body: &[u8]) -> u32 {
    Seal::of("meta").bytes(name.as_bytes()).bytes(body).end()
}
