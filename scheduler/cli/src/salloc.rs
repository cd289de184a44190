//! `salloc`: an allocation, and a command or shell that uses it.

use crate::allocate::{self, Asked};
use crate::components::Components;
use crate::controller::{Controller, Heard};
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::show::ids;
use crate::terminal::{escaped, plain};
use squall_types::agent::ExitStatus;
use squall_types::api::{JobDetail, JobRef, JobState, JobView};
use squall_types::signal::parse_signal;
use squall_types::{CpuAsk, JobId};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

const SIGHUP: i32 = 1;

/// # Errors
/// Why there was no allocation, or nothing to run in it.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let components = Components::of(invocation.command, parsed)?;
    let given = components.any(&invocation.environment);
    given.refuse_what_cannot_be_kept()?;
    let quiet = given.has("quiet");
    let patience = allocate::patience("salloc", &given)?;
    let kill = kill_signal(&given)?;
    let no_shell = given.has("no-shell");
    let name = if no_shell { "no-shell" } else { "interactive" };
    let each = components.each(&invocation.environment, &[]);
    let asked: Vec<Asked<'_>> = each.iter().map(|given| Asked { given, name, words: &components.rest }).collect();
    let job = allocate::submit(invocation, &asked, None)?.job;
    let view = allocate::wait(invocation, job, patience, quiet)?;
    say(invocation, quiet, &format!("salloc: Granted job allocation {job}"))?;
    if given.has("bell") && !given.has("no-bell") {
        write!(invocation.err, "\u{7}")?;
    }
    if no_shell {
        return Ok(0);
    }
    let whole = JobRef::from(job);
    let details = invocation.controller.job(&whole).unwrap_or_default();
    let mut variables = variables(invocation, &each[0], &view, details.first());
    if each.len() > 1 {
        variables.extend(of_components(invocation, &each, &details));
    }
    let ran = in_allocation(invocation, job, components.rest, variables, kill);
    let exit = ran.as_ref().map_or(ExitStatus { code: 1, signal: 0 }, |exit| *exit);
    say(invocation, quiet, &format!("salloc: Relinquishing job allocation {job}"))?;
    let given_back = allocate::give_back(invocation, job, exit);
    let exit = ran?;
    given_back?;
    Ok(crate::sbatch::shell_code(exit))
}

fn say(invocation: &mut Invocation<'_>, quiet: bool, line: &str) -> Result<(), Failure> {
    if !quiet {
        writeln!(invocation.err, "{line}")?;
    }
    Ok(())
}

/// What the command gets when the allocation ends before it does.
fn kill_signal(given: &Given) -> Result<i32, Failure> {
    match given.text("kill-command") {
        None => Ok(SIGHUP),
        Some(text) => parse_signal(text)
            .map_err(|why| crate::request::invalid("salloc", "kill-command", text, why, "--kill-command=TERM")),
    }
}

/// What a program finds of the allocation, in Slurm's words.
fn variables(
    invocation: &Invocation<'_>,
    given: &Given,
    view: &JobView,
    detail: Option<&JobDetail>,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: String| variables.insert(format!("SLURM_{name}"), value);
    let nodes = ids::nodes(&view.nodes);
    for name in ["JOB_ID", "JOBID"] {
        set(name, view.job.to_string());
    }
    for name in ["JOB_NODELIST", "NODELIST"] {
        set(name, nodes.clone());
    }
    for name in ["JOB_NUM_NODES", "NNODES"] {
        set(name, view.nodes.len().to_string());
    }
    set("JOB_NAME", view.name.clone());
    set("JOB_PARTITION", view.partition.clone());
    set("JOB_ACCOUNT", view.account.to_string());
    set("JOB_QOS", view.qos.clone());
    set("SUBMIT_DIR", invocation.directory.display().to_string());
    set("SUBMIT_HOST", invocation.caller.host.clone());
    if let Ok(reply) = invocation.controller.ping() {
        set("CLUSTER_NAME", reply.cluster);
    }
    if let Some(detail) = detail {
        let parts = &detail.allocations;
        set("JOB_CPUS_PER_NODE", repeated(parts.iter().map(|part| part.cpus)));
        set("TASKS_PER_NODE", repeated(parts.iter().map(|part| part.tasks.max(1))));
        let ask = &detail.spec.ask;
        if let Some(tasks) = ask.tasks {
            set("NTASKS", tasks.to_string());
            set("NPROCS", tasks.to_string());
        }
        if let Some(each) = ask.tasks_per_node {
            set("NTASKS_PER_NODE", each.to_string());
        }
        if let CpuAsk::PerTask(each) = ask.cpus {
            set("CPUS_PER_TASK", each.to_string());
        }
        let gpus: usize = parts.iter().map(|part| part.gpus.len()).sum();
        if gpus > 0 {
            set("GPUS", gpus.to_string());
        }
    }
    if let Some(distribution) = given.text("distribution") {
        set("DISTRIBUTION", distribution.to_owned());
    }
    variables
}

