//! `srun`: runs tasks in a job, its own or the one around it.

mod bcast;
mod link;
mod output;
mod request;
mod run;
mod status;
mod streams;
mod tty;

pub(crate) use output::Sinks;
pub(crate) use run::read_input;
pub(crate) use streams::Input;

use crate::allocate;
use crate::controller::Heard;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::sbatch::estimated;
use crate::select;
use crate::show::moments::Moments;
use crate::terminal::escaped;
use squall_proto::ClientError;
use squall_types::JobId;
use squall_types::agent::ExitStatus;
use squall_types::api::{JobState, StepGrant};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

/// # Errors
/// Why nothing ran. What ran and failed is told as it happens.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(invocation.environment.text());
    given.refuse_what_cannot_be_kept()?;
    if parsed.rest.is_empty() {
        return Err(Failure::plain("srun: fatal: No command given to execute."));
    }
    if parsed.rest.iter().any(|word| word == ":") && !invocation.arguments.iter().any(|word| word == "--") {
        return Err(heterogeneous());
    }
    if given.has("verbose") {
        for (opt, why) in given.without_effect() {
            writeln!(invocation.err, "srun: --{} is accepted without effect: {why}", opt.long)?;
        }
    }
    match given.text("jobid").filter(|text| !text.is_empty()) {
        Some(text) => {
            let invalid = || Failure::error("srun", format_args!("Invalid --jobid specification: {}", escaped(text)));
            let job = select::job(text).ok_or_else(invalid)?.job.job;
            in_job(invocation, &given, job, &parsed.rest)
        }
        None => in_own_job(invocation, &given, &parsed.rest),
    }
}

fn heterogeneous() -> Failure {
    Failure::error("srun", "heterogeneous steps are not supported").advising(crate::failure::Advice {
        limit: "all tasks of a step run one program in one job".to_owned(),
        try_this: "one srun for each part, in the background; -- before a program with an argument \":\"".to_owned(),
        code: "SQ0003",
        ..Default::default()
    })
}

fn in_job(invocation: &mut Invocation<'_>, given: &Given, job: JobId, words: &[String]) -> Result<i32, Failure> {
    let step = request::step(invocation, given, job, words)?;
    let grant = granted(invocation, job, &step)?;
    Ok(shell_code(step_in(invocation, given, step, &grant)?))
}

fn in_own_job(invocation: &mut Invocation<'_>, given: &Given, words: &[String]) -> Result<i32, Failure> {
    // What the step asks for is checked before anybody waits for a machine.
    request::step(invocation, given, JobId(0), words)?;
    let patience = allocate::patience("srun", given)?;
    let name =
        Path::new(&words[0]).file_name().map_or_else(|| words[0].clone(), |name| name.to_string_lossy().into_owned());
    let reply = allocate::submit(invocation, given, &name, words)?;
    if let (true, Some(estimate)) = (given.has("test-only"), &reply.estimate) {
        let text = estimated("srun", reply.job, estimate, &Moments::of(invocation));
        invocation.err.write_all(text.as_bytes())?;
        return Ok(0);
    }
    if given.has("test-only") {
        return Ok(0);
    }
    let job = reply.job;
    let view = allocate::wait(invocation, job, patience, given.has("quiet"))?;
    let ran = (|| {
        let mut step = request::step(invocation, given, job, words)?;
        step.in_own_job(&view);
        let grant = granted(invocation, job, &step)?;
        step_in(invocation, given, step, &grant)
    })();
    let exit = ran.as_ref().map_or(ExitStatus { code: 1, signal: 0 }, |exit| *exit);
    let given_back = allocate::give_back(invocation, job, exit);
    let exit = ran?;
    given_back?;
    Ok(shell_code(exit))
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

/// Runs the step and what was to run here before and after it.
fn step_in(
    invocation: &mut Invocation<'_>,
    given: &Given,
    mut step: request::Step,
    grant: &StepGrant,
) -> Result<ExitStatus, Failure> {
    bcast::carry(invocation, given, &mut step, grant)?;
    beside(invocation, given.text("prolog"));
    invocation.out.flush()?;
    let exit = run::run(invocation, step, grant);
    beside(invocation, given.text("epilog"));
    exit
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
