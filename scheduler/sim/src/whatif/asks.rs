//! The different sizes among jobs. A trace has thousands of jobs and a few dozen sizes.

use super::work::{Demand, Work};
use squall_types::{Ask, Resources, Shape};
use std::collections::BTreeMap;

/// Every size that occurs, and which job has which.
#[derive(Clone, Debug)]
pub struct Asks {
    pub asks: Vec<Ask>,
    pub demands: Vec<Demand>,
    /// By the position of the job.
    pub of_work: Vec<usize>,
    /// GPU-milliseconds that jobs of this size run for.
    pub weights: Vec<i128>,
}

impl Asks {
    pub fn of(work: &[Work]) -> Asks {
        let mut known = BTreeMap::new();
        let mut asks = Asks { asks: Vec::new(), demands: Vec::new(), of_work: Vec::new(), weights: Vec::new() };
        for job in work {
            let size = *known.entry(job.demand).or_insert_with(|| {
                asks.asks.push(job.demand.ask());
                asks.demands.push(job.demand);
                asks.weights.push(0);
                asks.asks.len() - 1
            });
            asks.of_work.push(size);
            asks.weights[size] += i128::from(job.demand.gpus()) * i128::from(job.runs_for.0);
        }
        asks
    }

    /// What each size needs of one node of `shape`; `None` where it never fits there.
    pub fn needs(&self, shape: &Shape) -> Vec<Option<Resources>> {
        self.asks.iter().map(|ask| ask.need(shape, 1)).collect()
    }
}
