//! The parts of a launch: `srun --het-group=0,1 A`, `srun A : B`. Each runs in one component of a heterogeneous job, its
//! own or the one around it, and all of them are one program.

use crate::components::taken_over;
use crate::failure::Failure;
use crate::invocation::{Environment, Invocation};
use crate::options::{self, Given, Parsed};
use crate::request;
use crate::terminal::escaped;
use squall_types::indices::{ArrayLimits, parse_indices};
use squall_types::{IndexSet, JobId};
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// What runs in one component.
pub struct Part {
    pub given: Given,
    pub words: Vec<String>,
    /// Which component of the job around it, where there is one.
    pub job: Option<JobId>,
}

/// What a heterogeneous job says of each of its components; the plain names speak of the first.
const OF_COMPONENT: [&str; 14] = [
    "SLURM_CPUS_PER_GPU",
    "SLURM_CPUS_PER_TASK",
    "SLURM_GPUS",
    "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_TASK",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_GPU",
    "SLURM_MEM_PER_NODE",
    "SLURM_NNODES",
    "SLURM_NPROCS",
    "SLURM_NTASKS",
    "SLURM_NTASKS_PER_NODE",
];

/// The parts in the order of their ranks.
///
/// # Errors
/// Options that cannot be read, no command, or a component that there is not.
pub fn read(invocation: &Invocation<'_>, parsed: Parsed) -> Result<Vec<Part>, Failure> {
    let (sets, words) = split(invocation, parsed)?;
    let environment = &invocation.environment;
    let components = sets.len();
    let mut parts: Vec<Part> = Vec::new();
    let mut used = BTreeSet::new();
    for (at, (set, words)) in taken_over(&sets).into_iter().zip(words).enumerate() {
        if words.is_empty() {
            return Err(Failure::plain("srun: fatal: No command given to execute."));
        }
        let parsed = Parsed { set, rest: Vec::new() };
        let of = |environment: &Environment| {
            Given::on_command_line(invocation.command, &parsed).and_environment(environment)
        };
        let given = of(environment);
        let asked = groups(&given)?;
        let around = environment.get("SLURM_JOB_ID").or(environment.get("SLURM_JOBID"));
        let inside = around.is_some_and(|id| !id.is_empty()) && given.text("jobid") == around;
        if asked.is_none() && (components == 1 || !inside) {
            parts.push(Part { given, words, job: None });
            continue;
        }
        let groups = asked.unwrap_or_else(|| [at as u32].into_iter().collect());
        for group in groups.iter() {
            let job = component(environment, group)?;
            if !used.insert(group) {
                let first = format!("component {group} runs one part of a launch, and is named for several");
                return Err(Failure::error("srun", first));
            }
            parts.push(Part { given: of(&of_group(environment, group)), words: words.clone(), job });
        }
    }
    Ok(parts)
}

type Split = (Vec<Vec<options::Set>>, Vec<Vec<String>>);

/// Options and words of each component. Where `--` says that options are over, so are components.
fn split(invocation: &Invocation<'_>, parsed: Parsed) -> Result<Split, Failure> {
    let (mut sets, mut words) = (vec![parsed.set], Vec::new());
    let mut rest = parsed.rest;
    let one = invocation.arguments.iter().any(|word| word == "--");
    while let Some(at) = rest.iter().position(|word| word == ":").filter(|_| !one) {
        let command = invocation.command;
        let next = options::parse(command, &rest[at + 1..]).map_err(|error| error.told_by(command))?;
        rest.truncate(at);
        words.push(std::mem::replace(&mut rest, next.rest));
        sets.push(next.set);
    }
    words.push(rest);
    Ok((sets, words))
}

fn groups(given: &Given) -> Result<Option<IndexSet>, Failure> {
    let Some(text) = given.text("het-group") else { return Ok(None) };
    let bare = text.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(text);
    parse_indices(bare, ArrayLimits::DEFAULT).map(Some).map_err(|why| {
        request::invalid("srun", "het-group", text, why.to_string(), "--het-group=0,1 or --het-group=0-2")
    })
}

/// `None` is the job around that is not heterogeneous, or a job of one's own.
fn component(environment: &Environment, group: u32) -> Result<Option<JobId>, Failure> {
    let size = environment.get("SLURM_HET_SIZE").and_then(|text| text.parse().ok()).unwrap_or(1u32);
    if group >= size {
        let last = size.saturating_sub(1);
        let first = format!("Requested het-group offset exceeds highest hetjob index ({group} > {last})");
        return Err(Failure::error("srun", first));
    }
    let name = format!("SLURM_JOB_ID_HET_GROUP_{group}");
    let Some(text) = environment.get(&name) else { return Ok(None) };
    let invalid = || Failure::error("srun", format_args!("{name}={} is no job id", escaped(text)));
    text.parse().map(|id| Some(JobId(id))).map_err(|_| invalid())
}

/// The environment as if the component were all of the job.
fn of_group(environment: &Environment, group: u32) -> Environment {
    let suffix = format!("_HET_GROUP_{group}");
    let of_many = environment.get("SLURM_HET_SIZE").is_some();
    let own = environment.all().filter(|(name, _)| !of_many || OF_COMPONENT.iter().all(|one| name != one));
    let named = environment.all().filter_map(|(name, value)| {
        let name = name.to_str()?.strip_suffix(&suffix)?;
        Some((OsStr::new(name), value))
    });
    // Later, so that it counts.
    Environment::new(own.chain(named).map(|(name, value)| (name.to_owned(), value.to_owned())))
}
