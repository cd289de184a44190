//! Steps of a job in accounting.

use super::{Jobs, cpu_times, exit_of, killer, tres};
use crate::sacct::row::accounted_state;
use crate::show::ids;
use crate::show::json::step::{files, layout, step_id};
use crate::show::json::{Value, Version};
use squall_types::StepId;
use squall_types::api::{AccountedJob, AccountedStep};

impl<'a> Jobs<'a> {
    pub(super) fn of_step(&self, job: &'a AccountedJob, step: &'a AccountedStep) -> Value<'a> {
        let shape = self.shape;
        let frequency = Value::object([("min", shape.number(0)), ("max", shape.number(0))]);
        let name = if step.name.is_empty() { step.step.suffix() } else { step.name.clone() };
        let mut called = vec![("id", step_id(shape, job, step)), ("name", Value::Text(name.into()))];
        called.extend(files(shape, job, step));
        Value::object([
            ("step", Value::Object(called)),
            ("time", self.times_of_step(job, step)),
            ("exit_code", shape.ended(exit_of(step.state, step.exit))),
            (
                "nodes",
                Value::object([
                    ("count", step.nodes.len().into()),
                    ("range", shape.text(ids::nodes(&step.nodes))),
                    ("list", Value::words(step.nodes.iter().map(|node| node.as_str()))),
                ]),
            ),
            ("tasks", Value::object([("count", step.tasks.into())])),
            ("pid", shape.text("")),
            (
                "CPU",
                Value::object([
                    ("requested_frequency", frequency),
                    ("governor", Value::Text("0".into())),
                    ("requested_count", step.cpus.into()),
                ]),
            ),
            ("kill_request_user", killer(None)),
            ("state", shape.state(accounted_state(step.state))),
            (
                "statistics",
                Value::object([
                    ("CPU", Value::object([("actual_frequency", Value::Int(0))])),
                    ("energy", Value::object([("consumed", shape.number(0))])),
                ]),
            ),
            ("task", Value::object([("distribution", Value::Text(layout(step.step).into()))])),
            ("tres", tres_of_step(job, step)),
            ("max_rss_kib", step.usage.max_rss_kib.into()),
        ])
    }

    fn times_of_step(&self, job: &'a AccountedJob, step: &'a AccountedStep) -> Value<'a> {
        let (shape, row) = (self.shape, self.row(job, Some(step)));
        let mut times = vec![
            ("elapsed", row.elapsed().as_secs().into()),
            ("end", shape.moment(step.ended_at)),
            ("start", shape.moment(Some(step.started_at))),
            ("suspended", row.suspended().as_secs().into()),
            ("limit", shape.since(Version::V43, shape.perhaps(None::<i64>))),
        ];
        times.extend(cpu_times(step.usage.user_cpu, step.usage.system_cpu));
        Value::Object(times)
    }
}

/// What it had, and what of it was used: CPU time in milliseconds and memory in bytes, as Slurm counts both.
fn tres_of_step<'a>(job: &AccountedJob, step: &'a AccountedStep) -> Value<'a> {
    let usage = &step.usage;
    let cpu_ms = u64::try_from((usage.user_cpu + usage.system_cpu).as_millis()).unwrap_or(0);
    let memory = usage.max_rss_kib.saturating_mul(1024);
    let used = |cpu_ms: u64| Value::list([tres("cpu", "", 1, cpu_ms), tres("mem", "", 2, memory)]);
    let on_one_node = job.memory_mib / u64::from(job.node_count.max(1));
    let of_batch = (step.step == StepId::BATCH && on_one_node > 0).then(|| tres("mem", "", 2, on_one_node));
    let cpus = tres("cpu", "", 1, step.cpus.into());
    let nodes = tres("node", "", 4, step.nodes.len() as u64);
    let node = match step.nodes.as_slice() {
        [one] => one.as_str(),
        _ => "",
    };
    let most = Value::object([
        ("type", Value::Text("mem".into())),
        ("name", Value::Text("".into())),
        ("id", Value::Int(2)),
        ("count", memory.into()),
        ("task", Value::Int(0)),
        ("node", Value::Text(node.into())),
    ]);
    let consumed = || Value::NONE;
    Value::object([
        (
            "requested",
            Value::object([
                ("max", Value::list((memory > 0).then_some(most))),
                ("min", Value::NONE),
                ("average", Value::NONE),
                ("total", used(cpu_ms)),
            ]),
        ),
        (
            "consumed",
            Value::object([("max", consumed()), ("min", consumed()), ("average", consumed()), ("total", consumed())]),
        ),
        ("allocated", Value::list([Some(cpus), of_batch, Some(nodes)].into_iter().flatten())),
    ])
}
