//! What no scheduler can beat on the same jobs.

use super::fleet::Fleet;
use super::work::Work;
use serde::Serialize;
use squall_types::{MicroUsd, Resources, Shape};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Lower bounds over all jobs, for a configuration's prices.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bounds {
    /// The floor of the mean turnaround: what jobs run for.
    pub mean_run_ms: i64,
    pub gpu_hours: f64,
    /// GPUs in use at once if nothing ever waited, at most and on average until the last job ends.
    pub peak_gpus: u64,
    pub mean_gpus: f64,
    /// Every GPU, CPU or MiB paid only while a job holds it, at the lowest price for it that is offered to that job;
    /// the dearest of the three kinds. `None` where a machine of one's own costs nothing.
    pub ideal_cost_micro_usd: Option<i64>,
}

impl Bounds {
    pub fn of(fleet: &Fleet, work: &[Work]) -> Bounds {
        let gpu_ms: i128 = work.iter().map(|job| i128::from(job.demand.gpus()) * i128::from(job.runs_for.0)).sum();
        let run_ms: i128 = work.iter().map(|job| i128::from(job.runs_for.0)).sum();
        let mut running: BinaryHeap<Reverse<(i64, u64)>> = BinaryHeap::new();
        let (mut gpus, mut peak, mut over) = (0, 0, 1);
        for job in work {
            while let Some(Reverse((_, held))) =
                running.peek().copied().filter(|Reverse((at, _))| *at <= job.submit_after.0)
            {
                gpus -= held;
                running.pop();
            }
            gpus += job.demand.gpus();
            peak = peak.max(gpus);
            running.push(Reverse((job.submit_after.0 + job.runs_for.0, job.demand.gpus())));
            over = over.max(job.submit_after.0 + job.runs_for.0);
        }
        Bounds {
            mean_run_ms: (run_ms / work.len().max(1) as i128) as i64,
            gpu_hours: (gpu_ms as f64 / 36_000.0).round() / 100.0,
            peak_gpus: peak,
            mean_gpus: (gpu_ms as f64 / over as f64 * 10.0).round() / 10.0,
            ideal_cost_micro_usd: ideal_cost(fleet, work).map(|cost| cost.0),
        }
    }
}

/// A node's price pays for all of each kind that it has, so the sum over one kind of what jobs hold is a lower bound.
fn ideal_cost(fleet: &Fleet, work: &[Work]) -> Option<MicroUsd> {
    let owned = fleet.templates.iter().any(|template| template.price.0 == 0);
    if owned || fleet.templates.is_empty() {
        return None;
    }
    // In micro-dollars times milliseconds an hour.
    let mut sums = [0f64; 3];
    for job in work {
        let ask = job.demand.ask();
        let fitting = fleet.templates.iter().filter_map(|template| Some((template, ask.need(&template.shape, 1)?)));
        let costs =
            fitting.map(|(template, need)| shares(&template.shape, need).map(|share| share * template.price.0 as f64));
        let Some(least) = costs.reduce(|a, b| std::array::from_fn(|kind| a[kind].min(b[kind]))) else { continue };
        let length = job.runs_for.0 as f64 * f64::from(job.demand.nodes);
        sums.iter_mut().zip(least).for_each(|(sum, least)| *sum += least * length);
    }
    Some(MicroUsd((sums.into_iter().fold(0.0, f64::max) / 3_600_000.0).round() as i64))
}

fn shares(shape: &Shape, need: Resources) -> [f64; 3] {
    let part = |of: f64, whole: f64| if whole > 0.0 { of / whole } else { 0.0 };
    [
        part(f64::from(need.gpus), f64::from(shape.gpus.count())),
        part(f64::from(need.cpus), f64::from(shape.cpus)),
        part(need.memory_mib as f64, shape.memory_mib as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::work::Demand;
    use super::*;
    use crate::whatif::Template;
    use squall_types::{GpuGroup, Gpus, HourlyPrice, Span};

    fn job(submit: i64, runs: i64, gpus_per_node: u16, cpus: Option<u32>) -> Work {
        Work {
            name: "j".to_owned(),
            account: "a".into(),
            uid: Default::default(),
            user: String::new(),
            submit_after: Span::from_secs(submit),
            runs_for: Span::from_secs(runs),
            limit: None,
            demand: Demand { nodes: 1, gpus_per_node, cpus_per_node: cpus, mem_mib_per_node: Some(1) },
        }
    }

    #[test]
    fn bounds_are_what_the_jobs_themselves_are() {
        let gpus = Gpus(vec![GpuGroup { model: "g".into(), count: 4, memory_mib: 0, declared: true }]);
        let shape = Shape { cpus: 40, cores: 40, memory_mib: 4000, gpus, features: Default::default() };
        let dear = Template { shape: shape.clone(), price: HourlyPrice(8_000_000), most: 9 };
        let fleet = Fleet { templates: vec![dear], default_limit: Span::FOREVER };
        // A GPU for an hour, and three that overlap with it for half an hour; the second ends when the third begins.
        let work = [job(0, 3600, 1, None), job(600, 1200, 2, None), job(1800, 1800, 1, None)];
        let bounds = Bounds::of(&fleet, &work);
        assert_eq!((bounds.peak_gpus, bounds.gpu_hours, bounds.mean_run_ms), (3, 2.17, 2_200_000));
        // 13/6 GPU-hours at 2 dollars.
        assert_eq!(bounds.ideal_cost_micro_usd, Some(4_333_333));
        // Half of the CPUs for an hour cost more than a quarter of the GPUs.
        assert_eq!(Bounds::of(&fleet, &[job(0, 3600, 1, Some(20))]).ideal_cost_micro_usd, Some(4_000_000));
        assert_eq!(Bounds::of(&Fleet::counted(8), &work).ideal_cost_micro_usd, None);
    }
}