/// What a program finds of each component of a heterogeneous job: of what differs, in Slurm's words.
fn of_components(invocation: &Invocation<'_>, each: &[Given], details: &[JobDetail]) -> BTreeMap<String, String> {
    const OF_ALL: [&str; 4] = ["SLURM_SUBMIT_DIR", "SLURM_SUBMIT_HOST", "SLURM_CLUSTER_NAME", "SLURM_DISTRIBUTION"];
    let mut found = BTreeMap::from([("SLURM_HET_SIZE".to_owned(), details.len().to_string())]);
    for (group, (given, detail)) in each.iter().zip(details).enumerate() {
        let own = variables(invocation, given, &detail.view, Some(detail));
        let own = own.into_iter().filter(|(name, _)| !OF_ALL.contains(&name.as_str()));
        found.extend(own.map(|(name, value)| (format!("{name}_HET_GROUP_{group}"), value)));
    }
    found
}

/// `4(x2),1`.
fn repeated(numbers: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((last, count)) if *last == number => *count += 1,
            _ => runs.push((number, 1)),
        }
    }
    let texts = runs.iter().map(|(number, count)| match count {
        1 => number.to_string(),
        _ => format!("{number}(x{count})"),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// Runs the command, or the caller's shell, until it or the allocation ends.
fn in_allocation(
    invocation: &mut Invocation<'_>,
    job: JobId,
    words: Vec<String>,
    variables: BTreeMap<String, String>,
    kill: i32,
) -> Result<ExitStatus, Failure> {
    let (program, arguments) = match words.split_first() {
        Some((program, arguments)) => (PathBuf::from(program), arguments.to_vec()),
        None => (invocation.caller.shell.clone(), vec!["-i".to_owned()]),
    };
    invocation.out.flush()?;
    let failed = |error: std::io::Error| Failure::error("salloc", plain(&error));
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        // The shell hears the terminal's signals itself; here they only must not end anything.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let mut command = tokio::process::Command::new(&program);
        command.args(&arguments).envs(&variables).current_dir(&invocation.directory);
        let mut child = command.spawn().map_err(|error| {
            let shown = program.display().to_string();
            let first = format!("Unable to find command \"{}\"", escaped(&shown));
            Failure::error("salloc", first).advising(Advice { cause: plain(&error), ..Advice::default() })
        })?;
        let pid = child.id();
        if let (Some(controller), Some(pid)) = (invocation.controller.apart(), pid) {
            std::thread::spawn(move || end_with_the_job(controller.as_ref(), job, pid, kill));
        }
        loop {
            tokio::select! {
                ended = child.wait() => {
                    let status = ended.map_err(failed)?;
                    let code = status.code().unwrap_or(0);
                    return Ok(ExitStatus { code, signal: status.signal().unwrap_or(0) });
                }
                _ = interrupt.recv() => {}
                _ = terminate.recv() => send(pid, nix::libc::SIGTERM),
                _ = hangup.recv() => send(pid, nix::libc::SIGHUP),
            }
        }
    })
}

/// Watches the job, and tells the command when there is nothing left to run in.
fn end_with_the_job(controller: &dyn Controller, job: JobId, pid: u32, kill: i32) {
    let mut revoked = false;
    let ended = || nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), None).is_err();
    let watched = controller.watch(job, &mut |heard| match heard {
        Heard::News(news) if matches!(news.view.state, JobState::Completing | JobState::Ended(_)) => {
            revoked = true;
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    // Where the command is over already, it is this process that gives the allocation back.
    if watched.is_ok() && revoked && !ended() {
        eprintln!("salloc: Job allocation {job} has been revoked.");
        send(Some(pid), kill);
    }
}

fn send(pid: Option<u32>, number: i32) {
    let signal = nix::sys::signal::Signal::try_from(number);
    if let (Some(pid), Ok(signal)) = (pid.and_then(|pid| i32::try_from(pid).ok()), signal) {
        // It may be over by now.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
    }
}
