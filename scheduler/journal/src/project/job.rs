//! The rows of jobs and of their attempts as they lie in the tables.

use super::Writer;
use super::rows::{AttemptRow, JobRow, Place};
use super::spec::SpecId;
use crate::seal::Seal;
use crate::{JournalError, table};
use rusqlite::{Row, params};
use squall_types::ids::Run;
use squall_types::{JobId, Timestamp, Uid};
use std::path::Path;

/// What stands where a row has not ended: after every time.
pub(crate) const LIVE: i64 = i64::MAX;

/// A row of `jobs`: the record of a job is part 0; elements of an array that never ran are parts from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobKey(pub i64);

const PART_BITS: u32 = 24;

impl JobKey {
    pub fn of(job: JobId) -> JobKey {
        JobKey(i64::from(job.0) << PART_BITS)
    }

    /// Above every row of the job.
    pub fn end(job: JobId) -> JobKey {
        JobKey((i64::from(job.0) + 1) << PART_BITS)
    }

    pub fn job(self) -> JobId {
        JobId((self.0 >> PART_BITS) as u32)
    }
}

/// A job's row with its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub key: JobKey,
    pub uid: Uid,
    pub submitted_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub spec: SpecId,
    pub row: JobRow,
}

/// Columns in the order in which [`Job::read`] takes them.
macro_rules! select_jobs {
    ($rest:literal) => {
        concat!("SELECT key, array, element, uid, submitted_at, ended_at, spec, body, sum FROM jobs ", $rest)
    };
}
pub(crate) use select_jobs;

/// A row as it lies in the table.
pub(crate) struct StoredJob {
    columns: Columns,
    body: Vec<u8>,
    sum: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub key: i64,
    pub array: Option<i64>,
    pub element: Option<i64>,
    pub uid: i64,
    pub submitted_at: i64,
    pub ended_at: i64,
    pub spec: i64,
}

impl Columns {
    pub fn seal(&self, body: &[u8]) -> u32 {
        // No number of an array or element is negative.
        let optional = |value: Option<i64>| value.unwrap_or(-1);
        Seal::of("jobs")
            .int(self.key)
            .int(optional(self.array))
            .int(optional(self.element))
            .int(self.uid)
            .int(self.submitted_at)
            .int(self.ended_at)
            .int(self.spec)
            .bytes(body)
            .end()
    }
}

impl StoredJob {
    pub fn read(row: &Row<'_>) -> rusqlite::Result<StoredJob> {
        let columns = Columns {
            key: row.get(0)?,
            array: row.get(1)?,
            element: row.get(2)?,
            uid: row.get(3)?,
            submitted_at: row.get(4)?,
            ended_at: row.get(5)?,
            spec: row.get(6)?,
        };
        Ok(StoredJob { columns, body: row.get(7)?, sum: row.get(8)? })
    }

    /// # Errors
    /// `Damaged` where it is not what was written.
    pub fn open(self, path: &Path) -> Result<Job, JournalError> {
        let Columns { key, uid, submitted_at, ended_at, spec, .. } = self.columns;
        let row = table::open(path, "jobs", key, &self.body, self.sum, self.columns.seal(&self.body))?;
        Ok(Job {
            key: JobKey(key),
            uid: Uid(uid as u32),
            submitted_at: Timestamp(submitted_at),
            ended_at: (ended_at != LIVE).then_some(Timestamp(ended_at)),
            spec: SpecId(spec),
            row,
        })
    }
}

impl Job {
    pub(super) fn columns(&self) -> Columns {
        let (array, element) = match &self.row.place {
            Place::Single => (None, None),
            Place::Waiting { group_of, .. } => (Some(group_of.unwrap_or(self.key.job())), None),
            Place::Element { array, index } => (Some(*array), Some(*index)),
            Place::NeverRan { array, .. } => (Some(*array), None),
            // Found together like the elements of an array, by the number of the whole.
            Place::Component(place) => (Some(place.leader), Some(place.offset)),
        };
        Columns {
            key: self.key.0,
            array: array.map(|array| i64::from(array.0)),
            element: element.map(i64::from),
            uid: i64::from(self.uid.0),
            submitted_at: self.submitted_at.0,
            ended_at: self.ended_at.map_or(LIVE, |at| at.0),
            spec: self.spec.0,
        }
    }
}

impl Writer<'_> {
    pub(super) fn insert_attempt(&self, run: Run, attempt: &AttemptRow) -> Result<(), JournalError> {
        let body = table::encode(attempt);
        let sql = "INSERT OR REPLACE INTO attempts (job, attempt, body, sum) VALUES (?1, ?2, ?3, ?4)";
        let row = params![run.job.0, run.attempt.0, body, seal_attempt(run, &body)];
        let insert = || self.db.prepare_cached(sql)?.execute(row);
        insert().map(|_| ()).map_err(self.failed("storing an attempt"))
    }
}

pub(crate) fn seal_attempt(run: Run, body: &[u8]) -> u32 {
    Seal::of("attempts").int(run.job.0.into()).int(run.attempt.0.into()).bytes(body).end()
}
