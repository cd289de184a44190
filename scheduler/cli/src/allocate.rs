//! Allocations for `srun` and `salloc`: submitted, waited for, given back.

use crate::controller::Heard;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::Given;
use crate::request::{self, Kind, what_failed, whole_number};
use crate::submission;
use crate::terminal::escaped;
use squall_proto::ClientError;
use squall_types::agent::ExitStatus;
use squall_types::api::{JobAction, JobFilter, JobRef, JobState, JobView, StepRequest, SubmitReply, SubmitRequest};
use squall_types::{JobId, JobKind, Span, Timestamp};
use std::ops::ControlFlow;

/// A job that has its nodes so soon did not wait.
const AT_ONCE: Span = Span::from_secs(1);

/// A component of an interactive job: what was given for it, what it is called, and what runs in it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub given: &'a Given,
    pub name: &'a str,
    pub words: &'a [String],
}

/// Submits an interactive job, of at least one component; nothing runs in it until a step is started, which may be asked
/// for with it.
///
/// # Errors
/// Why there is none.
pub fn submit(
    invocation: &Invocation<'_>,
    components: &[Asked<'_>],
    step: Option<StepRequest>,
) -> Result<SubmitReply, Failure> {
    let spec = |asked: &Asked<'_>| {
        let Asked { given, name, words } = asked;
        let mut spec = request::job_spec(invocation, given, Kind { kind: JobKind::Interactive, name })?;
        // Output belongs to the steps, the first word is what runs.
        (spec.stdin, spec.stdout, spec.stderr) = (None, None, None);
        spec.command = words.first().cloned().unwrap_or_default();
        Ok(spec)
    };
    let mut more = components.iter().map(spec).collect::<Result<Vec<_>, Failure>>()?;
    let given = components[0].given;
    let request = SubmitRequest {
        spec: more.remove(0).into(),
        script: None,
        environment: request::exported(invocation, given)?,
        token: request::submit_token(invocation.command)?,
        test_only: given.has("test-only"),
        more,
        step,
    };
    submission::submit(invocation, &request)
        .map_err(|error| Failure::call(invocation.name(), what_failed(invocation.name()), &error))
}

/// How long somebody waits for resources: `None` is as long as it takes.
///
/// # Errors
/// A number of seconds that is none.
pub fn patience(command: &str, given: &Given) -> Result<Option<u32>, Failure> {
    match given.text("immediate") {
        None => Ok(given.has("immediate").then_some(1)),
        Some(text) => whole_number(text)
            .map(|seconds| Some(seconds.max(1)))
            .ok_or_else(|| request::invalid(command, "immediate", text, "it is a number of seconds", "--immediate=10")),
    }
}

/// Waits until the job's nodes are ready and tells what it waits for.
///
/// # Errors
/// The job ended before it began, patience ran out, or this process was asked to stop; the job is cancelled then.
pub fn wait(
    invocation: &mut Invocation<'_>,
    job: JobId,
    patience: Option<u32>,
    quiet: bool,
) -> Result<JobView, Failure> {
    let command = invocation.name();
    let mut waiting = Waiting { job, patience, quiet, command, told: false, end: None };
    let err = &mut *invocation.err;
    let clock = invocation.clock;
    let started = clock();
    let watched = invocation.controller.watch(job, &mut |heard| waiting.hear(heard, err, started, clock()));
    let outcome = match (watched, waiting.end) {
        (Err(error), _) => Err(Failure::call(command, what_failed(command), &error)),
        (Ok(()), Some(End::Ready(view))) => return Ok(*view),
        (Ok(()), Some(End::Over)) | (Ok(()), None) => {
            let revoked = format!("{command}: Job allocation {job} has been revoked.");
            return Err(Failure::plain(revoked));
        }
        (Ok(()), Some(End::Stopped(number))) => {
            let revoked = format!("{command}: Job allocation {job} has been revoked.");
            Err(Failure::plain(revoked).with_code(128 + number))
        }
        (Ok(()), Some(End::TooLong)) => {
            let code = invocation.environment.get("SLURM_EXIT_IMMEDIATE").and_then(|text| text.parse::<u8>().ok());
            let failed = what_failed(command);
            let failure = Failure::error(command, format_args!("{failed}: Requested nodes are busy"));
            Err(failure.with_code(code.map_or(1, i32::from)))
        }
    };
    cancel(invocation, job);
    outcome
}

/// Whoever waited is gone: nobody would use the nodes. What comes of it nobody is left to hear.
fn cancel(invocation: &Invocation<'_>, job: JobId) {
    let filter = JobFilter { jobs: vec![JobRef::from(job)], ..JobFilter::default() };
    let _ = invocation.controller.act(&filter, &JobAction::Cancel);
}

struct Waiting {
    job: JobId,
    patience: Option<u32>,
    quiet: bool,
    command: &'static str,
    /// It has been said that the job waits.
    told: bool,
    end: Option<End>,
}

enum End {
    Ready(Box<JobView>),
    Over,
    Stopped(i32),
    TooLong,
}

impl Waiting {
    fn hear(
        &mut self,
        heard: Heard,
        err: &mut dyn std::io::Write,
        started: Timestamp,
        now: Timestamp,
    ) -> ControlFlow<()> {
        let (command, job) = (self.command, self.job);
        match heard {
            Heard::News(news) => match news.view.state {
                JobState::Pending | JobState::Configuring => {
                    // What has its nodes at once is not told of as waiting.
                    if now.since(started) >= AT_ONCE {
                        self.tell_that_it_waits(err);
                    }
                    return ControlFlow::Continue(());
                }
                JobState::Running | JobState::Suspended => {
                    if self.told {
                        self.say(err, &format!("{command}: job {job} has been allocated resources"));
                    }
                    self.end = Some(End::Ready(Box::new(news.view)));
                }
                JobState::Completing | JobState::Ended(_) => self.end = Some(End::Over),
            },
            Heard::Signal(number) => self.end = Some(End::Stopped(number)),
            Heard::Tick => {
                if now.since(started) >= AT_ONCE {
                    self.tell_that_it_waits(err);
                }
                let waited = now.since(started).as_secs();
                match self.patience {
                    Some(patience) if waited >= i64::from(patience) => self.end = Some(End::TooLong),
                    _ => return ControlFlow::Continue(()),
                }
            }
        }
        ControlFlow::Break(())
    }

    fn tell_that_it_waits(&mut self, err: &mut dyn std::io::Write) {
        if !self.told {
            self.told = true;
            self.say(err, &format!("{}: job {} queued and waiting for resources", self.command, self.job));
        }
    }

    /// Nobody may be listening any more; the wait goes on all the same.
    fn say(&self, err: &mut dyn std::io::Write, text: &str) {
        if !self.quiet {
            let _ = writeln!(err, "{}", escaped(text));
        }
    }
}

/// Ends the allocation with what came of it.
pub fn give_back(invocation: &mut Invocation<'_>, job: JobId, exit: ExitStatus) -> Result<(), Failure> {
    match invocation.controller.finish(job, exit) {
        Ok(()) => Ok(()),
        // It is over already: that is what was wanted.
        Err(ClientError::Refused(_)) => Ok(()),
        Err(error) => Err(Failure::load("slurm_complete_job", &error)),
    }
}
