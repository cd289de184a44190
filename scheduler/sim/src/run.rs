//! One seed from beginning to end.

use crate::scenario::Scenario;
use crate::tally::{Fault, Tally};
use crate::world::World;
use serde::Serialize;

/// What came of a seed.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub seed: u64,
    /// What was wrong, the first first; empty where all is well.
    pub violations: Vec<String>,
    /// Of everything that happened.
    pub hash: u64,
    pub happenings: u64,
    pub executions: u64,
    pub events: u64,
    pub tally: Tally,
}

impl Outcome {
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Plays a seed.
pub fn run(seed: u64) -> Outcome {
    play(seed, false).0
}

/// Plays a seed and keeps a line for everything that happens.
pub fn run_with_trace(seed: u64) -> (Outcome, Vec<String>) {
    play(seed, true)
}

fn play(seed: u64, keep_lines: bool) -> (Outcome, Vec<String>) {
    let mut world = World::new(Scenario::draw(seed), keep_lines);
    world.run();
    let mut tally = std::mem::take(&mut world.tally);
    if world.scenario.outages > 0 {
        tally.add(Fault::Outage.name(), "any", world.scenario.outages);
    }
    let outcome = Outcome {
        seed,
        violations: std::mem::take(&mut world.violations),
        hash: world.trace.hash(),
        happenings: world.happened(),
        executions: world.executions.count,
        events: world.history.length,
        tally,
    };
    (outcome, world.trace.into_lines())
}
