//! A job as `squeue` and `scontrol show job` write it.

use super::job_resources::{resources, size};
use super::value::{Member, Value};
use super::version::{Shape, Version};
use super::{Answer, Notation, Surroundings};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::select::group_name;
use crate::show::asked::Trackable;
use crate::show::files::Files;
use crate::show::{amounts, ids};
use squall_types::api::{ArrayView, JobDetail};
use squall_types::{CpuAsk, Gid, JobKind, MemoryAsk, Timestamp};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What Slurm has for a job that asked for no thread to be left free.
const NO_THREAD_SPEC: i64 = 0x7ffe;

/// What all jobs of an answer have in common.
struct Jobs<'a> {
    shape: Shape,
    now: Timestamp,
    cluster: &'a str,
    groups: RefCell<BTreeMap<Gid, String>>,
}

impl<'a> Jobs<'a> {
    fn new(shape: Shape, now: Timestamp, cluster: &'a str) -> Jobs<'a> {
        Jobs { shape, now, cluster, groups: RefCell::default() }
    }

    /// Looked up once for each group: a queue has many jobs and few of them.
    fn group(&self, gid: Gid) -> String {
        self.groups.borrow_mut().entry(gid).or_insert_with(|| group_name(gid)).clone()
    }

    fn record(&self, detail: &'a JobDetail) -> Value<'a> {
        let mut members = Vec::with_capacity(160);
        members.extend(self.who_and_what(detail));
        members.extend(files(self.shape, detail));
        members.extend(array_and_het(self.shape, detail));
        members.extend(self.state(detail));
        members.extend(times(self.shape, detail));
        members.extend(size(self.shape, detail));
        members.extend(resources(self.shape, detail));
        members.extend(trackable(self.shape, detail));
        members.extend(not_here(self.shape));
        members.extend(own(detail, self.now));
        Value::Object(members)
    }

    fn who_and_what(&self, detail: &'a JobDetail) -> [Member<'a>; 30] {
        let (shape, view, spec) = (self.shape, &detail.view, &detail.spec);
        let mut command = view.command.clone();
        spec.arguments.iter().for_each(|argument| command.extend([" ", argument]));
        let mail_user = if spec.mail_user.is_empty() { &view.user } else { &spec.mail_user };
        let mail = &spec.mail;
        let told = [(mail.begin, "BEGIN"), (mail.end, "END"), (mail.fail, "FAIL"), (mail.requeue, "REQUEUE")];
        [
            ("account", shape.text(view.account.as_str())),
            ("allocating_node", shape.text(&spec.submit_host)),
            ("association_id", Value::Int(0)),
            ("batch_flag", (spec.kind == JobKind::Batch).into()),
            ("cluster", shape.text(self.cluster)),
            ("command", shape.text(command)),
            ("comment", shape.text(&view.comment)),
            ("cron", shape.text(spec.cron.as_ref().map_or("", |cron| &cron.times))),
            ("current_working_directory", shape.text(&view.work_dir)),
            ("dependency", shape.text(&view.dependency)),
            ("flags", Value::words(flags(detail))),
            ("group_id", view.gid.0.into()),
            ("group_name", shape.text(self.group(view.gid))),
            ("job_id", view.job.0.into()),
            ("licenses", shape.text(&view.licenses)),
            ("mail_type", Value::words(told.into_iter().filter_map(|(told, word)| told.then_some(word)))),
            ("mail_user", shape.text(mail_user)),
            ("name", shape.text(&view.name)),
            ("nice", view.nice.into()),
            ("partition", shape.text(&view.partition)),
            ("hold", (view.priority == 0).into()),
            ("priority", shape.number(view.priority)),
            ("priority_by_partition", shape.since(Version::V42, Value::NONE)),
            ("qos", shape.text(&view.qos)),
            ("requeue", spec.requeue.unwrap_or(true).into()),
            ("restart_cnt", view.restarts.into()),
            ("resv_name", shape.text(&spec.reservation)),
            ("user_id", view.uid.0.into()),
            ("user_name", shape.text(&view.user)),
            ("wckey", shape.text(&view.wckey)),
        ]
    }

    fn state(&self, detail: &'a JobDetail) -> [Member<'a>; 6] {
        let (shape, view) = (self.shape, &detail.view);
        [
            ("derived_exit_code", shape.exit(Default::default())),
            ("exit_code", shape.exit(view.exit)),
            ("failed_node", shape.text("")),
            ("job_state", shape.state(view.state)),
            ("state_description", shape.text("")),
            ("state_reason", Value::Text(view.reason.word().into())),
        ]
    }
}

/// # Errors
/// Where nobody reads any more.
pub fn write_jobs(invocation: &mut Invocation<'_>, notation: Notation, jobs: &[JobDetail]) -> Result<i32, Failure> {
    let shape = notation.shape;
    let surroundings = Surroundings::of(invocation, shape);
    let all = Jobs::new(shape, invocation.now(), &surroundings.cluster);
    Answer::list("jobs", jobs, &surroundings, |detail| all.record(detail))
        .with_moments(&["last_backfill", "last_update"])
        .write(invocation, notation)
}

/// What of Slurm's flags is known here.
fn flags(detail: &JobDetail) -> impl Iterator<Item = &'static str> {
    let (view, spec) = (&detail.view, &detail.spec);
    let all = [
        (spec.cancel_if_never, "KILL_INVALID_DEPENDENCY"),
        (view.het.is_some(), "HETEROGENEOUS_JOB"),
        (spec.ask.tasks.is_some(), "EXACT_TASK_COUNT_REQUESTED"),
        (matches!(spec.ask.cpus, CpuAsk::PerTask(_)), "EXACT_CPU_COUNT_REQUESTED"),
        (spec.cron.is_some(), "CRON_JOB"),
        (!matches!(spec.ask.memory, MemoryAsk::Share), "EXACT_MEMORY_REQUESTED"),
        (spec.qos.is_none(), "USING_DEFAULT_QOS"),
        (!view.dependency.is_empty(), "DEPENDENT"),
    ];
    all.into_iter().filter_map(|(so, flag)| so.then_some(flag))
}

/// Up to v0.0.42 with their patterns filled in, and then as they were asked for beside that.
fn files(shape: Shape, detail: &JobDetail) -> [Member<'_>; 6] {
    let Files { stdin, stdout, stderr } = Files::of(detail);
    let filled_in = shape.version < Version::V43;
    let [stdin, stdout, stderr] = [stdin, stdout, stderr].map(|stream| match filled_in {
        true => (shape.text(stream.path), Value::Absent),
        false => (shape.text(stream.pattern), shape.text(stream.path)),
    });
    [
        ("standard_error", stderr.0),
        ("standard_input", stdin.0),
        ("standard_output", stdout.0),
        ("stderr_expanded", stderr.1),
        ("stdin_expanded", stdin.1),
        ("stdout_expanded", stdout.1),
    ]
}

fn array_and_het(shape: Shape, detail: &JobDetail) -> [Member<'_>; 7] {
    let view = &detail.view;
    let submitted = detail.spec.array.as_ref().and_then(|array| array.limit);
    let (array, task, tasks, limit) = match &view.array {
        None => (0, None, String::new(), None),
        Some(ArrayView::Element { array, index }) => (array.0, Some(*index), String::new(), submitted),
        Some(ArrayView::Pending { array, indices, limit }) => (array.0, None, ids::pending(indices, *limit, 0), *limit),
    };
    [
        ("array_job_id", shape.number(array)),
        ("array_task_id", shape.perhaps(task)),
        ("array_max_tasks", shape.number(limit.unwrap_or(0))),
        ("array_task_string", shape.text(tasks)),
        ("het_job_id", shape.number(view.het.map_or(0, |place| place.leader.0))),
        ("het_job_id_set", shape.text(view.het.map(ids::het_set).unwrap_or_default())),
        ("het_job_offset", shape.number(view.het.map_or(0, |place| place.offset))),
    ]
}

fn times(shape: Shape, detail: &JobDetail) -> [Member<'_>; 14] {
    let view = &detail.view;
    [
        ("accrue_time", shape.moment(view.eligible_at)),
        ("deadline", shape.moment(detail.spec.end_by)),
        ("eligible_time", shape.moment(view.eligible_at)),
        ("end_time", shape.moment(view.end_at)),
        ("last_sched_evaluation", shape.moment(None)),
        ("preempt_time", shape.moment(None)),
        ("preemptable_time", shape.moment(None)),
        ("pre_sus_time", shape.stamp(view.ran_before().as_secs())),
        ("resize_time", shape.moment(None)),
        ("start_time", shape.moment(view.start_at)),
        ("submit_time", shape.moment(Some(view.submitted_at))),
        ("suspend_time", shape.moment(view.suspend_at)),
        ("time_limit", shape.minutes(view.time_limit)),
        ("time_minimum", shape.number(0)),
    ]
}

fn trackable(shape: Shape, detail: &JobDetail) -> [Member<'_>; 12] {
    let (view, ask) = (&detail.view, &detail.spec.ask);
    let held = !view.nodes.is_empty();
    let allocated = || amounts::tres(view.cpus, view.memory_mib, view.node_count, view.gpus);
    let Trackable { cpus, memory, per_job, per_task } = Trackable::of(ask);
    [
        ("billable_tres", shape.decimal(held.then_some(f64::from(view.cpus)))),
        ("cpus_per_tres", shape.text(cpus)),
        ("memory_per_tres", shape.text(memory)),
        ("tres_bind", shape.text("")),
        ("tres_freq", shape.text("")),
        ("tres_per_job", shape.text(per_job)),
        ("tres_per_node", shape.text(&view.tres_per_node)),
        ("tres_per_socket", shape.text("")),
        ("tres_per_task", shape.text(per_task)),
        ("tres_req_str", shape.text(&view.tres)),
        ("tres_alloc_str", shape.text(if held { allocated() } else { String::new() })),
        ("licenses_allocated", shape.since(Version::V43, shape.text(if held { &view.licenses } else { "" }))),
    ]
}

/// What Slurm has and Squall does not, as Slurm writes it where there is none.
fn not_here<'a>(shape: Shape) -> [Member<'a>; 25] {
    let nothing = || shape.text("");
    [
        ("admin_comment", nothing()),
        ("batch_features", nothing()),
        ("burst_buffer", nothing()),
        ("burst_buffer_state", nothing()),
        ("cluster_features", nothing()),
        ("container", nothing()),
        ("container_id", nothing()),
        ("core_spec", Value::Int(0)),
        ("thread_spec", Value::Int(NO_THREAD_SPEC)),
        ("cpu_frequency_minimum", shape.perhaps(None::<i64>)),
        ("cpu_frequency_maximum", shape.perhaps(None::<i64>)),
        ("cpu_frequency_governor", shape.perhaps(None::<i64>)),
        ("delay_boot", shape.number(0)),
        ("extra", nothing()),
        ("federation_origin", nothing()),
        ("federation_siblings_active", nothing()),
        ("federation_siblings_viable", nothing()),
        ("mcs_label", nothing()),
        ("network", nothing()),
        ("power", Value::object([("flags", shape.given_up(Value::NONE))])),
        ("profile", Value::words(["NOT_SET"])),
        ("reboot", false.into()),
        ("selinux_context", nothing()),
        ("system_comment", nothing()),
        ("segment_size", shape.since(Version::V43, Value::Int(0))),
    ]
}

/// What Slurm does not have.
fn own(detail: &JobDetail, now: Timestamp) -> [Member<'_>; 2] {
    [
        ("cost_micro_usd", Value::Int(detail.view.cost.0)),
        ("elapsed_seconds", Value::Int(detail.view.elapsed(now).as_secs())),
    ]
}
