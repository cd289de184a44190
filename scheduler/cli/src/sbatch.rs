//! `sbatch`: a script becomes a job.

use crate::components::Components;
use crate::controller::Heard;
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::request::{self, Kind};
use crate::script::{self, Script};
use crate::show::moments::Moments;
use crate::submission;
use crate::terminal::escaped;
use squall_proto::ClientError;
use squall_types::agent::ExitStatus;
use squall_types::api::{Estimate, JobFilter, JobRef, JobState, JobView, SubmitReply, SubmitRequest};
use squall_types::hostlist;
use squall_types::{JobId, JobKind};
use std::ops::ControlFlow;
use std::time::Duration;

/// How often the elements of an array are looked at while `--wait` waits.
const ARRAY_POLL: Duration = Duration::from_secs(2);

/// # Errors
/// Why there is no job, or what it ended with under `--wait`.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let components = Components::of(invocation.command, parsed)?;
    let given = components.any(&invocation.environment);
    let (script, arguments) = match the_script(invocation, &given, components.rest.clone()) {
        Ok(found) => found,
        // A wrong option is the likelier reason: `sbatch -n job.sh` takes the script for a number.
        Err(failure) => return Err(request::job_spec(invocation, &given, batch("")).err().unwrap_or(failure)),
    };
    let directives = script::directives(&script)?;
    if let Some(foreign) = directives.foreign
        && !given.has("ignore-pbs")
    {
        return Err(for_another_system(&script, foreign));
    }
    if directives.outdated {
        let text = "the \"packjob\" component separator is being deprecated. Please, use \"hetjob\" instead.";
        writeln!(invocation.err, "sbatch: Warning: {text}")?;
    }
    let each = components.each(&invocation.environment, &directives.components);
    let given = given.and_script(directives.components.concat());
    let specs = each.iter().map(|given| request::job_spec(invocation, given, batch(&script.name)));
    let mut more = specs.collect::<Result<Vec<_>, _>>()?;
    more.iter_mut().for_each(|spec| spec.command.clone_from(&script.path));
    let mut spec = more.remove(0);
    spec.arguments = arguments;
    let request = SubmitRequest {
        environment: request::exported(invocation, &each[0])?,
        script: Some(script.body),
        token: request::submit_token(invocation.command)?,
        test_only: given.has("test-only"),
        spec: spec.into(),
        more,
        step: None,
    };
    let cluster = cluster(invocation, &given)?;
    let reply = submission::submit(invocation, &request)
        .map_err(|error| Failure::call("sbatch", request::what_failed("sbatch"), &error))?;
    if given.has("verbose") {
        say_more(invocation, &given, &reply)?;
    }
    if request.test_only {
        tell_estimate(invocation, &reply)?;
        return Ok(0);
    }
    match (given.has("parsable"), given.has("quiet"), cluster) {
        // As in Slurm, `--quiet` silences this, too.
        (_, true, _) => {}
        (true, _, None) => writeln!(invocation.out, "{}", reply.job)?,
        (true, _, Some(cluster)) => writeln!(invocation.out, "{};{cluster}", reply.job)?,
        (false, false, None) => writeln!(invocation.out, "Submitted batch job {}", reply.job)?,
        (false, false, Some(cluster)) => {
            writeln!(invocation.out, "Submitted batch job {} on cluster {cluster}", reply.job)?;
        }
    }
    invocation.out.flush()?;
    match given.has("wait") {
        true => wait(invocation, reply.job, request.spec.array.is_some()),
        false => Ok(0),
    }
}

fn batch(name: &str) -> Kind<'_> {
    Kind { kind: JobKind::Batch, name }
}

fn the_script(
    invocation: &mut Invocation<'_>,
    given: &Given,
    rest: Vec<String>,
) -> Result<(Script, Vec<String>), Failure> {
    if let Some(line) = given.text("wrap") {
        if !rest.is_empty() {
            return Err(Failure::error("sbatch", "Script arguments not permitted with --wrap option"));
        }
        return Ok((script::wrapped("sbatch", line)?, Vec::new()));
    }
    let mut words = rest.into_iter();
    let name = words.next();
    Ok((script::read(invocation, name.as_deref())?, words.collect()))
}

fn for_another_system(script: &Script, magic: &str) -> Failure {
    Failure::error("sbatch", format_args!("{}: {magic} directives are not read", escaped(&script.label))).advising(
        Advice {
            asked: format!("a script with {magic} lines and without #SBATCH lines"),
            limit: "it was written for another batch system; as it is, it would run with defaults".to_owned(),
            try_this: "#SBATCH lines in place of them, or --ignore-pbs".to_owned(),
            code: "SQ0014",
            ..Advice::default()
        },
    )
}

