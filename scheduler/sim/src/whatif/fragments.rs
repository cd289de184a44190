//! Fragmentation: free GPUs that nobody can use.
//!
//! Two figures. *Stranded*: while jobs wait, GPUs that are free on nodes where the part of no waiting job fits.
//! *Expected*: free GPUs times the share of typical work whose part does not fit where they are, after the measure of
//! Weng et al., "Beware of Fragmentation", USENIX ATC 2023; here sizes are weighted with the GPU time that they run
//! for. Both look at single nodes: a gang for which there are too few such nodes at once counts as one that fits.

use super::asks::Asks;
use squall_types::{Resources, Shape, Span};
use std::collections::BTreeMap;

/// Millionths.
const WHOLE: i128 = 1_000_000;

/// Sums over samples, in GPU-milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Fragments {
    needs: BTreeMap<Shape, Vec<Option<Resources>>>,
    /// Millionths of all GPU time.
    shares: Vec<i128>,
    pub free: i128,
    /// While jobs that want GPUs wait.
    pub free_while_waiting: i128,
    pub stranded: i128,
    pub expected: i128,
}

impl Fragments {
    pub fn new(asks: &Asks) -> Fragments {
        let all: i128 = asks.weights.iter().sum::<i128>().max(1);
        Fragments { shares: asks.weights.iter().map(|weight| weight * WHOLE / all).collect(), ..Fragments::default() }
    }

    /// Takes one sample that stands for `length`. `waiting` has how many jobs of each size wait.
    pub fn sample<'a>(
        &mut self,
        length: Span,
        asks: &Asks,
        waiting: &[u32],
        nodes: impl Iterator<Item = (&'a Shape, Resources)>,
    ) {
        let wants = |size: usize| waiting[size] > 0 && asks.demands[size].gpus_per_node > 0;
        let anyone = (0..waiting.len()).any(wants);
        for (shape, free) in nodes.filter(|(_, free)| free.gpus > 0) {
            if !self.needs.contains_key(shape) {
                self.needs.insert(shape.clone(), asks.needs(shape));
            }
            let needs = &self.needs[shape];
            let fits = |size: usize| needs[size].is_some_and(|need| need.fits_in(&free));
            let gpu_time = i128::from(free.gpus) * i128::from(length.0);
            self.free += gpu_time;
            let lost: i128 =
                self.shares.iter().enumerate().filter(|(size, _)| !fits(*size)).map(|(_, share)| share).sum();
            self.expected += gpu_time * lost / WHOLE;
            if anyone {
                self.free_while_waiting += gpu_time;
                if !(0..waiting.len()).any(|size| wants(size) && fits(size)) {
                    self.stranded += gpu_time;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::{Demand, Work};
    use super::*;
    use squall_types::{GpuGroup, Gpus};

    fn job(gpus_per_node: u16, secs: i64) -> Work {
        Work {
            name: "j".to_owned(),
            account: "a".into(),
            uid: Default::default(),
            user: String::new(),
            submit_after: Span::ZERO,
            runs_for: Span::from_secs(secs),
            limit: None,
            demand: Demand { nodes: 1, gpus_per_node, cpus_per_node: None, mem_mib_per_node: None },
        }
    }

    #[test]
    fn what_no_waiting_job_fits_on_is_stranded_and_what_typical_work_would_not_use_is_expected() {
        // Three quarters of the GPU time are jobs of 8, a quarter jobs of 1.
        let asks = Asks::of(&[job(8, 30), job(1, 80)]);
        let gpus = Gpus(vec![GpuGroup { model: "g".into(), count: 8, memory_mib: 0, declared: true }]);
        let shape = Shape { cpus: 80, cores: 80, memory_mib: 800, gpus, features: Default::default() };
        let three = Resources { cpus: 30, memory_mib: 300, gpus: 3 };
        let no_cpus = Resources { cpus: 1, memory_mib: 300, gpus: 3 };
        let mut fragments = Fragments::new(&asks);
        fragments.sample(Span(10), &asks, &[1, 0], [(&shape, three)].into_iter());
        assert_eq!((fragments.free, fragments.stranded, fragments.expected), (30, 30, 22));
        fragments.sample(Span(10), &asks, &[1, 1], [(&shape, three)].into_iter());
        assert_eq!((fragments.free_while_waiting, fragments.stranded), (60, 30), "the small one fits");
        fragments.sample(Span(10), &asks, &[0, 1], [(&shape, no_cpus)].into_iter());
        assert_eq!((fragments.stranded, fragments.expected), (60, 22 + 22 + 30), "without CPUs no GPU is of use");
        fragments.sample(Span(10), &asks, &[0, 0], [(&shape, three)].into_iter());
        assert_eq!(fragments.free_while_waiting, 90, "nobody waits");
    }
}
