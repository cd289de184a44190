//! `scancel`: ends jobs, or sends them signals.

use crate::failure::Failure;
use crate::inside;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::request::names_of_nodes;
use crate::select::{self, Named};
use crate::terminal::escaped;
use squall_proto::ClientError;
use squall_types::agent::SignalTarget;
use squall_types::api::{JobAction, JobFilter, JobState, JobView};
use squall_types::signal::parse_signal;
use squall_types::{AccountName, NodeName, PartitionName, QosName};
use std::io::{BufRead, BufReader};

const SIGKILL: i32 = 9;

/// Refusals that mean that there is nothing left to do.
const DONE_ALREADY: [&str; 2] = ["Invalid job id specified", "Job/step already completing or completed"];

/// What was asked, read.
struct Wish {
    /// `None` where no conditions were given: then the ids are all.
    filter: JobFilter,
    named: Vec<Named>,
    signal: Option<i32>,
    /// The conditions as Slurm repeats them.
    conditions: String,
    verbose: bool,
    quiet: bool,
}

/// # Errors
/// What cannot be understood or done.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(&invocation.environment);
    given.refuse_what_cannot_be_kept()?;
    let wish = Wish::read(invocation, &given, &parsed.rest)?;
    if wish.named.is_empty() && wish.conditions.is_empty() {
        return Err(Failure::error("scancel", "No job identification provided"));
    }
    inside::outlives(invocation, wish.signal);
    let (steps, jobs): (Vec<Named>, Vec<Named>) = wish.named.iter().cloned().partition(|named| named.step.is_some());
    let mut code = 0;
    for step in &steps {
        code = code.max(signal_step(invocation, &wish, step)?);
    }
    if jobs.is_empty() && !steps.is_empty() {
        return Ok(code);
    }
    let mut filter = wish.filter.clone();
    filter.jobs = jobs.into_iter().map(|named| named.job).collect();
    if given.has("interactive") {
        filter = match confirmed(invocation, &wish, filter)? {
            Some(filter) => filter,
            None => return Ok(code),
        };
    }
    Ok(code.max(act(invocation, &wish, &given, &filter)?))
}

impl Wish {
    fn read(invocation: &Invocation<'_>, given: &Given, words: &[String]) -> Result<Self, Failure> {
        let mut named = Vec::new();
        for word in words {
            let invalid = || Failure::error("scancel", format_args!("Invalid job id {}", escaped(word)));
            let ids = select::split_ids(word);
            if ids.is_empty() {
                return Err(invalid());
            }
            for id in ids {
                named.push(select::job(id).ok_or_else(invalid)?);
            }
        }
        let (filter, conditions) = conditions(invocation, given)?;
        let signal = match given.text("signal") {
            None => None,
            Some(text) => Some(parse_signal(text).map_err(|error| {
                let first = format!("Unknown job signal: {}", escaped(text));
                Failure::plain(first).and_line(format!("  limit:  {error}"))
            })?),
        };
        let (verbose, quiet) = (given.has("verbose"), given.has("quiet"));
        Ok(Wish { filter, named, signal, conditions, verbose, quiet })
    }

    /// Whether `signal` only says what `scancel` does anyway.
    fn ends_job(&self, given: &Given) -> bool {
        self.signal.is_none_or(|signal| signal == SIGKILL) && !given.has("batch")
    }
}

/// All conditions, and how Slurm repeats them.
fn conditions(invocation: &Invocation<'_>, given: &Given) -> Result<(JobFilter, String), Failure> {
    let mut filter = JobFilter::default();
    let mut said = String::new();
    let mut note = |what: &str, text: &str| said.push_str(&format!("{what}={} ", escaped(text)));
    if let Some(text) = given.text("account") {
        filter.accounts = select::names(text).map(AccountName::new).collect();
        note("account", text);
    }
    if let Some(text) = given.text("name") {
        filter.names = vec![text.to_owned()];
        note("job_name", text);
    }
    if let Some(text) = given.text("partition") {
        filter.partitions = select::names(text).map(PartitionName::new).collect();
        note("partition", text);
    }
    if let Some(text) = given.text("qos") {
        filter.qos = select::names(text).map(QosName::new).collect();
        note("qos", text);
    }
    if let Some(text) = given.text("reservation") {
        note("reservation", text);
    }
    if let Some(text) = given.text("state") {
        filter.states = states(text)?;
        note("state", text);
    }
    if let Some(text) = given.text("nodelist") {
        filter.nodes = names_of_nodes("scancel", "nodelist", text)?.into_iter().map(NodeName).collect();
        note("nodelist", text);
    }
    if given.has("me") {
        filter.users = vec![invocation.caller.uid];
        note("user_name", &invocation.caller.name);
    } else if let Some(text) = given.text("user") {
        let unknown = || Failure::error("scancel", format_args!("Invalid user name: {}", escaped(text)));
        filter.users = vec![select::user(text).ok_or_else(unknown)?];
        note("user_name", text);
    }
    Ok((filter, said))
}

fn states(text: &str) -> Result<Vec<JobState>, Failure> {
    let invalid = |word: &str| {
        Failure::plain(format!("Invalid job state specified: {}", escaped(word)))
            .and_line("Valid job states are PENDING, RUNNING, and SUSPENDED")
    };
    let states = select::states(text).map_err(|word| invalid(&word))?;
    let live = |state: &JobState| !matches!(state, JobState::Ended(_) | JobState::Completing);
    if states.all || states.none || !states.some.iter().all(live) {
        return Err(invalid(text));
    }
    Ok(states.some)
}

