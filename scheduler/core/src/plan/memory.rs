//! What a pass remembers of the one before: the starts that were promised, in the order in which jobs were tried.
//!
//! Seeking a start is what costs most of a pass over a full cluster, and most of these starts come out as before. They
//! do for a job where everything that it could see is as it was when it was tried last: the nodes, and what was promised
//! on them before its turn. So the slots are followed that are not as they were at this point of the last pass: those
//! that changed since, that time alone changes, or on which anything was taken or promised otherwise. What was found on
//! other slots is as good as ever, unless one of these now offers more.
//!
//! Forgetting all of it changes no answer.

use super::seek::Fit;
use super::step::Target;
use squall_types::{Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// With more slots to look at it is quicker to look at all through the index.
const MANY: usize = 256;

/// A start that was promised.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    pub at: Timestamp,
    /// Which of its candidates.
    pub candidate: usize,
    pub fit: Fit,
}

/// What a job is, and what it could choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeker {
    pub target: Target,
    /// Number of its class, which no other class has.
    pub class: u64,
    pub length: Span,
    /// Candidates that may promise anything, by bit.
    pub open: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    seeker: Seeker,
    promise: Promise,
}

#[derive(Clone, Debug, Default)]
pub struct Memory {
    last: Vec<Entry>,
    /// Where a job stands in the last pass.
    rank: BTreeMap<Target, usize>,
    /// How far this pass has come in it.
    reached: usize,
    /// The job that is being tried, where it stands in the last pass.
    current: Option<usize>,
    /// Slots that are not as they were at this point of the last pass.
    moved: BTreeSet<usize>,
    /// The last pass is of no use any more.
    lost: bool,
    /// This pass has added slots, which the next will not have: it is of no use to that.
    grown: bool,
    /// This pass, for the next.
    kept: Vec<Entry>,
}

impl Memory {
    /// A pass begins. `moved` are the slots that differ from those with which the last one began, or that time changes.
    pub fn begin(&mut self, moved: impl IntoIterator<Item = usize>) {
        self.last = std::mem::take(&mut self.kept);
        if std::mem::take(&mut self.grown) {
            self.last.clear();
        }
        self.rank = self.last.iter().enumerate().map(|(rank, entry)| (entry.seeker.target, rank)).collect();
        (self.reached, self.current, self.lost) = (0, None, false);
        self.moved.clear();
        moved.into_iter().for_each(|slot| self.moved(slot));
    }

    /// Slots are added.
    pub fn grow(&mut self) {
        (self.lost, self.grown) = (true, true);
    }

    /// A slot is not as it was at this point.
    pub fn moved(&mut self, slot: usize) {
        if !self.lost {
            self.moved.insert(slot);
            self.lost = self.moved.len() > MANY;
        }
    }

    /// What was promised to a job, where nothing of that was touched.
    pub fn recall(&mut self, seeker: Seeker, soon: Timestamp) -> Option<&Promise> {
        self.let_go();
        if self.lost {
            return None;
        }
        let rank = *self.rank.get(&seeker.target).filter(|rank| **rank >= self.reached)?;
        // Those before it were not tried this time.
        for skipped in self.reached..rank {
            self.let_go_of(skipped);
        }
        (self.reached, self.current) = (rank + 1, Some(rank));
        let Entry { seeker: known, promise } = &self.last[rank];
        let untouched = !self.lost && promise.fit.slots.iter().all(|slot| !self.moved.contains(slot));
        (*known == seeker && promise.at >= soon && untouched).then_some(promise)
    }

    /// The slots that have to be looked at beside what was recalled.
    pub fn to_look_at(&self) -> impl Iterator<Item = usize> {
        self.moved.iter().copied()
    }

    /// A start was promised, as before or otherwise.
    pub fn keep(&mut self, seeker: Seeker, promise: Promise) {
        let before = self.current.map(|rank| &self.last[rank]);
        let as_before = before.is_some_and(|entry| entry.seeker == seeker && entry.promise == promise);
        if as_before {
            self.current = None;
        } else {
            self.let_go();
            promise.fit.slots.iter().for_each(|slot| self.moved(*slot));
        }
        self.kept.push(Entry { seeker, promise });
    }

    /// What the job had that was tried last is not promised to it again.
    fn let_go(&mut self) {
        if let Some(rank) = self.current.take() {
            self.let_go_of(rank);
        }
    }

    fn let_go_of(&mut self, rank: usize) {
        for slot in self.last[rank].promise.fit.slots.clone() {
            self.moved(slot);
        }
    }
}
