//! What the log says, without what later records replaced.

use crate::duty::{MAX_FORGOTTEN, Record};
use squall_types::ids::Run;
use squall_types::{Attempt, JobId, StepId};
use std::collections::BTreeMap;

/// The latest record of each subject.
#[derive(Debug, Default)]
pub(super) struct Held {
    runs: BTreeMap<Run, Record>,
    steps: BTreeMap<(Run, StepId), Record>,
    /// Of each job the highest attempt that was forgotten: no lower one can ever begin again.
    forgotten: BTreeMap<JobId, (Attempt, Record)>,
}

impl Held {
    pub fn apply(&mut self, record: Record) {
        match &record {
            Record::Run { run, .. } => {
                self.runs.insert(*run, record);
            }
            Record::Step(step) => {
                self.steps.insert((step.run, step.step), record);
            }
            Record::StepForgotten { run, step } => {
                self.steps.remove(&(*run, *step));
            }
            Record::Forgotten { run } => {
                self.runs.remove(run);
                if self.forgotten.get(&run.job).is_none_or(|(highest, _)| *highest < run.attempt) {
                    self.forgotten.insert(run.job, (run.attempt, record));
                }
                if self.forgotten.len() > MAX_FORGOTTEN {
                    self.forgotten.pop_first();
                }
            }
            // These stand elsewhere.
            Record::Node(_) | Record::Damaged { .. } => {}
        }
    }

    pub fn run(&self, run: Run) -> Option<&Record> {
        self.runs.get(&run)
    }

    pub fn has_forgotten(&self, run: Run) -> bool {
        self.forgotten.get(&run.job).is_some_and(|(highest, _)| run.attempt <= *highest)
    }

    /// The forgotten ones last, so that a run that was forgotten is so also where a record of it stood after that.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        let forgotten = self.forgotten.values().map(|(_, record)| record);
        self.runs.values().chain(self.steps.values()).chain(forgotten)
    }
}
