//! `squeue --json` and `--yaml`; `scontrol show job` has the same records.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::amounts;
use crate::show::ids;
use crate::show::json::{Notation, answer, exit, limit, moment, number};
use serde_json::{Value, json};
use squall_types::api::{ArrayView, JobView};
use squall_types::{Span, Timestamp};

pub fn print(invocation: &mut Invocation<'_>, notation: Notation, jobs: &[JobView]) -> Result<i32, Failure> {
    let now = invocation.now();
    let text = answer("jobs", jobs.iter().map(|job| record(job, now)).collect(), "squeue");
    notation.write(invocation.out, &text)?;
    Ok(0)
}

pub fn record(job: &JobView, now: Timestamp) -> Value {
    let (array_job, array_task, tasks) = match &job.array {
        None => (0, None, String::new()),
        Some(ArrayView::Element { array, index }) => (array.0, Some(u64::from(*index)), String::new()),
        Some(ArrayView::Pending { array, indices, limit }) => (array.0, None, ids::pending(indices, *limit, 0)),
    };
    let nodes = ids::nodes(&job.nodes);
    let minutes = job.time_limit.filter(|limit| *limit < Span::FOREVER).map(|limit| (limit.as_secs() / 60) as u64);
    let mut record = json!({
        "account": job.account,
        "array_job_id": number(Some(u64::from(array_job))),
        "array_task_id": number(array_task),
        "array_task_string": tasks,
        "batch_host": job.nodes.first(),
        "command": job.command,
        "comment": job.comment,
        "cost_micro_usd": job.cost,
        "cpus": number(Some(u64::from(job.cpus))),
        "current_working_directory": job.work_dir,
        "dependency": job.dependency,
        "eligible_time": moment(job.eligible_at),
        "end_time": moment(job.end_at),
        "exit_code": exit(job.exit.code, job.exit.signal),
        "features": job.constraint,
        "group_id": job.gid,
        "group_name": crate::select::group_name(job.gid),
        "job_id": job.job,
        "job_state": [job.state.word()],
        "max_nodes": number(Some(u64::from(job.max_nodes))),
        "memory_per_node": number(Some(job.memory_mib / job.nodes.len().max(1) as u64)),
        "name": job.name,
        "nice": job.nice,
        "node_count": number(Some(u64::from(job.node_count))),
        "nodes": nodes,
        "partition": job.partition,
        "priority": number(Some(u64::from(job.priority))),
        "qos": job.qos,
        "restart_cnt": job.restarts,
        "shared": if job.exclusive { json!(["none"]) } else { json!([]) },
        "start_time": moment(job.start_at),
        "state_reason": job.reason.word(),
        "submit_time": moment(Some(job.submitted_at)),
        "tasks": number(Some(u64::from(job.tasks))),
        "time_limit": limit(minutes),
        "tres_alloc_str": if job.nodes.is_empty() { String::new() } else { amounts::tres(job.cpus, job.memory_mib, job.node_count, job.gpus) },
        "tres_per_node": job.tres_per_node,
        "tres_req_str": job.tres,
        "user_id": job.uid,
        "user_name": job.user,
        "elapsed_seconds": job.start_at.map_or(0, |start| job.end_at.unwrap_or(now).min(now).since(start).as_secs()),
    });
    // One macro takes no more fields.
    record["het_job_id"] = number(Some(job.het.map_or(0, |place| u64::from(place.leader.0))));
    record["het_job_id_set"] = json!(job.het.map(ids::het_set).unwrap_or_default());
    record["het_job_offset"] = number(job.het.map(|place| u64::from(place.offset)));
    record
}
