//! Changes of single jobs, and what reads their scripts.

use crate::controller::Heard;
use crate::failure::{Failure, refusal_lines};
use crate::inside;
use crate::invocation::Invocation;
use crate::select;
use crate::terminal::{self, escaped};
use squall_proto::ClientError;
use squall_types::api::{ActionResult, JobAction, JobFilter, JobRef, JobState};
use std::fs::OpenOptions;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;

/// Requeues jobs; one that requeues itself hears how that went.
pub fn requeue(invocation: &mut Invocation<'_>, words: &[String], hold: bool) -> Result<i32, Failure> {
    inside::outlives(invocation, None);
    on_jobs(invocation, words, &JobAction::Requeue { hold })
}

/// Holds, releases or requeues each of the jobs that are named by number or, with `jobname=`, by name.
pub fn on_jobs(invocation: &mut Invocation<'_>, words: &[String], action: &JobAction) -> Result<i32, Failure> {
    let mut code = 0;
    for word in words {
        if let Some(names) = word.strip_prefix("jobname=").or_else(|| word.strip_prefix("name=")) {
            let names = select::names(names).map(str::to_owned).collect();
            let filter = JobFilter { names, ..JobFilter::default() };
            let results = invocation.controller.act(&filter, action);
            code = code.max(told(invocation, word, action, results)?);
            continue;
        }
        for id in select::split_ids(word) {
            code = code.max(on_job(invocation, id, action)?);
        }
    }
    Ok(code)
}

/// Each of the jobs that are named by number.
pub fn on_numbered_jobs(invocation: &mut Invocation<'_>, words: &[String], action: &JobAction) -> Result<i32, Failure> {
    let ids: Vec<&str> = words.iter().flat_map(|word| select::split_ids(word)).collect();
    let mut code = 0;
    for id in ids {
        code = code.max(on_job(invocation, id, action)?);
    }
    Ok(code)
}

/// One job, or the elements of one array.
pub fn on_job(invocation: &mut Invocation<'_>, id: &str, action: &JobAction) -> Result<i32, Failure> {
    match select::job(id).filter(|named| named.step.is_none()) {
        Some(named) => {
            let filter = JobFilter { jobs: vec![named.job], ..JobFilter::default() };
            let results = invocation.controller.act(&filter, action);
            told(invocation, id, action, results)
        }
        None => unknown(invocation, id, action),
    }
}

const INVALID: &str = "Invalid job id specified";

fn unknown(invocation: &mut Invocation<'_>, id: &str, action: &JobAction) -> Result<i32, Failure> {
    writeln!(invocation.err, "{INVALID} for job {}", escaped(id))?;
    if !matches!(action, JobAction::Update(_) | JobAction::Suspend | JobAction::Resume) {
        writeln!(invocation.err, "slurm_suspend error: {INVALID}")?;
    }
    Ok(1)
}

fn told(
    invocation: &mut Invocation<'_>,
    id: &str,
    action: &JobAction,
    results: Result<Vec<ActionResult>, ClientError>,
) -> Result<i32, Failure> {
    let results = match results {
        Ok(results) => results,
        Err(ClientError::Refused(refusal)) => vec![ActionResult { job: id.to_owned(), refusal: Some(refusal) }],
        Err(error) => return Err(Failure::load("slurm_update", &error)),
    };
    if results.is_empty() {
        return unknown(invocation, id, action);
    }
    let mut code = 0;
    for result in results {
        if let Some(refusal) = result.refusal {
            code = 1;
            if refusal.slurm == INVALID
                && let Some(elements) = of_known_array(invocation, id)
            {
                writeln!(invocation.err, "{elements}: {INVALID}")?;
                continue;
            }
            writeln!(invocation.err, "{} for job {}", escaped(&refusal.slurm), escaped(&result.job))?;
            for line in refusal_lines(&refusal) {
                writeln!(invocation.err, "{line}")?;
            }
            // Slurm says it twice, in the name of another call, of what is held or released.
            if refusal.slurm == INVALID && matches!(action, JobAction::Hold | JobAction::Release) {
                writeln!(invocation.err, "slurm_suspend error: {INVALID}")?;
            }
        }
    }
    Ok(code)
}

