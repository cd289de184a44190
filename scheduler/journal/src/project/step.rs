//! The rows of steps: what ran inside an attempt, and what its nodes said of its end.

use super::Writer;
use super::rows::{Grant, JobRow, StepRow};
use crate::seal::Seal;
use crate::{JournalError, table};
use rusqlite::{OptionalExtension, params};
use squall_types::agent::{EndCause, ExitStatus, StepEnd, Usage};
use squall_types::ids::Run;
use squall_types::{AttemptEnd, EndState, NodeId, Span, StepId, Timestamp};

impl StepRow {
    /// The script of an attempt, with what its node told of the attempt's end.
    pub(super) fn of_script(job: &JobRow, grant: &Grant, started_at: Timestamp, end: &AttemptEnd) -> StepRow {
        StepRow {
            name: StepId::BATCH.suffix(),
            nodes: grant.nodes.first().cloned().into_iter().collect(),
            tasks: 1,
            cpus: grant.first_cpus,
            started_at,
            ended_at: Some(end.ended_at),
            ended_on: 1,
            exit: end.exit,
            usage: end.usage,
            end: why(end.cause),
            suspended: job.suspended,
        }
    }
}

impl Writer<'_> {
    pub(super) fn start_step(&mut self, run: Run, id: StepId, step: &StepRow) -> Result<(), JournalError> {
        self.totals.steps += 1;
        self.put_step(run, id, step)
    }

    /// What one of its nodes said.
    pub(super) fn end_step(&mut self, node: NodeId, end: &StepEnd) -> Result<(), JournalError> {
        let known = self.step(end.run, end.step)?;
        let mut step = match known {
            Some(step) => step,
            // Started by the agent itself.
            None => {
                self.totals.steps += 1;
                StepRow {
                    name: end.step.suffix(),
                    nodes: self.node_names([node])?,
                    tasks: 1,
                    cpus: 0,
                    started_at: end.started_at,
                    ended_at: None,
                    ended_on: 0,
                    exit: ExitStatus::default(),
                    usage: Usage::default(),
                    end: None,
                    suspended: Span::ZERO,
                }
            }
        };
        step.started_at = step.started_at.min(end.started_at);
        step.ended_at = step.ended_at.max(Some(end.ended_at));
        step.ended_on = step.ended_on.saturating_add(1);
        step.exit = worse(step.exit, end.exit);
        step.usage = sum(step.usage, end.usage);
        self.put_step(end.run, end.step, &step)
    }

    /// The script of a job is its first step; its node told of it with the end of the attempt.
    pub(super) fn end_batch(&mut self, run: Run, cause: EndCause, script: &StepRow) -> Result<(), JournalError> {
        if cause == EndCause::NeverRan || self.step(run, StepId::BATCH)?.is_some() {
            return Ok(());
        }
        self.totals.steps += 1;
        self.put_step(run, StepId::BATCH, script)
    }

    /// Steps that are not over were suspended with their job.
    pub(super) fn resume_steps(&self, run: Run, since: Timestamp, at: Timestamp) -> Result<(), JournalError> {
        let read = || -> rusqlite::Result<Vec<u32>> {
            let sql = "SELECT step FROM steps WHERE job = ?1 AND attempt = ?2 ORDER BY step";
            let mut statement = self.db.prepare_cached(sql)?;
            statement.query_map(params![run.job.0, run.attempt.0], |row| row.get(0))?.collect()
        };
        for id in read().map_err(self.failed("reading steps"))?.into_iter().map(StepId) {
            let Some(mut step) = self.step(run, id)?.filter(|step| step.ended_at.is_none()) else { continue };
            step.suspended = step.suspended + at.since(since.max(step.started_at));
            self.put_step(run, id, &step)?;
        }
        Ok(())
    }

    fn step(&self, run: Run, id: StepId) -> Result<Option<StepRow>, JournalError> {
        let read = || {
            let sql = "SELECT body, sum FROM steps WHERE job = ?1 AND attempt = ?2 AND step = ?3";
            let mut statement = self.db.prepare_cached(sql)?;
            let key = params![run.job.0, run.attempt.0, id.0];
            statement.query_row(key, |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))).optional()
        };
        let stored = read().map_err(self.failed("reading a step"))?;
        let open = |(body, sum): (Vec<u8>, i64)| {
            table::open(self.path, "steps", run.job.0.into(), &body, sum, seal(run, id, &body))
        };
        stored.map(open).transpose()
    }

    fn put_step(&self, run: Run, id: StepId, step: &StepRow) -> Result<(), JournalError> {
        let body = table::encode(step);
        let sql = "INSERT INTO steps (job, attempt, step, body, sum) VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT DO UPDATE SET body = excluded.body, sum = excluded.sum";
        let row = params![run.job.0, run.attempt.0, id.0, body, seal(run, id, &body)];
        let put = || self.db.prepare_cached(sql)?.execute(row);
        put().map(|_| ()).map_err(self.failed("storing a step"))
    }
}

pub(crate) fn seal(run: Run, id: StepId, body: &[u8]) -> u32 {
    Seal::of("steps").int(run.job.0.into()).int(run.attempt.0.into()).int(id.0.into()).bytes(body).end()
}

/// Where something but the exit status decides how a step ended.
fn why(cause: EndCause) -> Option<EndState> {
    match cause {
        EndCause::Exited | EndCause::NeverRan => None,
        EndCause::Stopped => Some(EndState::Cancelled),
        EndCause::TimeLimit => Some(EndState::Timeout),
        EndCause::OutOfMemory => Some(EndState::OutOfMemory),
        EndCause::LaunchFailed => Some(EndState::Failed),
        EndCause::Lost => Some(EndState::NodeFail),
    }
}

/// A signal is worse than any code, a higher code worse than a lower one.
fn worse(a: ExitStatus, b: ExitStatus) -> ExitStatus {
    if (b.signal, b.code) > (a.signal, a.code) { b } else { a }
}

fn sum(a: Usage, b: Usage) -> Usage {
    Usage {
        user_cpu: a.user_cpu + b.user_cpu,
        system_cpu: a.system_cpu + b.system_cpu,
        max_rss_kib: a.max_rss_kib.max(b.max_rss_kib),
    }
}
