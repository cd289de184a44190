//! From rows to what `sacct` prints.

use crate::project::rows::{AttemptRow, Phase, Place, SpecRow, StepRow};
use crate::project::{Job, SpecId, load_spec, seal_attempt, seal_step};
use crate::{JournalError, options::MAX_STEPS, table};
use rusqlite::{Connection, params};
use squall_types::agent::{ExitStatus, Usage};
use squall_types::api::{AccountedJob, AccountedStep, ArrayView, JobState};
use squall_types::ids::Run;
use squall_types::{Attempt, EndState, IndexSet, JobId, StepId};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Opens the specs of a page once each: the elements of an array share one.
pub(super) struct Specs<'a> {
    connection: &'a Connection,
    db: &'a Path,
    known: BTreeMap<i64, Rc<SpecRow>>,
}

/// Specs that a page remembers.
const SPECS_KEPT: usize = 1_000;

impl<'a> Specs<'a> {
    pub fn new(connection: &'a Connection, db: &'a Path) -> Specs<'a> {
        Specs { connection, db, known: BTreeMap::new() }
    }

    pub fn get(&mut self, id: SpecId) -> Result<Rc<SpecRow>, JournalError> {
        if let Some(spec) = self.known.get(&id.0) {
            return Ok(spec.clone());
        }
        let spec = Rc::new(load_spec(self.connection, self.db, id)?);
        if self.known.len() >= SPECS_KEPT {
            self.known.pop_first();
        }
        self.known.insert(id.0, spec.clone());
        Ok(spec)
    }
}

impl Phase {
    pub fn state(self) -> JobState {
        match self {
            Phase::Pending => JobState::Pending,
            Phase::Configuring => JobState::Configuring,
            Phase::Running => JobState::Running,
            Phase::Completing => JobState::Completing,
            Phase::Suspended => JobState::Suspended,
            Phase::Ended(end) => JobState::Ended(end),
        }
    }
}

/// Elements that the row stands for; `None` for a job without an array.
pub(super) fn elements(job: &Job) -> Option<(JobId, IndexSet)> {
    match &job.row.place {
        Place::Single | Place::Component(_) => None,
        Place::Waiting { indices, group_of } => Some((group_of.unwrap_or(job.key.job()), indices.clone())),
        Place::Element { array, index } => Some((*array, IndexSet::from_iter([*index]))),
        Place::NeverRan { array, indices } => Some((*array, indices.clone())),
    }
}

/// A row as `sacct` tells it, without its steps.
pub(super) fn accounted(job: &Job, spec: &SpecRow) -> AccountedJob {
    let row = &job.row;
    let (grant, streams) = (row.grant.as_ref(), spec.streams.as_ref());
    let array = match &row.place {
        Place::Element { array, index } => Some(ArrayView::Element { array: *array, index: *index }),
        _ => elements(job).map(|(array, indices)| ArrayView::Pending { array, indices, limit: spec.array_limit }),
    };
    let partitions = || spec.partitions.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",");
    AccountedJob {
        job: job.key.job(),
        array,
        het: match row.place {
            Place::Component(place) => Some(place),
            _ => None,
        },
        attempt: row.attempt,
        restarts: row.attempt.count().saturating_sub(1),
        name: spec.name.clone(),
        uid: spec.uid,
        gid: spec.gid,
        user: spec.user.clone(),
        account: spec.account.clone(),
        partition: grant.map_or_else(partitions, |grant| grant.partition.to_string()),
        qos: spec.qos.clone(),
        state: row.phase.state(),
        cancelled_by: row.cancelled_by,
        reason: row.reason,
        submitted_at: job.submitted_at,
        eligible_at: row.eligible_at,
        started_at: row.started_at,
        ended_at: job.ended_at,
        time_limit: grant.and_then(|grant| grant.time_limit).or(spec.time_limit),
        nodes: grant.map(|grant| grant.nodes.clone()).unwrap_or_default(),
        node_count: grant.map_or(spec.nodes, |grant| grant.nodes.len() as u32),
        cpus: grant.map_or(spec.cpus, |grant| grant.cpus),
        tasks: grant.map_or(spec.tasks, |grant| grant.tasks),
        memory_mib: grant.map_or(spec.memory_mib, |grant| grant.memory_mib),
        gpus: grant.map_or(spec.gpus, |grant| grant.gpus),
        req_tres: spec.req_tres.clone(),
        exit: row.exit,
        work_dir: spec.work_dir.clone(),
        submit_line: spec.submit_line.clone(),
        comment: spec.comment.clone(),
        wckey: spec.wckey.clone(),
        constraint: spec.constraint.clone(),
        priority: spec.priority,
        cost: row.cost,
        steps: Vec::new(),
        suspended: row.suspended,
        suspended_since: row.suspended_since,
        batch: spec.streams.is_some(),
        stdin: streams.and_then(|streams| streams.stdin.clone()),
        stdout: streams.and_then(|streams| streams.stdout.clone()),
        stderr: streams.and_then(|streams| streams.stderr.clone()),
    }
}

