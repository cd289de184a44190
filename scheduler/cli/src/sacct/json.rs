//! `sacct --json` and `--yaml`.

mod step;

use super::row::{Row, accounted_state};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::select::{group_name, user_name};
use crate::show::files::Files;
use crate::show::ids;
use crate::show::json::step::streams;
use crate::show::json::{Answer, Member, Notation, Shape, Surroundings, Value, Version, seconds};
use crate::show::moments::Moments;
use squall_types::agent::ExitStatus;
use squall_types::api::{AccountedJob, AccountedStep, ArrayView, JobState};
use squall_types::{Reason, Span, Uid};

/// What all jobs of an answer have in common.
struct Jobs<'a> {
    shape: Shape,
    moments: Moments,
    cluster: &'a str,
}

pub fn print(invocation: &mut Invocation<'_>, notation: Notation, jobs: &[AccountedJob]) -> Result<i32, Failure> {
    let shape = notation.shape;
    let surroundings = Surroundings::of(invocation, shape);
    let all = Jobs { shape, moments: Moments::of(invocation), cluster: &surroundings.cluster };
    Answer::list("jobs", jobs, &surroundings, |job| all.record(job)).write(invocation, notation)
}

/// Of what has not ended it is not known how it ends.
fn exit_of(state: JobState, exit: ExitStatus) -> Option<ExitStatus> {
    matches!(state, JobState::Ended(_)).then_some(exit)
}

/// Who ended it; empty where nobody did.
fn killer<'a>(uid: Option<Uid>) -> Value<'a> {
    Value::Text(uid.map(user_name).unwrap_or_default().into())
}

fn cpu_time<'a>(span: Span) -> Value<'a> {
    let microseconds = span.as_millis().rem_euclid(1000) * 1000;
    Value::object([("seconds", span.as_secs().into()), ("microseconds", microseconds.into())])
}

/// CPU time of a job or step.
fn cpu_times<'a>(user: Span, system: Span) -> [Member<'a>; 3] {
    [("user", cpu_time(user)), ("system", cpu_time(system)), ("total", cpu_time(user + system))]
}

/// One of Slurm's trackable resources by its number in Slurm's database.
fn tres<'a>(kind: &'static str, name: &'static str, id: u32, count: u64) -> Value<'a> {
    Value::object([
        ("type", Value::Text(kind.into())),
        ("name", Value::Text(name.into())),
        ("id", id.into()),
        ("count", count.into()),
    ])
}

/// What a job has; memory counts in MiB, as in Slurm.
fn all_tres<'a>(job: &AccountedJob) -> Value<'a> {
    let known = [
        (true, tres("cpu", "", 1, job.cpus.into())),
        (job.memory_mib > 0, tres("mem", "", 2, job.memory_mib)),
        (true, tres("node", "", 4, job.node_count.into())),
        (true, tres("billing", "", 5, job.cpus.into())),
        (job.gpus > 0, tres("gres", "gpu", 1001, job.gpus.into())),
    ];
    Value::list(known.into_iter().filter_map(|(has, tres)| has.then_some(tres)))
}

