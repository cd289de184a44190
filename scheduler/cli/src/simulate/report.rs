//! Everything that was found, for the table, the chart and programs.

use super::cases::Case;
use super::jobs::{Played, Trace};
use serde::Serialize;
use squall_sim::whatif::{Bounds, Outcome};

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub trace: Trace,
    pub configurations: Vec<Configuration>,
}

/// One configuration, with everybody who played on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Configuration {
    pub name: String,
    pub bounds: Bounds,
    pub outcomes: Vec<Compared>,
}

/// An outcome beside the one that it is compared with: a baseline with the first of its configuration, the first of a
/// configuration with the first of all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it is compared with; `None` for the first of all.
    pub difference: Option<Difference>,
}

/// An outcome less the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub from: String,
    pub mean_wait_ms: i64,
    pub p99_wait_ms: i64,
    pub mean_turnaround_ms: i64,
    pub mean_bounded_slowdown: f64,
    pub bought_gpu_hours: f64,
    pub cost_micro_usd: i64,
    pub peak_nodes: i64,
    pub launches: i64,
}

impl Difference {
    fn of(outcome: &Outcome, other: &Outcome) -> Difference {
        let decimals = |value: f64| (value * 1_000.0).round() / 1_000.0;
        Difference {
            from: title(other),
            mean_wait_ms: outcome.wait.mean_ms - other.wait.mean_ms,
            p99_wait_ms: outcome.wait.p99_ms - other.wait.p99_ms,
            mean_turnaround_ms: outcome.turnaround.mean_ms - other.turnaround.mean_ms,
            mean_bounded_slowdown: decimals(outcome.bounded_slowdown.mean - other.bounded_slowdown.mean),
            bought_gpu_hours: decimals(outcome.gpu_hours.bought - other.gpu_hours.bought),
            cost_micro_usd: outcome.cost_micro_usd - other.cost_micro_usd,
            peak_nodes: outcome.nodes.peak as i64 - other.nodes.peak as i64,
            launches: outcome.nodes.launches as i64 - other.nodes.launches as i64,
        }
    }
}

/// How an outcome is called.
pub fn title(outcome: &Outcome) -> String {
    format!("{}, {}", outcome.policy, outcome.name)
}

impl Report {
    /// `outcomes` are as many for each case, in the order of the cases.
    pub fn of(cases: &[Case], played: Played, outcomes: Vec<Outcome>) -> Report {
        let each = (outcomes.len() / cases.len().max(1)).max(1);
        let first = outcomes.first().cloned();
        let configuration = |(number, (case, outcomes)): (usize, (&Case, &[Outcome]))| {
            let compared = |(at, outcome): (usize, &Outcome)| {
                let other = match (number, at) {
                    (0, 0) => None,
                    (_, 0) => first.as_ref(),
                    _ => outcomes.first(),
                };
                Compared { outcome: outcome.clone(), difference: other.map(|other| Difference::of(outcome, other)) }
            };
            Configuration {
                name: case.setup.name.clone(),
                bounds: case.bounds(&played.work),
                outcomes: outcomes.iter().enumerate().map(compared).collect(),
            }
        };
        let configurations = cases.iter().zip(outcomes.chunks(each)).enumerate().map(configuration).collect();
        Report { trace: played.trace, configurations }
    }

    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}