fn signal_step(invocation: &mut Invocation<'_>, wish: &Wish, step: &Named) -> Result<i32, Failure> {
    let Some(id) = step.step else { return Ok(0) };
    let signal = wish.signal.unwrap_or(SIGKILL);
    let name = format!("{}.{}", shown(step), id.suffix());
    if wish.verbose {
        writeln!(invocation.err, "scancel: Signal {signal} to step {name}")?;
    }
    let filter = JobFilter { jobs: vec![step.job.clone()], ..JobFilter::default() };
    let action = JobAction::Signal { signal, target: SignalTarget::Step(id) };
    told(invocation, wish, invocation.controller.act(&filter, &action), &format!("step id {name}"), false)
}

fn shown(named: &Named) -> String {
    if let Some(offset) = named.job.component {
        return format!("{}+{offset}", named.job.job);
    }
    match &named.job.elements {
        None => named.job.job.to_string(),
        Some(one) if one.len() == 1 => format!("{}_{one}", named.job.job),
        Some(some) => format!("{}_[{some}]", named.job.job),
    }
}

fn act(invocation: &mut Invocation<'_>, wish: &Wish, given: &Given, filter: &JobFilter) -> Result<i32, Failure> {
    let ends_job = wish.ends_job(given);
    let signal = wish.signal.unwrap_or(SIGKILL);
    let action = match (ends_job, given.has("batch"), given.has("full")) {
        (true, _, _) if given.has("cron") => JobAction::CancelCron,
        (true, _, _) => JobAction::Cancel,
        (false, true, _) => JobAction::Signal { signal, target: SignalTarget::BatchShell },
        (false, false, true) => JobAction::Signal { signal, target: SignalTarget::All },
        (false, false, false) => JobAction::Signal { signal, target: SignalTarget::Steps },
    };
    if wish.verbose {
        for job in &wish.named {
            let verb = if ends_job { "Terminating job".to_owned() } else { format!("Signal {signal} to job") };
            writeln!(invocation.err, "scancel: {verb} {}", shown(job))?;
        }
    }
    // No job has a reservation.
    let results = if given.has("reservation") { Ok(Vec::new()) } else { invocation.controller.act(filter, &action) };
    if wish.verbose && !wish.conditions.is_empty() && results.as_ref().is_ok_and(Vec::is_empty) {
        let none = "No active jobs match ALL job filters, including:";
        writeln!(invocation.err, "scancel: error: {none} {}", wish.conditions)?;
    }
    told(invocation, wish, results, "job", ends_job)
}

/// Tells how it went with each. A job that is over or unknown needs no cancelling: that is told only to who wants it.
fn told(
    invocation: &mut Invocation<'_>,
    wish: &Wish,
    results: Result<Vec<squall_types::api::ActionResult>, ClientError>,
    what: &str,
    ends_job: bool,
) -> Result<i32, Failure> {
    let over = |slurm: &str| ends_job && DONE_ALREADY.contains(&slurm);
    let results = match results {
        Ok(results) => results,
        Err(ClientError::Refused(refusal)) if over(&refusal.slurm) && !wish.verbose => return Ok(0),
        Err(error) => {
            let ended = matches!(&error, ClientError::Refused(refusal) if over(&refusal.slurm));
            let failure = Failure::call("scancel", "Kill job error", &error);
            return if ended { tell(invocation, wish, &failure.to_string()).map(|()| 0) } else { Err(failure) };
        }
    };
    let mut code = 0;
    for (job, refusal) in results.iter().filter_map(|result| Some((&result.job, result.refusal.as_ref()?))) {
        let harmless = over(&refusal.slurm);
        code = if harmless { code } else { 1 };
        if wish.verbose || !harmless {
            let named = if what == "job" { format!("job id {}", escaped(job)) } else { what.to_owned() };
            let failure = Failure::refused("scancel", &format!("Kill job error on {named}"), refusal);
            tell(invocation, wish, &failure.to_string())?;
        }
    }
    Ok(code)
}

fn tell(invocation: &mut Invocation<'_>, wish: &Wish, text: &str) -> Result<(), Failure> {
    if !wish.quiet {
        invocation.err.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Asks about each job; `None` where all of them may stay.
fn confirmed(invocation: &mut Invocation<'_>, wish: &Wish, filter: JobFilter) -> Result<Option<JobFilter>, Failure> {
    let jobs = match invocation.controller.jobs(&filter) {
        Ok(jobs) => jobs,
        Err(ClientError::Refused(refusal)) if DONE_ALREADY.contains(&refusal.slurm.as_str()) => Vec::new(),
        Err(error) => return Err(Failure::load("slurm_load_jobs", &error)),
    };
    let mut answers = BufReader::new(&mut *invocation.input);
    let mut chosen = Vec::new();
    for job in &jobs {
        write!(invocation.out, "{}", question(wish, job))?;
        invocation.out.flush()?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        if answer.trim().eq_ignore_ascii_case("y") || answer.trim().eq_ignore_ascii_case("yes") {
            let id = crate::show::ids::job_id(job.job, job.array.as_ref(), job.het, 0);
            chosen.extend(select::job(&id).map(|named| named.job));
        }
    }
    if chosen.is_empty() { Ok(None) } else { Ok(Some(JobFilter { jobs: chosen, ..JobFilter::default() })) }
}

fn question(wish: &Wish, job: &JobView) -> String {
    let verb = match wish.signal {
        None => "Cancel".to_owned(),
        Some(signal) => format!("Signal {signal}"),
    };
    let id = crate::show::ids::job_id(job.job, job.array.as_ref(), job.het, 0);
    let (name, partition) = (escaped(&job.name), escaped(&job.partition));
    format!("{verb} job_id={id} name={name} partition={partition} [y/n]? ")
}
