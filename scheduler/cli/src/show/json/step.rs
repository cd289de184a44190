//! A step that runs as `squeue --steps` and `scontrol show step` write it.

use super::value::{Member, Value};
use super::version::{Shape, Version};
use super::{Answer, Notation, Surroundings};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::files::Files;
use crate::show::ids;
use squall_types::api::{AccountedJob, AccountedStep, ArrayView};
use squall_types::{StepId, Timestamp};

/// What Slurm has for the index of a job that is no element of an array.
const NO_INDEX: i64 = 0xffff_fffe;

/// # Errors
/// Where nobody reads any more.
pub fn write_steps(
    invocation: &mut Invocation<'_>,
    notation: Notation,
    steps: &[(&AccountedJob, &AccountedStep)],
) -> Result<i32, Failure> {
    let (shape, now) = (notation.shape, invocation.now());
    let surroundings = Surroundings::of(invocation, shape);
    Answer::list("steps", steps, &surroundings, |(job, step)| record(shape, job, step, &surroundings.cluster, now))
        .with_moments(&["last_update"])
        .write(invocation, notation)
}

/// `7.batch`; v0.0.39 has its parts.
pub fn step_id<'a>(shape: Shape, job: &AccountedJob, step: &AccountedStep) -> Value<'a> {
    let suffix = step.step.suffix();
    match shape.version {
        Version::V39 => Value::object([("job_id", job.job.0.into()), ("step_id", Value::Text(suffix.into()))]),
        _ => Value::Text(format!("{}.{suffix}", job.job).into()),
    }
}

/// How its tasks were laid out. What nobody laid out, since it has one task on each node, is not known.
pub fn layout(step: StepId) -> &'static str {
    if step < StepId::EXTERN { "Block" } else { "Unknown" }
}

/// From v0.0.43: where the streams of the script lead; those of other steps are their client's.
pub fn files<'a>(shape: Shape, job: &AccountedJob, step: &AccountedStep) -> [Member<'a>; 6] {
    let known = step.step == StepId::BATCH && shape.version >= Version::V43;
    let files = if known { Files::accounted(job) } else { Files::default() };
    streams(shape, Version::V43, files)
}

/// From that version on: what was asked for each stream, and where it leads.
pub fn streams<'a>(shape: Shape, since: Version, files: Files) -> [Member<'a>; 6] {
    let Files { stdin, stdout, stderr } = files;
    let told = |text| shape.since(since, shape.text(text));
    [
        ("stdin", told(stdin.pattern)),
        ("stdin_expanded", told(stdin.path)),
        ("stdout", told(stdout.pattern)),
        ("stdout_expanded", told(stdout.path)),
        ("stderr", told(stderr.pattern)),
        ("stderr_expanded", told(stderr.path)),
    ]
}

fn record<'a>(
    shape: Shape,
    job: &'a AccountedJob,
    step: &'a AccountedStep,
    cluster: &'a str,
    now: Timestamp,
) -> Value<'a> {
    let nothing = || shape.text("");
    let no_number = || shape.perhaps(None::<i64>);
    let (array, index) = match &job.array {
        Some(ArrayView::Element { array, index }) => (array.0, i64::from(*index)),
        Some(ArrayView::Pending { array, .. }) => (array.0, NO_INDEX),
        None => (0, NO_INDEX),
    };
    let frequency = Value::object([("min", no_number()), ("max", no_number()), ("governor", no_number())]);
    let per = ["cpu", "memory", "step", "node", "socket", "task"].map(|name| (name, nothing()));
    let allocation = format!("cpu={},node={}", step.cpus, step.nodes.len());
    let mut members = vec![
        ("array", Value::object([("job_id", array.into()), ("task_id", index.into())])),
        ("cluster", shape.text(cluster)),
        ("container", nothing()),
        ("container_id", nothing()),
        ("cpu", Value::object([("frequency", frequency)])),
        ("id", step_id(shape, job, step)),
        ("name", shape.text(&step.name)),
        ("network", nothing()),
        ("nodes", shape.text(ids::nodes(&step.nodes))),
        ("number_cpus", step.cpus.into()),
        ("number_tasks", step.tasks.into()),
        ("partition", shape.text(&job.partition)),
        ("reserved_ports", nothing()),
        ("srun", Value::object([("host", nothing()), ("pid", Value::Int(0))])),
        ("state", shape.state(step.state)),
        ("submit_line", nothing()),
        ("task", Value::object([("distribution", Value::Text(layout(step.step).into()))])),
        (
            "time",
            Value::object([
                ("running", shape.stamp(step.elapsed(job, now).as_secs())),
                ("start", shape.moment(Some(step.started_at))),
                ("limit", shape.limit(None::<i64>)),
            ]),
        ),
        (
            "tres",
            Value::object([
                ("allocation", shape.text(allocation)),
                ("binding", nothing()),
                ("frequency", nothing()),
                ("per", Value::Object(per.into())),
            ]),
        ),
        ("user", shape.text(&job.user)),
    ];
    members.extend(files(shape, job, step));
    Value::Object(members)
}
