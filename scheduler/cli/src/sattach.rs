//! `sattach`: hears a step that somebody else has started, and speaks to it. Leaving changes nothing.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::sbatch::shell_code;
use crate::select;
use crate::srun::{Input, Sinks, read_input};
use crate::terminal::escaped;
use crate::visit;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, SelectAll};
use squall_proto::ClientError;
use squall_types::agent::ExitStatus;
use squall_types::api::{AccountedStep, StepNode, VisitGrant};
use squall_types::step::{OutputStream, StepAttach, StepCommand, StepNews};
use squall_types::{StepId, hostlist};
use tokio::runtime::Builder;
use tokio::sync::mpsc;

type News = BoxStream<'static, Result<StepNews, ClientError>>;
const NO_STEP: &str = "Could not get job step info";
const OVER: &str = "Job/step already completing or completed";

/// Of whom something is heard, and who hears what is typed; `None` is every task.
struct Filters {
    input: Option<u32>,
    output: Option<u32>,
    error: Option<u32>,
}

/// A node of the step: where it hears, what it says, and its tasks.
struct Part {
    name: String,
    commands: mpsc::Sender<StepCommand>,
    news: News,
    ranks: Vec<u32>,
}

/// # Errors
/// Why nothing was heard.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let filters = Filters {
        input: filter(&given, "input-filter")?,
        output: filter(&given, "output-filter")?,
        error: filter(&given, "error-filter")?,
    };
    let [id] = parsed.rest.as_slice() else { return Err(misused(invocation, "too many parameters")?) };
    let named = select::job(id).and_then(|named| Some((named.job, named.step?)));
    let Some((job, step)) = named else {
        return Err(misused(invocation, "Failed to parse stepid from command line options")?);
    };
    let jobs = visit::running(invocation, &job).map_err(|error| Failure::call("sattach", NO_STEP, &error))?;
    let job = match jobs.first() {
        Some(job) => job,
        None => return Err(not_there(invocation, job.job)),
    };
    let no_step = || Failure::error("sattach", format_args!("{NO_STEP}: {OVER}"));
    let found = job.steps.iter().find(|found| found.step == step).ok_or_else(no_step)?;
    if step >= StepId::EXTERN {
        return Err(Failure::error("sattach", format_args!("step {id} has no streams to attach to")).advising(
            Advice {
                limit: "a batch script writes to its own files".to_owned(),
                try_this: format!("tail -f on what scontrol show job {} calls StdOut", job.job),
                ..Advice::default()
            },
        ));
    }
    let grant = invocation.controller.visit(job.job);
    let grant = grant.map_err(|error| Failure::call("sattach", NO_STEP, &error))?;
    attach(invocation, &given, &grant, found, &filters)
}

/// Over, or never there.
fn not_there(invocation: &Invocation<'_>, job: squall_types::JobId) -> Failure {
    let known = invocation.controller.job(&squall_types::api::JobRef::from(job)).is_ok();
    let why = if known { OVER } else { "Invalid job id specified" };
    Failure::error("sattach", format_args!("{NO_STEP}: {why}"))
}

fn misused(invocation: &mut Invocation<'_>, why: &str) -> Result<Failure, Failure> {
    // As short as Slurm's, which programs may know.
    writeln!(invocation.out, "Usage: sattach [options] <jobid.stepid>")?;
    Ok(Failure::error("sattach", why))
}

fn filter(given: &Given, long: &str) -> Result<Option<u32>, Failure> {
    let invalid = |text: &str| {
        let first = format!("Invalid numeric value \"{}\" for {long}.", escaped(text));
        Failure::error("sattach", first).advising(Advice {
            limit: "one task is named by its number, from 0".to_owned(),
            try_this: format!("--{long}=0"),
            code: "SQ0001",
            ..Advice::default()
        })
    };
    given.text(long).map(|text| text.parse().map_err(|_| invalid(text))).transpose()
}

fn attach(
    invocation: &mut Invocation<'_>,
    given: &Given,
    grant: &VisitGrant,
    step: &AccountedStep,
    filters: &Filters,
) -> Result<i32, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::error("sattach", format_args!("no runtime: {error}")))?;
    runtime.block_on(async {
        let nodes = visit::nodes_of(grant, step);
        let parts = join_all(nodes.iter().map(|node| enter(node, grant, step.step))).await;
        let parts = parts.into_iter().collect::<Result<Vec<Part>, Failure>>()?;
        let tasks = parts.iter().map(|part| part.ranks.len()).sum::<usize>() as u32;
        if given.has("layout") {
            invocation.out.write_all(layout(&parts, tasks).as_bytes())?;
            return Ok(0);
        }
        let mut sinks = Sinks::here(given.has("label"), tasks, &mut *invocation.out, &mut *invocation.err);
        let outcome = listen(parts, filters, &mut sinks).await;
        let _ = sinks.finish();
        outcome.map(shell_code)
    })
}

