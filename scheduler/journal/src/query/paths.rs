//! Which rows a question looks at, in the order of their keys: the narrowest index that the question allows.

use crate::JournalError;
use crate::options::{MAX_CANDIDATES, MAX_SCAN};
use crate::project::JobKey;
use crate::schema::{LENGTHS, length_class};
use rusqlite::{Connection, params};
use squall_types::api::{AccountingQuery, JobRef};
use squall_types::{JobId, Uid};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::path::Path;

/// Keys that one step of a walk reads; elements that are looked up one by one.
const CHUNK: u32 = 256;
/// Users whose jobs are walked side by side; with more, all jobs are walked.
const MAX_WALKED_USERS: usize = 64;

/// A walk over keys in ascending order, each once: several ascending runs, merged.
pub(super) struct Walk {
    runs: Vec<Run>,
    /// The first key of each run.
    heads: BinaryHeap<Reverse<(JobKey, usize)>>,
    last: JobKey,
}

/// One ascending run of keys, read in chunks.
struct Run {
    rows: Rows,
    ready: VecDeque<JobKey>,
    /// Where the next chunk starts; `None` after the last.
    after: Option<JobKey>,
}

enum Rows {
    All,
    OfUser(Uid),
    /// Everything of an array.
    OfArray(JobId),
    /// Known in full.
    Known,
}

impl Walk {
    /// Chooses how to find what the question asks for, behind `after`.
    pub fn choose(
        connection: &Connection,
        db: &Path,
        query: &AccountingQuery,
        after: JobKey,
    ) -> Result<Walk, JournalError> {
        let runs = || -> rusqlite::Result<Vec<Run>> {
            if !query.jobs.is_empty() {
                return named(connection, &query.jobs, after);
            }
            let few_users = !query.users.is_empty() && query.users.len() <= MAX_WALKED_USERS;
            if query.from.is_some()
                && let Some(keys) = present(connection, query, few_users, after)?
            {
                return Ok(vec![Run::known(keys)]);
            }
            let users: BTreeSet<Uid> = query.users.iter().copied().collect();
            match few_users {
                true => users.into_iter().map(|uid| Run::read(connection, Rows::OfUser(uid), after)).collect(),
                false => Ok(vec![Run::read(connection, Rows::All, after)?]),
            }
        };
        let runs = runs().map_err(JournalError::sql("searching jobs", db))?;
        let first = |(number, run): (usize, &Run)| run.ready.front().map(|key| Reverse((*key, number)));
        let heads = runs.iter().enumerate().filter_map(first).collect();
        Ok(Walk { runs, heads, last: after })
    }

