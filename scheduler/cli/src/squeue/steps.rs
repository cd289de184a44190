//! `squeue --steps`: the steps that run now.

use super::filter;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::Given;
use crate::sacct::every_page;
use crate::select;
use crate::show::columns::{Layout, Side};
use crate::show::moments::Moments;
use crate::show::{ids, json};
use squall_types::api::{AccountedJob, AccountedStep, AccountingQuery, JobState};
use squall_types::span_text;

/// One column: heading, width, side, value.
type Column = (&'static str, Option<usize>, Side, fn(&AccountedJob, &AccountedStep, &Moments) -> String);

static COLUMNS: [Column; 6] = [
    ("STEPID", Some(15), Side::Right, |job, step, _| {
        format!("{}.{}", ids::job_id(job.job, job.array.as_ref(), job.het, 0), step.step.suffix())
    }),
    ("NAME", Some(8), Side::Right, |_, step, _| step.name.clone()),
    ("PARTITION", Some(9), Side::Right, |job, _, _| job.partition.clone()),
    ("USER", Some(8), Side::Right, |job, _, _| job.user.clone()),
    ("TIME", Some(9), Side::Right, |job, step, moments| span_text::short(step.elapsed(job, moments.now()))),
    ("NODELIST", None, Side::Left, |_, step, _| ids::nodes(&step.nodes)),
];

pub fn list(invocation: &mut Invocation<'_>, given: &Given) -> Result<i32, Failure> {
    let mut query = AccountingQuery {
        states: vec![JobState::Running, JobState::Suspended, JobState::Completing],
        with_steps: true,
        ..AccountingQuery::default()
    };
    let mut wanted = Vec::new();
    for id in given.text("steps").or(given.text("job")).map(select::split_ids).unwrap_or_default() {
        let named = select::job(id).ok_or_else(|| filter::invalid_id(id))?;
        query.jobs.push(named.job.clone());
        wanted.push(named);
    }
    if given.has("me") {
        query.users = vec![invocation.caller.uid];
    } else if let Some(text) = given.text("user") {
        query.users = select::names(text).filter_map(select::user).collect();
    }
    let jobs = every_page(invocation.controller, query);
    let jobs = jobs.map_err(|error| Failure::load("slurm_get_job_steps", &error))?;
    let named = |job: &AccountedJob, step: &AccountedStep| {
        let of_job = |named: &&select::Named| named.step.is_some() && named.job.job == job.job;
        let steps: Vec<_> = wanted.iter().filter(of_job).filter_map(|named| named.step).collect();
        steps.is_empty() || steps.contains(&step.step)
    };
    let all = jobs.iter().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
    let steps: Vec<_> = all.filter(|(job, step)| step.ended_at.is_none() && named(job, step)).collect();
    if let Some(notation) = json::asked(given, invocation.command)? {
        return json::write_steps(invocation, notation, &steps);
    }
    let moments = Moments::of(invocation);
    let line = |text: &dyn Fn(&Column) -> String| {
        let mut line = String::new();
        for (at, column) in COLUMNS.iter().enumerate() {
            let suffix = if at + 1 < COLUMNS.len() { " " } else { "" };
            let layout = Layout { width: column.1, side: column.2, suffix: suffix.to_owned() };
            layout.write(&text(column), &mut line);
        }
        line
    };
    if !given.has("noheader") {
        writeln!(invocation.out, "{}", line(&|column| column.0.to_owned()))?;
    }
    for (job, step) in steps {
        writeln!(invocation.out, "{}", line(&|column| column.3(job, step, &moments)))?;
    }
    Ok(0)
}
