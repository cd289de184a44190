//! Rows that several events of one transaction change: read once, written once, at its end.

use super::Writer;
use super::job::{Columns, Job, JobKey, StoredJob, select_jobs};
use super::spec::SpecId;
use crate::{JournalError, blobs, table};
use rusqlite::{OptionalExtension, params};
use squall_types::{BlobDigest, JobId};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Touched {
    jobs: BTreeMap<JobKey, TouchedJob>,
    /// By how much the rows that refer to a spec have become more.
    specs: BTreeMap<SpecId, i64>,
    blobs: BTreeMap<BlobDigest, Named>,
}

#[derive(Debug)]
struct TouchedJob {
    job: Job,
    /// As the row lies in the table, where it does.
    stored: Option<Columns>,
    changed: bool,
}

/// By how many specs.
#[derive(Clone, Copy, Debug, Default)]
struct Named {
    more: i64,
    fewer: i64,
}

impl Writer<'_> {
    pub(super) fn job(&mut self, key: JobKey) -> Result<Option<&Job>, JournalError> {
        Ok(self.touch(key)?.map(|touched| &touched.job))
    }

    pub(super) fn insert_job(&mut self, job: Job) {
        self.touched.jobs.insert(job.key, TouchedJob { job, stored: None, changed: true });
    }

    /// Changes a row. A job that accounting does not know (it was purged) stays unknown.
    pub(super) fn edit_job(&mut self, key: JobKey, change: impl FnOnce(&mut Job)) -> Result<(), JournalError> {
        if let Some(touched) = self.touch(key)? {
            touched.changed = true;
            change(&mut touched.job);
        }
        Ok(())
    }

    /// The next free part of a job, for a group of elements.
    pub(super) fn next_part(&self, job: JobId) -> Result<JobKey, JournalError> {
        let (first, end) = (JobKey::of(job), JobKey::end(job));
        let read = || {
            let mut statement = self.db.prepare_cached("SELECT max(key) FROM jobs WHERE key >= ?1 AND key < ?2")?;
            statement.query_row([first.0, end.0], |row| row.get::<_, Option<i64>>(0))
        };
        let stored = read().map_err(self.failed("reading a job"))?.map_or(first, JobKey);
        let touched = self.touched.jobs.range(first..end).next_back().map_or(first, |(key, _)| *key);
        Ok(JobKey(stored.max(touched).0 + 1))
    }

    /// One more row refers to it.
    pub(super) fn share_spec(&mut self, id: SpecId) {
        *self.touched.specs.entry(id).or_default() += 1;
    }

    /// One row less refers to it: with the last, it goes, and its blobs with it.
    pub(crate) fn drop_spec(&mut self, id: SpecId) {
        *self.touched.specs.entry(id).or_default() -= 1;
    }

    pub(super) fn name_blob(&mut self, digest: BlobDigest) {
        self.touched.blobs.entry(digest).or_default().more += 1;
    }

    pub(super) fn unname_blob(&mut self, digest: BlobDigest) {
        self.touched.blobs.entry(digest).or_default().fewer += 1;
    }

    /// Writes them all.
    ///
    /// # Errors
    /// `MissingBlob` where a spec names one that is not stored, and those of a write.
    pub(super) fn write_touched(&mut self) -> Result<(), JournalError> {
        let Touched { jobs, specs, blobs } = std::mem::take(&mut self.touched);
        self.touched.blobs = blobs;
        jobs.values().filter(|touched| touched.changed).try_for_each(|touched| self.write_job(touched))?;
        for (id, more) in specs {
            self.count_spec(id, more)?;
        }
        // Specs that go name theirs no more.
        for (digest, named) in std::mem::take(&mut self.touched.blobs) {
            let there = blobs::name(self.db, digest, named.more - named.fewer);
            if !there.map_err(self.failed("naming a blob"))? && named.more > 0 {
                return Err(JournalError::MissingBlob { digest });
            }
        }
        Ok(())
    }

    fn touch(&mut self, key: JobKey) -> Result<Option<&mut TouchedJob>, JournalError> {
        if !self.touched.jobs.contains_key(&key) {
            let read = || {
                let mut statement = self.db.prepare_cached(select_jobs!("WHERE key = ?1"))?;
                statement.query_row([key.0], StoredJob::read).optional()
            };
            let Some(stored) = read().map_err(self.failed("reading a job"))? else { return Ok(None) };
            let job = stored.open(self.path)?;
            let stored = Some(job.columns());
            self.touched.jobs.insert(key, TouchedJob { job, stored, changed: false });
        }
        Ok(self.touched.jobs.get_mut(&key))
    }

    fn write_job(&self, TouchedJob { job, stored, .. }: &TouchedJob) -> Result<(), JournalError> {
        let (columns, body) = (job.columns(), table::encode(&job.row));
        let sum = columns.seal(&body);
        let Columns { key, array, element, uid, submitted_at, ended_at, spec } = columns;
        let write = || match stored {
            None => {
                let sql = "INSERT INTO jobs (key, array, element, uid, submitted_at, ended_at, spec, body, sum) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
                let row = params![key, array, element, uid, submitted_at, ended_at, spec, body, sum];
                self.db.prepare_cached(sql)?.execute(row)
            }
            // Indexes are left alone.
            Some(stored) if *stored == columns => {
                let sql = "UPDATE jobs SET body = ?2, sum = ?3 WHERE key = ?1";
                self.db.prepare_cached(sql)?.execute(params![key, body, sum])
            }
            Some(_) => {
                let sql = "UPDATE jobs SET array = ?2, element = ?3, ended_at = ?4, spec = ?5, body = ?6, sum = ?7 \
                           WHERE key = ?1";
                self.db.prepare_cached(sql)?.execute(params![key, array, element, ended_at, spec, body, sum])
            }
        };
        write().map(|_| ()).map_err(self.failed("storing a job"))
    }
}
