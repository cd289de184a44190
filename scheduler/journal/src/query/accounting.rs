//! Pages of jobs.

use super::jobs::{Specs, accounted, attempts_of, elements, steps_of};
use super::paths::Walk;
use super::{behind, page_size};
use crate::JournalError;
use crate::options::{MAX_NAMED, MAX_PAGE_STEPS, MAX_SCAN};
use crate::project::rows::{AttemptRow, Phase, Place, SpecRow};
use crate::project::{Job, JobKey, StoredJob, select_jobs};
use rusqlite::{Connection, OptionalExtension};
use squall_types::api::{AccountedJob, AccountingPage, AccountingQuery, JobRef};
use squall_types::{Attempt, IndexSet, JobId};
use std::path::Path;

/// One page of jobs that match, in the order of their keys, which never change: a job that moves on between two
/// pages is neither missed nor told twice.
pub(crate) fn accounting(
    connection: &Connection,
    db: &Path,
    query: &AccountingQuery,
) -> Result<AccountingPage, JournalError> {
    if query.users.len() > MAX_NAMED || query.jobs.len() > MAX_NAMED {
        return Err(JournalError::BadQuery(format!(
            "{} users and {} jobs are named, at most {MAX_NAMED} of each can be asked for at once",
            query.users.len(),
            query.jobs.len()
        )));
    }
    let size = page_size(query.limit) as usize;
    let mut walk = Walk::choose(connection, db, query, JobKey(behind(&query.after)?))?;
    let mut specs = Specs::new(connection, db);
    let mut page = AccountingPage::default();
    let (mut scanned, mut steps) = (0, 0);
    while let Some(key) = walk.next(connection, db)? {
        scanned += 1;
        if let Some(job) = row(connection, db, key)?
            && let Some(told) = matching(query, job, &mut specs, connection, db)?
        {
            steps += told.steps.len();
            page.jobs.push(told);
        }
        if page.jobs.len() >= size || scanned >= MAX_SCAN || steps > MAX_PAGE_STEPS {
            page.next = key.0.to_string();
            break;
        }
    }
    Ok(page)
}

fn row(connection: &Connection, db: &Path, key: JobKey) -> Result<Option<Job>, JournalError> {
    let read = || {
        let mut statement = connection.prepare_cached(select_jobs!("WHERE key = ?1"))?;
        statement.query_row([key.0], StoredJob::read).optional()
    };
    let stored = read().map_err(JournalError::sql("reading a job", db))?;
    stored.map(|stored| stored.open(db)).transpose()
}

/// The job as it is told, where every condition holds.
fn matching(
    query: &AccountingQuery,
    mut job: Job,
    specs: &mut Specs<'_>,
    connection: &Connection,
    db: &Path,
) -> Result<Option<AccountedJob>, JournalError> {
    let state = job.row.phase.state();
    let within = query.from.is_none_or(|from| job.ended_at.is_none_or(|ended| ended >= from))
        && query.to.is_none_or(|to| job.submitted_at <= to);
    if !within || !any(&query.users, &job.uid) || !any(&query.states, &state) || !is_asked(query, &mut job) {
        return Ok(None);
    }
    let spec = specs.get(job.spec)?;
    if !any(&query.accounts, &spec.account) || !any(&query.names, &spec.name) || !in_partitions(query, &job, &spec) {
        return Ok(None);
    }
    let mut told = accounted(&job, &spec);
    // Groups of elements never ran: the steps under their number are those of the last element.
    if query.with_steps && !matches!(job.row.place, Place::NeverRan { .. }) {
        told.steps = steps_of(connection, db, &job)?;
    }
    Ok(Some(told))
}

/// An empty list is no condition.
fn any<T: PartialEq>(wanted: &[T], value: &T) -> bool {
    wanted.is_empty() || wanted.contains(value)
}

fn in_partitions(query: &AccountingQuery, job: &Job, spec: &SpecRow) -> bool {
    match &job.row.grant {
        Some(grant) => any(&query.partitions, &grant.partition),
        None => query.partitions.is_empty() || spec.partitions.iter().any(|name| query.partitions.contains(name)),
    }
}

/// Whether the row is one of the jobs that are named; narrows a group of elements to those.
fn is_asked(query: &AccountingQuery, job: &mut Job) -> bool {
    if query.jobs.is_empty() {
        return true;
    }
    let id = job.key.job();
    if let Place::Component(place) = job.row.place {
        // The leader's number is that of the whole.
        let means = |asked: &JobRef| match asked.component {
            _ if asked.elements.is_some() => false,
            None => asked.job == id || asked.job == place.leader,
            Some(offset) => asked.job == place.leader && offset == place.offset,
        };
        return query.jobs.iter().any(means);
    }
    let Some((array, members)) = elements(job) else {
        return query.jobs.iter().any(|asked| asked.job == id && asked.component.is_none());
    };
    let mut asked = IndexSet::new();
    for named in query.jobs.iter().filter(|named| named.job == array || named.job == id) {
        match &named.elements {
            // The number of an element's own record, or the whole array.
            None => return true,
            Some(indices) => {
                let both = indices.intersection(&members);
                both.ranges().iter().for_each(|(first, last)| asked.insert_range(*first, *last));
            }
        }
    }
    if asked.is_empty() {
        return false;
    }
    if let Place::Waiting { indices, .. } | Place::NeverRan { indices, .. } = &mut job.row.place {
        *indices = asked;
    }
    true
}

/// Attempts before the present one, each as the job was then.
pub(crate) fn attempts(connection: &Connection, db: &Path, job: JobId) -> Result<Vec<AccountedJob>, JournalError> {
    let Some(present) = row(connection, db, JobKey::of(job))? else { return Ok(Vec::new()) };
    let mut specs = Specs::new(connection, db);
    let spec = specs.get(present.spec)?;
    let earlier = attempts_of(connection, db, job)?;
    let then = |(attempt, row): (Attempt, AttemptRow)| {
        let mut job = present.clone();
        job.ended_at = Some(row.ended_at);
        job.row.attempt = attempt;
        job.row.phase = Phase::Ended(row.end);
        job.row.reason = row.reason;
        job.row.started_at = row.started_at;
        job.row.grant = row.grant;
        job.row.cost = row.cost;
        job.row.suspended = row.suspended;
        job.row.suspended_since = None;
        job.row.exit = row.exit;
        job.row.cancelled_by = None;
        accounted(&job, &spec)
    };
    Ok(earlier.into_iter().map(then).collect())
}
