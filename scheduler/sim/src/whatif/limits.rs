//! Time limits for jobs of which the trace knows none.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_types::Span;

/// How well users know what their jobs need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitModel {
    /// Exactly.
    Exact,
    /// They ask for the run time times a factor that is drawn for each job, evenly from 1 to this, in whole minutes:
    /// the f-model of Mu'alem and Feitelson, IEEE TPDS 12(6), 2001.
    Factor(f64),
    /// They ask for nothing and get their partition's default.
    Partition,
}

/// The shortest limit that is asked for.
const LEAST: Span = Span::from_secs(1);
const MINUTE: i64 = 60_000;

impl LimitModel {
    /// One limit for each run time, in order.
    pub fn limits(self, seed: u64, runs: impl IntoIterator<Item = Span>) -> Vec<Option<Span>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let limit = |run: Span| match self {
            LimitModel::Exact => Some(run.max(LEAST)),
            LimitModel::Factor(most) => {
                let factor = rng.random_range(1.0..=most.max(1.0));
                let minutes = (run.0 as f64 * factor / MINUTE as f64).ceil() as i64;
                Some(Span(minutes.max(1).saturating_mul(MINUTE)).max(run))
            }
            LimitModel::Partition => None,
        };
        runs.into_iter().map(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_below_the_run_time_and_the_same_for_one_seed() {
        let runs = [Span::ZERO, Span::from_secs(59), Span::from_hours(10)];
        assert_eq!(LimitModel::Exact.limits(1, runs), [Some(LEAST), Some(runs[1]), Some(runs[2])]);
        assert_eq!(LimitModel::Partition.limits(1, runs), [None; 3]);
        let drawn = |seed| LimitModel::Factor(3.0).limits(seed, [runs[2]; 200]);
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        let hours = |limit: &Option<Span>| limit.map_or(0.0, |limit| limit.0 as f64 / 3_600_000.0);
        let limits: Vec<f64> = drawn(7).iter().map(hours).collect();
        assert!(limits.iter().all(|hours| (10.0..=30.02).contains(hours)));
        let mean = limits.iter().sum::<f64>() / 200.0;
        assert!((18.5..21.5).contains(&mean), "around twice the run time: {mean}");
    }
}
