//! The end of a simulation, in figures.

use super::fragments::Fragments;
use super::meter::{Gauge, Meter, Series};
use super::work::Work;
use serde::Serialize;
use squall_types::{MicroUsd, Span, Timestamp};
use std::collections::BTreeMap;

/// Run times below this count as this in a slowdown: Feitelson et al., "Theory and Practice in Parallel Job
/// Scheduling", JSSPP 1997.
const SLOWDOWN_BOUND: Span = Span::from_secs(10);

/// What became of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    #[default]
    Open,
    Refused,
    Completed,
    TimedOut,
    /// Ended from outside and not run again.
    Stopped,
}

/// What executed, job by job.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The first time.
    pub began_at: Vec<Option<Timestamp>>,
    pub ended_at: Vec<Option<Timestamp>>,
    pub fates: Vec<Fate>,
    pub restarts: u64,
}

impl Ledger {
    pub fn new(work: &[Work]) -> Ledger {
        let none = vec![None; work.len()];
        Ledger { began_at: none.clone(), ended_at: none, fates: vec![Fate::Open; work.len()], restarts: 0 }
    }

    pub fn began(&mut self, job: usize, at: Timestamp) {
        match self.began_at[job] {
            None => self.began_at[job] = Some(at),
            Some(_) => self.restarts += 1,
        }
    }

    pub fn ended(&mut self, job: usize, at: Timestamp, fate: Fate) {
        self.ended_at[job] = Some(at);
        self.fates[job] = fate;
    }
}

/// Lengths of time in milliseconds; nearest ranks, so that each figure but the mean is one that happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub mean_ms: i64,
    pub p50_ms: i64,
    pub p99_ms: i64,
    pub max_ms: i64,
}

/// (wait + run) / max(run, 10 s), at least 1; to three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Slowdown {
    pub mean: f64,
    pub p50: f64,
    pub p99: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    pub jobs: usize,
    pub completed: usize,
    /// Ended by their limit.
    pub timed_out: usize,
    pub stopped: usize,
    pub refused: usize,
    pub unfinished: usize,
    /// Runs beyond the first of a job.
    pub restarts: u64,
}

/// In GPU-hours. What was bought is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GpuTime {
    pub bought: f64,
    pub used: f64,
    pub booting: f64,
    /// Of nodes that run nothing.
    pub idle: f64,
    /// Free on nodes that run something.
    pub beside: f64,
    pub ending: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Nodes {
    pub peak: usize,
    pub mean: f64,
    pub launches: usize,
    pub orders: usize,
    pub idle_hours: f64,
}

/// In GPU-hours, from samples. See the module `fragments` for what they mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Fragmentation {
    pub free: f64,
    pub free_while_waiting: f64,
    pub stranded: f64,
    pub expected: f64,
}

/// What the engine had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Effort {
    pub steps: u64,
    pub batches: u64,
    pub events: u64,
    pub provider_calls: u64,
}

/// One configuration or baseline, played to the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    pub name: String,
    pub policy: String,
    pub ends: Ends,
    pub wait: Spread,
    pub turnaround: Spread,
    pub bounded_slowdown: Slowdown,
    pub gpu_hours: GpuTime,
    pub cost_micro_usd: i64,
    pub nodes: Nodes,
    pub fragmentation: Fragmentation,
    pub peak_queued_jobs: i64,
    pub peak_queued_gpus: i64,
    pub peak_used_gpus: i64,
    /// From the first submission to the end of the last job or machine.
    pub elapsed_ms: i64,
    pub effort: Effort,
    /// Why jobs were refused or never ended, with how many.
    pub reasons: BTreeMap<String, usize>,
    pub series: Series,
}

