//! `srun`: runs tasks in a job, its own or the one around it.

mod bcast;
mod link;
mod output;
mod parts;
mod request;
mod run;
mod status;
mod streams;
mod tty;

pub(crate) use output::Sinks;
pub(crate) use run::read_input;
pub(crate) use streams::Input;

use crate::allocate::{self, Asked};
use crate::controller::Heard;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::Parsed;
use crate::sbatch::estimated;
use crate::select;
use crate::show::moments::Moments;
use crate::terminal::escaped;
use parts::Part;
use squall_proto::ClientError;
use squall_types::JobId;
use squall_types::agent::ExitStatus;
use squall_types::api::{JobRef, JobState, JobView, StepGrant};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

/// # Errors
/// Why nothing ran. What ran and failed is told as it happens.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let mut parts = parts::read(invocation, parsed)?;
    for part in &parts {
        part.given.refuse_what_cannot_be_kept()?;
    }
    let given = &parts[0].given;
    if given.has("verbose") {
        for (opt, why) in given.without_effect() {
            writeln!(invocation.err, "srun: --{} is accepted without effect: {why}", opt.long)?;
        }
    }
    let around = match given.text("jobid").filter(|text| !text.is_empty()) {
        Some(text) => {
            let invalid = || Failure::error("srun", format_args!("Invalid --jobid specification: {}", escaped(text)));
            let JobRef { job, component, .. } = select::job(text).ok_or_else(invalid)?.job;
            Some(JobId(job.0.saturating_add(component.unwrap_or(0))))
        }
        None => None,
    };
    match around {
        Some(job) => {
            parts.iter_mut().for_each(|part| part.job = part.job.or(Some(job)));
            Ok(shell_code(launch(invocation, &parts, Own::None)?))
        }
        None => in_own_job(invocation, parts),
    }
}

fn in_own_job(invocation: &mut Invocation<'_>, mut parts: Vec<Part>) -> Result<i32, Failure> {
    // What the steps ask for is checked before anybody waits for a machine.
    let mut steps = Vec::new();
    for part in &parts {
        let mut step = request::step(invocation, &part.given, JobId(0), &part.words)?;
        step.everywhere();
        steps.push(step.request);
    }
    // Of several components each begins when all have their nodes.
    let first = if steps.len() == 1 { steps.pop() } else { None };
    let patience = allocate::patience("srun", &parts[0].given)?;
    let name = |words: &[String]| match Path::new(&words[0]).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => words[0].clone(),
    };
    let names: Vec<String> = parts.iter().map(|part| name(&part.words)).collect();
    let asked = parts.iter().zip(&names).map(|(part, name)| Asked { given: &part.given, name, words: &part.words });
    let reply = allocate::submit(invocation, &asked.collect::<Vec<_>>(), first)?;
    let given = &parts[0].given;
    if let (true, Some(estimate)) = (given.has("test-only"), &reply.estimate) {
        let text = estimated("srun", reply.job, estimate, &Moments::of(invocation));
        invocation.err.write_all(text.as_bytes())?;
        return Ok(0);
    }
    if given.has("test-only") {
        return Ok(0);
    }
    let job = reply.job;
    let begun = reply.step;
    let view = match &begun {
        Some(_) => None,
        None => Some(allocate::wait(invocation, job, patience, given.has("quiet"))?),
    };
    let ran = (|| {
        let Some(view) = view else {
            parts[0].job = Some(job);
            return launch(invocation, &parts, begun.map_or(Own::None, |grant| Own::Begun(Box::new(grant))));
        };
        let views = match parts.len() {
            1 => vec![view],
            _ => {
                let details = invocation.controller.job(&JobRef::from(job)).map_err(|error| no_step(job, &error))?;
                details.into_iter().map(|detail| detail.view).collect()
            }
        };
        parts.iter_mut().zip(&views).for_each(|(part, view)| part.job = Some(view.job));
        launch(invocation, &parts, Own::Ready(&views))
    })();
    let exit = ran.as_ref().map_or(ExitStatus { code: 1, signal: 0 }, |exit| *exit);
    let given_back = allocate::give_back(invocation, job, exit);
    let exit = ran?;
    given_back?;
    Ok(shell_code(exit))
}

/// The jobs that were made for a launch.
enum Own<'a> {
    None,
    /// One for each part.
    Ready(&'a [JobView]),
    /// One, whose step began with it.
    Begun(Box<StepGrant>),
}

