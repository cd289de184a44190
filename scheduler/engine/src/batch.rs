//! Batches: events that are written together, and the outputs that wait for them.

use crate::io::{BatchId, Output};
use squall_core::{Cluster, Event};

/// Events of one batch: a longer one is cut between two decisions, so that no commit takes long.
const MAX_EVENTS: usize = 20_000;

#[derive(Default)]
pub(crate) struct Batches {
    last: u64,
    /// Decided and not yet written.
    events: Vec<Event>,
    /// How many of them each decision ended at: a crash may leave all of a decision or nothing.
    ends: Vec<usize>,
    held: Vec<Output>,
    writing: Option<Writing>,
    ready: Vec<Output>,
}

struct Writing {
    batch: BatchId,
    held: Vec<Output>,
    /// What readers may see when it is on disk; `None` where more of the same batch follows.
    state: Option<Cluster>,
}

impl Batches {
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// What was pushed so far belongs together.
    pub fn end_decision(&mut self) {
        if self.ends.last() != Some(&self.events.len()) {
            self.ends.push(self.events.len());
        }
    }

    /// How many events wait to be written.
    pub fn decided(&self) -> usize {
        self.events.len()
    }

    /// Leaves when everything that was decided so far is on disk.
    pub fn hold(&mut self, output: Output) {
        self.held.push(output);
    }

    /// Leaves at once: says nothing about the state.
    pub fn send(&mut self, output: Output) {
        self.ready.push(output);
    }

    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.writing.is_none() && self.events.is_empty() && self.held.is_empty()
    }

    /// Room for more before the batch should be written.
    pub fn has_room(&self) -> bool {
        self.events.len() < MAX_EVENTS
    }

    /// Starts to write what was collected, which led to `state`; outputs that wait for nothing leave.
    pub fn write(&mut self, state: &Cluster) {
        if self.events.is_empty() {
            self.ready.append(&mut self.held);
            return;
        }
        self.last += 1;
        let batch = BatchId(self.last);
        let cut = self.cut();
        let rest = self.events.split_off(cut);
        let events = std::mem::replace(&mut self.events, rest);
        self.ends = self.ends.iter().filter(|end| **end > cut).map(|end| end - cut).collect();
        let state = self.events.is_empty().then(|| state.clone());
        // Whatever was decided rests on all of it.
        let mut held = if state.is_some() { std::mem::take(&mut self.held) } else { Vec::new() };
        if squall_core::canary::active("reply_before_commit") {
            self.ready.append(&mut held);
        }
        self.writing = Some(Writing { batch, held, state });
        self.ready.push(Output::Append { batch, events });
    }

    /// Where the next batch ends: with the last decision that fits, or with the first where even that is longer.
    fn cut(&self) -> usize {
        if self.events.len() <= MAX_EVENTS {
            return self.events.len();
        }
        let fitting = self.ends.iter().rev().find(|end| **end <= MAX_EVENTS);
        fitting.or(self.ends.first()).copied().unwrap_or(self.events.len())
    }

    /// The state to publish, if `batch` is the one being written and the last of what was cut.
    pub fn committed(&mut self, batch: BatchId) -> Option<Cluster> {
        let writing = self.writing.take_if(|writing| writing.batch == batch)?;
        let state = writing.state?;
        self.ready.push(Output::Published);
        self.ready.extend(writing.held);
        Some(state)
    }

    pub fn released(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_core::event::What;
    use squall_types::{PoolName, Timestamp};

    /// Decisions of so many events each.
    fn decided(decisions: &[usize]) -> Batches {
        let mut batches = Batches::default();
        for (number, events) in decisions.iter().enumerate() {
            for _ in 0..*events {
                let pool = PoolName(format!("decision {number}"));
                batches.push(What::QuotaCleared { pool }.at(Timestamp::ZERO));
            }
            batches.end_decision();
        }
        batches.hold(Output::Alert { text: "decided".to_owned() });
        batches
    }

    /// The lengths of the batches, and whether what was held left with the last commit and not before.
    fn written(mut batches: Batches) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !batches.is_empty() {
            batches.write(&Cluster::new());
            let released = batches.released();
            let [Output::Append { batch, events }] = released.as_slice() else { panic!("{released:?}") };
            lengths.push(events.len());
            let state = batches.committed(*batch);
            assert_eq!(state.is_some(), batches.is_empty(), "readers see whole batches");
            let told = batches.released().iter().any(|output| matches!(output, Output::Alert { .. }));
            assert_eq!(told, batches.is_empty(), "what was decided is told when all of it is on disk");
        }
        lengths
    }

    #[test]
    fn a_long_batch_is_cut_between_decisions() {
        assert_eq!(written(decided(&[3, 4])), [7]);
        assert_eq!(written(decided(&[MAX_EVENTS])), [MAX_EVENTS]);
        assert_eq!(written(decided(&[MAX_EVENTS - 1, 3, MAX_EVENTS - 1])), [MAX_EVENTS - 1, 3, MAX_EVENTS - 1]);
        assert_eq!(written(decided(&[MAX_EVENTS - 3, 3, 1])), [MAX_EVENTS, 1]);
    }

    #[test]
    fn a_decision_is_never_cut() {
        assert_eq!(written(decided(&[MAX_EVENTS + 5, 1])), [MAX_EVENTS + 5, 1]);
        assert_eq!(written(decided(&[1, MAX_EVENTS + 5, 1])), [1, MAX_EVENTS + 5, 1]);
    }

    #[test]
    fn what_is_decided_while_the_rest_of_a_batch_waits_is_told_with_it() {
        let mut batches = decided(&[MAX_EVENTS, 1]);
        batches.write(&Cluster::new());
        batches.hold(Output::Alert { text: "later".to_owned() });
        let first = BatchId(1);
        assert!(batches.committed(first).is_none());
        batches.released();
        batches.write(&Cluster::new());
        assert!(batches.committed(BatchId(2)).is_some());
        assert_eq!(batches.released().len(), 4, "the append, the news that readers may look, and both that were held");
    }
}