impl Outcome {
    pub(super) fn of(
        name: &str,
        policy: &str,
        work: &[Work],
        ledger: &Ledger,
        meter: &Meter,
        fragments: &Fragments,
    ) -> Outcome {
        let fate = |wanted: Fate| ledger.fates.iter().filter(|fate| **fate == wanted).count();
        let began = work.iter().zip(&ledger.began_at).filter_map(|(job, at)| Some((*at)?.since(job.submit_at())));
        let ended = work.iter().zip(&ledger.ended_at).filter_map(|(job, at)| Some((*at)?.since(job.submit_at())));
        let slowdowns = ledger.began_at.iter().zip(&ledger.ended_at).zip(work).filter_map(|((began, ended), job)| {
            let (run, all) = ((*ended)?.since((*began)?), (*ended)?.since(job.submit_at()));
            Some((all.0 * 1_000 / run.max(SLOWDOWN_BOUND).0).max(1_000))
        });
        let idle = meter.sum(Gauge::IdleGpus);
        let beside = meter.sum(Gauge::BusyGpus) - meter.sum(Gauge::UsedGpus);
        let (booting, ending) = (meter.sum(Gauge::BootingGpus), meter.sum(Gauge::EndingGpus));
        let used = meter.sum(Gauge::UsedGpus);
        let node_time: i128 = [Gauge::BootingNodes, Gauge::BusyNodes, Gauge::IdleNodes, Gauge::EndingNodes]
            .iter()
            .map(|gauge| meter.sum(*gauge))
            .sum();
        Outcome {
            name: name.to_owned(),
            policy: policy.to_owned(),
            ends: Ends {
                jobs: work.len(),
                completed: fate(Fate::Completed),
                timed_out: fate(Fate::TimedOut),
                stopped: fate(Fate::Stopped),
                refused: fate(Fate::Refused),
                unfinished: fate(Fate::Open),
                restarts: ledger.restarts,
            },
            wait: Spread::of(began.collect()),
            turnaround: Spread::of(ended.collect()),
            bounded_slowdown: Slowdown::of(slowdowns.collect()),
            gpu_hours: GpuTime {
                bought: hours(used + booting + idle + beside + ending),
                used: hours(used),
                booting: hours(booting),
                idle: hours(idle),
                beside: hours(beside),
                ending: hours(ending),
            },
            nodes: Nodes {
                peak: meter.peak_nodes() as usize,
                mean: decimals(node_time as f64 / meter.elapsed().0.max(1) as f64, 1),
                idle_hours: hours(meter.sum(Gauge::IdleNodes)),
                ..Nodes::default()
            },
            fragmentation: Fragmentation {
                free: hours(fragments.free),
                free_while_waiting: hours(fragments.free_while_waiting),
                stranded: hours(fragments.stranded),
                expected: hours(fragments.expected),
            },
            peak_queued_jobs: meter.peak(Gauge::QueuedJobs),
            peak_queued_gpus: meter.peak(Gauge::QueuedGpus),
            peak_used_gpus: meter.peak(Gauge::UsedGpus),
            elapsed_ms: meter.elapsed().0,
            series: meter.series(),
            ..Outcome::default()
        }
    }

    /// For machines that are there from the beginning to the end: `gpu_ms` in all.
    pub(super) fn always_on(&mut self, nodes: usize, gpu_ms: i128, cost: MicroUsd, elapsed: Span) {
        self.cost_micro_usd = cost.0;
        self.gpu_hours.bought = hours(gpu_ms);
        self.gpu_hours.idle = 0.0;
        self.gpu_hours.beside = decimals(self.gpu_hours.bought - self.gpu_hours.used, 2);
        self.nodes = Nodes { peak: nodes, mean: nodes as f64, launches: nodes, orders: 0, idle_hours: 0.0 };
        let (series, end) = (&mut self.series, elapsed.0.max(1));
        let stretches = series.used_gpus.len();
        series.busy = vec![nodes as f64; stretches];
        let by = |number: usize| ((number as i64 + 1) * series.width_ms).min(series.end_ms);
        let spent = |number: usize| (i128::from(cost.0) * i128::from(by(number)) / i128::from(end)) as i64;
        series.spent_micro_usd = (0..stretches).map(spent).collect();
    }

    /// Spent for each GPU-hour that jobs used.
    pub fn cost_per_used_gpu_hour(&self) -> Option<MicroUsd> {
        (self.gpu_hours.used > 0.0).then(|| MicroUsd((self.cost_micro_usd as f64 / self.gpu_hours.used).round() as i64))
    }
}

fn hours(ms: i128) -> f64 {
    decimals(ms as f64 / 3_600_000.0, 2)
}

fn decimals(value: f64, count: i32) -> f64 {
    let scale = 10f64.powi(count);
    (value * scale).round() / scale
}

/// The nearest rank of a sorted list.
fn rank(sorted: &[i64], percent: usize) -> i64 {
    sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied().unwrap_or(0)
}

fn mean(values: &[i64]) -> i64 {
    let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
    (sum / values.len().max(1) as i128) as i64
}

impl Spread {
    fn of(lengths: Vec<Span>) -> Spread {
        let mut ms: Vec<i64> = lengths.into_iter().map(|length| length.0).collect();
        ms.sort_unstable();
        Spread {
            mean_ms: mean(&ms),
            p50_ms: rank(&ms, 50),
            p99_ms: rank(&ms, 99),
            max_ms: ms.last().copied().unwrap_or(0),
        }
    }
}

impl Slowdown {
    /// Of thousandths.
    fn of(mut thousandths: Vec<i64>) -> Slowdown {
        thousandths.sort_unstable();
        let whole = |value: i64| value as f64 / 1_000.0;
        let ranks = [50, 99].map(|percent| whole(rank(&thousandths, percent)));
        Slowdown { mean: whole(mean(&thousandths)), p50: ranks[0], p99: ranks[1] }
    }
}