impl<'a> Jobs<'a> {
    fn row(&self, job: &'a AccountedJob, step: Option<&'a AccountedStep>) -> Row<'_> {
        let (moments, cluster) = (&self.moments, self.cluster);
        Row { job, step, moments, cluster, unit: None, noconvert: false, expand: false, window: None }
    }

    fn record(&self, job: &'a AccountedJob) -> Value<'a> {
        let mut members = Vec::with_capacity(64);
        members.extend(self.who_and_what(job));
        members.extend(self.how_it_went(job));
        members.extend(asked(self.shape, job));
        members.extend(streams(self.shape, Version::V41, Files::accounted(job)));
        members.extend(not_here(self.shape));
        members.push(("cost_micro_usd", Value::Int(job.cost.0)));
        Value::Object(members)
    }

    fn who_and_what(&self, job: &'a AccountedJob) -> [Member<'a>; 18] {
        let shape = self.shape;
        let text = |text: &'a str| shape.text(text);
        [
            ("account", text(job.account.as_str())),
            (
                "association",
                Value::object([
                    ("account", text(job.account.as_str())),
                    ("cluster", text(self.cluster)),
                    ("partition", text("")),
                    ("user", text(&job.user)),
                    ("id", shape.since(Version::V40, Value::Int(0))),
                ]),
            ),
            ("array", array(shape, job)),
            ("cluster", text(self.cluster)),
            (
                "comment",
                Value::object([("administrator", text("")), ("job", text(&job.comment)), ("system", text(""))]),
            ),
            ("group", shape.text(group_name(job.gid))),
            (
                "het",
                Value::object([
                    ("job_id", job.het.map_or(0, |place| place.leader.0).into()),
                    ("job_offset", shape.perhaps(job.het.map(|place| place.offset))),
                ]),
            ),
            ("job_id", job.job.0.into()),
            ("name", text(&job.name)),
            ("partition", text(&job.partition)),
            ("hold", matches!(job.reason, Reason::JobHeldUser | Reason::JobHeldAdmin).into()),
            // Accounting has the one that was asked for.
            ("priority", shape.perhaps(Some(job.priority).filter(|priority| *priority > 0))),
            ("qos", text(&job.qos)),
            ("qosreq", shape.since(Version::V42, text(""))),
            ("submit_line", text(&job.submit_line)),
            ("user", text(&job.user)),
            ("wckey", wckey(shape, &job.wckey)),
            ("working_directory", text(&job.work_dir)),
        ]
    }

    fn how_it_went(&self, job: &'a AccountedJob) -> [Member<'a>; 10] {
        let shape = self.shape;
        let nodes = if job.nodes.is_empty() { "None assigned".to_owned() } else { ids::nodes(&job.nodes) };
        let derived = self.row(job, None).worst_exit();
        let state = Value::object([
            ("current", shape.state(accounted_state(job.state))),
            ("reason", Value::Text(job.reason.word().into())),
        ]);
        let ran = job.started_at.is_some();
        [
            ("allocation_nodes", job.node_count.into()),
            ("derived_exit_code", shape.ended(exit_of(job.state, derived))),
            ("exit_code", shape.ended(exit_of(job.state, job.exit))),
            ("kill_request_user", killer(job.cancelled_by)),
            ("nodes", Value::Text(nodes.into())),
            ("restart_cnt", job.restarts.into()),
            ("state", state),
            ("steps", Value::list(job.steps.iter().map(|step| self.of_step(job, step)))),
            ("time", self.times(job)),
            (
                "tres",
                Value::object([
                    ("allocated", if ran { all_tres(job) } else { Value::NONE }),
                    ("requested", all_tres(job)),
                ]),
            ),
        ]
    }

    fn times(&self, job: &'a AccountedJob) -> Value<'a> {
        let row = self.row(job, None);
        let mut times = vec![
            ("elapsed", row.elapsed().as_secs().into()),
            ("eligible", seconds(job.eligible_at).into()),
            ("end", seconds(job.ended_at).into()),
            ("planned", self.shape.since(Version::V41, self.shape.number(row.waited().as_secs()))),
            ("start", seconds(job.started_at).into()),
            ("submission", seconds(Some(job.submitted_at)).into()),
            ("suspended", row.suspended().as_secs().into()),
            ("limit", self.shape.minutes(job.time_limit)),
        ];
        times.extend(cpu_times(row.user_cpu(), row.system_cpu()));
        Value::Object(times)
    }
}

fn array(shape: Shape, job: &AccountedJob) -> Value<'_> {
    let (array, task, tasks, limit) = match &job.array {
        None => (0, None, String::new(), None),
        Some(ArrayView::Element { array, index }) => (array.0, Some(*index), String::new(), None),
        Some(ArrayView::Pending { array, indices, limit }) => (array.0, None, ids::pending(indices, *limit, 0), *limit),
    };
    let running = Value::object([("tasks", limit.unwrap_or(0).into())]);
    Value::object([
        ("job_id", array.into()),
        ("limits", Value::object([("max", Value::object([("running", running)]))])),
        ("task_id", shape.perhaps(task)),
        ("task", shape.text(tasks)),
    ])
}

fn wckey(shape: Shape, wckey: &str) -> Value<'_> {
    if wckey.is_empty() && (shape.complex || shape.version == Version::V39) {
        return Value::Null;
    }
    Value::object([("wckey", shape.text(wckey)), ("flags", Value::NONE)])
}

fn asked(shape: Shape, job: &AccountedJob) -> [Member<'_>; 2] {
    let per_node = job.memory_mib / u64::from(job.node_count.max(1));
    [
        ("constraints", shape.text(&job.constraint)),
        (
            "required",
            Value::object([
                ("CPUs", job.cpus.into()),
                ("memory_per_cpu", shape.perhaps(None::<i64>)),
                ("memory_per_node", shape.number(per_node)),
                ("memory", shape.until(Version::V39, per_node.into())),
            ]),
        ),
    ]
}

/// What Slurm has and Squall does not, as Slurm writes it where there is none.
fn not_here<'a>(shape: Shape) -> [Member<'a>; 11] {
    let nothing = || shape.text("");
    [
        ("block", nothing()),
        ("container", nothing()),
        ("extra", nothing()),
        ("failed_node", nothing()),
        ("flags", Value::words(["NONE"])),
        ("licenses", nothing()),
        ("mcs", Value::object([("label", nothing())])),
        (
            "reservation",
            Value::object([
                ("id", Value::Int(0)),
                ("name", nothing()),
                ("requested", shape.since(Version::V43, nothing())),
            ]),
        ),
        ("script", nothing()),
        ("segment_size", shape.since(Version::V43, Value::Int(0))),
        ("used_gres", nothing()),
    ]
}
