//! From `srun`'s options to a step.

use super::streams::Streams;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Source};
use crate::request::{self, Distribution, number};
use crate::terminal::escaped;
use squall_types::api::{JobView, StepRequest};
use squall_types::gres::{parse_gpus, parse_gres};
use squall_types::hostlist;
use squall_types::step::StepStart;
use squall_types::{JobId, NodeName, Span};
use std::path::Path;

/// A step before it is granted: what is asked of the controller, and what the agents will be told.
#[derive(Debug)]
pub struct Step {
    pub request: StepRequest,
    pub start: StepStart,
    pub streams: Streams,
    /// `-K`: across nodes, too.
    pub kill_on_bad_exit: bool,
    pub wait_after: Option<Span>,
    pub quiet: bool,
    /// The first Ctrl-C ends the step.
    pub quit_on_interrupt: bool,
    /// Ctrl-C is passed on like any other signal.
    pub plain_interrupt: bool,
}

/// # Errors
/// An option that means nothing for a step.
pub fn step(invocation: &Invocation<'_>, given: &Given, job: JobId, words: &[String]) -> Result<Step, Failure> {
    let name =
        Path::new(&words[0]).file_name().map_or_else(|| words[0].clone(), |name| name.to_string_lossy().into_owned());
    // The name of the batch job around is no name for each of its steps.
    let named = given.text("job-name").filter(|_| given.source("job-name") == Some(Source::CommandLine));
    let streams = Streams::read(invocation, given, job)?;
    let kill_on_bad_exit = given.has("kill-on-bad-exit") && given.text("kill-on-bad-exit") != Some("0");
    let wait_after = number("srun", given, "wait", 0)?.filter(|seconds| *seconds > 0);
    let wait_after = wait_after.map(|seconds| Span::from_secs(i64::from(seconds)));
    let start = StepStart {
        name: named.map_or(name, str::to_owned),
        command: words.to_vec(),
        environment: request::exported(invocation, given)?,
        work_dir: request::directory(invocation, given)?,
        umask: request::umask(invocation)?,
        stdin: streams.remote_stdin(),
        stdout: streams.remote_stdout(),
        stderr: streams.remote_stderr(),
        open_mode: request::open_mode(invocation, given)?,
        label: given.has("label"),
        unbuffered: given.has("unbuffered"),
        kill_on_bad_exit,
        wait_after,
        // In its own job, the job's limit and warning are the step's.
        time_limit: typed_for_step(given, job, "time")
            .then(|| request::time_limit(invocation, given))
            .transpose()?
            .flatten(),
        signal: typed_for_step(given, job, "signal")
            .then(|| request::warning(invocation, given))
            .transpose()?
            .flatten(),
        terminal: if given.has("pty") { Some(super::tty::size()) } else { None },
        cpus_per_task: number("srun", given, "cpus-per-task", 1)?,
        ..StepStart::default()
    };
    Ok(Step {
        request: asked(invocation, given, job, &start)?,
        start,
        streams,
        kill_on_bad_exit,
        wait_after,
        quiet: given.has("quiet"),
        quit_on_interrupt: given.has("quit-on-interrupt"),
        plain_interrupt: given.has("disable-status"),
    })
}

/// Whether the option is about this step of a job that is there already, and not what that job was asked for.
fn typed_for_step(given: &Given, job: JobId, long: &str) -> bool {
    job.0 != 0 && given.has("jobid") && given.source(long) == Some(Source::CommandLine)
}

impl Step {
    /// In a job of its own the step is the job: the nodes that it was given are all there are.
    pub fn in_own_job(&mut self, view: &JobView) {
        self.everywhere();
        self.request.tasks = Some(self.request.tasks.unwrap_or(view.tasks));
    }

    /// The same for a job that is only being asked for: how many tasks it gives room for is seen when it is there.
    pub fn everywhere(&mut self) {
        self.request.nodes = None;
        self.request.node_list = Vec::new();
        self.request.exclude = Vec::new();
    }
}

fn asked(invocation: &Invocation<'_>, given: &Given, job: JobId, start: &StepStart) -> Result<StepRequest, Failure> {
    let typed = |long: &str| given.source(long) == Some(Source::CommandLine);
    let mut tasks = number("srun", given, "ntasks", 1)?;
    let tasks_per_node = number("srun", given, "ntasks-per-node", 1)?;
    // What the job around was asked for says less than what was typed for this step.
    if typed("ntasks-per-node") && !typed("ntasks") {
        tasks = None;
    }
    let chosen = typed("nodelist") || typed("exclude") || typed("relative");
    let nodes = match given.text("nodes") {
        Some(_) if !typed("nodes") && (chosen || typed("ntasks")) => None,
        Some(text) => Some(least_nodes(text)?),
        None => None,
    };
    let list = |long: &str| -> Result<Vec<NodeName>, Failure> {
        let Some(text) = given.text(long) else { return Ok(Vec::new()) };
        let text = match text.contains('/') {
            true => std::fs::read_to_string(invocation.directory.join(text))
                .map_err(|error| request::invalid("srun", long, text, crate::terminal::plain(&error), ""))?,
            false => text.to_owned(),
        };
        Ok(request::names_of_nodes("srun", long, &text)?.into_iter().map(NodeName).collect())
    };
    let mut node_list = list("nodelist")?;
    if let Some(from) = number("srun", given, "relative", 0)? {
        node_list = relative(invocation, from as usize, nodes)?;
    }
    let gpus = |long: &str| -> Result<Option<u32>, Failure> {
        let Some(text) = given.text(long).filter(|_| job.0 != 0) else { return Ok(None) };
        let parsed = if long == "gres" { parse_gres(text) } else { parse_gpus(text) };
        let parsed = parsed.map_err(|why| request::invalid("srun", long, text, why, &format!("--{long}=1")))?;
        Ok(Some(parsed.iter().map(|request| request.count).sum()))
    };
    let per_node = gpus("gpus-per-node")?.or(gpus("gres")?);
    let over_all = per_node.and_then(|each| nodes.map(|nodes| each.saturating_mul(nodes))).or(per_node);
    Ok(StepRequest {
        job,
        name: start.name.clone(),
        tasks,
        nodes,
        tasks_per_node,
        cpus_per_task: start.cpus_per_task,
        gpus_per_task: gpus("gpus-per-task")?,
        gpus: gpus("gpus")?.or(over_all),
        node_list,
        exclude: list("exclude")?,
        cyclic: request::distribution(invocation, given)? == Some(Distribution::Cyclic),
        overlap: given.has("overlap"),
        first_rank: 0,
    })
}

/// A step has a number of nodes, not a range: the least that will do.
fn least_nodes(text: &str) -> Result<u32, Failure> {
    let least = text.split('-').next().and_then(request::whole_number).filter(|least| *least > 0);
    least.ok_or_else(|| Failure::error("srun", format_args!("\"{}\" is not a valid node count", escaped(text))))
}

/// The job's nodes from number `from` on.
fn relative(invocation: &Invocation<'_>, from: usize, nodes: Option<u32>) -> Result<Vec<NodeName>, Failure> {
    let list = invocation.environment.filled("SLURM_JOB_NODELIST").unwrap_or_default();
    let names = hostlist::parse(list).unwrap_or_default();
    let count = nodes.map_or(usize::MAX, |nodes| nodes as usize);
    let chosen: Vec<NodeName> = names.iter().skip(from).take(count).map(|name| NodeName(name.clone())).collect();
    if chosen.is_empty() {
        let first = format!("Invalid --relative specification: the job has {} nodes", names.len());
        return Err(Failure::error("srun", first));
    }
    Ok(chosen)
}
