//! `sstat`: what steps that run use at this moment, as their nodes measure it.

mod columns;
mod measure;

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::select::{self, Named};
use crate::show::ids;
use crate::show::table::{Style, chosen};
use crate::terminal::escaped;
use crate::visit;
use columns::{COLUMNS, DEFAULT, PIDS};
use futures_util::future::join_all;
use measure::Row;
use squall_proto::ClientError;
use squall_types::StepId;
use squall_types::api::{AccountedJob, AccountedStep, StepNode, VisitGrant};
use squall_types::visit::LiveStep;
use tokio::runtime::Builder;

/// # Errors
/// What cannot be understood, or nobody who answers.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    if given.has("helpformat") {
        let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        for line in names.chunks(4) {
            let line: String = line.iter().map(|name| format!("{name:<19} ")).collect();
            writeln!(invocation.out, "{}", line.trim_end())?;
        }
        return Ok(0);
    }
    let format = given.text("format").unwrap_or(if given.has("pidformat") { PIDS } else { DEFAULT });
    let columns = chosen(format, &COLUMNS).map_err(|(name, near)| {
        let failure = Failure::error("sstat", format_args!("Invalid field requested: \"{}\"", escaped(&name)));
        let try_this = near.map_or_else(|| "sstat --helpformat".to_owned(), |near| format!("--format={near}"));
        failure.advising(Advice { try_this, ..Advice::default() })
    })?;
    let wanted = wanted(&given, &parsed)?;
    let mut rows = Vec::new();
    for named in &wanted {
        rows.extend(of_job(invocation, &given, named)?);
    }
    write!(invocation.out, "{}", Style::of(&given).table(&columns, &rows, !given.has("noheader")))?;
    Ok(0)
}

fn wanted(given: &Given, parsed: &Parsed) -> Result<Vec<Named>, Failure> {
    let listed = given.all("jobs").into_iter().chain(parsed.rest.iter().map(String::as_str));
    let mut wanted = Vec::new();
    for id in listed.flat_map(select::split_ids) {
        let bad = || Failure::plain(format!("sstat: fatal: Bad job/step specified: {}", escaped(id)));
        wanted.push(select::job(id).ok_or_else(bad)?);
    }
    if wanted.is_empty() {
        return Err(Failure::error("sstat", "You didn't give me any jobs to stat."));
    }
    Ok(wanted)
}

/// A row for each step of the job that was asked for and runs. A job without any is said on standard error, and no
/// reason to say nothing of others.
fn of_job(invocation: &mut Invocation<'_>, given: &Given, named: &Named) -> Result<Vec<Row>, Failure> {
    let jobs = visit::running(invocation, &named.job).map_err(|error| Failure::load("slurm_get_job_steps", &error))?;
    let mut rows = Vec::new();
    for job in &jobs {
        let steps = chosen_steps(job, named.step, given.has("allsteps"));
        if steps.is_empty() {
            continue;
        }
        let live = invocation.controller.visit(job.job).and_then(|grant| ask(&grant));
        let live = live
            .map_err(|error| Failure::call("sstat", &format!("couldn't get the usage of job {}", job.job), &error))?;
        for step in steps {
            let id = format!("{}.{}", ids::job_id(job.job, job.array.as_ref(), job.het, 0), step.step.suffix());
            rows.extend(of_step(id, step, &live, given.has("pidformat")));
        }
    }
    if jobs.is_empty() {
        writeln!(invocation.err, "sstat: error: couldn't get steps for job {}", named.job.job)?;
    }
    Ok(rows)
}

/// The step that is named, else the first that `srun` started, else the batch script.
fn chosen_steps(job: &AccountedJob, named: Option<StepId>, all: bool) -> Vec<&AccountedStep> {
    let mut steps: Vec<&AccountedStep> = job.steps.iter().collect();
    match named {
        Some(named) => steps.retain(|step| step.step == named),
        // As in Slurm, the batch script stands first.
        None if all => steps.sort_by_key(|step| (step.step < StepId::EXTERN, step.step)),
        None => {
            steps.sort_by_key(|step| step.step);
            steps.truncate(1);
        }
    }
    steps
}

/// What every node of the job says; one that does not answer is an error, since its share would be missing.
fn ask(grant: &VisitGrant) -> Result<Vec<(StepNode, Vec<LiveStep>)>, ClientError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ClientError::Other(format!("no runtime: {error}")))?;
    let one = |node: &StepNode| {
        let node = node.clone();
        async move {
            let client = visit::reach(&node, &grant.ca_pem).await?;
            let steps = client.live_steps(grant.credential.clone()).await?;
            Ok((node, steps))
        }
    };
    runtime.block_on(join_all(grant.nodes.iter().map(one))).into_iter().collect()
}

fn of_step(id: String, step: &AccountedStep, live: &[(StepNode, Vec<LiveStep>)], by_node: bool) -> Vec<Row> {
    let on = |live: &[(StepNode, Vec<LiveStep>)]| {
        let mut row = Row { id: id.clone(), ..Row::default() };
        for (node, steps) in live {
            for known in steps.iter().filter(|known| known.step == step.step) {
                row.nodes.push(node.name.clone());
                row.tasks.extend(known.tasks.iter().map(|task| (node.name.clone(), task.clone())));
            }
        }
        row
    };
    let rows = if by_node { live.chunks(1).map(on).collect() } else { vec![on(live)] };
    rows.into_iter().filter(|row| !row.tasks.is_empty()).collect()
}
