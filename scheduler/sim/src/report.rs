//! Many seeds on all cores, and what they say together.

use crate::run::{Outcome, run};
use crate::tally::Tally;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Failing seeds that are kept in full.
const MAX_FAILURES: usize = 100;

/// What came of a range of seeds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub start: u64,
    pub seeds: u64,
    pub happenings: u64,
    pub executions: u64,
    pub events: u64,
    pub failed: u64,
    /// The first of them by seed.
    pub failures: Vec<(u64, String)>,
    pub tally: Tally,
    pub never_fired: Vec<&'static str>,
}

impl Report {
    fn take(&mut self, outcome: &Outcome) {
        self.happenings += outcome.happenings;
        self.executions += outcome.executions;
        self.events += outcome.events;
        self.tally.merge(&outcome.tally);
        if let Some(first) = outcome.violations.first() {
            self.failed += 1;
            self.failures.push((outcome.seed, first.clone()));
        }
    }

    fn merge(&mut self, other: Report) {
        self.happenings += other.happenings;
        self.executions += other.executions;
        self.events += other.events;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.tally.merge(&other.tally);
    }
}

/// Plays `seeds` seeds from `start` on, on `threads` threads. `told` hears of each outcome as it comes.
pub fn run_all(start: u64, seeds: u64, threads: usize, told: &(dyn Fn(&Outcome) + Sync)) -> Report {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Report { start, seeds, ..Report::default() });
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut mine = Report::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds {
                        break;
                    }
                    let outcome = run(start + number);
                    told(&outcome);
                    mine.take(&outcome);
                }
                total.lock().unwrap_or_else(PoisonError::into_inner).merge(mine);
            });
        }
    });
    let mut report = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.failures.sort_unstable();
    report.failures.truncate(MAX_FAILURES);
    report.never_fired = report.tally.never();
    report
}
