//! Every chance that a run takes, from its one seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_types::Span;

/// What is drawn for, so that one more draw here does not change everything there.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    Scenario = 1,
    World = 2,
    /// What was added to scenarios later: the seeds of before keep the rest of their histories.
    Later = 3,
}

pub struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(seed: u64, stream: Stream) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream as u64);
        Dice(rng)
    }

    /// A chance in thousandths.
    pub fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.0.random_range(0..1000) < permille
    }

    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        if most <= least { least } else { self.0.random_range(least..=most) }
    }

    pub fn millis(&mut self, least: i64, most: i64) -> Span {
        Span(self.between(least, most))
    }

    pub fn secs(&mut self, least: i64, most: i64) -> Span {
        self.millis(least * 1000, most * 1000)
    }

    /// Below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count.max(1))
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