/// Elements that an array does not have, as Slurm names them where it has the array.
fn of_known_array(invocation: &Invocation<'_>, id: &str) -> Option<String> {
    let named = select::job(id)?.job;
    let elements = named.elements?;
    let array = invocation.controller.job(&JobRef::from(named.job)).ok()?;
    array.first().is_some_and(|part| part.view.array.is_some()).then(|| format!("{}_{elements}", named.job))
}

/// `write batch_script JOB [FILE]`; `-` is standard output.
pub fn write_script(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let [what, id, file @ ..] = words else {
        return Err(Failure::plain("too few arguments for keyword:write"));
    };
    if !"batch_script".starts_with(&what.to_ascii_lowercase()) {
        return Err(Failure::plain(format!("invalid write argument:{}", escaped(what))));
    }
    let invalid = || Failure::plain("scontrol_batch_script error: Invalid job id specified");
    let job = select::job(id).ok_or_else(invalid)?.job.job;
    let script =
        invocation.controller.script(job).map_err(|error| Failure::said("job script retrieval failed", &error))?;
    let name = file.first().cloned().unwrap_or_else(|| format!("slurm-{job}.sh"));
    if name == "-" {
        invocation.out.write_all(&script)?;
        return Ok(0);
    }
    let path = invocation.directory.join(&name);
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o700).open(path);
    opened.and_then(|mut file| file.write_all(&script)).map_err(|error| {
        Failure::error(
            "scontrol",
            format_args!("failed to write script to {}: {}", escaped(&name), terminal::plain(&error)),
        )
    })?;
    writeln!(invocation.out, "batch script for job {job} written to {}", escaped(&name))?;
    Ok(0)
}

/// Jobs that are on their way out, with their nodes.
pub fn completing(invocation: &mut Invocation<'_>) -> Result<i32, Failure> {
    let filter = JobFilter { states: vec![JobState::Completing], ..JobFilter::default() };
    let jobs = invocation.controller.jobs(&filter).map_err(|error| Failure::load("slurm_load_jobs", &error))?;
    for job in &jobs {
        let nodes = crate::show::ids::nodes(&job.nodes);
        let end =
            job.end_at.map_or_else(|| "Unknown".to_owned(), |at| crate::show::moments::Moments::of(invocation).at(at));
        writeln!(invocation.out, "JobId={} EndTime={end} Nodes(COMPLETING)={nodes}", job.job)?;
    }
    Ok(0)
}

/// Waits until the job's nodes have booted.
pub fn wait_job(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let id = words.first().ok_or_else(|| Failure::plain("too few arguments for keyword:wait_job"))?;
    let invalid = || Failure::plain(format!("scontrol: Problem running job {}", escaped(id)));
    let JobRef { job, .. } = select::job(id).ok_or_else(invalid)?.job;
    let mut code = 1;
    let watched = invocation.controller.watch(job, &mut |heard| match heard {
        Heard::News(news) => match news.view.state {
            JobState::Pending | JobState::Configuring => ControlFlow::Continue(()),
            JobState::Running | JobState::Suspended => {
                code = 0;
                ControlFlow::Break(())
            }
            JobState::Completing | JobState::Ended(_) => ControlFlow::Break(()),
        },
        Heard::Signal(number) => {
            code = 128 + number;
            ControlFlow::Break(())
        }
        Heard::Tick => ControlFlow::Continue(()),
    });
    watched.map_err(|error| match error {
        ClientError::Refused(_) => invalid(),
        other => Failure::load("slurm_load_jobs", &other),
    })?;
    if code == 0 {
        writeln!(invocation.out, "Job {job} is ready")?;
    }
    Ok(code)
}