/// Runs all parts as one launch, and what was to run here before and after it.
fn launch(invocation: &mut Invocation<'_>, parts: &[Part], own: Own<'_>) -> Result<ExitStatus, Failure> {
    let (views, mut begun) = match own {
        Own::None => (&[][..], None),
        Own::Ready(views) => (views, None),
        Own::Begun(grant) => (&[][..], Some(*grant)),
    };
    let mut steps = Vec::new();
    let mut first_rank = 0u32;
    for (at, Part { given, words, job }) in parts.iter().enumerate() {
        let job = job.unwrap_or_default();
        let mut step = request::step(invocation, given, job, words)?;
        views.get(at).into_iter().for_each(|view| step.in_own_job(view));
        step.request.first_rank = first_rank;
        let grant = match begun.take() {
            Some(grant) => grant,
            None => granted(invocation, job, &step)?,
        };
        bcast::carry(invocation, given, &mut step, &grant)?;
        first_rank = first_rank.saturating_add(grant.tasks);
        steps.push((step, grant));
    }
    let given = &parts[0].given;
    beside(invocation, given.text("prolog"));
    invocation.out.flush()?;
    let exit = run::run(invocation, steps);
    beside(invocation, given.text("epilog"));
    exit
}

/// What the step may use. While its job is suspended it waits, as Slurm's does.
fn granted(invocation: &mut Invocation<'_>, job: JobId, step: &request::Step) -> Result<StepGrant, Failure> {
    let mut told = false;
    loop {
        let refusal = match invocation.controller.start_step(&step.request) {
            Err(ClientError::Refused(refusal)) if refusal.code == SUSPENDED => refusal,
            other => return other.map_err(|error| no_step(job, &error)),
        };
        if !std::mem::replace(&mut told, true) && !step.quiet {
            let why = escaped(&refusal.slurm);
            writeln!(invocation.err, "srun: Job {job} step creation temporarily disabled, retrying ({why})")?;
            invocation.err.flush()?;
        }
        let mut stopped = None;
        let watched = invocation.controller.watch(job, &mut |heard| match heard {
            Heard::News(news) if news.view.state != JobState::Suspended => ControlFlow::Break(()),
            Heard::News(_) | Heard::Tick => ControlFlow::Continue(()),
            Heard::Signal(number) => {
                stopped = Some(number);
                ControlFlow::Break(())
            }
        });
        watched.map_err(|error| no_step(job, &error))?;
        if let Some(number) = stopped {
            let mut failure = Failure::error("srun", format_args!("Cancelled pending step for job {job}"));
            failure.code = 128 + number;
            return Err(failure);
        }
    }
}

/// The code with which a step in a suspended job is refused.
const SUSPENDED: &str = "SQ1023";

/// The controller's words for a step begin as `srun`'s do: they are said once.
fn no_step(job: JobId, error: &ClientError) -> Failure {
    const SAID: &str = "Unable to create step: ";
    let what = format!("Unable to create step for job {job}");
    match error {
        ClientError::Refused(refusal) if refusal.slurm.starts_with(SAID) => {
            let mut refusal = refusal.clone();
            refusal.slurm = refusal.slurm[SAID.len()..].to_owned();
            Failure::refused("srun", &what, &refusal)
        }
        ClientError::Refused(refusal) if refusal.slurm == "Invalid job id specified" => {
            let failure = Failure::refused("srun", &format!("Unable to confirm allocation for job {job}"), refusal);
            failure.and_line(format!("srun: Check SLURM_JOB_ID environment variable. Expired or invalid job {job}"))
        }
        error => Failure::call("srun", &what, error),
    }
}

/// A program on this machine, for its effects alone.
fn beside(invocation: &mut Invocation<'_>, program: Option<&str>) {
    let Some(program) = program.filter(|program| !program.is_empty() && *program != "none") else { return };
    let ran = Command::new(invocation.directory.join(program)).current_dir(&invocation.directory).status();
    if let Err(error) = ran {
        let shown = escaped(program);
        let _ = writeln!(invocation.err, "srun: error: {shown}: {}", crate::terminal::plain(&error));
    }
}

/// What a shell would have seen.
fn shell_code(exit: ExitStatus) -> i32 {
    crate::sbatch::shell_code(exit)
}