    pub fn next(&mut self, connection: &Connection, db: &Path) -> Result<Option<JobKey>, JournalError> {
        while let Some(Reverse((key, number))) = self.heads.pop() {
            let head = self.runs[number].advance(connection).map_err(JournalError::sql("walking jobs", db))?;
            if let Some(head) = head {
                self.heads.push(Reverse((head, number)));
            }
            if key > self.last {
                self.last = key;
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

impl Run {
    fn known(keys: BTreeSet<JobKey>) -> Run {
        Run { rows: Rows::Known, ready: keys.into_iter().collect(), after: None }
    }

    fn read(connection: &Connection, rows: Rows, after: JobKey) -> rusqlite::Result<Run> {
        let mut run = Run { rows, ready: VecDeque::new(), after: Some(after) };
        run.fill(connection)?;
        Ok(run)
    }

    /// Leaves the first key behind; returns the one after it.
    fn advance(&mut self, connection: &Connection) -> rusqlite::Result<Option<JobKey>> {
        self.ready.pop_front();
        if self.ready.is_empty() {
            self.fill(connection)?;
        }
        Ok(self.ready.front().copied())
    }

    fn fill(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(after) = self.after else { return Ok(()) };
        let (sql, value) = match self.rows {
            Rows::Known => return Ok(()),
            Rows::All => ("SELECT key FROM jobs WHERE key > ?2 AND ?1 = 0 ORDER BY key LIMIT ?3", 0),
            Rows::OfUser(uid) => {
                let sql = "SELECT key FROM jobs INDEXED BY jobs_of_user \
                           WHERE uid = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
                (sql, uid.0)
            }
            Rows::OfArray(array) => {
                let sql = "SELECT key FROM jobs INDEXED BY jobs_of_array \
                           WHERE array = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
                (sql, array.0)
            }
        };
        let mut statement = connection.prepare_cached(sql)?;
        let keys = statement.query_map(params![value, after.0, CHUNK], |row| row.get(0).map(JobKey))?;
        self.ready = keys.collect::<rusqlite::Result<_>>()?;
        let full = self.ready.len() == CHUNK as usize;
        self.after = self.ready.back().copied().filter(|_| full);
        Ok(())
    }
}

/// Jobs that are named one by one: each by its own number, by its array, or by its place in it.
fn named(connection: &Connection, jobs: &[JobRef], after: JobKey) -> rusqlite::Result<Vec<Run>> {
    let mut known = BTreeSet::new();
    let mut arrays = BTreeSet::new();
    for named in jobs {
        known.insert(JobKey::of(named.job));
        match &named.elements {
            Some(indices) if indices.len() <= u64::from(CHUNK) => {
                known.extend(elements(connection, named.job, indices.iter())?);
            }
            _ => {
                arrays.insert(named.job);
            }
        }
    }
    known.retain(|key| *key > after);
    let mut runs = Vec::new();
    for array in arrays {
        let run = Run::read(connection, Rows::OfArray(array), after)?;
        match run.after {
            // What is known in full needs no run of its own: most jobs are no arrays.
            None => known.extend(run.ready),
            Some(_) => runs.push(run),
        }
    }
    runs.push(Run::known(known));
    Ok(runs)
}

/// Keys of elements by their place, and of the groups of elements that have no row of their own.
fn elements(
    connection: &Connection,
    array: JobId,
    indices: impl Iterator<Item = u32>,
) -> rusqlite::Result<BTreeSet<JobKey>> {
    let mut keys = BTreeSet::new();
    let sql = "SELECT key FROM jobs INDEXED BY jobs_by_element WHERE array = ?1 AND element = ?2";
    let mut element = connection.prepare_cached(sql)?;
    for index in indices {
        for key in element.query_map([array.0, index], |row| row.get(0).map(JobKey))? {
            keys.insert(key?);
        }
    }
    let sql = "SELECT key FROM jobs INDEXED BY jobs_by_element WHERE array = ?1 AND element IS NULL LIMIT ?2";
    for key in connection.prepare_cached(sql)?.query_map([array.0, MAX_SCAN], |row| row.get(0).map(JobKey))? {
        keys.insert(key?);
    }
    Ok(keys)
}

/// Jobs that were there at some moment between the question's times, by the indexes of lengths; `None` where those are too
/// many.
fn present(
    connection: &Connection,
    query: &AccountingQuery,
    by_user: bool,
    after: JobKey,
) -> rusqlite::Result<Option<BTreeSet<JobKey>>> {
    let from = query.from.map_or(i64::MIN, |from| from.0);
    let to = query.to.map_or(i64::MAX, |to| to.0);
    let sql = match by_user {
        true => concat!(
            "SELECT key FROM jobs INDEXED BY jobs_of_user_by_length WHERE uid = ?1 AND ",
            length_class!(),
            " = ?2 AND submitted_at > ?3 AND submitted_at <= ?4 AND ended_at >= ?5"
        ),
        false => concat!(
            "SELECT key FROM jobs INDEXED BY jobs_by_length WHERE ?1 = 0 AND ",
            length_class!(),
            " = ?2 AND submitted_at > ?3 AND submitted_at <= ?4 AND ended_at >= ?5"
        ),
    };
    let users: Vec<u32> = if by_user { query.users.iter().map(|user| user.0).collect() } else { vec![0] };
    let mut statement = connection.prepare_cached(sql)?;
    let (mut keys, mut looked_at) = (BTreeSet::new(), 0);
    for uid in users {
        for class in 0..=LENGTHS.len() {
            // What was submitted before that had ended before the time begins.
            let begin = LENGTHS.get(class).map_or(i64::MIN, |length| from.saturating_sub(*length));
            let mut rows = statement.query(params![uid, class as i64, begin, to, from])?;
            while let Some(row) = rows.next()? {
                looked_at += 1;
                if looked_at > MAX_CANDIDATES {
                    return Ok(None);
                }
                keys.extend(Some(JobKey(row.get(0)?)).filter(|key| *key > after));
            }
        }
    }
    Ok(Some(keys))
}
