//! From the lines of a trace to jobs that can be played: what the trace lacks is added, and said.

use crate::trace::TraceJob;
use serde::Serialize;
use squall_sim::whatif::{Demand, LimitModel, Work};
use squall_types::{Span, Uid};
use std::collections::BTreeMap;

/// The first user of a trace gets this id.
const FIRST_UID: u32 = 10_000;
/// Longer traces are taken for a mistake.
const MAX_YEARS: i64 = 20;
const YEAR: i64 = 366 * 86_400_000;

/// How what is missing is added.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub limits: LimitModel,
    pub seed: u64,
    pub cpus_per_gpu: Option<u32>,
    /// In MiB.
    pub mem_per_gpu: Option<u64>,
    /// Nodes are not looked at: all GPUs of a job come from one place.
    pub gpus_only: bool,
}

/// A trace as it is played.
#[derive(Clone, Debug)]
pub struct Played {
    pub trace: Trace,
    pub work: Vec<Work>,
}

/// What a trace is, and what was added to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trace {
    pub name: String,
    pub jobs: usize,
    pub accounts: usize,
    /// Between the first and the last submission.
    pub span_ms: i64,
    pub seed: u64,
    /// One sentence for each thing that the trace does not say.
    pub assumptions: Vec<String>,
}

/// # Errors
/// In words: a trace that is too long to be meant.
pub fn played(name: String, jobs: Vec<TraceJob>, wanted: &Wanted) -> Result<Played, String> {
    let first = jobs.first().map_or(Span::ZERO, |job| job.submit);
    let span = jobs.last().map_or(Span::ZERO, |job| job.submit - first);
    if span.0 > MAX_YEARS * YEAR {
        let years = span.0 / YEAR;
        return Err(format!("its jobs are submitted over {years} years; at most {MAX_YEARS} are played"));
    }
    let mut uids: BTreeMap<String, Uid> = BTreeMap::new();
    let drawn = wanted.limits.limits(wanted.seed, jobs.iter().map(|job| job.duration));
    let assumptions = assumptions(&jobs, wanted);
    let mut accounts = std::collections::BTreeSet::new();
    let mut work = Vec::with_capacity(jobs.len());
    for (job, drawn) in jobs.into_iter().zip(drawn) {
        let account = job.account.clone().unwrap_or_default();
        accounts.insert(account.clone());
        let user = job.user.clone().or_else(|| job.account.clone()).unwrap_or_else(|| "user".to_owned());
        let next = Uid(FIRST_UID.saturating_add(uids.len() as u32));
        let uid = *uids.entry(user.clone()).or_insert(next);
        let demand = demand(&job, wanted);
        let limit = job.time_limit.map(|limit| limit.max(Span::from_secs(1))).or(drawn);
        work.push(Work {
            submit_after: job.submit - first,
            runs_for: job.duration,
            name: job.id,
            account: account.as_str().into(),
            uid,
            user,
            limit,
            demand,
        });
    }
    let (jobs, accounts) = (work.len(), accounts.len());
    let trace = Trace { name, jobs, accounts, span_ms: span.0, seed: wanted.seed, assumptions };
    Ok(Played { trace, work })
}

fn demand(job: &TraceJob, wanted: &Wanted) -> Demand {
    let gpus = job.gpus_per_node.ceil() as u32;
    if wanted.gpus_only {
        let gpus_per_node = u16::try_from(gpus.saturating_mul(job.nodes)).unwrap_or(u16::MAX);
        return Demand { nodes: 1, gpus_per_node, cpus_per_node: None, mem_mib_per_node: None };
    }
    let by_gpus = wanted.cpus_per_gpu.filter(|_| gpus > 0).map(|each| each.saturating_mul(gpus));
    let memory = wanted.mem_per_gpu.filter(|_| gpus > 0).map(|each| each.saturating_mul(u64::from(gpus)));
    Demand {
        nodes: job.nodes,
        gpus_per_node: u16::try_from(gpus).unwrap_or(u16::MAX),
        cpus_per_node: job.cpus.map(|cpus| cpus.div_ceil(job.nodes).max(1)).or(by_gpus),
        mem_mib_per_node: job.mem_mib.or(memory),
    }
}

fn assumptions(jobs: &[TraceJob], wanted: &Wanted) -> Vec<String> {
    let all = jobs.len();
    let lack = |lacks: fn(&TraceJob) -> bool| jobs.iter().filter(|job| lacks(job)).count();
    let of_all = |count: usize| if count == all { "all jobs".to_owned() } else { format!("{count} of {all} jobs") };
    let mut said = Vec::new();
    let mut say = |count: usize, text: String| (count > 0).then(|| said.push(format!("{}: {text}", of_all(count))));
    let limit = match wanted.limits {
        LimitModel::Exact => "exactly what the job runs for".to_owned(),
        LimitModel::Factor(most) => {
            format!("the run time times 1 to {most}, drawn evenly, in whole minutes (seed {})", wanted.seed)
        }
        LimitModel::Partition => "the partition's default".to_owned(),
    };
    say(lack(|job| job.time_limit.is_none()), format!("no time limit in the trace; taken: {limit}"));
    say(lack(|job| job.user.is_none()), "no user in the trace; taken: one user for each account".to_owned());
    if wanted.gpus_only {
        say(all, "only the number of GPUs counts, not on which nodes they are".to_owned());
        return said;
    }
    let share = || "the GPUs' share of the node".to_owned();
    let cpus = wanted.cpus_per_gpu.map_or_else(share, |each| format!("{each} for each GPU"));
    say(lack(|job| job.cpus.is_none()), format!("no CPUs in the trace; taken: {cpus}"));
    let memory = wanted.mem_per_gpu.map_or_else(share, |each| format!("{each} MiB for each GPU"));
    say(lack(|job| job.mem_mib.is_none()), format!("no memory in the trace; taken: {memory}"));
    let shared = lack(|job| job.gpus_per_node > 0.0 && job.gpus_per_node < 1.0);
    say(shared, "a part of a GPU in the trace; taken: a whole one".to_owned());
    said
}