/// The cluster's name where `-M` asked for one, which makes `--parsable` say it.
fn cluster(invocation: &Invocation<'_>, given: &Given) -> Result<Option<String>, Failure> {
    let Some(names) = given.text("clusters").filter(|names| !names.is_empty()) else { return Ok(None) };
    let ours = invocation
        .controller
        .ping()
        .map_err(|error| Failure::call("sbatch", request::what_failed("sbatch"), &error))?
        .cluster;
    if names == "all" || names.split(',').any(|name| name == ours) {
        return Ok(Some(ours));
    }
    let shown = escaped(names);
    Err(Failure::error("sbatch", format_args!("No cluster '{shown}' known by database.")).and_line(format!(
        "sbatch: error: '{shown}' can't be reached now, or it is an invalid entry for --cluster.  \
         Use 'sacctmgr list clusters' to see available clusters."
    )))
}

fn say_more(invocation: &mut Invocation<'_>, given: &Given, reply: &SubmitReply) -> Result<(), Failure> {
    for (opt, why) in given.without_effect() {
        writeln!(invocation.err, "sbatch: --{} is accepted without effect: {why}", opt.long)?;
    }
    for note in &reply.notes {
        writeln!(invocation.err, "sbatch: {}", escaped(note))?;
    }
    Ok(())
}

fn tell_estimate(invocation: &mut Invocation<'_>, reply: &SubmitReply) -> Result<(), Failure> {
    let Some(estimate) = &reply.estimate else { return Ok(()) };
    let moments = Moments::of(invocation);
    let text = estimated("sbatch", reply.job, estimate, &moments);
    invocation.err.write_all(text.as_bytes())?;
    Ok(())
}

/// Slurm's line, which programs read to its end, and what would be bought.
pub fn estimated(command: &str, job: JobId, estimate: &Estimate, moments: &Moments) -> String {
    let names: Vec<&str> = estimate.nodes.iter().map(|node| node.as_str()).collect();
    let start = estimate.start_at.map_or_else(|| "Unknown".to_owned(), |at| moments.at(at));
    let (cpus, partition) = (estimate.cpus, escaped(estimate.partition.as_str()).into_owned());
    let nodes = hostlist::compress(&names);
    let mut text = format!(
        "{command}: Job {job} to start at {start} using {cpus} processors on nodes {nodes} in partition {partition}\n"
    );
    if !estimate.purchase.is_empty() {
        text.push_str(&format!("{command}: would buy {} ({})\n", escaped(&estimate.purchase), estimate.hourly));
    }
    text
}

/// The exit code that a shell would have seen.
pub fn shell_code(exit: ExitStatus) -> i32 {
    if exit.signal != 0 { 128 + exit.signal } else { exit.code }
}

fn wait(invocation: &mut Invocation<'_>, job: JobId, array: bool) -> Result<i32, Failure> {
    if array {
        return wait_for_array(invocation, job);
    }
    let mut end = None;
    let mut signal = None;
    let watched = invocation.controller.watch(job, &mut |heard| match heard {
        Heard::News(news) if is_over(&news.view) => {
            end = Some(code_of(&news.view));
            ControlFlow::Break(())
        }
        Heard::Signal(number) => {
            signal = Some(number);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    watched.map_err(|error| Failure::load("slurm_load_jobs", &error))?;
    Ok(signal.map(|number| 128 + number).or(end).unwrap_or(0))
}

fn is_over(view: &JobView) -> bool {
    matches!(view.state, JobState::Ended(_))
}

/// A job that ended badly without an exit code still fails the one who waited for it.
fn code_of(view: &JobView) -> i32 {
    let good = view.state == JobState::Ended(squall_types::EndState::Completed);
    match shell_code(view.exit) {
        0 if !good => 1,
        code => code,
    }
}

fn wait_for_array(invocation: &mut Invocation<'_>, job: JobId) -> Result<i32, Failure> {
    let whole = JobRef::from(job);
    let filter = JobFilter { jobs: vec![whole], all_states: true, ..JobFilter::default() };
    loop {
        match invocation.controller.jobs(&filter) {
            Ok(views) if views.iter().all(is_over) => return Ok(views.iter().map(code_of).max().unwrap_or(0)),
            Ok(_) | Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. } | ClientError::Busy(_)) => {}
            Err(error) => return Err(Failure::load("slurm_load_jobs", &error)),
        }
        std::thread::sleep(ARRAY_POLL);
    }
}
