//! `sacct --json` and `--yaml`.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::ids;
use crate::show::json::{Notation, answer, exit, limit, number};
use serde_json::{Value, json};
use squall_types::api::{AccountedJob, AccountedStep, ArrayView};
use squall_types::{Span, Timestamp};

pub fn print(invocation: &mut Invocation<'_>, notation: Notation, jobs: &[AccountedJob]) -> Result<i32, Failure> {
    let now = invocation.now();
    let text = answer("jobs", jobs.iter().map(|job| record(job, now)).collect(), "sacct");
    notation.write(invocation.out, &text)?;
    Ok(0)
}

fn seconds(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_secs)
}

fn cpu(span: Span) -> Value {
    json!({ "seconds": span.as_secs(), "microseconds": span.as_millis().rem_euclid(1000) * 1000 })
}

fn record(job: &AccountedJob, now: Timestamp) -> Value {
    let (array, task) = match &job.array {
        None => (0, None),
        Some(ArrayView::Element { array, index }) => (array.0, Some(u64::from(*index))),
        Some(ArrayView::Pending { array, .. }) => (array.0, None),
    };
    let elapsed = job.elapsed(now);
    let sum = |of: fn(&AccountedStep) -> Span| job.steps.iter().map(of).fold(Span::ZERO, |sum, span| sum + span);
    let (user, system) = (sum(|step| step.usage.user_cpu), sum(|step| step.usage.system_cpu));
    let minutes = job.time_limit.filter(|limit| *limit < Span::FOREVER).map(|limit| (limit.as_secs() / 60) as u64);
    json!({
        "account": job.account,
        "allocation_nodes": job.node_count,
        "array": { "job_id": array, "task_id": number(task), "task": "" },
        "association": { "account": job.account, "user": job.user, "partition": "", "cluster": "" },
        "comment": { "job": job.comment, "administrator": "", "system": "" },
        "constraints": job.constraint,
        "cost_micro_usd": job.cost,
        "exit_code": exit(job.exit.code, job.exit.signal),
        "group": crate::select::group_name(job.gid),
        "het": {
            "job_id": job.het.map_or(0, |place| place.leader.0),
            "job_offset": number(job.het.map(|place| u64::from(place.offset))),
        },
        "job_id": job.job,
        "kill_request_user": job.cancelled_by,
        "name": job.name,
        "nodes": ids::nodes(&job.nodes),
        "partition": job.partition,
        "priority": number(Some(u64::from(job.priority))),
        "qos": job.qos,
        "required": { "CPUs": job.cpus, "memory_per_node": number(Some(job.memory_mib)) },
        "restart_cnt": job.restarts,
        "state": { "current": [job.state.word()], "reason": job.reason.word() },
        "steps": job.steps.iter().map(|step| of_step(job, step, now)).collect::<Vec<_>>(),
        "submit_line": job.submit_line,
        "time": {
            "elapsed": elapsed.as_secs(),
            "eligible": seconds(job.eligible_at),
            "end": seconds(job.ended_at),
            "start": seconds(job.started_at),
            "submission": seconds(Some(job.submitted_at)),
            "suspended": job.suspended_by(now).as_secs(),
            "limit": limit(minutes),
            "user": cpu(user),
            "system": cpu(system),
            "total": cpu(user + system),
        },
        "user": job.user,
        "wckey": { "wckey": job.wckey, "flags": [] },
        "working_directory": job.work_dir,
    })
}

fn of_step(job: &AccountedJob, step: &AccountedStep, now: Timestamp) -> Value {
    let id = format!("{}.{}", job.job, step.step.suffix());
    json!({
        "step": { "id": id, "name": step.name },
        "state": [step.state.word()],
        "exit_code": exit(step.exit.code, step.exit.signal),
        "nodes": { "count": step.nodes.len(), "range": ids::nodes(&step.nodes) },
        "tasks": { "count": step.tasks },
        "CPU": { "requested_count": step.cpus },
        "time": {
            "elapsed": step.elapsed(job, now).as_secs(),
            "start": number(Some(step.started_at.as_secs().max(0) as u64)),
            "end": number(step.ended_at.map(|end| end.as_secs().max(0) as u64)),
            "user": cpu(step.usage.user_cpu),
            "system": cpu(step.usage.system_cpu),
            "total": cpu(step.usage.user_cpu + step.usage.system_cpu),
        },
        "max_rss_kib": step.usage.max_rss_kib,
    })
}