async fn enter(node: &StepNode, grant: &VisitGrant, step: StepId) -> Result<Part, Failure> {
    let attached = async {
        let attach = StepAttach { credential: grant.credential.clone(), step };
        visit::reach(node, &grant.ca_pem).await?.attach(attach).await
    };
    let failed = |error| Failure::call("sattach", &format!("cannot attach on node {}", node.name), &error);
    let (commands, mut news) = attached.await.map_err(failed)?;
    match news.next().await {
        Some(Ok(StepNews::Started { tasks })) => {
            let ranks = tasks.iter().map(|task| task.rank).collect();
            Ok(Part { name: node.name.to_string(), commands, news, ranks })
        }
        // It ended on its way here.
        Some(Ok(StepNews::Failed { .. })) | None => Err(Failure::error("sattach", format_args!("{NO_STEP}: {OVER}"))),
        Some(Ok(_)) => {
            Err(Failure::error("sattach", format_args!("node {} does not say which tasks it has", node.name)))
        }
        Some(Err(error)) => Err(failed(error)),
    }
}

/// As Slurm lays it out.
fn layout(parts: &[Part], tasks: u32) -> String {
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    let mut text = format!(
        "Job step layout:\n\t{tasks} tasks, {} nodes ({})\n\n",
        parts.len(),
        escaped(&hostlist::compress(&names))
    );
    for (at, part) in parts.iter().enumerate() {
        let ranks: String = part.ranks.iter().map(|rank| format!("{rank} ")).collect();
        text.push_str(&format!("\tNode {at} ({}), {} task(s): {ranks}\n", escaped(&part.name), part.ranks.len()));
    }
    text
}

/// Until every node is through; the worst of what the tasks ended with.
async fn listen(parts: Vec<Part>, filters: &Filters, sinks: &mut Sinks<'_>) -> Result<ExitStatus, Failure> {
    let mut news = SelectAll::new();
    let (mut open, mut commands, mut names) = (parts.len(), Vec::new(), Vec::new());
    for (at, part) in parts.into_iter().enumerate() {
        news.push(part.news.map(move |item| (at, item)).boxed());
        commands.push(part.commands);
        names.push(part.name);
    }
    let mut input = read_input(&Input::Here(None));
    let (mut types, mut worst) = (true, ExitStatus::default());
    while open > 0 {
        tokio::select! {
            next = news.next() => match next {
                Some((_, Ok(StepNews::Output { rank, stream, bytes }))) => {
                    let filter = if stream == OutputStream::Stdout { filters.output } else { filters.error };
                    if filter.is_none_or(|only| only == rank) {
                        sinks.write(rank, stream, &bytes)?;
                    }
                }
                Some((_, Ok(StepNews::TaskExit { rank, exit }))) => {
                    if exit.code != 0 {
                        sinks.say(&format!("sattach: error: task {rank} exited with exit code {}", exit.code));
                    }
                    if shell_code(exit) > shell_code(worst) {
                        worst = exit;
                    }
                }
                Some((_, Ok(StepNews::Finished))) => open -= 1,
                Some((_, Ok(StepNews::Started { .. }))) => {}
                Some((at, Ok(StepNews::Failed { text }))) => return Err(lost(&names[at], &text)),
                Some((at, Err(error))) => return Err(lost(&names[at], &error.to_string())),
                None => break,
            },
            typed = input.recv(), if types => match typed.flatten() {
                Some(bytes) => {
                    for to in &commands {
                        // A node that is through needs no input.
                        let _ = to.send(StepCommand::Stdin { rank: filters.input, bytes: bytes.clone(), end: false }).await;
                    }
                }
                None => types = false,
            },
        }
    }
    Ok(worst)
}

fn lost(node: &str, why: &str) -> Failure {
    Failure::error("sattach", format_args!("lost contact with node {node}: {}", escaped(why))).advising(Advice {
        try_this: "the same again: what the step said is kept for a while, and the step goes on".to_owned(),
        ..Advice::default()
    })
}
