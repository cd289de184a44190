//! Kills at random moments: the controller, which the stage starts again, and agents, which the controller does.

use crate::stage::{PATIENCE, Stage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::fmt;
use std::time::{Duration, Instant};

/// What was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Struck {
    pub controllers: usize,
    pub agents: usize,
    /// Of the controllers, those that had not yet answered anybody.
    pub while_starting: usize,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Struck { controllers, agents, while_starting } = self;
        write!(f, "killed {controllers} controllers ({while_starting} while they started) and {agents} agents")
    }
}

/// Kills until so many were hit alive. The controller runs at the end.
pub fn strike(stage: &Stage, kills: usize, chance: &mut ChaCha8Rng) -> Struck {
    let mut struck = Struck::default();
    let mut last = Instant::now();
    while struck.controllers + struck.agents < kills {
        std::thread::sleep(Duration::from_millis(chance.random_range(50..2_500)));
        let hit = if chance.random_bool(0.4) {
            let answered = stage.call(&["scontrol", "ping"]).code == Some(0);
            let hit = stage.kill();
            struck.controllers += usize::from(hit);
            struck.while_starting += usize::from(hit && !answered);
            std::thread::sleep(Duration::from_millis(chance.random_range(0..1_000)));
            stage.start();
            // One in three is hit again before it has come far.
            if chance.random_ratio(1, 3) {
                std::thread::sleep(Duration::from_millis(chance.random_range(0..400)));
                if stage.kill() {
                    struck.controllers += 1;
                    struck.while_starting += 1;
                }
                stage.start();
            }
            hit
        } else {
            let agents = stage.agents();
            let at = chance.random_range(0..agents.len().max(1));
            let hit = agents.get(at).is_some_and(|agent| agent.kill());
            struck.agents += usize::from(hit);
            hit
        };
        if hit {
            last = Instant::now();
        }
        assert!(last.elapsed() < PATIENCE, "nothing is left that could be killed\n{}", stage.log());
    }
    struck
}