/// The attempts before the present one.
pub(super) fn attempts_of(
    connection: &Connection,
    db: &Path,
    job: JobId,
) -> Result<Vec<(Attempt, AttemptRow)>, JournalError> {
    let read = || -> rusqlite::Result<Vec<(u32, Vec<u8>, i64)>> {
        let sql = "SELECT attempt, body, sum FROM attempts WHERE job = ?1 ORDER BY attempt";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_map([job.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    };
    let stored = read().map_err(JournalError::sql("reading attempts", db))?;
    let open = |(attempt, body, sum): (u32, Vec<u8>, i64)| {
        let run = Run { job, attempt: Attempt(attempt) };
        let row = table::open(db, "attempts", job.0.into(), &body, sum, seal_attempt(run, &body))?;
        Ok((run.attempt, row))
    };
    stored.into_iter().map(open).collect()
}

struct StoredStep {
    run: Run,
    step: StepId,
    body: Vec<u8>,
    sum: i64,
}

/// The steps of all attempts, those of the first attempt first, the script before what it started.
pub(super) fn steps_of(connection: &Connection, db: &Path, job: &Job) -> Result<Vec<AccountedStep>, JournalError> {
    let id = job.key.job();
    let read = || -> rusqlite::Result<Vec<StoredStep>> {
        let sql = "SELECT attempt, step, body, sum FROM steps WHERE job = ?1 ORDER BY attempt, step LIMIT ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![id.0, MAX_STEPS], |row| {
            let run = Run { job: id, attempt: Attempt(row.get(0)?) };
            Ok(StoredStep { run, step: StepId(row.get(1)?), body: row.get(2)?, sum: row.get(3)? })
        })?;
        rows.collect()
    };
    let stored = read().map_err(JournalError::sql("reading steps", db))?;
    let earlier = if job.row.attempt.0 > 1 { attempts_of(connection, db, id)? } else { Vec::new() };
    let mut steps = Vec::with_capacity(stored.len());
    for StoredStep { run, step, body, sum } in stored {
        let row = table::open(db, "steps", id.0.into(), &body, sum, seal_step(run, step, &body))?;
        let over = earlier.iter().find(|(attempt, _)| *attempt == run.attempt).map(|(_, row)| (row.end, row.ended_at));
        let over = over.or(match (job.row.phase, job.ended_at) {
            (Phase::Ended(end), Some(at)) => Some((end, at)),
            _ => None,
        });
        steps.push(accounted_step(run.attempt, step, row, over, live_state(job, run.attempt)));
    }
    // The script of a job that runs has no row of its own before it ends.
    let batch = |step: &AccountedStep| step.attempt == job.row.attempt && step.step == StepId::BATCH;
    if let (true, Phase::Running | Phase::Suspended | Phase::Completing, Some(started_at), Some(grant)) =
        (job.row.batch, job.row.phase, job.row.started_at, &job.row.grant)
        && !steps.iter().any(batch)
    {
        let row = StepRow {
            name: StepId::BATCH.suffix(),
            nodes: grant.nodes.first().cloned().into_iter().collect(),
            tasks: 1,
            cpus: grant.first_cpus,
            started_at,
            ended_at: None,
            ended_on: 0,
            exit: ExitStatus::default(),
            usage: Usage::default(),
            end: None,
            suspended: job.row.suspended,
        };
        steps.push(accounted_step(job.row.attempt, StepId::BATCH, row, None, live_state(job, job.row.attempt)));
    }
    // Reserved numbers are high, but what they name comes first.
    steps.sort_by_key(|step| (step.attempt, step.step < StepId::EXTERN, step.step));
    Ok(steps)
}

/// What a step is that is not over.
fn live_state(job: &Job, attempt: Attempt) -> JobState {
    match job.row.phase {
        Phase::Suspended if job.row.attempt == attempt => JobState::Suspended,
        _ => JobState::Running,
    }
}

/// `over` is how and when the attempt ended: a step of which nothing more was heard ended with it.
fn accounted_step(
    attempt: Attempt,
    step: StepId,
    row: StepRow,
    over: Option<(EndState, squall_types::Timestamp)>,
    live: JobState,
) -> AccountedStep {
    let all_said = row.ended_on as usize >= row.nodes.len().max(1);
    let by_exit = match row.exit {
        exit if exit.code == 0 && exit.signal == 0 => EndState::Completed,
        // As Slurm: whatever is ended by a signal was cancelled.
        exit if exit.signal != 0 => EndState::Cancelled,
        _ => EndState::Failed,
    };
    let (state, ended_at) = match over {
        _ if all_said => (JobState::Ended(row.end.unwrap_or(by_exit)), row.ended_at),
        Some((EndState::Completed, at)) => (JobState::Ended(EndState::Cancelled), Some(row.ended_at.unwrap_or(at))),
        Some((end, at)) => (JobState::Ended(end), Some(row.ended_at.unwrap_or(at))),
        None => (live, None),
    };
    AccountedStep {
        step,
        attempt,
        name: row.name,
        state,
        started_at: row.started_at,
        ended_at,
        exit: row.exit,
        nodes: row.nodes,
        tasks: row.tasks,
        cpus: row.cpus,
        usage: row.usage,
        suspended: row.suspended,
    }
}
